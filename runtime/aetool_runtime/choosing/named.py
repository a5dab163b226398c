"""The backend and artifact that a caller names, or the first that there are."""

from __future__ import annotations

from aetool_runtime.backends import Backend, available_backends, check_device, has_device, load_backend
from aetool_runtime.bundle import Bundle
from aetool_runtime.errors import BackendError, UsageError
from aetool_runtime.specs import Artifact, Role

__all__ = ["artifact_for", "default_precision", "named_backend"]


def default_precision(bundle: Bundle) -> str:
    """The exact one, or the first that the bundle has."""
    met = [artifact.precision for artifact in bundle.manifest.artifacts]
    return "float32" if "float32" in met else met[0]


def named_backend(bundle: Bundle, name: str | None, device: str, precision: str) -> Backend:
    """The backend of that name, or the first that is here, checked to have the device and an artifact to run.

    Raises:
        BackendError, DependencyError: an unknown backend, or one whose engine is missing.
        DeviceError: the device is not here.
        UsageError: the bundle has nothing of that precision for it.
    """
    if name is not None:
        backend = load_backend(name)
        artifact_for(bundle, None, backend, precision)
    else:
        backend = _first_here(bundle, device, precision)
    check_device(backend, device)
    return backend


def _first_here(bundle: Bundle, device: str, precision: str) -> Backend:
    """The first installed backend, in the order of the bundle's artifacts, that has the device."""
    formats = dict.fromkeys(a.format for a in bundle.manifest.artifacts if a.precision == precision)
    if not formats:
        raise _no_artifact(bundle, None, precision, "")
    here = [backend for name in formats for backend in available_backends(name)]
    if not here:
        raise BackendError(
            f"no backend is installed for {', '.join(formats)}",
            where=str(bundle.path),
            hint="pip install 'aetool[cpu]' for ONNX, 'aetool[litert]' for TFLite",
        )
    return next((backend for backend in here if has_device(backend, device)), here[0])


def artifact_for(
    bundle: Bundle, role: Role | None, backend: Backend, precision: str, format_name: str | None = None
) -> Artifact:
    """The bundle's first artifact of the role and precision that the backend runs.

    Args:
        role: ``None`` for any.
        format_name: one of the backend's formats; ``None`` for any of them.

    Raises:
        UsageError: there is none.
    """
    formats = backend.formats if format_name is None else (format_name,)
    for artifact in bundle.manifest.artifacts:
        if artifact.format in formats and artifact.precision == precision and role in (None, artifact.role):
            return artifact
    raise _no_artifact(bundle, role, precision, f" for {backend.name}")


def _no_artifact(bundle: Bundle, role: Role | None, precision: str, whom: str) -> UsageError:
    return UsageError(
        f"the bundle has no {precision} {role or 'artifact'}{whom}",
        where=str(bundle.path),
        expected="one of " + ", ".join(map(str, bundle.manifest.artifacts)),
        hint="choose another backend or precision, or export the model again",
    )
