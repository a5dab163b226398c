"""A network's decoder in integers: which weights take 8 bits, which 16, is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aetool_exporters.compression.computing import compute, extents
from aetool_exporters.compression.emitting import emit
from aetool_exporters.compression.nodes import Floats, InexpressibleError, Linear, Program
from aetool_exporters.compression.precisions import MARGIN, Precision, bits_of, precisions
from aetool_runtime.compression.decoder import IntegerDecoder, check_steps
from aetool_runtime.compression.decoder.checking import INPUT_RANGE
from aetool_runtime.compression.description import Codec, Step
from aetool_runtime.errors import ManifestError

__all__ = ["IntegerNetwork", "integer_network", "to_integers"]

_SMALLEST_UNIT = 2.0**-12  # of a channel, in the largest channel's: weights would have to make up for less
_SUBSET = 64


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """A decoder as steps.

    Args:
        unit: [C]: the real latent that 1 of its input stands for.
        steps: see BITSTREAM.md.
        dtypes: the type of the weights of each linear node of the program.
        error: root mean square of what integers change, raw units, over the calibration samples.
    """

    unit: Floats
    steps: tuple[Step, ...]
    dtypes: Mapping[int, str]
    error: float


def integer_network(program: Program, latents: Floats, output: Precision, allowed: float) -> IntegerNetwork:
    """The smallest integers that keep the error below what is allowed, or the finest where none do.

    Each layer's weights are tried with 8 bits while all others have 16; those that cost least for what they save are
    taken first. Errors of layers add up like independent noise, nearly: the choice is measured once more as a whole.

    Args:
        latents: [n, …], what the decoder will be given, for the ranges.
        output: of the decoder's output.
        allowed: root mean square error, raw units.

    Raises:
        InexpressibleError: the steps break BITSTREAM.md, which a decoder may with thousands of channels.
    """
    trial = _Trial(program, latents, output)
    layers = [number for number, node in enumerate(program.nodes) if isinstance(node, Linear)]
    finest = dict.fromkeys(layers, "int16")
    base = trial.network(finest)
    costs = {number: trial.network(finest | {number: "int8"}).error ** 2 - base.error**2 for number in layers}
    small = _affordable(program, costs, allowed**2 - base.error**2)
    while small:
        found = trial.network(finest | dict.fromkeys(small, "int8"))
        if found.error <= allowed:
            return found
        small.remove(max(small, key=costs.__getitem__))
    return base


def to_integers(latents: Floats, unit: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Real latents as inputs of a decoder, as finely as its unit is."""
    return np.clip(np.rint(latents / unit), *INPUT_RANGE).astype(np.int32)


def _affordable(program: Program, costs: Mapping[int, float], room: float) -> list[int]:
    """The nodes whose weights can be halved, those first that cost least for each byte saved."""
    found, left = [], room
    for number in sorted(costs, key=lambda n: (max(0.0, costs[n]) / _weights(program, n), n)):
        if costs[number] <= left:
            found.append(number)
            left -= max(0.0, costs[number])
    return found


def _weights(program: Program, number: int) -> int:
    node = program.nodes[number]
    assert isinstance(node, Linear)
    return max(1, node.weights.size)


class _Trial:
    """Makes integer decoders of a program, and measures what they lose."""

    def __init__(self, program: Program, latents: Floats, output: Precision) -> None:
        self._program, self._output = program, output
        self._extents = extents(program, latents)
        self._largest = np.abs(latents.reshape(-1, latents.shape[-1])).max(axis=0)
        self._latents = latents[:: max(1, len(latents) // _SUBSET)]
        self._expected = compute(program, self._latents)

    def network(self, dtypes: Mapping[int, str]) -> IntegerNetwork:
        bits = bits_of(self._program, dtypes)
        unit, narrowed = self._input(bits[0])
        wanted = precisions(self._program, self._extents, bits, self._output)
        wanted[0] = Precision(float(unit[0]), (-narrowed, min(narrowed, INPUT_RANGE[1])))
        steps = emit(self._program, unit, narrowed, wanted, dtypes)
        return IntegerNetwork(unit, steps, dtypes, self._error(unit, steps))

    def _input(self, bits: int) -> tuple[Floats, int]:
        """What 1 of each channel stands for, and the largest input: each its own where only weights read it."""
        limit = 2**bits - 1
        largest = np.where(self._largest > 0, self._largest, self._largest.max() or 1.0)
        if not all(isinstance(self._program.nodes[number], Linear) for number in self._program.readers(0)):
            largest = np.full(largest.shape, largest.max())
        unit = np.maximum(largest, largest.max() * _SMALLEST_UNIT) * MARGIN / limit
        return unit, -INPUT_RANGE[0] if limit == INPUT_RANGE[1] else limit

    def _error(self, unit: Floats, steps: tuple[Step, ...]) -> float:
        shape = self._latents.shape[1:]
        codec = Codec("network", "artifact", shape, (), unit, np.zeros(shape[-1], np.int32), (), steps)
        try:
            check_steps(codec, self._expected.shape[1:], "the decoder")
        except ManifestError as error:
            raise InexpressibleError(str(error).partition("\n")[0]) from error
        met = IntegerDecoder(codec).run(to_integers(self._latents, unit)) * self._output.unit
        return float(np.sqrt(np.mean((met - self._expected) ** 2)))
