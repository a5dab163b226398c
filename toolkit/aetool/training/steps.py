"""The compiled half of training: many steps in one ``tf.function``.

One call runs all batches of a block in a loop inside the graph, because entering a graph from Python costs as much as
a small model's whole step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.training.objective import Objective
from aetool_runtime.specs import Array

__all__ = ["CompiledSteps"]


class CompiledSteps:
    """Runs blocks of batches.

    Args:
        objective: what a step is.
        sample_shape: without the batch dimension.
        dtype: of samples: float32, or int32 for tokens.
    """

    def __init__(self, objective: Objective, sample_shape: tuple[int, ...], dtype: str) -> None:
        import tensorflow as tf

        self._tf, self._objective = tf, objective
        block = tf.TensorSpec((None, None, *sample_shape), dtype)
        self._train = tf.function(self._train_block, input_signature=[block], autograph=False)
        self._evaluate = tf.function(self._evaluate_block, input_signature=[block], autograph=False)

    def train(self, block: Array) -> NDArray[np.float32]:
        """One step per batch of ``block`` [batches, batch_size, *sample_shape]; stops after a loss that is not finite.

        Returns:
            The parts of the loss of each batch that was run, before its step, [batches, parts]; the last ones may be
            NaN or infinite.
        """
        losses, done = self._train(self._tf.constant(block))
        return np.asarray(losses)[: int(done)]

    def evaluate(self, block: Array) -> NDArray[np.float32]:
        """The same without a step, for all batches of ``block``."""
        losses, _ = self._evaluate(self._tf.constant(block))
        return np.asarray(losses)

    def _train_block(self, block: Any) -> tuple[Any, Any]:
        return self._loop(block, self._objective.train)

    def _evaluate_block(self, block: Any) -> tuple[Any, Any]:
        return self._loop(block, self._objective.evaluate)

    def _loop(self, block: Any, run: Any) -> tuple[Any, Any]:
        tf = self._tf
        count = tf.shape(block)[0]

        def goes_on(index: Any, losses: Any, finite: Any) -> Any:
            return tf.logical_and(index < count, finite)

        def body(index: Any, losses: Any, finite: Any) -> Any:
            parts = run(block[index])
            return index + 1, losses.write(index, parts), tf.reduce_all(tf.math.is_finite(parts))

        losses = tf.TensorArray(tf.float32, size=count, element_shape=(len(self._objective.names),))
        # One batch after the other: the weights of one step are the input of the next.
        done, losses, _ = tf.while_loop(goes_on, body, (0, losses, True), parallel_iterations=1)
        return losses.stack(), done
