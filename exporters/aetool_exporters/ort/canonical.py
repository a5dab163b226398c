"""One form for each ORT file: ONNX Runtime writes a table of types in the order of a hash that each process chooses.

That table (``KernelTypeStrResolver``) stands before the model. It is written anew in the order of its keys; the model's
bytes stay. Slots are those of onnxruntime's ort.fbs.
"""

from __future__ import annotations

from collections.abc import Sequence

import flatbuffers

from aetool_runtime.backends.flatbuffer_tables import Table, root_table
from aetool_runtime.backends.ort_scan import IDENTIFIER, MODEL
from aetool_runtime.errors import ConversionError

__all__ = ["canonicalize"]

_VERSION, _TYPES = 4, 10
_ALIGNMENT = 16


def canonicalize(data: bytes) -> bytes:
    """The same file with its table of types in order; twice is as good as once.

    Raises:
        ConversionError: not as this version of ONNX Runtime writes it.
    """
    root = root_table(data, IDENTIFIER)
    model, types = root.table(MODEL), root.table(_TYPES)
    start = 0 if model is None else min(model.at, model.vtable)
    if model is None or types is None or not max(root.at, types.at) < start:
        raise ConversionError("ONNX Runtime wrote an ORT file of an unknown layout", hint="use another onnxruntime")
    builder = flatbuffers.Builder(0)
    builder.Bytes = bytearray(data[start:])  # what is built goes before it
    builder.minalign = _ALIGNMENT
    place = len(data) - model.at
    resolver = _types(builder, types)
    version = builder.CreateString(root.text(_VERSION))
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(0, version, 0)
    builder.PrependUOffsetTRelativeSlot(1, place, 0)
    builder.PrependUOffsetTRelativeSlot(3, resolver, 0)
    builder.Finish(builder.EndObject(), IDENTIFIER)
    return bytes(builder.Output())


def _types(builder: flatbuffers.Builder, table: Table) -> int:
    entries = [_operation(builder, entry) for entry in sorted(table.tables(4), key=lambda entry: entry.text(4))]
    return _table(builder, (_vector(builder, entries),))


def _operation(builder: flatbuffers.Builder, entry: Table) -> int:
    kinds = [_kind(builder, kind) for kind in sorted(entry.tables(6), key=lambda kind: kind.text(4))]
    return _table(builder, (builder.CreateString(entry.text(4)), _vector(builder, kinds)))


def _kind(builder: flatbuffers.Builder, kind: Table) -> int:
    places = [_argument(builder, argument) for argument in kind.tables(6)]
    return _table(builder, (builder.CreateString(kind.text(4)), _vector(builder, places)))


def _argument(builder: flatbuffers.Builder, argument: Table) -> int:
    builder.StartObject(2)
    builder.PrependInt8Slot(0, argument.integer(4, "<b", 0), 0)
    builder.PrependUint32Slot(1, argument.integer(6, "<I", 0), 0)
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, items: Sequence[int]) -> int:
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        builder.PrependUOffsetTRelative(item)
    return int(builder.EndVector())


def _table(builder: flatbuffers.Builder, fields: Sequence[int]) -> int:
    builder.StartObject(len(fields))
    for slot, field in enumerate(fields):
        builder.PrependUOffsetTRelativeSlot(slot, field, 0)
    return int(builder.EndObject())
