"""Answers kept in the user's cache folder, so that a choice is measured once.

One JSON file for each answer, named after what it answers. An entry that is damaged, or is the answer to something
else, is as good as none; a folder that cannot be written only means that the next choice is measured again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

from aetool_runtime.atomic import replacing_file
from aetool_runtime.choosing.candidates import cores
from aetool_runtime.errors import AetoolError

__all__ = ["cache_folder", "load_answer", "machine", "store_answer", "versions"]

_FORMAT = "aetool.choice.1"
_MOST_BYTES = 1 << 20
_PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "ai-edge-litert", "openvino")


def cache_folder() -> Path | None:
    """Where this platform keeps what can be made again; ``None`` where the user has no home."""
    named = {"win32": os.environ.get("LOCALAPPDATA")}.get(sys.platform, os.environ.get("XDG_CACHE_HOME"))
    if named and Path(named).is_absolute():  # the XDG specification: a relative one is to be ignored
        return Path(named) / "aetool"
    places = {"win32": "AppData/Local", "darwin": "Library/Caches"}
    try:
        return Path.home() / places.get(sys.platform, ".cache") / "aetool"
    except RuntimeError:
        return None


def machine() -> dict[str, object]:
    """What speed depends on, as far as the system tells."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": cores(),
    }


def versions() -> dict[str, str]:
    """Of Python and of every package that takes part, as far as they are installed."""
    found = {"python": platform.python_version()}
    for entry in entry_points(group="aetool.backends"):
        if entry.dist is not None:
            found[entry.dist.name] = entry.dist.version
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def load_answer(question: Mapping[str, Any]) -> Any:
    """What was stored for a question; ``None`` for nothing that can be used."""
    path = _path(question)
    try:
        if path is None or path.stat().st_size > _MOST_BYTES:
            return None
        entry = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or entry.get("format") != _FORMAT or entry.get("question") != question:
        return None
    return entry.get("answer")


def store_answer(question: Mapping[str, Any], answer: Any) -> None:
    """Keep an answer, if there is a place for it."""
    path = _path(question)
    if path is None:
        return
    text = json.dumps({"format": _FORMAT, "question": question, "answer": answer}, indent=1, allow_nan=False)
    with suppress(AetoolError, OSError), replacing_file(path) as partial:
        partial.write_text(text + "\n", "utf-8")


def _path(question: Mapping[str, Any]) -> Path | None:
    folder = cache_folder()
    digest = hashlib.sha256(json.dumps(question, sort_keys=True, allow_nan=False).encode()).hexdigest()
    return None if folder is None else folder / "choices" / f"{digest}.json"


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith(("model name", "Model", "Hardware")):
                return line.partition(":")[2].strip()
    return platform.processor()
