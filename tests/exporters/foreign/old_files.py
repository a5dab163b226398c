"""Writes today's Keras models as Keras 2 wrote them: the same weights, the configuration of then."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

__all__ = ["Change", "as_keras_2", "computed", "edit_archive", "scrambled", "write_archive", "write_h5"]

Change = Callable[[dict[str, Any]], None]


def scrambled(model: keras.Model) -> keras.Model:
    """Weights that matter everywhere."""
    rng = np.random.default_rng(7)
    for weight in model.weights:
        weight.assign(rng.uniform(0.2, 0.8, weight.shape) * rng.choice([-1, 1], weight.shape) * 0.7)
        if "variance" in weight.name:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


def computed(model: Any, seed: int = 1) -> Any:
    """What a model of fixed sizes makes of three random samples."""
    shape = (3, *model.inputs[0].shape[1:])
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    made = model(values, training=False)
    return np.asarray(made[0] if isinstance(made, list) else made)


def as_keras_2(model: keras.Model) -> dict[str, Any]:
    """The configuration in the form of Keras 2: no modules, ``batch_input_shape``, nodes as lists."""
    entry = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    return _older(entry)


def _older(value: Any) -> Any:
    if isinstance(value, list):
        return [_older(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "DTypePolicy":
        return value["config"]["name"]
    value = {key: _older(item) for key, item in value.items() if key not in ("module", "registered_name")}
    for key in ("build_config", "compile_config", "shared_object_id"):
        value.pop(key, None)
    if value.get("class_name") == "InputLayer":
        value["config"]["batch_input_shape"] = value["config"].pop("batch_shape")
        value["config"].pop("optional", None)
        value["config"]["ragged"] = False
    if "inbound_nodes" in value:
        value["inbound_nodes"] = [_node(node) for node in value["inbound_nodes"]]
    return value


def _node(node: dict[str, Any]) -> list[Any]:
    given = node["args"][0]
    tensors = given if isinstance(given, list) else [given]
    return [[*tensor["config"]["keras_history"], {}] for tensor in tensors]


def write_h5(path: Path, model: keras.Model, config: dict[str, Any] | None = None, version: str = "2.4.0") -> Path:
    """A ``.h5`` file whose configuration is another one."""
    model.save(path.with_suffix(".h5"))
    with h5py.File(path.with_suffix(".h5"), "r+") as file:
        file.attrs["model_config"] = json.dumps(as_keras_2(model) if config is None else config)
        file.attrs["keras_version"] = version
    return path.with_suffix(".h5")


def write_archive(path: Path, model: keras.Model, change: Change | None = None, version: str = "") -> Path:
    """A ``.keras`` archive whose configuration was changed."""
    model.save(path)
    return edit_archive(path, change, version)


def edit_archive(
    path: Path, change: Change | None = None, version: str = "", names: dict[str, str] | None = None
) -> Path:
    """Change an archive's configuration, the version in it, or the names of groups in its weights."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    if change is not None:
        change(config)
    parts["config.json"] = json.dumps(config).encode()
    if version:
        parts["metadata.json"] = json.dumps({"keras_version": version}).encode()
    if names:
        parts["model.weights.h5"] = _renamed(parts["model.weights.h5"], names)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def _renamed(weights: bytes, names: dict[str, str]) -> bytes:
    target = io.BytesIO()
    with h5py.File(io.BytesIO(weights), "r") as old, h5py.File(target, "w") as new:

        def copy(path: str, member: Any) -> None:
            if isinstance(member, h5py.Dataset):
                new.create_dataset("/".join(names.get(part, part) for part in path.split("/")), data=member[()])

        old.visititems(copy)
    return target.getvalue()
