"""The flat ``aetool.*`` keys that a graph file carries, the same in every format."""

from __future__ import annotations

from collections.abc import Sequence

from aetool_exporters.reference import Reference
from aetool_exporters.request import ExportRequest
from aetool_runtime.manifest import FORMAT_VERSION
from aetool_runtime.specs import Role, TensorSpec, format_shape

__all__ = ["PREFIX", "describe"]

PREFIX = "aetool."


def describe(reference: Reference, request: ExportRequest, roles: Sequence[Role]) -> dict[str, str]:
    """What a graph file says about itself: sorted, and free of times, hosts and paths.

    ``aetool.role``, ``aetool.input`` and ``aetool.output`` are lists separated by commas, one entry for each role that
    the file holds, in the same order; of several outputs the role's own. ``aetool.tensor.NAME`` is a dtype and a shape,
    such as ``float32[batch, 784]``.
    """
    interfaces = [reference.interface(role) for role in roles]
    specs = [spec for interface in interfaces for spec in (interface.given, *interface.returned)]
    entries = {
        "version": str(FORMAT_VERSION),
        "name": request.name,
        "precision": request.precision,
        "role": ",".join(roles),
        "input": ",".join(interface.given.name for interface in interfaces),
        "output": ",".join(interface.returned[0].name for interface in interfaces),
        **{f"tensor.{spec.name}": _text(spec) for spec in specs},
    }
    return {PREFIX + key: entries[key] for key in sorted(entries)}


def _text(spec: TensorSpec) -> str:
    return spec.dtype + format_shape(spec.shape)
