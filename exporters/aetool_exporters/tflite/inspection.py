"""What must be true of a converted file before it goes anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from aetool_exporters.tflite.flatbuffer import builtin_name, tensor_dtype
from aetool_exporters.tflite.signatures import Signature
from aetool_runtime.errors import ConversionError, UnsupportedOperatorError
from aetool_runtime.specs import TensorSpec

__all__ = ["check_operators", "check_signatures", "operators"]

_CUSTOM = "CUSTOM"
_LOST_WEIGHTS = {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"}
_RANDOM = {"MULTINOMIAL", "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM"}


def operators(model: Any) -> list[str]:
    """The names of the operations that a ``ModelT`` uses; custom ones as ``CUSTOM:name``."""
    names = []
    for code in model.operatorCodes:
        name = builtin_name(max(code.builtinCode, code.deprecatedBuiltinCode))
        names.append(f"{name}:{_text(code.customCode)}" if name == _CUSTOM else name)
    return names


def check_operators(model: Any) -> None:
    """Raise unless every operation is one that every TFLite engine has, and computes the same at each call.

    Raises:
        UnsupportedOperatorError: a custom or TensorFlow ("Flex") operation, or one that draws random numbers.
        ConversionError: the weights are variables instead of constants; such files compute garbage.
    """
    for name in operators(model):
        if name.startswith(_CUSTOM):
            what = f"{name.partition(':')[2]} is not among TFLite's builtin operations"
            raise UnsupportedOperatorError(what, hint="replace the layer that needs it, or leave TFLite out")
        if name in _RANDOM:
            what = f"{name} draws random numbers: no two runs would agree"
            raise UnsupportedOperatorError(what, hint="export the mean of the distribution instead of a sample of it")
        if name in _LOST_WEIGHTS:
            what = f"the converter left {name} in the graph, which has lost its weights"
            raise ConversionError(what, expected="constants", hint="a layer makes variables while it is called")


def check_signatures(model: Any, wanted: tuple[Signature, ...]) -> None:
    """Raise unless the file has exactly these signatures, with exactly these inputs, outputs, dtypes and shapes."""
    met = {_text(entry.signatureKey): entry for entry in model.signatureDefs or ()}
    if sorted(met) != sorted(signature.key for signature in wanted):
        raise ConversionError(f"the converted file has the signatures {sorted(met)}")
    for signature in wanted:
        entry = met[signature.key]
        tensors = model.subgraphs[entry.subgraphIndex].tensors
        interface = signature.interface
        for maps, specs in ((entry.inputs, (interface.given,)), (entry.outputs, interface.returned)):
            found = {_spec(_text(item.name), tensors[item.tensorIndex]) for item in maps}
            if found != {replace(spec, quantization=None) for spec in specs}:
                raise ConversionError(
                    f"signature {signature.key!r} has the tensors {_listed(found)}", expected=_listed(specs)
                )


def _listed(specs: Iterable[TensorSpec]) -> str:
    return ", ".join(sorted(map(str, specs)))


def _spec(name: str, tensor: Any) -> TensorSpec:
    return TensorSpec(name, tensor_dtype(tensor.type), tuple(map(int, tensor.shape)))


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
