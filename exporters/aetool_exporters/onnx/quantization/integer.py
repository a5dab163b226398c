"""Full-integer graphs: QDQ form, which engines turn into integer kernels.

What is chosen here, and why:

- **Activations are uint8, weights uint8 around 128** (127 integers on either side). With signed weights, or with
  signed activations, x86 machines without VNNI add pairs of products in 16 bits, which saturates; unsigned ones take
  other kernels there, and give the same integers on every machine (``benchmarks/same_integers.py``). ONNX Runtime
  takes only one zero point for all channels of a kernel, hence the symmetric weights; activations are asymmetric, so
  that what follows a ReLU has all 256 integers, and the ReLU itself is the lower end of the range.
- **Sums stay exact where they can**: a ``Gemm`` whose result goes on in float gives the scaled sum itself, which no
  8 bits hold; latents of wide range keep all their digits. Where it goes through a sigmoid first, nothing is cut off.
- **A transposed convolution computes on whole numbers**, as floats: no engine has an integer kernel for it, but sums of
  whole numbers below 2²⁴ are exact in float32, in any order and on any machine.
- **Changes of layout are done on the integers** themselves.
- Everything else is computed in float between the integers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import onnx

from aetool_exporters.onnx.ordering import reads
from aetool_exporters.onnx.quantization.interface import End, input_end, output_end
from aetool_exporters.onnx.quantization.kinds import LINEAR, is_movement, kernel_axis
from aetool_exporters.onnx.quantization.operands import Operands, fit_kernel
from aetool_exporters.onnx.quantization.view import View, attribute
from aetool_exporters.onnx.quantization.weights import Kernel
from aetool_exporters.onnx.quantization.writer import Writer
from aetool_exporters.quantization.affine import Affine, Range
from aetool_runtime.specs import Array, Quantization

__all__ = ["quantize", "tensors_to_measure"]

_USEFUL = {"Sigmoid": Range(-8.0, 8.0), "Tanh": Range(-4.0, 4.0)}
"""Beyond, these functions are within a tenth of an 8-bit step of their limits; a finer step within is worth more."""


def tensors_to_measure(model: onnx.ModelProto, floats: frozenset[str], *, integer_io: bool) -> list[str]:
    """The tensors of a prepared graph whose ranges ``quantize`` needs."""
    asked: dict[str, None] = {}

    def ask(name: str) -> Range:
        asked[name] = None
        return Range(-1.0, 1.0)

    quantize(model, floats, ask, integer_io=integer_io)
    return list(asked)


def quantize(
    model: onnx.ModelProto,
    floats: frozenset[str],
    range_of: Callable[[str], Range],
    *,
    per_channel: bool = True,
    integer_io: bool = False,
) -> tuple[onnx.ModelProto, dict[str, Quantization]]:
    """The quantized graph, in the same opset.

    Args:
        model: from ``prepare``.
        floats: names of the nodes that are to stay in float.
        range_of: a tensor → the range its integers should cover.
        integer_io: inputs and outputs that are float32 become the integers.

    Returns:
        The graph; and what the integers of inputs and outputs stand for, by name, where they are integers.
    """
    return _Quantizer(model, floats, range_of, per_channel, integer_io).run()


class _Quantizer:
    """Writes the nodes anew, one after the other.

    A tensor keeps its name in float; as integers it is called ``NAME/int``, and where the integers stand for something
    less exact than the float, ``NAME/restored`` is what they stand for.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        floats: frozenset[str],
        range_of: Callable[[str], Range],
        per_channel: bool,
        integer_io: bool,
    ) -> None:
        self._view = View(model)
        self._floats = floats
        self._range_of = range_of
        self._per_channel = per_channel
        self._integer_io = integer_io
        self._writer = Writer()
        self._operands = Operands(self._writer)
        self._affines: dict[str, Affine] = {}  # of the tensors that there are integers of
        self._float_names = {*self._view.constants, *(tensor.name for tensor in model.graph.input)}
        self._integer_names: dict[str, str] = {}
        self._fused: set[str] = set()  # functions that an earlier node does as well
        self._ends = self._find_ends() if integer_io else {}
        self._passed = {name for end in self._ends.values() for name in end.nodes}
        self._needed: dict[str, bool] = {}

    def run(self) -> tuple[onnx.ModelProto, dict[str, Quantization]]:
        interface = self._begin()
        for node in self._view.graph.node:
            if node.name in self._fused:
                continue
            if node.name in self._passed:
                self._pass(node)
                continue
            if self._is_linear(node):
                self._linear(node)
            elif is_movement(node) and self._view.is_float(node.input[0]):
                self._movement(node)
            else:
                self._other(node)
        return self._end(interface)

    # which tensors are integers

    def _is_linear(self, node: onnx.NodeProto) -> bool:
        if node.op_type not in LINEAR or node.name in self._floats or node.input[1] not in self._view.constants:
            return False
        if not self._view.is_float(node.input[0]) or self._view.shape(node.output[0]) is None:
            return False
        if len(node.input) > 2 and node.input[2] and node.input[2] not in self._view.constants:
            return False
        plain = attribute(node, "alpha", 1.0) == attribute(node, "beta", 1.0) == 1.0 and not attribute(
            node, "transA", 0
        )
        grouped = node.op_type == "ConvTranspose" and attribute(node, "group", 1) != 1
        return plain and not grouped and len(self._view.constants[node.input[1]].dims) >= 2

    def _is_needed(self, name: str) -> bool:
        """Whether anything reads a tensor as integers."""
        if name not in self._needed:
            is_output = self._integer_io and name in self._view.outputs
            readers = self._view.readers.get(name, [])
            self._needed[name] = is_output or any(self._takes_integers(reader, name) for reader in readers)
        return self._needed[name]

    def _takes_integers(self, node: onnx.NodeProto, name: str) -> bool:
        if node.name in self._passed:
            return name not in self._view.constants
        if node.input[0] != name or not self._view.is_float(name):
            return False
        if self._is_linear(node):
            return True
        if is_movement(node) or (node.op_type in _USEFUL and node.name not in self._floats):
            return self._is_needed(node.output[0])
        return False

    # the forms of a tensor

    def _float(self, name: str) -> str:
        """Make sure that there is a tensor as float; its name."""
        if name in self._affines and name not in self._float_names:
            self._dequantize(name, name)
        return name

    def _integer(self, name: str) -> str:
        """Make sure that there is a tensor as integers; their name."""
        if name not in self._affines:
            self._quantize(name, name, self._affine_of(name))
        return self._integer_names[name]

    def _restored(self, name: str) -> str:
        """What a tensor's integers stand for."""
        self._integer(name)
        if name not in self._float_names:
            return self._float(name)
        if f"{name}/restored" not in self._float_names:
            self._dequantize(name, f"{name}/restored")
        return f"{name}/restored"

    def _affine_of(self, name: str) -> Affine:
        wanted = self._range_of(name)
        readers = {reader.op_type for reader in self._view.readers.get(name, [])}
        if len(readers) == 1 and readers <= set(_USEFUL) and name not in self._view.outputs:
            useful = _USEFUL[readers.pop()]
            wanted = Range(max(wanted.minimum, useful.minimum), min(wanted.maximum, useful.maximum))
        return Affine.covering(wanted, np.uint8)

    def _quantize(self, source: str, name: str, affine: Affine) -> None:
        """Write the float tensor ``source`` as the integers of tensor ``name``."""
        self._affines[name] = affine
        parameters = self._writer.parameters(affine)
        self._integer_names[name] = self._writer.emit("QuantizeLinear", [source, *parameters], f"{name}/int")

    def _dequantize(self, name: str, result: str) -> None:
        given = [self._integer_names[name], *self._writer.parameters(self._affines[name])]
        self._writer.emit("DequantizeLinear", given, result)
        self._float_names.add(result)

    # the kinds of nodes

    def _movement(self, node: onnx.NodeProto) -> None:
        source, name = node.input[0], node.output[0]
        has_integers = source in self._affines and source not in self._float_names
        if has_integers or self._is_needed(name):
            given = self._integer(source)
            self._writer.copy(node, [given, *node.input[1:]], [f"{name}/int"])
            self._affines[name], self._integer_names[name] = self._affines[source], f"{name}/int"
        if not has_integers and self._is_read_as_float(name):
            self._other(node)

    def _is_read_as_float(self, name: str) -> bool:
        if name in self._view.outputs:
            return not self._integer_io
        return not all(self._takes_integers(reader, name) for reader in self._view.readers.get(name, []))

    def _other(self, node: onnx.NodeProto) -> None:
        given = list(node.input)
        if self._takes_integers(node, given[0] if given else ""):
            given[0] = self._restored(given[0])
        for name in reads(node):
            if name not in node.input[:1] or given[0] == name:
                self._float(name)
        self._writer.copy(node, given, list(node.output))
        self._float_names.update(filter(None, node.output))

    def _linear(self, node: onnx.NodeProto) -> None:
        if node.op_type == "ConvTranspose":
            self._transposed_convolution(node)
            return
        source, result, name = node.input[0], self._result_of(node), node.output[0]
        self._integer(source)
        weights, bias = self._weights_and_bias(node)
        kernel = self._kernel(node, weights, bias)
        given = [self._restored(source), self._operands.weights(name, kernel)]
        if node.op_type != "Conv" and not self._is_needed(result):
            self._scaled_sum(node, given, weights, bias)
            return
        affine = self._affine_of(result)
        if bias is not None:
            given.append(self._operands.bias(name, kernel, bias, self._affines[source], affine))
        if result != name:
            self._fused.add(self._view.producer[result].name)
        self._writer.copy(node, given, [f"{result}/sum"])
        self._quantize(f"{result}/sum", result, affine)

    def _scaled_sum(self, node: onnx.NodeProto, given: list[str], weights: Array, bias: Array | None) -> None:
        """A sum that goes on in float; so its bias need be no integer, which would want scales of its own."""
        name = node.output[0]
        self._float_names.add(name)
        if bias is None:
            self._writer.copy(node, given, [name])
            return
        self._writer.copy(node, given, [f"{name}/sum"])
        added = self._operands.float_bias(name, weights, bias, self._affines[node.input[0]])
        self._writer.emit("Add", [f"{name}/sum", added], name)

    def _weights_and_bias(self, node: onnx.NodeProto) -> tuple[Array, Array | None]:
        """The bias with one value for each channel."""
        weights = self._view.constant(node.input[1])
        bias = self._view.constant(node.input[2]) if len(node.input) > 2 else None
        assert weights is not None
        channels = weights.shape[kernel_axis(node)]
        return weights, None if bias is None else np.broadcast_to(bias.reshape(-1), (channels,))

    def _kernel(self, node: onnx.NodeProto, weights: Array, bias: Array | None) -> Kernel:
        scale = self._affines[node.input[0]].scale
        return fit_kernel(weights, kernel_axis(node), bias, scale, per_channel=self._per_channel)

    def _result_of(self, node: onnx.NodeProto) -> str:
        """The output of a node, or of a following function that cuts off what the range of the integers does anyway."""
        reader = self._view.only_reader(node.output[0])
        if reader is not None and reader.op_type == "Relu":
            return str(reader.output[0])
        if reader is not None and reader.op_type == "Clip":
            lowest, highest = ([*reader.input[1:], "", ""])[:2]
            below, above = self._view.constant(lowest), self._view.constant(highest)
            is_known = all(not name or name in self._view.constants for name in (lowest, highest))
            if is_known and (below is None or below <= 0) and (above is None or above >= 0):
                return str(reader.output[0])
        return str(node.output[0])

    def _transposed_convolution(self, node: onnx.NodeProto) -> None:
        source, name = node.input[0], node.output[0]
        integers = self._integer(source)
        weights, bias = self._weights_and_bias(node)
        kernel = self._kernel(node, weights, bias)
        zero = self._writer.parameters(self._affines[source])[1]
        one = self._writer.constant("scale/1.0", np.float32(1.0))
        whole = self._writer.emit("DequantizeLinear", [integers, one, zero], f"{name}/whole")
        stored = self._writer.constant(f"{name}/weights", kernel.integers)
        given = [whole, self._writer.emit("Cast", [stored], f"{name}/whole_weights", to=onnx.TensorProto.FLOAT)]
        step = np.float64(self._affines[source].scale) * kernel.scale
        if bias is not None:
            given.append(self._writer.constant(f"{name}/whole_bias", np.rint(bias / step).astype(np.float32)))
        self._writer.copy(node, given, [f"{name}/sum"])
        shape = [-1 if axis == 1 else 1 for axis in range(len(self._view.shape(name) or ()))]
        scale = self._writer.constant(f"{name}/scale", step.astype(np.float32).reshape(shape))
        self._writer.emit("Mul", [f"{name}/sum", scale], name)
        self._float_names.add(name)

    # writing

    def _begin(self) -> list[onnx.ValueInfoProto]:
        """The inputs: the integers themselves where they are asked for."""
        given = []
        for tensor in self._view.graph.input:
            value = onnx.ValueInfoProto.FromString(tensor.SerializeToString())
            if tensor.name in self._ends:
                self._make_integer(value)
                affine = self._ends[tensor.name].fitted(self._affine_of(self._ends[tensor.name].inner))
                self._affines[tensor.name], self._integer_names[tensor.name] = affine, f"{tensor.name}/int"
                self._float_names.discard(tensor.name)
            given.append(value)
        return given

    def _find_ends(self) -> dict[str, End]:
        """The inputs and outputs that become integers. An input that is an output as well has one end."""
        graph, view = self._view.graph, self._view
        inputs = {tensor.name: input_end(tensor.name, view) for tensor in graph.input if view.is_float(tensor.name)}
        taken = {name for end in inputs.values() for name in end.nodes}
        outputs = {tensor.name: output_end(tensor.name, view) for tensor in graph.output if view.is_float(tensor.name)}
        plain = {name: replace(end, inner=name, nodes=frozenset()) for name, end in outputs.items()}
        return inputs | {
            name: end if not end.nodes & taken else plain[name] for name, end in outputs.items() if name not in inputs
        }

    def _pass(self, node: onnx.NodeProto) -> None:
        """A scale or offset that the interface tells of: its output has the integers of its input."""
        source = next(name for name in node.input if name not in self._view.constants)
        self._integer_names[node.output[0]] = self._integer(source)
        self._affines[node.output[0]] = self._affines[source]

    def _end(self, given: list[onnx.ValueInfoProto]) -> tuple[onnx.ModelProto, dict[str, Quantization]]:
        returned = []
        for tensor in self._view.graph.output:
            value = onnx.ValueInfoProto.FromString(tensor.SerializeToString())
            if tensor.name in self._ends:
                self._make_integer(value)
                self._writer.emit("Identity", [self._integer(tensor.name)], f"{tensor.name}/out")
            else:
                self._float(tensor.name)
            returned.append(value)
        model = self._view.model
        graph = onnx.GraphProto(node=self._writer.nodes, input=given, output=returned, name=model.graph.name)
        graph.initializer.extend(self._view.graph.initializer)
        graph.initializer.extend(self._writer.constants.values())
        _rename(graph, [tensor.name for tensor in given if tensor.name in self._ends], "/int")
        _rename(graph, [tensor.name for tensor in returned if tensor.name in self._ends], "/out")
        result = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=graph)
        return result, {name: end.quantization(self._affines[name]) for name, end in self._ends.items()}

    @staticmethod
    def _make_integer(value: onnx.ValueInfoProto) -> None:
        value.type.tensor_type.elem_type = onnx.TensorProto.UINT8


def _rename(graph: onnx.GraphProto, interface: Sequence[str], suffix: str) -> None:
    """Give integer inputs and outputs the names of the interface; their float forms, if any, give way."""
    names = {f"{name}{suffix}": name for name in interface} | {name: f"{name}/float" for name in interface}
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)
        for place, name in enumerate(node.output):
            node.output[place] = names.get(name, name)
