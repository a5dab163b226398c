"""Values ↔ bytes: what the coder writes is what BITSTREAM.md, section 2, says, and anything else is refused by name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.runtime.compression.made import laplace_table, selector_tables
from tests.runtime.compression.slow_coder import decode_slowly

from aetool_runtime.compression.description import EntropyModel, EntropyTable
from aetool_runtime.compression.entropy import assignment, coding, rans, tables
from aetool_runtime.compression.entropy.coding import Coder
from aetool_runtime.compression.varints import format_varint, parse_varint
from aetool_runtime.errors import AetoolError, DamagedStreamError

CHANNELS, SETS = 3, 4
TABLES = [
    *(laplace_table(0.5 * 3**k, 4 + 20 * k) for k in range(SETS)),
    EntropyTable(-(2**31), np.array([1, 2**14 - 2, 1], np.uint16)),  # the ends of the range
    EntropyTable(2**31 - 1, np.array([2**14 - 1, 1], np.uint16)),
    *selector_tables(SETS),
]
MAP = np.array([[k, (k + 1) % SETS, k] for k in range(SETS)], np.uint16)
NO_BITS = np.zeros(SETS, np.uint8)
SELECTORS = np.arange(6, 6 + SETS).astype(np.uint16)
MODELS = {
    "one set": EntropyModel("sets", MAP[2:3], NO_BITS[:1]),
    "one set, raw bits": EntropyModel("sets", MAP[:1], np.array([5], np.uint8)),
    "sets": EntropyModel("sets", MAP, NO_BITS, SELECTORS, positions=1),
    "sets of 3 positions": EntropyModel("sets", MAP, NO_BITS, SELECTORS, positions=3),
    "more positions than there are": EntropyModel("sets", MAP, NO_BITS, SELECTORS, positions=10**12),
    "sets, raw bits": EntropyModel("sets", MAP, np.array([0, 1, 7, 24], np.uint8), SELECTORS, positions=2),
    "ends of the range": EntropyModel("sets", np.array([[4, 5, 4]], np.uint16), NO_BITS[:1]),
    "neighbors": EntropyModel("neighbors", MAP, NO_BITS, thresholds=np.array([1, 4, 4], np.uint32)),
    "neighbors, far thresholds": EntropyModel(
        "neighbors", MAP, NO_BITS, thresholds=np.array([2, 3 * 2**20, 2**32 - 1], np.uint32)
    ),
    "one neighbor": EntropyModel("neighbors", MAP[:1], NO_BITS[:1]),
}
CODER = Coder(TABLES, list(MODELS.values()))
NUMBER = {name: number for number, name in enumerate(MODELS)}
SHAPES = [(0, 3), (1, 3), (5, 3), (1, 0, 3), (2, 7, 3), (3, 2, 4, 3), (2, 2, 3, 2, 3), (1, 1, 1, 1, 1, 3)]
EXTREMES = [0, 1, -1, 63, -64, 64, 2**20, 2**31 - 1, -(2**31), -(2**31) + 1]


def values_of(shape: tuple[int, ...], scale: float = 3.0, seed: int = 0) -> NDArray[np.int32]:
    random = np.random.default_rng(seed)
    return np.rint(random.laplace(0, scale, shape)).astype(np.int32)


def both_ways(values: NDArray[np.int32], model: str) -> bytes:
    """Code, decode within other bytes, compare; the bytes."""
    data = CODER.encode(values, NUMBER[model])
    found, end = CODER.decode(memoryview(b"xy" + data + b"z"), 2, values.shape, NUMBER[model])
    assert end == len(data) + 2
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, values)
    return data


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
def test_values_come_back(model: str, shape: tuple[int, ...], scale: float) -> None:
    both_ways(values_of(shape, scale), model)


@pytest.mark.parametrize("model", MODELS)
def test_any_32_bit_integer_comes_back(model: str) -> None:
    both_ways(np.array(EXTREMES * CHANNELS, np.int32).reshape(-1, CHANNELS), model)
    both_ways(np.array(EXTREMES * CHANNELS, np.int32).reshape(2, 5, CHANNELS), model)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(list(MODELS)),
    st.sampled_from(SHAPES),
    st.lists(st.one_of(st.integers(-40, 40), st.sampled_from(EXTREMES), st.integers(-(2**31), 2**31 - 1)), max_size=99),
)
def test_any_values_come_back_and_a_slow_decoder_agrees(model: str, shape: tuple[int, ...], numbers: list[int]) -> None:
    values = np.resize(np.array([*numbers, 0], np.int64).astype(np.int32), shape)
    data = both_ways(values, model)
    assert decode_slowly(data, shape, TABLES, MODELS[model]) == (values.reshape(-1).tolist(), len(data))


@pytest.mark.parametrize("exponent", [0, 1, 3, 6, 12])
@pytest.mark.parametrize("model", ["one set", "sets of 3 positions", "sets, raw bits", "neighbors"])
@pytest.mark.parametrize("shape", [(7, 9, 3), (70, 3, 3), (1, 5, 3), (3, 3, 3, 3)])
def test_any_number_of_lanes_decodes(
    exponent: int, model: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coding, "_lanes", lambda plan: 1 << exponent)
    values = values_of(shape)
    values.reshape(-1)[::17] = 10**6
    data = both_ways(values, model)
    assert data[0] == exponent
    assert decode_slowly(data, shape, TABLES, MODELS[model]) == (values.reshape(-1).tolist(), len(data))


def test_loops_and_arrays_write_and_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "_lanes", lambda plan: 16)
    values = values_of((40, 5, 3))
    written = []
    for threshold in (1, 100):
        monkeypatch.setattr(rans, "_VECTOR_LANES", threshold)
        written += [both_ways(values, model) for model in ("sets", "neighbors", "sets, raw bits")]
    assert written[:3] == written[3:]


def test_many_tables_are_searched_instead_of_unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_MAX_DIRECT", 1)
    monkeypatch.setattr(rans, "_VECTOR_LANES", 1)
    values, coder = values_of((9, 5, 3)), Coder(TABLES, [MODELS["sets"]])
    found, _ = coder.decode(coder.encode(values, 0), 0, values.shape, 0)
    np.testing.assert_array_equal(found, values)


def test_blocks_meet_where_many_values_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (
        ("coding._BLOCK", 100),
        ("rans._BLOCK", 64),
        ("raw_bits._BLOCK", 33),
        ("set_choice._VALUES", 50),
    ):
        monkeypatch.setattr(f"aetool_runtime.compression.entropy.{name}", size)
    for model in ("sets of 3 positions", "sets, raw bits", "neighbors"):
        both_ways(values_of((11, 7, 3), 40), model)


# --- bytes ---

PLAIN = EntropyTable(-1, np.array([2048, 8192, 4096, 2048], np.uint16))


def test_nothing_is_a_state_and_two_lengths() -> None:
    assert both_ways(np.empty((0, 3), np.int32), "one set") == bytes.fromhex("00 00 00000100 00")


@pytest.mark.parametrize(
    ("values", "written"),
    [
        # x = 2^16: ⌊x / f⌋ · 2^14 + x mod f + c, with f = 8192, c = 2048
        ([0], "00 00 00080200 00"),
        # … f = 2048, c = 0
        ([-1], "00 00 00000800 00"),
        # escapes: f = 2048, c = 14336; 2 is zigzag 4, −2 is 3, −2^31 is 2^32 − 1
        ([2], "00 00 00380800 01 04"),
        ([-2], "00 00 00380800 01 03"),
        ([-(2**31)], "00 00 00380800 05 ffffffff0f"),
        # 1 first, x = 16 · 2^14 + 10240 = 272384; then 0: ⌊x / 8192⌋ = 33, 33 · 2^14 + 2048 + 2048 = 544768
        ([0, 1], "00 00 00500800 00"),
    ],
)
def test_tiny_values_are_these_bytes(values: list[int], written: str) -> None:
    coder = Coder([PLAIN], [EntropyModel("sets", np.zeros((1, 1), np.uint16), np.zeros(1, np.uint8))])
    given_values = np.array(values, np.int32).reshape(-1, 1)
    assert coder.encode(given_values, 0).hex() == bytes.fromhex(written).hex()
    assert coder.decode(bytes.fromhex(written), 0, given_values.shape, 0)[0].reshape(-1).tolist() == values


# --- refusals ---


@pytest.mark.parametrize("model", ["one set", "sets of 3 positions", "sets, raw bits", "neighbors"])
@pytest.mark.parametrize("lanes", [1, 2, 64])
def test_every_flipped_bit_is_refused_or_gives_values(model: str, lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "_lanes", lambda plan: lanes)
    values = values_of((6, 4, 3))
    values[1, 2, 1] = 12345
    data = CODER.encode(values, NUMBER[model])
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found, end = CODER.decode(bytes(damaged), 0, values.shape, NUMBER[model])
        except DamagedStreamError:
            continue
        assert found.shape == values.shape
        assert end <= len(data)


@pytest.mark.parametrize("model", ["one set", "sets of 3 positions", "sets, raw bits", "neighbors"])
@pytest.mark.parametrize("lanes", [1, 64])
def test_every_truncation_is_refused(model: str, lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "_lanes", lambda plan: lanes)
    values = values_of((6, 4, 3))
    data = CODER.encode(values, NUMBER[model])
    for length in range(len(data)):
        with pytest.raises(DamagedStreamError):
            CODER.decode(data[:length], 0, values.shape, NUMBER[model])


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(list(MODELS)), st.sampled_from(SHAPES), st.binary(max_size=200))
def test_garbage_is_refused_or_gives_values(model: str, shape: tuple[int, ...], data: bytes) -> None:
    try:
        found, end = CODER.decode(data, 0, shape, NUMBER[model])
    except DamagedStreamError:
        return
    assert found.shape == shape
    assert end <= len(data)


ONE = "00 00 00380800 01 04"  # the escape of 2, by PLAIN
REFUSED = {
    "no lanes byte": ("", "too early"),
    "too many lanes": ("0d 00 00000100 00", "number of lanes"),
    "more lanes than bytes": ("0c 00 00000100 00", "too early"),
    "more words than bytes": ("00 ffffffffffffff7f 00000100", "too early"),
    "a number with superfluous bytes": ("00 8000 00380800 01 04", "varint"),
    "a number of ten bytes": ("00 ffffffffffffffffff01 00000100", "varint"),
    "a state below 2^16": ("00 00 ffff0000 01 04", "state"),
    "another last state": ("00 00 01380800 01 04", "end as they should"),
    "words left over": ("00 01 00380800 0000 01 04", "end as they should"),
    "words missing": ("00 00 00000100 00", "more words"),
    "escapes missing": ("00 00 00380800 00", "escapes"),
    "escapes left over": ("00 00 00380800 02 04 04", "left over"),
    "an escape that does not end": ("00 00 00380800 01 84", "varint"),
    "an escape with superfluous bytes": ("00 00 00380800 02 8400", "varint"),
    "an escape of 33 bits": ("00 00 00380800 05 ffffffff1f", "varint"),
    "an escape of six bytes": ("00 00 00380800 06 ffffffffff01", "varint"),
    "escapes that end too early": ("00 00 00380800 05 04", "too early"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_reason_is_named(name: str) -> None:
    data, reason = REFUSED[name]
    coder = Coder([PLAIN], [EntropyModel("sets", np.zeros((1, 1), np.uint16), np.zeros(1, np.uint8))])
    assert coder.decode(bytes.fromhex(ONE), 0, (1, 1), 0)[0].tolist() == [[2]]
    with pytest.raises(DamagedStreamError, match=reason):
        coder.decode(bytes.fromhex(data), 0, (1, 1), 0)


def one_value(table: EntropyTable, width: int) -> Coder:
    return Coder([table], [EntropyModel("sets", np.zeros((1, 1), np.uint16), np.array([width], np.uint8))])


def test_unused_raw_bits_are_0() -> None:
    coder = one_value(PLAIN, 3)
    data = coder.encode(np.array([[5]], np.int32), 0)
    assert data[-1] == 5
    with pytest.raises(DamagedStreamError, match="unused bits"):
        coder.decode(data[:-1] + bytes([5 | 8]), 0, (1, 1), 0)


def test_raw_bits_that_end_too_early_are_refused() -> None:
    coder = one_value(PLAIN, 9)
    with pytest.raises(DamagedStreamError, match="raw bits"):
        coder.decode(coder.encode(np.array([[5]], np.int32), 0)[:-1], 0, (1, 1), 0)


def test_a_value_beyond_32_bits_is_refused() -> None:
    plain, shifted = one_value(PLAIN, 0), one_value(PLAIN, 4)
    data = plain.encode(np.array([[2**30]], np.int32), 0)  # the symbol of 2^34, were there such a value
    with pytest.raises(DamagedStreamError, match="out of range"):
        shifted.decode(data + b"\0", 0, (1, 1), 0)


@pytest.mark.parametrize("threshold", [1, 100])
def test_an_escape_as_a_set_is_refused(threshold: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rans, "_VECTOR_LANES", threshold)
    wide = EntropyTable(0, np.array([8190, 8190, 4], np.uint16))
    three = replace(wide, frequencies=np.array([8190, 8190, 2, 2], np.uint16))
    entries = np.zeros((3, 1), np.uint16)
    writer = Coder([PLAIN, three], [EntropyModel("sets", entries, np.zeros(3, np.uint8), np.ones(3, np.uint16))])
    reader = Coder([PLAIN, wide], [EntropyModel("sets", entries[:2], np.zeros(2, np.uint8), np.ones(2, np.uint16))])
    monkeypatch.setattr(assignment.SetChoice, "choose", lambda self, values: np.full(len(values), 2))
    data = writer.encode(np.zeros((4, 1), np.int32), 0)
    monkeypatch.undo()
    monkeypatch.setattr(rans, "_VECTOR_LANES", threshold)
    with pytest.raises(DamagedStreamError):
        reader.decode(data, 0, (4, 1), 0)


def test_other_shapes_are_a_mistake_of_the_caller() -> None:
    for shape in ((4,), (4, 2)):
        with pytest.raises(AetoolError, match="shape"):
            CODER.encode(np.zeros(shape, np.int32), 0)
        with pytest.raises(AetoolError, match="shape"):
            CODER.decode(b"", 0, shape, 0)


# --- size ---


@pytest.mark.parametrize("model", MODELS)
def test_bits_tells_the_size(model: str) -> None:
    values = values_of((200, 8, 3))
    assert CODER.bits(values, NUMBER[model]) / 8 == pytest.approx(
        len(CODER.encode(values, NUMBER[model])), rel=0.01, abs=8
    )


@pytest.mark.parametrize("number", [0, 1, 127, 128, 2**14 - 1, 2**14, 2**32, 2**63 - 1])
def test_varints(number: int) -> None:
    data = format_varint(number)
    assert parse_varint(memoryview(b"\xff" + data + b"\xff"), 1) == (number, 1 + len(data))


# --- the worked example ---


def test_the_worked_example_of_the_specification() -> None:
    text = (Path(__file__).parents[3] / "runtime/BITSTREAM.md").read_text()
    example = text.split("### Worked example")[1].split("\n## ")[0]
    written = "".join(re.findall(r"^    ((?:[0-9a-f]{2} )+) ", example, re.MULTILINE)).replace(" ", "")
    tables_given = [
        EntropyTable(-1, np.array([2048, 8192, 4096, 2048], np.uint16)),
        EntropyTable(-3, np.array([2000, 2048, 2048, 4096, 2048, 2048, 2000, 96], np.uint16)),
        EntropyTable(0, np.array([12288, 4095, 1], np.uint16)),
        EntropyTable(0, np.array([4095, 12288, 1], np.uint16)),
    ]
    model = EntropyModel(
        "sets", np.array([[0, 0], [1, 0]], np.uint16), np.array([0, 2], np.uint8), np.array([2, 3], np.uint16)
    )
    values = np.array([[0, 1], [9, -3], [0, 0], [0, 700]], np.int32)
    coder = Coder(tables_given, [model])
    assert coder.encode(values, 0).hex() == written
    assert decode_slowly(bytes.fromhex(written), values.shape, tables_given, model)[0] == values.reshape(-1).tolist()
