"""[task], [corruption], [penalty]: what is asked of the model beside its reconstruction; they go with every family."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from aetool.config.ranges import want

__all__ = ["CorruptionConfig", "PenaltyConfig", "TaskConfig"]


@dataclass(frozen=True)
class TaskConfig:
    """[task]: what comes out for what goes in.

    Args:
        kind: ``reconstruction`` returns the sample; ``super_resolution`` takes the image with height and width divided
            by ``factor`` (the mean over each square of pixels) and returns the whole one.
        factor: for ``super_resolution``: a power of 2.
        residual: for ``super_resolution``: the small image is part of the latent, and the decoder adds it, enlarged
            by linear interpolation, so that the network learns only what that lacks (Kim 2016). For images in a family
            whose latent is a map of their height and width, not for a kind of latent of its own.
    """

    kind: Literal["reconstruction", "super_resolution"] = "reconstruction"
    factor: int = 2
    residual: bool = False

    def __post_init__(self) -> None:
        want(not self.residual or self.kind == "super_resolution", "residual is for super_resolution")
        want(self.factor >= 2 and self.factor & (self.factor - 1) == 0, "factor must be a power of 2")


@dataclass(frozen=True)
class CorruptionConfig:
    """[corruption]: what the encoder's input suffers in training, while the target stays clean (Vincent 2008).

    Validation suffers it too, the same in every epoch; the exported encoder holds nothing of it.

    Args:
        kind: ``none``; ``gaussian`` adds noise; ``masking`` sets values to 0, in normalized units (the training
            minimum with minmax, the mean with standard); ``salt_and_pepper`` sets values to the least or the
            greatest seen in training, one as often as the other.
        amount: of ``gaussian``: standard deviation in normalized units; of the others: share of the values, 0 to 1.
    """

    kind: Literal["none", "gaussian", "masking", "salt_and_pepper"] = "none"
    amount: float = 0.0

    def __post_init__(self) -> None:
        want(0 <= self.amount < math.inf, "amount must be >= 0")
        want(self.kind == "gaussian" or self.amount <= 1, "amount must be a share between 0 and 1")
        want(self.kind == "none" or self.amount > 0, f"{self.kind} corruption wants an amount > 0")


@dataclass(frozen=True)
class PenaltyConfig:
    """[penalty]: weights of what the loss has beside the reconstruction; 0 leaves a penalty out.

    Args:
        l1: of Σ_j |latent_j|, averaged over samples (as Keras' activity regularizers are).
        kl: of Σ_j KL(kl_target ‖ mean of latent_j over the batch) (Ng 2011); the latent must lie in 0 … 1, which
            latent_activation = "sigmoid" sees to.
        kl_target: the wanted mean activation.
        contractive: of ‖∂ latent / ∂ input‖² (Frobenius), averaged over samples, both normalized (Rifai 2011).
            Estimated without bias from one random ±1 direction per sample (Hutchinson 1989), seeded: one more pass
            back through the encoder, whatever the latent's size.
    """

    l1: float = 0.0
    kl: float = 0.0
    kl_target: float = 0.05
    contractive: float = 0.0

    def __post_init__(self) -> None:
        for name in ("l1", "kl", "contractive"):
            want(0 <= getattr(self, name) < math.inf, f"{name} must be >= 0")
        want(0 < self.kl_target < 1, "kl_target must be between 0 and 1")
