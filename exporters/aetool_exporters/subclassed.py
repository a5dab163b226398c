"""Models that are only code have no inputs: they are given some, of the samples' shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aetool_exporters.cases import Samples
from aetool_exporters.reason import reason
from aetool_runtime.errors import ModelError

if TYPE_CHECKING:
    import keras

__all__ = ["with_inputs"]


def with_inputs(
    encoder: keras.Model | None, decoder: keras.Model | None, samples: Samples | None
) -> tuple[keras.Model | None, keras.Model | None]:
    """Encoder and decoder as they are or, where one is subclassed or not built yet, called on an input.

    Args:
        samples: what the first of them takes.

    Raises:
        ModelError: such a model, and no samples; or it cannot be called on them.
    """
    if encoder is None:
        return None, _called(decoder, samples, "decoder")
    encoder = _called(encoder, samples, "encoder")
    if decoder is None or _has_inputs(decoder):
        return encoder, decoder
    assert encoder is not None
    return encoder, _on_input(decoder, encoder.outputs[0].shape[1:], encoder.outputs[0].dtype, "decoder")


def _called(model: keras.Model | None, samples: Samples | None, role: str) -> keras.Model | None:
    if model is None or _has_inputs(model):
        return model
    if samples is None:
        raise ModelError(
            "the model does not know its input: it is subclassed, or was never built",
            where=role,
            hint="pass samples=Samples.of(array), whose shape it then has",
        )
    return _on_input(model, samples.values.shape[1:], str(samples.values.dtype), role)


def _has_inputs(model: Any) -> bool:
    try:
        return bool(model.inputs)
    except (AttributeError, ValueError):
        return False


def _on_input(model: Any, shape: tuple[int | None, ...], dtype: str, role: str) -> keras.Model:
    import keras

    given = keras.Input(shape, dtype="float32" if dtype == "float64" else dtype)
    try:
        return keras.Model(given, model(given), name=model.name)
    except Exception as error:  # whatever the model's own code raises
        raise ModelError(
            f"the model cannot be called on inputs of shape {[None, *shape]} ({reason(error)})",
            where=role,
            hint="pass samples of the shape that it takes",
        ) from error
