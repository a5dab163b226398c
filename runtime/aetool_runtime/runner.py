"""The hot path: from a caller's array to the engine and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from aetool_runtime.backends import Graph
from aetool_runtime.device_tensors import place_name, place_of
from aetool_runtime.errors import InputError
from aetool_runtime.inputs import check_out, fit
from aetool_runtime.specs import Array, Artifact, TensorSpec

__all__ = ["Run", "Runner", "as_real", "make_runner"]

Run = Callable[[Array], tuple[Array, ...]]
RunInto = Callable[[Array, Array], None]


@dataclass(frozen=True, slots=True)
class Runner:
    """A loaded graph as callers use it: real values, any batch size, inputs checked.

    Args:
        run: samples → all outputs, which the caller owns.
        run_into: samples, out → None; the first output is written to ``out``.
    """

    run: Run
    run_into: RunInto


def as_real(spec: TensorSpec) -> TensorSpec:
    """The tensor as callers see it: real values where it holds integers that stand for them."""
    return spec if spec.quantization is None else replace(spec, dtype="float32", quantization=None)


def make_runner(graph: Graph, artifact: Artifact, where: str = "the CPU") -> Runner:
    """What a few comparisons cannot see through goes the long way, through ``fit``, or stays on its device.

    Args:
        where: what the graph runs on, for errors.
    """
    spec, returned = as_real(artifact.inputs[0]), as_real(artifact.outputs[0])
    dtype, rank, sample = np.dtype(spec.dtype), len(spec.shape), spec.sample_shape
    engine = _on_real_values(graph.run, artifact)
    engine_into = _into(graph, engine, artifact)
    on_device = _on_device(graph, artifact, where)

    fitting: tuple[int, ...] | None = None  # the shape of the last array that fitted; any thread's will do

    def run(array: Array) -> tuple[Array, ...]:
        nonlocal fitting
        if not (
            type(array) is np.ndarray and array.dtype == dtype and array.shape == fitting and array.flags.c_contiguous
        ):
            if place_of(array) is not None:
                return on_device(array, None)
            array = fit(array, spec)
            if not len(array):
                return _nothing(artifact)
            fitting = array.shape
        return engine(array)

    def run_into(array: Array, out: Array) -> None:
        if not (
            type(array) is np.ndarray
            and array.dtype == dtype
            and array.ndim == rank
            and array.shape[1:] == sample
            and array.flags.c_contiguous
        ):
            if place_of(array) is not None:
                on_device(array, out)
                return
            array = fit(array, spec)
        check_out(out, returned, array)
        if len(array):
            engine_into(array, out)

    return Runner(run, run_into)


def _on_device(graph: Graph, artifact: Artifact, where: str) -> Callable[[Any, Any], tuple[Any, ...]]:
    """What is done with a tensor that lies outside host memory."""
    run: Callable[[Any, Any], tuple[Any, ...]] | None = getattr(graph, "run_on_device", None)
    integers = any(spec.quantization is not None for spec in (*artifact.inputs, *artifact.outputs))
    if run is not None and not integers:
        return run
    what = f"the graph runs on {where}"
    if integers:
        what = "the graph takes integers that stand for real values, which are converted in host memory"

    def refused(tensor: Any, out: Any) -> tuple[Any, ...]:
        raise InputError(
            f"{artifact.inputs[0].name} lies on {place_name(place_of(tensor) or (0, 0))}, and {what}",
            expected="an array in host memory",
            hint="copy it there: tensor.cpu()" + ("" if integers else "; or open the bundle with device='cuda'"),
        )

    return refused


def _into(graph: Graph, engine: Run, artifact: Artifact) -> RunInto:
    """Let the engine write to the caller's array where it can, and the values need no conversion."""
    integers = any(spec.quantization is not None for spec in (artifact.inputs[0], artifact.outputs[0]))
    direct: RunInto | None = getattr(graph, "run_into", None)
    if direct is not None and not integers:
        return direct

    def copied(array: Array, out: Array) -> None:
        result = engine(array)[0]
        if result.shape != out.shape:  # a free dimension turned out otherwise
            raise InputError(f"out has shape {list(out.shape)}", expected=f"{list(result.shape)} for this input")
        out[...] = result

    return copied


def _on_real_values(run: Run, artifact: Artifact) -> Run:
    if all(spec.quantization is None for spec in (*artifact.inputs, *artifact.outputs)):
        return run
    stored, reals = _storing(artifact.inputs[0]), [_real(spec) for spec in artifact.outputs]

    def quantized(array: Array) -> tuple[Array, ...]:
        return tuple([real(output) for real, output in zip(reals, run(stored(array)), strict=True)])

    return quantized


def _storing(spec: TensorSpec) -> Callable[[Array], Array]:
    """``TensorSpec.stored``, prepared: the same numbers with few temporary arrays."""
    if spec.quantization is None:
        return spec.stored
    scale, zero_point = _steps(spec)
    dtype, limits = np.dtype(spec.dtype), np.iinfo(spec.dtype)
    least, most = np.float32(limits.min), np.float32(limits.max)

    def stored(array: Array) -> Array:
        steps = np.divide(array, scale)
        np.rint(steps, out=steps)
        steps += zero_point
        np.clip(steps, least, most, out=steps)
        return steps.astype(dtype)

    return stored


def _real(spec: TensorSpec) -> Callable[[Array], Array]:
    """``TensorSpec.real``, prepared."""
    if spec.quantization is None:
        return spec.real
    scale, zero_point = _steps(spec)

    def real(array: Array) -> Array:
        values: Array = array.astype(np.float32)
        values -= zero_point
        values *= scale
        return values

    return real


def _steps(spec: TensorSpec) -> tuple[Array, Array]:
    """Scale and zero point, in the shape in which they go with an array of the tensor."""
    assert spec.quantization is not None
    return spec.quantization.along(len(spec.shape))


def _nothing(artifact: Artifact) -> tuple[Array, ...]:
    return tuple(
        np.zeros((0, *(size or 0 for size in output.sample_shape)), as_real(output).dtype)
        for output in artifact.outputs
    )
