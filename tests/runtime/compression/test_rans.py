"""rANS over lanes: how elements are dealt, and how few bytes they take, with another's coder as the judge."""

from __future__ import annotations

import constriction
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.runtime.compression.made import laplace_table, residual_model, selector_tables

from aetool_runtime.compression.description import EntropyModel, EntropyTable
from aetool_runtime.compression.entropy.coding import Coder
from aetool_runtime.compression.entropy.rans import Dealing, encode_lanes, open_lanes
from aetool_runtime.compression.entropy.tables import TableSet


@pytest.mark.parametrize(
    ("units", "lanes", "size", "runs"),
    [
        (10, 4, 1, [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]),
        (5, 4, 1, [[0, 1], [2, 3], [4]]),  # the last lane has none
        (2, 4, 1, [[0], [1]]),
        (3, 2, 2, [[0, 1, 2, 3], [4, 5]]),
        (0, 4, 1, []),
        (4, 2, 0, []),
    ],
)
def test_elements_are_dealt_in_runs(units: int, lanes: int, size: int, runs: list[list[int]]) -> None:
    dealing = Dealing.to_lanes(units, lanes, size)
    flat = np.arange(units * size)
    grid = dealing.by_lanes(flat)
    assert [row[: dealing.count - i * dealing.run].tolist() for i, row in enumerate(grid)] == runs
    met = [grid[some, steps].T.reshape(-1) for some, steps in dealing.blocks()]
    longest = max(map(len, runs), default=0)
    order = [run[step] for step in range(longest) for run in runs if step < len(run)]
    assert np.concatenate([*met, flat[:0]]).tolist() == order
    assert dealing.order(flat).tolist() == order


@given(st.integers(0, 12), st.lists(st.integers(2, 40), min_size=1, max_size=4), st.integers(0, 3000), st.randoms())
def test_entries_come_back_through_any_lanes(exponent: int, sizes: list[int], count: int, random: object) -> None:
    tables = TableSet([laplace_table(1.0 + k, size) for k, size in enumerate(sizes)])
    generator = np.random.default_rng(count)
    entries = generator.integers(0, len(tables.frequency), count).astype(np.int32)
    dealing = Dealing.to_lanes(count, 1 << exponent)
    states, words = encode_lanes(tables, [(dealing, entries)], 1 << exponent)
    reader = open_lanes(tables, states.astype(np.int64), words.astype(np.int64))
    grid, found = dealing.by_lanes(tables.table[entries]), dealing.empty(np.int32)
    for some, steps in dealing.blocks():
        found[some, steps] = reader.read(grid[some, steps].T).T
    reader.finish()
    np.testing.assert_array_equal(found.reshape(-1)[:count], entries)


# --- size ---


def bytes_of_another(tables: list[EntropyTable], chosen: NDArray[np.int64], values: NDArray[np.int32]) -> int:
    """What constriction's rANS makes of the same values by the same tables, without lanes, lengths and escapes."""
    coder = constriction.stream.stack.AnsCoder()
    for number in np.unique(chosen):
        table = tables[number]
        probabilities = table.frequencies / 2**14
        some = np.clip(values[chosen == number] - table.low, 0, len(probabilities) - 1)
        coder.encode_reverse(some.astype(np.int32), constriction.stream.model.Categorical(probabilities, perfect=False))
    return 4 * len(coder.get_compressed())


@pytest.mark.parametrize("count", [60_000, 1_000_000])
@pytest.mark.parametrize("scale", [0.7, 5.0, 60.0])
def test_above_10_kb_the_size_is_within_1_percent_of_another_coder(count: int, scale: float) -> None:
    tables = [laplace_table(scale * factor, 4 + int(24 * scale)) for factor in (1.0, 1.5)]
    random = np.random.default_rng(7)
    values = np.rint(random.laplace(0, scale * np.tile([1.0, 1.5], count // 2))).astype(np.int32)
    inside = np.clip(values, -int(11 * scale), int(11 * scale)).astype(np.int32)
    model = EntropyModel("sets", np.array([[0, 1]], np.uint16), np.zeros(1, np.uint8))
    coded = len(Coder(tables, [model]).encode(inside.reshape(-1, 2), 0))
    reference = bytes_of_another(tables, np.tile([0, 1], count // 2), inside)
    assert coded > 10_000
    assert reference * 0.99 <= coded <= reference * 1.01


def test_sets_and_escapes_cost_what_their_tables_say() -> None:
    sets, channels = 4, 16
    tables = [*(laplace_table(0.4 * 2**k, 6 + 8 * 2**k) for k in range(sets)), *selector_tables(sets)]
    random = np.random.default_rng(3)
    scale = 0.4 * 2.0 ** np.repeat(random.integers(0, sets, 400), 10)
    values = np.rint(random.laplace(0, scale[:, None], (4000, channels))).astype(np.int32)
    spread = np.repeat(np.arange(sets, dtype=np.uint16)[:, None], channels, axis=1)
    several = EntropyModel("sets", spread, np.zeros(sets, np.uint8), np.arange(sets, 2 * sets).astype(np.uint16))
    single = [EntropyModel("sets", spread[k : k + 1], np.zeros(1, np.uint8)) for k in range(sets)]
    coder = Coder(tables, [several, *single])
    coded = len(coder.encode(values, 0))
    assert coded <= coder.bits(values, 0) / 8 * 1.002
    assert coded < 0.95 * min(len(coder.encode(values, k + 1)) for k in range(sets))


def test_silence_costs_next_to_nothing() -> None:
    tables = [EntropyTable(0, np.array([2**14 - 1, 1], np.uint16))]
    model = residual_model(tables)
    model = EntropyModel(
        "sets",
        np.array([[0], *model.map], np.uint16),
        np.append(np.uint8(0), model.raw_bits),
        np.arange(len(tables), len(tables) + model.sets + 1).astype(np.uint16),
        positions=32,
    )
    tables += selector_tables(model.sets, stay=0.995)
    coder, silence = Coder(tables, [model]), np.zeros((1, 1_000_000, 1), np.int32)
    data = coder.encode(silence, 0)
    assert len(data) < 100
    np.testing.assert_array_equal(coder.decode(data, 0, silence.shape, 0)[0], silence)
