"""The signature ``reconstruct`` out of ``encode`` and ``decode``, so that it computes exactly what they do in turn.

The converter would fold the last layer of one into the first of the other: another latent, and weights of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, TypeVar

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from aetool_exporters.tflite.editing import GraphEditor

__all__ = ["compose", "of_both"]

_KEY = "reconstruct"
_Value = TypeVar("_Value")


def compose(model: Any) -> None:
    """Add ``reconstruct`` to a float ``ModelT`` that has ``encode`` and ``decode``, in place."""
    encode, decode = _entry(model, "encode"), _entry(model, "decode")
    first, second = (model.subgraphs[entry.subgraphIndex] for entry in (encode, decode))
    graph = schema.SubGraphT(inputs=first.inputs, name=_KEY.encode(), operators=[])
    graph.tensors = [copy(tensor) for tensor in (*first.tensors, *second.tensors)]
    model.subgraphs.append(graph)
    place = _places(model)
    operators = [*map(copy, first.operators), *_bridge(GraphEditor(model, graph), model)]
    for operator in map(copy, second.operators):
        operator.inputs, operator.outputs = (_moved(group, place) for group in (operator.inputs, operator.outputs))
        operators.append(operator)
    graph.outputs = _moved(second.outputs, place)
    graph.operators = _needed(operators, graph.outputs)
    items = [_moved_item(item, place) for item in decode.outputs]
    made = schema.SignatureDefT([copy(item) for item in encode.inputs], items, _KEY.encode(), len(model.subgraphs) - 1)
    model.signatureDefs.append(made)


def of_both(model: Any, encode: Mapping[int, _Value], decode: Mapping[int, _Value]) -> dict[int, _Value]:
    """What is known of the tensors of ``encode`` and of ``decode``, as known of those of ``reconstruct``."""
    place = _places(model)
    return {place[index]: value for index, value in decode.items()} | dict(encode)


def _entry(model: Any, key: str) -> Any:
    return next(entry for entry in model.signatureDefs if entry.signatureKey == key.encode())


def _places(model: Any) -> dict[int, int]:
    """Tensor of ``decode`` → tensor of ``reconstruct``. The latent is the encoder's, if both are of one type."""
    encode, decode = _entry(model, "encode"), _entry(model, "decode")
    first, second = (model.subgraphs[entry.subgraphIndex] for entry in (encode, decode))
    place = {-1: -1} | {index: len(first.tensors) + index for index in range(len(second.tensors))}
    latent, given = _latents(encode, decode)
    if first.tensors[latent].type == second.tensors[given].type:
        place[given] = latent
    return place


def _latents(encode: Any, decode: Any) -> tuple[int, int]:
    latent = next(item.tensorIndex for item in encode.outputs if item.name == b"latent")
    return int(latent), int(decode.inputs[0].tensorIndex)


def _bridge(editor: GraphEditor, model: Any) -> list[Any]:
    """A cast, where the decoder takes integers of another width than the encoder returns."""
    latent, given = _latents(_entry(model, "encode"), _entry(model, "decode"))
    target = _places(model)[given]
    if target == latent:
        return []
    cast = editor.operator("CAST", [latent], [target])
    cast.builtinOptions.inDataType = editor.subgraph.tensors[latent].type
    cast.builtinOptions.outDataType = editor.subgraph.tensors[target].type
    return [cast]


def _moved(group: Any, place: Mapping[int, int]) -> Any:
    return np.array([place[int(index)] for index in group], np.int32)


def _moved_item(item: Any, place: Mapping[int, int]) -> Any:
    return schema.TensorMapT(item.name, place[int(item.tensorIndex)])


def _needed(operators: list[Any], outputs: Any) -> list[Any]:
    """Without those that only other outputs of the encoder needed."""
    wanted = set(map(int, outputs))
    kept = []
    for operator in reversed(operators):
        if wanted & set(map(int, operator.outputs)):
            wanted |= set(map(int, operator.inputs))
            kept.append(operator)
    return kept[::-1]
