"""Arguments of layers that older or newer Keras wrote and this one does not take, rewritten or dropped as data.

Dropped is what cannot matter once the model is trained: initializers, regularizers, constraints, and what chose an
implementation. An argument that changes what is computed is carried over, or the layer is refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeAlias

__all__ = ["RENAMED_CLASSES", "leftover_arguments", "rewrite_arguments"]

Config: TypeAlias = dict[str, Any]

RENAMED_CLASSES = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "LSTMV1": "LSTM",
    "LSTMV2": "LSTM",
    "UnifiedLSTM": "LSTM",
    "GRUV1": "GRU",
    "GRUV2": "GRU",
    "UnifiedGRU": "GRU",
    "Model": "Functional",
}
"""Classes that were called something else."""

_IRRELEVANT = frozenset({
    "adjustment", "batch_input_shape", "batch_size", "build_input_shape", "fused", "implementation", "input_dtype",
    "input_length", "input_tensor", "key_shape", "noise_seed", "query_shape", "ragged", "renorm_clipping",
    "renorm_momentum", "unit_forget_bias", "value_shape", "virtual_batch_size",
})  # fmt: skip
"""Without a meaning for the values that are computed, or (the input's shape) read elsewhere."""

_FOR_TRAINING = ("_initializer", "_regularizer", "_constraint")
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "groups": (1,),
    "moving_average": (None,),
    "renorm": (False,),
    "sparse": (False,),
    "time_major": (False,),
    "zero_output_for_mask": (False,),
}
"""Argument → values that change nothing; any argument may also be ``None``, ``False`` or empty."""

_RENAMED: dict[tuple[str, str], str] = {
    ("LeakyReLU", "alpha"): "negative_slope",
    ("LeakyReLU", "negative_slope"): "negative_slope",
    ("Dropout", "p"): "rate",
    ("GaussianNoise", "sigma"): "stddev",
}

_ACTIVATIONS = {
    "softmax_v2": "softmax",
    "log_softmax_v2": "log_softmax",
    "leaky_relu_v2": "leaky_relu",
    "relu_v2": "relu",
    "swish": "silu",
    "swish_v2": "silu",
}


def rewrite_arguments(kind: str, config: Config, major: int) -> list[str]:
    """Put a layer's configuration right, in place.

    Args:
        kind: the layer's class.
        major: of the Keras that wrote it.

    Returns:
        What the user should know.
    """
    notices: list[str] = []
    for name in list(config):
        config[name] = _plain(config[name])
    for (layer, old), new in _RENAMED.items():
        if layer == kind and old in config:
            config[new] = config.pop(old)
    _training_only(config)
    notices += _float32(config)
    notices += _stateless(config)
    _axis(config)
    notices += _activations(config, major)
    if kind == "GRU" and "reset_after" not in config and major < 3:
        config["reset_after"] = False  # the only way that there was
    return notices


def leftover_arguments(kind: type, config: Config) -> dict[str, Any]:
    """Take away what a layer class does not accept; return what of it would have meant something."""
    accepted = _accepted(kind)
    unknown = {name: config.pop(name) for name in list(config) if name not in accepted}
    return {name: value for name, value in unknown.items() if not _harmless(name, value)}


def _harmless(name: str, value: Any) -> bool:
    if name in _IRRELEVANT or name.endswith(_FOR_TRAINING):
        return True
    return value is None or value is False or value in ([], {}, *_NEUTRAL.get(name, ()))


def _accepted(kind: type) -> set[str]:
    """The arguments of a class and of those that it hands its ``**kwargs`` to."""
    found = {"name", "trainable", "dtype"}
    for base in kind.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
            found |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return found - {"self"}


def _plain(value: Any) -> Any:
    """A number or list that was written as an array or tuple."""
    if isinstance(value, dict):
        if value.get("type") == "ndarray" and "value" in value:
            return value["value"]
        if value.get("class_name") in ("__numpy__", "__tensor__") and isinstance(value.get("config"), Mapping):
            return value["config"].get("value")
        if value.get("class_name") in ("__tuple__", "TensorShape") and "items" in value:
            return [_plain(item) for item in value["items"]]
    return value


def _training_only(config: Config) -> None:
    for name in list(config):
        if name.endswith(_FOR_TRAINING):
            config[name] = "zeros" if name.endswith(_FOR_TRAINING[0]) else None  # the weights come from the file


def _float32(config: Config) -> list[str]:
    met = _dtype_name(config.get("dtype"))
    if met is None:
        config.pop("dtype", None)
        return []
    reduced = "float16" in met or met == "float64"
    config["dtype"] = "float32" if reduced else met
    return [f"computed in {met} where it was trained, in float32 here"] if reduced else []


def _dtype_name(dtype: Any) -> str | None:
    """A dtype's or policy's name; ``bfloat16`` is a float16 of another kind here."""
    while isinstance(dtype, dict):
        inner = dtype.get("config")
        dtype = inner.get("name", inner.get("source_name")) if isinstance(inner, dict) else inner
    return dtype if isinstance(dtype, str) else None


def _stateless(config: Config) -> list[str]:
    if not config.get("stateful"):
        return []
    config["stateful"] = False
    return ["kept its state between calls where it was trained, and begins anew for every sample here"]


def _axis(config: Config) -> None:
    axis = config.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]


def _activations(config: Config, major: int) -> list[str]:
    notices = []
    for name in ("activation", "recurrent_activation"):
        config_has = name in config
        met = _function_name(config.get(name))
        if not config_has or met is None:
            continue
        met = _ACTIVATIONS.get(met, met)
        if met == "hard_sigmoid" and major < 3:
            met = "hard_sigmoid_of_keras_2"
            notices.append("uses Keras 2's hard_sigmoid, clip(0.2 x + 0.5, 0, 1); Keras 3 computes another function")
        config[name] = met
    return notices


def _function_name(value: Any) -> str | None:
    """An activation's name; layers as activations stay entries."""
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    return value if isinstance(value, str) else None
