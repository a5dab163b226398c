"""Principal components of the training part, put into a model's linear path before training begins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aetool.models.linear import LINEAR, block_of, has_linear_path

if TYPE_CHECKING:
    from aetool.training.plan import Plan

__all__ = ["principal_components", "start_linear_path", "step_for"]

_MATRIX_BYTES = 256 << 20


def start_linear_path(plan: Plan) -> None:
    """Make the linear path, where a model has one, the transform to principal components and back.

    Latents are in units of ``step_for`` the rate's weight. With a block its pixels' means are those of their channels,
    as the decoder's bias is.
    """
    if not has_linear_path(plan.config.model):
        return
    block = block_of(plan.config.model)
    vectors = _vectors(plan, block)
    channels = vectors.shape[1] if not block else plan.data.sample_shape[-1]
    mean = vectors.reshape(-1, channels).mean(axis=0)
    analysis = plan.autoencoder.encoder.get_layer(f"encoder_{LINEAR}")
    synthesis = plan.autoencoder.decoder.get_layer(f"decoder_{LINEAR}")
    step = step_for(plan.config.compression.weight)
    offset = np.tile(mean, vectors.shape[1] // channels)
    axes = principal_components(vectors - offset, analysis.bias.shape[0])
    analysis.set_weights(_as(analysis, axes.T / step, -(axes @ offset) / step))
    synthesis.set_weights(_as(synthesis, axes.T * step if block else axes * step, mean))


def step_for(weight: float) -> float:
    """The step Δ that a uniform quantizer of an orthonormal transform has at a rate's weight; 1 without one.

    An error of Δ²/12 for each coefficient falls by 2 · ln 2 · Δ²/12 with each bit (Gish and Pierce 1968); the weight is
    what a bit is worth.
    """
    return math.sqrt(6 * weight / math.log(2)) if weight else 1.0


def principal_components(matrix: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Orthonormal rows [count, values], those of largest second moment first; zeros where there are fewer.

    Args:
        matrix: [n, values], centered.
    """
    rows, values = matrix.shape
    if rows > values:
        _, vectors = np.linalg.eigh(matrix.T @ matrix)
        axes = vectors.T[::-1]
    else:
        axes = np.linalg.svd(matrix, full_matrices=False)[2]
    axes = axes[:count] * np.sign(axes[:count].sum(axis=1, keepdims=True) + 1e-30)  # one of the two directions
    return np.concatenate([axes, np.zeros((count - len(axes), values))])


def _vectors(plan: Plan, block: int) -> NDArray[np.float64]:
    """Normalized training samples, or their blocks, [n, values]; evenly spread where not all fit into 256 MiB."""
    training, shape = plan.data.training, plan.data.sample_shape
    count = max(1, min(len(training), _MATRIX_BYTES // (8 * math.prod(shape))))
    samples = training.take(np.arange(count) * len(training) // count)
    normalized = plan.data.normalization.apply(samples).astype(np.float64)
    if not block:
        return normalized.reshape(count, -1)
    height, width, channels = shape
    grid = normalized.reshape(count, height // block, block, width // block, block, channels)
    return np.ascontiguousarray(grid.swapaxes(2, 3)).reshape(-1, block * block * channels)


def _as(layer: Any, kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> list[NDArray[np.float32]]:
    """In the shapes of a layer's weights."""
    return [kernel.reshape(layer.kernel.shape).astype(np.float32), bias.reshape(layer.bias.shape).astype(np.float32)]
