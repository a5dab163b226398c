"""What is beyond tolerance, and which layers are to blame for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aetool_exporters.drift.diagnosis import diagnose, suspicions
from aetool_exporters.drift.measure import ratio
from aetool_exporters.drift.program import Program
from aetool_exporters.drift.progress import Match
from aetool_exporters.drift.ranges import activation_causes
from aetool_exporters.drift.report import Cause, LayerDrift
from aetool_exporters.drift.trace import Tensor, Trace
from aetool_exporters.judgement import EXACT, LEAST_SNR
from aetool_runtime.parity import DEFAULT_TOLERANCES, compare, output_scale
from aetool_runtime.specs import Array, Artifact, Normalization, OutputScale

__all__ = ["TOLERANCES", "Judge"]

TOLERANCES: Mapping[str, float] = {
    "float32": 80.0,
    "float16": 50.0,
    "int16x8": 30.0,
    "dynamic_range": 20.0,
    "int8": 20.0,
}
"""dB that a layer alone must keep; float32 is compared value by value instead. The presets keep 33 dB and more at int8.
All layers together must keep what an export asks for, ``LEAST_SNR``.
"""

_INHERITED = 6.0  # dB that a layer has lost more than by itself
_NAMED = 3  # layers that are told of, where errors add up


@dataclass(frozen=True)
class Judge:
    """Decides what is beyond tolerance.

    Args:
        truth: every slot of the program, as Keras computes it.
        scales: of the outputs, as the bundle has them.
        tolerance: dB that the user asks for, or ``None``.
        confident: dB from which two tensors are taken to be the same.
    """

    program: Program
    truth: Mapping[int, Array]
    artifact: Artifact
    normalization: Normalization
    scales: Mapping[str, OutputScale]
    tolerance: float | None
    confident: float

    @property
    def limit(self) -> float:
        return TOLERANCES.get(self.artifact.precision, TOLERANCES["int8"]) if self.tolerance is None else self.tolerance

    @property
    def by_value(self) -> bool:
        """float32 value by value, as ``verify`` does, unless a ratio is asked for."""
        return self.artifact.precision == EXACT and self.tolerance is None

    @property
    def limit_so_far(self) -> float:
        return LEAST_SNR.get(self.artifact.precision, self.limit) if self.tolerance is None else self.tolerance

    def holds(self, expected: Array, met: Array, reached: float, least: float, output: str = "") -> bool:
        """Whether a tensor is within tolerance.

        Args:
            reached: dB between the two.
            least: dB that are wanted.
            output: its name, where it is one of the artifact's outputs.
        """
        if not self.by_value or not np.all(np.isfinite(expected)):
            return reached >= least
        scale = self.scales.get(output) or output_scale(expected)
        return compare(expected, met, scale, DEFAULT_TOLERANCES[EXACT], case="", tensor="").passed

    def _unit(self, slot: int, output: str) -> OutputScale:
        """What values are measured in: raw ones in the normalization's units, a network's own from its own zero."""
        if output in self.scales:
            return self.scales[output]
        raw = slot == self.program.given
        return OutputScale(self.normalization.offset, self.normalization.scale) if raw else OutputScale((0.0,), (1.0,))

    def ratio(self, slot: int, met: Array) -> float:
        """dB between a slot's truth and what was met."""
        output = next((name for name, at in self.program.returned.items() if at == slot), "")
        return ratio(self.truth[slot], met, self._unit(slot, output))

    def row(self, trace: Trace, match: Match, sound: float | None) -> LayerDrift:
        """One line of the report.

        Args:
            sound: the ratio that the float32 artifact has there.
        """
        operation, tensor = self.program.operations[match.layer], trace.tensors[match.tensor]
        truth = self.truth[operation.output]
        output = next((name for name, slot in self.program.returned.items() if slot == operation.output), "")
        unit = self._unit(operation.output, output)
        whole, own = ratio(truth, match.met, unit), ratio(match.expected, match.met, unit)
        by_itself = self.holds(match.expected, match.met, own, self.limit, output)
        causes: tuple[Cause, ...] = ()
        if not by_itself:
            shapes = {slot: value.shape for slot, value in self.truth.items()}
            causes = diagnose(self.program, trace, match, shapes, self.confident)
        return LayerDrift(
            name=operation.name,
            kind=operation.kind,
            fused=tuple(self.program.operations[at].name for at in match.fused),
            tensor=tensor.name,
            operator=tensor.operator,
            layout=match.layout,
            snr=whole,
            own=own,
            float32=sound,
            beyond=not by_itself or not self.holds(truth, match.met, whole, self.limit_so_far, output),
            causes=causes,
        )

    def input_row(self, array: Array, tensor: Tensor) -> LayerDrift:
        """What is lost before the first layer."""
        met = np.asarray(tensor.values).reshape(array.shape)
        whole = ratio(array, met, self._unit(self.program.given, ""))
        beyond = whole < self.limit
        causes = tuple(activation_causes(array, met, tensor.grid)) if beyond else ()
        return LayerDrift("input", "Input", (), tensor.name, "", "", whole, whole, None, beyond, causes)

    def with_contributions(self, trace: Trace, matches: Sequence[Match], rows: list[LayerDrift]) -> list[LayerDrift]:
        """Where the first layer beyond tolerance is not so by itself, or less: which layers before it have added most.

        Channels count alike there: a layer whose large channels are fine may have lost the small ones, which only the
        next layer shows.
        """
        first = next((at for at, row in enumerate(rows) if row.beyond), None)
        if first is None or any(row.causes for row in rows[:first]):
            return rows
        if rows[first].causes and rows[first].own < rows[first].snr + _INHERITED:
            return rows
        order = sorted(range(first + 1), key=lambda at: matches[at].balanced)[:_NAMED]
        listed = ", ".join(f"{rows[at].name} ({matches[at].balanced:.1f} dB)" for at in order)
        what = f"most of it comes from the layers before: channel by channel the largest errors are those of {listed}"
        told = list(rows)
        for at in sorted(order):
            found = suspicions(self.program, trace, matches[at]) if matches[at].balanced < self.limit else ()
            told[at] = replace(told[at], causes=(*told[at].causes, *found))
        hint = f"keep {rows[order[0]].name} in a higher precision"
        known = tuple(cause for cause in told[first].causes if cause.kind != "unknown")
        told[first] = replace(told[first], causes=(*known, Cause("accumulated", what, hint)))
        return told
