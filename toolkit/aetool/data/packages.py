"""Optional packages: imported when they are needed, named with their install command when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from aetool_runtime.errors import DependencyError

__all__ = ["import_package"]


def import_package(module: str, *, extra: str) -> Any:
    """Import ``module``.

    Raises:
        DependencyError: it is not installed; the hint installs aetool's ``extra``, which brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"the package {error.name or module!r} is not installed", hint=f"pip install 'aetool[{extra}]'"
        ) from error
