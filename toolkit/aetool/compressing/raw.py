"""Bare values from a file or a pipe: what a gateway's sensors send."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aetool.compressing.content import Content
from aetool.compressing.form import Form
from aetool.compressing.numbers import Wanted
from aetool.compressing.placing import place
from aetool_runtime.compression.description import Compression
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["RAW_TYPES", "raw_content"]

RAW_TYPES = ("int8", "uint8", "int16", "uint16", "int32", "float32")
_BYTES = 1 << 16


def raw_content(path: str, dtype: str, channels: int, compression: Compression, wanted: Wanted) -> Content:
    """Little-endian values, those of all channels in turn; ``-`` for standard input, read as it comes.

    Raises:
        InputError: another number of channels than the bundle takes; an end within a row.
    """
    where = "standard input" if path == "-" else path
    placement = place((channels,) if channels > 1 else (), compression.sample_shape, where)
    stored = np.dtype(dtype).newbyteorder("<")
    row = stored.itemsize * int(np.prod(placement.item_shape, dtype=np.int64))

    def batches() -> Iterator[Array]:
        kept = b""
        for data in _pieces(path):
            kept += data
            whole = len(kept) // row * row
            if whole:
                yield np.frombuffer(kept[:whole], stored).astype(dtype).reshape(-1, *placement.item_shape)
                kept = kept[whole:]
        if kept:
            raise InputError(
                f"ends with {len(kept)} bytes", where=where, expected=f"whole rows of {row} bytes",
                hint="--raw and --channels as the values are",
            )  # fmt: skip

    form = Form("array", {} if channels > 1 or not placement.item_shape else {"row": []})
    return Content(where, batches, form, wanted, placement.recording, None, None, float(stored.itemsize))


def _pieces(path: str) -> Iterator[bytes]:
    with ExitStack() as opened:
        file: BinaryIO = sys.stdin.buffer if path == "-" else opened.enter_context(Path(path).open("rb"))
        read = getattr(file, "read1", file.read)  # what is there now: a pipe may pause
        while data := read(_BYTES):
            yield data
