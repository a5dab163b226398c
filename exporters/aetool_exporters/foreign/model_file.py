"""What a Keras file says about its model: told by its bytes, not by its name, and read without Keras."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aetool_exporters.foreign.hdf5_guard import refuse_foreign_data
from aetool_exporters.reason import reason
from aetool_runtime.errors import DependencyError, ModelError

__all__ = ["ModelFile", "read_model_file"]

_MAGIC = {b"PK\x03\x04": ".keras", b"\x89HDF": ".h5"}
_EXPECTED = "a .keras archive, a Keras .h5 file, or a SavedModel folder"
WEIGHTS = "model.weights.h5"


@dataclass(frozen=True)
class ModelFile:
    """A Keras file, looked through.

    Args:
        path: where it lies.
        kind: ``.keras`` or ``.h5``, whatever it is called.
        config: the architecture, as the file has it.
        keras_version: which Keras wrote it, such as ``2.4.0``; "" where it does not say.
    """

    path: Path
    kind: str
    config: dict[str, Any]
    keras_version: str

    @property
    def major(self) -> int:
        """Keras 2 or 3; files that do not say are from the days before they did."""
        first = self.keras_version.partition(".")[0]
        return int(first) if first.isdigit() else 2

    def open_weights(self) -> Any:
        """The weights as an open ``h5py.File``."""
        import h5py  # type: ignore[import-untyped]

        if self.kind == ".h5":
            return h5py.File(self.path, "r")
        with zipfile.ZipFile(self.path) as archive:
            return h5py.File(io.BytesIO(archive.read(WEIGHTS)), "r")


def read_model_file(path: Path) -> ModelFile:
    """Look through a file, and make sure that all its weights are inside it.

    Raises:
        ModelError: no such file, a damaged one, or one of another kind.
        UnsafeError: its weights lie, in part, in another file.
        DependencyError: ``h5py``, which comes with Keras, is not installed.
    """
    kind = _kind(path)
    try:
        text, version = _archive_config(path) if kind == ".keras" else _hdf5_config(path)
        config = json.loads(text)
    except ModelError:
        raise
    except ImportError as error:
        raise DependencyError(
            f"Keras files cannot be read here ({error})", hint="pip install 'aetool[export]'"
        ) from error
    except Exception as error:  # zipfile, zlib, h5py and json each raise their own
        what = f"the file is cut off or damaged ({type(error).__name__}: {error})"
        raise ModelError(what, where=str(path), expected=_EXPECTED, hint="copy or save it again") from error
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str) or "config" not in config:
        raise ModelError("the file does not describe a model", where=str(path), expected=_EXPECTED)
    _refuse_foreign_data(path, kind)
    return ModelFile(path, kind, config, version)


def _kind(path: Path) -> str:
    if path.is_dir():
        what = "the folder holds no saved_model.pb"
        raise ModelError(what, where=str(path), expected=_EXPECTED, hint="name the file in it that holds the model")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError as error:
        raise ModelError("there is no such file", where=str(path), expected=_EXPECTED) from error
    except OSError as error:
        raise ModelError(f"the file cannot be read ({error.strerror})", where=str(path)) from error
    if magic not in _MAGIC:
        raise ModelError(f"the file starts with {magic!r}", where=str(path), expected=_EXPECTED)
    return _MAGIC[magic]


def _archive_config(path: Path) -> tuple[str | bytes, str]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "config.json" not in names:
            raise ModelError("the archive holds no config.json", where=str(path), expected=_EXPECTED)
        if WEIGHTS not in names:
            hint = "save it again with model.save('model.keras')"
            raise ModelError(f"the archive holds no {WEIGHTS}", where=str(path), expected=_EXPECTED, hint=hint)
        metadata = json.loads(archive.read("metadata.json")) if "metadata.json" in names else {}
        return archive.read("config.json"), str(metadata.get("keras_version", ""))


def _hdf5_config(path: Path) -> tuple[str | bytes, str]:
    import h5py

    with h5py.File(path, "r") as file:
        config: str | bytes | None = file.attrs.get("model_config")
        version = file.attrs.get("keras_version", "")
    if config is None:
        hint = "save the whole model with model.save('model.keras')"
        raise ModelError("the file holds weights without a model", where=str(path), expected=_EXPECTED, hint=hint)
    return config, version.decode() if isinstance(version, bytes) else str(version)


def _refuse_foreign_data(path: Path, kind: str) -> None:
    """Look through the weights; what cannot be looked through is refused as well."""
    try:
        if kind == ".h5":
            refuse_foreign_data(path, path)
            return
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".h5"):
                    refuse_foreign_data(io.BytesIO(archive.read(name)), path)
    except (OSError, RuntimeError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        what = f"the weights are cut off or damaged ({reason(error)})"
        raise ModelError(what, where=str(path), expected=_EXPECTED, hint="copy or save it again") from error
