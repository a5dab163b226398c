"""What a bundle needs on a small device: bytes installed, time to the first result, memory.

Measured in fresh processes, since what this one has loaded already would not count. Nothing here needs TensorFlow.
"""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from typing import Any

from aetool_runtime.bundle import open_bundle
from aetool_runtime.errors import BackendError, UsageError

__all__ = ["ENVIRONMENT", "EdgeProfile", "installed_bytes", "needed_packages", "profile"]

_PACKAGES = {"onnxruntime": "onnxruntime", "litert": "ai-edge-litert", "openvino": "openvino"}
_OURS = "aetool"
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
"""Of the processes: NumPy's threads, which the runtime has no use for, would each hold memory."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CHILD = """
import json, sys, time
started, cap = float(sys.argv[1]), int(sys.argv[3])
bundle, verb, given, options = sys.argv[2], sys.argv[4], sys.argv[5], json.loads(sys.argv[6])
if cap:
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, (cap, cap))
try:
    began = time.perf_counter()
    import numpy as np
    from aetool_runtime import Autoencoder
    imported = time.perf_counter()
    with Autoencoder.open(bundle, **options) as model:
        spec = model.tensor(given)
        sample = np.zeros((1, *(size or 1 for size in spec.sample_shape)), spec.dtype)
        opened = time.perf_counter()
        getattr(model, verb)(sample)
        done = time.perf_counter()
        following = []
        for _ in range(50):
            again = time.perf_counter()
            getattr(model, verb)(sample)
            following.append(time.perf_counter() - again)
        ran_on = f"{model.backend}/{model.device} {model.precision}"
        try:  # getrusage would count what the process was before it became this program
            status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
            resident, peak = (int(status[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
        except (OSError, KeyError):
            import resource
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            resident = None
        cold = time.time() - started - (time.perf_counter() - done)
except MemoryError:
    sys.exit("out of memory")
except Exception as error:
    sys.exit(next(filter(None, str(error).splitlines()), type(error).__name__))
print(json.dumps({
    "import_s": imported - began, "open_s": opened - imported, "first_s": done - opened,
    "next_s": sorted(following)[len(following) // 2], "cold_s": cold,
    "resident_bytes": resident, "peak_bytes": peak, "ran_on": ran_on,
}))
"""


@dataclass(frozen=True)
class EdgeProfile:
    """Medians over fresh processes. What runs is the encoder, or where a bundle has none, the decoder.

    Args:
        ran_on: backend, device and precision.
        installed_bytes: of aetool, NumPy, the engine, and all that they need, as installed here.
        bundle_bytes: of all files of the bundle.
        import_s: seconds to import NumPy and the runtime.
        open_s: seconds to open the bundle, checking every byte.
        first_s: seconds to load engine and graph and run one sample of zeros.
        next_s: seconds for the same again, the median of 50.
        cold_s: seconds from the start of the process to the first result.
        resident_bytes: what the process held at its end; ``None`` where the system does not tell.
        peak_bytes: the largest resident memory of the process.
    """

    ran_on: str
    installed_bytes: int
    bundle_bytes: int
    import_s: float
    open_s: float
    first_s: float
    next_s: float
    cold_s: float
    resident_bytes: int | None
    peak_bytes: int


def profile(bundle: Path, options: Mapping[str, Any], *, memory_cap: int = 0, repeats: int = 5) -> EdgeProfile:
    """Run one sample in fresh processes.

    Args:
        options: of ``Autoencoder.open``.
        memory_cap: bytes that the process may have; 0 for no limit. Of private memory the system itself grants no more
            (RLIMIT_DATA, as ``ulimit -d``: the engine's code and other pages of files are not private), and
            the largest resident memory, code included, is held against it at the end.
        repeats: how many processes.

    Raises:
        BackendError: the engine failed, or the memory did not suffice.
        UsageError: a limit where the system keeps none.
    """
    if memory_cap and sys.platform != "linux":
        raise UsageError("a memory cap is kept on Linux only", hint="leave the cap away: peak memory is told anyway")
    task = _task(bundle)
    runs = [_run(bundle, task, options, memory_cap) for _ in range(repeats)]
    peak = max(int(run["peak_bytes"]) for run in runs)
    if memory_cap and peak > memory_cap:
        raise _no_room(bundle, memory_cap, f"it held {peak / 2**20:.0f} MiB, its code included")
    medians = {key: statistics.median(run[key] for run in runs) for key in runs[0] if key.endswith("_s")}
    ran_on = str(runs[0]["ran_on"])
    return EdgeProfile(
        ran_on=ran_on,
        installed_bytes=installed_bytes(ran_on.split("/")[0]),
        bundle_bytes=_bundle_bytes(bundle),
        resident_bytes=runs[-1]["resident_bytes"],
        peak_bytes=peak,
        **medians,
    )


def _task(bundle: Path) -> tuple[str, str]:
    """The method to call, and the tensor that it takes."""
    roles = {artifact.role for artifact in open_bundle(bundle).manifest.artifacts}
    if "encoder" in roles:
        return "encode", "input"
    return ("decode", "latent") if "decoder" in roles else ("reconstruct", "input")


def _run(bundle: Path, task: tuple[str, str], options: Mapping[str, Any], memory_cap: int) -> dict[str, Any]:
    arguments = [repr(time.time()), str(bundle), str(memory_cap), *task, json.dumps(dict(options))]
    command, environment = [sys.executable, "-c", _CHILD, *arguments], {**os.environ, **ENVIRONMENT}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode == 0:
        document: dict[str, Any] = json.loads(done.stdout)
        return document
    reason = _reason(done.returncode, done.stderr)
    if memory_cap:
        raise _no_room(bundle, memory_cap, reason)
    raise BackendError(f"it does not run in a fresh process ({reason})", where=str(bundle))


def _no_room(bundle: Path, memory_cap: int, reason: str) -> BackendError:
    return BackendError(
        f"it does not run within {memory_cap / 2**20:.0f} MiB ({reason})",
        where=str(bundle),
        hint="allow more, or take a smaller engine or model",
    )


def _reason(code: int, errors: str) -> str:
    """What a process died of: engines that get no memory raise, abort or crash."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return (errors.strip().splitlines() or [f"exit code {code}"])[-1][:200]


def installed_bytes(backend: str) -> int:
    """Bytes on disk of aetool, the backend's engine, and every package that either needs; bytecode as it is here.

    Of an aetool that is installed to be edited, its packages count.
    """
    return _our_bytes() + sum(_package_bytes(name) for name in needed_packages(backend))


def needed_packages(backend: str) -> frozenset[str]:
    """What is installed beside aetool to run a backend: its engine, and what that and the command line need."""
    engine = _PACKAGES.get(backend)
    return (_needed(engine) if engine else frozenset()) | {"numpy", "click"}


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
    return _sizes(Path(str(file.locate())) for file in distribution(name).files or [])


def _our_bytes() -> int:
    found = [find_spec(name) for name in ("aetool", "aetool_exporters", "aetool_runtime")]
    folders = [Path(spec.origin).parent for spec in found if spec is not None and spec.origin]
    return sum(_sizes(folder.rglob("*")) for folder in folders)


def _sizes(files: Iterable[Path]) -> int:
    """Of those that are there, and of the bytecode beside them, whether an installer wrote it or the first import."""
    total = 0
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            compiled = Path(cache_from_source(str(file))) if file.suffix == ".py" else file
            total += file.stat().st_size
            total += compiled.stat().st_size if compiled != file and compiled.is_file() else 0
    return total


def _bundle_bytes(bundle: Path) -> int:
    return _sizes([bundle] if bundle.is_file() else bundle.rglob("*"))
