"""The data that comes with aetool: ``builtin:ecg`` and ``builtin:digits`` (see ``builtin/ATTRIBUTION.md``)."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aetool.data.packages import import_package
from aetool.data.readers.numpy_files import open_npy
from aetool.data.source import ArraySource, Source
from aetool_runtime.errors import InputError

__all__ = ["open_builtin"]

_ECG = Path(__file__).parent.parent / "builtin" / "ecg.npy"
_SIDE = 28


def open_builtin(name: str) -> Source:
    """Open ``builtin:NAME``.

    Raises:
        InputError: no such data; suggests the nearest name.
        DependencyError: the digits need scikit-learn and Pillow.
    """
    openers = {"builtin:ecg": _open_ecg, "builtin:digits": _open_digits}
    if name in openers:
        return openers[name](name)
    near = difflib.get_close_matches(name, openers, 1)
    raise InputError(
        "there is no such built-in data",
        where=name,
        expected=", ".join(openers),
        hint=f"did you mean {near[0]}?" if near else "",
    )


def _open_ecg(name: str) -> Source:
    """Two-lead ECG: int16 [480256, 2] in converter steps, 360 a second."""
    return ArraySource(name, open_npy(_ECG).array())


def _open_digits(name: str) -> Source:
    """Handwritten digits: float32 [1797, 28, 28, 1], grey levels 0 to 255."""
    digits = import_package("sklearn.datasets", extra="train").load_digits().images
    return ArraySource(name, np.stack([_enlarge(digit) for digit in digits]))


def _enlarge(digit: NDArray[np.float64]) -> NDArray[np.float32]:
    """8×8 with values 0 to 16 → 28×28×1 with grey levels 0 to 255."""
    image = import_package("PIL.Image", extra="data")
    small = image.fromarray((digit * (255 / 16)).astype(np.float32))
    return np.asarray(small.resize((_SIDE, _SIDE), image.Resampling.BILINEAR), np.float32)[..., None]
