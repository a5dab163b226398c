"""A graph's inputs and outputs: their names, dtypes and dimensions."""

from __future__ import annotations

import numpy as np
import onnx

from aetool_runtime.errors import ConversionError
from aetool_runtime.specs import TensorSpec

__all__ = ["check_interface", "set_interface"]


def set_interface(model: onnx.ModelProto, given: TensorSpec, returned: TensorSpec) -> None:
    """Say exactly what goes in and out: a free ``batch`` first, then sizes, in place of the converter's guesses.

    Raises:
        ConversionError: the graph has other inputs or outputs than these.
    """
    check_interface(model, given, returned)
    model.graph.input[0].CopyFrom(_value(given))
    model.graph.output[0].CopyFrom(_value(returned))


def check_interface(model: onnx.ModelProto, given: TensorSpec, returned: TensorSpec) -> None:
    """Raise unless the graph has exactly this input and this output."""
    for kind, met, spec in (("inputs", model.graph.input, given), ("outputs", model.graph.output, returned)):
        names = [tensor.name for tensor in met]
        if names != [spec.name]:
            raise ConversionError(f"the converted graph has the {kind} {names}", expected=f"[{spec.name!r}]")


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    dtype = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    dimensions = [_dimension(spec.name, axis, size) for axis, size in enumerate(spec.shape)]
    return onnx.helper.make_tensor_value_info(spec.name, dtype, dimensions)


def _dimension(name: str, axis: int, size: int | None) -> int | str:
    if size is not None:
        return size
    return "batch" if axis == 0 else f"{name}_{axis}"
