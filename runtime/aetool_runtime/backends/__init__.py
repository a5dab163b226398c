"""What runs a graph: the plug-in point ``aetool.backends``.

A backend is found by the name of its entry point and loaded on first use, so that naming the backends that there
are imports no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from typing import Any, Protocol, cast

from aetool_runtime.errors import BackendError, UnavailableError
from aetool_runtime.specs import Array, Artifact

__all__ = [
    "Backend",
    "Graph",
    "available_backends",
    "backend_names",
    "load_backend",
    "load_graph",
    "load_plugin",
    "plugin_names",
]

_GROUP = "aetool.backends"


class Graph(Protocol):
    """An artifact, loaded. ``run`` may be called from several threads at once.

    A graph may also have ``run_into(array, out)``, which writes the first output to ``out``: an array of its dtype,
    C-contiguous, of as many samples as ``array`` and the output's shape, which shares no memory with it; also from
    several threads, each with an ``out`` of its own. Where there is none, what ``run`` returns is copied.
    """

    def run(self, array: Array) -> tuple[Array, ...]:
        """Run a batch through the graph's single input.

        Args:
            array: [batch, …] with batch ≥ 1, of the input's dtype and shape, C-contiguous.

        Returns:
            The outputs in the artifact's order; the caller owns them.

        Raises:
            BackendError: the engine failed.
        """
        ...

    def close(self) -> None:
        """Give the engine's memory back; the graph cannot run any more."""
        ...


class Backend(Protocol):
    """An engine. Made without arguments, which raises ``DependencyError`` where its package is missing; stateless."""

    name: str
    formats: tuple[str, ...]

    def devices(self) -> tuple[str, ...]:
        """The devices that are really here, best known first."""
        ...

    def load(self, data: bytes, artifact: Artifact, *, device: str, threads: int) -> Graph:
        """Load a graph.

        Args:
            data: the artifact's file; its digest was checked.
            device: where to run; never anywhere else.
            threads: to run one call with; 0 for as many as there are cores.

        Raises:
            DeviceError: the device is not here, or would not take the whole graph.
            BackendError: the engine refused the graph.
        """
        ...


def backend_names() -> list[str]:
    """The known names, without importing any backend."""
    return plugin_names(_GROUP)


def load_backend(name: str) -> Backend:
    """The backend of that name.

    Raises:
        BackendError: no such name (lists the known ones), or two packages claim it.
        DependencyError: its engine is not installed.
    """
    return cast(Backend, load_plugin(_GROUP, name)())


def load_graph(
    backend: Backend, artifact: Artifact, read: Callable[[str], bytes], *, device: str, threads: int
) -> Graph:
    """Load an artifact whose files ``read`` returns by their paths.

    Raises:
        BackendError, DeviceError, UnsafeError: see ``Backend.load``; the engine takes no weights beside a graph.
    """
    data = read(artifact.path)
    if artifact.external_data is None:
        return backend.load(data, artifact, device=device, threads=threads)
    if "beside" not in signature(backend.load).parameters:
        raise BackendError(
            f"{backend.name} takes no graph whose weights stand beside it",
            where=f"{artifact} ({artifact.path})",
            hint="use the backend onnxruntime",
        )
    beside = read(artifact.external_data)
    load: Callable[..., Graph] = backend.load
    return load(data, artifact, device=device, threads=threads, beside=beside)


def available_backends(format_name: str) -> list[Backend]:
    """The backends whose engine is installed and that run this format."""
    found = []
    for name in backend_names():
        try:
            backend = load_backend(name)
        except UnavailableError:
            continue
        if format_name in backend.formats:
            found.append(backend)
    return found


@cache
def _plugins(group: str) -> dict[str, list[EntryPoint]]:
    plugins: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=group):
        twins = plugins.setdefault(entry.name, [])
        if entry.value not in [twin.value for twin in twins]:
            twins.append(entry)
    return plugins


def plugin_names(group: str) -> list[str]:
    """The names registered for a plug-in point, sorted."""
    return sorted(_plugins(group))


def load_plugin(group: str, name: str) -> Any:
    """Import what is registered under a name.

    Raises:
        BackendError: an unknown name, one that two packages claim, or one whose package cannot be imported.
    """
    entries: Sequence[EntryPoint] = _plugins(group).get(name, ())
    if not entries:
        close = get_close_matches(name, plugin_names(group), 1)
        raise BackendError(
            f"nothing called {name!r} is registered under {group}",
            expected="one of " + ", ".join(plugin_names(group)),
            hint=f"did you mean {close[0]!r}?" if close else "install the package that brings it",
        )
    if len(entries) > 1:
        claims = " and ".join(entry.value for entry in entries)
        raise BackendError(f"{name!r} is claimed twice under {group}: {claims}", hint="uninstall one of the packages")
    try:
        return entries[0].load()
    except Exception as error:
        raise BackendError(
            f"{name!r} cannot be loaded from {entries[0].value} ({type(error).__name__}: {error})",
            hint="update or uninstall the package that brings it",
        ) from error
