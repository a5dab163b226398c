"""The compiled steps on several replicas, through ``tf.distribute``: a batch is dealt out, and all take the same step.

A batch of B samples is cut into one part for each replica. Each computes the loss of its part times its share of B, so
that the sum over replicas of losses, and of gradients, is that of the whole batch: the loss curve is that of one worker
up to rounding, whatever the last batch's size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aetool.training.objective import Objective
from aetool.training.steps import CompiledSteps
from aetool.training.workers import explained_loss
from aetool_runtime.specs import Array

__all__ = ["DistributedSteps"]


class DistributedSteps(CompiledSteps):
    """Runs blocks of batches on all replicas; see the top of this file.

    Args:
        strategy: a ``tf.distribute.Strategy``.
    """

    def __init__(self, strategy: Any, objective: Objective, sample_shape: tuple[int, ...], dtype: str) -> None:
        super().__init__(objective, sample_shape, dtype)
        self._strategy = strategy

    def train(self, block: Array) -> NDArray[np.float32]:
        with explained_loss():
            return super().train(block)

    def evaluate(self, block: Array) -> NDArray[np.float32]:
        with explained_loss():
            return super().evaluate(block)

    def _train_block(self, block: Any) -> tuple[Any, Any]:
        return self._loop(block, lambda batch: self._on_all(batch, self._objective.train))

    def _evaluate_block(self, block: Any) -> tuple[Any, Any]:
        return self._loop(block, lambda batch: self._on_all(batch, lambda part, share: self._objective.evaluate(part)))

    def _on_all(self, batch: Any, run: Any) -> Any:
        """The parts of the loss on a whole batch, the same on every replica."""
        tf = self._tf

        def on_replica() -> Any:
            part, share = self._own(batch)
            return run(part, share) * share

        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, self._strategy.run(on_replica), axis=None)

    def _own(self, batch: Any) -> tuple[Any, Any]:
        """This replica's samples, and their share of the batch; a replica without any takes one with the share 0."""
        tf, replicas = self._tf, self._strategy.num_replicas_in_sync
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        total = tf.shape(batch)[0]
        size = (total + replicas - 1) // replicas
        start = tf.minimum(replica * size, total)
        end = tf.minimum(start + size, total)
        share = tf.cast(end - start, tf.float32) / tf.cast(total, tf.float32)
        first = tf.minimum(start, total - 1)
        return batch[first : tf.maximum(end, first + 1)], share
