"""custom: encoder and decoder from the user's own code.

It is run because the user's own configuration names it: when the model is built, and when its checkpoint is loaded, so
that the layers registered there (``@keras.saving.register_keras_serializable()``) are known. An exported bundle holds
graphs only and never needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aetool.config import CustomModel, LatentConfig, ModelConfig, PlainLatent
from aetool.models.autoencoder import KerasAutoencoder
from aetool.models.backend import import_keras
from aetool.user_code import import_object
from aetool_runtime.errors import InputError, ModelError, UsageError

__all__ = ["build", "import_custom"]


def import_custom(model: ModelConfig) -> Callable[..., Any] | None:
    """What ``[model] build`` names, imported; ``None`` for the other families, which need nothing.

    Modules are looked for where Python looks for them, and then in the working directory.

    Raises:
        InputError: there is no such module or name, or importing it failed.
    """
    if not isinstance(model, CustomModel):
        return None
    expected = "a function or class in a module that Python can import"
    return import_object(model.build, where=f"[model] build = {model.build!r}", expected=expected)


def build(
    model: CustomModel,
    sample_shape: tuple[int, ...],
    input_shape: tuple[int, ...],
    seed: int,
    latent: LatentConfig,
) -> KerasAutoencoder:
    """Call the user's function; the global seeds of Python, NumPy and TensorFlow are set before, so that it repeats.

    Raises:
        UsageError: a latent of another kind, or a task, which the family brings itself.
        InputError: see ``import_custom``; or the function raised something.
        ModelError: what it returned is not an encoder and a decoder for such samples.
    """
    if latent != PlainLatent() or input_shape != sample_shape:
        raise UsageError("[latent] and [task] do not go with the family custom, whose code makes its own latent")
    keras = import_keras()
    make = import_custom(model)
    assert make is not None
    keras.utils.set_random_seed(seed)
    try:
        made = make(sample_shape, **model.arguments)
    except Exception as error:  # a user's function raises anything
        raise InputError(
            f"failed ({type(error).__name__}: {error})",
            where=f"[model] build = {model.build!r}",
            expected=f"it to be called as {model.build.partition(':')[2]}({sample_shape}, **arguments)",
        ) from error
    return _checked(_halves(made, model.build), sample_shape, model.build)


def _halves(made: Any, where: str) -> KerasAutoencoder:
    pair = (getattr(made, "encoder", None), getattr(made, "decoder", None))
    if isinstance(made, (tuple, list)) and len(made) == 2:
        pair = (made[0], made[1])
    keras = import_keras()
    if not all(isinstance(half, keras.Model) for half in pair):
        raise ModelError(
            f"returned {_described(made)}",
            where=where,
            expected="encoder and decoder, two Keras models, as a pair or as attributes",
        )
    return KerasAutoencoder(*pair)


def _described(made: Any) -> str:
    if isinstance(made, (tuple, list)):
        return f"a {type(made).__name__} of {', '.join(type(part).__name__ for part in made) or 'nothing'}"
    return f"a {type(made).__name__}"


def _checked(halves: KerasAutoencoder, sample_shape: tuple[int, ...], where: str) -> KerasAutoencoder:
    given, latent = _interface(halves.encoder, "encoder", where)
    entry, returned = _interface(halves.decoder, "decoder", where)
    for name, met, wanted in (
        ("the encoder takes", given, sample_shape),
        ("the decoder takes", entry, latent),
        ("the decoder returns", returned, sample_shape),
    ):
        if not _fits(met, wanted):
            raise ModelError(f"{name} {list(met)}", where=where, expected=f"{list(wanted)}, beside the batch")
    return halves


def _interface(half: Any, name: str, where: str) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
    """The shapes of a half's one input and one output, without the batch dimension."""
    inputs, outputs = getattr(half, "inputs", None), getattr(half, "outputs", None)
    if not inputs or not outputs:
        raise ModelError(
            f"the {name} has no shapes yet",
            where=where,
            expected="a functional or Sequential model",
            hint="begin it with keras.Input(sample_shape)",
        )
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"the {name} has {len(inputs)} inputs and {len(outputs)} outputs", where=where, expected="one of each"
        )
    return tuple(inputs[0].shape[1:]), tuple(outputs[0].shape[1:])


def _fits(met: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(met) == len(wanted) and all(None in pair or pair[0] == pair[1] for pair in zip(met, wanted, strict=True))
