"""A bundle on a cluster of two workers, one of which dies: complete, in order, and equal to one process's results."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aetool_runtime import Autoencoder, open_bundle
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.map_batches import MapBatches, map_in_pandas
from aetool_runtime.specs import Array

BUNDLE = Path(__file__).parents[1] / "vectors" / "bundles" / "encoder-decoder-in-both-formats.aepkg"
DATA = np.random.default_rng(0).normal(size=(2000, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    library = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    library.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield library
    library.shutdown()


@pytest.fixture(scope="module")
def expected() -> Array:
    with Autoencoder.open(BUNDLE) as model:
        return np.concatenate([model.encode(DATA[at : at + 20]) for at in range(0, len(DATA), 20)])


def batches(kill_at: int = -1, killed: list[int] | None = None) -> Iterator[Array]:
    for at in range(0, len(DATA), 20):
        if at == kill_at and killed is not None:
            killed.append(_kill_a_worker())
        yield DATA[at : at + 20]


def _kill_a_worker() -> int:
    """The process of one actor, as the system sees it."""
    commands = {path.parent.name: path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")}
    pid = next(int(pid) for pid, command in commands.items() if command.startswith(b"ray::_Worker"))
    os.kill(pid, signal.SIGKILL)
    return pid


@pytest.mark.slow
def test_one_worker_is_killed_in_the_middle(ray: Any, expected: Array) -> None:
    from aetool.running.ray_cluster import ray_map

    killed: list[int] = []
    run = ray_map(open_bundle(BUNDLE), "encode", {"backend": "onnxruntime"}, workers=2)
    results = list(run(batches(kill_at=1000, killed=killed)))
    assert len(killed) == 1
    np.testing.assert_array_equal(np.concatenate(results), expected)


@pytest.mark.slow
def test_what_a_worker_refuses_is_told_as_if_it_had_been_here(ray: Any) -> None:
    from aetool.running.ray_cluster import ray_map

    run = ray_map(open_bundle(BUNDLE), "encode", {}, workers=1)
    with pytest.raises(InputError, match="input has shape"):
        list(run(iter([DATA[:, :5]])))


@pytest.mark.slow
def test_ray_data(ray: Any, expected: Array) -> None:
    dataset = ray.data.from_numpy(DATA)
    done = dataset.map_batches(MapBatches, fn_constructor_args=(str(BUNDLE),), concurrency=2, batch_size=100)
    rows = done.take_all()
    met = {row["data"].tobytes(): row["latent"] for row in rows}
    np.testing.assert_allclose([met[sample.tobytes()] for sample in DATA], expected, rtol=1e-6, atol=1e-6)


# --- without a cluster ---


def test_a_column_is_added() -> None:
    run = MapBatches(str(BUNDLE))
    batch = run({"data": DATA[:7], "name": np.arange(7)})
    assert list(batch) == ["data", "name", "latent"]
    again = MapBatches(str(BUNDLE), "decode", output="restored")(batch)
    assert again["restored"].shape == (7, 6)


@pytest.mark.parametrize("kind", [list, lambda rows: np.array([*rows, None], dtype=object)[:-1]])
def test_arrays_of_one_shape_are_taken_as_they_come(kind: Any) -> None:
    run = MapBatches(str(BUNDLE), column="x")
    np.testing.assert_array_equal(run({"x": kind(DATA[:5])})["latent"], run({"x": DATA[:5]})["latent"])


def test_refusals() -> None:
    with pytest.raises(UsageError, match="'compress'"):
        MapBatches(str(BUNDLE), "compress")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no column 'data'; expected one of x"):
        MapBatches(str(BUNDLE))({"x": DATA})
    with pytest.raises(InputError, match="no arrays of one shape"):
        MapBatches(str(BUNDLE))({"data": [np.zeros(6), np.zeros(5)]})


# --- Spark ---


def frames(values: list[Any], size: int = 4) -> Iterator[Any]:
    """As Spark hands them to a task: arrays in a column of objects."""
    pandas = pytest.importorskip("pandas")
    for start in range(0, len(values), size):
        part = values[start : start + size]
        yield pandas.DataFrame({"number": range(start, start + len(part)), "data": part})


def test_frames_get_a_column(expected: Array) -> None:
    done = list(map_in_pandas(str(BUNDLE))(frames(list(DATA[:10]))))
    assert [list(frame) for frame in done] == [["number", "data", "latent"]] * 3
    assert [number for frame in done for number in frame["number"]] == list(range(10))
    met = np.concatenate([np.stack(frame["latent"].to_list()) for frame in done])
    np.testing.assert_allclose(met, expected[:10], rtol=1e-6, atol=1e-6)


def test_columns_of_frames_have_names_as_in_a_batch(expected: Array) -> None:
    [frame] = map_in_pandas(str(BUNDLE), "encode", "data", "z", {"threads": 1})(frames(list(DATA[:4])))
    np.testing.assert_allclose(np.stack(frame["z"].to_list()), expected[:4], rtol=1e-6, atol=1e-6)
    with pytest.raises(InputError, match="no column 'latent'"):
        next(map_in_pandas(str(BUNDLE), "decode")(frames(list(DATA[:4]))))


def nested(array: Array) -> Any:
    """As Spark nests the rows of a sample of more than one dimension."""
    if array.ndim == 1:
        return array
    rows = np.empty(len(array), dtype=object)
    rows[:] = [nested(row) for row in array]
    return rows


def test_samples_of_more_dimensions_come_and_go_as_nested_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    monkeypatch.setattr(MapBatches, "__init__", lambda self, *_: setattr(self, "output", "latent"))
    monkeypatch.setattr(MapBatches, "_column", "data", raising=False)
    monkeypatch.setattr(MapBatches, "_run", lambda _, given: given + 1, raising=False)
    [frame] = map_in_pandas("a bundle of images")(frames([nested(image) for image in images]))
    assert frame["latent"].to_list() == (images + 1).tolist()
    with pytest.raises(InputError, match="no arrays of one shape"):
        next(map_in_pandas("a bundle of images")(frames([nested(images[0]), nested(images[0, :2])])))


@pytest.mark.slow
def test_spark(expected: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = pytest.importorskip("pyspark.sql", reason="pip install pyspark, and Java")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    spark = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        rows = [(number, sample.tolist()) for number, sample in enumerate(DATA[:100])]
        frame = spark.createDataFrame(rows, "number int, data array<float>").repartition(3)
        columns = "number int, data array<float>, latent array<float>"
        done = frame.mapInPandas(map_in_pandas(str(BUNDLE)), columns).orderBy("number").collect()
    finally:
        spark.stop()
    np.testing.assert_allclose([row.latent for row in done], expected[:100], rtol=1e-6, atol=1e-6)
