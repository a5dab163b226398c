"""Batches of other sizes than a TFLite graph has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from aetool_runtime.backends.litert_signature import Signature
from aetool_runtime.backends.pool import Pool
from aetool_runtime.specs import Array

__all__ = ["MOST_ROWS", "Pieces", "takes_any_batch"]

MOST_ROWS = 256
"""In one call of a resized graph: its activations stay in the caches, and its memory is bounded."""

# Each row of their outputs depends on the same row of their inputs alone, whatever the number of rows.
_ROW_BY_ROW = (
    *("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "ABS", "NEG", "EXP", "SQRT", "RSQRT", "SQUARE", "CAST"),
    *("FULLY_CONNECTED", "QUANTIZE", "DEQUANTIZE"),
    *("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "PRELU", "ELU", "GELU", "TANH", "LOGISTIC", "HARD_SWISH"),
)


def takes_any_batch(data: bytes) -> bool:
    """Whether every operation of the file works row by row, so that its input may be resized to any batch.

    Convolutions would, too, but are faster with the batch they were converted for; a reshape holds the batch as a
    number, and loops hold state.
    """
    try:
        from ai_edge_litert import schema_py_generated as schema

        model = schema.Model.GetRootAs(data)
        codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
        # Files written by older converters know only the first one.
        met = {max(code.DeprecatedBuiltinCode(), code.BuiltinCode()) for code in codes}
        known = {getattr(schema.BuiltinOperator, name) for name in _ROW_BY_ROW}
    except Exception:  # another schema, or no file that it reads: then the batch stays as it is
        return False
    return bool(met) and met <= known


@dataclass(frozen=True)
class Pieces:
    """A batch run piece by piece.

    Args:
        pool: interpreters.
        call: runs one piece in one of them.
        rows: samples a piece.
        fill: whether a smaller last piece is filled up with zeros; else it runs as it is.
    """

    pool: Pool[Signature]
    call: Callable[[Signature, Array], tuple[Array, ...]]
    rows: int
    fill: bool

    def run(self, array: Array, out: Array | None = None) -> tuple[Array, ...]:
        """All outputs for all rows, the first of them in ``out`` where that is given."""
        outputs: tuple[Array, ...] = ()
        signature = self.pool.take()
        try:
            for start in range(0, len(array), self.rows):
                piece = array[start : start + self.rows]
                count = len(piece)
                parts = self.call(signature, _filled(piece, self.rows) if self.fill and count < self.rows else piece)
                outputs = outputs or _rooms(parts, len(array), out)
                for output, part in zip(outputs, parts, strict=True):
                    _refuse_other(part, output, count)
                    output[start : start + count] = part[:count]
        finally:
            self.pool.give(signature)
        return outputs


def _filled(piece: Array, rows: int) -> Array:
    """A smaller batch with zeros below it."""
    filler = np.zeros((rows - len(piece), *piece.shape[1:]), piece.dtype)
    return np.concatenate([piece, filler])


def _rooms(parts: Sequence[Array], rows: int, out: Array | None) -> tuple[Array, ...]:
    """Arrays for all rows of what came out for the first ones."""
    first = np.empty((rows, *parts[0].shape[1:]), parts[0].dtype) if out is None else out
    return (first, *(np.empty((rows, *part.shape[1:]), part.dtype) for part in parts[1:]))


def _refuse_other(part: Array, room: Array, rows: int) -> None:
    """NumPy would repeat or convert it without a word."""
    if len(part) < rows or (part.shape[1:], part.dtype) != (room.shape[1:], room.dtype):
        raise ValueError(f"{part.dtype}{list(part.shape)} came out for {rows} samples")
