"""The check of a precision that every exporter makes first."""

from __future__ import annotations

from aetool_runtime.errors import UsageError

__all__ = ["check_precision"]


def check_precision(format_name: str, known: tuple[str, ...], wanted: str) -> None:
    """Raise unless an exporter has a precision.

    Raises:
        UsageError: it has not; lists those that there are.
    """
    if wanted not in known:
        raise UsageError(
            f"the {format_name} exporter has no precision {wanted!r}",
            expected="one of " + ", ".join(known),
            hint=f"--precision {known[0]}",
        )
