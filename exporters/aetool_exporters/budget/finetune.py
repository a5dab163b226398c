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
    step_of,
    tracked_outputs,
)
from aetool_exporters.reference import Reference
from aetool_exporters.request import Calibration
from aetool_runtime.errors import ConversionError
from aetool_runtime.specs import Array

__all__ = ["finetune"]

_BYTES = 64 << 20
_BATCH = 64
_KERNEL_RATE = 0.005  # of a step of the rounded weight
_OTHER_RATE = 1e-4
_LOOKS = 10
_APART = 4


def finetune(
    reference: Reference,
    calibration: Calibration,
    steps: int,
    *,
    seed: int,
    float_layers: Collection[str] = (),
    per_channel: bool = True,
) -> Reference:
    """Train a copy of the model for quantization; the model itself is left as it is.

    Args:
        calibration: samples to train on, of which at most 64 MiB are kept, evenly spread.
        steps: batches of 64 samples. Every fourth sample is not trained on: at the beginning and ten times on the way
            the loss is measured on these, and the weights with the least are returned.
        seed: of their order. The same seed gives the same weights on one machine.
        float_layers: names of Keras layers that will not be quantized.
        per_channel: whether kernels will have one scale for each output channel, or one for the whole.

    Raises:
        ConversionError: the model cannot be copied.
    """
    samples = _normalized(reference, _spread(calibration.batches()))
    tuned = replace(reference, encoder=_copied(reference.encoder), decoder=_copied(reference.decoder))
    looked_at, learned = _parted(samples)
    trainer = _Trainer(reference, tuned, samples, steps, float_layers, per_channel)
    batches = _batches(learned, np.random.default_rng(seed))
    least, best = trainer.error(looked_at), _weights(tuned)
    for step in range(1, steps + 1):
        trainer.step(next(batches))
        if step == steps or step % max(1, steps // _LOOKS) == 0:
            error = trainer.error(looked_at)
            if error < least:
                least, best = error, _weights(tuned)
    for model, weights in zip(tuned.models, best, strict=True):
        model.set_weights(weights)
    return tuned


class _Master:
    """The exact weight behind a rounded one, in units of its first steps: so far do all kernels move alike."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        exact = tf.convert_to_tensor(kernel.variable)
        self.unit = tf.maximum(step_of(exact, kernel.axes), np.finfo(np.float32).tiny)
        self.steps = keras.Variable(exact / self.unit)

    def round(self) -> None:
        """Put the model's weight on its grid, where converters whose scales differ a little find the same integers."""
        self.kernel.variable.assign(rounded(self.steps * self.unit, self.kernel.axes))


class _Trainer:
    """One step after the other, with rounded weights and activations. The weights of ``tuned`` are always rounded."""

    def __init__(
        self,
        original: Reference,
        tuned: Reference,
        samples: Array,
        steps: int,
        float_layers: Collection[str],
        per_channel: bool,
    ) -> None:
        self._original, self._tuned = original, tuned
        self._layers = [
            layer for model in tuned.models for layer in model._flatten_layers() if _is_leaf(layer, float_layers)
        ]
        self._ranges = _ranges(tuned, self._layers, samples)
        self._input = Range()
        if samples.dtype.kind == "f" and not float_layers:
            self._input.add(samples)
        self._weights = [1.0 / max(float(target.var()), 1e-12) for target in _targets(original, samples)]
        kernels = kernels_of(self._layers, float_layers, per_channel=per_channel)
        self._masters = [_Master(kernel) for kernel in kernels]
        taken = {id(master.kernel.variable) for master in self._masters}
        variables = {id(v): v for model in tuned.models for v in model.trainable_variables}
        self._others = [variable for key, variable in variables.items() if key not in taken]
        self._movers = [_adam(_KERNEL_RATE, steps, [master.steps for master in self._masters])]
        self._movers.append(_adam(_OTHER_RATE, steps, self._others))
        self._round()
        self._stepped, self._measured = tf.function(self._step), tf.function(self._loss)

    def step(self, batch: Array) -> None:
        """Train on one batch."""
        self._stepped(tf.constant(batch))

    def error(self, samples: Array) -> float:
        """The mean loss of samples that are not trained on."""
        total = 0.0
        for start in range(0, len(samples), _BATCH):
            batch = tf.constant(samples[start : start + _BATCH])
            total += float(self._measured(batch)) * len(batch)
        return total / len(samples)

    def _round(self) -> None:
        for master in self._masters:
            master.round()

    def _step(self, batch: Any) -> None:
        kernels = [master.kernel.variable for master in self._masters]
        with tf.GradientTape() as tape:
            loss = self._loss(batch)
        gradients = tape.gradient(
            loss, [variable.value for variable in [*kernels, *self._others]], unconnected_gradients="zero"
        )
        of_kernels, of_others = gradients[: len(kernels)], gradients[len(kernels) :]
        straight = [gradient * master.unit for gradient, master in zip(of_kernels, self._masters, strict=True)]
        self._movers[0].apply(straight, [master.steps for master in self._masters])
        self._movers[1].apply(of_others, self._others)
        self._round()

    def _loss(self, given: Any) -> Any:
        targets = [tf.stop_gradient(output) for output in _outputs(self._original, given)]
        with quantized_outputs(self._layers, self._ranges):
            if given.dtype == tf.float32:
                given = self._input.rounded(given)
            met = _outputs(self._tuned, given)
        errors = [tf.reduce_mean(tf.square(a - b)) * w for a, b, w in zip(met, targets, self._weights, strict=True)]
        return tf.add_n(errors)


def _weights(reference: Reference) -> list[list[Array]]:
    return [model.get_weights() for model in reference.models]


def _adam(rate: float, steps: int, variables: list[Any]) -> Any:
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))
    optimizer.build(variables)
    return optimizer


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


def _parted(samples: Array) -> tuple[Array, Array]:
    """Every fourth sample to look at, the others to learn from; of fewer than four all for both."""
    if len(samples) < _APART:
        return samples, samples
    return samples[::_APART], samples[np.arange(len(samples)) % _APART != 0]


def _batches(samples: Array, order: np.random.Generator) -> Iterator[Array]:
    """Batches without end: numbers from between two samples each, so that few samples are not learned by heart."""
    while True:
        first, second = order.integers(0, len(samples), (2, _BATCH))
        if samples.dtype.kind != "f":
            yield samples[first]
            continue
        share = order.uniform(0, 1, (_BATCH, *[1] * (samples.ndim - 1))).astype(samples.dtype)
        yield share * samples[first] + (1 - share) * samples[second]


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
