"""What `zoo_truth.py` gives Keras for classes that are nobody's: see there."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

_NO_LAYERS = ("compile_config", "inbound_nodes")
_TRAINING = ("initializer", "regularizer", "constraint", "dtype")


def stand_ins(path: Path, keras: Any) -> dict[str, Any]:
    """Names in a file that Keras does not know → layers and functions that return their first input tensor, and a model
    that holds the models in its configuration."""
    config = configuration(path)
    objects: dict[str, Any] = {}
    for entry in entries(config):
        name = entry["class_name"]
        if not hasattr(keras.layers, name) and not hasattr(keras, name) and name not in ("Functional", "function"):
            stand_in = holder_class(keras) if entry is config else first_class(keras)
            objects |= {name: stand_in, str(entry.get("registered_name")): stand_in}
        if name == "Lambda" and isinstance(entry["config"], dict):
            function = entry["config"].get("function")
            called = function.get("config") if isinstance(function, dict) else function
            if isinstance(called, str):
                objects[called] = lambda tensors, **_: tensors[0]
    return objects


def first_class(keras: Any) -> Any:
    """A layer that returns its first input tensor."""

    class First(keras.layers.Layer):
        def __init__(self, **config: Any) -> None:
            super().__init__(name=config.get("name"))

        def call(self, *inputs: Any, **_: Any) -> Any:
            return inputs[0][0] if isinstance(inputs[0], (list, tuple)) else inputs[0]

    return First


def holder_class(keras: Any) -> Any:
    """A model that holds the models in its configuration, under their names."""

    class Holder(keras.Model):
        def __init__(self, **config: Any) -> None:
            super().__init__(name="holder")
            for name, value in config.items():
                if isinstance(value, dict) and "layers" in (value.get("config") or {}):
                    setattr(self, name, keras.saving.deserialize_keras_object(value))

        @classmethod
        def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
            return cls(**config)

        def call(self, given: Any) -> Any:
            return self.decoder(self.encoder(given)[0])

    return Holder


def kind(path: Path) -> str:
    """The bytes tell."""
    with path.open("rb") as file:
        return ".keras" if file.read(2) == b"PK" else ".h5"


def configuration(path: Path) -> Any:
    if kind(path) == ".h5":
        import h5py

        with h5py.File(path, "r") as file:
            return json.loads(file.attrs["model_config"])
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def entries(value: Any) -> list[dict[str, Any]]:
    """Everything that has a class and a configuration and may be a layer."""
    if isinstance(value, list):
        return [entry for item in value for entry in entries(item)]
    if not isinstance(value, dict):
        return []
    kept = [item for key, item in value.items() if not key.endswith(_TRAINING) and key not in _NO_LAYERS]
    inner = [entry for item in kept for entry in entries(item)]
    own = isinstance(value.get("class_name"), str) and "config" in value and not value["class_name"].startswith("__")
    return [value, *inner] if own else inner
