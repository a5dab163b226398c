"""Which metric suits which model and data; the others are refused, with one that does."""

from __future__ import annotations

from dataclasses import dataclass

from aetool_exporters.budget.budget import Budget
from aetool_exporters.reference import Reference
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import Array

__all__ = ["HeldOut", "check_suitable", "gives_back"]


@dataclass(frozen=True)
class HeldOut:
    """What quality is measured on: samples that neither training nor calibration has seen.

    Args:
        values: [samples, …], raw units.
        peak: the range that PSNR and SSIM are relative to, raw units.
        anomalous: [samples] booleans, for ``auc``; else ``None``.
    """

    values: Array
    peak: float
    anomalous: Array | None = None


def gives_back(reference: Reference) -> bool:
    """Whether the reconstruction stands for the very thing that the encoder was given."""
    if reference.encoder is None or reference.decoder is None:
        return False
    given, returned = reference.input.sample_shape, reference.reconstruction.sample_shape
    return len(given) == len(returned) and all(a == b or None in (a, b) for a, b in zip(given, returned, strict=True))


def check_suitable(reference: Reference, budget: Budget, held_out: HeldOut) -> None:
    """Refuse what cannot be measured, with what can be."""
    name = budget.name
    if budget.metric.of == "latent":
        _check_latents(reference, budget, len(held_out.values))
        return
    if reference.decoder is None:
        raise _unsuited(name, "looks at reconstructions, and there is no decoder", "recall@10:0.02")
    tokens = reference.given.dtype.startswith("int") and reference.encoder is not None
    if tokens != (name == "accuracy"):
        kind = (
            "is of tokens, which this model does not take"
            if not tokens
            else "is of numbers, and this model's are tokens"
        )
        raise _unsuited(name, kind, "psnr:0.5" if not tokens else "accuracy:0.01")
    if not tokens and not gives_back(reference):
        _check_against_itself(budget)
    if name == "ssim" and len(reference.reconstruction.sample_shape) != 3:
        raise _unsuited(name, "is of images [height, width, channels]", "psnr:0.5")
    if name in ("psnr", "ssim") and held_out.peak <= 0:
        raise _unsuited(name, "is relative to the range of the data, and they are all alike", "mse:…")
    if name == "auc":
        _check_labels(held_out)


def _check_latents(reference: Reference, budget: Budget, samples: int) -> None:
    if reference.encoder is None:
        raise _unsuited(budget.name, "looks at latents, and there is no encoder", "mse:0.001")
    if reference.latent.dtype.startswith("int"):
        raise _unsuited(budget.name, "is of real latents, and this model's are integers", "psnr:0.5")
    if samples <= budget.neighbours:
        raise _unsuited(
            budget.name, f"wants more than {budget.neighbours} held-out samples, not {samples}", "--data FILE"
        )


def _check_against_itself(budget: Budget) -> None:
    """The float model's own error against itself is zero."""
    if budget.metric.name not in ("mse", "ssim") or (budget.relative and budget.metric.name == "mse"):
        raise _unsuited(
            str(budget),
            "needs a model that gives back what it is given; here the float model is the truth",
            "mse:0.001",
        )


def _check_labels(held_out: HeldOut) -> None:
    if held_out.anomalous is None:
        raise _unsuited("auc", "needs to know which held-out samples are anomalous", "--labels FILE")
    if held_out.anomalous.all() or not held_out.anomalous.any():
        raise _unsuited(
            "auc", "needs anomalous samples and others among those held out", "--data and --labels with both"
        )


def _unsuited(name: str, why: str, hint: str) -> UsageError:
    return UsageError(f"the metric {name} {why}", hint=hint)
