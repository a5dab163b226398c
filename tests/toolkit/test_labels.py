"""Labels: where they come from, that they go with their samples, and that they are no part of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aetool.config import DataConfig
from aetool.data import open_labels, open_source, prepare_data
from aetool_runtime.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "data"
NAMED = "kind,x,y\nred,1,2\nblue,3,4\nred,5,6\nred,7,8\n"
VALUES = [[1, 2], [3, 4], [5, 6], [7, 8]]


def table(folder: Path, text: str, name: str = "t.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    ("text", "label", "labels"),
    [
        (NAMED, "kind", ["red", "blue", "red", "red"]),
        ("x,kind,y\n1,0,2\n3,1,4\n5,0,6\n7,0,8\n", "kind", [0, 1, 0, 0]),
        ("1;2;9\n3;4;8\n5;6;9\n7;8;9\n", "3", [9, 8, 9, 9]),
    ],
)
def test_a_column_of_a_table(tmp_path: Path, text: str, label: str, labels: list[object]) -> None:
    file = table(tmp_path, text)
    np.testing.assert_array_equal(open_labels(file, label), labels)
    np.testing.assert_array_equal(open_source(file, label=label).array(), VALUES)


def test_a_table_of_spaces(tmp_path: Path) -> None:
    file = table(tmp_path, "  1.0e+00   1  2\n  2.0e+00   3  4\n", "t.txt")
    np.testing.assert_array_equal(open_labels(file, "1"), [1, 2])
    np.testing.assert_array_equal(open_source(file, label="1").array(), VALUES[:2])


def test_a_column_of_parquet(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"x": [1, 3, 5, 7], "kind": ["red", None, "red", "red"], "y": [2, 4, 6, 8]}
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    np.testing.assert_array_equal(open_labels(tmp_path / "t.parquet", "kind"), ["red", "", "red", "red"])
    np.testing.assert_array_equal(open_source(tmp_path / "t.parquet", label="kind").array(), VALUES)


def test_a_file_of_labels_goes_with_the_samples_through_the_split(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(60.0).reshape(30, 2))
    np.save(tmp_path / "labels.npy", np.arange(0, 60, 2))
    data = prepare_data(tmp_path / "x.npy", DataConfig(label=str(tmp_path / "labels.npy")), print)
    for part in (data.training, data.split.validation, data.split.test):
        np.testing.assert_array_equal(part.labels, part.take(np.arange(len(part)))[:, 0])
    np.testing.assert_array_equal(data.labels, data.training.labels)


@pytest.mark.parametrize("name", ["builtin:digits", "builtin:digits32"])
def test_digits_have_theirs(name: str) -> None:
    labels = open_labels(name)
    assert labels is not None
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_most_data_have_none(tmp_path: Path) -> None:
    assert open_labels(table(tmp_path, NAMED)) is None
    assert prepare_data("builtin:ecg", DataConfig(sample_shape=(256, -1)), print).labels is None


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("kin", r"has no column 'kin'; expected kind, x, y\n.*did you mean 'kind'"),
        ("1", "has no column '1'; expected kind, x, y"),
        ("missing.npy", "cannot be read as labels"),
    ],
)
def test_labels_that_are_not_there(tmp_path: Path, label: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_labels(table(tmp_path, NAMED), label)


def test_a_number_that_is_no_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no column '4'; expected a number from 1 to 3"):
        open_labels(table(tmp_path, "1,2,3\n"), "4")


def test_a_row_with_more_columns_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 2 has 4 columns; expected 3"):
        open_source(table(tmp_path, "1,2,3\n1,2,3,4\n"), label="2").array()


def test_labels_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((9, 2)))
    np.save(tmp_path / "l.npy", np.zeros(8))
    with pytest.raises(InputError, match="has 9 samples and 8 labels"):
        prepare_data(tmp_path / "x.npy", DataConfig(label=str(tmp_path / "l.npy")), print)
    with pytest.raises(InputError, match="windows of a recording have no labels"):
        prepare_data(tmp_path / "x.npy", DataConfig(label=str(tmp_path / "l.npy"), sample_shape=(3, -1)), print)
    with pytest.raises(InputError, match="has no columns"):
        open_labels(tmp_path / "x.npy", "kind")


@pytest.mark.skipif(not (SHARED / "ecg5000").is_dir(), reason="../shared/data/ecg5000 is not here")
def test_ecg5000_as_an_ordinary_file() -> None:
    config = DataConfig(sample_shape=(140, 1), label="1")
    data = prepare_data(SHARED / "ecg5000" / "ECG5000_TRAIN.txt", config, print)
    assert (data.raw_shape, data.sample_shape) == ((500, 140), (140, 1))
    assert set(np.unique(data.labels)) <= {1, 2, 3, 4, 5}


@pytest.mark.skipif(not (SHARED / "hapt").is_dir(), reason="../shared/data/hapt is not here")
def test_hapt_as_an_ordinary_file() -> None:
    data = prepare_data(f"{SHARED}/hapt/hapt_int16.npz:test", DataConfig(sample_shape=(64, -1)), lambda _: None)
    assert (data.raw_shape, data.sample_shape) == ((351998, 6), (64, 6))
