"""What artifacts are tried on: real held-out samples, and the edges where exports usually break."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from aetool_exporters.reference import Reference
from aetool_runtime.errors import InputError
from aetool_runtime.parity import output_scale
from aetool_runtime.selftest import Case
from aetool_runtime.specs import Array, OutputScale, TensorSpec, format_shape

__all__ = ["HELD_OUT", "Samples", "Suite", "golden_subset", "make_suite", "synthetic_samples"]

HELD_OUT = "held-out"
_BATCHES = (1, 2, 7, 64)
_SYNTHETIC = 64
_DENORMAL = 1e-41  # below float32's smallest normal number, 1.2e-38
_GOLDEN = (HELD_OUT, "zeros", "ones", "minimum", "maximum", "latent zeros", "latent maximum")
_GOLDEN_BYTES = 1 << 20
_GOLDEN_SAMPLES = 16


@dataclass(frozen=True)
class Samples:
    """Raw samples to verify with.

    Args:
        values: [samples, …], raw units.
        minimum, maximum: the range seen in training; one value or one per channel.
        real: whether they are real held-out data; made-up ones are a weaker proof, and the report says so.
    """

    values: Array
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    real: bool = True

    @classmethod
    def of(cls, values: Array) -> Samples:
        """Real samples whose own range stands in for the one seen in training."""
        return cls(values, (float(values.min()),), (float(values.max()),))


@dataclass(frozen=True)
class Suite:
    """The cases, with the unit that each output is compared in."""

    cases: tuple[Case, ...]
    scales: Mapping[str, OutputScale]

    @property
    def held_out(self) -> Case:
        """The real samples."""
        return next(case for case in self.cases if case.name == HELD_OUT)


def synthetic_samples(
    spec: TensorSpec, minimum: tuple[float, ...] = (0.0,), maximum: tuple[float, ...] = (1.0,)
) -> Samples:
    """64 samples, uniform between ``minimum`` and ``maximum`` (integers: in 0 … 9), always the same ones.

    Raises:
        InputError: the input has free dimensions, so that their sizes cannot be guessed.
    """
    if None in spec.sample_shape:
        raise InputError(
            f"the input {format_shape(spec.shape)} has free dimensions, so no samples can be made up",
            hint="pass real samples: --data FILE",
        )
    shape = (_SYNTHETIC, *(size or 0 for size in spec.sample_shape))
    rng = np.random.default_rng(0)
    if np.issubdtype(np.dtype(spec.dtype), np.integer):
        return Samples(rng.integers(0, 10, shape).astype(spec.dtype), (0.0,), (9.0,), real=False)
    values = rng.uniform(np.array(minimum), np.array(maximum), shape)
    return Samples(values.astype(spec.dtype), minimum, maximum, real=False)


def make_suite(reference: Reference, samples: Samples) -> Suite:
    """Compute what Keras computes for every case."""
    values = np.asarray(samples.values, reference.given.dtype)
    case_of = _latent_case if reference.encoder is None else _input_case
    cases = [case_of(reference, name, given) for name, given in _inputs(values, samples)]
    held_out = cases[0].tensors
    if reference.encoder is not None and reference.decoder is not None:
        cases += [_latent_case(reference, name, given) for name, given in _latents(held_out["latent"])]
    scales = {name: output_scale(values) for name, values in held_out.items() if name != "input"}
    if reference.decoder is not None:
        normalization = reference.normalization
        scales["reconstruction"] = output_scale(
            held_out["reconstruction"], zero=normalization.offset, unit=normalization.scale
        )
    return Suite(tuple(cases), scales)


def golden_subset(suite: Suite) -> tuple[Case, ...]:
    """The cases that travel in the bundle: at most 16 held-out samples or 1 MiB (at least one), and edges."""
    kept = {case.name: case for case in suite.cases if case.name in _GOLDEN}
    held_out = kept[HELD_OUT].tensors
    size = sum(array[0].nbytes for array in held_out.values())
    count = max(1, min(_GOLDEN_SAMPLES, _GOLDEN_BYTES // size))
    kept[HELD_OUT] = Case(HELD_OUT, {name: array[:count] for name, array in held_out.items()})
    if size > _GOLDEN_BYTES // len(_GOLDEN):
        return (kept[HELD_OUT],)
    return tuple(kept[name] for name in _GOLDEN if name in kept)


def _input_case(reference: Reference, name: str, given: Array) -> Case:
    tensors = {"input": given, **reference.compute_all("encoder", given)}
    if reference.decoder is not None:
        tensors["reconstruction"] = reference.compute("decoder", tensors["latent"])
    return Case(name, tensors)


def _latent_case(reference: Reference, name: str, given: Array) -> Case:
    return Case(name, {"latent": given, "reconstruction": reference.compute("decoder", given)})


def _inputs(values: Array, samples: Samples) -> Iterator[tuple[str, Array]]:
    yield HELD_OUT, values
    for size in _BATCHES:
        yield f"batch {size}", np.resize(values, (size, *values.shape[1:]))
    one = values[:1]
    yield "zeros", np.zeros_like(one)
    yield "ones", np.ones_like(one)
    yield "minimum", np.zeros_like(one) + np.array(samples.minimum, one.dtype)
    yield "maximum", np.zeros_like(one) + np.array(samples.maximum, one.dtype)
    if one.dtype.kind == "f":
        yield "denormals", np.full_like(one, _DENORMAL)


def _latents(latent: Array) -> Iterator[tuple[str, Array]]:
    one = latent[:1]
    yield "latent zeros", np.zeros_like(one)
    yield "latent minimum", latent.min(axis=0, keepdims=True)
    yield "latent maximum", latent.max(axis=0, keepdims=True)
    if one.dtype.kind == "f":
        yield "latent ones", np.ones_like(one)
        yield "latent denormals", np.full_like(one, _DENORMAL)
