"""Decoders of random steps that keep section 4, as often as possible by a hair: sums that just stay below 2³¹."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.decoder.bounds import meeting_sums
from aetool_runtime.compression.decoder.shapes import fixed_shape, shape_after
from aetool_runtime.compression.description import (
    Add,
    Codec,
    Concatenate,
    Convolution,
    Crop,
    Dense,
    Lookup,
    Range,
    Rescale,
    Rescaling,
    Reshape,
    Step,
    Upsample,
)

__all__ = ["codec_of", "random_codec", "random_input"]

KINDS = ("dense", "conv", "conv_transposed", "table", "rescale", "add", "upsample", "reshape", "crop", "concatenate")
Generator = np.random.Generator


def codec_of(
    latent: tuple[int | None, ...], *steps: Step, downsampling: tuple[int, ...] = (), channels: int | None = None
) -> Codec:
    """A codec without qualities."""
    count = channels or latent[-1] or 1
    return Codec(
        "network", "artifact", latent, downsampling, np.ones(count), np.zeros(count, np.int32), (), tuple(steps)
    )


def random_codec(seed: int, first: str) -> Codec:
    """One to five steps after a latent of one to three dimensions; ``first`` is the kind of the first."""
    rng = np.random.default_rng(seed)
    latent = tuple(int(n) for n in rng.integers(1, 5, _rank(rng, first)))
    return codec_of(latent, *_Builder(rng, latent).build([first, *rng.choice(KINDS, rng.integers(0, 5))]))


def random_input(seed: int, codec: Codec, samples: int) -> NDArray[np.int32]:
    """Inputs, many at the ends of the range."""
    rng = np.random.default_rng(seed)
    shape = (samples, *(size or 1 for size in codec.latent_shape))
    return _some(rng, shape, -32768, 32767).astype(np.int32)


def _rank(rng: Generator, first: str) -> int:
    return int(rng.integers(2 if first in ("conv", "conv_transposed", "upsample", "crop") else 1, 4))


class _Builder:
    """Adds steps, each to the value before and where it takes two to an earlier one."""

    def __init__(self, rng: Generator, latent: tuple[int, ...]) -> None:
        self.rng = rng
        self.steps: list[Step] = []
        self.shapes = [fixed_shape(latent)]
        self.ranges: list[Range] = [(-32768, 32767)]

    def build(self, kinds: list[str]) -> list[Step]:
        for kind in kinds:
            step = getattr(self, f"_{kind}")((len(self.steps),))
            if step is not None:
                self.shapes.append(shape_after(step, [self.shapes[i] for i in step.inputs]))
                self.ranges.append(step.range)
                self.steps.append(step)
        return self.steps or self.build(["dense"])

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(size.offset for size in self.shapes[-1])

    @property
    def largest(self) -> int:
        return max(map(abs, self.ranges[-1]))

    def _dense(self, inputs: tuple[int, ...]) -> Step:
        weights, bias = self._kernel((self.sizes[-1], int(self.rng.integers(1, 5))))
        return Dense(inputs, self._range(), weights, bias, self._rescaling(len(bias)))

    def _conv(self, inputs: tuple[int, ...], transposed: bool = False) -> Step | None:
        places = self.sizes[:-1]
        if not 1 <= len(places) <= 2 or max(places) > 20:
            return None
        kernel = tuple(int(k) for k in self.rng.integers(1, 5, len(places)))
        stride = tuple(int(s) for s in self.rng.integers(1, 4, len(places)))
        whole = [(n - 1) * s + k for n, s, k in zip(places, stride, kernel, strict=True)]
        margins = [self._cut(n) for n in whole] if transposed else list(map(self._padding, places, kernel))
        shape = (*kernel, self.sizes[-1], int(self.rng.integers(1, 4)))
        weights, bias = self._kernel(shape, stride if transposed else ())
        rescaling = self._rescaling(len(bias))
        return Convolution(inputs, self._range(), weights, bias, rescaling, stride, tuple(margins), transposed)

    def _conv_transposed(self, inputs: tuple[int, ...]) -> Step | None:
        return self._conv(inputs, transposed=True)

    def _table(self, inputs: tuple[int, ...]) -> Step | None:
        low, high = self.ranges[-1]
        if high - low >= 1 << 16:
            return None
        wide = self.rng.random() < 0.5
        limit = 2**31 - 2 if wide else 2**15 - 1
        values = _some(self.rng, (high - low + 1,), -limit, limit).astype(np.int32 if wide else np.int16)
        return Lookup(inputs, (int(values.min()), max(int(values.max()), int(values.min()) + 1)), values)

    def _rescale(self, inputs: tuple[int, ...]) -> Step:
        channels = self.sizes[-1]
        rescaling = self._rescaling(channels)
        # What is shifted may leave 31 bits by itself: then the multipliers are too large.
        multiplier = rescaling.multiplier.astype(np.int64)
        limit = ((2**31 - 1) << rescaling.shift.astype(np.int64)) // max(1, self.largest) - 1
        multiplier = np.clip(np.minimum(multiplier, limit), 1, None)
        shift = np.where(limit < 1, 2, rescaling.shift).astype(np.uint8)
        reached = (self.largest * multiplier + ((1 << shift.astype(np.int64)) >> 1)) >> shift
        bias = np.where(self.rng.random(channels) < 0.5, 1, -1) * (2**31 - 1 - reached)
        return Rescale(inputs, self._range(), Rescaling(multiplier.astype(np.int32), shift), bias.astype(np.int32))

    def _add(self, inputs: tuple[int, ...]) -> Step:
        twins = [i for i, shape in enumerate(self.shapes) if shape == self.shapes[-1]]
        other = int(self.rng.choice(twins))
        largest = [max(map(abs, self.ranges[i])) for i in (*inputs, other)]
        multipliers = tuple(int(m) for m in self.rng.integers(1, 1 << self.rng.integers(1, 21), 2))
        total = sum(m * most for m, most in zip(multipliers, largest, strict=True))
        shift = next(s for s in range(int(self.rng.integers(0, 4)), 41) if (total + (2**s >> 1)) >> s < 2**31)
        return Add((*inputs, other), self._range(), (multipliers[0], multipliers[1]), shift)

    def _upsample(self, inputs: tuple[int, ...]) -> Step | None:
        if len(self.sizes) < 2 or max(self.sizes[:-1]) > 20:
            return None
        return Upsample(inputs, self._kept(), tuple(int(f) for f in self.rng.integers(1, 4, len(self.sizes) - 1)))

    def _reshape(self, inputs: tuple[int, ...]) -> Step:
        count = int(np.prod(self.sizes))
        divisors = [d for d in range(1, count + 1) if count % d == 0]
        first = int(self.rng.choice(divisors))
        return Reshape(inputs, self._kept(), (first, count // first))

    def _crop(self, inputs: tuple[int, ...]) -> Step | None:
        if len(self.sizes) < 2:
            return None
        return Crop(inputs, self._kept(), tuple(map(self._cut, self.sizes[:-1])))

    def _concatenate(self, inputs: tuple[int, ...]) -> Step:
        beside = [i for i, shape in enumerate(self.shapes) if shape[:-1] == self.shapes[-1][:-1]]
        others = tuple(int(i) for i in self.rng.choice(beside, self.rng.integers(1, 3)))
        return Concatenate((*inputs, *others), self._kept())

    def _kernel(
        self, shape: tuple[int, ...], stride: tuple[int, ...] = ()
    ) -> tuple[NDArray[np.signedinteger], NDArray[np.int32]]:
        """Weights and biases that reach up to 2³¹ − 1, or stay far below."""
        dtype = np.int8 if self.rng.random() < 0.5 else np.int16
        limits = np.iinfo(dtype)
        weights = _some(self.rng, shape, limits.min, limits.max)
        sums = meeting_sums(np.abs(weights), stride)
        room = (2**31 - 1) // max(1, self.largest)
        weights = np.where(sums > room, (np.abs(weights) * room // np.maximum(sums, 1)) * np.sign(weights), weights)
        left = 2**31 - 1 - self.largest * meeting_sums(np.abs(weights), stride)
        bias = np.where(self.rng.random(shape[-1]) < 0.5, 1, -1) * left
        small = np.clip(bias, -1000, 1000)
        return weights.astype(dtype), (bias if self.rng.random() < 0.5 else small).astype(np.int32)

    def _rescaling(self, channels: int) -> Rescaling:
        multiplier = _some(self.rng, (channels,), 1, 2**21 - 1).astype(np.int32)
        shift = self.rng.integers(0, 41, channels).astype(np.uint8)
        return Rescaling(multiplier, shift)

    def _range(self) -> Range:
        bits = int(self.rng.choice([8, 12, 15, 16, 25, 31]))
        return (-(2**bits) + 1, 2**bits - 1) if self.rng.random() < 0.7 else (0, 2**bits - 1)

    def _kept(self) -> Range:
        """Of a step that only moves values: sometimes too narrow for them."""
        return (-(2**31) + 1, 2**31 - 1) if self.rng.random() < 0.5 else self._range()

    def _cut(self, size: int) -> tuple[int, int]:
        before = int(self.rng.integers(0, min(size, 3)))
        return before, int(self.rng.integers(0, min(size - before, 3)))

    def _padding(self, size: int, kernel: int) -> tuple[int, int]:
        before, after = (int(p) for p in self.rng.integers(0, 3, 2))
        return before, max(after, kernel - size - before)


def _some(rng: Generator, shape: tuple[int, ...], low: int, high: int) -> NDArray[np.int64]:
    """Integers of a range: anything in it, small ones, or its ends."""
    anything = rng.integers(low, high, shape, endpoint=True)
    small = np.clip(rng.integers(-3, 3, shape, endpoint=True), low, high)
    ends = np.where(rng.random(shape) < 0.5, low, high)
    return np.choose(rng.integers(0, 3, shape), [anything, small, ends])
