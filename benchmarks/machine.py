"""What a result was measured on: the part of every table that makes it comparable."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["describe_machine"]

_PACKAGES = (
    *("aetool", "numpy", "tensorflow", "keras", "onnx", "tf2onnx", "ai-edge-litert"),
    *("onnxruntime", "onnxruntime-gpu", "openvino", "torch"),
)


def describe_machine() -> dict[str, str]:
    """Processor, cores, system, package versions, and how busy it is now; no host name."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {met}" for name in _PACKAGES if (met := _version(name))),
        "load when it began": f"{os.getloadavg()[0]:.1f}",
    }


def _version(package: str) -> str:
    with suppress(PackageNotFoundError):
        return version(package)
    return ""


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor()
    lines = dict(line.split(":", 1) for line in info.read_text().split("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    features = [name for name in ("avx2", "avx512_vnni", "asimd") if name in fields.get("flags", "").split()]
    return f"{fields.get('model name', platform.machine())} ({', '.join(features)})"
