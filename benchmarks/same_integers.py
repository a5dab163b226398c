"""Does the int8 ONNX file compute the same integers on machines with and without VNNI?

    python benchmarks/same_integers.py [--models DIR]     # needs qemu-user (Debian: apt-get install qemu-user-static)

Method: each preset is trained (or taken from DIR/PRESET, a checkpoint) and exported at int8 with integer inputs and
outputs, and with float ones. Each graph runs on this machine, and under qemu's user-mode emulation of processors that
have other instructions; ONNX Runtime asks the (emulated) processor what it can do and takes other kernels. The outputs
are compared with this machine's: how many values differ, and by how much at most, in steps of the output for integers
and in units of the last place of the largest value for floats. For contrast the integer graphs with signed weights,
which is what quantizers choose by default: there, AVX2 adds pairs of products in 16 bits, and saturates.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np

RESULTS = Path(__file__).parent / "results"
PROCESSORS = {
    "Haswell": "AVX2, no VNNI",
    "SandyBridge": "AVX, no AVX2 (NumPy needs as much)",
}
SAMPLES = 32
COLUMNS = ("preset", "role", "interface", "weights", "processor", "values", "differ", "share", "at most")
CHILD = """
import sys
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 4
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
made = session.run(None, {session.get_inputs()[0].name: numpy.load(sys.argv[2])})
numpy.save(sys.argv[3], made[0])
"""


@click.command()
@click.option("--models", type=click.Path(path_type=Path), help="Folder with a trained checkpoint for each preset.")
@click.option("--qemu", help="qemu's user-mode emulator of x86-64.")
def main(models: Path | None, qemu: str | None) -> None:
    """Run everywhere, compare, and write the table."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from machine import describe_machine

    emulator = qemu or shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
    if emulator is None:
        raise click.UsageError("no qemu-x86_64 here: apt-get install qemu-user-static, or --qemu PATH")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        graphs = write_graphs(models or folder, folder)
        rows = [row for graph in graphs for row in compare(graph, emulator, folder)]
    version = subprocess.run([emulator, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    report = {"machine": describe_machine() | {"emulator": version}, "rows": rows}
    text = format_report(report)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "same_integers.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "same_integers.md").write_text(text)


def write_graphs(models: Path, folder: Path) -> list[dict[str, str]]:
    """Export all variants; each with its file of inputs."""
    from precisions import trained

    from aetool.model import load_model

    found = []
    for preset in ("dense", "conv2d", "conv1d"):
        model = load_model(trained(preset, models))
        for integer_io in (True, False):
            found += _variants(preset, model, integer_io, folder)
    return found


def _variants(preset: str, model: Any, integer_io: bool, folder: Path) -> list[dict[str, str]]:
    from aetool_exporters.onnx import OnnxExporter
    from aetool_exporters.request import Calibration, ExportRequest, QuantizationOptions

    calibration = Calibration(lambda: iter(np.array_split(model.calibration, 8)))
    options = QuantizationOptions(calibration, integer_io=integer_io)
    exported = OnnxExporter().export(model.reference, ExportRequest(model.name, "int8", quantization=options))
    values = model.samples.values[:SAMPLES]
    interface = "integers" if integer_io else "floats"
    found = []
    for artifact in exported.artifacts[:2]:
        spec = artifact.inputs[0]
        given = values if artifact.role == "encoder" else model.reference.compute("encoder", values)
        stem = f"{preset}.{artifact.role}.{interface}"
        np.save(folder / f"{stem}.npy", spec.quantization.quantize(given, spec.dtype) if integer_io else given)
        data = exported.files[artifact.path]
        signed = {"signed": with_signed_weights(data)} if integer_io else {}
        for weights, graph in ({"unsigned": data} | signed).items():
            (folder / f"{stem}.{weights}.onnx").write_bytes(graph)
            row = {"preset": preset, "role": artifact.role, "interface": interface, "weights": weights}
            found.append(row | {"stem": stem})
    return found


def with_signed_weights(data: bytes) -> bytes:
    """The same graph with int8 weights around 0 in the place of uint8 around 128."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(data)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = [n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constants]
    for node in weights:
        integers = numpy_helper.to_array(constants[node.input[0]])
        if integers.dtype != np.uint8:
            continue
        signed = (integers.astype(np.int16) - 128).astype(np.int8)
        scale = constants.get(node.input[1])
        size = list(scale.dims) if scale is not None else [integers.shape[_axis(node)]]
        constants[node.input[0]].CopyFrom(numpy_helper.from_array(signed, node.input[0]))
        zeros = f"{node.name}/zeros"
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(size, np.int8), zeros))
        node.input[2] = zeros
    return model.SerializeToString()


def _axis(node: Any) -> int:
    return next(attribute.i for attribute in node.attribute if attribute.name == "axis")


def compare(graph: dict[str, str], emulator: str, folder: Path) -> list[dict[str, Any]]:
    """Run one graph here and on every processor; a row for each of these."""
    stem = graph["stem"]
    described = {key: value for key, value in graph.items() if key != "stem"}
    here = run([], graph, folder)
    rows = []
    for processor in PROCESSORS:
        there = run([emulator, "-cpu", processor], graph, folder)
        off = np.abs(here.astype(np.float64) - there.astype(np.float64))
        if here.dtype == np.float32:
            off /= float(np.spacing(np.abs(here).max()))
        differ = int(np.count_nonzero(off))
        print(stem, graph["weights"], processor, differ, here.size, float(off.max()), file=sys.stderr)
        rows.append(
            described | {"processor": processor, "values": here.size, "differ": differ, "most": float(off.max())}
        )
    return rows


def run(prefix: list[str], graph: dict[str, str], folder: Path) -> np.ndarray:
    """The first output of a graph, computed in a process of its own, emulated or not."""
    stem = graph["stem"]
    paths = [folder / f"{stem}.{graph['weights']}.onnx", folder / f"{stem}.npy", folder / "made.npy"]
    paths[2].unlink(missing_ok=True)
    command = [*prefix, os.path.realpath(sys.executable), "-c", CHILD, *map(str, paths)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise click.ClickException(f"{' '.join(prefix)} failed on {stem}: {done.stderr[-500:]}")
    made: np.ndarray = np.load(paths[2])
    return made


def format_report(report: dict[str, Any]) -> str:
    method = (__doc__ or "").split("Method: ")[1]
    lines = ["# The same integers", "", method]
    lines += [f"- {key}: {value}" for key, value in report["machine"].items()]
    lines += [f"- {name}: {what}" for name, what in PROCESSORS.items()]
    lines += ["", "| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for row in report["rows"]:
        cells = [row[key] for key in ("preset", "role", "interface", "weights", "processor")]
        share = f"{100 * row['differ'] / row['values']:.3g} %"
        lines.append(
            "| " + " | ".join([*cells, f"{row['values']:,}", f"{row['differ']:,}", share, f"{row['most']:g}"]) + " |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
