"""C programs as folders: for a bundle's int8 TFLite file, with a golden test of made-up and extreme integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aetool_exporters.c.evaluation import evaluate
from aetool_exporters.c.program import CProgram, Golden, make_program
from aetool_runtime.atomic import check_target, is_empty_folder, replacing_folder
from aetool_runtime.bundle import Bundle
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import Artifact

__all__ = ["check_c_folder", "golden_for", "program_of", "write_c"]

_SEED = 7
_RANDOM_CASES = 5


def check_c_folder(target: Path, *, overwrite: bool) -> None:
    """Refuse early a target that exists, or that holds no C program of ours and so must not be replaced."""
    check_target(target, overwrite=overwrite, replaceable=_is_program, kind="a folder of generated C")


def write_c(bundle: Bundle, target: Path, *, overwrite: bool = False) -> CProgram:
    """Write the encoder of a bundle as C in one step.

    Raises:
        UsageError: the bundle has no int8 TFLite encoder; or see ``check_c_folder``.
        UnsupportedOperatorError: an operation has no C kernel, or values are not int8.
    """
    check_c_folder(target, overwrite=overwrite)
    program = program_of(bundle)
    files = program.files(golden_for(program))
    with replacing_folder(target) as partial:
        for name, content in files.items():
            (partial / name).write_bytes(content)
    return program


def program_of(bundle: Bundle) -> CProgram:
    """The encoder of a bundle as C; raises as ``write_c`` does."""
    found = _encoders(bundle)
    if not found:
        raise UsageError(
            "the bundle has no int8 TFLite encoder, which C is made from",
            where=str(bundle.path),
            hint="export with --mcu",
        )
    return make_program(bundle.read(found[0].path), bundle.manifest.name, found[0].signature or "encode")


def _encoders(bundle: Bundle) -> list[Artifact]:
    wanted = ("tflite", "int8", "encoder")
    return [met for met in bundle.manifest.artifacts if (met.format, met.precision, met.role) == wanted]


def golden_for(program: CProgram) -> Golden:
    """Lowest, highest and zero values, and random ones, with what the integer arithmetic makes of them."""
    sizes = [tensor.size for tensor in program.graph.inputs]
    zero = program.graph.inputs[0].zero_point
    rng = np.random.default_rng(_SEED)
    fixed = [np.full(sizes[0], value, np.int8) for value in (-128, 127, zero)]
    given = np.stack([*fixed, *rng.integers(-128, 128, (_RANDOM_CASES, sizes[0])).astype(np.int8)])
    made = [evaluate(program.graph, program.steps, (case,)) for case in given]
    expected = tuple(np.stack([case[i].ravel() for case in made]) for i in range(len(program.graph.outputs)))
    return Golden(given, expected)


def _is_program(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    names = {entry.name for entry in folder.iterdir()}
    stems = {name[:-2] for name in names if name.endswith(".h")}
    ours = len(stems) == 1 and names == {f"{stem}{end}" for stem in stems for end in (".h", ".c", "_test.c")} | {
        "README.md"
    }
    return ours or is_empty_folder(folder)
