"""What runs a graph: the plug-in point ``aetool.backends``.

A backend is found by the name of its entry point and loaded on first use, so that naming the backends that there
are imports no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from typing import Any, Protocol, cast

from aetool_runtime.errors import BackendError, DeviceError, UnavailableError
from aetool_runtime.specs import Array, Artifact

__all__ = [
    "Backend",
    "Graph",
    "available_backends",
    "backend_names",
    "check_device",
    "has_device",
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

    A graph on a device with memory of its own may have ``run_on_device(tensor, out=None)``, which takes and returns
    tensors in that memory (``aetool_runtime.device_tensors``), and raises ``InputError`` for one that does not fit.
    Where there is none, such tensors are refused.
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
    """An engine. Made without arguments, which raises ``DependencyError`` where its package is missing; stateless.

    A backend may have ``check_device(device)``, which raises ``DeviceError`` saying why a device is not here; it may
    take names that ``devices`` does not list, such as ``cuda:1``. One whose ``load`` has a parameter ``cuda_graph``
    returns a graph for calls of that many samples, captured and replayed as a CUDA graph.
    """

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


def check_device(backend: Backend, device: str) -> None:
    """Do nothing where the backend has the device.

    Raises:
        DeviceError: it has not; says why, as far as the backend can tell.
    """
    check: Callable[[str], None] | None = getattr(backend, "check_device", None)
    if check is not None:
        check(device)
    elif device not in backend.devices():
        raise DeviceError(
            f"{backend.name} has no device {device!r} here",
            expected="one of " + ", ".join(backend.devices()),
            hint="choose one of the devices named above, or another backend",
        )


def has_device(backend: Backend, device: str) -> bool:
    """Whether the backend has the device."""
    with suppress(DeviceError):
        check_device(backend, device)
        return True
    return False


def load_graph(
    backend: Backend,
    artifact: Artifact,
    read: Callable[[str], bytes],
    *,
    device: str,
    threads: int,
    cuda_graph: int = 0,
) -> Graph:
    """Load an artifact whose files ``read`` returns by their paths.

    Args:
        cuda_graph: the samples of every call, which are to be replayed as a CUDA graph; 0 for none.

    Raises:
        BackendError, DeviceError, UnsafeError: see ``Backend.load``; the engine takes no weights beside a graph.
    """
    options: dict[str, Any] = {}
    if artifact.external_data is not None:
        _refuse_without(backend, "beside", "takes no graph whose weights stand beside it", artifact)
        options["beside"] = read(artifact.external_data)
    if cuda_graph:
        _refuse_without(backend, "cuda_graph", "replays no CUDA graphs", artifact)
        options["cuda_graph"] = cuda_graph
    load: Callable[..., Graph] = backend.load
    return load(read(artifact.path), artifact, device=device, threads=threads, **options)


def _refuse_without(backend: Backend, parameter: str, what: str, artifact: Artifact) -> None:
    if parameter not in signature(backend.load).parameters:
        where = f"{artifact} ({artifact.path})"
        raise BackendError(f"{backend.name} {what}", where=where, hint="use the backend onnxruntime")


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
