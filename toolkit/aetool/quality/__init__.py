"""What a bundle is worth on data: its reconstruction error, and what its latents tell apart. No TensorFlow."""

from aetool.quality.clusters import Clustering, compare_spaces
from aetool.quality.measure import Measured, measure
from aetool.quality.scatter import draw_scatter

__all__ = ["Clustering", "Measured", "compare_spaces", "draw_scatter", "measure"]
