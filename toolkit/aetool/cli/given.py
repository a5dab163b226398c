"""What ``train`` and ``tune`` are given alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aetool_runtime.errors import UsageError

if TYPE_CHECKING:
    from aetool.config import Config

__all__ = ["Given", "given_options"]

_PRESETS = sorted(path.stem for path in (Path(__file__).parents[1] / "presets").glob("*.toml"))


@dataclass(frozen=True)
class Given:
    """Arguments and options.

    Args:
        path: of the configuration.
        preset: or the name of one that comes with aetool.
        data: what ``aetool.data.open_source`` opens.
        output: the folder to write.
        resume: go on with what is unfinished there.
        overwrite: replace what stands there.
        dry_run: show what would be done, and no more.
        as_json: print one JSON document.
    """

    path: Path | None
    preset: str | None
    data: str
    output: Path
    resume: bool
    overwrite: bool
    dry_run: bool
    as_json: bool

    def config(self) -> Config | None:
        """The configuration; ``None`` where that of what is resumed serves.

        Raises:
            UsageError: none or two were given, or it is wrong.
            InputError: the file cannot be read.
        """
        from aetool.config import load_config, load_preset, preset_names

        if self.path is not None and self.preset is not None:
            raise UsageError("a CONFIG and a --preset were given", expected="one of them")
        if self.path is not None:
            return load_config(self.path)
        if self.preset is not None:
            return load_preset(self.preset)
        if self.resume:
            return None
        names = ", ".join(preset_names())
        raise UsageError("no configuration was given", expected=f"a CONFIG file, or --preset with one of {names}")


def given_options(function: Callable[..., None]) -> Callable[..., None]:
    """``[CONFIG] DATA`` and the options of every command that trains, handed on as one ``given``."""

    @wraps(function)
    def command(inputs: tuple[str, ...], output: Path, **others: Any) -> None:
        shared = {name: others.pop(name) for name in ("preset", "resume", "overwrite", "dry_run", "as_json")}
        if shared["resume"] and shared["overwrite"]:
            raise UsageError("--resume and --overwrite exclude each other")
        path, data = _config_and_data(inputs)
        function(given=Given(path, data=data, output=output, **shared), **others)

    parameters: list[Callable[..., Any]] = [
        click.argument("inputs", nargs=-1, metavar="[CONFIG] DATA"),
        click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder to write."),
        click.option(
            "--preset", metavar="NAME", help=f"Instead of CONFIG, one that comes with aetool: {', '.join(_PRESETS)}."
        ),
        click.option("--resume", is_flag=True, help="Go on with what is unfinished there; needs no configuration."),
        click.option("--overwrite", is_flag=True, help="Replace what an earlier call left there."),
        click.option("--dry-run", is_flag=True, help="Show what would be done; train and write nothing."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout."),
    ]
    for parameter in reversed(parameters):
        command = parameter(command)
    return command


def _config_and_data(inputs: tuple[str, ...]) -> tuple[Path | None, str]:
    """The two arguments, of which the first may be left out."""
    if not 1 <= len(inputs) <= 2:
        verb = click.get_current_context().info_name
        raise UsageError(
            f"{len(inputs)} arguments were given",
            expected="[CONFIG] DATA",
            hint=f"aetool {verb} --preset dense builtin:digits -o model",
        )
    return (Path(inputs[0]) if len(inputs) == 2 else None), inputs[-1]
