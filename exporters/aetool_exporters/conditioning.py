"""How much a network amplifies rounding: what no other engine can be blamed for.

An engine rounds differently, as if the input had been another number by a few units in the last place. Where Keras
itself, given such an input, moves by a good part of the tolerance, the comparison says little about the engine. So when
a graph of float32 fails, the truth is computed twice more, for inputs that differ by four units in the last place:

- on the samples themselves, thirty times what Keras moves by is allowed (depth adds its own roundings), in powers of
  two, at most 128 times the usual tolerance; artifacts carry the tolerance that they were held to;
- edge cases on which that is not enough are left out.

Both are told. A graph that computes something else moves by far more, and fails again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil, log2

import numpy as np

from aetool_exporters.cases import HELD_OUT, Suite
from aetool_exporters.judgement import EXACT, Judge, Verdict
from aetool_exporters.reference import Reference
from aetool_exporters.request import Exported
from aetool_runtime.parity import DEFAULT_TOLERANCES, compare
from aetool_runtime.selftest import Case
from aetool_runtime.specs import Array, Tolerance

__all__ = ["reconsider"]

_UNITS = 4 * 2.0**-23
_DEPTH = 30.0
_WIDEST = 128.0


def reconsider(
    reference: Reference, judge: Judge, verdict: Verdict, on_notice: Callable[[str], None]
) -> tuple[Suite, Verdict]:
    """Judge again where the network amplifies rounding; what was found before stays where it does not.

    Returns:
        The cases that may travel in the bundle, and the verdict.
    """
    shares = {case.name: _DEPTH * _share(reference, case, judge.suite) for case in judge.suite.cases}
    factor = min(2.0 ** ceil(log2(max(1.0, shares[HELD_OUT]))), _WIDEST)  # a power of two: the same on every machine
    idle = {name for name, share in shares.items() if name != HELD_OUT and share > factor}
    if factor == 1.0 and not idle:
        return judge.golden, verdict
    golden = _without(judge.golden, idle)
    again, anew = replace(judge, suite=_without(judge.suite, idle), golden=golden), Verdict()
    for exported in (*verdict.passed, *verdict.failed):
        again.judge(_widened(exported, factor), anew)
    on_notice(f"the network amplifies rounding: float32 may differ {factor:g} times as much as usual")
    if idle:
        on_notice(f"not compared, since rounding is amplified even more there: {', '.join(sorted(idle))}")
    return golden, anew


def _without(suite: Suite, names: set[str]) -> Suite:
    return replace(suite, cases=tuple(case for case in suite.cases if case.name not in names))


def _widened(exported: Exported, factor: float) -> Exported:
    artifacts = tuple(
        replace(artifact, tolerance=Tolerance(artifact.tolerance.atol * factor, artifact.tolerance.rtol * factor))
        if artifact.precision == EXACT
        else artifact
        for artifact in exported.artifacts
    )
    return replace(exported, artifacts=artifacts)


def _share(reference: Reference, case: Case, suite: Suite) -> float:
    """The share of the tolerance that Keras itself uses up."""
    role = next(role for role in reversed(reference.roles) if reference.interface(role).given.name in case.tensors)
    names = [spec.name for spec in reference.interface(role).returned if spec.name in case.tensors]
    given = case.tensors[reference.interface(role).given.name]
    if given.dtype.kind != "f" or any(case.tensors[name].dtype.kind != "f" for name in names):
        return 0.0
    found = [0.0]
    for seed in (0, 1):
        met = reference.compute_all(role, _nudged(given, seed))
        for name in names:
            tolerance = DEFAULT_TOLERANCES[EXACT]
            report = compare(case.tensors[name], met[name], suite.scales[name], tolerance, case=case.name, tensor=name)
            found.append(report.smallest.atol / tolerance.atol)
    return float(max(found))


def _nudged(values: Array, seed: int) -> Array:
    """Every number a few units in the last place larger or smaller."""
    signs = np.random.default_rng(seed).choice([-_UNITS, _UNITS], values.shape)
    return np.asarray(values * (1 + signs), values.dtype)
