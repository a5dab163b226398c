"""A bundle's codecs at work: latents → symbols → the decoder's integers → predicted samples (BITSTREAM.md, 3 and 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.decoder import IntegerDecoder
from aetool_runtime.compression.description import Codec, Compression, Convolution, Crop, Dense, Quality
from aetool_runtime.compression.framing.header import Header

__all__ = ["CodecRunner", "Scaling", "scaling_of"]

_INPUT = (-32768, 32767)
_SYMBOL_LIMIT = 2**31 - 1
_LATENT_LIMIT = 2.0**30  # beyond it, symbols say nothing but "far away"

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Scaling:
    """From a decoder's output to n, and from n to values: grid · n (BITSTREAM.md, section 5)."""

    grid: float
    multiplier: int
    shift: int
    limits: tuple[int, int]

    def predicted(self, output: NDArray[np.int32]) -> Integers:
        """n as a codec predicts it."""
        scaled = output.astype(np.int64) * self.multiplier
        if self.shift:
            scaled = (scaled + (1 << (self.shift - 1))) >> self.shift
        return np.clip(scaled, *self.limits)


def scaling_of(header: Header, compression: Compression) -> Scaling:
    """How a stream of this header, made with this bundle, scales."""
    if not header.is_float:
        return Scaling(1.0, compression.multiplier, compression.shift, header.limits)
    if header.grid is None:
        return Scaling(compression.output_unit, 1, 0, header.limits)
    return Scaling(header.grid.step, header.grid.multiplier, header.grid.shift, header.limits)


class CodecRunner:
    """One codec. Immutable, so threads may share it.

    Attributes:
        codec: what it runs.
    """

    def __init__(self, codec: Codec, compression: Compression) -> None:
        self.codec = codec
        self._sample_shape = compression.sample_shape
        self._output_unit = compression.output_unit
        self._decoder = IntegerDecoder(codec)

    def latent_shape(self, shape: Sequence[int]) -> tuple[int, ...] | None:
        """The latent of one sample; ``None`` where samples of that shape do not fit the codec."""
        if len(shape) != len(self._sample_shape):
            return None
        if any(want not in (None, size) for want, size in zip(self._sample_shape, shape, strict=True)):
            return None
        sizes = []
        for place, size in enumerate(self.codec.latent_shape):
            if size is None:
                size, rest = divmod(shape[place], self.codec.downsampling[place])
                if rest or not size:
                    return None
            sizes.append(size)
        return tuple(sizes)

    def symbols(self, latents: Numbers | NDArray[np.float32], quality: Quality) -> NDArray[np.int32]:
        """Real latents [samples, …latent] as symbols; what is not finite counts as the centre."""
        scaled = np.nan_to_num(latents / self.codec.unit - self.codec.center, nan=0.0, posinf=0.0, neginf=0.0)
        magnitudes = np.floor(np.minimum(np.abs(scaled), _LATENT_LIMIT) / quality.step + quality.rounding)
        found: NDArray[np.int32] = (np.sign(scaled) * np.maximum(magnitudes, 0)).astype(np.int32)
        return found

    def output(self, symbols: NDArray[np.int32], quality: Quality) -> NDArray[np.int32]:
        """The decoder's output [samples, …sample] for symbols [samples, …latent]."""
        inputs = symbols.astype(np.int64) * quality.step + self.codec.center
        return self._decoder.run(np.clip(inputs, *_INPUT).astype(np.int32))

    def adjoint(self, samples: Numbers) -> Numbers:
        """The latents of a linear codec: what its decoder's one step, undone by least squares, makes of samples.

        Args:
            samples: [samples, …sample], raw units.
        """
        bias, inverse = self._inverse
        return np.asarray(((self._patches(samples / self._output_unit) - bias) @ inverse) * self.codec.unit)

    @cached_property
    def _inverse(self) -> tuple[Numbers, Numbers]:
        """The linear step's bias for a patch, and the matrix that undoes its weights."""
        step = self.codec.steps[0]
        assert isinstance(step, Dense | Convolution)  # reading.py refuses others
        scale = step.rescaling.multiplier * 2.0 ** -step.rescaling.shift.astype(np.float64)
        rows = np.moveaxis(step.weights * scale, -2, 0).reshape(step.weights.shape[-2], -1)
        inverse: Numbers = np.asarray(np.linalg.pinv(rows), np.float64)
        return _per_patch(step.bias * scale, step), inverse

    def _patches(self, output: Numbers) -> Numbers:
        """What the linear step returned: [samples, …positions, what one position of the latent became]."""
        step = self.codec.steps[0]
        for later in reversed(self.codec.steps[1:]):
            if isinstance(later, Crop):
                output = _uncropped(output, later.crop)
            else:
                output = output.reshape(len(output), *self._before_reshape(output))
        if isinstance(step, Dense):
            return output
        assert isinstance(step, Convolution)
        output = _uncropped(output, step.margins)
        return _blocks(output, step.stride)

    def _before_reshape(self, output: Numbers) -> tuple[int, ...]:
        """The shape that a linear step has before it is only reshaped."""
        step = self.codec.steps[0]
        assert isinstance(step, Dense | Convolution)
        latent = [size or 1 for size in self.codec.latent_shape]
        if isinstance(step, Dense):
            return (*latent[:-1], step.weights.shape[-1])
        sizes = [
            (size - 1) * stride + stride - sum(margin)
            for size, stride, margin in zip(latent[:-1], step.stride, step.margins, strict=True)
        ]
        return (*sizes, step.weights.shape[-1])


def _per_patch(values: NDArray[np.float64], step: Dense | Convolution) -> NDArray[np.float64]:
    """One number per output channel, for every place of a kernel."""
    if isinstance(step, Dense):
        return values
    return np.broadcast_to(values, (*step.stride, len(values))).reshape(-1)


def _uncropped(output: Numbers, margins: Sequence[tuple[int, int]]) -> Numbers:
    """What was cut off is taken to continue the edges."""
    return np.pad(output, [(0, 0), *margins, (0, 0)], mode="edge") if any(map(any, margins)) else output


def _blocks(output: Numbers, stride: Sequence[int]) -> Numbers:
    """[samples, …sizes, channels] → [samples, …sizes / stride, product of strides · channels]."""
    count, *sizes, channels = output.shape
    if len(stride) == 1:
        return output.reshape(count, sizes[0] // stride[0], stride[0] * channels)
    (h, w), (a, b) = sizes, stride
    split = output.reshape(count, h // a, a, w // b, b, channels).transpose(0, 1, 3, 2, 4, 5)
    return split.reshape(count, h // a, w // b, a * b * channels)
