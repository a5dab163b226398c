"""Large tensors beside a model instead of inside: what goes through the tools that copy and serialize stays small.

In the model a tensor's place is taken by one that has a name, a type and sizes, and says that its data are elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from aetool_exporters.reference import Reference
from aetool_runtime.specs import Array, Role

__all__ = ["LARGE", "Weights", "is_elsewhere", "large_variables"]

LARGE = 1 << 20
"""Bytes from which on a tensor is kept beside."""

_PREFIX = "aetool_weight_"
_PLAIN = {"Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Dense", "Embedding"}


def is_elsewhere(tensor: TensorProto) -> bool:
    """Whether a tensor only stands for one that is kept beside its model."""
    return bool(tensor.data_location == TensorProto.EXTERNAL)


def large_variables(reference: Reference, role: Role) -> dict[str, Any]:
    """The large weights of a role's plain layers, by the names that they are to have as inputs."""
    models = {"encoder": (reference.encoder,), "decoder": (reference.decoder,)}.get(role, reference.models)
    layers = [layer for model in models if model is not None for layer in model._flatten_layers()]
    plain = {id(layer): layer for layer in layers if type(layer).__name__ in _PLAIN and _is_of_keras(layer)}
    variables = {id(variable): variable for layer in plain.values() for variable in layer.variables}
    large = [variable for variable in variables.values() if variable.dtype == "float32" and _bytes(variable) >= LARGE]
    return {f"{_PREFIX}{number}": variable for number, variable in enumerate(large)}


def _is_of_keras(layer: Any) -> bool:
    return type(layer).__module__.startswith("keras.")


def _bytes(variable: Any) -> int:
    return 4 * int(np.prod(variable.shape))


class Weights(Mapping[str, Array]):
    """Name in the outermost graph → the tensor's values."""

    def __init__(self, values: Mapping[str, Array] | None = None) -> None:
        self._values = dict(values or {})

    @classmethod
    def taken_from(cls, model: onnx.ModelProto) -> Weights:
        """Take the large constants out of a model."""
        weights = cls()
        for tensor in model.graph.initializer:
            if tensor.data_type != TensorProto.STRING and tensor.ByteSize() >= LARGE:
                tensor.CopyFrom(weights.store(tensor.name, numpy_helper.to_array(tensor)))
        return weights

    def __getitem__(self, name: str) -> Array:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def store(self, name: str, value: Array) -> TensorProto:
        """The tensor that goes into a model for these values: all of it, or one that stands for it."""
        if value.nbytes < LARGE:
            return numpy_helper.from_array(value, name)
        self._values[name] = value
        dtype = helper.np_dtype_to_tensor_dtype(value.dtype)
        tensor = TensorProto(name=name, data_type=dtype, dims=value.shape, data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=name)
        return tensor

    def renamed(self, model: onnx.ModelProto) -> Weights:
        """The weights under the names that the tensors of ``model`` that stand for them have now."""
        places = {tensor.name: tensor for tensor in model.graph.initializer if is_elsewhere(tensor)}
        return Weights({name: self[tensor.external_data[0].value] for name, tensor in places.items()})

    def keep(self, names: Iterable[str]) -> None:
        """Forget all others."""
        kept = set(names)
        self._values = {name: value for name, value in self._values.items() if name in kept}

    def skeleton(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """A copy in which the large tensors are inputs: for tools that need no values, and would look for a file."""
        result = onnx.ModelProto()
        result.CopyFrom(model)
        inside = [tensor for tensor in result.graph.initializer if not is_elsewhere(tensor)]
        given = [
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            for tensor in result.graph.initializer
            if is_elsewhere(tensor)
        ]
        del result.graph.initializer[:]
        result.graph.initializer.extend(inside)
        result.graph.input.extend(given)
        return result

    def fleshed(self, skeleton: onnx.ModelProto) -> onnx.ModelProto:
        """The opposite of ``skeleton``: what stood among the inputs, and is one of these, is a constant again."""
        given = [value for value in skeleton.graph.input if value.name not in self._values]
        lifted = [self.store(value.name, self[value.name]) for value in skeleton.graph.input if value.name in self]
        del skeleton.graph.input[:]
        skeleton.graph.input.extend(given)
        skeleton.graph.initializer.extend(lifted)
        return skeleton
