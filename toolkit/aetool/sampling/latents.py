"""Where latents are drawn from: the prior that a bundle tells, or what real latents look like."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from aetool_runtime.bundle import Bundle
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.selftest import golden_cases
from aetool_runtime.specs import Array, TensorSpec

__all__ = ["Draw", "choose"]

_STANDARD_NORMAL = "standard_normal"


@dataclass(frozen=True)
class Draw:
    """A distribution of latents.

    Args:
        description: what it is, and where it comes from.
        latents: (how many, seed) → [count, …] of the latent's shape and dtype; the same seed gives the same latents.
        advice: what would be better, or nothing.
    """

    description: str
    latents: Callable[[int, int], Array]
    advice: str = ""


def choose(bundle: Bundle, real: Array | None, source: str = "") -> Draw:
    """The distribution to draw from.

    Args:
        bundle: with a decoder.
        real: latents of real samples, [n, …], which then decide; ``None`` leaves it to the bundle: its prior, or else
            its golden vectors.
        source: what the real ones are called.

    Raises:
        UsageError: neither the bundle nor ``real`` says enough.
        InputError: fewer than two latents to fit to.
    """
    spec = bundle.manifest.tensor("latent")
    assert spec is not None
    if real is not None:
        return _fitted(spec, real, f"of {len(real):,} samples of {source}")
    if np.dtype(spec.dtype).kind in "iu":
        raise UsageError(
            f"the latent holds integers ({spec}): how often each stands where, only real samples can say",
            where=str(bundle.path),
            hint="pass some: --fit DATA",
        )
    prior = bundle.manifest.latent_prior
    if prior == _STANDARD_NORMAL:
        return Draw("the standard normal prior that the model was trained for", _standard_normal(spec))
    if prior:
        raise UsageError(
            f"the bundle's latent prior {prior!r} is not known here",
            where=str(bundle.path),
            expected=_STANDARD_NORMAL,
            hint="update aetool, or pass real samples: --fit DATA",
        )
    golden = max((case.tensors["latent"] for case in golden_cases(bundle)), key=len)
    draw = _fitted(spec, golden, f"of the {len(golden)} samples in the bundle")
    return replace(draw, advice="only a few samples say what latents look like; better: --fit DATA")


def _fitted(spec: TensorSpec, real: Array, source: str) -> Draw:
    if len(real) < 2:
        raise InputError(f"{len(real)} latent is too few to fit a distribution to", expected="2 or more")
    if real.dtype.kind in "iu":
        return Draw(f"the frequency of each integer at its place, in the latents {source}", _frequencies(real))
    return Draw(f"a Gaussian fitted to the latents {source}", _gaussian(real))


def _standard_normal(spec: TensorSpec) -> Callable[[int, int], Array]:
    shape = _fixed(spec)

    def draw(count: int, seed: int) -> Array:
        return np.random.default_rng(seed).standard_normal((count, *shape)).astype(spec.dtype)

    return draw


def _fixed(spec: TensorSpec) -> list[int]:
    if None in spec.sample_shape:
        raise UsageError(f"the latent has free dimensions ({spec})", hint="pass real samples: --fit DATA")
    return [size or 0 for size in spec.sample_shape]


def _gaussian(real: Array) -> Callable[[int, int], Array]:
    """Mean and covariance of the latents.

    A sum of the centred latents with standard normal weights has their covariance, so the matrix is never formed.
    """
    flat = real.reshape(len(real), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    centred = (flat - mean) / math.sqrt(len(flat) - 1)

    def draw(count: int, seed: int) -> Array:
        weights = np.random.default_rng(seed).standard_normal((count, len(centred)))
        drawn: Array = (mean + weights @ centred).astype(real.dtype)
        return drawn.reshape(count, *real.shape[1:])

    return draw


def _frequencies(real: Array) -> Callable[[int, int], Array]:
    """At every place the integer that a real latent, chosen for this place alone, has there."""
    flat = real.reshape(len(real), -1)

    def draw(count: int, seed: int) -> Array:
        chosen = np.random.default_rng(seed).integers(len(flat), size=(count, flat.shape[1]))
        return np.asarray(flat[chosen, np.arange(flat.shape[1])].reshape(count, *real.shape[1:]))

    return draw
