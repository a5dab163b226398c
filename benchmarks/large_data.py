"""Peak memory and speed of `aetool encode` over more and more windows.

    .venv/bin/python benchmarks/large_data.py [BUNDLE]

Writes benchmarks/results/large_data.md and .json. Without BUNDLE a conv1d model is trained for one epoch on the
built-in ECG first. Data: windows of noise, int16 [n, 256, 2], as .npy and as Parquet (256 rows a window).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from machine import describe_machine

RESULTS = Path(__file__).parent / "results"
WINDOW = (256, 2)
COUNTS = (10_000, 100_000, 1_000_000)
_MEBI = 1 << 20
_BLOCK = 10_000


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="aetool-large-") as name:
        folder = Path(name)
        bundle = Path(sys.argv[1]) if sys.argv[1:] else _trained(folder)
        rows = [_measure(bundle, folder, kind, count) for kind in ("npy", "parquet") for count in COUNTS]
    document = {"machine": describe_machine(), "rows": rows}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "large_data.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    (RESULTS / "large_data.md").write_text(_page(document), "utf-8")
    peaks = {row["windows"]: row["peak_mib"] for row in rows if row["kind"] == "npy"}
    print(f"peak memory from {COUNTS[0]:,} to {COUNTS[-1]:,} windows: x {peaks[COUNTS[-1]] / peaks[COUNTS[0]]:.2f}")


def _trained(folder: Path) -> Path:
    model, bundle = folder / "model", folder / "model.aepkg"
    _run("train", "--preset", "conv1d", "builtin:ecg", "-o", model, "--epochs", "1")
    _run("export", model, "--onnx", "-o", bundle)
    return bundle


def _run(*arguments: object) -> tuple[str, float]:
    """stdout, and the peak resident memory in MiB; the child's own, by /usr/bin/time-like accounting."""
    script = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True)\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "print(json.dumps([done.stdout.decode(), peak]))\n"
    )
    command = [sys.executable, "-c", script, sys.executable, "-m", "aetool", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    out, peak = json.loads(done.stdout)
    return out, peak * (1024 if sys.platform != "darwin" else 1) / _MEBI


def _measure(bundle: Path, folder: Path, kind: str, count: int) -> dict[str, object]:
    data = folder / f"data.{kind}"
    (_write_npy if kind == "npy" else _write_parquet)(data, count)
    began = time.perf_counter()
    out, peak = _run("encode", bundle, data, "-o", folder / "out.npy", "--overwrite", "--json")
    wall = time.perf_counter() - began
    seconds = float(json.loads(out)["seconds"])
    size = data.stat().st_size / _MEBI
    data.unlink()
    row = {
        "kind": kind, "windows": count, "data_mib": round(size), "peak_mib": round(peak, 1),
        "wall_s": round(wall, 2), "windows_per_s": round(count / seconds),
    }  # fmt: skip
    print(row, flush=True)
    return row


def _blocks(count: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    for start in range(0, count, _BLOCK):
        yield rng.integers(900, 1100, (min(_BLOCK, count - start), *WINDOW), np.int16)


def _write_npy(path: Path, count: int) -> None:
    mapped = np.lib.format.open_memmap(path, "w+", np.int16, (count, *WINDOW))
    for index, block in enumerate(_blocks(count)):
        mapped[index * _BLOCK : index * _BLOCK + len(block)] = block
    mapped.flush()


def _write_parquet(path: Path, count: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, pa.schema([("lead1", pa.int16()), ("lead2", pa.int16())])) as writer:
        for block in _blocks(count):
            flat = block.reshape(-1, 2)
            writer.write_table(pa.table({"lead1": flat[:, 0], "lead2": flat[:, 1]}))


def _page(document: dict[str, object]) -> str:
    rows = document["rows"]
    assert isinstance(rows, list)
    lines = ["# Data larger than memory", "", (__doc__ or "").split("\n\n")[0], ""]
    lines += ["| data | windows | size, MiB | peak memory, MiB | windows/s |", "|---|---|---|---|---|"]
    lines += [
        f"| {r['kind']} | {r['windows']:,} | {r['data_mib']:,} | {r['peak_mib']} | {r['windows_per_s']:,} |"
        for r in rows
    ]
    machine = document["machine"]
    assert isinstance(machine, dict)
    lines += ["", "Measured on:", "", *(f"- {key}: {value}" for key, value in machine.items())]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
