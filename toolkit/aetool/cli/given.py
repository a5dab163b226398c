"""``[CONFIG] DATA`` and ``--preset``: what ``train`` and ``tune`` are given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aetool_runtime.errors import UsageError

if TYPE_CHECKING:
    from aetool.config import Config

__all__ = ["config_and_data", "given_config"]


def config_and_data(inputs: tuple[str, ...], verb: str) -> tuple[Path | None, str]:
    """The two arguments, of which the first may be left out.

    Raises:
        UsageError: none, or more than two.
    """
    if not 1 <= len(inputs) <= 2:
        raise UsageError(
            f"{len(inputs)} arguments were given",
            expected="[CONFIG] DATA",
            hint=f"aetool {verb} --preset dense builtin:digits -o model",
        )
    return (Path(inputs[0]) if len(inputs) == 2 else None), inputs[-1]


def given_config(path: Path | None, preset: str | None) -> Config | None:
    """The file's or preset's configuration, or ``None`` where neither was given.

    Raises:
        UsageError: both were given, or it is wrong.
    """
    from aetool.config import load_config, load_preset

    if path is not None and preset is not None:
        raise UsageError("a CONFIG and a --preset were given", expected="one of them")
    if path is not None:
        return load_config(path)
    return None if preset is None else load_preset(preset)
