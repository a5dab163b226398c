"""A checkpoint's evaluation as tables: the network's row first, then those that it is held against."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from aetool.cli.output import table

__all__ = ["evaluation_text"]

Figures: TypeAlias = Mapping[str, Any]


def evaluation_text(evaluation: Figures, *, penalized: bool = False) -> str:
    """All tables that the evaluation has figures for, each under a line that says what it shows.

    Args:
        evaluation: ``metrics["evaluation"]`` of a checkpoint.
        penalized: whether the model was trained with a penalty on its latent, which the table of activity is about.
    """
    shown = [name for name in _SECTIONS if name in evaluation and (penalized or name != "activity")]
    parts = []
    for name in shown:
        heading, tell = _SECTIONS[name]
        parts.append(f"\n{heading}:\n\n{tell(evaluation)}")
    return "\n".join([*parts, *(f"\n{verdict}" for verdict in _verdicts(evaluation))])


def _quality(evaluation: Figures) -> str:
    rows = [
        _quality_row(title, evaluation[name])
        for name, title in (("network", "network"), ("pca", "PCA"))
        if name in evaluation
    ]
    return table(("", "MSE", "PSNR dB", "worst channel's MSE", "channel"), rows)


def _quality_row(name: str, quality: Figures) -> tuple[str, ...]:
    channels = quality["mse_per_channel"]
    worst = max(range(len(channels)), key=channels.__getitem__)
    return name, _figure(quality["mse"]), _decibels(quality["psnr"]), _figure(channels[worst]), str(worst)


def _denoising(evaluation: Figures) -> str:
    found = evaluation["denoising"]
    rows = {
        "network": "network",
        "corrupted": "as they are",
        "median": f"median filter, {found['median_size']} wide",
        "wiener": f"Wiener filter, {found['wiener_size']} wide",
        "pca": "PCA",
    }
    return table(("", "PSNR dB"), [(title, _decibels(found[name])) for name, title in rows.items()])


def _super_resolution(evaluation: Figures) -> str:
    found = evaluation["super_resolution"]
    rows = [(name, _decibels(found[name]["psnr"]), f"{found[name]['ssim']:.4f}") for name in ("network", "bicubic")]
    return table(("", "PSNR dB", "SSIM"), rows)


def _activity(evaluation: Figures) -> str:
    found = evaluation["activity"]
    rows = [
        (title, f"{found[name]['inactive']:.1%}", f"{found[name]['moved']:.2%}")
        for name, title in (("network", "network"), ("pca", "PCA"))
    ]
    return table(("", "values near 0", "moved by noise"), rows)


def _quantization(evaluation: Figures) -> str:
    found, network = evaluation["quantization"], evaluation["network"]
    rows = [
        ("network", f"{found['bits']:g}", _figure(network["mse"]), _decibels(network["psnr"])),
        ("quantized PCA", str(found["pca_bits"]), _figure(found["pca"]["mse"]), _decibels(found["pca"]["psnr"])),
    ]
    return table(("", "bits", "MSE", "PSNR dB"), rows)


def _generation(evaluation: Figures) -> str:
    found = evaluation["generation"]
    rows = [
        (title, _figure(found[name]["nearest"]), _figure(found[name]["frechet"]))
        for name, title in (("network", "network"), ("real", "real, held out"), ("noise", "noise"))
    ]
    return table(("", "to the nearest", "Fréchet"), rows)


def _compression(evaluation: Figures) -> str:
    found = evaluation["compression"]
    live = f"{found['live']} of {found['channels']}"
    row = ("network, rounded", f"{found['bits']:.4f}", _figure(found["mse"]), _decibels(found["psnr"]), live)
    return table(("", "bits a value", "MSE", "PSNR dB", "channels in use"), [row])


def _text(evaluation: Figures) -> str:
    found = evaluation["text"]
    rows = [
        ("network", f"{found['network']:.3f}", f"{found['right']:.1%}", f"{found['exact']:.1%}"),
        ("unigram", f"{found['unigram']:.3f}", "-", "-"),
    ]
    return table(("", "bits per character", "tokens right", "texts right"), rows)


_SECTIONS: dict[str, tuple[str, Callable[[Figures], str]]] = {
    "network": ("reconstructions", _quality),
    "denoising": ("corrupted samples", _denoising),
    "super_resolution": ("small images, enlarged", _super_resolution),
    "activity": ("the latent", _activity),
    "quantization": ("at equal bits", _quantization),
    "generation": ("samples decoded from draws; distances to the training part", _generation),
    "compression": ("compression", _compression),
    "text": ("texts", _text),
}


def _verdicts(evaluation: Figures) -> Iterator[str]:
    """Where the network loses, said in a sentence."""
    for method, network, other in _contests(evaluation):
        if network >= other:
            yield f"{method} as well: the network does not earn its keep on these data yet"


def _contests(evaluation: Figures) -> Iterator[tuple[str, float, float]]:
    """(what the other method does, the network's figure, the other's); less is better."""
    network = evaluation.get("network", {}).get("mse")
    if found := evaluation.get("pca"):
        yield "PCA with as many values does", network, found["mse"]
    if found := evaluation.get("denoising"):
        for method in ("median", "Wiener"):
            yield f"the {method} filter does", _error(found["network"]), _error(found[method.lower()])
    if found := evaluation.get("super_resolution"):
        yield "bicubic interpolation does", _error(found["network"]["psnr"]), _error(found["bicubic"]["psnr"])
    if found := evaluation.get("quantization"):
        yield "quantized PCA with as many bits does", network, found["pca"]["mse"]
    if found := evaluation.get("text"):
        yield "the frequencies of tokens do", found["network"], found["unigram"]


def _error(decibels: float | None) -> float:
    """What grows with the error; no error at all has no PSNR."""
    return -math.inf if decibels is None else -decibels


def _figure(value: float) -> str:
    return f"{value:.5g}"


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
