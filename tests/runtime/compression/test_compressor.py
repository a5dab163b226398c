"""The front doors: every type, every goal, bounds that hold on any data, and which path is taken when."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.runtime.compression.streams import SIGNALS

from aetool_runtime import Autoencoder, Compressor, Decompressor
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.compression.choosing_paths import ChunkEncoder
from aetool_runtime.compression.framing.header import Header
from aetool_runtime.compression.goals import Bounded, Traded
from aetool_runtime.errors import InputError, UsageError

INTEGERS = ["uint8", "int8", "uint16", "int16", "int32"]


def round_trip(bundle: Bundle, samples: Any, *, rows: bool = False, **goal: Any) -> tuple[Any, bytes]:
    with Compressor(bundle, **goal) as compressor:
        stream = compressor.compress(samples, rows=rows)
    return Decompressor(bundle).decompress(stream), stream


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# --- lossless ---


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([*INTEGERS, "float32"]).flatmap(
        lambda dtype: arrays.arrays(dtype, st.tuples(st.integers(0, 30), st.just(2)))
    )
)
def test_lossless_keeps_every_bit_of_every_type(bare_bundle: Bundle, rows: np.ndarray) -> None:
    assert same_bits(round_trip(bare_bundle, rows, rows=True, lossless=True)[0], rows)


@pytest.mark.parametrize("name", SIGNALS)
def test_lossless_keeps_every_signal(fixed_bundle: Bundle, name: str) -> None:
    samples = SIGNALS[name][:4096].reshape(-1, 8, 2)
    found, stream = round_trip(fixed_bundle, samples, lossless=True)
    assert same_bits(found, samples)
    assert len(stream) <= samples.nbytes + 60


@pytest.mark.parametrize("step", [1.0, 0.25, 2.0**-20])
def test_floats_on_a_binary_grid_are_coded_as_integers(bare_bundle: Bundle, step: float) -> None:
    samples = (SIGNALS["a sine"][:4096] * step).astype(np.float32).reshape(-1, 8, 2)
    found, stream = round_trip(bare_bundle, samples, lossless=True)
    assert same_bits(found, samples)
    assert len(stream) < samples.nbytes / 2.5


def test_what_is_not_finite_is_stored_and_costs_only_its_neighbours(bare_bundle: Bundle) -> None:
    samples = SIGNALS["a sine"].astype(np.float32).reshape(-1, 8, 2)
    plain, small = round_trip(bare_bundle, samples, lossless=True)
    odd = samples.copy()
    odd[100, 3] = np.nan
    odd[500, 0, 0] = np.inf
    odd[501, 0, 0] = -0.0
    found, stream = round_trip(bare_bundle, odd, lossless=True)
    assert same_bits(plain, samples)
    assert same_bits(found, odd)
    assert len(stream) < len(small) + 2 * 4 * 8192


# --- bounds ---

HOSTILE = {
    "extremes in turn": lambda dtype, n: np.where(np.arange(n) % 2, np.iinfo(dtype).max, np.iinfo(dtype).min),
    "extremes at random": lambda dtype, n: np.random.default_rng(0).choice(
        [np.iinfo(dtype).max, np.iinfo(dtype).min], n
    ),
    "all bits at random": lambda dtype, n: np.random.default_rng(1).integers(
        np.iinfo(dtype).min, np.iinfo(dtype).max, n, endpoint=True
    ),
    "near the largest": lambda dtype, n: np.iinfo(dtype).max - np.random.default_rng(2).integers(0, 9, n),
    "a random walk": lambda dtype, n: np.cumsum(np.random.default_rng(3).integers(-9, 10, n)).clip(
        np.iinfo(dtype).min, np.iinfo(dtype).max
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("error", [1, 100.9, 10**9])
def test_a_bound_holds_for_hostile_integers(fixed_bundle: Bundle, name: str, dtype: str, error: float) -> None:
    samples = HOSTILE[name](dtype, 1600).astype(dtype).reshape(-1, 8, 2)
    found, stream = round_trip(fixed_bundle, samples, max_error=error)
    assert found.dtype == samples.dtype
    assert np.abs(found.astype(np.float64) - samples).max() <= error
    assert len(stream) <= samples.nbytes + 60


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.just(8), st.just(2)),
        elements=st.floats(-1e6, 1e6, width=32) | st.floats(width=32),
    ),
    st.sampled_from([1e-6, 0.01, 0.3, 7.0, 1e20]),
)
def test_a_bound_holds_for_any_floats(fixed_bundle: Bundle, samples: np.ndarray, error: float) -> None:
    found, _ = round_trip(fixed_bundle, samples, max_error=error)
    finite = np.isfinite(samples)
    assert np.array_equal(found[~finite], samples[~finite], equal_nan=True)
    assert np.abs(found[finite].astype(np.float64) - samples[finite]).max(initial=0) <= error


def test_a_wide_bound_on_floats_costs_as_little_as_its_grid(bare_bundle: Bundle) -> None:
    noise = np.random.default_rng(0).normal(0, 1, (512, 8, 2)).astype(np.float32)
    found, stream = round_trip(bare_bundle, noise, max_error=0.1)
    assert 0.09 < np.abs(found - noise).max() <= 0.1
    entropy = np.log2(np.sqrt(2 * np.pi * np.e) / 0.2)  # of a Gaussian in steps of 0.2
    assert 8 * len(stream) / noise.size < entropy + 0.3


def test_a_few_outliers_do_not_make_all_values_dear(bare_bundle: Bundle) -> None:
    noise = np.random.default_rng(0).normal(0, 1, (4096, 8, 2)).astype(np.float32)
    _, plain = round_trip(bare_bundle, noise, max_error=0.1)
    noise[[5, 3000], 0, 0] = 1e7
    found, stream = round_trip(bare_bundle, noise, max_error=0.1)
    assert np.abs(found - noise).max() <= 0.1
    assert len(stream) < len(plain) + 2 * 4 * 8192


def test_a_bound_below_what_floats_resolve_is_no_loss(bare_bundle: Bundle) -> None:
    samples = (SIGNALS["a sine"][:4096] * 64).astype(np.float32).reshape(-1, 8, 2)
    found, stream = round_trip(bare_bundle, samples, max_error=1e-9)
    assert same_bits(found, samples)
    assert len(stream) < samples.nbytes / 2


def test_what_was_promised_is_in_the_header(bare_bundle: Bundle) -> None:
    for samples, error, told in ((np.zeros((1, 8, 2), np.int16), 2.7, 2), (np.zeros((1, 8, 2), np.float32), 0.3, 0.3)):
        _, stream = round_trip(bare_bundle, samples, max_error=error)
        assert Decompressor(bare_bundle).reader(io.BytesIO(stream)).header.max_error == told


# --- paths ---


class Known:
    """An encoder that knows the latents of some samples: those that the codec's decoder makes of symbols."""

    def __init__(self, bundle: Bundle, codec: int, quality: int, count: int = 200) -> None:
        decompressor = Decompressor(bundle)
        self.decoder = decompressor.decoder
        self.runner = self.decoder.runners[codec]
        chosen = self.runner.codec.qualities[quality]
        rng = np.random.default_rng(0)
        self.symbols = rng.integers(-15, 16, (count, *(self.runner.latent_shape((8, 2)) or ()))).astype(np.int32)
        output = self.runner.output(self.symbols, chosen)
        made = decompressor.compression
        self.samples = ((output.astype(np.int64) * made.multiplier + (1 << made.shift >> 1)) >> made.shift).astype("i2")
        self.latents = (self.symbols * chosen.step + self.runner.codec.center) * self.runner.codec.unit
        self._known = {sample.tobytes(): latent for sample, latent in zip(self.samples, self.latents, strict=True)}

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        if self.runner.codec.encoder == "adjoint":
            return np.zeros((len(samples), 3), np.float32)  # the other codec's
        return np.array([self._known[sample.tobytes()] for sample in samples], np.float32)


@pytest.mark.parametrize(("codec", "name"), [(0, "linear"), (1, "network")])
@pytest.mark.parametrize("goal", [Bounded(0), Bounded(3), Traded(1, 1.0), Traded(1, None)])
def test_a_codec_is_taken_where_it_fits(fixed_bundle: Bundle, codec: int, name: str, goal: Any) -> None:
    known = Known(fixed_bundle, codec, 1)
    assert known.runner.codec.name == name
    header = Header(bytes.fromhex(fixed_bundle.digest)[:8], "int16", (8, 2))
    (encoded,) = ChunkEncoder(known.decoder, header, goal, known).encode(known.samples, len(known.samples))
    assert encoded.body.path == 2 + codec
    if goal in (Bounded(0), Traded(1, 1.0)):  # for others a coarser quality may be the cheaper one
        assert encoded.body.payload[0] == 1
    found = known.decoder.decode(header, encoded.body, "here")
    if isinstance(goal, Bounded):
        assert np.abs(found.astype(int) - known.samples).max() <= goal.error


def test_real_encoders_serve_codecs(fixed_bundle: Bundle) -> None:
    """Through ONNX Runtime; whatever latents it returns, the bound holds."""
    samples = SIGNALS["noise of 100"][:4096].reshape(-1, 8, 2)
    with Autoencoder.open(fixed_bundle) as model, Compressor(model, max_error=2) as compressor:
        stream = compressor.compress(samples)
        assert np.abs(Decompressor(fixed_bundle).decompress(stream).astype(int) - samples).max() <= 2
        model.encode(samples[:1])  # still the caller's


def test_linear_codecs_find_their_latents_again(free_bundle: Bundle) -> None:
    decompressor = Decompressor(free_bundle)
    runner, made = decompressor.decoder.runners[0], decompressor.compression
    symbols = np.random.default_rng(0).integers(-9, 9, (3, 4, 5, 2)).astype(np.int32)
    quality = runner.codec.qualities[1]
    raw = runner.output(symbols, quality) * made.output_unit
    assert np.array_equal(runner.symbols(runner.adjoint(raw), quality), symbols)


def test_pictures_of_any_size(free_bundle: Bundle) -> None:
    """Sizes that the codec's blocks do not fit are predicted."""
    for size in ((16, 20), (17, 3), (1, 1)):
        picture = np.random.default_rng(0).integers(0, 256, (2, *size, 1), dtype=np.uint8)
        assert same_bits(round_trip(free_bundle, picture, lossless=True)[0], picture)


def test_traded_errors_are_about_what_the_quality_says(fixed_bundle: Bundle) -> None:
    """The bundle tells 4 for the finer quality; noise without any structure is coded at that error."""
    samples = SIGNALS["noise of 100"].reshape(-1, 8, 2)
    with Compressor(fixed_bundle, quality=1) as compressor:
        file = io.BytesIO()
        summary = compressor.write(file, [samples])
    found = Decompressor(fixed_bundle).decompress(file.getvalue()).astype(float)
    assert summary.rmse == pytest.approx(np.sqrt(np.mean((found - samples) ** 2)))
    assert summary.largest_error == np.abs(found - samples).max()
    assert (summary.count, summary.values, summary.bytes) == (1024, 16_384, len(file.getvalue()))
    assert 1 < summary.rmse < 16
    assert sum(summary.paths.values()) == 1


# --- batches ---


def test_batches_may_be_of_any_size(bare_bundle: Bundle) -> None:
    rows = SIGNALS["a random walk"][:4000].reshape(-1, 2)

    def batches() -> Iterator[np.ndarray]:
        start = 0
        for size in (1, 7, 0, 500, 3, 2000):
            yield rows[start : start + size]
            start += size

    one, many = io.BytesIO(), io.BytesIO()
    with Compressor(bare_bundle, lossless=True, chunk_values=160) as compressor:
        compressor.write(one, [rows], rows=True)
        compressor.write(many, batches(), rows=True)
    assert one.getvalue() == many.getvalue()
    assert same_bits(Decompressor(bare_bundle).decompress(many.getvalue()), rows)


def test_batches_are_taken_one_at_a_time(bare_bundle: Bundle) -> None:
    """Chunks are written while batches still come: memory does not grow with the stream."""
    file, lengths = io.BytesIO(), []

    def batches() -> Iterator[np.ndarray]:
        for _ in range(10):
            lengths.append(len(file.getvalue()))
            yield SIGNALS["noise of 10"][:160].reshape(-1, 2)

    with Compressor(bare_bundle, lossless=True, chunk_values=160) as compressor:
        compressor.write(file, batches(), rows=True)
    assert lengths == sorted(set(lengths)) or lengths[2:] == sorted(set(lengths[2:]))


def test_no_batch_is_an_empty_stream(bare_bundle: Bundle) -> None:
    file = io.BytesIO()
    with Compressor(bare_bundle, lossless=True) as compressor:
        assert compressor.write(file, []).count == 0
    assert len(Decompressor(bare_bundle).decompress(file.getvalue())) == 0


def test_threads_share_a_compressor(fixed_bundle: Bundle) -> None:
    signals = [SIGNALS[name][:2048].reshape(-1, 8, 2) for name in ("noise of 10", "a sine", "a random walk", "silence")]
    found: dict[int, bytes] = {}
    with Compressor(fixed_bundle, max_error=1) as compressor:
        alone = [compressor.compress(signal) for signal in signals]

        def work(i: int) -> None:
            found[i] = compressor.compress(signals[i])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(signals))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [found[i] for i in range(len(signals))] == alone


# --- refusals ---


@pytest.mark.parametrize(
    "goal",
    [{}, {"lossless": True, "max_error": 1}, {"quality": 2}, {"quality": -1}, {"max_error": -1}, {"max_error": np.nan}],
    ids=str,
)
def test_goals_that_are_refused(fixed_bundle: Bundle, goal: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Compressor(fixed_bundle, **goal)


def test_a_bundle_without_tables_is_refused() -> None:
    from tests.vectors.make import FOLDER

    bundle = open_bundle(FOLDER / "bundles" / "encoder.aepkg")
    for door in (lambda: Compressor(bundle, lossless=True), lambda: Decompressor(bundle)):
        with pytest.raises(UsageError) as met:
            door()
        assert met.value.hint


CONVERTED = {"bool": "uint8", "float16": "float32", "int64": "int32", "uint32": "int32", "float64": "float32"}


@pytest.mark.parametrize("dtype", CONVERTED)
def test_types_are_converted_where_no_value_changes(bare_bundle: Bundle, dtype: str) -> None:
    samples = np.arange(16).reshape(1, 8, 2).astype(dtype)
    found, _ = round_trip(bare_bundle, samples, lossless=True)
    assert found.dtype == CONVERTED[dtype]
    assert np.array_equal(found, samples)


REFUSED_ARRAYS = {
    "int64 beyond 32 bits": np.full((1, 8, 2), 2**40),
    "uint32 beyond 31 bits": np.full((1, 8, 2), 2**31, np.uint32),
    "float64 beyond float32": np.full((1, 8, 2), 0.1),
    "complex": np.zeros((1, 8, 2), complex),
    "text": np.full((1, 8, 2), "x"),
    "another rank": np.zeros((8, 2), np.int16),
    "another size": np.zeros((1, 8, 3), np.int16),
}


@pytest.mark.parametrize("name", REFUSED_ARRAYS)
def test_arrays_that_are_refused(bare_bundle: Bundle, name: str) -> None:
    with Compressor(bare_bundle, lossless=True) as compressor, pytest.raises(InputError) as met:
        compressor.compress(REFUSED_ARRAYS[name])
    assert met.value.hint


def test_a_batch_of_another_type_is_refused(bare_bundle: Bundle) -> None:
    batches = [np.zeros((1, 8, 2), np.int16), np.zeros((1, 8, 2), np.int32)]
    with Compressor(bare_bundle, lossless=True) as compressor, pytest.raises(InputError, match="int32"):
        compressor.write(io.BytesIO(), batches)
