"""The normalization in float32 around a graph that was converted without it.

Inside a graph it would be folded into weights, where offsets and channels of different size leave eight bits little.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aetool_exporters.tflite.editing import GraphEditor
from aetool_runtime.specs import Array, Normalization

__all__ = ["wrap"]

_TAKES_RAW = ("encode", "reconstruct")
_GIVES_RAW = ("decode", "reconstruct")


def wrap(editor: GraphEditor, entry: Any, normalization: Normalization) -> None:
    """Let a signature's graph take and return raw values.

    Args:
        editor: of the signature's subgraph.
        entry: the ``SignatureDefT``.
    """
    if normalization.is_identity:
        return
    offset = np.array(normalization.offset, np.float32)
    scale = np.array(normalization.scale, np.float32)
    key = entry.signatureKey.decode()
    if key in _TAKES_RAW:
        _before(editor, entry, [("SUB", offset), ("MUL", np.float32(1) / scale)])
    if key in _GIVES_RAW:
        _after(editor, entry, [("MUL", scale), ("ADD", offset)])


def _before(editor: GraphEditor, entry: Any, steps: list[tuple[str, Array]]) -> None:
    normalized = int(entry.inputs[0].tensorIndex)
    given = reached = editor.add_tensor(normalized, "float32")
    made = []
    for name, operand in steps:
        target = normalized if name == steps[-1][0] else editor.add_tensor(normalized, "float32")
        made.append(editor.operator(name, [reached, editor.add_constant(operand)], [target]))
        reached = target
    editor.subgraph.operators = made + editor.subgraph.operators
    editor.subgraph.inputs = _replaced(editor.subgraph.inputs, normalized, given)
    entry.inputs[0].tensorIndex = given


def _after(editor: GraphEditor, entry: Any, steps: list[tuple[str, Array]]) -> None:
    item = next(item for item in entry.outputs if item.name == b"reconstruction")
    normalized = reached = int(item.tensorIndex)
    for name, operand in steps:
        target = editor.add_tensor(normalized, "float32")
        editor.subgraph.operators.append(editor.operator(name, [reached, editor.add_constant(operand)], [target]))
        reached = target
    editor.subgraph.outputs = _replaced(editor.subgraph.outputs, normalized, reached)
    item.tensorIndex = reached


def _replaced(group: Any, old: int, new: int) -> Any:
    return np.array([new if int(index) == old else int(index) for index in group], np.int32)
