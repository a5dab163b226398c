"""Every error that aetool raises on purpose, and the exit code of each.

AetoolError                     1    internal: a mistake of ours
├── UsageError                  2    a wrong flag, name or combination
├── InputError                  3    data, shapes, files
│   ├── ModelError                   a Keras model that cannot be read or split
│   ├── ManifestError                a manifest that breaks FORMAT.md
│   └── VersionError                 written by a newer aetool than this one
├── ConversionError             4    a converter failed
│   └── UnsupportedOperatorError     an operation without a counterpart in the target format
├── ParityError                 5    an artifact does not compute what Keras computes
├── BudgetError                 6    more quality lost than the user accepts
├── IntegrityError              7    bytes are not the ones that were written
│   ├── DigestError                  a file does not have the sha256 that the manifest gives
│   ├── TruncatedError               a file ends too early
│   ├── DamagedStreamError           a stream whose bytes are not the ones that were written
│   ├── WrongBundleError             a stream that another bundle made
│   └── UnsafeError                  a path that leaves the bundle, a link, an unlisted file
├── UnavailableError            8    what runs the graph is not here
│   ├── BackendError                 no such backend, or it failed
│   ├── DeviceError                  the backend is here, the device is not
│   └── DependencyError              a package is missing
└── InterruptedRun            130    stopped by the user; what was reached is saved
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AetoolError",
    "BackendError",
    "BudgetError",
    "ConversionError",
    "DamagedStreamError",
    "DependencyError",
    "DeviceError",
    "DigestError",
    "InputError",
    "IntegrityError",
    "InterruptedRun",
    "ManifestError",
    "ModelError",
    "ParityError",
    "TruncatedError",
    "UnavailableError",
    "UnsafeError",
    "UnsupportedOperatorError",
    "UsageError",
    "VersionError",
    "WrongBundleError",
]


class AetoolError(Exception):
    """The root of the tree.

    Args:
        what: what was met, in one sentence without a full stop.
        where: the file, layer, tensor or byte it was met at.
        expected: what should have been there.
        hint: one thing to try.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", expected: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.expected:
            text += f"; expected {self.expected}"
        if self.hint:
            text += f"\n  try: {self.hint}"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.expected, self.hint)


def _rebuild(cls: type[AetoolError], what: str, where: str, expected: str, hint: str) -> AetoolError:
    return cls(what, where=where, expected=expected, hint=hint)


class UsageError(AetoolError):
    """A wrong flag, name or combination of them."""

    exit_code = 2


class InputError(AetoolError):
    """Data, a shape or a file that cannot be used."""

    exit_code = 3


class ModelError(InputError):
    """A Keras model that cannot be read, or cannot be split into encoder and decoder."""


class ManifestError(InputError):
    """A manifest that breaks FORMAT.md."""


class VersionError(InputError):
    """A bundle or checkpoint of a newer version, or one that requires a feature unknown here."""


class ConversionError(AetoolError):
    """A converter could not turn the model into the requested format."""

    exit_code = 4


class UnsupportedOperatorError(ConversionError):
    """An operation that has no counterpart in the target format."""


class ParityError(AetoolError):
    """An artifact does not compute what the Keras reference computes."""

    exit_code = 5


class BudgetError(AetoolError):
    """More quality would be lost than the user accepts."""

    exit_code = 6


class IntegrityError(AetoolError):
    """The bytes are not the ones that were written, or must not be trusted."""

    exit_code = 7


class DigestError(IntegrityError):
    """A file's sha256 is not the one that the manifest gives."""


class TruncatedError(IntegrityError):
    """A file is missing or ends before it should."""


class DamagedStreamError(IntegrityError):
    """A bitstream whose bytes are not the ones that were written, or that is none."""


class WrongBundleError(IntegrityError):
    """A bitstream that was made with another bundle."""


class UnsafeError(IntegrityError):
    """A path that leaves the bundle, a link, or data that the manifest does not list."""


class UnavailableError(AetoolError):
    """What should run the graph is not here."""

    exit_code = 8


class BackendError(UnavailableError):
    """An unknown backend, or an engine that refused to load or run a graph."""


class DeviceError(UnavailableError):
    """The backend is here; the device that was asked for is not."""


class DependencyError(UnavailableError):
    """An optional package is missing."""


class InterruptedRun(AetoolError):  # noqa: N818 (the user did it: no error)
    """The user stopped the run. What was reached is saved; the hint says how to go on."""

    exit_code = 130
