"""What ``export`` and ``verify --against`` take as MODEL: a checkpoint folder, or a Keras file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aetool.data import Report, Source, open_source, read_samples
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array

if TYPE_CHECKING:
    from aetool.training.checkpoint import Checkpoint
    from aetool_exporters.cases import Samples
    from aetool_exporters.reference import Reference

__all__ = ["Model", "load_model", "model_of", "open_for", "read_for"]

_VERIFY_SAMPLES = 256
_PRIORS = {"variational": "standard_normal", "adversarial": "standard_normal"}  # what training pulls latents towards


@dataclass(frozen=True)
class Model:
    """A model as the exporters take it.

    Args:
        name: for the manifest; does not depend on where the model lies.
        reference: its encoder, decoder and normalization.
        samples: the held-out samples of a checkpoint; ``None`` for a Keras file.
        calibration: raw samples of a checkpoint's training part; ``None`` for a Keras file.
        notice: what the user should know about how it was read, or nothing.
    """

    name: str
    reference: Reference
    samples: Samples | None
    notice: str = ""
    calibration: Array | None = None


def load_model(path: Path, *, latent: str | None = None) -> Model:
    """Read a checkpoint folder, or an autoencoder in one Keras file, which is split at its latent.

    Args:
        latent: the layer whose output is the latent; ``None`` finds it. For Keras files only.

    Raises:
        InputError: nothing is there.
        ModelError: it cannot be read or split.
        UsageError: ``latent`` was given for a checkpoint.
    """
    from aetool.training.checkpoint import is_checkpoint

    if not path.exists():
        raise InputError(
            "there is no such model",
            where=str(path),
            expected="a checkpoint folder of `aetool train`, or a .keras file",
            hint=f"train one: aetool train --preset dense builtin:digits -o {path}",
        )
    if path.is_dir() or is_checkpoint(path):
        if latent is not None:
            raise UsageError("a checkpoint knows its latent", hint="leave --latent out")
        return _from_checkpoint(path)
    return _from_keras_file(path, latent)


def _from_checkpoint(path: Path) -> Model:
    from aetool.training.checkpoint import load_checkpoint

    return model_of(load_checkpoint(path))


def model_of(checkpoint: Checkpoint) -> Model:
    """A trained checkpoint as the exporters take it."""
    from aetool_exporters.cases import Samples
    from aetool_exporters.reference import Reference

    reference = Reference(
        checkpoint.encoder,
        checkpoint.decoder,
        checkpoint.normalization,
        latent_prior=_PRIORS.get(checkpoint.config.latent.kind, ""),
        tokenizer=checkpoint.tokenizer,
    )
    samples = Samples(checkpoint.held_out, checkpoint.minimum, checkpoint.maximum)
    return Model(checkpoint.config.model.family, reference, samples, calibration=checkpoint.calibration)


def _from_keras_file(path: Path, latent: str | None) -> Model:
    from aetool_exporters.foreign.keras_file import load_keras
    from aetool_exporters.foreign.split import split_autoencoder
    from aetool_exporters.reference import Reference
    from aetool_runtime.specs import Normalization

    encoder, decoder, layer = split_autoencoder(load_keras(path), latent)
    notice = "" if latent else f"the latent is the output of layer {layer!r}; choose another with --latent LAYER"
    return Model(path.stem, Reference(encoder, decoder, Normalization()), None, notice)


def read_for(reference: Reference, data: str, report: Report) -> Array:
    """At most 256 samples of ``data`` as a model takes them, [n, …] in raw units, to verify with.

    Raises:
        InputError: the data cannot be read, or do not fit.
    """
    source, shape = open_for(reference, data)
    return read_samples(source, shape, limit=_VERIFY_SAMPLES, report=report)


def open_for(reference: Reference, data: str) -> tuple[Source, tuple[int, ...]]:
    """A source, and the shape of the samples that a model takes from it: free dimensions as large as the rows are.

    Raises:
        InputError: the data cannot be opened, or their rows are no samples.
    """
    source = open_source(data, tokenizer=reference.tokenizer)
    wanted = reference.given.sample_shape
    row = tuple(size or 0 for size in source.shape[1:])
    if None in wanted and len(row) == len(wanted) - 1:
        row = (*row, 1)
    if None in wanted and len(row) != len(wanted):
        raise InputError(f"rows of shape {list(row)} are no samples", where=data, expected=str(reference.given))
    shape = (
        [there if size is None else size for size, there in zip(wanted, row, strict=True)] if None in wanted else wanted
    )
    return source, tuple(size or 0 for size in shape)
