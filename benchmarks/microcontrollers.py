"""What encoders in C need on microcontrollers: flash, RAM and instructions on five emulated Cortex-M processors.

    python benchmarks/microcontrollers.py BUNDLE...     # of `aetool export --mcu`

Needs gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm. Method: the C of each bundle's encoder is built
with -O2 for each processor; its golden test must return 0 on the emulated board. Flash is what a program with one call
needs more than the same program without it (so the compiler's own routines count where they are used), RAM what static
memory the generated code has; input and output are the caller's, and the stack is not in it. Instructions are counted
by the emulator's clock, one nanosecond each (-icount shift=0), read through SysTick, so they are exact to two of its
ticks (40 to 63 ns each). Emulated processors have no pipeline: instructions are not cycles. Where the package
tflite-micro is installed (pip install --pre tflite-micro), the arena that TensorFlow Lite Micro takes for the same
graph stands beside: on x86-64, where its records are larger than on a Cortex-M, and with the input and output, which
are the caller's here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).parent
RESULTS, SOURCES = HERE / "results", HERE / "cortex_m"
COLUMNS = ("model", "processor", "flash", "of which constants", "RAM", "instructions", "TFLM arena on x86-64")
SECONDS = 60
MICRO = """
import sys
from tflite_micro.python.tflite_micro import runtime
runtime.Interpreter.from_file(sys.argv[1], arena_size=8_000_000).print_allocations()
"""


@dataclass(frozen=True)
class Board:
    """An emulated board: flash and RAM as (start, bytes), and nanoseconds of a tick of its clock."""

    processor: str
    machine: str
    flash: tuple[int, int]
    ram: tuple[int, int]
    tick: float


MPS2 = ((0, 4 << 20), (0x20000000, 4 << 20), 40.0)
BOARDS = (
    Board("cortex-m0", "microbit", (0, 256 << 10), (0x20000000, 16 << 10), 62.5),
    Board("cortex-m3", "mps2-an385", *MPS2),
    Board("cortex-m4", "mps2-an386", *MPS2),
    Board("cortex-m7", "mps2-an500", *MPS2),
    Board("cortex-m33", "mps2-an505", (0x10000000, 4 << 20), (0x38000000, 4 << 20), 50.0),
)


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def main(bundles: tuple[Path, ...]) -> None:
    """Build, test and count everywhere, and write the table."""
    from machine import describe_machine

    for program in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(program) is None:
            raise click.UsageError(f"no {program} here: apt-get install gcc-arm-none-eabi qemu-system-arm")
    rows = [row for bundle in bundles for row in measure(bundle)]
    report = {"machine": describe_machine() | {"tools": ", ".join(map(_version, _TOOLS))}, "rows": rows}
    text = format_report(report)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "microcontrollers.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "microcontrollers.md").write_text(text)


def measure(path: Path) -> list[dict[str, Any]]:
    """A row for each board."""
    from aetool_exporters.c import write_c
    from aetool_runtime import open_bundle

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "code"
        program = write_c(open_bundle(path), folder)
        told = {"TFLM arena on x86-64": _micro_arena(path, Path(temporary))}
        return [_on(board, program, folder) | told for board in BOARDS]


def _micro_arena(path: Path, folder: Path) -> int | str:
    """Bytes that TensorFlow Lite Micro takes; "" where it is not here."""
    from aetool_exporters.tflite.extraction import extract
    from aetool_runtime import open_bundle

    bundle = open_bundle(path)
    file = next(met.path for met in bundle.manifest.artifacts if (met.format, met.precision) == ("tflite", "int8"))
    graph = folder / "encode.tflite"
    graph.write_bytes(extract(bundle.read(file), "encode"))
    done = subprocess.run([sys.executable, "-c", MICRO, str(graph)], capture_output=True, text=True, check=False)
    met = re.search(r"allocation total (\d+) bytes", done.stdout + done.stderr)
    return int(met[1]) if met else ""


def _on(board: Board, program: Any, folder: Path) -> dict[str, Any]:
    name, graph = program.name, program.graph
    if _run(board, _build(board, folder, [f"{name}.c", f"{name}_test.c"], "golden")).returncode != 0:
        raise click.ClickException(f"the golden test of {name} fails on {board.processor}")
    sizes = [f"-DGIVEN={graph.inputs[0].size}", f"-DMADE={graph.outputs[0].size}"]
    called = [f"-DCALL={name}_{program.function}", f'-DHEADER="{name}.h"']
    whole = _build(board, folder, [f"{name}.c", str(SOURCES / "measure.c")], "measure", sizes + called)
    frame = _build(board, folder, [str(SOURCES / "measure.c")], "frame", sizes)
    ticks = [_ticks(_run(board, elf, "-icount", "shift=0")) for elf in (whole, frame)]
    (text, ram), (frame_text, frame_ram) = _sizes(whole), _sizes(frame)
    return {
        "model": name, "processor": board.processor, "flash": text - frame_text,
        "of which constants": program.constants, "RAM": ram - frame_ram,
        "instructions": round((ticks[0] - ticks[1]) * board.tick),
    }  # fmt: skip


def _build(board: Board, folder: Path, sources: list[str], name: str, more: list[str] | None = None) -> Path:
    (start, size), (ram, ram_size) = board.flash, board.ram
    places = f"FLASH_START={start},--defsym=FLASH_SIZE={size},--defsym=RAM_START={ram},--defsym=RAM_SIZE={ram_size}"
    command = [
        *("arm-none-eabi-gcc", "-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-mthumb"),
        *(f"-mcpu={board.processor}", "-nostartfiles", "--specs=nosys.specs", "-ffunction-sections", "-fdata-sections"),
        *("-Wl,--gc-sections", f"-Wl,--defsym={places}", "-T", str(SOURCES / "board.ld"), f"-I{SOURCES}", "-I."),
        *(more or []), str(SOURCES / "start.c"), *sources, "-o", f"{name}-{board.processor}.elf",
    ]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True)
    return folder / f"{name}-{board.processor}.elf"


def _run(board: Board, elf: Path, *more: str) -> subprocess.CompletedProcess[str]:
    screen = (
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "none",
        "-semihosting-config",
        "enable=on,target=native",
    )
    command = ["qemu-system-arm", "-M", board.machine, *screen, *more, "-kernel", str(elf)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def _ticks(done: subprocess.CompletedProcess[str]) -> int:
    met = re.search(r"\d+", done.stderr + done.stdout)
    if done.returncode != 0 or met is None:
        raise click.ClickException(f"the emulated program ended with {done.returncode}: {done.stderr}")
    return int(met[0])


def _sizes(elf: Path) -> tuple[int, int]:
    """Bytes of flash and of static memory."""
    told = subprocess.run(["arm-none-eabi-size", str(elf)], capture_output=True, text=True, check=True).stdout
    text, data, zeros = map(int, told.splitlines()[1].split()[:3])
    return text + data, data + zeros


_TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm")


def _version(program: str) -> str:
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def format_report(report: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["# Encoders in C on emulated microcontrollers", "", (__doc__ or "").split("Method: ")[1], ""]
    lines += [f"- {key}: {value}" for key, value in report["machine"].items()]
    lines += ["", "| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for row in report["rows"]:
        values = (row[column] for column in COLUMNS)
        lines.append("| " + " | ".join(f"{v:,}" if isinstance(v, int) else str(v) for v in values) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
