"""Gives models an input layer with the shape that they were trained for, free in the batch only."""

from __future__ import annotations

from typing import Any, TypeAlias

from aetool_exporters.foreign.entries import GRAPHS, Entry, inner_layers, is_entry, layer_name

__all__ = ["Shape", "ensure_input", "free_batch", "shape_from_kernel"]

Shape: TypeAlias = list[int | None]

_RANKS = {"Conv1D": 1, "Conv2D": 2, "Conv3D": 3, "SeparableConv1D": 1, "SeparableConv2D": 2, "Conv2DTranspose": 2,
          "DepthwiseConv2D": 2, "Conv1DTranspose": 1}  # fmt: skip
_RECURRENT = {"LSTM", "GRU", "SimpleRNN", "Bidirectional", "TimeDistributed"}


def ensure_input(sequential: Entry) -> bool:
    """Put an ``InputLayer`` at the head of a Sequential model, in place; false when no shape is written anywhere."""
    layers = sequential["config"]["layers"]
    if not layers or layers[0]["class_name"] == "InputLayer":
        return True
    shape = _written_shape(layers[0]) or _shape(sequential["config"].get("build_input_shape")) or _built(sequential)
    if shape is None:
        return False
    add_input(sequential, shape, _dtype(layers[0]))
    return True


def add_input(sequential: Entry, shape: Shape, dtype: str) -> None:
    name = f"{layer_name(sequential['config']['layers'][0])}_input"
    config = {"batch_shape": [None, *shape[1:]], "dtype": dtype, "name": name}
    entry = {"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": None}
    sequential["config"]["layers"].insert(0, entry)


def free_batch(entry: Entry) -> bool:
    """Rename an input layer's shape, and free its batch, in place; true when the batch was fixed."""
    config = entry["config"]
    shape = _shape(config.pop("batch_input_shape", None)) or _shape(config.get("batch_shape"))
    if shape is None:
        shape = [None, *(_shape(config.pop("shape", None)) or [])]
    config["batch_shape"] = [None, *shape[1:]]
    return shape[0] is not None


def shape_from_kernel(kind: str, kernel: tuple[int, ...], config: dict[str, Any]) -> Shape | None:
    """What a first layer with such a kernel can take; sizes that no weight depends on stay free."""
    if kind == "Dense":
        return [None, kernel[0]]
    if kind in _RANKS and len(kernel) == _RANKS[kind] + 2:
        channel = -1 if kind.endswith("Transpose") else -2
        channels = kernel[channel] * int(config.get("groups", 1) or 1)
        return [None, *([None] * _RANKS[kind]), channels]
    if kind in _RECURRENT:
        return [None, None, kernel[0]]
    return [None, None] if kind == "Embedding" else None


def _written_shape(entry: Entry) -> Shape | None:
    """The shape that a layer, or the first layer of a model, says that it takes."""
    config = entry["config"]
    if isinstance(config, dict):
        for key in ("batch_input_shape", "batch_shape"):
            if _shape(config.get(key)):
                return _shape(config[key])
    if entry["class_name"] not in GRAPHS:
        return None
    inner = inner_layers(entry)
    if entry["class_name"] == "Sequential" or not isinstance(config, dict):
        return _written_shape(inner[0]) if inner else None
    first = _first_name(config.get("input_layers"))
    return next((_written_shape(layer) for layer in inner if layer_name(layer) == first), None)


def _first_name(references: Any) -> str:
    while isinstance(references, list) and references:
        references = references[0]
    return str(references)


def _built(entry: Entry) -> Shape | None:
    build = entry.get("build_config")
    return _shape(build.get("input_shape")) if isinstance(build, dict) else None


def _shape(value: Any) -> Shape | None:
    if is_entry(value) or not isinstance(value, (list, tuple)):
        return None
    sizes = list(value)
    return sizes if all(size is None or isinstance(size, int) for size in sizes) else None


def _dtype(entry: Entry) -> str:
    config = entry["config"]
    dtype = config.get("dtype") if isinstance(config, dict) else None
    return "int32" if entry["class_name"] == "Embedding" else dtype if isinstance(dtype, str) else "float32"
