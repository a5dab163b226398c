"""Reads a Keras file without ever running code that it carries."""

from __future__ import annotations

import io
import json
import re
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aetool_exporters.foreign.hdf5_guard import refuse_foreign_data
from aetool_exporters.reason import reason
from aetool_runtime.errors import DependencyError, ModelError

if TYPE_CHECKING:
    import keras

__all__ = ["load_keras"]

_MAGIC = {b"PK\x03\x04": ".keras", b"\x89HDF": ".h5"}
_EXPECTED = "a .keras archive or a Keras .h5 file"
_UNKNOWN_CLASS = re.compile(r"Could not locate (?:class|function) '(\w+)'|Unknown layer: '?(\w+)'?")


def load_keras(path: str | Path) -> keras.Model:
    """The model in a ``.keras`` or ``.h5`` file, uncompiled. The bytes tell which of the two it is, not the name.

    Python code in the file (``Lambda`` layers) is refused before Keras sees it, and by Keras' own safe mode again.

    Raises:
        ModelError: no such file, a damaged one, one of another kind, one that carries code, or one with layers that
            this Keras does not know.
        UnsafeError: its weights lie, in part, in another file.
        DependencyError: Keras is not installed.
    """
    path = Path(path)
    suffix = _suffix(path)
    _refuse_code(_config(path, suffix), path)
    _refuse_foreign_data(path, suffix)
    if path.suffix == suffix:
        return _load(path, path)
    with tempfile.TemporaryDirectory(prefix="aetool-") as folder:  # Keras goes by the name
        renamed = Path(folder) / f"model{suffix}"
        shutil.copyfile(path, renamed)
        return _load(renamed, path)


def _suffix(path: Path) -> str:
    if path.is_dir():
        raise ModelError(
            "this is a folder",
            where=str(path),
            expected=_EXPECTED,
            hint="load it in Keras and model.save('model.keras')",
        )
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


def _config(path: Path, suffix: str) -> Any:
    """The architecture that the file describes, as JSON."""
    try:
        text = _archive_config(path) if suffix == ".keras" else _hdf5_config(path)
        return json.loads(text)
    except ModelError:
        raise
    except ImportError as error:
        raise DependencyError(
            f"Keras files cannot be read here ({error})", hint="pip install 'aetool[export]'"
        ) from error
    except Exception as error:  # zipfile, zlib, h5py and json each raise their own
        what = f"the file is cut off or damaged ({type(error).__name__}: {error})"
        raise ModelError(what, where=str(path), expected=_EXPECTED, hint="copy or save it again") from error


def _archive_config(path: Path) -> str | bytes:
    with zipfile.ZipFile(path) as archive:
        if "config.json" not in archive.namelist():
            raise ModelError("the archive holds no config.json", where=str(path), expected=_EXPECTED)
        return archive.read("config.json")


def _hdf5_config(path: Path) -> str | bytes:
    import h5py  # type: ignore[import-untyped]

    with h5py.File(path, "r") as file:
        config: str | bytes | None = file.attrs.get("model_config")
    if config is None:
        hint = "save the whole model with model.save('model.keras')"
        raise ModelError("the file holds weights without a model", where=str(path), expected=_EXPECTED, hint=hint)
    return config


def _refuse_foreign_data(path: Path, suffix: str) -> None:
    """Look through the weights; what cannot be looked through is refused as well."""
    try:
        if suffix == ".h5":
            refuse_foreign_data(path, path)
            return
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".h5"):
                    refuse_foreign_data(io.BytesIO(archive.read(name)), path)
    except (OSError, RuntimeError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        what = f"the weights are cut off or damaged ({reason(error)})"
        raise ModelError(what, where=str(path), expected=_EXPECTED, hint="copy or save it again") from error


def _refuse_code(config: Any, path: Path) -> None:
    try:
        layer = _layer_with_code(config, "")
    except RecursionError as error:
        raise ModelError("the architecture is nested too deeply", where=str(path), expected=_EXPECTED) from error
    if layer is not None:
        raise ModelError(
            f"layer {layer!r} carries Python code, which is never run",
            where=str(path),
            expected="layers of Keras only",
            hint="rebuild the model without the Lambda layer and save it again",
        )


def _layer_with_code(entry: Any, layer: str) -> str | None:
    """The name of the first layer that carries marshalled code; ``None`` if there is none."""
    if isinstance(entry, dict):
        inner = entry.get("config")
        layer = str(inner.get("name", layer)) if isinstance(inner, dict) else layer
        if _is_code(entry):
            return layer
        children = list(entry.values())
    else:
        children = entry if isinstance(entry, list) else []
    found = (_layer_with_code(child, layer) for child in children)
    return next((name for name in found if name is not None), None)


def _is_code(entry: dict[str, Any]) -> bool:
    """Keras 3 calls it ``__lambda__``; before, a field such as ``function_type`` said ``lambda``."""
    return entry.get("class_name") == "__lambda__" or any(
        key.endswith("_type") and value == "lambda" for key, value in entry.items()
    )


def _load(path: Path, shown: Path) -> keras.Model:
    try:
        import keras
    except ImportError as error:
        raise DependencyError(f"Keras cannot be imported ({error})", hint="pip install 'aetool[export]'") from error
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever a layer's constructor runs into
        raise _unreadable(error, shown) from error
    if not isinstance(model, keras.Model):
        raise ModelError(f"the file holds a {type(model).__name__}, not a model", where=str(shown))
    return model


def _unreadable(error: Exception, path: Path) -> ModelError:
    unknown = _UNKNOWN_CLASS.search(str(error))
    if unknown:
        return ModelError(
            f"the model uses {unknown[1] or unknown[2]!r}, which is not part of Keras",
            where=str(path),
            expected="layers of Keras only",
            hint="load it in Python where that class is defined, and call aetool_exporters.export",
        )
    hint = "open it with the Keras that it was saved with, and save it again as .keras"
    return ModelError(f"Keras cannot read the model ({reason(error)})", where=str(path), hint=hint)
