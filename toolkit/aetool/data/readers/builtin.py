"""The data that comes with aetool or with packages that it needs anyway (see ``builtin/ATTRIBUTION.md``)."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.data.packages import import_package
from aetool.data.readers.numpy_files import open_npy
from aetool.data.source import ArraySource, Source
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["builtin_labels", "open_builtin"]

_ECG = Path(__file__).parent.parent / "builtin" / "ecg.npy"
_DIGIT_SIDES = {"builtin:digits": 28, "builtin:digits32": 32}  # pixels
_PATCH = 32  # pixels


def open_builtin(name: str) -> Source:
    """Open ``builtin:NAME``; ``builtin:text`` is opened as text.

    Raises:
        InputError: no such data; suggests the nearest name.
        DependencyError: digits and photos need scikit-learn and Pillow.
    """
    openers = {"builtin:ecg": _open_ecg, **dict.fromkeys(_DIGIT_SIDES, _open_digits), "builtin:photos": _open_photos}
    if name in openers:
        return openers[name](name)
    known = [*openers, "builtin:text"]
    near = difflib.get_close_matches(name, known, 1)
    raise InputError(
        "there is no such built-in data",
        where=name,
        expected=", ".join(known),
        hint=f"did you mean {near[0]}?" if near else "",
    )


def builtin_labels(name: str) -> Array | None:
    """Which digit each is, int64 [1797]; ``None`` for all other data."""
    return np.asarray(_digits().target) if name in _DIGIT_SIDES else None


def _open_ecg(name: str) -> Source:
    """Two-lead ECG: int16 [480256, 2] in converter steps, 360 a second."""
    return ArraySource(name, open_npy(_ECG).array())


def _open_digits(name: str) -> Source:
    """Handwritten digits: float32 [1797, side, side, 1], grey levels 0 to 255."""
    return ArraySource(name, np.stack([_enlarge(digit, _DIGIT_SIDES[name]) for digit in _digits().images]))


def _digits() -> Any:
    return import_package("sklearn.datasets", extra="train").load_digits()


def _enlarge(digit: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """8×8 with values 0 to 16 → side×side×1 with grey levels 0 to 255."""
    image = import_package("PIL.Image", extra="data")
    small = image.fromarray((digit * (255 / 16)).astype(np.float32))
    return np.asarray(small.resize((side, side), image.Resampling.BILINEAR), np.float32)[..., None]


def _open_photos(name: str) -> Source:
    """Patches of two photos, photo by photo and row by row: float32 [520, 32, 32, 3], grey levels 0 to 255.

    They lie side by side, and no two share a pixel: however they are split, no patch of one part overlaps another's.
    What is left at the right and lower edge is not used. Neighbours that come into different parts do resemble each
    other, as pictures of one scene do.
    """
    photos = import_package("sklearn.datasets", extra="train").load_sample_images().images
    return ArraySource(name, np.concatenate([_patches(photo) for photo in photos]))


def _patches(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows, columns = photo.shape[0] // _PATCH, photo.shape[1] // _PATCH
    whole = photo[: rows * _PATCH, : columns * _PATCH].reshape(rows, _PATCH, columns, _PATCH, 3)
    return np.asarray(whole.swapaxes(1, 2), np.float32).reshape(-1, _PATCH, _PATCH, 3)
