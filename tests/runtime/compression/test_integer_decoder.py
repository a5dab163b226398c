"""The integer decoder returns what BITSTREAM.md, section 4, says: value by value, at the ends of every range."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.compression.random_steps import KINDS, codec_of, random_codec, random_input
from tests.runtime.compression.slow_decoder import decode_slowly

from aetool_runtime.compression.decoder import IntegerDecoder, check_steps, convolution, running
from aetool_runtime.compression.decoder.shapes import fixed_shape, shape_after
from aetool_runtime.compression.description import Codec, Convolution, Dense, Rescaling, Upsample
from aetool_runtime.errors import InputError

FULL_RANGE = (-(2**31) + 1, 2**31 - 1)


def output_shape(codec: Codec) -> tuple[int, ...]:
    shapes = [fixed_shape([size or 1 for size in codec.latent_shape])]
    for step in codec.steps:
        shapes.append(shape_after(step, [shapes[i] for i in step.inputs]))
    return tuple(size.offset for size in shapes[-1])


def rescaling(channels: int, multiplier: int = 1, shift: int = 0) -> Rescaling:
    return Rescaling(np.full(channels, multiplier, np.int32), np.full(channels, shift, np.uint8))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), samples=st.integers(1, 3))
def test_every_step_returns_what_the_specification_says(kind: str, seed: int, samples: int) -> None:
    codec = random_codec(seed, kind)
    check_steps(codec, output_shape(codec), "test")
    values = random_input(seed, codec, samples)
    met = IntegerDecoder(codec).run(values)
    assert met.dtype == np.int32
    np.testing.assert_array_equal(met, decode_slowly(codec, values))


@pytest.mark.parametrize("kind", ["conv", "conv_transposed"])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("room", [1, 40, 400])
def test_pieces_change_nothing(kind: str, seed: int, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = random_codec(seed, kind)
    values = random_input(seed, codec, 5)
    whole = IntegerDecoder(codec).run(values)
    monkeypatch.setattr(convolution, "_WORKSPACE", room)
    monkeypatch.setattr(running, "_PIECE", room)
    np.testing.assert_array_equal(IntegerDecoder(codec).run(values), whole)


def test_sums_up_to_the_limit_are_exact() -> None:
    """±(2 · 32768 · 32767 + bias) = ±(2³¹ − 1), which single precision does not hold."""
    weights = np.array([[-32767, 32767], [-32767, 32767]], np.int16)
    left = 2**31 - 1 - 2 * 32768 * 32767
    codec = codec_of((2,), Dense((0,), FULL_RANGE, weights, np.array([left, -left], np.int32), rescaling(2)))
    check_steps(codec, (2,), "test")
    assert IntegerDecoder(codec).run(np.full((1, 2), -32768, np.int32)).tolist() == [[2**31 - 1, -(2**31) + 1]]


@pytest.mark.parametrize(
    ("value", "shift", "expected"),
    [(3, 1, 2), (-3, 1, -1), (1, 1, 1), (-1, 1, 0), (5, 2, 1), (6, 2, 2), (-6, 2, -1), (-7, 2, -2), (32767, 40, 0)],
)
def test_shifts_round_halves_up(value: int, shift: int, expected: int) -> None:
    step = Dense((0,), (-100, 100), np.ones((1, 1), np.int8), np.zeros(1, np.int32), rescaling(1, 1, shift))
    assert IntegerDecoder(codec_of((1,), step)).run(np.array([[value]], np.int32)).tolist() == [[expected]]


@pytest.fixture
def pictures() -> Codec:
    """Latents [h, w, 2] → pictures [4h, 4w, 1]."""
    rng = np.random.default_rng(0)
    first = rng.integers(-100, 100, (5, 5, 2, 3)).astype(np.int8)
    second = rng.integers(-100, 100, (3, 3, 3, 1)).astype(np.int8)
    steps = (
        Convolution(
            (0,), (0, 4095), first, np.zeros(3, np.int32), rescaling(3, 77, 14), (2, 2), ((1, 2), (1, 2)), True
        ),
        Upsample((1,), (0, 4095), (2, 2)),
        Convolution((2,), (-999, 999), second, np.zeros(1, np.int32), rescaling(1, 5, 10), (1, 1), ((1, 1), (1, 1))),
    )
    return codec_of((None, None, 2), *steps, downsampling=(4, 4, 1))


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 2)])
def test_free_sizes_are_those_of_the_latent(pictures: Codec, size: tuple[int, int]) -> None:
    check_steps(pictures, (None, None, 1), "test")
    values = np.random.default_rng(1).integers(-2000, 2000, (2, *size, 2)).astype(np.int32)
    met = IntegerDecoder(pictures).run(values)
    assert met.shape == (2, 4 * size[0], 4 * size[1], 1)
    np.testing.assert_array_equal(met, decode_slowly(pictures, values))


def test_a_picture_is_refused_where_one_sample_would_not_fit(pictures: Codec) -> None:
    values = np.broadcast_to(np.int32(0), (1, 1 << 13, 1 << 13, 2))
    with pytest.raises(InputError, match="tiles"):
        IntegerDecoder(pictures).run(values)


def test_no_samples_give_no_samples(pictures: Codec) -> None:
    assert IntegerDecoder(pictures).run(np.zeros((0, 2, 2, 2), np.int32)).shape == (0, 8, 8, 1)


def test_threads_share_a_decoder(pictures: Codec) -> None:
    decoder = IntegerDecoder(pictures)
    values = np.random.default_rng(2).integers(-2000, 2000, (8, 9, 9, 2)).astype(np.int32)
    expected = decoder.run(values)
    with ThreadPoolExecutor(4) as pool:
        for met in pool.map(decoder.run, [values] * 8):
            np.testing.assert_array_equal(met, expected)
