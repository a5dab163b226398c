"""What does not fit in memory is a mistake in a configuration, and is told as one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from aetool_runtime.errors import UsageError

__all__ = ["within_memory"]

_SHAPE = re.compile(r"shape\s?\[([\d,]+)\]")


@contextmanager
def within_memory(hint: str) -> Iterator[None]:
    """Also a decorator.

    Args:
        hint: what to make smaller.

    Raises:
        UsageError: NumPy or TensorFlow found no room; names the tensor where that is known.
    """
    try:
        yield
    except Exception as error:  # TensorFlow's class is looked up when there is something to compare
        if not _is_out_of_memory(error):
            raise
        shape = _SHAPE.search(str(error))
        what = f"a tensor of shape [{shape[1].replace(',', ', ')}]" if shape else "what is computed"
        raise UsageError(f"{what} does not fit in memory", hint=hint) from error


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    import tensorflow as tf

    return isinstance(error, tf.errors.ResourceExhaustedError)
