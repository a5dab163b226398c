"""Reads a Keras file without ever running code that it carries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aetool_exporters.foreign.entries import Entry
from aetool_exporters.foreign.model_file import ModelFile, read_model_file
from aetool_exporters.foreign.rewriting import Rewritten, rewrite
from aetool_exporters.foreign.subclassed import halves_of, is_subclassed, weight_groups
from aetool_exporters.foreign.surgery import Surgery
from aetool_exporters.foreign.weights import load_weights
from aetool_exporters.reason import reason
from aetool_runtime.errors import DependencyError, ModelError

if TYPE_CHECKING:
    import keras

__all__ = ["KerasModels", "load_keras", "read_keras"]


@dataclass(frozen=True)
class KerasModels:
    """What a file holds.

    Args:
        models: ``model`` alone, or ``encoder`` and ``decoder``; uncompiled, with their weights.
        notices: what was rewritten or replaced, in sentences.
    """

    models: dict[str, keras.Model]
    notices: tuple[str, ...]


def load_keras(path: str | Path) -> keras.Model:
    """The one model in a file; see ``read_keras``.

    Raises:
        ModelError: the file holds encoder and decoder as two models.
    """
    found = read_keras(Path(path))
    if "model" not in found.models:
        raise ModelError("the file holds an encoder and a decoder", where=str(path), expected="one model")
    return found.models["model"]


def read_keras(path: Path, surgery: Surgery | None = None) -> KerasModels:
    """The model in a ``.keras`` or ``.h5`` file of Keras 2 or 3. The bytes tell which of the two it is, not the name.

    The architecture is rewritten as data, so that this Keras can build it: see ``rewriting``. Python code in the file
    (``Lambda`` layers) is never run: it is refused before Keras sees it, and by Keras' own safe mode again.

    Args:
        surgery: the user's own classes, and functions in place of layers.

    Raises:
        ModelError: no such file, a damaged one, one of another kind, one that carries code, or one with layers that
            this Keras does not know; the last two name the layer and what to do.
        UnsafeError: its weights lie, in part, in another file.
        DependencyError: Keras is not installed.
    """
    surgery = surgery or Surgery()
    file = read_model_file(path)
    _check_keras()
    if not is_subclassed(file.config):
        model, notices = _model(file, file.config, surgery, [""])
        return KerasModels({"model": model}, notices)
    if file.config["class_name"] in surgery.custom:
        return KerasModels({"model": _own_class(file, surgery)}, ())
    parts = halves_of(file)
    built = {role: _model(file, part, surgery, weight_groups(file, part, parts)) for role, part in parts.items()}
    told = f"the model is a {file.config['class_name']!r}; taken are the models in it: {', '.join(parts)}"
    notices = tuple(dict.fromkeys([told, *(notice for _, notices in built.values() for notice in notices)]))
    return KerasModels({role: model for role, (model, _) in built.items()}, notices)


def _check_keras() -> None:
    try:
        import keras  # noqa: F401
    except ImportError as error:
        raise DependencyError(f"Keras cannot be imported ({error})", hint="pip install 'aetool[export]'") from error


def _model(file: ModelFile, config: Entry, surgery: Surgery, groups: list[str]) -> tuple[keras.Model, tuple[str, ...]]:
    """Build a model, and load its weights from the first group that fits."""
    rewritten = rewrite(file, config, surgery)
    model = _build(rewritten, file)
    if not groups:
        raise ModelError(f"the file holds no weights for {model.name!r}", where=str(file.path))
    for last, group in enumerate(groups, 1 - len(groups)):
        try:
            load_weights(model, file, rewritten.replaced, group)
            break
        except ModelError:
            if not last:
                raise
    return model, tuple(rewritten.notices)


def _build(rewritten: Rewritten, file: ModelFile) -> Any:
    import keras

    try:
        with keras.saving.custom_object_scope(rewritten.objects):
            model = keras.saving.deserialize_keras_object(rewritten.config, safe_mode=True)
    except Exception as error:  # Keras raises whatever a layer's constructor runs into
        hint = "open it with the Keras that it was saved with, and save it again as .keras"
        raise ModelError(f"Keras cannot read the model ({reason(error)})", where=str(file.path), hint=hint) from error
    if not isinstance(model, keras.Model):
        raise ModelError(f"the file holds a {type(model).__name__}, not a model", where=str(file.path))
    if isinstance(model, keras.Sequential) or len(model.inputs) != 1:
        return model
    outputs = model.outputs if len(model.outputs) > 1 else model.outputs[0]
    return keras.Model(model.inputs[0], outputs, name=model.name)  # no lists of one, which Keras warns of


def _own_class(file: ModelFile, surgery: Surgery) -> keras.Model:
    """A model of the user's own class, as that class and Keras read it."""
    import keras

    try:
        return keras.saving.load_model(file.path, custom_objects=dict(surgery.custom), compile=False, safe_mode=True)
    except Exception as error:  # the user's class raises anything
        kind = file.config["class_name"]
        raise ModelError(f"{kind} cannot read its model ({reason(error)})", where=str(file.path)) from error
