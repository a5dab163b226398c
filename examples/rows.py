"""The table of examples: one row for each folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import contests
import panels
from contests import ContestOf
from panels import PanelsOf

__all__ = ["ROWS", "Row"]

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"  # data that may lie beside the checkout
_DIGITS, _DIGITS32, _PHOTOS, _ECG, _TEXT = (
    f"builtin:{name}" for name in ("digits", "digits32", "photos", "ecg", "text")
)


@dataclass(frozen=True)
class Row:
    """One example.

    Args:
        name: of its folder.
        family: what it shows.
        data: what it is trained on.
        contest: measures it.
        panels: its picture.
        others: configurations that are trained beside ``config.toml``, for comparison.
    """

    name: str
    family: str
    data: str
    contest: ContestOf
    panels: PanelsOf
    others: tuple[str, ...] = ()

    @property
    def missing(self) -> str:
        """Why it cannot run here, or nothing."""
        file = Path(self.data.removesuffix(":train"))
        return "" if self.data.startswith("builtin:") or file.is_file() else f"there is no {file.name} here"

    @property
    def data_name(self) -> str:
        """As commands are told it, without the place where it lies."""
        return self.data if self.data.startswith("builtin:") else Path(self.data).name


ROWS = (
    Row(
        "dense-digits",
        "dense",
        _DIGITS,
        contests.against_pca_and_tutorial,
        panels.reconstructions,
        ("tutorial.toml",),
    ),
    Row("conv2d-digits", "convolutional 2-D", _DIGITS32, contests.against_dense, panels.beside_dense, ("dense.toml",)),
    Row("conv2d-photos", "convolutional 2-D", _PHOTOS, contests.against_dense, panels.beside_dense, ("dense.toml",)),
    Row("conv1d-ecg", "convolutional 1-D", _ECG, contests.against_pca, panels.reconstructions),
    Row("lstm-ecg", "recurrent, LSTM", _ECG, contests.against_last_value(2), panels.reconstructions),
    Row("gru-ecg", "recurrent, GRU", _ECG, contests.against_last_value(2), panels.reconstructions),
    Row("bidirectional-ecg", "recurrent, bidirectional", _ECG, contests.against_last_value(2), panels.reconstructions),
    Row(
        "lstm-ecg5000",
        "recurrent, LSTM",
        str(_BESIDE / "ecg5000" / "ECG5000_TRAIN.txt"),
        contests.against_last_value(1),
        panels.reconstructions,
    ),
    Row(
        "gru-hapt",
        "recurrent, GRU",
        f"{_BESIDE / 'hapt' / 'hapt_int16.npz'}:train",
        contests.against_last_value(6),
        panels.errors,
    ),
    Row("text", "text", _TEXT, contests.against_unigram, panels.texts),
    Row("denoise-digits", "denoising, Gaussian", _DIGITS, contests.against_filters, panels.denoised),
    Row("unmask-digits", "denoising, masking", _DIGITS, contests.against_filters, panels.denoised),
    Row("despeckle-digits", "denoising, salt and pepper", _DIGITS, contests.against_filters, panels.denoised),
    Row("denoise-ecg", "denoising, Gaussian", _ECG, contests.against_filters, panels.denoised),
    Row("superres-photos", "2× super-resolution", _PHOTOS, contests.against_bicubic, panels.enlarged),
    Row(
        "sparse-digits",
        "sparse, L1",
        _DIGITS,
        contests.against_plain("inactive", "inactive", more=True),
        panels.activity,
        ("plain.toml",),
    ),
    Row(
        "sparse-kl-digits",
        "sparse, KL",
        _DIGITS,
        contests.against_plain("inactive", "inactive", more=True),
        panels.activity,
        ("plain.toml",),
    ),
    Row(
        "contractive-digits",
        "contractive",
        _DIGITS,
        contests.against_plain("moved", "moved by noise", more=False),
        panels.activity,
        ("plain.toml",),
    ),
    Row("vae-digits", "variational", _DIGITS, contests.against_noise, panels.generated),
    Row(
        "aae-digits",
        "adversarial",
        _DIGITS,
        contests.against_vae,
        panels.generated,
        ("../vae-digits/config.toml",),
    ),
    Row(
        "vqvae-digits",
        "vector-quantized",
        _DIGITS,
        contests.against_scalar_quantization,
        panels.reconstructions,
    ),
    Row("custom", "a model of one's own", _DIGITS, contests.against_pca, panels.reconstructions),
)
