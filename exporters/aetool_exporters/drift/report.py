"""What a walk along the layers found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aetool_runtime.parity import MAX_SNR
from aetool_runtime.specs import Artifact

__all__ = ["Cause", "DriftReport", "LayerDrift"]


@dataclass(frozen=True)
class Cause:
    """Why a layer drifts.

    Args:
        kind: one word for machines, such as ``clipped_activation``.
        what: a sentence.
        hint: one thing to try.
    """

    kind: str
    what: str
    hint: str

    def to_json(self) -> dict[str, str]:
        return {"kind": self.kind, "what": self.what, "hint": self.hint}


@dataclass(frozen=True)
class LayerDrift:
    """A layer, or several that the artifact computes as one.

    Args:
        name: of the layer whose output is compared; those of the models around it before it.
        kind: its class.
        fused: names of the layers before it that have no tensor of their own in the artifact.
        tensor: the artifact's name of the output.
        operator: that makes it.
        layout: how it is laid out differently from Keras's, or "".
        snr: signal-to-noise ratio of the artifact against Keras, dB: what all layers so far have lost.
        own: the same when Keras is given what the artifact's layer was given: what this layer loses.
        float32: ``snr`` of the bundle's float32 artifact of the same format, or ``None``.
        beyond: whether that is more than is tolerated.
        causes: found for it, the most telling first.
    """

    name: str
    kind: str
    fused: tuple[str, ...]
    tensor: str
    operator: str
    layout: str
    snr: float
    own: float
    float32: float | None
    beyond: bool
    causes: tuple[Cause, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "layer": self.name,
            "kind": self.kind,
            "fused": list(self.fused),
            "tensor": self.tensor,
            "operator": self.operator,
            "layout": self.layout,
            "snr": round(self.snr, 2),
            "own_snr": round(self.own, 2),
            "float32_snr": None if self.float32 is None else round(self.float32, 2),
            "beyond": self.beyond,
            "causes": [cause.to_json() for cause in self.causes],
        }


@dataclass(frozen=True)
class DriftReport:
    """An artifact held against Keras, layer by layer.

    Args:
        artifact: that was walked.
        tolerance: dB that a layer alone must keep.
        tolerance_so_far: dB that it must keep together with those before it.
        by_value: float32 is compared value by value instead, as ``verify`` does.
        samples: that were run.
        layers: in the order of computation; those that only reshape are left out.
        engine_snr: outputs as the engine computes them when it may fuse and rewrite, against the walk, dB.
        notes: what holds for no single layer.
    """

    artifact: Artifact
    tolerance: float
    tolerance_so_far: float
    samples: int
    layers: tuple[LayerDrift, ...]
    by_value: bool = False
    engine_snr: float = MAX_SNR
    notes: tuple[Cause, ...] = ()

    @property
    def first(self) -> LayerDrift | None:
        """The first layer beyond tolerance."""
        return next((layer for layer in self.layers if layer.beyond), None)

    @property
    def passed(self) -> bool:
        return self.first is None and not self.notes

    def to_json(self) -> dict[str, Any]:
        return {
            "artifact": {
                "role": self.artifact.role,
                "format": self.artifact.format,
                "precision": self.artifact.precision,
                "path": self.artifact.path,
            },
            "tolerance": None if self.by_value else self.tolerance,
            "tolerance_so_far": None if self.by_value else self.tolerance_so_far,
            "samples": self.samples,
            "passed": self.passed,
            "first": self.first.name if self.first else None,
            "engine_snr": round(self.engine_snr, 2),
            "layers": [layer.to_json() for layer in self.layers],
            "notes": [note.to_json() for note in self.notes],
        }
