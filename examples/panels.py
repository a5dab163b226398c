"""Pictures of examples, made from what the runtime computes with the exported bundle."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray
from PIL import Image
from trial import Trial

from aetool.config import CorruptionConfig
from aetool_runtime import Autoencoder

__all__ = ["Panel", "PanelsOf", "draw"]

_WIDTH, _DPI = 7.0, 100  # inches, pixels per inch
_COLOURS = 64  # keeps files small
_GAP = 2  # pixels between images


@dataclass(frozen=True)
class Images:
    """A row of images [n, height, width] or [n, height, width, 3], values 0 to 255."""

    label: str
    images: NDArray[Any]
    height: float = 0.7  # inches

    def draw(self, axes: Any) -> None:
        shades = np.clip(self.images / 255, 0, 1)
        gap = [(0, 0), (0, 0), (0, _GAP), *[(0, 0)] * (shades.ndim - 3)]
        strip = np.concatenate(list(np.pad(shades, gap, constant_values=1)), axis=1)
        axes.imshow(strip, cmap="gray", vmin=0, vmax=1, aspect="equal", interpolation="nearest")
        axes.set_axis_off()


@dataclass(frozen=True)
class Windows:
    """Windows [n, time, channels] one after the other: the true ones thick and pale, the others thin."""

    label: str
    true: NDArray[Any]
    other: NDArray[Any]
    height: float = 1.3

    def draw(self, axes: Any) -> None:
        for values, style in ((self.true, {"linewidth": 2.6, "alpha": 0.35}), (self.other, {"linewidth": 0.9})):
            apart = np.pad(values.astype(np.float64), ((0, 0), (0, 6), (0, 0)), constant_values=np.nan)
            for channel, line in enumerate(apart.reshape(-1, apart.shape[-1]).T):
                axes.plot(line, color=f"C{channel}", **style)
        axes.tick_params(labelsize=7)
        axes.margins(x=0.01)


@dataclass(frozen=True)
class Shades:
    """A matrix, dark where it is large."""

    label: str
    matrix: NDArray[Any]
    height: float = 1.3

    def draw(self, axes: Any) -> None:
        axes.imshow(self.matrix, cmap="gray_r", vmin=0, aspect="auto", interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])


@dataclass(frozen=True)
class Bars:
    """A figure for each of a few things."""

    label: str
    names: Sequence[str]
    values: Sequence[float]
    height: float = 1.6

    def draw(self, axes: Any) -> None:
        axes.bar(self.names, self.values, color="C0")
        axes.tick_params(labelsize=7)


@dataclass(frozen=True)
class Lines:
    """Lines of text."""

    label: str
    lines: Sequence[str]

    @property
    def height(self) -> float:
        return 0.16 * len(self.lines)

    def draw(self, axes: Any) -> None:
        axes.text(0, 1, "\n".join(self.lines), family="monospace", fontsize=8, va="top", parse_math=False)
        axes.set_axis_off()


Panel: TypeAlias = Images | Windows | Shades | Bars | Lines
PanelsOf: TypeAlias = Callable[[Trial], list[Panel]]


def draw(panels: Sequence[Panel], output: Path) -> None:
    """Write a PNG, a band for each panel with its label above."""
    heights = [panel.height + 0.25 for panel in panels]
    with matplotlib.rc_context({"figure.constrained_layout.h_pad": 0.02}):
        canvas = Canvas(figsize=(_WIDTH, sum(heights)), layout="constrained")
        bands = canvas.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
        for axes, panel in zip(bands[:, 0], panels, strict=True):
            axes.set_title(panel.label, fontsize=9, loc="left")
            panel.draw(axes)
        drawn = io.BytesIO()
        canvas.savefig(drawn, format="png", dpi=_DPI)
    Image.open(drawn).convert("RGB").quantize(_COLOURS).save(output, format="png", optimize=True)


def reconstructions(trial: Trial) -> list[Panel]:
    """Originals, and what came back."""
    return _pair(trial, "back from the bundle", _restored(trial))


def beside_dense(trial: Trial) -> list[Panel]:
    """The same, and what the dense model makes of them."""
    dense = trial.others["dense.toml"]
    given = dense.normalization.apply(trial.shown(_count(trial)))
    other = dense.normalization.invert(np.asarray(dense.decoder(dense.encoder(given))))
    return [*reconstructions(trial), Images("back from the dense model", _pixels(other.reshape(given.shape)))]


def denoised(trial: Trial) -> list[Panel]:
    """What the encoder was given, what came back, what is true."""
    clean, normalization = trial.shown(_count(trial)), trial.prepared.normalization
    noisy = normalization.invert(_corrupted(normalization.apply(clean), trial.config.corruption))
    with Autoencoder.open(trial.bundle) as model:
        restored = model.reconstruct(noisy)
    if clean.ndim == 3:
        return [
            Windows("given (thin) and true (thick)", clean, noisy),
            Windows("back from the bundle (thin) and true (thick)", clean, restored),
        ]
    labels = {"given": noisy, "back from the bundle": restored, "true": clean}
    return [Images(label, _pixels(images)) for label, images in labels.items()]


def enlarged(trial: Trial) -> list[Panel]:
    """Small images, what becomes of them, what is true."""
    large = trial.shown(_count(trial))
    n, height, width, channels = large.shape
    small = large.reshape(n, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4), dtype=np.float32)
    with Autoencoder.open(trial.bundle) as model:
        restored = model.reconstruct(small)
    repeated = small.repeat(2, axis=1).repeat(2, axis=2)
    labels = {"given (half the height and width)": repeated, "from the bundle": restored, "true": large}
    return [Images(label, _pixels(images)) for label, images in labels.items()]


def activity(trial: Trial) -> list[Panel]:
    """Reconstructions, and the latents of as many samples with and without the penalty."""
    samples = trial.shown(24)
    plain = trial.others["plain.toml"]
    without = np.asarray(plain.encoder(plain.normalization.apply(samples)))
    with Autoencoder.open(trial.bundle) as model:
        latents = model.encode(samples)
    return [
        *reconstructions(trial),
        Shades("latents of 24 digits (a row each), with the penalty", np.abs(latents)),
        Shades("without", np.abs(without)),
    ]


def generated(trial: Trial) -> list[Panel]:
    """Draws from the prior, decoded, below real samples."""
    count = 2 * _count(trial)
    draws = np.random.default_rng(0)
    with Autoencoder.open(trial.bundle) as model:
        latent = model.tensor("latent").sample_shape
        made = model.decode(draws.standard_normal((count, *(size or 0 for size in latent))).astype(np.float32))
    first, second = np.split(_pixels(made), 2)
    return [
        Images("real", _pixels(trial.shown(count // 2))),
        Images("decoded from draws of a standard normal distribution", first),
        Images("more of them", second),
    ]


def texts(trial: Trial) -> list[Panel]:
    """Lines, and what came back."""
    tokenizer, tokens = trial.prepared.tokenizer, trial.shown(6)
    assert tokenizer is not None
    with Autoencoder.open(trial.bundle) as model:
        back = tokenizer.decode(model.reconstruct(tokens).argmax(axis=-1).astype(np.int32))
    pairs = zip(tokenizer.decode(tokens), back, strict=True)
    lines = [line for true, other in pairs for line in (f"true  {true}", f"back  {other}", "")]
    return [Lines("lines of the test part, and what came back from the bundle", lines[:-1])]


def errors(trial: Trial) -> list[Panel]:
    """For data that may not be shown: how far the reconstruction is from the truth, channel by channel."""
    windows = trial.shown(256).astype(np.float64)
    with Autoencoder.open(trial.bundle) as model:
        restored = model.reconstruct(windows.astype(np.float32))
    axes = tuple(range(windows.ndim - 1))
    share = np.square(restored - windows).mean(axis=axes) / windows.var(axis=axes)
    names = [f"channel {number}" for number in range(len(share))]
    return [Bars("mean squared error as a share of each channel's variance", names, share.tolist())]


def _corrupted(samples: NDArray[np.float32], corruption: CorruptionConfig) -> NDArray[np.float32]:
    """Normalized samples as training corrupts them."""
    draws = np.random.default_rng(0)
    if corruption.kind == "gaussian":
        return (samples + draws.normal(0, corruption.amount, samples.shape)).astype(np.float32)
    hit = draws.random(samples.shape) < corruption.amount
    specks = np.where(draws.random(samples.shape) < 0.5, samples.min(), samples.max())
    return np.where(hit, 0 if corruption.kind == "masking" else specks, samples).astype(np.float32)


def _restored(trial: Trial) -> NDArray[Any]:
    with Autoencoder.open(trial.bundle) as model:
        return np.asarray(model.decode(model.encode(trial.shown(_count(trial)))))


def _pair(trial: Trial, label: str, restored: NDArray[Any]) -> list[Panel]:
    true = trial.shown(_count(trial))
    if true.ndim == 3:
        return [Windows(f"{label} (thin), original (thick)", true, restored)]
    return [Images("original", _pixels(true)), Images(label, _pixels(restored))]


def _count(trial: Trial) -> int:
    return 4 if len(trial.prepared.sample_shape) == 2 else 10


def _pixels(images: NDArray[Any]) -> NDArray[Any]:
    """[n, height, width] of flat squares or single channels; colours stay."""
    side = round(images[0].size ** 0.5)
    return images if images.shape[-1] == 3 else images.reshape(len(images), side, side)
