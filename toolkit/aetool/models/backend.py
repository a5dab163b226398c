"""Keras, on TensorFlow: the export paths need its graphs."""

from __future__ import annotations

from typing import Any

from aetool.data.packages import import_package
from aetool_runtime.errors import UsageError

__all__ = ["import_keras"]


def import_keras() -> Any:
    """Import Keras.

    Raises:
        DependencyError: Keras or TensorFlow is not installed.
        UsageError: Keras is set to another backend.
    """
    import_package("tensorflow", extra="train")
    keras = import_package("keras", extra="train")
    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"Keras is set to the backend {keras.backend.backend()}",
            expected="tensorflow",
            hint="set KERAS_BACKEND=tensorflow in the environment",
        )
    return keras
