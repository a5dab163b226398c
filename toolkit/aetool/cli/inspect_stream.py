"""``aetool inspect STREAM``: what a compressed stream is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aetool.cli.output import emit_json, next_step, table
from aetool_runtime.compression.framing.header import MAGIC, Header

if TYPE_CHECKING:
    from aetool.compressing.anatomy import Anatomy, Part

__all__ = ["inspect_stream", "is_stream"]

_CHUNKS = ("chunk", "from", "count", "path", "quality", "residual step", "bytes", "bits a value")
_SHOWN = 20  # chunks; all of them are in the JSON document


def is_stream(path: Path) -> bool:
    """Whether a file begins like one."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def inspect_stream(path: Path, bundle: Path | None, *, as_json: bool) -> None:
    """Check every chunk's crc32 and say what the stream is made of."""
    from aetool.compressing.anatomy import dissect
    from aetool_runtime import Decompressor

    decompressor = Decompressor(bundle) if bundle is not None else None
    with path.open("rb") as file:
        found = dissect(file, str(path), decompressor)
    if as_json:
        emit_json(_document(path, found))
        return
    for line in _lines(path, found):
        click.echo(line)
    next_step(f"aetool decompress {path} -o restored --bundle {bundle or 'BUNDLE'}")


def _document(path: Path, found: Anatomy) -> dict[str, object]:
    header = found.header
    picture = header.picture
    return {
        "stream": str(path),
        "bytes": found.bytes,
        "values": found.values,
        "bits_per_value": found.bits,
        "bundle": header.digest.hex(),
        "dtype": header.dtype,
        "shape": list(header.shape),
        "recording": header.rows,
        "picture": None if picture is None else [picture.height, picture.width, picture.halo],
        "max_error": header.max_error,
        "grid": None if header.grid is None else header.grid.step,
        "checked": header.checked,
        "file": _form(header),
        "sections": dict(found.sections),
        "paths": found.shares(),
        "chunks": [_chunk(found, part) for part in found.parts],
    }


def _form(header: Header) -> dict[str, object]:
    from aetool.compressing.form import parse_form

    form = parse_form(header.attachment)
    return {"kind": form.kind, **form.members}


def _chunk(found: Anatomy, part: Part) -> dict[str, object]:
    return {
        "number": part.number, "start": part.start, "count": part.count, "path": part.path, "quality": part.quality,
        "residual_step": part.residual, "bytes": part.bytes, "bits_per_value": _bits(found, part),
    }  # fmt: skip


def _bits(found: Anatomy, part: Part) -> float:
    count = sum(one.count for one in found.parts)
    return 8 * part.bytes * count / max(1, part.count * found.values)


def _lines(path: Path, found: Anatomy) -> list[str]:
    header = found.header
    share = found.shares()
    sections = sorted(found.sections.items(), key=lambda item: -item[1])
    hidden = len(found.parts) - _SHOWN
    return [
        f"compressed stream  ({path}, every chunk checked)",
        f"bundle         {header.digest.hex()}…",
        f"values         {found.values:,} of {header.dtype}, {_layout(header)}; {_promise(header)}",
        f"file           {_file(header)}",
        f"bytes          {found.bytes:,}, {found.bits:.3g} bits a value",
        f"sections       {', '.join(f'{name} {count:,}' for name, count in sections)}",
        "",
        table(
            ("path", "chunks", "of values", "of bytes"),
            [(name, f"{s['chunks']:,.0f}", f"{s['values']:.1%}", f"{s['bytes']:.1%}") for name, s in share.items()],
        ),
        "",
        table(_CHUNKS, [_row(found, part) for part in found.parts[:_SHOWN]]),
        *([f"… and {hidden:,} more; all with --json"] if hidden > 0 else []),
    ]


def _layout(header: Header) -> str:
    if header.picture is not None:
        tiles = f"{header.tiles:,} tiles {list(header.shape)}, halo {header.picture.halo}"
        return f"a picture {header.picture.height}×{header.picture.width} as {tiles}"
    return f"a recording in windows {list(header.shape)}" if header.rows else f"samples {list(header.shape)}"


def _promise(header: Header) -> str:
    if header.max_error is None:
        return "no bound was promised"
    return f"at most {header.max_error:g} off" if header.max_error else "no loss"


def _file(header: Header) -> str:
    form = _form(header)
    more = ", ".join(f"{name} {value}" for name, value in form.items() if name not in ("kind", "names", "types"))
    return f"{form['kind']}{f' ({more})' if more else ''}"


def _row(found: Anatomy, part: Part) -> tuple[str, ...]:
    start = "?" if part.start is None else f"{part.start:,}"
    quality = "" if part.quality is None else str(part.quality)
    residual = "" if part.residual is None else str(part.residual or "none")
    numbers = (f"{part.bytes:,}", f"{_bits(found, part):.3g}")
    return (str(part.number), start, f"{part.count:,}", part.path, quality, residual, *numbers)
