"""A network that amplifies rounding is held to what it can keep; one that computes something else still fails."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from aetool_exporters import Reference
from aetool_exporters.cases import make_suite, synthetic_samples
from aetool_exporters.conditioning import reconsider
from aetool_exporters.judgement import Judge, Verdict
from aetool_exporters.onnx import OnnxExporter
from aetool_exporters.request import ExportRequest
from aetool_runtime.specs import Normalization


def reference_of(steepness: float) -> Reference:
    """``exp(steepness · x)``: its relative error is that of the input, as many times larger."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, "exponential", use_bias=False)])
    model.set_weights([np.eye(4, dtype=np.float32) * steepness])
    return Reference(model, None, Normalization())


def judged_again(reference: Reference, other: Reference) -> tuple[Verdict, Verdict, list[str], set[str]]:
    """What becomes of the graph of ``other``, if it is held against ``reference`` and is said to have failed."""
    suite = make_suite(reference, synthetic_samples(reference.given))
    exported = OnnxExporter().export(other, ExportRequest("model"))
    before, notices = Verdict(failed=[exported]), list[str]()
    golden, after = reconsider(reference, Judge(suite, suite), before, notices.append)
    return before, after, notices, {case.name for case in suite.cases} - {case.name for case in golden.cases}


def test_a_steady_network_is_left_with_its_verdict() -> None:
    before, after, notices, left_out = judged_again(reference_of(0.1), reference_of(0.1))
    assert after is before
    assert (notices, left_out) == ([], set())


def test_an_amplifying_one_is_held_to_what_it_can_keep_and_says_so() -> None:
    before, after, notices, _ = judged_again(reference_of(20.0), reference_of(20.0))
    assert len(after.passed) == 1
    usual, wide = before.failed[0].artifacts[0].tolerance, after.passed[0].artifacts[0].tolerance
    assert usual.atol < wide.atol <= 128 * usual.atol
    assert wide.rtol / usual.rtol == pytest.approx(wide.atol / usual.atol)
    assert "amplifies rounding" in notices[0]


def test_another_network_fails_again() -> None:
    _, after, _, _ = judged_again(reference_of(20.0), reference_of(20.2))
    assert not after.passed
    assert after.failed
