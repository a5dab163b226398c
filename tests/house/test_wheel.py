"""The wheel on a device: only the runtime's packages, no TensorFlow, and a bundle is opened, run and verified."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from tests.runtime.tiny import Affine, samples
from tests.vectors.make import FOLDER

from aetool.cli import COMMANDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BUNDLE = FOLDER / "bundles" / "encoder-decoder-in-both-formats.aepkg"
HEAVY = ["tensorflow", "keras", "onnx", "tf2onnx", "sklearn", "ai_edge_litert", "PIL", "pyarrow", "matplotlib"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = target.glob("*.whl")
    return path


def needed(package: str, extras: set[str]) -> set[str]:
    """The names of everything that a package with these extras installs here."""
    names: set[str] = set()
    for line in requires(package) or []:
        requirement = Requirement(line)
        if requirement.name in names:
            continue
        if not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in (extras or {""})):
            names |= {requirement.name, *needed(requirement.name, requirement.extras)}
    return names


def pinned(names: set[str]) -> str:
    """Their lines of constraints.txt, with the hashes."""
    blocks = re.findall(r"^\S.*?(?:\\\n.*?)*$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    wanted = {re.sub(r"[-_.]+", "-", name).lower() for name in names}
    return "\n".join(block for block in blocks if block.split("==")[0] in wanted) + "\n"


@pytest.fixture(scope="session")
def device(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the programs of an environment in which nothing but `aetool[cpu]` is installed."""
    home = tmp_path_factory.mktemp("device")
    venv.create(home / "venv", with_pip=True)
    programs = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
    requirements = home / "requirements.txt"
    requirements.write_text(pinned(needed("aetool", {"cpu"})))
    pip = [str(programs / "python"), "-m", "pip", "--disable-pip-version-check"]
    probe = [*pip, "download", "--quiet", "--retries", "0", "--no-deps", "--dest", str(home / "probe"), "click"]
    if subprocess.run(probe, capture_output=True).returncode != 0:
        pytest.skip("no package index is reachable")
    for arguments in (["--require-hashes", "--requirement", str(requirements)], ["--no-deps", str(wheel)]):
        done = subprocess.run([*pip, "install", "--quiet", *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    check = subprocess.run([*pip, "check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout
    return programs


def call(device: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the device, far from the repository."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(device / str(arguments[0])), *map(str, arguments[1:])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


# --- what is in it ---


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


CONTENTS = [
    "aetool/py.typed",
    "aetool_exporters/py.typed",
    "aetool_runtime/py.typed",
    "aetool/presets/dense.toml",
    "aetool/presets/conv1d.toml",
    "aetool/presets/conv2d.toml",
    "aetool_exporters/c/kernels/conv_2d.c",
    "aetool/data/builtin/ecg.npy",
    "aetool/data/builtin/ATTRIBUTION.md",
]


@pytest.mark.parametrize("name", CONTENTS)
def test_the_wheel_holds(wheel: Path, name: str) -> None:
    assert name in names_in(wheel)


def test_the_wheel_holds_the_licences(wheel: Path) -> None:
    licences = [name for name in names_in(wheel) if ".dist-info/licenses/" in name]
    assert [name for name in licences if name.endswith("/LICENSE")]
    assert [name for name in licences if name.endswith("ATTRIBUTION.md")]


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    rooms = [ROOT / "toolkit/aetool", ROOT / "exporters/aetool_exporters", ROOT / "runtime/aetool_runtime"]
    modules = {path.relative_to(room.parent).as_posix() for room in rooms for path in room.rglob("*.py")}
    held = names_in(wheel)
    assert {name for name in held if name.endswith(".py")} == modules
    assert {name.split("/")[0] for name in held if ".dist-info/" not in name} == {room.name for room in rooms}
    assert [name for name in held if re.search(r"(^|/)(tests?/|test_|conftest|__pycache__)", name)] == []


def test_the_wheel_stays_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 2 << 20


# --- what it does where only the runtime is installed ---


@pytest.mark.parametrize("package", HEAVY)
def test_the_device_has_no(device: Path, tmp_path: Path, package: str) -> None:
    call(device, "python", "-c", f"import importlib.util as u; assert u.find_spec({package!r}) is None", cwd=tmp_path)


def test_the_python_api_encodes_and_decodes(device: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", samples(7))
    code = f"""
import numpy as np
from aetool_runtime import Autoencoder
with Autoencoder.open({str(BUNDLE)!r}) as model:
    latent = model.encode(np.load("x.npy"))
    np.savez("out.npz", latent=latent, restored=model.decode(latent))
"""
    call(device, "python", "-c", code, cwd=tmp_path)
    out, truth = np.load(tmp_path / "out.npz"), Affine()
    np.testing.assert_allclose(out["latent"], truth.encode(samples(7)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out["restored"], truth.decode(out["latent"]), rtol=1e-5, atol=1e-6)


def test_the_command_line_encodes_and_decodes(device: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", samples(7))
    call(device, "aetool", "encode", BUNDLE, "x.npy", "-o", "latents.npy", cwd=tmp_path)
    call(device, "aetool", "decode", BUNDLE, "latents.npy", "-o", "restored.npy", cwd=tmp_path)
    expected = Affine().decode(Affine().encode(samples(7)))
    np.testing.assert_allclose(np.load(tmp_path / "restored.npy"), expected, rtol=1e-5, atol=2e-6)


def test_the_self_test_passes_on_what_is_here_and_names_what_was_not_tried(device: Path, tmp_path: Path) -> None:
    done = call(device, "aetool", "verify", BUNDLE, "--json", cwd=tmp_path)
    checks = json.loads(done.stdout)["checks"]
    assert {(check["role"], check["backend"], check["passed"]) for check in checks} == {
        (role, "onnxruntime", True) for role in ("encoder", "decoder", "autoencoder")
    }
    assert "not tried, for want of an engine: encoder tflite float32" in done.stderr


def test_inspect_and_pack_work(device: Path, tmp_path: Path) -> None:
    assert "litert (not installed)" in call(device, "aetool", "inspect", BUNDLE, cwd=tmp_path).stdout
    call(device, "aetool", "pack", BUNDLE, "-o", "again.aepkg", cwd=tmp_path)
    assert (tmp_path / "again.aepkg").read_bytes() == BUNDLE.read_bytes()


@pytest.mark.parametrize("arguments", [["--help"], *([verb, "--help"] for verb in COMMANDS)], ids=" ".join)
def test_help_needs_nothing_more(device: Path, tmp_path: Path, arguments: list[str]) -> None:
    assert "Usage: aetool" in call(device, "aetool", *arguments, cwd=tmp_path).stdout


def test_what_needs_more_says_what_to_install(device: Path, tmp_path: Path) -> None:
    for arguments in (["train", "--preset", "dense", "builtin:digits", "-o", "m"], ["demo", "-o", "d"]):
        done = subprocess.run([str(device / "aetool"), *arguments], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 8, done.stderr
        assert "pip install 'aetool[" in done.stderr
        assert "Traceback" not in done.stderr


def test_pythons_engine_needs_no_second_copy_of_itself(device: Path, tmp_path: Path) -> None:
    """README tells devices with little room to remove it."""
    [packages] = device.parent.glob("lib/python3.*/site-packages")
    twin = shutil.ignore_patterns("libonnxruntime.so.*")
    shutil.copytree(packages / "onnxruntime", tmp_path / "onnxruntime", ignore=twin)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import onnxruntime
from aetool_runtime import open_bundle, self_test
assert onnxruntime.__file__.startswith({str(tmp_path)!r}), onnxruntime.__file__
checks = self_test(open_bundle({str(BUNDLE)!r}))
assert [check.backend for check in checks if check.passed] == ["onnxruntime"] * 3, checks
"""
    call(device, "python", "-c", code, cwd=tmp_path)
