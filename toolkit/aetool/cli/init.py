"""``aetool init [PATH]``."""

from __future__ import annotations

from pathlib import Path

import click

from aetool.cli.output import emit_json, next_step

__all__ = ["command"]


@click.command("init")
@click.argument("path", type=click.Path(path_type=Path), default=Path("config.toml"))
@click.option("--preset", metavar="NAME", help="Begin with a configuration that comes with aetool, such as dense.")
@click.option("--overwrite", is_flag=True, help="Replace the file that stands there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(path: Path, preset: str | None, overwrite: bool, as_json: bool) -> None:
    """Write a commented configuration to PATH (config.toml): every key with its meaning, default and choices.

    \b
    aetool init
    aetool init ecg.toml --preset conv1d
    """
    from dataclasses import asdict

    from aetool.config import load_preset
    from aetool.template import config_template, default_config
    from aetool_runtime.atomic import check_target, replacing_file

    check_target(path, overwrite=overwrite)
    config = default_config() if preset is None else load_preset(preset)
    with replacing_file(path) as partial:
        partial.write_text(config_template(config), encoding="utf-8")
    if as_json:
        emit_json({"output": str(path), "preset": preset, "config": asdict(config)})
        return
    click.echo(f"{path}: {'all defaults' if preset is None else f'the preset {preset}'}, explained")
    next_step(f"aetool train {path} DATA -o model")
