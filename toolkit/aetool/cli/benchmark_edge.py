"""``aetool benchmark BUNDLE --edge``: what each engine needs on a small device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aetool.cli.output import emit_json, log, next_step, progress, table
from aetool_runtime.errors import BackendError

if TYPE_CHECKING:
    from aetool_runtime import Bundle

__all__ = ["benchmark_edge"]

METHOD = """\
Each engine runs one sample in fresh processes, in turn; times are medians. Installed is aetool, NumPy, the engine and
all that they need, as they are here. Cold is from the start of the process to the first result: Python, imports, the
bundle with every byte checked, the engine, one sample. Resident is what the process then holds, peak the most that it
held, with OPENBLAS_NUM_THREADS=1, since the runtime has no use for NumPy's threads."""
LIMIT = """\
Private memory is limited by RLIMIT_DATA, which the system keeps, as `ulimit -d`; the largest
resident memory, the engine's code included, is held against the cap afterwards"""
_HEADER = (
    "runs on",
    "installed MB",
    "bundle KB",
    "import ms",
    "cold s",
    "first ms",
    "next µs",
    "resident MiB",
    "peak MiB",
    "",
)
_REPEATS = 5


def benchmark_edge(bundle: Path, options: Mapping[str, Any], memory_cap: int | None, as_json: bool) -> None:
    """Print one row for each engine that is installed and has an artifact in the bundle.

    Args:
        options: of ``Autoencoder.open``, but for the backend.
        memory_cap: MiB; ``None`` for no limit.

    Raises:
        BackendError: no engine is installed, or none runs, or none within the cap.
        UsageError: a cap where the system keeps none.
    """
    from aetool_runtime import open_bundle

    opened = open_bundle(bundle)
    cap = (memory_cap or 0) << 20
    names = _engines(opened)
    with progress(len(names), "engines") as bar:
        rows = [_row(bundle, name, options, cap, bar) for name in names]
    if as_json:
        emit_json(_document(opened, rows, cap))
    else:
        click.echo(f"{opened.manifest.name}  ({opened.path})\n\n{METHOD}")
        if cap:
            click.echo(f"Cap: {memory_cap} MiB. {LIMIT}.")
        click.echo("\n" + table(_HEADER, [_cells(row) for row in rows]))
    for row in rows:
        if row["problem"]:
            log(f"{row['engine']}: {row['problem']}")
    if all(row["problem"] for row in rows):
        raise BackendError(
            f"no engine here runs the bundle{f' within {memory_cap} MiB' if cap else ''}",
            where=str(bundle),
            hint="allow more memory, or export a smaller model" if cap else "`aetool verify BUNDLE` says more",
        )
    if not as_json:
        next_step(f"aetool verify {bundle}")


def _engines(bundle: Bundle) -> list[str]:
    from aetool_runtime.backends import available_backends

    formats = dict.fromkeys(artifact.format for artifact in bundle.manifest.artifacts)
    names = dict.fromkeys(backend.name for name in formats for backend in available_backends(name))
    if not names:
        raise BackendError(
            f"no backend is installed for {', '.join(formats)}",
            where=str(bundle.path),
            hint="pip install 'aetool[cpu]' for ONNX, 'aetool[litert]' for TFLite",
        )
    return list(names)


def _row(bundle: Path, engine: str, options: Mapping[str, Any], cap: int, bar: Any) -> dict[str, Any]:
    """What was measured, or why nothing was; under a cap that is too small, also what would have been enough."""
    from aetool.edge import EdgeProfile, profile

    given = {**options, "backend": engine}
    row: dict[str, Any] = {"engine": engine, **dict.fromkeys(EdgeProfile.__dataclass_fields__), "problem": ""}
    try:
        row |= asdict(profile(bundle, given, memory_cap=cap, repeats=_REPEATS))
    except BackendError as error:
        row["problem"] = error.what + (_without_cap(bundle, given) if cap else "")
    bar.update(1)
    return row


def _without_cap(bundle: Path, options: Mapping[str, Any]) -> str:
    from aetool.edge import profile

    try:
        free = profile(bundle, options, repeats=1)
    except BackendError as error:
        return f"; nor without a cap: {error.what}"
    return f"; without a cap it holds up to {free.peak_bytes / 2**20:.0f} MiB"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    def number(key: str, factor: float, form: str) -> str:
        return "-" if row[key] is None else format(row[key] * factor, form)

    return (
        row["ran_on"] or row["engine"],
        number("installed_bytes", 1e-6, ".1f"),
        number("bundle_bytes", 1e-3, ",.0f"),
        number("import_s", 1e3, ",.0f"),
        number("cold_s", 1, ".2f"),
        number("first_s", 1e3, ",.1f"),
        number("next_s", 1e6, ",.1f"),
        number("resident_bytes", 2**-20, ",.0f"),
        number("peak_bytes", 2**-20, ",.0f"),
        "does not run" if row["problem"] else "",
    )


def _document(bundle: Bundle, rows: list[dict[str, Any]], cap: int) -> dict[str, object]:
    from aetool_runtime.choosing.cache import machine, versions

    return {
        "bundle": str(bundle.path),
        "digest": bundle.digest,
        "machine": machine(),
        "versions": versions(),
        "method": METHOD.replace("\n", " "),
        "memory_cap_bytes": cap or None,
        "limit": LIMIT.replace("\n", " ") if cap else None,
        "rows": rows,
    }
