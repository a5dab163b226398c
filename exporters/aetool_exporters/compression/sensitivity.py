"""How much each channel of a latent moves the decoder's output."""

from __future__ import annotations

import numpy as np

from aetool_exporters.compression.computing import compute
from aetool_exporters.compression.nodes import Floats, Program

__all__ = ["sensitivity"]

_SAMPLES = 16
_MOVE = 0.1  # of a channel's standard deviation
_LEAST = 1e-3  # of the largest sensitivity


def sensitivity(program: Program, latents: Floats, scale: Floats) -> Floats:
    """[C]: root of the sum of squared changes of a sample (units of ``scale``), for each unit that one value moves.

    All values of a channel are moved at once, up or down at random, so that effects add up like noise, as those of
    rounding do. Channels that move nothing count as a thousandth of the most sensitive one.
    """
    some = latents[:: max(1, len(latents) // _SAMPLES)][:_SAMPLES]
    spread = latents.reshape(-1, latents.shape[-1]).std(axis=0)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], some.shape[:-1])
    still = compute(program, some)
    found = np.zeros(some.shape[-1])
    for channel in np.flatnonzero(spread > 0):
        moved = some.copy()
        moved[..., channel] += signs * _MOVE * spread[channel]
        change = ((compute(program, moved) - still) / scale) ** 2
        found[channel] = np.sqrt(change.sum() / signs.size) / (_MOVE * spread[channel])
    return np.maximum(found, _LEAST * found.max()) if found.any() else np.ones_like(found)
