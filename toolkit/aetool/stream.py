"""Runs batches through a function into a .npy or text file, in bounded memory and in one step."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aetool_runtime.atomic import replacing_file
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array
from aetool_runtime.text import Tokenizer

__all__ = ["run_to_npy", "run_to_text"]

_ROWS_DIGITS = 20  # room for any number of rows, so that the header can be written first and completed last


def run_to_npy(
    run: Callable[[Array], Array], batches: Iterable[Array], output: Path, on_batch: Callable[[int], None]
) -> tuple[int, ...]:
    """Write ``run(batch)`` for every batch to ``output``, in order.

    Args:
        run: [n, …] → [n, …]; every result of one sample shape and dtype.
        on_batch: told the number of samples of each batch that is done.

    Returns:
        The shape of the written array.

    Raises:
        InputError: there was no batch.
    """
    rows, last = 0, None
    with replacing_file(output) as partial, partial.open("wb") as file:
        for batch in batches:
            last = run(batch)
            if rows == 0:
                file.write(_header(0, last))
            _append(file, last)
            rows += len(last)
            on_batch(len(last))
        if last is None:
            raise InputError("there is nothing to write: the data hold no samples", where=str(output))
        file.seek(0)
        file.write(_header(rows, last))
    return (rows, *last.shape[1:])


def run_to_text(
    run: Callable[[Array], Array],
    tokenizer: Tokenizer,
    batches: Iterable[Array],
    output: Path,
    on_batch: Callable[[int], None],
) -> tuple[int, ...]:
    """Write the most probable text of every latent to ``output``, one a line.

    Args:
        run: latents [n, …] → probabilities [n, length, entries].

    Returns:
        The number of lines, as a shape.
    """
    lines = 0
    with replacing_file(output) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for batch in batches:
            texts = tokenizer.decode(run(batch).argmax(axis=-1))
            file.writelines(" ".join(text.splitlines()) + "\n" for text in texts)
            lines += len(texts)
            on_batch(len(texts))
    return (lines,)


def _append(file: BinaryIO, array: Array) -> None:
    file.write(np.ascontiguousarray(array).data)


def _header(rows: int, like: Array) -> bytes:
    """A .npy header (NumPy format 1.0) whose length does not depend on the number of rows."""
    stream = io.BytesIO()
    shape = (rows, *like.shape[1:])
    document = {"descr": np.lib.format.dtype_to_descr(like.dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, document)
    text = stream.getvalue()
    longest = len(text) + _ROWS_DIGITS
    size = -(-longest // 64) * 64
    body = text[10:].rstrip(b" \n")
    return text[:8] + (size - 10).to_bytes(2, "little") + body.ljust(size - 11) + b"\n"
