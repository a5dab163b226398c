"""What callers give is made fit for a graph without guessing, or refused."""

from __future__ import annotations

import numpy as np

from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array, TensorSpec, format_shape

__all__ = ["check_out", "fit"]


def fit(array: Array, spec: TensorSpec) -> Array:
    """Convert what can be converted without guessing; refuse the rest.

    Raises:
        InputError: the shape or type does not fit, or values are beyond what the tensor's integers can hold.
    """
    dtype, rank = np.dtype(spec.dtype), len(spec.shape)
    try:
        given = np.asarray(array)
    except Exception as error:  # whatever the object's own conversion raises
        raise InputError(
            f"{spec.name} is no array ({error})", expected=format_shape((None, *spec.sample_shape))
        ) from error
    if not np.can_cast(given.dtype, dtype, casting="same_kind") and given.dtype.kind not in "iub":
        raise InputError(f"{spec.name} has dtype {given.dtype}", expected=spec.dtype)
    fits = given.ndim == rank and _matches(given.shape[1:], spec)
    if not fits:
        alone = given.ndim == rank - 1
        raise InputError(
            f"{spec.name} has shape {list(given.shape)}",
            expected=format_shape((None, *spec.sample_shape)),
            hint="add the batch dimension: array[None]" if alone else "see `aetool inspect BUNDLE`",
        )
    if given.dtype != dtype and dtype.kind in "iu" and given.size:
        _check_range(given, spec)
    return np.ascontiguousarray(given, dtype)


def check_out(out: Array, spec: TensorSpec, given: Array) -> None:
    """Refuse an array that the result cannot be written to as it comes.

    Args:
        out: where to.
        spec: the result.
        given: what it is computed from, [batch, …].

    Raises:
        InputError: its type, shape or layout does not fit, it is read-only, or it shares memory with ``given``.
    """
    problem = ""
    if type(out) is not np.ndarray or out.dtype != spec.dtype:
        problem = f"is {out.dtype if isinstance(out, np.ndarray) else type(out).__name__}"
    elif out.ndim != len(spec.shape) or len(out) != len(given) or not _matches(out.shape[1:], spec):
        problem = f"has shape {list(out.shape)}"
    elif not (out.flags.c_contiguous and out.flags.aligned and out.flags.writeable):
        problem = "is not contiguous" if out.flags.writeable else "is read-only"
    elif np.may_share_memory(out, given):
        problem = "shares memory with the input"
    if problem:
        shape = format_shape((len(given), *spec.sample_shape))
        raise InputError(
            f"out {problem}",
            expected=f"a contiguous, writable {spec.dtype} array {shape} of its own memory",
            hint="leave out= away: a new array is returned then",
        )


def _matches(sizes: tuple[int, ...], spec: TensorSpec) -> bool:
    return all(want is None or want == size for want, size in zip(spec.sample_shape, sizes, strict=True))


def _check_range(given: Array, spec: TensorSpec) -> None:
    """Refuse integers that the graph's type cannot hold: they would wrap around without a word."""
    limits = np.iinfo(spec.dtype)
    least, most = int(given.min()), int(given.max())
    if least < limits.min or most > limits.max:
        raise InputError(
            f"{spec.name} holds values from {least} to {most}", expected=f"{limits.min} to {limits.max} ({spec.dtype})"
        )
