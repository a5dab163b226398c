"""What one step of training knows beside its batch: its number, and its random draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

__all__ = ["Step"]

Stream: TypeAlias = Literal["corruption", "latent", "direction", "prior", "quantization"]
_STREAMS: tuple[str, ...] = get_args(Stream)
_VALIDATION = -1
_APART = 0x9E3779B  # between the keys of two streams: seeds as people choose them do not meet


@dataclass(frozen=True)
class Step:
    """Draws depend on the run's seed, the step's number and what they are for, and on nothing else.

    There is no generator with a state: a resumed run draws what the other one would have drawn.

    Args:
        seed: of the run.
        number: of steps done before this one: an int32 scalar in a graph, or a number.
        training: whether layers are to behave as in training.
    """

    seed: int
    number: Any
    training: bool

    @classmethod
    def of_validation(cls, seed: int) -> Step:
        """The same draws for every batch and epoch, so that epochs can be compared."""
        return cls(seed, _VALIDATION, False)

    def normal(self, stream: Stream, like: Any) -> Any:
        """Standard normal values of the shape of ``like``, float32."""
        import tensorflow as tf

        return tf.random.stateless_normal(tf.shape(like), self._key(stream))

    def uniform(self, stream: Stream, like: Any) -> Any:
        """Values in [0, 1) of the shape of ``like``, float32."""
        import tensorflow as tf

        return tf.random.stateless_uniform(tf.shape(like), self._key(stream))

    def _key(self, stream: Stream) -> Any:
        import tensorflow as tf

        return tf.stack([(self.seed + _STREAMS.index(stream) * _APART) % 2**31, tf.cast(self.number, tf.int32)])
