"""Weights of ``CuDNNLSTM`` and ``CuDNNGRU``, which only GPUs could run → those of ``LSTM`` and ``GRU``.

The layout is Keras 2's (``_convert_rnn_weights``): input kernels are stored by columns, recurrent ones transposed, both
gate by gate, and there are two biases, which an LSTM adds up and a GRU that resets after the product keeps apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["from_cudnn"]


def from_cudnn(wanted: Sequence[tuple[int, ...]], values: list[Any]) -> list[Any]:
    """Convert every kernel, recurrent kernel and bias whose bias tells that it is cuDNN's; leave the others.

    Args:
        wanted: the shapes that a layer's weights have.
        values: those in the file, in the same order.
    """
    converted = list(values)
    for place, (shape, value) in enumerate(zip(wanted, values, strict=False)):
        if place < 2 or value.ndim != 1 or value.size != 2 * shape[-1]:
            continue
        kernel, recurrent = values[place - 2 : place]
        gates = shape[-1] // recurrent.shape[0]
        converted[place - 2] = np.hstack([_by_columns(gate) for gate in np.hsplit(kernel, gates)])
        converted[place - 1] = np.hstack([gate.T for gate in np.hsplit(recurrent, gates)])
        halves = value.reshape(2, -1)
        converted[place] = halves.sum(axis=0) if len(shape) == 1 else halves
    return converted


def _by_columns(gate: Any) -> Any:
    return gate.T.reshape(gate.shape, order="F")
