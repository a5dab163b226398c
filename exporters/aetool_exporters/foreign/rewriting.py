"""The architecture in a file → one that this Keras can build, with what stands in for what it cannot.

All of it happens to data, before Keras sees any: each layer is known, rewritten, replaced, or refused by name.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aetool_exporters.foreign.carried_code import carries_code, function_called
from aetool_exporters.foreign.entries import (
    GRAPHS,
    Entry,
    count_calls_from_zero,
    inner_layers,
    is_entry,
    layer_name,
    read_from,
)
from aetool_exporters.foreign.input_shapes import add_input, ensure_input, free_batch, shape_from_kernel
from aetool_exporters.foreign.legacy_arguments import RENAMED_CLASSES, leftover_arguments, rewrite_arguments
from aetool_exporters.foreign.model_file import ModelFile
from aetool_exporters.foreign.operation_layers import (
    OPERATION_CLASSES,
    operation_name,
    rewrite_operation,
    with_tensors_by_name,
)
from aetool_exporters.foreign.sampling import mean_position
from aetool_exporters.foreign.surgery import Surgery
from aetool_exporters.foreign.weight_index import WeightIndex
from aetool_runtime.errors import ModelError

__all__ = ["Rewritten", "rewrite"]

_MODULES = {"Sequential": "keras", "Functional": "keras.src.models.functional"}  # as Keras 3 writes them
_WRAPPED = ("layer", "forward_layer", "backward_layer", "cell", "cells")


@dataclass
class Rewritten:
    """An architecture, ready to be built.

    Args:
        config: of the model.
        objects: class and function names in it → what they stand for.
        replaced: names of the layers that the user's functions took the place of; their weights are not needed.
        notices: what the user should know, in sentences.
    """

    config: Entry
    objects: dict[str, Any] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    notices: list[str] = field(default_factory=list)


def rewrite(file: ModelFile, config: Entry, surgery: Surgery) -> Rewritten:
    """Rewrite a functional or Sequential model of a file; the file's own configuration is left as it is.

    Raises:
        ModelError: a layer that is unknown, carries code, or means something that cannot be carried over; names it and
            what to do.
    """
    try:
        rewriter = _Rewriter(file, surgery, Rewritten(copy.deepcopy(config)))
        rewriter.graph(rewriter.result.config, "")
        code = carries_code(rewriter.result.config)
    except RecursionError as error:
        raise ModelError("the architecture is nested too deeply", where=str(file.path)) from error
    if code:
        raise ModelError("the file carries Python code, which is never run", where=str(file.path))
    rewriter.result.notices[:] = dict.fromkeys(rewriter.result.notices)
    return rewriter.result


class _Rewriter:
    """Goes through the layers of one model."""

    def __init__(self, file: ModelFile, surgery: Surgery, result: Rewritten) -> None:
        import keras

        from aetool_exporters.foreign import portable_layers, stand_ins
        from aetool_exporters.foreign.single_operation import SingleOperation

        self._keras, self._stand_ins, self._portable = keras, stand_ins, portable_layers
        self._file, self._surgery, self.result = file, surgery, result
        self._weights = WeightIndex.of(file)
        self.result.objects |= {
            "SingleOperation": SingleOperation,
            "TakeMean": stand_ins.TakeMean,
            "TensorFunction": stand_ins.TensorFunction,
            "ThresholdedReLU": stand_ins.ThresholdedReLU,
            "hard_sigmoid_of_keras_2": stand_ins.hard_sigmoid_of_keras_2,
            **surgery.custom,
        }

    def graph(self, entry: Entry, prefix: str) -> None:
        """A functional or Sequential model, nested ones too."""
        entry["class_name"] = RENAMED_CLASSES.get(entry["class_name"], entry["class_name"])
        if isinstance(entry["config"], list):
            entry["config"] = {"name": entry.get("name") or "sequential", "layers": entry["config"]}
        config = entry["config"]
        if entry["class_name"] == "Functional" and not config.get("input_layers"):
            entry["class_name"] = "Sequential"
        config.setdefault("name", "sequential")
        count_calls_from_zero(entry)
        siblings = {layer_name(layer): copy.deepcopy(layer) for layer in inner_layers(entry)}
        for layer in inner_layers(entry):
            self._layer(layer, prefix + layer_name(layer), siblings)
        if entry["class_name"] == "Sequential":
            self._sequential_input(entry, siblings)
        for layer in inner_layers(entry):
            if isinstance(layer["config"], dict):
                layer["config"].pop("batch_input_shape", None)
        for key in ("compile_config", "build_config"):
            entry.pop(key, None)
        config.pop("build_input_shape", None)
        config.pop("dtype", None)
        entry |= {"module": _MODULES[entry["class_name"]], "registered_name": None}

    def _sequential_input(self, entry: Entry, siblings: Mapping[str, Entry]) -> None:
        if ensure_input(entry):
            return
        first = entry["config"]["layers"][0]
        kernels = self._weights.of_layer(siblings[layer_name(first)])
        shape = shape_from_kernel(first["class_name"], kernels[0], first["config"]) if kernels else None
        if shape is None:
            what = "is the first, and the file does not tell the shape of its input"
            raise self._refused(layer_name(first), what, "call model.build(shape) in Keras, and save it again")
        add_input(entry, shape, "int32" if first["class_name"] == "Embedding" else "float32")
        self._notice(layer_name(first), f"says nothing of its input; {shape[1:]} fits its weights")

    def _layer(self, entry: Entry, path: str, siblings: Mapping[str, Entry]) -> None:
        _never_training(entry)
        if entry["class_name"] == "CuDNNGRU":
            entry["config"]["reset_after"] = True
        if entry["class_name"] == "ThresholdedReLU" and not hasattr(self._keras.layers, "ThresholdedReLU"):
            self._stand_in(entry, "ThresholdedReLU", {"theta": _number(entry["config"].get("theta", 1.0))})
            return
        entry["class_name"] = RENAMED_CLASSES.get(entry["class_name"], entry["class_name"])
        function = self._surgery.replacement(path)
        if function is not None:
            self._replace(entry, path, function)
        elif entry["class_name"] in GRAPHS and not _is_custom(entry):
            self.graph(entry, f"{path}/")
        elif self._is_user_class(entry):
            entry.pop("compile_config", None)
        elif _is_operation(entry):
            return
        elif entry["class_name"] in OPERATION_CLASSES:
            self._operation(entry, path)
        elif self._is_keras_layer(entry):
            self._known(entry, path)
        else:
            self._unknown(entry, path, siblings)

    def _is_user_class(self, entry: Entry) -> bool:
        names = (entry["class_name"], entry.get("registered_name"))
        registered = [self._keras.saving.get_registered_object(name) for name in names if name]
        return any(name in self._surgery.custom for name in names) or any(registered)

    def _is_keras_layer(self, entry: Entry) -> bool:
        kind = getattr(self._keras.layers, entry["class_name"], None)
        is_layer = isinstance(kind, type) and issubclass(kind, self._keras.layers.Layer)
        return is_layer and entry["class_name"] != "Lambda" and not _is_custom(entry)

    def _known(self, entry: Entry, path: str) -> None:
        kind, config = entry["class_name"], entry["config"]
        if carries_code({key: value for key, value in config.items() if key not in _WRAPPED}):
            raise self._refused(path, "carries Python code, which is never run", self._remedy(path))
        for notice in rewrite_arguments(kind, config, self._file.major):
            self._notice(path, notice)
        self._activations(config, path)
        for wrapped in inner_layers(entry):
            self._layer(wrapped, f"{path}/{layer_name(wrapped)}", {})
        entry["inbound_nodes"] = [with_tensors_by_name(node) for node in entry.get("inbound_nodes", [])]
        if kind == "InputLayer" and free_batch(entry):
            self._notice(path, "had a fixed batch, which is free now")
        kept = {key: config[key] for key in ("batch_input_shape", "batch_shape") if key in config}
        leftover = leftover_arguments(getattr(self._keras.layers, kind), config)
        config |= kept if kind != "InputLayer" else {}
        if leftover:
            told = ", ".join(f"{name} = {value!r}" for name, value in leftover.items())
            raise self._refused(path, f"({kind}) has {told}, which this Keras does not know", self._remedy(path))
        entry |= {"module": "keras.layers", "registered_name": None}
        entry.pop("build_config", None)
        self._layout(entry, path)

    def _layout(self, entry: Entry, path: str) -> None:
        """Convolution and pooling on [batch, channels, …] is for GPUs only, some others for no other format."""
        kind, config = entry["class_name"], entry["config"]
        stand_in = self._portable.portable_class(kind, config)
        if config.get("data_format") == "channels_first" and kind not in ("Flatten", "InputLayer"):
            config["data_format"] = "channels_last"
            stand_in = self._portable.channels_first(stand_in or getattr(self._keras.layers, kind))
            self._notice(path, "works on channels first, between two transpositions")
        if stand_in is not None:
            name = f"{kind}_{len(self.result.objects)}"
            entry |= {"module": None, "registered_name": name}
            self.result.objects[name] = stand_in

    def _activations(self, config: dict[str, Any], path: str) -> None:
        for key in ("activation", "recurrent_activation"):
            met = config.get(key)
            if isinstance(met, dict) and is_entry(met) and hasattr(self._keras.layers, met["class_name"]):
                self._layer(met, f"{path}/{key}", {})
            elif isinstance(met, dict):
                raise self._refused(path, f"has an activation that is no function of Keras ({met})", self._remedy(path))
            elif isinstance(met, str) and met in self.result.objects:
                config[key] = {"class_name": "function", "config": met, "module": None, "registered_name": met}
            elif isinstance(met, str) and not hasattr(self._keras.activations, met):
                hint = f"--custom module:{met}, if you have its code, or " + self._remedy(path)
                raise self._refused(path, f"has the activation {met!r}, which is not part of Keras", hint)

    def _operation(self, entry: Entry, path: str) -> None:
        notices = rewrite_operation(entry, path)
        if notices is None:
            what = f"calls {operation_name(entry)}, which is not among the functions that are known to only compute"
            raise self._refused(path, what, self._remedy(path))
        self.result.notices += notices

    def _unknown(self, entry: Entry, path: str, siblings: Mapping[str, Entry]) -> None:
        mean = mean_position(entry, siblings)
        if mean is not None and not self._weights.of_layer(entry):
            heads = read_from(entry)[0]
            self._stand_in(entry, "TakeMean", {"mean": mean})
            told = f"draws a sample from {heads[0]!r} and {heads[1]!r}; the mean, {heads[mean]!r}, takes its place"
            self.result.notices.append(f"layer {path!r} {told}")
            return
        if entry["class_name"] == "Lambda":
            named = function_called(entry["config"])
            what = f"calls the Python function {named!r}" if named else "carries Python code, which is never run"
            hint = f"--custom module:{named}, or " if named else ""
            raise self._refused(path, what, hint + self._remedy(path))
        what = f"is a {entry['class_name']!r}, which is not part of Keras"
        raise self._refused(
            path, what, f"--custom module:{entry['class_name']}, if you have its code, or " + self._remedy(path)
        )

    def _replace(self, entry: Entry, path: str, function: Any) -> None:
        kind = f"Replacement{len(self.result.replaced) + 1}"
        self.result.replaced.add(layer_name(entry))
        self.result.objects[kind] = self._stand_ins.replacement(function)
        self._stand_in(entry, kind, {})
        self._notice(path, "is replaced by your function")

    def _stand_in(self, entry: Entry, kind: str, config: dict[str, Any]) -> None:
        config = {"name": layer_name(entry), "dtype": "float32", **config}
        entry |= {"module": None, "class_name": kind, "registered_name": kind, "config": config}
        entry.pop("build_config", None)

    def _notice(self, path: str, what: str) -> None:
        self.result.notices.append(f"layer {path!r} {what}")

    def _remedy(self, path: str) -> str:
        return f"--replace-layer {path}=module:function with a function of its input tensors"

    def _refused(self, path: str, what: str, hint: str) -> ModelError:
        return ModelError(
            f"layer {path!r} {what}", where=str(self._file.path), expected="layers of Keras only", hint=hint
        )


def _is_custom(entry: Entry) -> bool:
    """Somebody's own class that is called like one of Keras."""
    if "module" not in entry:
        return False
    module = str(entry["module"] or "")
    return not module.startswith(("keras.", "tensorflow.", "tf_keras.")) and module not in ("keras", "builtins")


def _is_operation(entry: Entry) -> bool:
    return str(entry.get("module", "")).startswith(("keras.src.ops", "keras.ops"))


def _number(value: Any) -> float:
    """Old files have numbers as arrays, too."""
    return float(value["value"] if isinstance(value, dict) else value)


def _never_training(entry: Entry) -> None:
    """Calls that ask for dropout or noise outside training are answered as all others."""
    for node in entry.get("inbound_nodes", []):
        if isinstance(node, dict):
            calls = [node.get("kwargs")]
        else:
            calls = [item[3] for item in node if isinstance(item, list) and len(item) > 3]
        for keywords in calls:
            if isinstance(keywords, dict) and keywords.get("training"):
                keywords["training"] = False
