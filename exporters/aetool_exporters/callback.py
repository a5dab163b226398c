"""A Keras callback: the best epoch so far stands there as a verified bundle, at any time."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from aetool_exporters.cases import Samples
from aetool_exporters.pipeline import ExportOptions, check_output, export
from aetool_runtime.atomic import replacing_folder
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.errors import AetoolError, UsageError
from aetool_runtime.specs import Array, Normalization

__all__ = ["ExportBest", "ExportedEpoch"]

_MODES = {"min": -1.0, "max": 1.0}
_AFTER_FAILURE = ("continue", "stop", "raise")


@dataclass(frozen=True)
class ExportedEpoch:
    """What one epoch left.

    Args:
        epoch: counted from 1.
        value: what was monitored.
        path: the bundle; of a failure, where it would be.
        digest: the bundle's; "" of a failure.
        error: why there is none; ``None`` where there is one.
    """

    epoch: int
    value: float
    path: Path
    digest: str = ""
    error: AetoolError | None = None


class ExportBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Export and verify at the end of each epoch that is better than all exported before.

        autoencoder.fit(x, x, validation_data=(v, v), callbacks=[ExportBest(encoder, decoder, "best.aepkg", samples=v)])

    Until a bundle has passed all its checks, the last one stays as it is. An epoch whose export fails does not count:
    the next one that is better than the last exported is tried again.

    Args:
        encoder, decoder, name, normalization: see ``aetool_exporters.export``; the models that are being trained.
        path: the bundle. May hold ``{epoch}`` and names of what ``fit`` logs, such as ``best-{epoch:03d}``.
        samples: raw held-out samples to verify with; ``None`` for synthetic ones, a weaker proof.
        monitor: what ``fit`` logs, such as ``val_loss``.
        mode: ``min`` or ``max``: which values are better.
        on_failure: of an export: ``continue`` training, ``stop`` it after this epoch, or ``raise`` the error.
        options: formats, precisions and so on; ``overwrite`` is taken for granted.

    Attributes:
        exported: the epochs that were exported, the best one last.
        failures: those that should have been.
    """

    def __init__(
        self,
        encoder: keras.Model | None,
        decoder: keras.Model | None,
        path: str | Path,
        *,
        name: str = "autoencoder",
        normalization: Normalization | None = None,
        samples: Samples | Array | None = None,
        monitor: str = "val_loss",
        mode: str = "min",
        on_failure: str = "continue",
        options: ExportOptions | None = None,
    ) -> None:
        super().__init__()
        for kind, given, known in (("mode", mode, _MODES), ("on_failure", on_failure, _AFTER_FAILURE)):
            if given not in known:
                raise UsageError(f"{kind} is {given!r}", expected="one of " + ", ".join(known))
        self._models = (encoder, decoder)
        self._path, self._monitor, self._mode, self._on_failure = str(path), monitor, mode, on_failure
        self._options = replace(options or ExportOptions(), overwrite=True)
        self._facts: dict[str, Any] = {
            "name": name,
            "normalization": normalization,
            "samples": samples if isinstance(samples, Samples) or samples is None else Samples.of(samples),
        }
        self.exported: list[ExportedEpoch] = []
        self.failures: list[ExportedEpoch] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Export, if this epoch is the best.

        Raises:
            UsageError: ``monitor`` or ``path`` names what ``fit`` does not log.
            AetoolError: the export failed, and ``on_failure`` is ``raise``.
        """
        met = dict(logs or {})
        if self._monitor not in met:
            raise UsageError(f"fit logs no {self._monitor!r}", expected="one of " + ", ".join(met), hint="set monitor")
        value = float(met[self._monitor])
        if not self._is_better(value):
            return
        target = self._target(epoch + 1, met)
        try:
            bundle = self._export(target)
        except AetoolError as error:
            self._fail(ExportedEpoch(epoch + 1, value, target, error=error), error)
        else:
            self.exported.append(ExportedEpoch(epoch + 1, value, target, bundle.digest))

    def _is_better(self, value: float) -> bool:
        """NaN never is."""
        sign = _MODES[self._mode]
        return value == value and (not self.exported or sign * value > sign * self.exported[-1].value)

    def _target(self, epoch: int, logs: Mapping[str, Any]) -> Path:
        try:
            return Path(self._path.format(**{**logs, "epoch": epoch}))
        except (KeyError, IndexError, ValueError) as error:
            raise UsageError(
                f"the path {self._path!r} cannot be filled in ({type(error).__name__}: {error})",
                expected="{epoch} and " + ", ".join(f"{{{name}}}" for name in logs),
            ) from error

    def _export(self, target: Path) -> Bundle:
        """In a hidden room beside the target, so that what failed leaves nothing."""
        check_output(target, overwrite=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".aetool-", dir=target.parent) as room:
            made = export(*self._models, Path(room) / "trial.aepkg", options=self._options, **self._facts)
            if made.path.is_file():
                made.path.replace(target)
            else:
                with replacing_folder(target) as unfinished:
                    for entry in made.path.iterdir():
                        entry.rename(unfinished / entry.name)
        return open_bundle(target)

    def _fail(self, epoch: ExportedEpoch, error: AetoolError) -> None:
        self.failures.append(epoch)
        if self._on_failure == "raise":
            raise error
        logging.getLogger(__name__).warning("epoch %d was not exported: %s", epoch.epoch, error)
        if self._on_failure == "stop":
            self.model.stop_training = True
