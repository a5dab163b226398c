"""How often each operation occurs in a graph file: for people, who wonder what a device must have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aetool_runtime.specs import Artifact

__all__ = ["count_operators"]


def count_operators(artifact: Artifact, data: bytes) -> dict[str, int]:
    """Operation → how often, bodies of loops and branches included, by name; empty for formats that are not known.

    Args:
        data: the artifact's file.
    """
    count = _COUNTS.get(artifact.format)
    return dict(sorted(Counter(count(artifact, data)).items())) if count is not None else {}


def _onnx(artifact: Artifact, data: bytes) -> Iterator[str]:
    from aetool_runtime.backends.onnx_scan import operators

    return operators(data)


def _ort(artifact: Artifact, data: bytes) -> Iterator[str]:
    from aetool_runtime.backends.ort_scan import operators

    return operators(data)


def _tflite(artifact: Artifact, data: bytes) -> Iterator[str]:
    """Of the artifact's own signature, and of the subgraphs that it calls, each once."""
    from aetool_exporters.tflite.flatbuffer import read
    from aetool_exporters.tflite.inspection import operators

    model = read(data)
    names = operators(model)
    signatures = {entry.signatureKey.decode(): entry.subgraphIndex for entry in model.signatureDefs or ()}
    waiting = [signatures[artifact.signature or ""]]
    for index in waiting:
        for operator in model.subgraphs[index].operators or ():
            yield names[operator.opcodeIndex]
            called = (*_called(operator.builtinOptions), *_called(operator.builtinOptions2))
            waiting += [subgraph for subgraph in called if subgraph not in waiting]


def _called(options: Any) -> list[int]:
    """Fields called ``subgraph`` or ``…SubgraphIndex`` in the schema."""
    fields = vars(options).items() if options is not None else ()
    return [value for name, value in fields if name == "subgraph" or name.endswith("SubgraphIndex")]


_COUNTS: Mapping[str, Callable[[Artifact, bytes], Iterator[str]]] = {
    "onnx": _onnx,
    "ort": _ort,
    "tflite": _tflite,
}
