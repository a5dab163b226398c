"""Each chunk by the path that costs it least: stored, predicted, or through one of the bundle's codecs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.codecs import CodecRunner, scaling_of
from aetool_runtime.compression.decoding import MAX_STEP, ChunkDecoder, counted, values_of
from aetool_runtime.compression.description import Quality
from aetool_runtime.compression.framing.chunk import FIRST_CODEC, PREDICTIVE, STORED, Body, content_crc
from aetool_runtime.compression.framing.header import Header
from aetool_runtime.compression.goals import Bounded, Goal, high_rate
from aetool_runtime.compression.prediction.fitting import estimated_bits
from aetool_runtime.compression.prediction.forms import encode_best, reconstructed
from aetool_runtime.compression.varints import format_varint
from aetool_runtime.errors import ManifestError
from aetool_runtime.specs import Array

__all__ = ["ChunkEncoder", "Encoded"]

_TRIED = 1 << 14  # values of a chunk that qualities are tried on
_WORTH = 1.25  # a path whose estimate is this much above the least is not coded
_STEPS = (1.0, 0.7, 1.4)  # of the predictive path, around the one that theory gives
_MIN_SPLIT = 1 << 12  # values: smaller chunks are not split around values that no grid holds
_LIMIT = 2**31

Integers = NDArray[np.int64]
Encoder = Callable[[Array], Array]


@dataclass(frozen=True)
class Encoded:
    """A chunk's body, and how far off its values are.

    Args:
        body: to be written.
        squared_error, largest_error: raw units, of the values that are returned.
    """

    body: Body
    squared_error: float
    largest_error: float


@dataclass(frozen=True)
class _Candidate:
    path: int
    payload: bytes
    numbers: Integers  # n, [samples, …shape]
    cost: float


class ChunkEncoder:
    """Turns chunks of one stream into bodies. Immutable, so threads may share it.

    Args:
        decoder: of the bundle.
        header: of the stream.
        goal: what to keep.
        encode: samples → latents, for codecs that need the bundle's encoder.
    """

    def __init__(self, decoder: ChunkDecoder, header: Header, goal: Goal, encode: Encoder) -> None:
        self._decoder = decoder
        self._header = header
        self._goal = goal
        self._encode = encode
        self._scaling = scaling_of(header, decoder.compression)
        self._coder, self._residual = decoder.coder, decoder.compression.residual
        self._runners = [
            (index, runner)
            for index, runner in enumerate(decoder.runners)
            if runner.latent_shape(header.shape) is not None
        ]

    def encode(self, samples: Array, count: int) -> Iterator[Encoded]:
        """The chunk's body, or those of its parts, where some of its values lie on no grid.

        Args:
            samples: [samples, …shape] of the stream's dtype.
            count: how many samples, or rows, of them count.
        """
        numbers, held = self._on_grid(samples)
        if held.all():
            yield self._checked(samples, count, self._best(samples, numbers))
        elif held.mean() < 0.5 or samples.size < 2 * _MIN_SPLIT or len(samples) < 2:
            yield self._checked(samples, count, None)
        else:
            half = len(samples) // 2
            first = half * (self._header.shape[0] if self._header.rows else 1)
            yield from self.encode(samples[:half], first)
            yield from self.encode(samples[half:], count - first)

    # --- grids ---

    def _on_grid(self, samples: Array) -> tuple[Integers, NDArray[np.bool_]]:
        """n, and which samples the grid holds as well as was asked for."""
        if not self._header.is_float:
            return samples.astype(np.int64), np.ones(len(samples), bool)
        with np.errstate(all="ignore"):
            scaled = np.rint(samples / np.float64(self._scaling.grid))
            inside: NDArray[np.bool_] = np.abs(scaled) < _LIMIT
            numbers = np.where(inside, scaled, 0).astype(np.int64)
            held = inside & np.isfinite(samples)
            if isinstance(self._goal, Bounded):
                held &= _kept(samples, self._values(numbers), self._goal.error)
        return numbers, np.all(held.reshape(len(samples), -1), axis=1)

    def _values(self, numbers: Integers) -> Array:
        return values_of(numbers.astype(np.int32), self._header, self._scaling)

    @property
    def _step(self) -> int:
        """2E + 1, E in grid steps; on a grid of float32 that is as wide as the error allows, 1."""
        assert isinstance(self._goal, Bounded)
        return 1 if self._header.is_float else min(MAX_STEP, 2 * math.floor(self._goal.error) + 1)

    # --- paths ---

    def _best(self, samples: Array, numbers: Integers) -> _Candidate | None:
        """The cheapest candidate; ``None`` for the samples as they are."""
        paths = self._bounded if isinstance(self._goal, Bounded) else self._traded
        candidates = paths(samples, numbers)
        return min(candidates, key=lambda candidate: candidate.cost, default=None)

    def _bounded(self, samples: Array, numbers: Integers) -> list[_Candidate]:
        step, found = self._step, []
        payload = encode_best(numbers, step, self._coder, self._residual)
        if payload is not None:
            returned = reconstructed(numbers, step, self._header.limits)
            found.append(_Candidate(PREDICTIVE, payload, returned, 8 * len(payload)))
        stored = 8.0 * samples.nbytes
        tried = self._tried(len(numbers))
        trials = self._trials(samples[tried], numbers[tried], step, 0.0)
        if trials:
            share = len(samples) / len(tried)
            cost, index, quality = min(trials)
            if cost * share < _WORTH * min([stored, *(candidate.cost for candidate in found)]):
                found.append(self._by_codec(samples, numbers, index, quality, step, 0.0))
        return [candidate for candidate in found if candidate.cost < stored]

    def _traded(self, samples: Array, numbers: Integers) -> list[_Candidate]:
        tried = self._tried(len(numbers))
        multiplier = self._multiplier(samples[tried], numbers[tried])
        trials = self._trials(samples[tried], numbers[tried], 0, multiplier)
        found = []
        least = 8.0 * samples.nbytes
        if trials:
            _, index, quality = min(trials)
            found.append(self._by_codec(samples, numbers, index, quality, 0, multiplier))
            least = min(least, found[0].cost)
        step = self._predictive_step(numbers, multiplier, least)
        if step:
            payload = encode_best(numbers, step, self._coder, self._residual)
            if payload is not None:
                returned = reconstructed(numbers, step, self._header.limits)
                cost = 8 * len(payload) + multiplier * self._distortion(returned - numbers)
                found.append(_Candidate(PREDICTIVE, payload, returned, cost))
        return [candidate for candidate in found if candidate.cost < 8.0 * samples.nbytes]

    def _predictive_step(self, numbers: Integers, multiplier: float, least: float) -> int:
        """The step at which linear prediction may cost less than ``least``, by an estimate from differences; else 0."""
        if not multiplier:
            return 0
        best = math.sqrt(6 / (math.log(2) * multiplier)) / self._scaling.grid
        costs = []
        for step in sorted({min(MAX_STEP, max(1, round(best * factor))) for factor in _STEPS}):
            quantized = np.floor_divide(numbers + step // 2, step)
            axis = 1 if numbers.shape[1] > 1 else 0
            bits = min(estimated_bits(quantized), estimated_bits(np.diff(quantized, axis=axis, prepend=0)))
            costs.append((bits + multiplier * self._distortion(quantized * step - numbers), step))
        cost, step = min(costs)
        return step if cost < _WORTH * least else 0

    def _tried(self, samples: int) -> NDArray[np.int64]:
        """Samples that stand for the chunk: evenly spread."""
        count = min(samples, max(1, _TRIED // self._header.sample_values))
        return np.linspace(0, samples - 1, count).round().astype(np.int64)

    def _trials(self, samples: Array, numbers: Integers, step: int, multiplier: float) -> list[tuple[float, int, int]]:
        """What these samples cost by each codec and quality: (bits and error, codec, quality)."""
        found = []
        for index, runner in self._runners:
            latents = self._latents(runner, samples)
            for number, quality in enumerate(runner.codec.qualities):
                symbols = runner.symbols(latents, quality)
                predicted = self._scaling.predicted(runner.output(symbols, quality))
                cost = self._coder.bits(symbols, quality.model)
                if step:
                    cost += estimated_bits(_residual(numbers, predicted, step))
                else:
                    cost += multiplier * self._distortion(predicted - numbers)
                found.append((cost, index, number))
        return found

    def _by_codec(
        self, samples: Array, numbers: Integers, index: int, number: int, step: int, multiplier: float
    ) -> _Candidate:
        runner = self._decoder.runners[index]
        quality: Quality = runner.codec.qualities[number]
        symbols = runner.symbols(self._latents(runner, samples), quality)
        predicted = self._scaling.predicted(runner.output(symbols, quality))
        parts = [bytes([number]), format_varint(step), self._coder.encode(symbols, quality.model)]
        if step:
            left = _residual(numbers, predicted, step)
            if np.abs(left).max() >= _LIMIT:
                return _Candidate(FIRST_CODEC + index, b"", predicted, math.inf)
            parts.append(self._coder.encode(left.astype(np.int32).reshape(1, -1, 1), self._residual))
            predicted = np.clip(predicted + step * left, *self._scaling.limits)
        payload = b"".join(parts)
        cost = 8 * len(payload) + multiplier * self._distortion(predicted - numbers)
        return _Candidate(FIRST_CODEC + index, payload, predicted, cost)

    def _latents(self, runner: CodecRunner, samples: Array) -> Array:
        if runner.codec.encoder == "adjoint":
            return runner.adjoint(samples.astype(np.float64))
        latents = np.asarray(self._encode(samples), np.float64)
        expected = (len(samples), *(runner.latent_shape(self._header.shape) or ()))
        if latents.shape != expected:
            raise ManifestError(
                f"the encoder returns latents {list(latents.shape)}",
                expected=f"{list(expected)}, as the codec {runner.codec.name!r} has it",
                hint="export the model again",
            )
        return latents

    def _multiplier(self, samples: Array, numbers: Integers) -> float:
        """Bits that are worth one squared raw unit."""
        assert not isinstance(self._goal, Bounded)
        if self._goal.multiplier is not None:
            return self._goal.multiplier
        if not self._runners:
            return 0.0
        index, runner = self._runners[0]
        quality = runner.codec.qualities[self._goal.quality if index == 0 else 0]
        symbols = runner.symbols(self._latents(runner, samples), quality)
        predicted = self._scaling.predicted(runner.output(symbols, quality))
        return high_rate(max(self._distortion(predicted - numbers) / numbers.size, 1e-12))

    def _distortion(self, error: Integers) -> float:
        return float(np.square(error * self._scaling.grid).sum())

    # --- what is promised ---

    def _checked(self, samples: Array, count: int, candidate: _Candidate | None) -> Encoded:
        """The body, if what a decompressor makes of it keeps the promise; else the samples as they are."""
        wanted = counted(samples, self._header, count)
        if candidate is not None:
            numbers = counted(candidate.numbers, self._header, count).astype(np.int32)
            crc = content_crc(numbers) if self._header.checked else None
            body = Body(count, candidate.path, crc, candidate.payload)
            returned = self._returned(body, numbers)
            if not isinstance(self._goal, Bounded) or _kept(wanted, returned, self._goal.error).all():
                return Encoded(body, *_errors(wanted, returned))
        content = wanted if self._header.is_float else wanted.astype(np.int32)
        crc = content_crc(content) if self._header.checked else None
        little = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
        return Encoded(Body(count, STORED, crc, little.tobytes()), 0.0, 0.0)

    def _returned(self, body: Body, numbers: Array) -> Array:
        """What a decompressor makes of a body: where there is a promise, by decompressing it."""
        if isinstance(self._goal, Bounded):
            return self._decoder.decode(self._header, body, "a chunk just made")
        return self._values(numbers)


def _residual(numbers: Integers, predicted: Integers, step: int) -> Integers:
    """u, the multiple of the step that brings a prediction nearest to n."""
    return np.asarray(np.floor_divide(numbers - predicted + step // 2, step))


def _kept(samples: Array, returned: Array, error: float) -> NDArray[np.bool_]:
    """Which values are within the error; with 0, the same bits."""
    if error == 0:
        kind = np.dtype(f"u{samples.dtype.itemsize}")
        return np.asarray(np.ascontiguousarray(samples).view(kind) == np.ascontiguousarray(returned).view(kind))
    return np.asarray(np.abs(samples.astype(np.float64) - returned.astype(np.float64)) <= error)


def _errors(samples: Array, returned: Array) -> tuple[float, float]:
    with np.errstate(all="ignore"):
        error = np.abs(samples.astype(np.float64) - returned.astype(np.float64))
    return float(np.square(error).sum()), float(error.max(initial=0.0))
