"""Where each language's program comes from: built or fetched into build/conformance, or why it is not here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

__all__ = ["BUILD", "ROOT", "Missing", "Tool", "tools"]

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "conformance"
HEADERS = ROOT / "build" / "onnxruntime-headers"
CPP = ROOT / "runtime" / "cpp"
FLAGS = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror")
ARM_CPUINFO = """processor\t: 0
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""


class Missing(Exception):  # noqa: N818 (it becomes a row that says so)
    """A language cannot take part here; says why."""


@dataclass(frozen=True)
class Tool:
    """A program that takes ``selftest | compress | decompress BUNDLE``, and streams on standard input and output.

    Args:
        name: the language, and what it runs on.
        command: what the verb and the bundle are added to.
        vectors: a command that tries every vector; empty where the language's own test suite does.
    """

    name: str
    command: Sequence[str]
    vectors: Sequence[Sequence[str]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, given: bytes = b"", timeout: float = 600) -> subprocess.CompletedProcess[bytes]:
        environment = os.environ | self.environment
        return subprocess.run(
            [*self.command, *arguments], input=given, capture_output=True, env=environment, timeout=timeout
        )


def tools() -> list[Tool | tuple[str, str]]:
    """Every language's tool, or its name and why it is missing."""
    BUILD.mkdir(parents=True, exist_ok=True)
    makers = {"Python": _python, "C++, x86-64": _cpp, "C++, 64-bit Arm": _arm, "JVM": _jvm, "Node": _node}
    found: list[Tool | tuple[str, str]] = []
    for name, make in makers.items():
        try:
            found.append(make(name))
        except (Missing, subprocess.CalledProcessError) as error:
            found.append((name, str(error)))
    return found


def _python(name: str) -> Tool:
    return Tool(name, [sys.executable, "-m", "tests.conformance.python_tool"], environment={"PYTHONPATH": str(ROOT)})


def _need(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise Missing(f"no {program}")
    return path


def _headers() -> str:
    """ONNX Runtime's headers come with no Python package; Debian has them."""
    if not (HEADERS / "onnxruntime_c_api.h").is_file():
        subprocess.run(["bash", str(ROOT / "tests" / "conformance" / "fetch_headers.sh"), str(HEADERS)], check=True)
    return f"-isystem{HEADERS}"


def _library(folder: Path) -> Path:
    found = sorted(folder.glob("libonnxruntime.so*"))
    if not found:
        raise Missing(f"no libonnxruntime.so in {folder}")
    return found[0]


def _compiled(compiler: str, source: Path, program: Path, *flags: str) -> str:
    subprocess.run(
        [compiler, *FLAGS, *flags, f"-I{CPP / 'include'}", str(source), "-o", str(program), "-ldl"], check=True
    )
    return str(program)


def _cpp(name: str) -> Tool:
    import onnxruntime

    compiler = _need("g++")
    library = _library(Path(onnxruntime.__file__).parent / "capi")
    program = _compiled(compiler, CPP / "examples" / "aetool_cpp.cpp", BUILD / "aetool-cpp", _headers())
    vectors = [
        [_compiled(compiler, CPP / "tests" / f"{test}.cpp", BUILD / test), str(ROOT / "tests" / "vectors")]
        for test in ("test_bundles", "test_streams")
    ]
    return Tool(name, [program], vectors, {"AETOOL_ONNXRUNTIME": str(library)})


def _arm(name: str) -> Tool:
    compiler, qemu = _need("aarch64-linux-gnu-g++"), _need("qemu-aarch64")
    library = _arm_library()
    root = _arm_root()
    run = [qemu, "-cpu", "cortex-a72", "-L", str(root)]
    program = _compiled(compiler, CPP / "examples" / "aetool_cpp.cpp", BUILD / "aetool-cpp-arm", _headers())
    vectors = [
        [
            *run,
            _compiled(compiler, CPP / "tests" / f"{test}.cpp", BUILD / f"{test}-arm"),
            str(ROOT / "tests" / "vectors"),
        ]
        for test in ("test_bundles", "test_streams")
    ]
    return Tool(name, [*run, program], vectors, {"AETOOL_ONNXRUNTIME": str(library)})


def _arm_library() -> Path:
    """The library from the Arm wheel of the version that is installed here."""
    folder = BUILD / "arm"
    if not list(folder.glob("libonnxruntime.so*")):
        platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (28, 27, 17)]
        wanted = f"onnxruntime=={version('onnxruntime')}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *platforms]
        subprocess.run([*command, "--dest", str(folder), wanted], check=True)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            for member in wheel.namelist():
                if Path(member).name.startswith("libonnxruntime.so"):
                    (folder / Path(member).name).write_bytes(wheel.read(member))
    return _library(folder)


def _arm_root() -> Path:
    """ONNX Runtime asks /proc and /sys what processor it runs on, and must not be told the host's."""
    root = BUILD / "arm-root"
    cpu = root / "sys" / "devices" / "system" / "cpu"
    files = {root / "proc" / "cpuinfo": ARM_CPUINFO, cpu / "kernel_max": "31\n"}
    files |= {cpu / name: "0\n" for name in ("possible", "present", "online")}
    files[cpu / "cpu0" / "regs" / "identification" / "midr_el1"] = "0x00000000410fd083\n"
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if not (root / "lib").is_symlink():
        (root / "lib").symlink_to("/usr/aarch64-linux-gnu/lib")
    return root


def _jvm(name: str) -> Tool:
    folder = ROOT / "runtime" / "jvm"
    maven, java = _need("mvn"), _need("java")
    if not (folder / "pom.xml").is_file():
        raise Missing("no runtime/jvm")
    classpath = BUILD / "classpath"
    goals = ["test-compile", "dependency:build-classpath", f"-Dmdep.outputFile={classpath}", "-Dmdep.includeScope=test"]
    subprocess.run([maven, "-q", "-B", *goals], cwd=folder, check=True)
    path = f"{folder / 'target' / 'classes'}{os.pathsep}{classpath.read_text('utf-8').strip()}"
    return Tool(name, [java, "-cp", path, "io.aetool.Tool"], [[maven, "-q", "-B", "-f", str(folder), "verify"]])


def _node(name: str) -> Tool:
    folder = ROOT / "runtime" / "web"
    node, npm = _need("node"), _need("npm")
    program = folder / "bin" / "aetool-web.mjs"
    if not program.is_file():
        raise Missing("no runtime/web")
    if not (folder / "node_modules").is_dir():
        subprocess.run([npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return Tool(name, [node, str(program)], [[npm, "--silent", "--prefix", str(folder), "test"]])
