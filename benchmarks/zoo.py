"""What becomes of models by strangers: `aetool export` on each, held against Keras without the exporter's help.

    python benchmarks/zoo.py MODELS          # prints the table; writes results/zoo.md and zoo.json

Method: every model under MODELS (Keras files and SavedModel folders; encoder and decoder beside each other also as a
pair) is exported by the command line in a process of its own, with a time limit. Another process then computes the
truth (see `zoo_truth.py`: plain Keras, tf_keras where it is installed, or TensorFlow's session; where a class is
unknown, the first of its input tensors, which is the mean for a sampling layer), runs the artifacts on ONNX Runtime and
LiteRT directly, and compares on 8 uniform [0, 1) samples with a fresh seed. Parity: max abs error ≤ 1e-3 × the output's
standard deviation; the number is that ratio. Strict: |error| ≤ 1e-5 × the standard deviation + 1e-4 × |value|,
everywhere. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).parent
FORMATS = ("onnx", "tflite")
SUFFIXES = (".keras", ".h5", ".hdf5")
PLAIN = {"onnx": "onnx_parity", "tflite": "tflite_fixed_batch_parity", "tflite, free batch": "tflite_builtin_parity"}


@click.command()
@click.argument("models", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--limit", default=300, show_default=True, help="Seconds for each process.")
@click.option("--only", default="", help="Only models whose path contains this.")
@click.option("-o", "--output", default=HERE / "results" / "zoo", type=click.Path(path_type=Path), show_default=False)
def main(models: Path, limit: int, only: str, output: Path) -> None:
    """Export every model under MODELS, compare, and write OUTPUT.md and OUTPUT.json."""
    sys.path.insert(0, str(HERE))
    from machine import describe_machine

    work = HERE.parent / "build" / "zoo" / hashlib.sha256(f"{models.resolve()}{only}".encode()).hexdigest()[:16]
    work.mkdir(parents=True, exist_ok=True)
    known = known_models(models)
    found = [path for path in find_models(models) if only in str(path.relative_to(models))]
    rows = [judged(models, [path], work, limit, known) for path in found]
    pairs = [judged(models, list(pair), work, limit, {}) for pair in find_pairs(found)]
    report = {"machine": describe_machine(), "models": rows, "pairs": pairs}
    text = format_report(report)
    print(text)
    output.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{output}.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    Path(f"{output}.md").write_text(text)
    for path in work.glob("*.json"):
        path.unlink()
    print(verdict(rows))


def known_models(models: Path) -> dict[str, Any]:
    """What ``models.json`` tells, by file name; nothing where there is none."""
    index = models / "models.json"
    return {entry["id"]: entry for entry in json.loads(index.read_text())} if index.is_file() else {}


def find_models(models: Path) -> list[Path]:
    """Keras files by suffix, SavedModel folders by what they hold."""
    files = [path for path in models.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    folders = [path.parent for path in models.rglob("saved_model.pb")]
    inside = [file for file in files if any(folder in file.parents for folder in folders)]
    return sorted({*files, *folders} - set(inside))


def find_pairs(found: list[Path]) -> Iterator[tuple[Path, Path]]:
    """Files that are called the same but for ``encoder`` and ``decoder``."""
    for path in found:
        other = re.sub(r"encoder(?!.*encoder)", "decoder", path.name)
        whole = "auto" in path.name.rpartition("encoder")[0][-5:].lower()
        if other != path.name and not whole and path.with_name(other) in found:
            yield path, path.with_name(other)


def judged(models: Path, paths: list[Path], work: Path, limit: int, known: dict[str, Any]) -> dict[str, Any]:
    """One row of the table; taken from an earlier run that was stopped, if it has it."""
    name = " + ".join(str(path.relative_to(models)) for path in paths)
    kept = work / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text()))
    print(f"{name} …", file=sys.stderr, flush=True)
    entry = known.get(paths[0].name, {})
    row = {"model": name, "kind": entry.get("kind", ""), "plain": entry.get("plain", {})}
    row |= try_model(paths, work, limit)
    text = json.dumps(row, ensure_ascii=False).replace(f"{models.resolve()}/", "").replace(f"{models}/", "")
    kept.write_text(text)
    return dict(json.loads(text))


def try_model(paths: list[Path], work: Path, limit: int) -> dict[str, Any]:
    """Export both formats; where that fails, each alone, since one may work without the other."""
    start = time.monotonic()
    both = export(paths, FORMATS, work / "both.aepkg", limit)
    seconds = time.monotonic() - start
    outcomes = dict.fromkeys(FORMATS, both)
    if both["code"] not in (0, 3, 7):
        outcomes = {name: export(paths, (name,), work / f"{name}.aepkg", limit) for name in FORMATS}
    row: dict[str, Any] = {
        "load": both["code"] not in (3, 7) and "converting to" in both["log"],
        "notices": [line for line in both["log"].splitlines() if re.search(r"layer '|latent is|taken for|cuts ", line)],
        "seconds": round(seconds, 1),
        "error": "" if both["code"] == 0 else both["error"],
    }
    bundles = {name: Path(outcome["bundle"]) for name, outcome in outcomes.items() if outcome["code"] == 0}
    compared = compare(paths, bundles, limit) if bundles else {}
    for name, outcome in outcomes.items():
        error = outcome["error"] if outcome["code"] else ""
        row[name] = {"exported": name in bundles, "error": error, **compared.get(name, {})}
    return row


def export(paths: list[Path], formats: tuple[str, ...], bundle: Path, limit: int, *more: str) -> dict[str, Any]:
    """Run `aetool export`; take the advice to name the latent, if that is what it gives."""
    model = [str(paths[0])] if len(paths) == 1 else ["--encoder", str(paths[0]), "--decoder", str(paths[1])]
    flags = [f"--{name}" for name in formats]
    command = [sys.executable, "-m", "aetool", "export", *model, *flags, "-o", str(bundle), "--overwrite", *more]
    code, _, log = run(command, limit)
    errors = [line for line in log.splitlines() if line.startswith(("error:", "  try:"))]
    advice = re.search(r"name one: (--latent) (\S+)", log)
    if code == 3 and advice and not more:
        return export(paths, formats, bundle, limit, *advice.groups())
    told = "no answer in time" if code is None else " ".join(errors)
    return {"code": code, "log": log, "error": told.replace(str(bundle), "BUNDLE"), "bundle": str(bundle)}


def compare(paths: list[Path], bundles: dict[str, Path], limit: int) -> dict[str, Any]:
    """The verdicts of `zoo_truth.py`, by format."""
    told = [f"{name}={bundle}" for name, bundle in bundles.items()]
    code, out, log = run([sys.executable, str(HERE / "zoo_truth.py"), *told, "--", *map(str, paths)], limit)
    if code == 0:
        return dict(json.loads(out.splitlines()[-1]))
    why = "no answer in time" if code is None else log[-600:]
    return {name: {"parity": False, "strict": False, "truth": "", "why": why} for name in bundles}


def run(command: list[str], limit: int) -> tuple[int | None, str, str]:
    """Run in a process group of its own, which ends with the limit."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        try:
            out, log = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, log = process.communicate()
            return None, out, log
    return process.returncode, out, log


def format_report(report: dict[str, Any]) -> str:
    """The page."""
    head, _, method = (__doc__ or "").partition("\n\n")
    method = method.partition("Method: ")[2].strip()
    lines = [f"# {head}", "", method, ""]
    lines += [f"- {name}: {value}" for name, value in report["machine"].items()]
    lines += ["", f"**{verdict(report['models'])}**", "", *columns(report["models"]), "", *table(report["models"])]
    if report["pairs"]:
        lines += ["", "Halves that lie beside each other, exported together:", "", *table(report["pairs"])]
    refused = [row for row in (*report["models"], *report["pairs"]) if row["error"]]
    if refused:
        lines += ["", "What was refused, and the advice given:", ""]
        lines += [f"- {row['model']}: {row['error']}" for row in refused]
    return "\n".join(lines) + "\n"


def verdict(rows: list[dict[str, Any]]) -> str:
    """How many made it."""
    good = sum(all(row[name].get("parity") for name in FORMATS) for row in rows)
    return f"{good} of {len(rows)} models at parity in both formats"


def columns(rows: list[dict[str, Any]]) -> list[str]:
    """Column by column: ours beside the plain tools."""
    told = [row for row in rows if row["plain"]]
    lines = ["| | plain tools | ours |", "|---|---|---|"]
    for name in FORMATS:
        plain = sum(bool(row["plain"].get(PLAIN[name])) for row in told)
        lines.append(
            f"| {name} at parity, of {len(told)} | {plain} | {sum(bool(r[name].get('parity')) for r in told)} |"
        )
    both = sum(all(row["plain"].get(PLAIN[name]) for name in FORMATS) for row in told)
    ours = sum(all(row[name].get("parity") for name in FORMATS) for row in told)
    lines.append(f"| both at parity, of {len(told)} | {both} | {ours} |")
    lost = [
        row["model"]
        for row in told
        for name in FORMATS
        if row["plain"].get(PLAIN[name]) and not row[name].get("parity")
    ]
    return [*lines, "", f"Exported by the plain tools and not by ours: {', '.join(lost) or 'none'}."] if told else []


def table(rows: list[dict[str, Any]]) -> list[str]:
    """One line for each model."""
    lines = [
        "| model | kind | load | ONNX | parity | strict | TFLite | parity | strict | plain tools: ONNX, TFLite "
        "(with a free batch) | truth |"
    ]
    lines.append("|---" * 11 + "|")
    for row in rows:
        cells = [row["model"], row["kind"], mark(row["load"])]
        for name in FORMATS:
            outcome = row[name]
            error = outcome.get("relative")
            parity = f"{mark(outcome.get('parity'))} {error:.1e}" if error is not None else mark(outcome.get("parity"))
            cells += [mark(outcome["exported"]), parity, mark(outcome.get("strict"))]
        plain = row["plain"]
        cells.append(", ".join(mark(plain[key]) for key in PLAIN.values() if key in plain))
        cells.append(row["onnx"].get("truth") or row["tflite"].get("truth") or "")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def mark(passed: Any) -> str:
    """Yes or no."""
    return "✓" if passed else "✗"


if __name__ == "__main__":
    main()
