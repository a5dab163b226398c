"""Every language against every other: the same bundle, the same vectors, streams made by each read by every other.

    python -m tests.conformance.run          # prints the table; writes conformance.md beside this file

The bundle is trained here for a moment on the built-in ECG. Each language tests itself (golden vectors through its
engine), tries all of tests/vectors, and compresses the same recording twice: within ±2 of each value, and at a quality.
Each stream is decompressed by every language; the bytes must be the same from all, and within the promised error.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
from tests.conformance.tools import BUILD, ROOT, Tool, tools

RESULT = Path(__file__).with_name("conformance.md")
MAX_ERROR = 2
GOALS = {"±2": ("--max-error", str(MAX_ERROR)), "quality": ("--quality", "2")}
ROWS = 20_000
RECORDING = ROOT / "toolkit" / "aetool" / "data" / "builtin" / "ecg.npy"


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path), help="One that compresses int16 windows of two channels.")
@click.option("--write/--no-write", default=True, show_default=True)
def main(bundle: Path | None, write: bool) -> None:
    """Run the matrix; exit code 1 when anything disagrees or is missing."""
    found = tools()
    present = [tool for tool in found if isinstance(tool, Tool)]
    missing = [entry for entry in found if not isinstance(entry, Tool)]
    sound, lines = matrix(present, bundle or make_bundle())
    lines += [f"\n{name} did not take part: {reason.splitlines()[0]}" for name, reason in missing]
    method = (__doc__ or "").split("\n\n")[2].strip()
    text = (
        "\n".join(["# Conformance", "", method, "", f"- {platform.machine()}, {platform.system()}", "", *lines]) + "\n"
    )
    sys.stdout.write(text)
    if write:
        RESULT.write_text(text, "utf-8")
    sys.exit(0 if sound and not missing else 1)


def make_bundle() -> Path:
    """A small network and a linear codec, trained for a moment."""
    model, bundle = BUILD / "model", BUILD / "ecg.aepkg"
    aetool = [sys.executable, "-m", "aetool"]
    train = [*aetool, "train", "--preset", "conv1d", "builtin:ecg", "-o", str(model), "--overwrite", "--epochs", "3"]
    export = [*aetool, "export", str(model), "--onnx", "--compression", "-o", str(bundle), "--overwrite"]
    for command in (train, export):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return bundle


def matrix(present: list[Tool], bundle: Path) -> tuple[bool, list[str]]:
    """Whether all agree, and the tables."""
    recording = np.load(RECORDING)[-ROWS:].astype("<i2")
    rows, sound = [], True
    for tool in present:
        cells = [tool.name, _passed(tool.run("selftest", str(bundle))), _vectors(tool)]
        for goal, options in GOALS.items():
            made = tool.run("compress", str(bundle), *options, given=recording.tobytes())
            if made.returncode != 0:
                cells.append(f"FAILED: {_reason(made)}")
                continue
            cells.append(f"{len(made.stdout):,} bytes; {_readers(present, bundle, goal, made.stdout, recording)}")
        sound = sound and not any("FAILED" in cell for cell in cells)
        rows.append("| " + " | ".join(cells) + " |")
    header = ["made by", "self-test", "vectors", *(f"{goal}: stream; read by" for goal in GOALS)]
    return sound, ["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *rows]


def _passed(done: subprocess.CompletedProcess[bytes]) -> str:
    return "passed" if done.returncode == 0 else f"FAILED: {_reason(done)}"


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    text = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
    return text.splitlines()[-1][:120] if text else f"exit code {done.returncode}"


def _vectors(tool: Tool) -> str:
    outcomes = [subprocess.run(command, capture_output=True, cwd=ROOT) for command in tool.vectors]
    failed = [outcome for outcome in outcomes if outcome.returncode != 0]
    return f"FAILED: {_reason(failed[0])}" if failed else "all" if outcomes else "in the suite"


def _readers(present: list[Tool], bundle: Path, goal: str, stream: bytes, recording: np.ndarray) -> str:
    """Who read the stream to the same values as the first, within what was promised."""
    first = None
    for reader in present:
        done = reader.run("decompress", str(bundle), given=stream)
        if done.returncode != 0:
            return f"FAILED: {reader.name}: {_reason(done)}"
        first = done.stdout if first is None else first
        if done.stdout != first or len(first) != recording.nbytes:
            return f"FAILED: {reader.name} reads other values"
    error = np.abs(np.frombuffer(first or b"", "<i2").reshape(recording.shape).astype(np.int64) - recording).max()
    if goal == "±2" and error > MAX_ERROR:
        return f"FAILED: off by {error}"
    return f"all {len(present)} alike, at most {error} off"


if __name__ == "__main__":
    main()
