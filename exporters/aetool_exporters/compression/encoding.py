"""The latents that a bundle's own encoders make: what tables must be fitted to is what will be coded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from aetool_exporters.compression.nodes import Floats
from aetool_exporters.request import Exported
from aetool_runtime.backends import Graph, available_backends, load_graph
from aetool_runtime.specs import Array, Artifact

__all__ = ["encoders", "exported_latents"]

_BATCH = 64


def encoders(exported: Sequence[Exported]) -> list[tuple[Exported, Artifact]]:
    """The encoders that can be run here, those first that a runtime takes first."""
    return [
        (one, artifact)
        for one in exported
        for artifact in one.artifacts
        if artifact.role == "encoder" and available_backends(artifact.format)
    ]


def exported_latents(exported: Exported, artifact: Artifact, samples: Array) -> Floats:
    """Latents of raw samples, as the artifact computes them on the first engine here, on one thread."""
    given, returned = artifact.inputs[0], artifact.outputs[0]
    values = np.ascontiguousarray(samples, np.float32)
    with _graph(exported, artifact) as graph:
        pieces = [
            returned.real(graph.run(given.stored(values[start : start + _BATCH]))[0])
            for start in range(0, len(values), _BATCH)
        ]
    return np.concatenate(pieces).astype(np.float64)


@contextmanager
def _graph(exported: Exported, artifact: Artifact) -> Iterator[Graph]:
    backend = available_backends(artifact.format)[0]
    graph = load_graph(backend, artifact, exported.tried(artifact), device="cpu", threads=1)
    try:
        yield graph
    finally:
        graph.close()
