"""Puts a file's weights into a model that was rebuilt from it, and says so when they do not fit."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from aetool_exporters.foreign.cudnn import from_cudnn
from aetool_exporters.foreign.model_file import ModelFile
from aetool_exporters.reason import reason
from aetool_runtime.errors import ModelError

__all__ = ["load_weights"]

_OLD_NAMES = {"_layer_checkpoint_dependencies": "layers"}


def load_weights(model: Any, file: ModelFile, replaced: Collection[str] = (), below: str = "") -> None:
    """Load the weights of ``file`` into ``model``.

    Args:
        replaced: layers of the file that have others in their place now.
        below: the group of a ``.keras`` file that the model's weights lie in; "" for the file's own model.

    Raises:
        ModelError: they do not fit.
    """
    try:
        with file.open_weights() as root:
            if file.kind == ".h5":
                _load_by_layer(model, root.get("model_weights", root), replaced)
            else:
                _load_by_class(model, root[below] if below else root)
    except ModelError:
        raise
    except Exception as error:  # h5py and Keras raise what they run into
        raise ModelError(
            f"the weights do not fit the model ({reason(error)})",
            where=str(file.path),
            hint="save the model again with the Keras that it was made with, as .keras",
        ) from error


def _load_by_layer(model: Any, group: Any, replaced: Collection[str]) -> None:
    """``.h5``: one group for each layer, named like it, its weights in order."""
    names = [_text(name) for name in _attribute(group, "layer_names")]
    saved = {name: _values(group[name]) for name in names if name not in replaced}
    saved = {name: values for name, values in saved.items() if values}
    layers = {layer.name: layer for layer in model.layers if _ordered(layer)}
    if saved.keys() != layers.keys():
        if len(saved) != len(layers):
            raise ValueError(f"{len(saved)} layers have weights in the file, {len(layers)} in the model")
        saved = dict(zip(layers, saved.values(), strict=True))
    for name, layer in layers.items():
        variables = _ordered(layer)
        values = from_cudnn([tuple(variable.shape) for variable in variables], saved[name])
        if [tuple(v.shape) for v in variables] != [v.shape for v in values]:
            raise ValueError(f"those of layer {name!r} have the shapes {[v.shape for v in values]}")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        if hasattr(layer, "finalize_state"):  # Normalization computes with what it makes of its weights
            layer.finalize_state()


def _ordered(layer: Any) -> list[Any]:
    """Without the states of random generators, which old files do not have."""
    found = [*layer.trainable_weights, *layer.non_trainable_weights]
    return [weight for weight in found if "seed_generator" not in weight.path]


def _values(group: Any) -> list[Any]:
    names = [_text(name) for name in _attribute(group, "weight_names")]
    return [group[name][()] for name in names if "seed_generator" not in name]


def _attribute(group: Any, name: str) -> list[Any]:
    """An attribute that may be spread over ``name0``, ``name1``, … for its size."""
    if name in group.attrs:
        return list(group.attrs[name])
    found: list[Any] = []
    while f"{name}{len(found)}" in group.attrs:
        found.append(group.attrs[f"{name}{len(found)}"])
    return [item for chunk in found for item in chunk]


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _load_by_class(model: Any, group: Any) -> None:
    """``.keras``: groups named after classes, which Keras finds its way through."""
    import h5py  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory(prefix="aetool-") as folder:
        path = Path(folder) / "model.weights.h5"
        with h5py.File(path, "w") as target:
            _copy(group, target)
        model.load_weights(path)


def _copy(group: Any, target: Any) -> None:
    """Copy datasets and attributes under today's names."""
    import h5py

    target.attrs.update(group.attrs)

    def copy(path: str, member: Any) -> None:
        place = "/".join(_OLD_NAMES.get(part, part) for part in path.replace("\\", "/").split("/"))
        if place.split("/")[0] in ("optimizer", "metrics"):
            return
        if isinstance(member, h5py.Dataset):
            target.create_dataset(place, data=member[()])
        else:
            target.require_group(place).attrs.update(member.attrs)

    group.visititems(copy)
