"""Values ↔ bytes by an entropy model (BITSTREAM.md, section 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.description import MAX_LANES, EntropyModel, EntropyTable
from aetool_runtime.compression.entropy.assignment import Assignment, Layout
from aetool_runtime.compression.entropy.rans import Dealing, encode_lanes, open_lanes
from aetool_runtime.compression.entropy.raw_bits import pack_bits, unpack_bits
from aetool_runtime.compression.entropy.value_decoding import Escapes, decode_by_neighbors, decode_by_sets, decode_sets
from aetool_runtime.compression.varints import format_varint, format_zigzag, parse_varint, parse_zigzag
from aetool_runtime.errors import AetoolError, DamagedStreamError

__all__ = ["Coder"]

_LIMIT = 1 << 31
_LANE_COST = 0.007  # of the payload, at most, for the lanes' states
_ENOUGH_LANES, _MORE_LANES_COST = 256, 0.002  # what NumPy needs to be fast; more may cost less
_LANE_VALUES = 256  # at least, in each lane
_BLOCK = 1 << 18  # values that are looked up together


class Coder:
    """Codes arrays of integers by the models of a bundle. Immutable: threads may share it.

    Args:
        tables, models: as ``reading.py`` checked them.
    """

    def __init__(self, tables: Sequence[EntropyTable], models: Sequence[EntropyModel]) -> None:
        self._assignments = [Assignment(tables, model) for model in models]

    def encode(self, values: NDArray[np.int32], model: int) -> bytes:
        """The bytes of values [samples, positions …, channels], any 32-bit integers; the same ones every time."""
        return _encode(_plan(self._assignments[model], values))

    def bits(self, values: NDArray[np.int32], model: int) -> float:
        """What ``encode`` would take, within a few bytes, without coding."""
        plan = _plan(self._assignments[model], values)
        return 8.0 * (3 + 4 * _lanes(plan)) + _payload(plan)

    def decode(
        self, data: memoryview | bytes, start: int, shape: tuple[int, ...], model: int
    ) -> tuple[NDArray[np.int32], int]:
        """The values of the given shape whose bytes begin at ``start``, and where they end.

        Memory and time are bounded by the shape and the length of the data, whatever these say.

        Raises:
            DamagedStreamError: no encoder wrote these bytes, or they end too early.
        """
        assignment = self._assignments[model]
        _check_shape(shape, assignment)
        return _decode(memoryview(data).cast("B"), start, shape, assignment)


def _check_shape(shape: tuple[int, ...], assignment: Assignment) -> None:
    if len(shape) < 2 or shape[-1] != assignment.model.channels:
        raise AetoolError(
            f"values of the shape {list(shape)} for an entropy model",
            expected=f"[samples, positions …, {assignment.model.channels}]",
        )


# --- encoding ---


@dataclass(frozen=True)
class _Plan:
    """What is to be coded: the set of each group; the symbol of each value, and the entry that codes it."""

    assignment: Assignment
    layout: Layout
    sets: NDArray[np.int64]
    symbols: NDArray[np.int32]
    entries: NDArray[np.int32]
    raw: bytes


def _plan(assignment: Assignment, values: NDArray[np.int32]) -> _Plan:
    _check_shape(values.shape, assignment)
    values = np.ascontiguousarray(values, np.int32)
    layout, symbols, raw = Layout(values.shape), values.reshape(-1), b""
    if assignment.model.kind == "neighbors":
        sets, tables = np.empty(0, np.int64), assignment.tables_by_neighbors(values)
    else:
        sets = assignment.choose_sets(values, layout)
        tables = assignment.tables_by_sets(sets, layout)
    if assignment.has_raw_bits:
        widths = assignment.widths(sets, layout)
        raw = pack_bits(symbols, widths)
        symbols = symbols >> widths
    return _Plan(assignment, layout, sets, symbols, _entries(assignment, tables, symbols), raw)


def _entries(assignment: Assignment, tables: NDArray[np.uint16], symbols: NDArray[np.int32]) -> NDArray[np.int32]:
    entries = np.empty(len(symbols), np.int32)
    for first in range(0, len(symbols), _BLOCK):
        some = slice(first, first + _BLOCK)
        entries[some] = assignment.tables.entries_of(tables[some].astype(np.int64), symbols[some].astype(np.int64))
    return entries


def _phases(plan: _Plan, lanes: int) -> list[tuple[Dealing, NDArray[np.int32]]]:
    values = (plan.assignment.deal(plan.layout, lanes), plan.entries)
    if not plan.assignment.coded_sets:
        return [values]
    dealing = Dealing.to_lanes(len(plan.sets), lanes)
    return [(dealing, plan.assignment.set_entries(plan.sets, dealing)), values]


def _payload(plan: _Plan) -> float:
    """Bits of all but the lanes and the lengths."""
    tables = plan.assignment.tables
    phases = _phases(plan, 1)
    counts = np.zeros(len(tables.bits), np.int64)
    for _, entries in phases:
        counts += np.bincount(entries, minlength=len(counts))
    escapes = _escapes(plan, phases[-1][0]) if counts[tables.escape].any() else b""
    return float(counts @ tables.bits) + 8 * (len(escapes) + len(plan.raw))


def _escapes(plan: _Plan, dealing: Dealing) -> bytes:
    """In the order of decoding."""
    places = np.flatnonzero(plan.assignment.tables.escape.take(plan.entries))
    return format_zigzag(plan.symbols[dealing.order(places)].astype(np.int64))


def _lanes(plan: _Plan) -> int:
    """As many as cost little beside what they code, and have many values each."""
    affordable = _payload(plan) / 8 / 4  # a lane costs 4 bytes
    most = max(min(affordable * _LANE_COST, _ENOUGH_LANES), affordable * _MORE_LANES_COST)
    most = min(most, len(plan.symbols) / _LANE_VALUES)
    if plan.assignment.model.kind == "neighbors":
        most = min(most, plan.layout.samples)
    return 1 << min(math.floor(math.log2(max(most, 1))), MAX_LANES)


def _encode(plan: _Plan) -> bytes:
    lanes = _lanes(plan)
    phases = _phases(plan, lanes)
    states, words = encode_lanes(plan.assignment.tables, phases, lanes)
    escapes = _escapes(plan, phases[-1][0])
    parts = (
        bytes([lanes.bit_length() - 1]),
        format_varint(len(words)),
        states.astype("<u4").tobytes(),
        words.astype("<u2").tobytes(),
        format_varint(len(escapes)),
        escapes,
        plan.raw,
    )
    return b"".join(parts)


# --- decoding ---


def _decode(
    data: memoryview, start: int, shape: tuple[int, ...], assignment: Assignment
) -> tuple[NDArray[np.int32], int]:
    (exponent,), at = _array(data, start, 1, "<u1")
    if exponent > MAX_LANES:
        raise DamagedStreamError(f"{exponent} as the number of lanes", expected=f"0 to {MAX_LANES}")
    count, at = parse_varint(data, at)
    states, at = _array(data, at, 1 << int(exponent), "<u4")
    words, at = _array(data, at, count, "<u2")
    length, at = parse_varint(data, at)
    escaped, at = _array(data, at, length, "<u1")
    escapes = Escapes(parse_zigzag(escaped))
    reader = open_lanes(assignment.tables, states, words)
    layout, lanes = Layout(shape), len(states)
    sets = decode_sets(reader, assignment, layout, lanes)
    dealing = assignment.deal(layout, lanes)
    if assignment.model.kind == "neighbors":
        symbols = decode_by_neighbors(reader, escapes, assignment, layout, dealing)
    else:
        symbols = decode_by_sets(reader, escapes, assignment, assignment.tables_by_sets(sets, layout), dealing)
    reader.finish()
    escapes.finish()
    if assignment.has_raw_bits:
        widths = assignment.widths(sets, layout)
        low, at = unpack_bits(data, at, widths)
        symbols = _join(symbols, low, widths)
    return symbols.reshape(shape), at


def _array(data: memoryview, at: int, count: int, dtype: str) -> tuple[NDArray[np.int64], int]:
    """``count`` numbers, and where they end; looks at what is there before it allocates."""
    end = at + count * np.dtype(dtype).itemsize
    if end > len(data):
        raise DamagedStreamError("the coded values end too early", where=f"byte {at}", expected=f"{end - at} bytes")
    return np.frombuffer(data[at:end], dtype).astype(np.int64), end


def _join(symbols: NDArray[np.int32], low: NDArray[np.int32], widths: NDArray[np.uint8]) -> NDArray[np.int32]:
    """⌊v / 2^b⌋ and the b bits below → v."""
    for first in range(0, len(symbols), _BLOCK):
        some = slice(first, first + _BLOCK)
        values = (symbols[some].astype(np.int64) << widths[some]) + low[some]
        if values.min() < -_LIMIT or values.max() >= _LIMIT:
            raise DamagedStreamError("a value is out of range", expected="-2^31 to 2^31 - 1")
        symbols[some] = values
    return symbols
