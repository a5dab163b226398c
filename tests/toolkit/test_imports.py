"""What importing costs: a device has only NumPy and an engine, and the command line answers before TensorFlow loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"tensorflow", "keras", "sklearn", "PIL", "pyarrow", "msgspec", "tomli_w", "matplotlib", "onnx", "onnxruntime"}


@pytest.mark.parametrize(
    "module",
    ["aetool", "aetool.data", "aetool.config", "aetool.models", "aetool.training", "aetool.evaluation",
     "aetool.cli.train"],
)  # fmt: skip
def test_importing_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(done.stdout.split())


@pytest.mark.parametrize(
    ("package", "code", "extra"),
    [
        ("PIL", "from aetool.data import open_source; open_source('pictures')", "data"),
        ("pyarrow", "from aetool.data import open_source; open_source('rows.parquet')", "data"),
        ("sklearn", "from aetool.data import open_source; open_source('builtin:digits')", "train"),
        ("msgspec", "from aetool.config import load_preset; load_preset('dense')", "train"),
        ("tensorflow", "from aetool.training import load_checkpoint; load_checkpoint(Path('model'))", "train"),
    ],
)
def test_a_missing_package_is_named_with_its_install_command(package, code, extra, dense_checkpoint, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"")
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    (tmp_path / "model").symlink_to(dense_checkpoint)
    script = f"""
import sys
from pathlib import Path
from aetool_runtime.errors import DependencyError
sys.modules[{package!r}] = None
try:
    {code}
except DependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert f"the package '{package}" in done.stdout
    assert f"try: pip install 'aetool[{extra}]'" in done.stdout
