"""[latent]: what is between encoder and decoder; goes with every family."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from aetool.config.ranges import want

__all__ = [
    "LATENTS",
    "AdversarialLatent",
    "LatentConfig",
    "PlainLatent",
    "VariationalLatent",
    "VectorQuantizedLatent",
]


@dataclass(frozen=True)
class PlainLatent:
    """[latent] kind = "plain": the family's latent as it is."""

    kind: Literal["plain"] = "plain"


@dataclass(frozen=True)
class VariationalLatent:
    """[latent] kind = "variational": a normal distribution per sample (Kingma and Welling 2013), prior N(0, I).

    The encoder returns mean and logarithm of the variance, and is deterministic; training decodes a draw. The loss is

        reconstruction + beta · KL / n,   KL = ½ Σ_j (mean_j² + variance_j − 1 − log variance_j)

    where reconstruction is [training] loss, a mean over the n values of a sample (for text: its n tokens), and KL is a
    sum over the latent, both averaged over samples. So with a cross-entropy beta = 1 is the evidence lower bound in
    nats per value, and beta is that of Higgins 2017; with mse, beta = 1 is the bound of a decoder with variance ½ (in
    normalized units), and the bound for another variance v has beta = 2·v.

    Args:
        beta: see above.
        warmup_epochs: beta grows from 0 along a straight line over so many epochs of training. The validation loss
            always has the full beta, so that epochs can be compared.
    """

    kind: Literal["variational"] = "variational"
    beta: float = 1.0
    warmup_epochs: int = 0

    def __post_init__(self) -> None:
        want(0 <= self.beta < math.inf, "beta must be >= 0")
        want(self.warmup_epochs >= 0, "warmup_epochs must be >= 0")


@dataclass(frozen=True)
class VectorQuantizedLatent:
    """[latent] kind = "vector_quantized": indices into a learned codebook (van den Oord 2017).

    The family's latent values are cut into vectors of ``dimension`` values, and each becomes the index of the nearest
    vector of the codebook: int32 [batch, positions], of log2(codes) bits each. The codebook is an exponential moving
    average of the vectors that chose each entry (decay 0.99, van den Oord 2017, appendix A.1) rather than learned by
    gradients: it then follows the encoder at one speed, whatever the optimizer and its schedule do. An entry that
    hardly anything chooses is replaced by a vector of the running batch, at a place that depends on its index only.

    Args:
        codes: entries of the codebook.
        dimension: values of each; divides the family's latent values.
        commitment: weight of the mean squared distance between the encoder's values and the entries chosen.
    """

    kind: Literal["vector_quantized"] = "vector_quantized"
    codes: int = 64
    dimension: int = 4
    commitment: float = 0.25

    def __post_init__(self) -> None:
        want(self.codes >= 2, "codes must be >= 2")
        want(self.dimension > 0, "dimension must be > 0")
        want(0 <= self.commitment < math.inf, "commitment must be >= 0")


@dataclass(frozen=True)
class AdversarialLatent:
    """[latent] kind = "adversarial": the latent learns to look like N(0, I) to a discriminator (Makhzani 2015).

    Each step first moves encoder and decoder on reconstruction + weight · cross-entropy of the discriminator taking the
    latent for the prior, and then the discriminator, with an optimizer of its own. The validation loss has no
    adversarial part: a game's loss does not fall.

    Args:
        weight: see above.
        hidden: widths of the discriminator's hidden layers.
        learning_rate: of the discriminator's optimizer (Adam, beta_1 0.5), constant.
    """

    kind: Literal["adversarial"] = "adversarial"
    weight: float = 0.01
    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        want(0 <= self.weight < math.inf, "weight must be >= 0")
        want(all(width > 0 for width in self.hidden), "hidden holds widths > 0")
        want(0 < self.learning_rate < math.inf, "learning_rate must be > 0")


LatentConfig: TypeAlias = PlainLatent | VariationalLatent | VectorQuantizedLatent | AdversarialLatent
LATENTS: dict[str, type[LatentConfig]] = {
    "plain": PlainLatent,
    "variational": VariationalLatent,
    "vector_quantized": VectorQuantizedLatent,
    "adversarial": AdversarialLatent,
}
