"""What training for rate says about a latent: the exporter of a codec starts from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from aetool_runtime.specs import Array

__all__ = ["TrainedRate"]


@dataclass(frozen=True)
class TrainedRate:
    """Of an autoencoder that was trained for rate, or of principal components scaled for it.

    Channels are places on the last axis of what the encoder returns. Values are in the latent's own units.

    Args:
        weight: λ: the training's loss was mean squared error (or another) in normalized units + λ · bits per value.
        step: of each channel: rounding to its multiples is what the decoder was trained for. 1 for all.
        center: of each channel: a multiple of the step, about which values are spread most densely.
        location, scale: of each channel: of the Laplace distribution that was trained along.
        live: of each channel: whether rounding ever gave anything but the center on training samples.
        linear: encoder and decoder are one matrix each, with orthogonal rows.
        samples: float32 [n, *input_shape] of the training part, raw units: what entropy tables may be fitted on.
    """

    weight: float
    step: tuple[float, ...]
    center: tuple[float, ...]
    location: tuple[float, ...]
    scale: tuple[float, ...]
    live: tuple[bool, ...]
    linear: bool = False
    samples: Array | None = field(default=None, repr=False, compare=False)
