"""Generated C, compiled with every warning an error and under the sanitizers, and called from Python."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from aetool_exporters.c.program import CProgram
from aetool_exporters.c.writing import golden_for

Array = np.ndarray[Any, Any]
STRICT = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
SANITIZED = ("-g", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")
_DRIVER = """\
#include <stdio.h>
#include "{name}.h"
int main(void) {{
    static int8_t given[{given}], made[{made}];
    while (fread(given, 1, sizeof given, stdin) == sizeof given) {{
        {name}_{function}(given, made);
        fwrite(made, 1, sizeof made, stdout);
    }}
    return 0;
}}
"""


def write(program: CProgram, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in program.files(golden_for(program)).items():
        (folder / name).write_bytes(content)


def golden_result(program: CProgram, folder: Path) -> int:
    """What the generated test's main returns."""
    binary = folder / "golden"
    _compile(folder, [f"{program.name}.c", f"{program.name}_test.c"], binary)
    return subprocess.run([binary], check=False).returncode


def call(program: CProgram, folder: Path, values: Array) -> Array:
    """int8 [count, outputs] of int8 [count, inputs]."""
    size = program.graph.outputs[0].size
    text = _DRIVER.format(
        name=program.name, function=program.function, given=program.graph.inputs[0].size, made=size
    )  # fmt: skip
    (folder / "driver.c").write_text(text)
    _compile(folder, [f"{program.name}.c", "driver.c"], folder / "driver")
    out = subprocess.run([folder / "driver"], input=values.tobytes(), check=True, capture_output=True).stdout
    return np.frombuffer(out, np.int8).reshape(len(values), size)


def _compile(folder: Path, sources: list[str], binary: Path) -> None:
    subprocess.run(["gcc", *STRICT, *SANITIZED, *sources, "-o", binary], cwd=folder, check=True)
