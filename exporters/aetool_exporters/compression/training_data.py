"""The raw samples that a codec is fitted to, and those that it is measured on."""

from __future__ import annotations

import numpy as np

from aetool_exporters.cases import Samples
from aetool_exporters.compression.options import CompressionOptions
from aetool_exporters.rate import TrainedRate
from aetool_exporters.request import Calibration
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import Array

__all__ = ["first_samples", "split_samples"]

_MOST_VALUES = 1 << 25  # of a calibration's stream
_HELD_OUT = 5  # of training samples that are left for measuring, where there are no others: one in so many


def split_samples(
    options: CompressionOptions, rate: TrainedRate | None, calibration: Calibration | None, held_out: Samples
) -> tuple[Array, Array]:
    """Training and held-out samples: the user's, the checkpoint's, or the calibration's, in this order.

    Where held-out samples are made up, the end of the training's takes their place.

    Raises:
        UsageError: there are none.
    """
    training = options.samples
    if training is None and rate is not None:
        training = rate.samples
    if training is None and calibration is not None:
        training = first_samples(calibration)
    if training is None or len(training) < 2:
        raise UsageError(
            "compression needs data to fit tables to",
            expected="real samples such as the model was trained on",
            hint="--calibration DATA",
        )
    if held_out.real:
        return training, held_out.values
    kept = len(training) - max(1, len(training) // _HELD_OUT)
    return training[:kept], training[kept:]


def first_samples(calibration: Calibration) -> Array:
    """The first samples of a stream, as many as there is room for."""
    pieces: list[Array] = []
    values = 0
    for batch in calibration.batches():
        pieces.append(batch)
        values += batch.size
        if values >= _MOST_VALUES:
            break
    return np.concatenate(pieces)
