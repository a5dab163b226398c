"""Where an artifact and its model part: layer by layer, with the likely cause.

    report = find_drift(bundle, reference, artifact, samples)

Layers and tensors are matched by what they compute, since graphs keep no layer names; see ``alignment``.
"""

from aetool_exporters.drift.judging import TOLERANCES
from aetool_exporters.drift.report import Cause, DriftReport, LayerDrift
from aetool_exporters.drift.walk import find_drift

__all__ = ["TOLERANCES", "Cause", "DriftReport", "LayerDrift", "find_drift"]
