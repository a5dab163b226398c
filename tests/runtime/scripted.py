"""Engines whose speed is written down, and a clock that they move."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from tests.runtime.tiny import Affine

from aetool_runtime import backends
from aetool_runtime.errors import BackendError
from aetool_runtime.specs import Array, Artifact

__all__ = ["Clock", "Script", "use_engines"]


@dataclass
class Clock:
    """Seconds since the test began; only engines move it."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Script:
    """What an engine does.

    Args:
        call: (device, threads, precision) → seconds a call; a list is gone through, its last one stays; a function is
            asked with the time of day.
        load: seconds to load a graph.
        off: added to what the model computes.
        broken: raised when it is loaded.
    """

    formats: tuple[str, ...] = ("onnx",)
    devices: tuple[str, ...] = ("cpu",)
    call: Mapping[tuple[str, int, str], Any] = field(default_factory=dict)
    load: float = 0.001
    off: float = 0.0
    broken: str = ""


class ScriptedBackend:
    """Runs the tiny model by NumPy, in scripted time. Subclasses bring the script."""

    name: ClassVar[str]
    script: ClassVar[Script]
    clock: ClassVar[Clock]
    loaded: ClassVar[list[str]]

    @property
    def formats(self) -> tuple[str, ...]:
        return self.script.formats

    def devices(self) -> tuple[str, ...]:
        return self.script.devices

    def load(self, data: bytes, artifact: Artifact, *, device: str, threads: int, **_: Any) -> ScriptedGraph:
        self.clock.now += self.script.load
        self.loaded.append(f"{self.name} {artifact.precision} {device} {threads}")
        if self.script.broken:
            raise BackendError(self.script.broken)
        seconds = self.script.call.get((device, threads, artifact.precision), 1.0)
        return ScriptedGraph(self, artifact, seconds if callable(seconds) else _one_by_one(seconds))


def _one_by_one(seconds: list[float] | float) -> Callable[[float], float]:
    left = list(seconds) if isinstance(seconds, list) else [seconds]
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


class ScriptedGraph:
    def __init__(self, backend: ScriptedBackend, artifact: Artifact, seconds: Callable[[float], float]) -> None:
        self._backend, self._artifact, self._seconds = backend, artifact, seconds

    def run(self, array: Array) -> tuple[Array, ...]:
        clock = self._backend.clock
        clock.now += self._seconds(clock.now) / 2  # a call is an encoder and a decoder
        given, returned = self._artifact.inputs[0], self._artifact.outputs[0]
        real = given.real(array)
        steps = {"encoder": [Affine().encode], "decoder": [Affine().decode]}
        for step in steps.get(self._artifact.role, [Affine().encode, Affine().decode]):
            real = step(real)
        return (returned.stored(real + type(real[0, 0])(self._backend.script.off)),)

    def close(self) -> None: ...


def use_engines(monkeypatch: pytest.MonkeyPatch, clock: Clock, **scripts: Script) -> list[str]:
    """Let these be all the engines that there are; returns what is loaded on them from now on."""
    loaded: list[str] = []
    for name, script in scripts.items():
        members = {"name": name, "script": script, "clock": clock, "loaded": loaded}
        monkeypatch.setitem(globals(), f"Backend_{name}", type(f"Backend_{name}", (ScriptedBackend,), members))
    entries = [importlib.metadata.EntryPoint(n, f"{__name__}:Backend_{n}", "aetool.backends") for n in scripts]
    monkeypatch.setattr(backends, "entry_points", lambda group: entries)
    backends._plugins.cache_clear()
    return loaded
