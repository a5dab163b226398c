"""The entropy coder of bitstreams beside others, on the same symbols.

    python benchmarks/coder.py

Method: symbols of three kinds: latents (32 channels, Laplace, scales from 0.3 to 6, loud and quiet samples in turns of
eight, 8 sets of tables), the same by one set of tables, and residuals (one series whose scale wanders between 0.5 and
50, the model that every bundle brings). Tables are fitted to other symbols of the same kind. The bound is the code
length of those tables, with the indices of sets, escapes and raw bits. One symbol counts as one byte. Speeds are of one
thread, in processor time, so that what else the machine does counts less; the best of three turns, all coders in each.
`constriction` (Rust) codes the same entries by the same tables, all entries of a table in one call, which is its
fastest way; it is not told the sets, escapes or raw bits, for which the bound's bits are added. zstd and zlib get the
symbols as bytes, or as 16-bit integers where they are larger.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import constriction
import numpy as np
import pyarrow as pa
from machine import describe_machine
from numpy.typing import NDArray

from aetool_exporters.compression.fitting import fit_model
from aetool_exporters.compression.fitting_residual import fit_residual_model
from aetool_runtime.compression.description import EntropyModel, EntropyTable
from aetool_runtime.compression.entropy.coding import Coder, _payload, _plan  # the bound, without lanes

RESULTS = Path(__file__).parent / "results"
SIZES = (1 << 15, 1 << 20)
CHANNELS, TURNS = 32, 3
COLUMNS = ("symbols", "count", "coder", "bytes", "over the bound", "coding MB/s", "decoding MB/s")


@dataclass(frozen=True)
class Case:
    """Symbols [samples, positions …, channels], and what codes them."""

    name: str
    values: NDArray[np.int32]
    tables: list[EntropyTable]
    model: EntropyModel


def main() -> None:
    """Measure all, and write the tables."""
    rows = [row for count in SIZES for case in cases(count) for row in measure(case)]
    report = {"machine": describe_machine() | {"constriction": _version("constriction")}, "rows": rows}
    text = format_report(report)
    print(text)
    (RESULTS / "coder.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "coder.md").write_text(text)


def cases(count: int) -> Iterator[Case]:
    """Each kind of symbols, ``count`` of them."""
    for name, sets in (("latents, 8 sets", 8), ("latents, 1 set", 1)):
        tables, model = fit_model(latents(1 << 17, 0), kind="sets", sets=[sets])
        yield Case(name, latents(count, 1), tables, model)
    tables, model = fit_residual_model([residuals(1 << 17, 0).reshape(-1)])
    yield Case("residuals", residuals(count, 1), tables, model)


def latents(count: int, seed: int) -> NDArray[np.int32]:
    random = np.random.default_rng(seed)
    loud = 2.0 ** random.normal(0, 1, count // CHANNELS // 8).repeat(8)[:, None]
    return np.rint(random.laplace(0, loud * np.geomspace(0.3, 6, CHANNELS))).astype(np.int32)


def residuals(count: int, seed: int) -> NDArray[np.int32]:
    random = np.random.default_rng(seed)
    scale = 5 * 10 ** np.sin(np.cumsum(random.normal(0, 0.01, count)))
    return np.rint(random.laplace(0, scale)).astype(np.int32).reshape(1, -1, 1)


def measure(case: Case) -> list[dict[str, Any]]:
    """A row for each coder."""
    coder = Coder(case.tables, [case.model])
    plan = _plan(coder._assignments[0], case.values)
    bound = _payload(plan) / 8
    entries = plan.entries - plan.assignment.tables.first[plan.assignment.tables.table[plan.entries]]
    groups = _by_table(plan.assignment.tables.table[plan.entries], entries)
    probabilities = {number: plan.assignment._given[number].frequencies / 2**14 for number in groups}
    others = bound - float(plan.assignment.tables.bits.take(plan.entries).sum()) / 8
    small = np.abs(case.values).max() < 128
    flat = case.values.astype(np.int8 if small else np.int16).tobytes()
    zstd = pa.Codec("zstd", compression_level=19)
    ways: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], float]]] = {
        "aetool": (
            lambda: coder.encode(case.values, 0),
            lambda data: coder.decode(data, 0, case.values.shape, 0),
            len,
        ),
        "constriction, rANS": (
            lambda: _constriction_encode(groups, probabilities),
            lambda data: _constriction_decode(data, groups, probabilities),
            lambda data: 4 * len(data) + others,
        ),
        "zstd 19": (lambda: zstd.compress(flat), lambda data: zstd.decompress(data, len(flat)), len),
        "zlib 9": (lambda: zlib.compress(flat, 9), zlib.decompress, len),
    }
    best = {name: [np.inf, np.inf] for name in ways}
    sizes = {}
    for _ in range(TURNS):
        for name, (encode, decode, size) in ways.items():
            begin = time.process_time()
            data = encode()
            middle = time.process_time()
            decode(data)
            end = time.process_time()
            best[name] = [min(best[name][0], middle - begin), min(best[name][1], end - middle)]
            sizes[name] = size(data)
    count = case.values.size
    return [
        {
            "symbols": case.name,
            "count": count,
            "coder": name,
            "bytes": round(sizes[name]),
            "over": sizes[name] / bound - 1,
            "coding": count / best[name][0] / 1e6,
            "decoding": count / best[name][1] / 1e6,
        }
        for name in ways
    ]


def _by_table(tables: NDArray[np.int64], entries: NDArray[np.int64]) -> dict[int, NDArray[np.int32]]:
    return {int(number): entries[tables == number].astype(np.int32) for number in np.unique(tables)}


def _model(probabilities: NDArray[np.float64]) -> Any:
    return constriction.stream.model.Categorical(probabilities, perfect=False)


def _constriction_encode(groups: dict[int, NDArray[np.int32]], probabilities: dict[int, Any]) -> Any:
    coder = constriction.stream.stack.AnsCoder()
    for number, entries in groups.items():
        coder.encode_reverse(entries, _model(probabilities[number]))
    return coder.get_compressed()


def _constriction_decode(data: Any, groups: dict[int, NDArray[np.int32]], probabilities: dict[int, Any]) -> None:
    coder = constriction.stream.stack.AnsCoder(data)
    for number in reversed(groups):
        coder.decode(_model(probabilities[number]), len(groups[number]))


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def format_report(report: dict[str, Any]) -> str:
    """Markdown."""
    method = (__doc__ or "").split("Method: ")[1]
    lines = ["# The entropy coder", "", method]
    lines += [f"- {key}: {value}" for key, value in report["machine"].items()]
    lines += ["", "| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for row in report["rows"]:
        speeds = [f"{row[key]:.1f}" for key in ("coding", "decoding")]
        sizes = [f"{row['bytes']:,}", f"{100 * row['over']:+.2f} %"]
        lines.append("| " + " | ".join([row["symbols"], f"{row['count']:,}", row["coder"], *sizes, *speeds]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
