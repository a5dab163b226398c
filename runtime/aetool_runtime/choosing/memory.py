"""How much memory a candidate needs: the peak of a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.choosing.candidates import Candidate, artifacts_of
from aetool_runtime.choosing.fidelity import first_input

__all__ = ["peak_memory"]

_SECONDS = 120


def peak_memory(bundle: Bundle, candidate: Candidate, batch_size: int) -> int | None:
    """The largest resident memory of a Python process that opens the bundle and runs one call, bytes.

    It includes the interpreter, NumPy and the engine. ``None`` where the system does not tell, or the process fails.
    """
    task = json.dumps({"bundle": str(bundle.path), "candidate": asdict(candidate), "batch_size": batch_size})
    try:
        done = subprocess.run([sys.executable, "-m", __name__, task], capture_output=True, timeout=_SECONDS, check=True)
        peak = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return peak if type(peak) is int else None


def _main(task: dict[str, Any]) -> None:
    from aetool_runtime.backends import load_backend, load_graph
    from aetool_runtime.runner import make_runner

    bundle, candidate = open_bundle(task["bundle"]), Candidate(**task["candidate"])
    backend = load_backend(candidate.backend)
    array = first_input(bundle, task["batch_size"])
    for artifact in artifacts_of(bundle, candidate.format, candidate.precision):
        graph = load_graph(backend, artifact, bundle.read, device=candidate.device, threads=candidate.threads)
        array = make_runner(graph, artifact).run(array)[0]
    sys.stdout.write(json.dumps(_peak()))


def _peak() -> int | None:
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the process was before it became this program
        lines = dict(line.split(":", 1) for line in status.read_text("utf-8").splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024 if "VmHWM" in lines else None
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
