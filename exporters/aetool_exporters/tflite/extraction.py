"""One signature of a file as a file of its own: for engines that set up every graph that they are given."""

from __future__ import annotations

from aetool_exporters.tflite.canonical import store_once
from aetool_exporters.tflite.editing import sweep
from aetool_exporters.tflite.flatbuffer import read, write
from aetool_runtime.errors import ConversionError

__all__ = ["extract"]


def extract(data: bytes, key: str) -> bytes:
    """The file with the signature ``key`` alone.

    Raises:
        ConversionError: not a TFLite file, it has no such signature, or it has loops.
    """
    model = read(data)
    kept = [entry for entry in model.signatureDefs or () if entry.signatureKey.decode() == key]
    if not kept:
        known = ", ".join(entry.signatureKey.decode() for entry in model.signatureDefs or ())
        raise ConversionError(f"the file has no signature {key!r}", expected=f"one of {known or 'none'}")
    if len(model.subgraphs) > len(model.signatureDefs):
        raise ConversionError(
            "the file has loops, whose graphs cannot be told apart by signature",
            hint="export a model without recurrent layers",
        )
    model.subgraphs = [model.subgraphs[kept[0].subgraphIndex]]
    kept[0].subgraphIndex = 0
    model.signatureDefs = kept
    sweep(model)
    store_once(model)
    return write(model)
