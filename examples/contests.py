"""What an example is measured by: its network's figures on the test part, beside those of what it must beat."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from trial import Trial

__all__ = ["Contest", "ContestOf", "Figure"]


@dataclass(frozen=True)
class Figure:
    """One measurement of both.

    Args:
        measure: its name and unit, as in ``24.31 dB``: ``{} dB``.
        network, baseline: the two.
        more: more is better; else less.
        slack: by how much the network may be worse, where being equal is what is asked for.
    """

    measure: str
    network: float
    baseline: float
    more: bool = True
    slack: float = 0.0

    @property
    def holds(self) -> bool:
        ahead = self.network - self.baseline if self.more else self.baseline - self.network
        return ahead > 0 if self.slack == 0 else ahead >= -self.slack

    def text(self, value: float) -> str:
        return self.measure.format(value)


@dataclass(frozen=True)
class Contest:
    """The network against its baseline.

    Args:
        baseline: what it is.
        figures: the network must be ahead in each.
        stated: what is said beside, and decides nothing.
    """

    baseline: str
    figures: tuple[Figure, ...]
    stated: str = ""

    @property
    def holds(self) -> bool:
        return all(figure.holds for figure in self.figures)

    @property
    def network_text(self) -> str:
        return ", ".join(figure.text(figure.network) for figure in self.figures)

    @property
    def baseline_text(self) -> str:
        return f"{self.baseline}: " + ", ".join(figure.text(figure.baseline) for figure in self.figures)


ContestOf: TypeAlias = Callable[[Trial], Contest]

_DECIBELS = "{:.2f} dB"


def psnr(quality: Any) -> float:
    """Of an evaluation's row, which has none where there is no error at all."""
    value = quality["psnr"] if isinstance(quality, dict) else quality
    return math.inf if value is None else float(value)


def _decibels(network: Any, baseline: Any, slack: float = 0.0) -> Figure:
    return Figure(_DECIBELS, psnr(network), psnr(baseline), slack=slack)


def _pca(found: Any) -> str:
    """What is said beside, and that PCA is ahead where it is."""
    ahead = ", ahead of the network" if psnr(found["pca"]) >= psnr(found["network"]) else ""
    return f"PCA with {found['latent']}: {psnr(found['pca']):.2f} dB{ahead}"


def against_pca(trial: Trial) -> Contest:
    """With as many values."""
    found = trial.evaluation
    return Contest(f"PCA with {found['latent']}", (_decibels(found["network"], found["pca"]),))


def against_pca_and_tutorial(trial: Trial) -> Contest:
    """The tutorial's latent of 32 beside it."""
    contest, wide = against_pca(trial), trial.evaluation_of("tutorial.toml")
    return Contest(
        contest.baseline,
        contest.figures,
        f"the tutorial's 784-64-32-64-784: {psnr(wide['network']):.2f} dB, PCA with {wide['latent']}: "
        f"{psnr(wide['pca']):.2f} dB",
    )


def against_dense(trial: Trial) -> Contest:
    """A dense model of as many parameters, on the same data, with the same latent."""
    dense = trial.evaluation_of("dense.toml")
    ours, theirs = (sum(one.parameters.values()) for one in (trial.model, trial.others["dense.toml"]))
    return Contest(
        "dense model",
        (_decibels(trial.evaluation["network"], dense["network"]),),
        f"{ours:,} parameters, the dense model {theirs:,}; {_pca(trial.evaluation)}",
    )


def against_last_value(channels: int) -> ContestOf:
    """As many values of the window as the latent has, each held until the next.

    Args:
        channels: of the recording; a sample is [steps, channels] of it in C order.
    """

    def contest(trial: Trial) -> Contest:
        found, test = trial.evaluation, trial.prepared.split.test
        windows = test.take(np.arange(len(test))).astype(np.float64).reshape(len(test), -1, channels)
        steps, kept = windows.shape[1], found["latent"] // channels
        first = np.arange(kept) * steps // kept
        last = first[np.searchsorted(first, np.arange(steps), side="right") - 1]
        error = float(np.square(windows[:, last] - windows).mean())
        return Contest(
            f"last of {kept} values a channel",
            (Figure(_DECIBELS, psnr(found["network"]), psnr(10 * math.log10(found["peak"] ** 2 / error))),),
            _pca(found),
        )

    return contest


def against_unigram(trial: Trial) -> Contest:
    found = trial.evaluation["text"]
    return Contest(
        "unigram",
        (Figure("{:.3f} bits/character", found["network"], found["unigram"], more=False),),
        f"{found['right']:.1%} of the tokens and {found['exact']:.1%} of the texts come back as they were; "
        f"the latent's {trial.evaluation['latent']} floats take {found['latent_bits']:.0f} bits/character",
    )


def against_filters(trial: Trial) -> Contest:
    """The better of median and Wiener filter."""
    found = trial.evaluation["denoising"]
    name = max(("median", "wiener"), key=lambda one: psnr(found[one]))
    other = "wiener" if name == "median" else "median"
    names = {"median": "median filter", "wiener": "Wiener filter"}
    return Contest(
        f"{names[name]}, {found[name + '_size']} wide",
        (_decibels(found["network"], found[name]),),
        f"{names[other]}: {psnr(found[other]):.2f} dB, corrupted: {psnr(found['corrupted']):.2f} dB, "
        f"PCA with {trial.evaluation['latent']}: {psnr(found['pca']):.2f} dB",
    )


def against_bicubic(trial: Trial) -> Contest:
    found = trial.evaluation["super_resolution"]
    network, bicubic = found["network"], found["bicubic"]
    return Contest("bicubic", (_decibels(network, bicubic), Figure("SSIM {:.4f}", network["ssim"], bicubic["ssim"])))


_EQUAL = 0.25  # dB; about as much as another seed changes


def against_plain(measure: str, word: str, *, more: bool) -> ContestOf:
    """The same model without the penalty, at equal error: at most 0.25 dB worse.

    Args:
        measure: of the latent's activity.
        word: what it is called.
    """

    def contest(trial: Trial) -> Contest:
        ours, plain = trial.evaluation, trial.evaluation_of("plain.toml")
        one, other = ours["activity"]["network"], plain["activity"]["network"]
        stated = {"inactive": "inactive", "moved": "moved by noise"}
        beside = "moved" if measure == "inactive" else "inactive"
        return Contest(
            "without penalty",
            (
                Figure(f"{{:.2%}} {word}", one[measure], other[measure], more=more),
                _decibels(ours["network"], plain["network"], slack=_EQUAL),
            ),
            f"{stated[beside]}: {one[beside]:.2%}, without penalty {other[beside]:.2%}",
        )

    return contest


def against_noise(trial: Trial) -> Contest:
    found = trial.evaluation["generation"]
    return Contest("noise", _distances(found["network"], found["noise"]), _real(found))


def against_vae(trial: Trial) -> Contest:
    ours, theirs = (
        found["generation"] for found in (trial.evaluation, trial.evaluation_of("../vae-digits/config.toml"))
    )
    noise = ours["noise"]
    return Contest(
        "VAE",
        _distances(ours["network"], theirs["network"])[1:],
        f"to the nearest {ours['network']['nearest']:.2f}, VAE {theirs['network']['nearest']:.2f}; "
        f"noise: Fréchet {noise['frechet']:.2f}; {_real(ours)}",
    )


def _distances(network: Any, baseline: Any) -> tuple[Figure, Figure]:
    return (
        Figure("to the nearest {:.2f}", network["nearest"], baseline["nearest"], more=False),
        Figure("Fréchet {:.2f}", network["frechet"], baseline["frechet"], more=False),
    )


def _real(found: Any) -> str:
    return (
        f"held-out real digits: to the nearest {found['real']['nearest']:.2f}, Fréchet {found['real']['frechet']:.2f}"
    )


def against_scalar_quantization(trial: Trial) -> Contest:
    found = trial.evaluation["quantization"]
    return Contest(
        f"uniformly quantized PCA, {found['pca_bits']} bits",
        (_decibels(trial.evaluation["network"], found["pca"]),),
        f"{found['bits']:g} bits a digit, {found['codes_used']} codes in use, {found['pca_components']} components",
    )
