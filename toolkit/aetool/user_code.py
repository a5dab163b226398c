"""Objects of the user's own code, which is run because the user names it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

from aetool_runtime.errors import InputError

__all__ = ["import_object"]


def import_object(place: str, *, where: str, expected: str) -> Callable[..., Any]:
    """What ``MODULE:NAME`` names; modules are looked for where Python looks, and then in the working directory.

    Raises:
        InputError: there is no such module or name, or importing it failed.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    module, _, name = place.partition(":")
    try:
        start: Any = importlib.import_module(module)
        found: Callable[..., Any] = reduce(getattr, name.split("."), start)
    except Exception as error:  # a user's module raises anything
        raise InputError(
            f"cannot be imported ({type(error).__name__}: {error})",
            where=where,
            expected=expected,
            hint="run where the module lies, or install it",
        ) from error
    return found
