"""Runs batches through a function into a .npy or text file: in order, in bounded memory, resumable."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from aetool.running.overlap import WriteBehind, read_ahead
from aetool_runtime.errors import InputError
from aetool_runtime.growing import GrowingFile, growing_file
from aetool_runtime.specs import Array
from aetool_runtime.text import Tokenizer

__all__ = ["Work", "run_to_npy", "run_to_text"]

_ROWS_DIGITS = 20  # room for any number of rows, so that the header can be written first and completed last
_SHARD = 1 << 16


@dataclass(frozen=True)
class Work:
    """What to run, over what, and where to.

    Args:
        run: batches [n, …] → as many results [n, …] in the same order, every one of one sample shape and dtype.
        batches: gives the samples, without the first ``start``.
        output: the file.
        made_of: what the result depends on (JSON); see ``growing_file``.
        on_batch: told the number of samples of each batch that is written.
        resume: go on with what an interrupted run left.
        shard: after how many samples what is written is safe; a resumed run does at most as many again.
    """

    run: Callable[[Iterable[Array]], Iterator[Array]]
    batches: Callable[[int], Iterable[Array]]
    output: Path
    made_of: Mapping[str, Any]
    on_batch: Callable[[int], None]
    resume: bool = False
    shard: int = _SHARD


def run_to_npy(work: Work) -> tuple[int, ...]:
    """Write the result of every batch to a .npy file, in order.

    Returns:
        The shape of the written array.

    Raises:
        InputError: there was no batch.
    """
    like: list[Array] = []

    def write(result: Array, file: BinaryIO) -> None:
        if not file.tell():
            file.write(_header(0, result))
        like[:] = [result[:0]]
        file.write(np.ascontiguousarray(result).data)

    def state() -> dict[str, Any]:
        return {"shape": like[0].shape[1:], "dtype": like[0].dtype.str}

    with growing_file(work.output, work.made_of, resume=work.resume) as growing:
        if growing.state:
            like = [np.empty((0, *growing.state["shape"]), growing.state["dtype"])]
        rows = _run(work, growing, write, state)
        if not like:
            raise InputError("there is nothing to write: the data hold no samples", where=str(work.output))
        growing.file.seek(0)
        growing.file.write(_header(rows, like[0]))
    return (rows, *like[0].shape[1:])


def run_to_text(work: Work, tokenizer: Tokenizer) -> tuple[int, ...]:
    """Write the most probable text of every latent, one a line; ``run`` gives probabilities [n, length, entries].

    Returns:
        The number of lines, as a shape.
    """

    def write(result: Array, file: BinaryIO) -> None:
        texts = tokenizer.decode(result.argmax(axis=-1))
        file.writelines((" ".join(text.splitlines()) + "\n").encode() for text in texts)

    with growing_file(work.output, work.made_of, resume=work.resume) as growing:
        return (_run(work, growing, write, dict),)


def _run(
    work: Work, growing: GrowingFile, write: Callable[[Array, BinaryIO], None], state: Callable[[], dict[str, Any]]
) -> int:
    """Read ahead, run here, write behind; the number of samples in the file."""
    done = kept = int(growing.state.get("samples", 0))
    if done:
        work.on_batch(done)

    def append(result: Array) -> None:
        nonlocal done, kept
        write(result, growing.file)
        done += len(result)
        work.on_batch(len(result))
        if done - kept >= work.shard:
            growing.keep({"samples": done, **state()})
            kept = done

    with WriteBehind(append) as behind:
        for result in work.run(read_ahead(work.batches(done))):
            behind.put(result)
    return done


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
