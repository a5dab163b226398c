"""The flat ``aetool.*`` keys that a graph file carries, the same in every format."""

from __future__ import annotations

from collections.abc import Sequence

from aetool_exporters.reference import Reference
from aetool_exporters.request import ExportRequest
from aetool_runtime.specs import Role, TensorSpec, format_shape

__all__ = ["BUNDLE_VERSION", "PREFIX", "describe"]

BUNDLE_VERSION = "1"
PREFIX = "aetool."


def describe(reference: Reference, request: ExportRequest, roles: Sequence[Role]) -> dict[str, str]:
    """What a graph file says about itself: sorted, and free of times, hosts and paths.

    ``aetool.role``, ``aetool.input`` and ``aetool.output`` are lists separated by commas, one entry for each role that
    the file holds, in the same order. ``aetool.tensor.NAME`` is a dtype and a shape, such as ``float32[batch, 784]``.
    """
    pairs = [reference.tensors(role) for role in roles]
    entries = {
        "version": BUNDLE_VERSION,
        "name": request.name,
        "precision": request.precision,
        "role": ",".join(roles),
        "input": ",".join(given.name for given, _ in pairs),
        "output": ",".join(returned.name for _, returned in pairs),
        **{f"tensor.{spec.name}": _text(spec) for pair in pairs for spec in pair},
    }
    return {PREFIX + key: entries[key] for key in sorted(entries)}


def _text(spec: TensorSpec) -> str:
    return spec.dtype + format_shape(spec.shape)
