"""``aetool pack BUNDLE``."""

from __future__ import annotations

from pathlib import Path

import click

from aetool.cli.output import emit_json, next_step
from aetool_runtime.atomic import check_target
from aetool_runtime.bundle import open_bundle
from aetool_runtime.pack import pack

__all__ = ["command"]


@click.command("pack")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write.")
@click.option("--overwrite", is_flag=True, help="Replace the file that stands there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(bundle: Path, output: Path, overwrite: bool, as_json: bool) -> None:
    """Turn BUNDLE, a folder, into one file that every command and runtime opens just as well.

    The same bundle gives the same bytes. Any zip program unpacks the file.
    """
    check_target(output, overwrite=overwrite)
    opened = open_bundle(bundle)
    pack(opened, output)
    size = output.stat().st_size
    if as_json:
        emit_json({"output": str(output), "bytes": size, "digest": opened.digest})
    else:
        click.echo(f"{output}: {size:,} bytes, bundle {opened.digest}")
        next_step(f"aetool verify {output}")
