"""What a bundle needs on a small device: bytes installed, time to the first result, memory.

Measured in fresh processes, since what this one has loaded already would not count. Nothing here needs TensorFlow.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from aetool_runtime.errors import BackendError

__all__ = ["EdgeProfile", "installed_bytes", "profile"]

_PACKAGES = {"onnxruntime": "onnxruntime", "litert": "ai-edge-litert", "openvino": "openvino"}
_OURS = "aetool"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CHILD = """
import json, resource, sys, time
started = float(sys.argv[1])
bundle, limit, options = sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
if limit:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    began = time.perf_counter()
    import numpy as np
    from aetool_runtime import Autoencoder
    imported = time.perf_counter()
    with Autoencoder.open(bundle, **options) as model:
        spec = model.tensor("input")
        sample = np.zeros((1, *(size or 1 for size in spec.sample_shape)), spec.dtype)
        opened = time.perf_counter()
        model.encode(sample)
        done = time.perf_counter()
        model.encode(sample)
        again = time.perf_counter()
        ran_on = f"{model.backend}/{model.device} {model.precision}"
except MemoryError:
    sys.exit("out of memory")
try:  # getrusage would count what the process was before it became this program
    status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    peak = int(status["VmHWM"].split()[0]) * 1024
except (OSError, KeyError):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({
    "import_s": imported - began, "open_s": opened - imported, "first_encode_s": done - opened,
    "next_encode_s": again - done, "cold_s": time.time() - started - (time.perf_counter() - done),
    "peak_bytes": peak, "ran_on": ran_on,
}))
"""


@dataclass(frozen=True)
class EdgeProfile:
    """Medians over fresh processes.

    Args:
        ran_on: backend, device and precision.
        installed_bytes: of aetool's runtime, NumPy, the engine, and all that they need, as installed here.
        bundle_bytes: of all files of the bundle.
        import_s: seconds to import NumPy and the runtime.
        open_s: seconds to open the bundle, checking every byte.
        first_encode_s: seconds to load engine and encoder and encode one sample of zeros.
        next_encode_s: seconds for the same again.
        cold_s: seconds from the start of the process to the first latent.
        peak_bytes: the largest resident memory of the process.
    """

    ran_on: str
    installed_bytes: int
    bundle_bytes: int
    import_s: float
    open_s: float
    first_encode_s: float
    next_encode_s: float
    cold_s: float
    peak_bytes: int


def profile(bundle: Path, options: dict[str, Any], *, memory_limit: int = 0, repeats: int = 5) -> EdgeProfile:
    """Encode one sample in fresh processes.

    Args:
        options: of ``Autoencoder.open``.
        memory_limit: bytes of address space that the process may have, as with ``ulimit -v``; 0 for no limit.
        repeats: how many processes.

    Raises:
        BackendError: the engine failed, or the memory did not suffice.
    """
    runs = [_run(bundle, options, memory_limit) for _ in range(repeats)]
    medians = {
        key: statistics.median(run[key] for run in runs) for key in runs[0] if key not in ("ran_on", "peak_bytes")
    }
    ran_on = str(runs[0]["ran_on"])
    return EdgeProfile(
        ran_on=ran_on,
        installed_bytes=installed_bytes(ran_on.split("/")[0]),
        bundle_bytes=_bundle_bytes(bundle),
        peak_bytes=max(int(run["peak_bytes"]) for run in runs),
        **medians,
    )


def _run(bundle: Path, options: dict[str, Any], memory_limit: int) -> dict[str, Any]:
    import time

    command = [sys.executable, "-c", _CHILD, repr(time.time()), str(bundle), str(memory_limit), json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        document: dict[str, Any] = json.loads(done.stdout)
        return document
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    if memory_limit:
        raise BackendError(
            f"the encoder did not run within {memory_limit / 2**20:.0f} MiB ({last[:200]})",
            where=str(bundle),
            hint="allow more address space, or take a smaller engine: --backend litert",
        )
    raise BackendError(f"the encoder did not run in a fresh process ({last[:200]})", where=str(bundle))


def installed_bytes(backend: str) -> int:
    """Bytes on disk of aetool's runtime, the backend's engine, and every package that either needs.

    Of aetool itself only ``aetool_runtime`` counts: a program on a device needs no more.
    """
    engine = _PACKAGES.get(backend)
    packages = sorted(_needed(engine)) if engine else []
    return _runtime_bytes() + sum(_package_bytes(name) for name in {"numpy", *packages})


def _needed(package: str, met: frozenset[str] = frozenset()) -> frozenset[str]:
    """A package and what it needs, without extras; what is not installed is not needed here."""
    name = package.lower().replace("_", "-")
    if name in met or name == _OURS:
        return met
    try:
        requirements = distribution(name).requires or []
    except PackageNotFoundError:
        return met
    met = met | {name}
    for requirement in requirements:
        found = _NAME.match(requirement)
        if found and "extra ==" not in requirement:
            met = _needed(found[0], met)
    return met


def _package_bytes(name: str) -> int:
    return sum(_sizes(Path(str(file.locate())) for file in distribution(name).files or []))


def _runtime_bytes() -> int:
    import aetool_runtime

    return sum(_sizes(Path(aetool_runtime.__file__).parent.rglob("*.py")))


def _sizes(files: Any) -> Iterator[int]:
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            yield file.stat().st_size


def _bundle_bytes(bundle: Path) -> int:
    files = [bundle] if bundle.is_file() else list(bundle.rglob("*"))
    return sum(_sizes(files))
