"""TensorBoard logs: one scalar each for loss and validation loss, for the loss's parts, and bits; a step per epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aetool.training.events import EpochLoss

__all__ = ["TensorBoardLog"]


class TensorBoardLog:
    """Appends to a folder of event files; TensorBoard merges what several runs of one training wrote there."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._tf = tf
        self._writer = tf.summary.create_file_writer(str(folder))

    def write(self, point: EpochLoss) -> None:
        """Write one point of the loss curve to disk."""
        with self._writer.as_default(step=point.epoch):
            self._scalar("loss", point.loss)
            self._scalar("validation_loss", point.validation_loss)
            for name, value in point.parts.items() if len(point.parts) > 1 else ():
                self._scalar(f"parts/{name}", value)
            if point.bits is not None:
                self._scalar("bits", point.bits)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()

    def _scalar(self, tag: str, value: float) -> None:
        # What tf.summary.scalar writes; that function wants the tensorboard package, which only reading needs.
        metadata: Any = self._tf.compat.v1.SummaryMetadata(
            plugin_data=self._tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        )
        self._tf.summary.write(tag, self._tf.constant(value, self._tf.float32), metadata=metadata)
