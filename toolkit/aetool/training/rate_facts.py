"""What training for rate learned, in a checkpoint: JSON and an array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aetool_exporters.rate import TrainedRate
from aetool_runtime.specs import Array

__all__ = ["narrowed", "parse_rate", "rate_json"]

_NARROW = ("uint8", "int16", "uint16")


def rate_json(rate: TrainedRate) -> dict[str, Any]:
    """All but the samples."""
    return {
        "weight": rate.weight,
        "linear": rate.linear,
        "step": rate.step,
        "center": rate.center,
        "location": rate.location,
        "scale": rate.scale,
        "live": rate.live,
    }


def parse_rate(table: Mapping[str, Any], samples: Array) -> TrainedRate:
    """The way back; ``samples`` as they were stored."""
    lists = {name: tuple(table[name]) for name in ("step", "center", "location", "scale", "live")}
    return TrainedRate(weight=table["weight"], linear=table["linear"], samples=samples.astype(np.float32), **lists)


def narrowed(samples: Array | None) -> Array:
    """The same numbers in the smallest type that holds them all: a recording of integers needs no floats."""
    assert samples is not None
    for dtype in _NARROW:
        limits = np.iinfo(dtype)
        if samples.min() >= limits.min and samples.max() <= limits.max and np.array_equal(samples, np.rint(samples)):
            return samples.astype(dtype)
    return samples
