"""What ``aetool benchmark`` shows about a candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aetool_runtime.parity import MAX_SNR

if TYPE_CHECKING:
    from aetool_runtime import Bundle
    from aetool_runtime.choosing.measuring import Measurement

__all__ = ["CSV_FIELDS", "HEADER", "row_cells", "row_json"]

CSV_FIELDS = (
    *("winner", "format", "precision", "backend", "device", "threads", "batch_size", "calls"),
    *("p50_seconds", "p95_seconds", "p99_seconds", "samples_per_second", "peak_memory_bytes", "load_seconds", "bytes"),
    *("psnr_db", "snr_db", "told_snr_db", "parity", "problem"),
)
HEADER = (
    *("", "artifacts", "runs on", "threads", "batch", "p50 µs", "p95 µs", "p99 µs", "samples/s", "peak MiB"),
    *("load ms", "KiB", "PSNR dB", "SNR dB", "parity", ""),
)


def row_json(met: Measurement, bundle: Bundle, peak_memory: int | None) -> dict[str, Any]:
    """A measurement as JSON and CSV have it: seconds, bytes, dB; ``None`` for what is not known or infinite."""
    from aetool_runtime.choosing.candidates import artifacts_of, lowest_snr

    candidate = met.candidate
    told = lowest_snr(artifacts_of(bundle, candidate.format, candidate.precision))
    return {
        "format": candidate.format,
        "precision": candidate.precision,
        "backend": candidate.backend,
        "device": candidate.device,
        "threads": candidate.threads,
        "batch_size": met.batch_size,
        "calls": met.calls,
        "p50_seconds": met.p50,
        "p95_seconds": met.p95,
        "p99_seconds": met.p99,
        "samples_per_second": met.samples_per_second,
        "peak_memory_bytes": peak_memory,
        "load_seconds": met.load,
        "bytes": met.bytes,
        "psnr_db": _finite(met.psnr),
        "snr_db": _finite(met.snr),
        "told_snr_db": _finite(told),
        "parity": _finite(met.parity),
        "problem": met.problem,
    }


def row_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The row for people; parity is the share of the tolerance that was used."""
    return (
        "*" if row["winner"] else "",
        f"{row['format']} {row['precision']}",
        f"{row['backend']}/{row['device']}",
        str(row["threads"] or "all"),
        f"{row['batch_size']:,}",
        *(_number(row[f"{name}_seconds"], 1e6, ",.1f") for name in ("p50", "p95", "p99")),
        _number(row["samples_per_second"], 1, ",.0f"),
        _number(row["peak_memory_bytes"], 2**-20, ",.0f"),
        _number(row["load_seconds"], 1e3, ",.1f"),
        _number(row["bytes"], 2**-10, ",.0f"),
        "inf" if row["snr_db"] == MAX_SNR else _number(row["psnr_db"], 1, ".1f"),
        _number(row["snr_db"], 1, ".1f"),
        _number(row["parity"], 1, ".2g"),
        row["problem"],
    )


def _number(value: float | None, factor: float, form: str) -> str:
    return "-" if value is None else format(value * factor, form)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
