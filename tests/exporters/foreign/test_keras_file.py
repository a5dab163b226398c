"""Which Keras files are read, and which are refused; code in a file is never run."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from aetool_exporters.foreign.keras_file import load_keras
from aetool_runtime.errors import ModelError, UnsafeError


def small() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(2, name="middle"), layers.Dense(4, name="out")])


def saved(folder: Path, model: keras.Model, name: str = "model.keras") -> Path:
    path = folder / name
    model.save(path)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("written", ["model.keras", "model.h5"])
@pytest.mark.parametrize("called", ["model.keras", "model.h5", "model.hdf5", "model"])
def test_the_bytes_tell_the_format_not_the_name(tmp_path: Path, written: str, called: str) -> None:
    model = small()
    path = tmp_path / f"renamed-{called}"
    shutil.move(saved(tmp_path, model, written), path)
    given = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(load_keras(path)(given), model(given))


def test_a_text_path_will_do(tmp_path: Path) -> None:
    assert load_keras(str(saved(tmp_path, small()))).output_shape == (None, 4)


def with_lambda(marker: Path) -> keras.Model:
    def touch(tensor: Any) -> Any:
        Path(str(marker)).touch()
        return tensor

    return keras.Sequential(
        [keras.Input((4,)), layers.Lambda(lambda tensor: touch(tensor), output_shape=(4,), name="sneaky")]
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_code_is_refused_with_the_layers_name_and_never_run(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "touched"
    path = saved(tmp_path, with_lambda(marker), name)
    marker.unlink(missing_ok=True)
    with pytest.raises(ModelError, match="layer 'sneaky' carries Python code"):
        load_keras(path)
    assert not marker.exists()


def test_code_is_found_in_nested_models_and_older_spellings(tmp_path: Path) -> None:
    path = saved(tmp_path, keras.Sequential([keras.Input((4,)), keras.Sequential([layers.Dense(4)], name="inner")]))
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][-1]["config"]["layers"].append(
        {"class_name": "Lambda", "config": {"name": "old", "function": ["4wEA", None, None], "function_type": "lambda"}}
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else content)
    with pytest.raises(ModelError, match="layer 'inner/old' carries Python code"):
        load_keras(path)


@keras.saving.register_keras_serializable(package="elsewhere")
class Custom(layers.Layer):
    def call(self, tensor: Any) -> Any:
        return tensor


def test_an_unknown_class_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, keras.Sequential([keras.Input((4,)), Custom()]))
    text = path.read_bytes()
    assert load_keras(path).layers
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(b"Custom", b"Unheard").replace(b"elsewhere", b"nowhere"))
    assert path.read_bytes() != text
    with pytest.raises(ModelError, match=r"layer 'custom.*' is a 'Unheard', which is not part of Keras"):
        load_keras(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        load_keras(tmp_path / "model.keras")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no saved_model"):
        load_keras(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x1c\0\0\0TFL3", b"import os"])
def test_another_kind_of_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(ModelError) as refusal:
        load_keras(path)
    assert ".keras archive" in refusal.value.expected
    assert refusal.value.where == str(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95])
def test_a_file_that_is_cut_off(tmp_path: Path, name: str, share: float) -> None:
    path = saved(tmp_path, small(), name)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError) as refusal:
        load_keras(path)
    assert refusal.value.where == str(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_damaged_weights(tmp_path: Path, name: str) -> None:
    """A flipped byte is refused, or harmless; it never comes out as anything but our error."""
    path = saved(tmp_path, small(), name)
    content = bytearray(path.read_bytes())
    for at in range(50, len(content), max(1, len(content) // 40)):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        with suppress(ModelError):
            load_keras(path)


def test_weights_without_a_model(tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    small().save_weights(path)
    with pytest.raises(ModelError, match="weights without a model"):
        load_keras(path)


def test_an_archive_without_a_model(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "nothing here")
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_keras(path)


def test_something_that_is_not_a_model(tmp_path: Path) -> None:
    path = saved(tmp_path, small())
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, json.dumps({"a": [1]}) if name == "config.json" else content)
    with pytest.raises(ModelError):
        load_keras(path)


class TestWeightsInOtherFiles:
    """Whoever reads them puts some local file's bytes into what is exported."""

    @staticmethod
    def external(file: Any, secret: Path) -> None:
        file.create_dataset("kernel", (8,), "float32", external=[(str(secret), 0, 32)])

    @staticmethod
    def virtual(file: Any, secret: Path) -> None:
        layout = h5py.VirtualLayout((8,), "float32")
        layout[:] = h5py.VirtualSource(str(secret), "kernel", (8,))
        file.create_virtual_dataset("kernel", layout)

    @staticmethod
    def linked(file: Any, secret: Path) -> None:
        file["kernel"] = h5py.ExternalLink(str(secret), "/kernel")

    @staticmethod
    def linked_within(file: Any, secret: Path) -> None:
        file["kernel"] = h5py.SoftLink("/elsewhere")

    @pytest.mark.parametrize("suffix", [".h5", ".keras"])
    @pytest.mark.parametrize("way", ["external", "virtual", "linked", "linked_within"])
    def test_are_refused_by_name(self, tmp_path: Path, way: str, suffix: str) -> None:
        secret = tmp_path / "secret"
        secret.write_bytes(b"x" * 32)
        path = saved(tmp_path, small(), f"model{suffix}")
        if suffix == ".h5":
            with h5py.File(path, "a") as file:
                getattr(self, way)(file.require_group("model_weights/hidden"), secret)
        else:
            self._edit_archive(path, way, secret)
        with pytest.raises(UnsafeError, match="hidden/kernel points to another file"):
            load_keras(path)

    def _edit_archive(self, path: Path, way: str, secret: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        weights = io.BytesIO(members["model.weights.h5"])
        with h5py.File(weights, "a") as file:
            getattr(self, way)(file.require_group("hidden"), secret)
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in {**members, "model.weights.h5": weights.getvalue()}.items():
                archive.writestr(name, data)
