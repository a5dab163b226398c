"""Entropy models fitted to symbols: near the entropy on data not seen, small, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from aetool_exporters.compression.fitting import fit_model, fit_models, join_fits
from aetool_exporters.compression.fitting_residual import fit_residual_model
from aetool_exporters.compression.fitting_tables import MAX_VALUES, table_of, table_of_counts
from aetool_runtime.compression.description import EntropyModel, EntropyTable
from aetool_runtime.compression.entropy.coding import Coder

CHANNELS = 6


def laplace(scale: NDArray[np.float64] | float, shape: tuple[int, ...], seed: int = 0) -> NDArray[np.int32]:
    random = np.random.default_rng(seed)
    return np.rint(random.laplace(0, scale, shape)).astype(np.int32)


def entropy(values: NDArray[np.int32]) -> float:
    """Bits of a value, by how often each comes up."""
    counts = np.unique(values, return_counts=True)[1]
    return float(-(counts / values.size * np.log2(counts / values.size)).sum())


def bits(tables: list[EntropyTable], model: EntropyModel, values: NDArray[np.int32]) -> float:
    """Bits of a value as coded."""
    data = Coder(tables, [model]).encode(values, 0)
    np.testing.assert_array_equal(Coder(tables, [model]).decode(data, 0, values.shape, 0)[0], values)
    return 8 * len(data) / values.size


def assert_sound(tables: list[EntropyTable], models: list[EntropyModel]) -> None:
    """What ``reading.py`` demands."""
    for table in tables:
        assert table.frequencies.dtype == np.uint16
        assert 2 <= len(table.frequencies) <= 4096
        assert table.frequencies.min() >= 1
        assert table.frequencies.sum(dtype=np.int64) == 2**14
        assert table.low >= -(2**31)
        assert table.low + len(table.frequencies) - 2 < 2**31
    for model in models:
        assert model.map.max() < len(tables)
        assert len(model.raw_bits) == model.sets
        if model.kind == "neighbors":
            assert len(model.thresholds) == model.sets - 1
            assert (np.diff(model.thresholds.astype(np.int64)) >= 0).all()
        elif model.sets > 1:
            assert len(model.selectors) == model.sets
            assert all(tables[i].low == 0 and len(tables[i].frequencies) == model.sets + 1 for i in model.selectors)


def stationary(samples: int, seed: int) -> NDArray[np.int32]:
    return laplace(np.geomspace(0.3, 30, CHANNELS), (samples, CHANNELS), seed)


def switching(samples: int, seed: int) -> NDArray[np.int32]:
    """Loud samples and quiet ones, in turns of some length."""
    turns = np.random.default_rng(seed).choice([0.2, 1.0, 6.0], samples // 8).repeat(8)[:, None]
    return laplace(turns * np.geomspace(1, 4, CHANNELS), (len(turns), CHANNELS), seed)


def patches(samples: int, seed: int) -> NDArray[np.int32]:
    """Maps that are loud around a place, another one in each channel and each time."""
    random = np.random.default_rng(seed)
    rows, columns = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
    centre = random.integers(0, 8, (2, samples, 1, 1, CHANNELS))
    distance = np.hypot(rows[..., None] - centre[0], columns[..., None] - centre[1])
    return laplace(16 * np.exp(-distance / 1.5) + 0.05, distance.shape, seed)


def test_one_set_comes_near_the_entropy_of_unseen_data() -> None:
    tables, model = fit_model(stationary(20_000, 0))
    assert_sound(tables, [model])
    assert model.sets == 1
    seen = stationary(20_000, 1)
    least = np.mean([entropy(seen[:, channel]) for channel in range(CHANNELS)])
    assert bits(tables, model, seen) < 1.01 * least


@pytest.mark.parametrize(("data", "kind", "saving"), [(switching, "sets", 0.1), (patches, "neighbors", 0.05)])
def test_what_changes_gets_several_sets(data, kind: str, saving: float) -> None:  # type: ignore[no-untyped-def]
    training, seen = data(2_000, 0), data(500, 1)
    tables, model = fit_model(training)
    single, one = fit_model(training, kind="sets", sets=[1])
    assert_sound(tables, [model])
    assert model.kind == kind
    assert model.sets >= 3
    assert bits(tables, model, seen) < (1 - saving) * bits(single, one, seen)


def test_few_samples_are_not_learned_by_heart() -> None:
    tables, model = fit_model(stationary(100, 0))
    seen = stationary(20_000, 1)
    least = np.mean([entropy(seen[:, channel]) for channel in range(CHANNELS)])
    assert bits(tables, model, seen) < 1.08 * least


def test_qualities_share_tables() -> None:
    steps = (1.0, 1.4, 2.0, 2.8, 4.0, 5.7)
    wide = [laplace(np.geomspace(0.5, 20, 48) / step, (3_000, 48)) for step in steps]
    tables, models = fit_models(wide, sets=[1, 4])
    assert_sound(tables, models)
    assert len(models) == len(steps)
    assert len(tables) <= 256 + sum(model.sets for model in models)
    assert sum(table.frequencies.nbytes for table in tables) < 64_000
    for values, model in zip(wide, models, strict=True):
        alone, own = fit_model(values, sets=[1, 4])
        assert bits(tables, model, values) < 1.01 * bits(alone, own, values)


def test_equal_data_give_equal_tables() -> None:
    first, second = fit_model(switching(800, 0)), fit_model(switching(800, 0))
    for one, other in zip(first[0], second[0], strict=True):
        assert one.low == other.low
        np.testing.assert_array_equal(one.frequencies, other.frequencies)
    np.testing.assert_array_equal(first[1].map, second[1].map)


@pytest.mark.parametrize(
    "symbols",
    [
        np.zeros((50, 4), np.int32),
        np.full((50, 4), 7, np.int32),
        np.full((1, 1), -(2**31), np.int32),
        np.array([[2**31 - 1], [-(2**31)], [0]], np.int32),
        np.arange(60_000, dtype=np.int32).reshape(-1, 2) * 30_000,
        np.zeros((0, 3), np.int32),
        np.zeros((3, 5, 0, 2), np.int32),
        laplace(1.0, (3, 5, 7, 2)),
    ],
    ids=["zeros", "constants", "one value", "extremes", "very wide", "no samples", "no positions", "few"],
)
@pytest.mark.parametrize("kind", ["auto", "sets", "neighbors"])
def test_strange_symbols_make_sound_tables(symbols: NDArray[np.int32], kind) -> None:  # type: ignore[no-untyped-def]
    tables, model = fit_model(symbols, kind=kind)
    assert_sound(tables, [model])
    if symbols.size:
        bits(tables, model, symbols)


def test_constants_are_nearly_free() -> None:
    symbols = np.full((4_000, 8), 7, np.int32)
    tables, model = fit_model(symbols)
    assert bits(tables, model, symbols) < 0.01


@settings(deadline=None)
@given(arrays(np.float64, st.integers(1, 300), elements=st.floats(0, 1e6)), st.floats(0, 1e3))
def test_frequencies_are_near_the_probabilities(weights: NDArray[np.float64], escape: float) -> None:
    weights = weights + 1e-9
    table = table_of(-5, weights, escape)
    assert_sound([table], [])
    share = np.append(weights, escape) / (weights.sum() + escape)
    cost = -(share * np.log2(table.frequencies / 2**14)).sum()
    least = -(share * np.log2(np.maximum(share, 1e-300))).sum()
    assert cost <= least + 2 * len(table.frequencies) / 2**14


def test_a_table_has_at_most_4095_values() -> None:
    table = table_of_counts(-10_000, np.ones(20_000))
    assert len(table.frequencies) <= MAX_VALUES + 1
    assert_sound([table], [])


def test_joined_models_keep_their_tables() -> None:
    one, other = fit_model(switching(400, 0)), fit_model(stationary(400, 0))
    tables, models = join_fits([(one[0], [one[1]]), (other[0], [other[1]]), (one[0], [one[1]])])
    assert_sound(tables, models)
    assert len(tables) <= len(one[0]) + len(other[0])
    for fit, model in zip((one, other, one), models, strict=True):
        values = switching(80, 1)
        assert Coder(tables, [model]).encode(values, 0) == Coder(fit[0], [fit[1]]).encode(values, 0)


# --- residuals ---

RESIDUAL = fit_residual_model()


def test_the_residual_model_is_small() -> None:
    tables, model = RESIDUAL
    assert_sound(tables, [model])
    assert sum(table.frequencies.nbytes for table in tables) < 16_000
    assert model.raw_bits.max() <= 24


@pytest.mark.parametrize("scale", [1.0, 3.0, 13.0, 40.0, 300.0, 3e4, 1e6])
@pytest.mark.parametrize("shape", ["normal", "laplace"])
def test_noise_of_any_amplitude_costs_less_than_1_percent_over_its_entropy(scale: float, shape: str) -> None:
    random, count = np.random.default_rng(0), 400_000
    drawn = random.normal(0, scale, count) if shape == "normal" else random.laplace(0, scale / np.sqrt(2), count)
    smooth = np.log2(scale * np.sqrt(2 * np.pi * np.e)) if shape == "normal" else np.log2(scale * np.sqrt(2) * np.e)
    values = np.rint(drawn).astype(np.int32)
    least = smooth if scale > 20 else entropy(values)  # above, differential entropy; below, that of the values
    assert bits(*RESIDUAL, values.reshape(1, -1, 1)) < 1.0125 * least


@pytest.mark.parametrize("width", range(1, 8))
def test_numbers_of_few_bits_cost_those_bits(width: int) -> None:
    values = np.random.default_rng(0).integers(0, 2**width, (1, 200_000, 1)).astype(np.int32)
    assert bits(*RESIDUAL, values) < 1.02 * width


def test_silence_and_what_interrupts_it() -> None:
    silence = np.zeros((1, 1_000_000, 1), np.int32)
    assert len(Coder(RESIDUAL[0], [RESIDUAL[1]]).encode(silence, 0)) < 100
    silence[0, ::100_000] = 5_000
    assert len(Coder(RESIDUAL[0], [RESIDUAL[1]]).encode(silence, 0)) < 200


def test_changes_of_scale_are_learned_from_residuals() -> None:
    scale = np.repeat(np.tile([0.5, 40.0], 500), 32)
    training, seen = (laplace(scale, scale.shape, seed) for seed in (0, 1))
    learned = fit_residual_model([training])
    assert_sound(learned[0], [learned[1]])
    assert bits(*learned, seen.reshape(1, -1, 1)) < 0.99 * bits(*RESIDUAL, seen.reshape(1, -1, 1))
