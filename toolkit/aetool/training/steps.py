"""The compiled half of training: an explicit gradient tape in one ``tf.function``.

One call runs all batches of a block in a loop inside the graph, because entering a graph from Python costs as much as
a small model's whole step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CompiledSteps"]


class CompiledSteps:
    """Runs blocks of batches.

    Args:
        model: the whole autoencoder, a ``keras.Model``.
        loss: a ``keras.losses.Loss``.
        optimizer: a ``keras.optimizers.Optimizer``.
    """

    def __init__(self, model: Any, loss: Any, optimizer: Any) -> None:
        import tensorflow as tf

        self._tf, self._model, self._loss, self._optimizer = tf, model, loss, optimizer
        optimizer.build(model.trainable_variables)
        block = tf.TensorSpec((None, None, *model.input_shape[1:]), tf.float32)
        self._train = tf.function(self._train_block, input_signature=[block], autograph=False)
        self._evaluate = tf.function(self._evaluate_block, input_signature=[block], autograph=False)

    def train(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """One step per batch of ``block`` [batches, batch_size, *sample_shape]; stops after a loss that is not finite.

        Returns:
            The loss of each batch that was run, before its step; the last one may be NaN or infinite.
        """
        losses, done = self._train(self._tf.constant(block))
        return np.asarray(losses)[: int(done)]

    def evaluate(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """The loss of each batch of ``block`` [batches, batch_size, *sample_shape], without a step."""
        losses, _ = self._evaluate(self._tf.constant(block))
        return np.asarray(losses)

    def _train_block(self, block: Any) -> tuple[Any, Any]:
        return self._loop(block, self._train_batch)

    def _evaluate_block(self, block: Any) -> tuple[Any, Any]:
        return self._loop(block, lambda batch: self._loss(batch, self._model(batch, training=False)))

    def _train_batch(self, batch: Any) -> Any:
        variables = self._model.trainable_variables
        with self._tf.GradientTape() as tape:
            loss = self._loss(batch, self._model(batch, training=True))
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def _loop(self, block: Any, run: Any) -> tuple[Any, Any]:
        tf = self._tf
        count = tf.shape(block)[0]

        def goes_on(index: Any, losses: Any, finite: Any) -> Any:
            return tf.logical_and(index < count, finite)

        def body(index: Any, losses: Any, finite: Any) -> Any:
            loss = run(block[index])
            return index + 1, losses.write(index, loss), tf.math.is_finite(loss)

        losses = tf.TensorArray(tf.float32, size=count, element_shape=())
        # One batch after the other: the weights of one step are the input of the next.
        done, losses, _ = tf.while_loop(goes_on, body, (0, losses, True), parallel_iterations=1)
        return losses.stack(), done
