"""A reference at a precision below float32: one conversion to float32, then a rewriting of its bytes.

The float graph is converted without the normalization, which is put around it afterwards; see ``shell``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aetool_exporters.layers import layer_names
from aetool_exporters.quantization.affine import Affine
from aetool_exporters.reference import Reference
from aetool_exporters.request import QuantizationOptions
from aetool_exporters.tflite.calibration import Statistics, calibrate
from aetool_exporters.tflite.coarseness import coarse_kernels, coarse_tensors, operators_around
from aetool_exporters.tflite.composition import compose, of_both
from aetool_exporters.tflite.conversion import convert
from aetool_exporters.tflite.editing import GraphEditor, operator_name, sweep
from aetool_exporters.tflite.flatbuffer import read, write
from aetool_exporters.tflite.inspection import check_operators
from aetool_exporters.tflite.integer_interface import aligned, integer_spec
from aetool_exporters.tflite.integers import IntegerOptions, quantize_graph
from aetool_exporters.tflite.kernel_quantizer import KernelQuantizer
from aetool_exporters.tflite.layer_marks import layers_of_operators, marked_layers
from aetool_exporters.tflite.narrow import halve_constants, quantize_weights
from aetool_exporters.tflite.notices import Notices
from aetool_exporters.tflite.plan import make_plan
from aetool_exporters.tflite.shell import wrap
from aetool_exporters.tflite.signatures import Signature
from aetool_runtime.errors import ConversionError, UsageError
from aetool_runtime.specs import Normalization, TensorSpec

__all__ = ["FloatCore", "Reduced", "float_core", "reduce"]

_ACTIVATIONS = {"int8": "int8", "int16x8": "int16"}
_ORDER = ("encode", "decode", "reconstruct")  # the latent's quantization is decided where it is made


@dataclass(frozen=True)
class FloatCore:
    """A reference as a float32 file that takes and returns normalized values.

    Args:
        data: the file, with the converter's names.
        layers: mark in those names → Keras layer.
    """

    data: bytes
    layers: Mapping[int, str]


@dataclass(frozen=True)
class Reduced:
    """A reduced precision.

    Args:
        model: the ``ModelT``.
        signatures: what it takes and returns.
        notices: what the user should know.
        layers: identity of an ``OperatorT`` → the Keras layer that it came from.
    """

    model: Any
    signatures: tuple[Signature, ...]
    notices: tuple[str, ...]
    layers: Mapping[int, str]


def float_core(reference: Reference, wanted: tuple[Signature, ...]) -> FloatCore:
    """Convert once, for any number of reduced precisions.

    Raises:
        UnsupportedOperatorError, ConversionError: see ``convert``.
    """
    core = replace(reference, normalization=Normalization())
    halves = tuple(signature for signature in wanted if signature.role != "autoencoder")
    try:
        with marked_layers(core) as names:
            model = read(convert(core, halves, ()))
    except ConversionError:
        model, names = read(convert(core, halves, layer_names(core))), {}  # says the same with the layers' own names
    check_operators(model)
    if len(halves) < len(wanted):
        compose(model)
    return FloatCore(write(model), names)


def reduce(
    core: FloatCore,
    reference: Reference,
    wanted: tuple[Signature, ...],
    precision: str,
    options: QuantizationOptions,
) -> Reduced:
    """Rewrite the float graph.

    Raises:
        UsageError: ``int8`` or ``int16x8`` without calibration data.
        ConversionError: ``integer_io`` where the model's input or output cannot be integers.
        InputError: see ``calibrate``.
    """
    work = _Work(core, reference, precision, options)
    work.bodies()
    if precision in _ACTIVATIONS:
        wanted = work.integers(wanted)
    else:
        work.narrow()
    integer_io = options.integer_io and precision in _ACTIVATIONS
    for entry in work.entries() if not integer_io else ():
        wrap(GraphEditor(work.model, work.model.subgraphs[entry.subgraphIndex]), entry, reference.normalization)
    sweep(work.model)
    return Reduced(work.model, wanted, work.notices.sentences(), work.layers)


class _Work:
    """The pieces that a rewriting shares."""

    def __init__(self, core: FloatCore, reference: Reference, precision: str, options: QuantizationOptions) -> None:
        self.core = core
        self.reference = reference
        self.precision = precision
        self.options = options
        self.model = read(core.data)
        self.notices = Notices(precision)
        self.layers: dict[int, str] = {}
        self.kernels = KernelQuantizer(options.per_channel)

    def entries(self) -> list[Any]:
        return sorted(self.model.signatureDefs, key=lambda entry: _ORDER.index(entry.signatureKey.decode()))

    def bodies(self) -> None:
        """Graphs that loops call: their state stays in float32."""
        entries = {entry.subgraphIndex for entry in self.model.signatureDefs}
        for place, subgraph in enumerate(self.model.subgraphs):
            if place not in entries:
                self._narrow(subgraph)

    def narrow(self) -> None:
        for entry in self.model.signatureDefs:
            self._narrow(self.model.subgraphs[entry.subgraphIndex])

    def _narrow(self, subgraph: Any) -> None:
        editor = GraphEditor(self.model, subgraph)
        layers = self._layers(subgraph)
        kept = self._kept(layers)
        if self.precision == "float16":
            for place in halve_constants(editor, kept):
                self.notices.too_large(layers[place])
        else:
            quantize_weights(editor, kept, per_channel=self.options.per_channel)

    def _layers(self, subgraph: Any) -> list[tuple[str, ...]]:
        layers = layers_of_operators(subgraph, self.core.layers)
        pairs = zip(subgraph.operators or (), layers, strict=True)
        self.layers |= {id(operator): names[0] for operator, names in pairs if names}
        return layers

    def _kept(self, layers: list[tuple[str, ...]]) -> set[int]:
        return {place for place, names in enumerate(layers) if self.options.float_layers & set(names)}

    def integers(self, wanted: tuple[Signature, ...]) -> tuple[Signature, ...]:
        """Rewrite every signature in integers; returns the signatures as they are now."""
        if self.options.calibration is None:
            raise UsageError(
                f"{self.precision} needs data to measure ranges on",
                expected="real samples such as the model was trained on",
                hint="pass calibration data",
            )
        dtype = _ACTIVATIONS[self.precision]
        calibrated = calibrate(self.core.data, self.reference, self.options.calibration, dtype)
        statistics = calibrated.statistics
        self.kernels = KernelQuantizer(self.options.per_channel, calibrated.rows)
        if len(self.model.signatureDefs) > len(statistics):
            statistics["reconstruct"] = of_both(self.model, statistics["encode"], statistics["decode"])
        latents = {e.signatureKey: _index(e, b"latent") for e in self.entries() if e.signatureKey != b"reconstruct"}
        latents[b"reconstruct"] = latents.get(b"encode", -1)  # begins like it
        latent: Affine | None = None
        found: dict[str, dict[str, Affine]] = {}
        for entry in self.entries():
            key = entry.signatureKey.decode()
            given = {latents[entry.signatureKey]: latent} if latent else {}
            found[key] = self._signature(entry, statistics[key], dtype, given)
            latent = found[key].get("latent", latent)
        if not self.options.integer_io:
            return wanted
        return tuple(self._with_integers(signature, found[signature.key], dtype) for signature in wanted)

    def _signature(
        self, entry: Any, statistics: Mapping[int, Statistics], dtype: str, given: Mapping[int, Affine]
    ) -> dict[str, Affine]:
        """Rewrite one signature's graph; returns the quantization of its inputs and outputs that have one."""
        editor = GraphEditor(self.model, self.model.subgraphs[entry.subgraphIndex])
        layers = self._layers(editor.subgraph)
        places = {item.name.decode(): int(item.tensorIndex) for item in (*entry.inputs, *entry.outputs)}
        coarse = coarse_tensors(editor, statistics, dtype)
        self._refuse_coarse(places, coarse)
        chosen, around = self._kept(layers), operators_around(editor, coarse)
        around |= coarse_kernels(editor, statistics, per_channel=self.options.per_channel)
        plan = make_plan(editor, dtype, statistics.keys(), chosen | around, self.options.integer_io)
        self.notices.stays(layers, around - chosen, [(p, _name(editor, p)) for p in plan.lacking])
        raw = {places[name] for name in ("input", "reconstruction") if name in places and self.options.integer_io}

        def adjust(index: int, affine: Affine) -> Affine:
            return aligned(affine, self.reference.normalization) if index in raw else affine

        settings = IntegerOptions(dtype, self.kernels, self.options.integer_io, given, adjust)
        met = quantize_graph(editor, plan, statistics, settings)
        return self._interface(entry, met)

    def _interface(self, entry: Any, met: Mapping[int, Affine]) -> dict[str, Affine]:
        """By name; also of a real output that was made from integers."""
        subgraph = self.model.subgraphs[entry.subgraphIndex]
        sources = {int(op.outputs[0]): int(op.inputs[0]) for op in subgraph.operators if len(op.inputs) == 1}
        items = [(item.name.decode(), int(item.tensorIndex)) for item in (*entry.inputs, *entry.outputs)]
        places = {name: index if index in met else sources.get(index, -1) for name, index in items}
        return {name: met[index] for name, index in places.items() if index in met}

    def _refuse_coarse(self, places: Mapping[str, int], coarse: set[int]) -> None:
        for name, index in places.items() if self.options.integer_io else ():
            if index in coarse:
                raise ConversionError(
                    f"the {name}'s values are too small beside their offset, or beside each other, for integers",
                    expected=f"{_ACTIVATIONS[self.precision]} to leave at least 20 dB of them",
                    hint="export without --integer-io, or train with a normalization",
                )

    def _with_integers(self, signature: Signature, found: Mapping[str, Affine], dtype: str) -> Signature:
        def spec_of(spec: TensorSpec) -> TensorSpec:
            if spec.name not in found:
                return spec
            raw = spec.name in ("input", "reconstruction")
            return integer_spec(spec, found[spec.name], dtype, self.reference.normalization if raw else None)

        interface = signature.interface
        changed = replace(interface, given=spec_of(interface.given), returned=_all(map(spec_of, interface.returned)))
        return replace(signature, interface=changed)


def _index(entry: Any, name: bytes) -> int:
    return int(next(item.tensorIndex for item in (*entry.inputs, *entry.outputs) if item.name == name))


def _all(specs: Iterable[TensorSpec]) -> tuple[TensorSpec, ...]:
    return tuple(specs)


def _name(editor: GraphEditor, place: int) -> str:
    return operator_name(editor.model, editor.subgraph.operators[place])
