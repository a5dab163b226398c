"""The linear codec on trial."""

from __future__ import annotations

import numpy as np

from aetool_exporters.compression.linear import block_of, linear_codec
from aetool_exporters.compression.scales import Setting
from aetool_exporters.compression.subject import Fold, Subject
from aetool_runtime.compression.codecs import CodecRunner
from aetool_runtime.compression.description import Codec

__all__ = ["linear_subject"]


def linear_subject(setting: Setting, side: int) -> tuple[Subject, float, float] | None:
    """The codec, the factor of its finest steps to begin with, and the finest; ``None`` where no block fits.

    Args:
        side: of a block; 0 to choose.
    """
    shape = setting.shape
    block = (side,) * (len(shape) - 1) if side else block_of(shape, len(setting.training))
    if block is None or any(size is not None and size % b for size, b in zip(shape, block, strict=False)):
        return None
    finest = setting.finest * np.sqrt(12)  # of uniform steps, each component's
    made = linear_codec(setting.training, shape, setting.scale, setting.output, block, finest)
    center = np.zeros(len(made.unit), np.int32)
    codec = Codec("linear", "adjoint", made.latent_shape, made.downsampling, made.unit, center, (), made.steps)
    runner = CodecRunner(codec, setting.compression)
    training, held_out = (
        Fold(samples, runner.adjoint(samples.astype(np.float64))) for samples in (setting.training, setting.held_out)
    )
    subject = Subject(codec, setting.compression, setting.scale, 1 / made.unit, training, held_out)
    return subject, finest, finest
