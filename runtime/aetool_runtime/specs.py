"""The domain's values: what a tensor, a normalization and an artifact are. Frozen, plain, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.golden import GoldenCase

__all__ = [
    "MAX_RANK",
    "PRECISIONS",
    "ROLES",
    "ROLE_TENSORS",
    "Array",
    "Artifact",
    "Normalization",
    "OutputScale",
    "Quantization",
    "Role",
    "TensorSpec",
    "Tolerance",
]

Array: TypeAlias = NDArray[Any]
Role = Literal["encoder", "decoder", "autoencoder"]

# role → the name of its one input, and of its first output
ROLE_TENSORS: Mapping[Role, tuple[str, str]] = {
    "encoder": ("input", "latent"),
    "decoder": ("latent", "reconstruction"),
    "autoencoder": ("input", "reconstruction"),
}
ROLES: tuple[Role, ...] = ("encoder", "decoder", "autoencoder")
MAX_RANK = 8
PRECISIONS: tuple[str, ...] = ("float32", "float16", "dynamic_range", "int8", "int16x8")


@dataclass(frozen=True)
class Quantization:
    """Affine quantization of an integer tensor: real = scale · (q − zero_point).

    Args:
        scale: one value, or one for each slice along ``axis``; > 0.
        zero_point: as many integers as ``scale`` has values.
        axis: the axis that the values run along; ``None`` for one value for the whole tensor.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None

    def quantize(self, real: Array, dtype: str) -> Array:
        """Real values → the nearest integers of ``dtype``, those out of range to its ends."""
        limits = np.iinfo(dtype)
        scale, zero_point = self.along(real.ndim)
        steps = np.rint(np.asarray(real, np.float32) / scale) + zero_point
        integers: Array = np.clip(steps, limits.min, limits.max).astype(dtype)
        return integers

    def dequantize(self, integers: Array) -> NDArray[np.float32]:
        """Integers → real values, float32."""
        scale, zero_point = self.along(integers.ndim)
        real: NDArray[np.float32] = (integers.astype(np.float32) - zero_point) * scale
        return real

    def along(self, rank: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scale and zero point in the shape in which they go with an array of that many dimensions."""
        shape = [1] * rank
        if self.axis is not None:
            shape[self.axis] = len(self.scale)
        return np.array(self.scale, np.float32).reshape(shape), np.array(self.zero_point, np.float32).reshape(shape)


@dataclass(frozen=True)
class TensorSpec:
    """A graph's input or output.

    Args:
        name: ``input``, ``latent``, ``reconstruction``, ``latent_mean``, ``latent_logvar``.
        dtype: NumPy's name, such as ``float32``.
        shape: with the batch dimension first; ``None`` for a free dimension.
        quantization: for integer tensors that stand for real values.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    quantization: Quantization | None = None

    @property
    def sample_shape(self) -> tuple[int | None, ...]:
        """The shape of one sample: without the batch dimension."""
        return self.shape[1:]

    def takes(self, dtype: str, shape: Sequence[int]) -> bool:
        """Whether an array [batch, …] of this type and shape is such a tensor; any batch will do."""
        return (
            dtype == self.dtype
            and len(shape) == len(self.shape)
            and all(want in (None, met) for want, met in zip(self.sample_shape, shape[1:], strict=True))
        )

    def real(self, array: Array) -> Array:
        """What an array of this tensor stands for: real values, float32, where the tensor is quantized; else itself."""
        return array if self.quantization is None else self.quantization.dequantize(array)

    def stored(self, real: Array) -> Array:
        """Real values as an array of this tensor: the opposite of ``real``."""
        return real if self.quantization is None else self.quantization.quantize(real, self.dtype)

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}{format_shape(self.shape)}"


def format_shape(shape: Sequence[int | None]) -> str:
    """``[batch, 784]``-like text of a shape whose first dimension may be free."""
    names = ["?" if size is None else str(size) for size in shape]
    if shape and shape[0] is None:
        names[0] = "batch"
    return "[" + ", ".join(names) + "]"


@dataclass(frozen=True)
class Normalization:
    """What the network sees: normalized = (raw − offset) / scale, along the last axis.

    It is learned on the training part and is inside the exported graphs: a device feeds and receives raw values.

    Args:
        offset: one value, or one per channel (the last axis), in raw units.
        scale: as many values as ``offset``, in raw units, none of them zero.
    """

    offset: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)

    @property
    def is_identity(self) -> bool:
        return set(self.offset) == {0.0} and set(self.scale) == {1.0}

    def apply(self, raw: Array) -> NDArray[np.float32]:
        """Raw → normalized, float32, any shape whose last axis fits."""
        offset, scale = self._arrays()
        return (np.asarray(raw, np.float32) - offset) / scale

    def invert(self, normalized: Array) -> NDArray[np.float32]:
        """Normalized → raw, float32, any shape whose last axis fits."""
        offset, scale = self._arrays()
        return np.asarray(normalized, np.float32) * scale + offset

    def _arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.array(self.offset, np.float32), np.array(self.scale, np.float32)


@dataclass(frozen=True)
class Tolerance:
    """How far an artifact may be from the reference, in units of the output's own scale (FORMAT.md, "Parity").

    Args:
        atol: share of the scale.
        rtol: share of the value's distance from the centre.
    """

    atol: float
    rtol: float


@dataclass(frozen=True)
class OutputScale:
    """The natural unit of an output: where its values lie and how far they spread on real data, in raw units.

    Args:
        center: one value, or one per channel (the last axis).
        scale: as many values as ``center``; > 0.
    """

    center: tuple[float, ...]
    scale: tuple[float, ...]


@dataclass(frozen=True)
class Artifact:
    """One graph of a bundle: role × format × precision.

    Args:
        role: ``encoder``, ``decoder`` or ``autoencoder``.
        format: ``onnx``, ``tflite``, or a plug-in's.
        precision: one of ``PRECISIONS``, or a plug-in's.
        path: the file in the bundle; several artifacts may share one (TFLite signatures).
        inputs, outputs: in the graph's own order.
        tolerance: what parity with the reference means for this artifact.
        opset: of ONNX's default domain; ``None`` for other formats.
        signature: the name of the TFLite signature; ``None`` for other formats.
        cases: golden vectors of its own, which the self-test uses in place of the bundle's: what the artifact returned
            when it was made. Empty for ``float32``, which is held against the model itself.
        snr: output → signal-to-noise ratio against the model on held-out data, dB; empty for ``float32``.
        external_data: a file of the bundle that holds tensors which the graph keeps outside itself; ``None`` for none.
        operators: operation → how often the graph has it; empty when it was not counted. For people.
    """

    role: Role
    format: str
    precision: str
    path: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tolerance: Tolerance
    opset: int | None = None
    signature: str | None = None
    cases: tuple[GoldenCase, ...] = ()
    snr: Mapping[str, float] = field(default_factory=dict)
    external_data: str | None = None
    operators: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.role} {self.format} {self.precision}"
