"""The predictive path: prediction and its opposite, every form of it, and what it costs beside other compressors."""

from __future__ import annotations

import importlib
import importlib.util
import lzma
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.runtime.compression.made import bare
from tests.runtime.compression.streams import SIGNALS

from aetool_exporters.compression.fitting_residual import fit_residual_model
from aetool_runtime.compression.entropy.coding import Coder
from aetool_runtime.compression.fields import Cursor
from aetool_runtime.compression.prediction import predictive
from aetool_runtime.compression.prediction.forms import encode_best, reconstructed
from aetool_runtime.compression.prediction.predictors import LIMIT, Predictor, residuals, restore
from aetool_runtime.errors import DamagedStreamError

TABLES, MODEL = fit_residual_model()
MADE = replace(bare(), tables=tuple(TABLES), models=(MODEL,), residual=0)
CODER = Coder(MADE.tables, MADE.models)
NONE = np.empty(0, np.int64)
FORM = predictive.Form(1, 1, 4, (Predictor((2, -1)),), NONE)

predictors = st.builds(
    Predictor, st.lists(st.integers(-(2**15), 2**15 - 1), max_size=32).map(tuple), st.integers(0, 15)
)


def decode(payload: bytes, samples: int, shape: tuple[int, ...]) -> np.ndarray:
    return predictive.decode(Cursor(payload, "payload"), samples, shape, CODER, MADE.residual)


# --- prediction ---


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.int64, st.tuples(st.integers(1, 3), st.integers(1, 90)), elements=st.integers(-999, 999)),
    st.data(),
    st.sampled_from([16, 32, 64]),
)
def test_restoring_is_the_opposite_of_predicting(values: np.ndarray, data: st.DataObject, block: int) -> None:
    count = len(values) if data.draw(st.booleans()) else 1
    chosen = data.draw(st.lists(predictors, min_size=count, max_size=count))
    left = residuals(values, chosen, block)
    restored = restore(left, chosen, block)
    assert restored is not None
    assert np.array_equal(restored, values)


def naive(values: list[int], predictor: Predictor, block: int) -> list[int]:
    """The text of BITSTREAM.md, section 7, word for word."""
    found = []
    for at, value in enumerate(values):
        t = at % block
        if t == 0:
            prediction = values[at - block] if at else 0
        elif t < predictor.order:
            prediction = values[at - 1]
        else:
            total = sum(c * values[at - k] for k, c in enumerate(predictor.coefficients, 1))
            prediction = (total + (1 << predictor.shift >> 1)) >> predictor.shift
        found.append(value - prediction)
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-LIMIT + 1, LIMIT - 1), min_size=1, max_size=70), predictors)
def test_prediction_is_what_the_specification_says(values: list[int], predictor: Predictor) -> None:
    assert residuals(np.array([values]), [predictor], 16)[0].tolist() == naive(values, predictor, 16)


def test_values_that_leave_32_bits_are_found() -> None:
    assert restore(np.full((1, 40), 2**31 - 1), [Predictor((1,))], 64) is None
    assert restore(np.full((1, 2000), 2**30), [Predictor((32767,) * 32)], 4096) is None


# --- forms ---

FORMS = {
    "second differences": FORM,
    "no prediction": replace(FORM, predictors=(Predictor(),)),
    "one for each series": replace(FORM, predictors=(Predictor((1,)), Predictor((16384, 9000), 14))),
    "all dimensions are time": replace(FORM, time=2),
    "a palette": replace(FORM, palette=np.array([-7, 0, 1, 5000])),
    "a lag": replace(FORM, lag=5),
    "a lag longer than half": replace(FORM, lag=23),
    "a step": replace(FORM, step=9),
    "all of it": replace(FORM, palette=np.array([-7, 0, 1, 5000]), lag=3, step=2),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read_again(name: str) -> None:
    form = FORMS[name]
    values = np.random.default_rng(0).integers(0, 4, (3, 8, 2))
    payload = predictive.encode(values, form, CODER, MADE.residual)
    assert payload is not None
    meant = form.palette[values] if len(form.palette) else values
    assert np.array_equal(decode(payload, 3, (8, 2)), form.step * meant)


def test_a_table_of_its_own_pays_where_values_are_of_no_common_kind() -> None:
    values = np.random.default_rng(0).choice([-50, 50], (400, 8, 2))
    payload = predictive.encode(values, replace(FORM, predictors=(Predictor(),), block=12), CODER, MADE.residual)
    assert payload is not None
    assert payload[1] == 4  # extras: a table
    assert len(payload) < 6400 / 8 * 1.3  # values have one bit each
    assert np.array_equal(decode(payload, 400, (8, 2)), values)


DAMAGE = {
    "a step of 0": (0, 0),
    "an unknown extra": (1, 8),
    "no dimension is time": (2, 0),
    "more dimensions than there are": (2, 3),
    "blocks of 2^3": (3, 3),
    "blocks of 2^17": (3, 17),
    "two kinds of predictors": (4, 2),
    "an order of 33": (5, 33),
    "a shift of 16": (6, 16),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_refusals(name: str) -> None:
    payload = bytearray(predictive.encode(np.zeros((3, 8, 2), np.int64), FORM, CODER, MADE.residual) or b"")
    place, value = DAMAGE[name]
    payload[place] = value
    with pytest.raises(DamagedStreamError):
        decode(bytes(payload), 3, (8, 2))


def test_bytes_left_over_are_refused() -> None:
    payload = predictive.encode(np.zeros((3, 8, 2), np.int64), FORM, CODER, MADE.residual) or b""
    with pytest.raises(DamagedStreamError, match="left over"):
        decode(payload + b"\0", 3, (8, 2))


def test_a_number_that_the_palette_has_not_is_refused() -> None:
    form = replace(FORM, palette=np.array([3, 4]))
    payload = predictive.encode(np.full((3, 8, 2), 2), form, CODER, MADE.residual) or b""
    with pytest.raises(DamagedStreamError, match="palette"):
        decode(payload, 3, (8, 2))


@pytest.mark.parametrize("values", [[2**31 - 1, -(2**31)] * 8, [-(2**31)] * 16])
def test_what_32_bits_cannot_hold_is_left_to_the_stored_path(values: list[int]) -> None:
    assert encode_best(np.array(values).reshape(1, 8, 2), 1, CODER, MADE.residual) is None


# --- choices ---


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(
        np.int16,
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)),
        elements=st.integers(-32768, 32767),
    ),
    st.sampled_from([1, 3, 5, 501]),
)
def test_the_choice_always_decodes_to_what_was_promised(values: np.ndarray, step: int) -> None:
    limits = (-32768, 32767)
    numbers = values.astype(np.int64)
    payload = encode_best(numbers, step, CODER, MADE.residual)
    assert payload is not None
    found = np.clip(decode(payload, len(values), values.shape[1:]), *limits)
    assert np.array_equal(found, reconstructed(numbers, step, limits))
    assert np.abs(found - numbers).max() <= step // 2


def zstd_bytes(raw: bytes) -> int:
    """At level 19; where the package is not here, no less than the others."""
    if importlib.util.find_spec("zstandard") is None:
        return len(raw)
    return len(importlib.import_module("zstandard").ZstdCompressor(level=19).compress(raw))


@pytest.mark.parametrize("name", SIGNALS)
def test_signals_never_cost_more_than_elsewhere(name: str) -> None:
    """zlib, xz and zstd at their best; the few bytes are what a chunk says of itself."""
    signal = SIGNALS[name]
    raw = signal.astype("<i2").tobytes()
    peers = min(len(zlib.compress(raw, 9)), len(lzma.compress(raw, preset=9)), len(raw), zstd_bytes(raw))
    values = signal.reshape(-1, 8, 1).astype(np.int64)
    payload = encode_best(values, 1, CODER, MADE.residual)
    assert payload is not None
    assert np.array_equal(decode(payload, len(values), (8, 1)), values)
    assert min(len(payload), len(raw)) <= peers * 1.01 + 64, f"{len(payload)} of {peers}"


def test_all_multiples_are_coded_as_what_they_are_multiples_of() -> None:
    values = SIGNALS["twelve bits, shifted left"].reshape(-1, 8, 1).astype(np.int64)
    shifted = encode_best(values, 1, CODER, MADE.residual)
    plain = encode_best(values // 16, 1, CODER, MADE.residual)
    assert shifted is not None
    assert plain is not None
    assert shifted[0] == 16
    assert shifted[1:] == plain[1:]


def test_a_palette_that_leaves_32_bits_is_refused() -> None:
    form = replace(FORM, palette=np.array([0, 2**31 - 1]))
    payload = bytearray(predictive.encode(np.zeros((3, 8, 2), np.int64), form, CODER, MADE.residual) or b"")
    at = payload.index(b"\xff\xff\xff\xff\x07")  # 2^31 − 1 as the difference to 0
    payload[at : at + 5] = struct.pack("5B", 0x80, 0x80, 0x80, 0x80, 0x08)  # 2^31
    with pytest.raises(DamagedStreamError, match="32 bits"):
        decode(bytes(payload), 3, (8, 2))
