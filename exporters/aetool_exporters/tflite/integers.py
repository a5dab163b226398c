"""A float graph → one that computes in integers (``int8``, or ``int16`` with int8 weights), as far as kernels go.

Between operations in integers and operations in float32 stand ``QUANTIZE`` and ``DEQUANTIZE``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aetool_exporters.quantization.affine import Affine, Range
from aetool_exporters.tflite.calibration import Statistics
from aetool_exporters.tflite.editing import GraphEditor, as_parameters, operator_name
from aetool_exporters.tflite.kernel_quantizer import KernelQuantizer
from aetool_exporters.tflite.kernels import (
    CARRIED,
    FIXED,
    JOINED,
    SATURATION,
    WEIGHTED,
    fixed_output,
    largest_logit,
    version,
)
from aetool_exporters.tflite.plan import Plan
from aetool_exporters.tflite.weights import quantize_bias

__all__ = ["IntegerOptions", "quantize_graph"]

_BIAS = {"int8": "int32", "int16": "int64"}


@dataclass(frozen=True)
class IntegerOptions:
    """How a graph is written in integers.

    Args:
        dtype: of activations: ``int8`` or ``int16``.
        kernels: makes integers of kernels.
        integer_io: the graph takes and returns integers.
        given: tensor → the quantization that it must have.
        adjust: tensor, its finest quantization → a coarser one that suits better; for the graph's inputs and outputs.
    """

    dtype: str
    kernels: KernelQuantizer
    integer_io: bool = False
    given: Mapping[int, Affine] = field(default_factory=dict)
    adjust: Callable[[int, Affine], Affine] = lambda index, affine: affine


def quantize_graph(
    editor: GraphEditor, plan: Plan, statistics: Mapping[int, Statistics], options: IntegerOptions
) -> dict[int, Affine]:
    """Rewrite a subgraph in place.

    Returns:
        Tensor → its quantization, of every tensor that has integers; tensors keep their places.
    """
    return _Rewriting(editor, plan, statistics, options).run()


class _Rewriting:
    def __init__(
        self, editor: GraphEditor, plan: Plan, statistics: Mapping[int, Statistics], options: IntegerOptions
    ) -> None:
        self.editor = editor
        self.plan = plan
        self.statistics = statistics
        self.options = options
        self.affine: dict[int, Affine] = {}
        self.integer: dict[int, int] = {}  # tensor → where its integers are
        self.real: dict[int, int] = {}  # tensor of integers → where its real values are
        self.operators: list[Any] = []

    def run(self) -> dict[int, Affine]:
        for index in self._integer_inputs():
            self._becomes_integer(index, self._finest(index))
        for operator, integer in zip(self.editor.subgraph.operators, self.plan.integer, strict=True):
            (self._in_integers if integer else self._in_reals)(operator)
        self._settle_outputs()
        self.editor.subgraph.operators = self.operators
        return self.affine

    def _integer_inputs(self) -> list[int]:
        if not self.options.integer_io:
            return []
        return [int(index) for index in self.editor.subgraph.inputs if self.editor.is_float(int(index))]

    def _in_reals(self, operator: Any) -> None:
        operator.inputs = np.array([self._as_real(int(index)) for index in operator.inputs], np.int32)
        self.operators.append(operator)

    def _in_integers(self, operator: Any) -> None:
        name = operator_name(self.editor.model, operator)
        if name in WEIGHTED:
            self._weighted(operator, name)
        else:
            self._plain(operator, name)
        dtype = self.options.dtype
        least = version(name, dtype)
        self.editor.set_code(operator, name, max(least, self.editor.version(operator)))
        if hasattr(operator.builtinOptions, "potScaleInt16"):
            operator.builtinOptions.potScaleInt16 = False
        self.operators.append(operator)

    def _plain(self, operator: Any, name: str) -> None:
        outputs = [int(index) for index in operator.outputs if self.editor.is_float(int(index))]
        if name in JOINED:
            for index in outputs:
                self._becomes_integer(index, self._finest(index))
            wanted = self.affine[outputs[0]]
            operator.inputs = np.array([self._as_integer(int(i), wanted) for i in operator.inputs], np.int32)
            return
        operator.inputs = np.array([self._as_integer(int(index)) for index in operator.inputs], np.int32)
        source = next((int(i) for i in operator.inputs if int(i) in self.affine), None)
        for index in outputs:
            if name in FIXED:
                affine = fixed_output(name, self.options.dtype)
            elif name in CARRIED and source is not None:
                affine = self.affine[source]
            else:
                affine = self._finest(index)
            self._becomes_integer(index, affine)

    def _weighted(self, operator: Any, name: str) -> None:
        places = WEIGHTED[name]
        inputs = [int(index) for index in operator.inputs]
        real = inputs[places.data]
        inputs[places.data] = self._as_integer(real)
        scale = self.affine[inputs[places.data]].scale
        kernel = self.editor.constant(inputs[places.kernel])
        bias = self.editor.constant(inputs[places.bias]) if len(inputs) > places.bias else None
        assert kernel is not None
        buffer = self.editor.subgraph.tensors[inputs[places.kernel]].buffer
        made, bias = self.options.kernels.quantize(name, buffer, kernel, bias, scale)
        none = [0] * len(made.scales)
        inputs[places.kernel] = self.editor.add_constant(made.values, as_parameters(made.scales, none, places.axis))
        if bias is not None:
            values, units = quantize_bias(bias, made.scales, scale, _BIAS[self.options.dtype])
            inputs[places.bias :] = [self.editor.add_constant(values, as_parameters(units, none))]
        operator.inputs = np.array(inputs, np.int32)
        output = int(operator.outputs[0])
        self._becomes_integer(output, self._finest(output))

    def _finest(self, index: int) -> Affine:
        """The quantization of what is known of a tensor's values; no wider than the function that reads it looks."""
        if index in self.options.given:
            return self.options.given[index]
        held = self.statistics[index].range
        reader = self._only_reader(index)
        if reader in SATURATION:
            most = largest_logit(reader, self.options.dtype)
            held = Range(min(max(held.minimum, -most), 0.0), max(min(held.maximum, most), 0.0))
        symmetric = self.options.dtype == "int16"
        affine = Affine.covering(held, self.options.dtype, symmetric=symmetric)
        return self.options.adjust(index, affine)

    def _only_reader(self, index: int) -> str:
        """The operation that alone reads a tensor, if it does so in integers."""
        if index in self.editor.subgraph.outputs:
            return ""
        pairs = zip(self.editor.subgraph.operators, self.plan.integer, strict=True)
        readers = [(operator_name(self.editor.model, op), integer) for op, integer in pairs if index in op.inputs]
        return readers[0][0] if len(readers) == 1 and readers[0][1] else ""

    def _becomes_integer(self, index: int, affine: Affine) -> None:
        self.editor.retype(index, affine, self.options.dtype)
        self.affine[index] = affine
        self.integer[index] = index

    def _as_real(self, index: int) -> int:
        if index not in self.affine:
            return index
        if index not in self.real:
            self.real[index] = self.editor.add_tensor(index, "float32")
            self._convert("DEQUANTIZE", index, self.real[index])
        return self.real[index]

    def _as_integer(self, index: int, wanted: Affine | None = None) -> int:
        if index not in self.integer:
            if not self.editor.is_float(index):
                return index
            constant = self.editor.constant(index)
            if constant is not None:
                return self._integer_constant(constant, wanted)
            self._quantize(index, wanted or self._finest(index))
        held = self.integer[index]
        return held if wanted is None or wanted == self.affine[held] else self._requantized(held, wanted)

    def _integer_constant(self, values: Any, wanted: Affine | None) -> int:
        span = Range(float(values.min()), float(values.max()))
        symmetric = self.options.dtype == "int16"
        affine = wanted or Affine.covering(span, self.options.dtype, symmetric=symmetric)
        integers = affine.quantize(values).astype(self.options.dtype)
        index = self.editor.add_constant(integers, as_parameters([affine.scale], [affine.zero_point]))
        self.affine[index] = affine
        return index

    def _quantize(self, index: int, affine: Affine) -> None:
        made = self._integer_tensor(index, affine)
        self.integer[index] = made
        self._convert("QUANTIZE", index, made)

    def _requantized(self, index: int, wanted: Affine) -> int:
        made = self._integer_tensor(index, wanted)
        self._convert("QUANTIZE", index, made)
        return made

    def _integer_tensor(self, like: int, affine: Affine) -> int:
        made = self.editor.add_tensor(like, self.options.dtype, as_parameters([affine.scale], [affine.zero_point]))
        self.affine[made] = affine
        self.integer[made] = made
        return made

    def _convert(self, name: str, source: int, target: int) -> None:
        dtype = self.options.dtype
        newest = {"QUANTIZE": {"int8": 1, "int16": 2}, "DEQUANTIZE": {"int8": 2, "int16": 3}}[name][dtype]
        self.operators.append(self.editor.operator(name, [source], [target], newest))

    def _settle_outputs(self) -> None:
        settle = self._as_integer if self.options.integer_io else self._as_real
        outputs = [int(index) for index in self.editor.subgraph.outputs]
        moved = {index: settle(index) for index in outputs}
        self.editor.subgraph.outputs = np.array([moved[index] for index in outputs], np.int32)
        for entry in self.editor.model.signatureDefs:
            if self.editor.model.subgraphs[entry.subgraphIndex] is self.editor.subgraph:
                for item in entry.outputs:
                    item.tensorIndex = moved[item.tensorIndex]
