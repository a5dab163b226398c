"""A graph's inputs and outputs: their names, dtypes and dimensions."""

from __future__ import annotations

import numpy as np
import onnx

from aetool_exporters.reference import Interface
from aetool_runtime.errors import ConversionError
from aetool_runtime.specs import TensorSpec

__all__ = ["check_interface", "set_interface"]


def set_interface(model: onnx.ModelProto, wanted: Interface) -> None:
    """Say exactly what goes in and out: a free ``batch`` first, then sizes, in place of the converter's guesses.

    Raises:
        ConversionError: the graph has other inputs or outputs than these.
    """
    check_interface(model, wanted)
    del model.graph.input[:], model.graph.output[:]
    model.graph.input.append(_value(wanted.given))
    model.graph.output.extend(map(_value, wanted.returned))


def check_interface(model: onnx.ModelProto, wanted: Interface) -> None:
    """Raise unless the graph has exactly this input and these outputs."""
    graph = model.graph
    for kind, met, specs in (("inputs", graph.input, (wanted.given,)), ("outputs", graph.output, wanted.returned)):
        names, expected = sorted(tensor.name for tensor in met), sorted(spec.name for spec in specs)
        if names != expected:
            raise ConversionError(f"the converted graph has the {kind} {names}", expected=f"{expected}")


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    dtype = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    dimensions = [_dimension(spec.name, axis, size) for axis, size in enumerate(spec.shape)]
    return onnx.helper.make_tensor_value_info(spec.name, dtype, dimensions)


def _dimension(name: str, axis: int, size: int | None) -> int | str:
    if size is not None:
        return size
    return "batch" if axis == 0 else f"{name}_{axis}"
