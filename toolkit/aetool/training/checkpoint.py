"""The checkpoint: a folder that holds a trained autoencoder and what is needed to export and verify it.

==================  ====================================================================================================
``encoder.keras``   Keras model, normalized sample [batch, …] → latent [batch, latent]; or mean and log-variance of
                    it; or integers (int32)
``decoder.keras``   Keras model, latent → normalized reconstruction
``config.toml``     the resolved configuration
``metrics.json``    loss curve, best epoch, sizes of the parts, evaluation on the test part beside baselines (raw units)
``held_out.npy``    float32 [n, *input_shape]: what the encoder takes for raw samples of the test part, evenly spread,
                    at most 256 and 4 MB; int32 for tokens
``calibration.npy`` the same of the training part: what ranges are measured on when the model is quantized
``checkpoint.json`` written last; see below
``coding.npy``      with [compression]: the same of the training part, at most 64 MB as float32: what entropy tables are
                    fitted on; whole numbers that are small are stored as such
``training/``       TensorBoard logs; while a run is not finished, its state (not part of the checkpoint)
==================  ====================================================================================================

``checkpoint.json`` is one object:

- ``format``: ``"aetool-checkpoint"``; ``version``: 1. A reader refuses a higher version.
- ``normalization``: ``offset`` and ``scale``, lists of one value, or one per channel (the last axis);
  normalized = (raw − offset) / scale.
- ``input``: ``minimum`` and ``maximum`` seen in training, raw units, one value per channel.
- ``parameters``: numbers of weights of ``encoder`` and ``decoder``.
- ``tokenizer``: of a model of text: the object that a bundle's manifest has (FORMAT.md); else absent.
- ``rate``: with [compression]: ``weight``, ``linear``, and lists of one value for each channel of the latent: ``step``,
  ``center``, ``location``, ``scale``, ``live``; see ``TrainedRate``. Else absent.
- ``files``: file name → sha256 (hex) of the files above.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aetool.config import Config, config_text, load_config
from aetool.models import import_custom, import_keras
from aetool.training.rate_facts import narrowed, parse_rate, rate_json
from aetool_exporters.rate import TrainedRate
from aetool_runtime.errors import DigestError, ModelError, TruncatedError, VersionError
from aetool_runtime.specs import Array, Normalization
from aetool_runtime.strict_json import Node
from aetool_runtime.text import Tokenizer, parse_tokenizer, tokenizer_json

if TYPE_CHECKING:
    import keras

__all__ = ["CONFIG", "Checkpoint", "is_checkpoint", "load_checkpoint", "write_checkpoint"]

CONFIG = "config.toml"
_ENCODER, _DECODER, _METRICS = "encoder.keras", "decoder.keras", "metrics.json"
_HELD_OUT, _CALIBRATION, _CODING = "held_out.npy", "calibration.npy", "coding.npy"
_FILES = (_ENCODER, _DECODER, CONFIG, _METRICS, _HELD_OUT, _CALIBRATION)
_INDEX = "checkpoint.json"
_FORMAT, _VERSION = "aetool-checkpoint", 1


@dataclass(frozen=True)
class Checkpoint:
    """A trained autoencoder.

    Args:
        encoder: normalized sample [batch, *input_shape] → latent [batch, …]; or mean and log-variance of it.
        decoder: latent → normalized reconstruction [batch, *sample_shape].
        config: resolved.
        normalization: between raw values and the models'.
        metrics: what ``metrics.json`` holds.
        held_out: float32 or int32 [n, *input_shape], what the encoder takes for raw samples of the test part.
        calibration: the same of the training part.
        minimum, maximum: seen in training, raw units, one value per channel (the last axis).
        tokenizer: how text becomes what the encoder takes; ``None`` where that is no text.
        rate: what training for rate learned about the latent; ``None`` without [compression].
    """

    encoder: keras.Model
    decoder: keras.Model
    config: Config
    normalization: Normalization
    metrics: Mapping[str, Any] = field(repr=False)
    held_out: Array = field(repr=False)
    calibration: Array = field(repr=False)
    minimum: tuple[float, ...] = field(repr=False)
    maximum: tuple[float, ...] = field(repr=False)
    tokenizer: Tokenizer | None = field(default=None, repr=False)
    rate: TrainedRate | None = field(default=None, repr=False)

    @property
    def parameters(self) -> dict[str, int]:
        """Numbers of weights."""
        return {"encoder": int(self.encoder.count_params()), "decoder": int(self.decoder.count_params())}


def is_checkpoint(path: Path) -> bool:
    """Whether a finished checkpoint stands there; looks at one small file only."""
    try:
        return bool(_read_index(path)["format"] == _FORMAT)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write into an empty folder, the index last. The caller puts the folder in its place in one step."""
    checkpoint.encoder.save(folder / _ENCODER)
    checkpoint.decoder.save(folder / _DECODER)
    (folder / CONFIG).write_text(config_text(checkpoint.config), encoding="utf-8")
    (folder / _METRICS).write_text(_json(checkpoint.metrics), encoding="utf-8")
    np.save(folder / _HELD_OUT, checkpoint.held_out)
    np.save(folder / _CALIBRATION, checkpoint.calibration)
    index: dict[str, Any] = {
        "format": _FORMAT,
        "version": _VERSION,
        "normalization": {"offset": checkpoint.normalization.offset, "scale": checkpoint.normalization.scale},
        "input": {"minimum": checkpoint.minimum, "maximum": checkpoint.maximum},
        "parameters": checkpoint.parameters,
        "files": {name: _sha256(folder / name) for name in _FILES},
    }
    if checkpoint.rate is not None:
        index["rate"] = rate_json(checkpoint.rate)
        np.save(folder / _CODING, narrowed(checkpoint.rate.samples))
        index["files"][_CODING] = _sha256(folder / _CODING)
    if checkpoint.tokenizer is not None:
        index["tokenizer"] = tokenizer_json(checkpoint.tokenizer)
    (folder / _INDEX).write_text(_json(index), encoding="utf-8")


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; nothing in it is run as code. (A family ``custom`` has code outside it, which is imported.)

    Raises:
        InputError: the code that a family ``custom`` names cannot be imported.
        ModelError: it is none, or a run that is not finished (the hint resumes it).
        VersionError: written by a newer aetool.
        DigestError, TruncatedError: a file is not the one that was written, or missing.
        DependencyError: Keras or TensorFlow is not installed.
    """
    index = _index(path)
    for name in _files(index):
        _check_digest(path / name, index["files"][name])
    config = load_config(path / CONFIG)
    import_custom(config.model)  # its layers are registered there
    normalization, seen = index["normalization"], index["input"]
    return Checkpoint(
        encoder=_load_keras(path / _ENCODER),
        decoder=_load_keras(path / _DECODER),
        config=config,
        normalization=Normalization(tuple(normalization["offset"]), tuple(normalization["scale"])),
        metrics=json.loads((path / _METRICS).read_text("utf-8")),
        held_out=np.load(path / _HELD_OUT, allow_pickle=False),
        calibration=np.load(path / _CALIBRATION, allow_pickle=False),
        minimum=tuple(seen["minimum"]),
        maximum=tuple(seen["maximum"]),
        tokenizer=parse_tokenizer(Node(index, str(path / _INDEX)).get("tokenizer")),
        rate=parse_rate(index["rate"], np.load(path / _CODING, allow_pickle=False)) if "rate" in index else None,
    )


def _index(path: Path) -> dict[str, Any]:
    try:
        index: dict[str, Any] = _read_index(path)
        if index["format"] != _FORMAT:
            raise ValueError(f"format {index['format']!r}")
        if index["version"] > _VERSION:
            raise VersionError(
                f"is a checkpoint of version {index['version']}",
                where=str(path),
                expected=f"at most {_VERSION}",
                hint="update aetool",
            )
        if not {"normalization", "input"} <= index.keys() or set(index["files"]) != set(_files(index)):
            raise ValueError("members are missing")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_checkpoint(path) from error
    return index


def _files(index: Mapping[str, Any]) -> tuple[str, ...]:
    return (*_FILES, _CODING) if "rate" in index else _FILES


def _no_checkpoint(path: Path) -> ModelError:
    if (path / "training").is_dir():
        return ModelError(
            "the training of this model is not finished",
            where=str(path),
            hint=f"go on with: aetool train --resume DATA -o {shlex.quote(str(path))}",
        )
    return ModelError(
        "is not a checkpoint", where=str(path), expected=f"a folder written by aetool train, with a whole {_INDEX}"
    )


def _read_index(path: Path) -> Any:
    return json.loads((path / _INDEX).read_text("utf-8"))


def _check_digest(file: Path, expected: str) -> None:
    if not file.is_file():
        raise TruncatedError("the file is missing", where=str(file))
    if _sha256(file) != expected:
        raise DigestError("the file is not the one that was written", where=str(file), expected=f"sha256 {expected}")


def _load_keras(path: Path) -> Any:
    keras = import_keras()
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ModelError(f"Keras cannot read the model ({error})", where=str(path)) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
