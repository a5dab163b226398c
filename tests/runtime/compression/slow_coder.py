"""Coded values read as BITSTREAM.md, section 2, says it: one at a time, Python's integers, no array. For tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import ceil, prod

from aetool_runtime.compression.description import EntropyModel, EntropyTable

__all__ = ["decode_slowly"]


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, size: int) -> int:
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "little")

    def varint(self) -> int:
        number = shift = 0
        while True:
            byte = self.number(1)
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    def escapes(self) -> list[int]:
        found, end = [], self.varint()
        end += self.at
        while self.at < end:
            code = self.varint()
            found.append(code // 2 if code % 2 == 0 else -(code + 1) // 2)
        return found


class _Lanes:
    def __init__(self, stream: _Bytes) -> None:
        self.count = 2 ** stream.number(1)
        words = stream.varint()
        self.states = [stream.number(4) for _ in range(self.count)]
        self.words = [stream.number(2) for _ in range(words)]
        self.word = 0

    def entry(self, lane: int, table: EntropyTable) -> int:
        x, r, c, i = self.states[lane], self.states[lane] % 2**14, 0, 0
        while not c <= r < c + int(table.frequencies[i]):
            c += int(table.frequencies[i])
            i += 1
        x = int(table.frequencies[i]) * (x // 2**14) + r - c
        if x < 2**16:
            x = x * 2**16 + self.words[self.word]
            self.word += 1
        self.states[lane] = x
        return i

    def phase(self, count: int, size: int, element: Callable[[int, int], None]) -> None:
        """Call element(lane, number) in the order of decoding; units of ``size`` are dealt whole."""
        m = ceil(count // size / self.count) * size if count else 0
        for t in range(m):
            for lane in range(self.count):
                if lane * m + t < min(count, (lane + 1) * m):
                    element(lane, lane * m + t)


def decode_slowly(
    data: bytes, shape: Sequence[int], tables: Sequence[EntropyTable], model: EntropyModel
) -> tuple[list[int], int]:
    """The values in C order, and where they end."""
    stream = _Bytes(data)
    lanes = _Lanes(stream)
    escapes = stream.escapes()
    samples, positions, channels = shape[0], list(shape[1:-1]), shape[-1]
    in_sample, shared = prod(positions), model.positions
    groups = ceil(in_sample / shared)
    sets = [0] * (samples * groups)
    before = [0] * lanes.count

    def read_set(lane: int, number: int) -> None:
        before[lane] = sets[number] = lanes.entry(lane, tables[model.selectors[before[lane]]])
        assert sets[number] < model.sets

    if model.kind == "sets" and model.sets > 1:
        lanes.phase(len(sets), 1, read_set)
    places = [(s, *p, c) for s, *p, c in product(range(samples), *map(range, positions), range(channels))]
    number_of = {place: number for number, place in enumerate(places)}
    symbols, chosen = [0] * len(places), [0] * len(places)

    def beside(place: tuple[int, ...], dimension: int) -> int:
        if dimension < 1 or place[dimension] == 0:
            return 0
        there = (*place[:dimension], place[dimension] - 1, *place[dimension + 1 :])
        return min(abs(symbols[number_of[there]]), 2**20)

    def set_of(number: int) -> int:
        place = places[number]
        if model.kind == "sets":
            position = number // channels % max(in_sample, 1)
            return sets[place[0] * groups + position // shared]
        a = 2 * beside(place, len(positions)) + beside(place, len(positions) - 1)
        return sum(1 for threshold in model.thresholds if threshold <= a)

    def read_value(lane: int, number: int) -> None:
        chosen[number] = set_of(number)
        table = tables[model.map[chosen[number], places[number][-1]]]
        entry = lanes.entry(lane, table)
        is_escape = entry == len(table.frequencies) - 1
        symbols[number] = escapes.pop(0) if is_escape else table.low + entry

    lanes.phase(len(places), in_sample * channels if model.kind == "neighbors" else 1, read_value)
    assert (lanes.states, lanes.word, escapes) == ([2**16] * lanes.count, len(lanes.words), [])
    return _with_raw_bits(symbols, [int(model.raw_bits[number]) for number in chosen], stream)


def _with_raw_bits(symbols: list[int], widths: list[int], stream: _Bytes) -> tuple[list[int], int]:
    raw, values = stream.number(ceil(sum(widths) / 8)), []
    for symbol, width in zip(symbols, widths, strict=True):
        values.append(symbol * 2**width + raw % 2**width)
        raw //= 2**width
    return values, stream.at
