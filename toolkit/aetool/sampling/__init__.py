"""New samples: latents drawn from a distribution, decoded by a bundle. No TensorFlow, and everything seeded."""

from aetool.sampling.grid import Layout, draw_grid, layout_of
from aetool.sampling.latents import Draw, choose

__all__ = ["Draw", "Layout", "choose", "draw_grid", "layout_of"]
