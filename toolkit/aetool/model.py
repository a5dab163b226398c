"""What ``export`` and ``verify --against`` take as MODEL: a checkpoint, a Keras file or a SavedModel folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aetool.data import Report, Source, image_size_of, open_source, read_samples
from aetool.model_request import ModelRequest
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array

if TYPE_CHECKING:
    from aetool.training.checkpoint import Checkpoint
    from aetool_exporters.cases import Samples
    from aetool_exporters.reference import Reference

__all__ = ["Model", "load_model", "load_request", "model_of", "open_for", "read_for"]

_SAVED_MODEL = "saved_model.pb"
_TYPICAL = 64
_VERIFY_SAMPLES = 256
_PRIORS = {"variational": "standard_normal", "adversarial": "standard_normal"}  # what training pulls latents towards


@dataclass(frozen=True)
class Model:
    """A model as the exporters take it.

    Args:
        name: for the manifest; does not depend on where the model lies.
        reference: its encoder, decoder and normalization.
        samples: the held-out samples of a checkpoint; ``None`` for a Keras file, or made-up ones where it leaves sizes
            free.
        calibration: raw samples of a checkpoint's training part; ``None`` for a Keras file.
        notice: what the user should know about how it was read, or nothing.
    """

    name: str
    reference: Reference
    samples: Samples | None
    notice: str = ""
    calibration: Array | None = None


def load_model(path: Path, *, latent: str | None = None) -> Model:
    """Read one MODEL; see ``load_request``."""
    return load_request(ModelRequest(path, latent))


def load_request(request: ModelRequest) -> Model:
    """Read a checkpoint, or a model from elsewhere: an autoencoder, which is split at its latent, or its halves.

    Raises:
        InputError: nothing is there, or the user's own code cannot be imported.
        ModelError: it cannot be read or split; its halves do not fit each other.
        UsageError: something was asked of a checkpoint that it knows itself.
    """
    from aetool.training.checkpoint import is_checkpoint

    request.check()
    for path in (request.path, request.encoder, request.decoder):
        if path is not None and not path.exists():
            raise InputError(
                "there is no such model",
                where=str(path),
                expected="a checkpoint folder of `aetool train`, a .keras or .h5 file, or a SavedModel folder",
                hint=f"train one: aetool train --preset dense builtin:digits -o {path}",
            )
    path = request.path
    if path is None or not (is_checkpoint(path) or (path.is_dir() and not (path / _SAVED_MODEL).exists())):
        return _from_elsewhere(request)
    if not request.is_plain:
        raise UsageError("a checkpoint knows its latent, its halves and its layers", hint="leave the options out")
    return _from_checkpoint(path)


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
        rate=checkpoint.rate,
    )
    samples = Samples(checkpoint.held_out, checkpoint.minimum, checkpoint.maximum)
    return Model(checkpoint.config.model.family, reference, samples, calibration=checkpoint.calibration)


def _from_elsewhere(request: ModelRequest) -> Model:
    from aetool_exporters.foreign.opening import open_halves, open_model
    from aetool_exporters.reference import Reference
    from aetool_runtime.specs import Normalization

    surgery = request.surgery()
    if request.path is None:
        halves = open_halves(request.encoder, request.decoder, surgery)
    else:
        halves = open_model(request.path, latent=request.latent, encoder_only=request.encoder_only, surgery=surgery)
    reference = Reference(halves.encoder, halves.decoder, Normalization())
    samples, notices = _of_typical_size(reference)
    return Model(request.stem, reference, samples, "\n".join([*halves.notices, *notices]))


def _of_typical_size(reference: Reference) -> tuple[Samples | None, list[str]]:
    """Made-up samples for a model of free dimensions, whose sizes no file tells."""
    from aetool_exporters.cases import synthetic_samples

    spec = reference.given
    if None not in spec.sample_shape:
        return None, []
    sizes = [size or _TYPICAL for size in spec.sample_shape]
    told = f"free dimensions are tried at {_TYPICAL}, {sizes}, which TFLite keeps; other sizes: --data FILE"
    return synthetic_samples(replace(spec, shape=(None, *sizes))), [told]


def read_for(reference: Reference, data: str, report: Report, label: str = "") -> Array:
    """At most 256 samples of ``data`` as a model takes them, [n, …] in raw units, to verify with.

    Args:
        label: a column of a table that is left out.

    Raises:
        InputError: the data cannot be read, or do not fit.
    """
    source, shape = open_for(reference, data, label)
    return read_samples(source, shape, limit=_VERIFY_SAMPLES, report=report)


def open_for(reference: Reference, data: str, label: str = "") -> tuple[Source, tuple[int, ...]]:
    """A source, and the shape of the samples that a model takes from it: free dimensions as large as the rows are.

    Args:
        label: a column of a table that is left out.

    Raises:
        InputError: the data cannot be opened, or their rows are no samples.
    """
    wanted = reference.given.sample_shape
    source = open_source(data, image_size=image_size_of(wanted), tokenizer=reference.tokenizer, label=label)
    row = tuple(size or 0 for size in source.shape[1:])
    if None in wanted and len(row) == len(wanted) - 1:
        row = (*row, 1)
    if None in wanted and len(row) != len(wanted):
        raise InputError(f"rows of shape {list(row)} are no samples", where=data, expected=str(reference.given))
    shape = (
        [there if size is None else size for size, there in zip(wanted, row, strict=True)] if None in wanted else wanted
    )
    return source, tuple(size or 0 for size in shape)
