"""What callers give, batch by batch, as whole chunks of a type that streams have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from aetool_runtime.compression.framing.header import DTYPES
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["as_stream_type", "chunks_of"]

_WIDER = {"bool": "uint8", "float16": "float32"}
_NARROWER = {"int64": "int32", "uint32": "int32", "uint64": "int32", "float64": "float32"}


def as_stream_type(batch: Array, dtype: str | None = None) -> Array:
    """A batch in a type that streams have, no value changed; ``dtype``: the one that it must have.

    Raises:
        InputError: it has another, or values that none holds.
    """
    given = np.asarray(batch)
    name = given.dtype.name
    target = name if name in DTYPES else _WIDER.get(name) or _NARROWER.get(name)
    if target is None:
        raise InputError(f"samples are {given.dtype}", expected=" or ".join(DTYPES), hint="convert them with astype")
    if dtype is not None and target != dtype:
        raise InputError(f"a batch is {given.dtype}", expected=f"{dtype}, as those before", hint=f"astype({dtype!r})")
    with np.errstate(over="ignore", invalid="ignore"):
        found = given.astype(target)
    if name in _NARROWER and not np.array_equal(found, given, equal_nan=name == "float64"):
        raise InputError(
            f"samples are {name} with values that {target} does not hold",
            expected=" or ".join(DTYPES),
            hint=f"scale or round them, then astype({target!r})",
        )
    return np.ascontiguousarray(found)


def chunks_of(
    batches: Iterable[Array], shape: tuple[int, ...], values: int, *, rows: bool
) -> Iterator[tuple[Array, int]]:
    """Samples in pieces of about as many values, each with its count; the order is kept, and no more is held.

    Args:
        batches: [count, …shape], or with ``rows`` [rows, …shape[1:]], of one type.

    Yields:
        [samples, …shape] and how many samples, or rows, it holds: the last row is repeated where a sample lacks some.
    """
    unit = shape[0] if rows else 1
    size = max(1, values // math.prod(shape)) * unit
    held: list[Array] = []
    length = 0
    for batch in batches:
        held.append(batch)
        length += len(batch)
        while length >= size:
            whole = np.concatenate(held) if len(held) > 1 else held[0]
            yield whole[:size].reshape(-1, *shape), size
            held, length = [whole[size:]], length - size
    if length:
        whole = np.concatenate(held)
        missing = -length % unit
        if missing:
            whole = np.concatenate([whole, np.repeat(whole[-1:], missing, axis=0)])
        yield whole.reshape(-1, *shape), length
