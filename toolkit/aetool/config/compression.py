"""[compression]: training for rate; goes with every family whose latent is plain and real."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from aetool.config.ranges import want

__all__ = ["CompressionConfig", "Quantization"]

Quantization = Literal["noise", "straight_through", "mixed"]


@dataclass(frozen=True)
class CompressionConfig:
    """[compression]: what the latent costs when it is rounded and coded (Ballé, Laparra, Simoncelli 2017).

    The loss is

        reconstruction + weight · rate

    where rate is bits per value of a sample: the code length of the latent, rounded to integers, under a Laplace
    distribution for each of its channels (its last axis), whose places and scales are trained along (a factorized
    entropy model). So a step of 1 in the latent is what is rounded, and what the encoder makes larger costs more bits.
    Validation rounds, without any noise.

    Args:
        weight: λ; 0 leaves compression out. In a model with a linear path a first guess is 1.4 times the mean squared
            error that is wanted, in normalized units, and more where most of the latent is 0.
        quantization: what stands for rounding, which has no gradient: ``noise``: uniform noise of ±½ for rate and
            reconstruction; ``straight_through``: rounding whose gradient is that of the identity, for both; ``mixed``:
            noise for the rate, straight through for the reconstruction.
        warmup_epochs: the weight grows from 0 along a straight line over so many epochs of training. The validation
            loss always has the full weight, so that epochs can be compared.
    """

    weight: float = 0.0
    quantization: Quantization = "noise"
    warmup_epochs: int = 0

    def __post_init__(self) -> None:
        want(0 <= self.weight < math.inf, "weight must be >= 0")
        want(self.warmup_epochs >= 0, "warmup_epochs must be >= 0")
