"""A factorized entropy model: a Laplace distribution for each channel (Ballé 2017 and 2018 have other densities)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LaplacePrior"]

_NARROWEST = 0.03  # of a scale: an integer's probability is 1 up to rounding there


class LaplacePrior:
    """What integers cost, channel by channel; both parameters are trained.

    Args:
        center, scale: of each channel, [channels]; what they begin as.
    """

    def __init__(self, center: NDArray[Any], scale: NDArray[Any]) -> None:
        import keras

        self.center = keras.Variable(np.asarray(center, np.float32), name="prior_center")
        self._log_scale = keras.Variable(np.log(np.maximum(scale, _NARROWEST)).astype(np.float32), name="prior_scale")

    @classmethod
    def fitted(cls, values: NDArray[Any]) -> LaplacePrior:
        """The most likely one for values [n, channels]: about their medians (Laplace 1774)."""
        center = np.median(values, axis=0)
        return cls(center, np.abs(values - center).mean(axis=0))

    @property
    def variables(self) -> list[Any]:
        return [self.center, self._log_scale]

    @property
    def scale(self) -> Any:
        """[channels]."""
        import tensorflow as tf

        return tf.maximum(tf.exp(self._log_scale.value), _NARROWEST)

    def bits(self, values: Any) -> Any:
        """−log2 of the probability of [v − ½, v + ½] for values v [..., channels]; the same shape.

        Of integers that is what an ideal coder takes; of values with uniform noise it bounds it (Ballé 2017).
        """
        import tensorflow as tf

        scale = self.scale
        distance = tf.abs(values - self.center.value)
        # Beyond ½ the interval lies on one side of the center, and the logarithm can be taken by hand.
        beyond = (distance - 0.5) / scale - tf.math.log1p(-tf.exp(-1 / scale)) + math.log(2)
        near = tf.minimum(distance, 0.5)
        within = -tf.math.log(-0.5 * (tf.math.expm1((near - 0.5) / scale) + tf.math.expm1(-(near + 0.5) / scale)))
        return tf.where(distance > 0.5, beyond, within) / math.log(2)
