"""What a model is: an autoencoder, or one half of it; and which of its outputs are meant."""

from __future__ import annotations

import re
from math import prod
from typing import Any, Literal, TypeAlias

from aetool_runtime.errors import ModelError

__all__ = ["Kind", "as_autoencoder", "as_encoder", "check_ends", "kind_of"]

Kind: TypeAlias = Literal["autoencoder", "encoder", "decoder"]

_NAMED = re.compile(r"auto[-_ ]?encoder|encoder|decoder")
_SPREAD = re.compile(r"log|var|std|sigma", re.IGNORECASE)


def kind_of(model: Any, name: str, narrowest: int | None) -> Kind:
    """Guess what a model of one input is.

    Args:
        name: of its file; ``decoder.h5`` says something where shapes do not.
        narrowest: elements at the narrowest place inside; ``None`` where there is none that cuts it in two.
    """
    given, made = tuple(model.inputs[0].shape[1:]), [tuple(output.shape[1:]) for output in model.outputs]
    if any(_may_be(given, shape) for shape in made):
        return "autoencoder"
    before, after = _elements(given), _elements(made[0])
    if narrowest is not None and narrowest < min(before, after):
        return "autoencoder"
    told = _NAMED.findall(name.lower())
    if told and (told[-1] in ("encoder", "decoder") or narrowest is not None):
        return "decoder" if told[-1] == "decoder" else "encoder" if told[-1] == "encoder" else "autoencoder"
    return "decoder" if _grows(given, made[0]) else "encoder"


def _may_be(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    """Equal, as far as sizes are known."""
    return len(one) == len(other) and all(None in pair or len(set(pair)) == 1 for pair in zip(one, other, strict=True))


def _elements(shape: tuple[int | None, ...]) -> int:
    return prod(size or 1 for size in shape)


def _grows(given: tuple[int | None, ...], made: tuple[int | None, ...]) -> bool:
    """Maps are compared by height and width, since channels come and go; everything else by its size."""
    if len(given) == len(made) > 1:
        return _elements(made[:-1]) > _elements(given[:-1])
    return _elements(made) > _elements(given)


def check_ends(model: Any, where: str) -> None:
    """Refuse a model that does not say what goes in, or takes several tensors.

    Raises:
        ModelError: says so.
    """
    if not model.built or not getattr(model, "inputs", None):
        hint = "call the model on data once, or model.build(shape), and save it again"
        raise ModelError(f"{model.name!r} has no input shape", where=where, hint=hint)
    if len(model.inputs) != 1:
        names = ", ".join(tensor.name for tensor in model.inputs)
        raise ModelError(
            f"{model.name!r} takes {len(model.inputs)} inputs: {names}",
            where=where,
            expected="one",
            hint="build a model in Keras with the others fixed, and export that",
        )


def as_autoencoder(model: Any) -> tuple[Any, list[str]]:
    """A model with one output: the one shaped like the input, if there are several."""
    import keras

    if len(model.outputs) == 1:
        return model, []
    same = [output for output in model.outputs if output.shape[1:] == model.inputs[0].shape[1:]]
    kept = (same or list(model.outputs))[0]
    told = f"of {len(model.outputs)} outputs, that of layer {_maker(kept).name!r} is the reconstruction"
    return keras.Model(model.inputs[0], kept, name=model.name), [told]


def as_encoder(model: Any) -> tuple[Any, list[str]]:
    """A model that returns the latent, or mean and log-variance, and nothing else."""
    import keras

    if len(model.outputs) == 1 and type(_maker(model.outputs[0])).__name__ != "TakeMean":
        return model, []
    sampler = next((output for output in model.outputs if type(_maker(output)).__name__ == "TakeMean"), None)
    if sampler is not None:
        kept = _mean_and_logvar(sampler)
    else:
        spreads = [output for output in model.outputs if _SPREAD.search(_maker(output).name)]
        centres = [output for output in model.outputs if _SPREAD.search(_maker(output).name) is None]
        first = centres[0] if centres else model.outputs[0]
        kept = [first, *(spread for spread in spreads[:1] if spread.shape == first.shape and spread is not first)]
    names = [_maker(output).name for output in kept]
    told = f"the latent is the output of {names[0]!r}"
    told += f", its log-variance that of {names[1]!r}" if names[1:] else ""
    return keras.Model(model.inputs[0], kept, name=model.name), [told]


def _maker(tensor: Any) -> Any:
    return tensor._keras_history.operation


def _mean_and_logvar(sample: Any) -> list[Any]:
    layer, node, _ = sample._keras_history
    given = layer._inbound_nodes[node].input_tensors
    return [given[layer.mean], given[1 - layer.mean]]
