"""Holds a finished bundle against a Keras model, on real data, on every backend and device that is here."""

from __future__ import annotations

from collections.abc import Iterator

from aetool_exporters.cases import Samples, Suite, make_suite
from aetool_exporters.judgement import EXACT, LEAST_SNR
from aetool_exporters.reference import Reference
from aetool_runtime.bundle import Bundle
from aetool_runtime.errors import ModelError
from aetool_runtime.selftest import Check, Trial, check_artifacts
from aetool_runtime.specs import Artifact, format_shape

__all__ = ["check_tensors", "verify"]

_OTHER_DATA = 3.0
"""dB that an artifact of reduced precision may lose on other samples than it was made with."""


def verify(bundle: Bundle, reference: Reference, samples: Samples) -> Iterator[Check]:
    """Check every artifact of ``bundle`` against what ``reference`` computes for ``samples`` and for edge cases.

    Yields:
        One check per artifact, backend and device, as each is done.

    Raises:
        ModelError: the model has other tensors than the bundle.
    """
    check_tensors(bundle, reference)
    suite = make_suite(reference, samples)
    return check_artifacts(
        bundle.manifest.artifacts, bundle.read, lambda artifact: _trial(artifact, suite), suite.scales
    )


def check_tensors(bundle: Bundle, reference: Reference) -> None:
    """Refuse a model that the bundle cannot have been exported from.

    Raises:
        ModelError: the model has other tensors than the bundle.
    """
    interface = reference.interface(reference.roles[-1])
    for spec in (interface.given, *interface.returned):
        held = bundle.manifest.tensor(spec.name)
        if held is None or held.sample_shape != spec.sample_shape:
            raise ModelError(
                f"the model's {spec.name} is {format_shape(spec.shape)}",
                where=str(bundle.path),
                expected=f"{format_shape(held.shape) if held else 'no such tensor'}, as the bundle has it",
                hint="pass the model that the bundle was exported from",
            )


def _trial(artifact: Artifact, suite: Suite) -> Trial:
    """Value by value at full precision; below it, about as near to the model as when the artifact was made."""
    if artifact.precision == EXACT:
        return Trial(suite.cases)
    name = artifact.outputs[0].name
    stated = artifact.snr.get(name, LEAST_SNR.get(artifact.precision, 0.0))
    return Trial((), suite.held_out, {name: stated - _OTHER_DATA})
