"""Quantization-aware fine-tuning: weights that bear being rounded.

A copy of the model learns to compute, with weights and activations rounded, what the original computes without: latents
and reconstructions alike, each weighed by its own variance. So latents stay those of the original, and an encoder at
int8 goes with a decoder at float32. Only artifacts of reduced precision come from the copy, and they are measured and
verified like all others: against the data and against the original.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from aetool_exporters.budget.fake_quantization import (
    Kernel,
    Range,
    kernels_of,
    quantized_outputs,
    rounded,
    tracked_outputs,
)
from aetool_exporters.reference import Reference
from aetool_exporters.request import Calibration
from aetool_runtime.errors import ConversionError, UsageError
from aetool_runtime.specs import Array

__all__ = ["finetune"]

_BYTES = 64 << 20
_BATCH = 64
_RATE = 1e-4
_LOOKS = 10


def finetune(
    reference: Reference, calibration: Calibration, steps: int, *, seed: int, float_layers: Collection[str] = ()
) -> Reference:
    """Train a copy of the model for quantization; the model itself is left as it is.

    Args:
        calibration: samples to train on, of which at most 64 MiB are kept, evenly spread.
        steps: batches of 64 samples. At the beginning and ten times on the way all samples are looked at; the weights
            with the least loss are returned.
        seed: of their order. The same seed gives the same weights on one machine.
        float_layers: names of Keras layers that will not be quantized.

    Raises:
        UsageError: the latent is integers, which no gradient passes.
        ConversionError: the model cannot be copied.
    """
    if reference.latent.dtype.startswith("int"):
        raise UsageError("fine-tuning needs a latent of real numbers", hint="leave --finetune out")
    samples = _spread(calibration.batches())
    tuned = replace(reference, encoder=_copied(reference.encoder), decoder=_copied(reference.decoder))
    given = _normalized(reference, samples)
    targets = _targets(reference, given)
    trainer = _Trainer(tuned, given, targets, steps, float_layers)
    batches = _batches(len(given), np.random.default_rng(seed))
    least, best = trainer.error([given, *targets]), _weights(tuned)
    for step in range(1, steps + 1):
        chosen = next(batches)
        trainer.step([array[chosen] for array in (given, *targets)])
        if step == steps or step % max(1, steps // _LOOKS) == 0:
            error = trainer.error([given, *targets])
            if error < least:
                least, best = error, _weights(tuned)
    for model, weights in zip(tuned.models, best, strict=True):
        model.set_weights(weights)
    return tuned


class _Trainer:
    """One step after the other, with rounded weights and activations."""

    def __init__(
        self, tuned: Reference, given: Array, targets: list[Array], steps: int, float_layers: Collection[str]
    ) -> None:
        self._tuned = tuned
        self._layers = [
            layer for model in tuned.models for layer in model._flatten_layers() if _is_leaf(layer, float_layers)
        ]
        self._kernels = kernels_of(self._layers, float_layers)
        self._variables = list({id(v): v for model in tuned.models for v in model.trainable_variables}.values())
        self._weights = [1.0 / max(float(target.var()), 1e-12) for target in targets]
        self._optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_RATE, steps))
        self._optimizer.build(self._variables)
        self._ranges = _ranges(tuned, self._layers, given)
        self._input = Range()
        if given.dtype.kind == "f" and not float_layers:
            self._input.add(given)
        self._stepped, self._measured = tf.function(self._step), tf.function(self._loss)

    def step(self, batch: list[Array]) -> None:
        """Train on one batch: what is given, then what must come out."""
        self._stepped([tf.constant(array) for array in batch])

    def error(self, arrays: list[Array]) -> float:
        """The mean loss of all samples."""
        exact = [tf.identity(kernel.variable) for kernel in self._kernels]
        _assign(self._kernels, [rounded(kernel) for kernel in self._kernels])
        total = 0.0
        for start in range(0, len(arrays[0]), _BATCH):
            batch = [tf.constant(array[start : start + _BATCH]) for array in arrays]
            total += float(self._measured(*batch)) * len(batch[0])
        _assign(self._kernels, exact)
        return total / len(arrays[0])

    def _step(self, batch: list[Any]) -> None:
        exact = [tf.identity(kernel.variable) for kernel in self._kernels]
        _assign(self._kernels, [rounded(kernel) for kernel in self._kernels])
        with tf.GradientTape() as tape:
            loss = self._loss(*batch)
        gradients = tape.gradient(loss, [variable.value for variable in self._variables])
        _assign(self._kernels, exact)  # straight through: the rounded weight's gradient moves the exact one
        known = [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, self._variables, strict=True)]
        self._optimizer.apply(known, self._variables)

    def _loss(self, given: Any, *targets: Any) -> Any:
        with quantized_outputs(self._layers, self._ranges):
            if given.dtype == tf.float32:
                given = self._input.rounded(given)
            met = _outputs(self._tuned, given)
        errors = [tf.reduce_mean(tf.square(a - b)) * w for a, b, w in zip(met, targets, self._weights, strict=True)]
        return tf.add_n(errors)


def _weights(reference: Reference) -> list[list[Array]]:
    return [model.get_weights() for model in reference.models]


def _assign(kernels: list[Kernel], values: list[Any]) -> None:
    for kernel, value in zip(kernels, values, strict=True):
        kernel.variable.assign(value)


def _outputs(reference: Reference, given: Any) -> list[Any]:
    """All that encoder and decoder return, in the network's own units."""
    if reference.encoder is None:
        assert reference.decoder is not None
        return [reference.decoder(given, training=False)]
    latents: list[Any] = keras.tree.flatten(reference.encoder(given, training=False))
    if reference.decoder is None:
        return latents
    return [*latents, reference.decoder(latents[0], training=False)]


def _targets(reference: Reference, given: Array) -> list[Array]:
    pieces = [
        [np.asarray(output) for output in _outputs(reference, given[start : start + _BATCH])]
        for start in range(0, len(given), _BATCH)
    ]
    return [np.concatenate(column) for column in zip(*pieces, strict=True)]


def _ranges(tuned: Reference, layers: list[Any], given: Array) -> dict[int, Range]:
    ranges: dict[int, Range] = {}
    with tracked_outputs(layers, ranges):
        for start in range(0, len(given), _BATCH):
            _outputs(tuned, given[start : start + _BATCH])
    return ranges


def _normalized(reference: Reference, samples: Array) -> Array:
    if reference.encoder is None or reference.normalization.is_identity:
        return np.asarray(samples, reference.given.dtype)
    return reference.normalization.apply(samples)


def _batches(count: int, order: np.random.Generator) -> Iterator[Array]:
    """Indices of batches without end, each epoch in another order; a rest that fills no batch is left to the next."""
    size = min(count, _BATCH)
    while True:
        shuffled = order.permutation(count)
        yield from (shuffled[start : start + size] for start in range(0, count - size + 1, size))


def _spread(batches: Iterable[Array]) -> Array:
    """Of a stream the 1st, 2nd, 4th, 8th … batch each: the densest that stays within 64 MiB."""
    kept: list[Array] = []
    stride = 1
    for place, batch in enumerate(batches):
        if place % stride == 0:
            kept.append(np.asarray(batch))
        if len(kept) > 1 and sum(array.nbytes for array in kept) > _BYTES:
            kept, stride = kept[::2], 2 * stride
    return np.concatenate(kept)


def _is_leaf(layer: Any, float_layers: Collection[str]) -> bool:
    return not getattr(layer, "layers", None) and layer.name not in float_layers


def _copied(model: Any) -> Any:
    if model is None:
        return None
    try:
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    except Exception as error:
        raise ConversionError(
            f"the model cannot be copied for fine-tuning ({error})", where=model.name, hint="leave --finetune out"
        ) from error
    return copy
