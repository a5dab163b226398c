"""What kernels are multiplied with: for each of a kernel's outputs, one row of inputs in the order of its weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from aetool_exporters.tflite.editing import GraphEditor, operator_name
from aetool_exporters.tflite.kernels import WEIGHTED
from aetool_runtime.specs import Array

__all__ = ["Meetings", "meetings_of"]


_MOST_VALUES = 1 << 22
_SAME = 0


class Meetings:
    """Rows that one kernel met, evenly from all samples.

    Args:
        name: ``FULLY_CONNECTED``, ``CONV_2D`` or ``TRANSPOSE_CONV``.
        operator: the ``OperatorT``.
        kernel: [outputs, …, inputs], its shape.
        samples: how many are to come; together they leave at most 4 Mi values.
    """

    def __init__(self, name: str, operator: Any, kernel: tuple[int, ...], samples: int) -> None:
        self._name = name
        self._options = operator.builtinOptions
        self._kernel = kernel
        self._most = max(1, _MOST_VALUES // (samples * int(np.prod(kernel[1:]))))
        self._rows: list[Array] = []

    def add(self, value: Array, output: tuple[int, ...]) -> None:
        """Take in one sample's input.

        Args:
            value: what the operation read.
            output: the shape of what it made.
        """
        if not np.isfinite(value).all():
            return
        if self._name == "FULLY_CONNECTED":
            rows = value.reshape(-1, self._kernel[-1])
            self._rows.append(rows[self._chosen(len(rows))].astype(np.float32))
            return
        if value.shape[-1] != self._kernel[-1]:  # of grouped convolutions every group has weights of its own
            return
        windows = self._windows(value, output)
        sizes = windows.shape[:3]
        places = np.unravel_index(self._chosen(int(np.prod(sizes))), sizes)
        self._rows.append(windows[places].reshape(len(places[0]), -1).astype(np.float32))

    @property
    def rows(self) -> Array | None:
        """[rows, inputs]; ``None`` where nothing was met."""
        return np.concatenate(self._rows) if self._rows else None

    def _chosen(self, count: int) -> Array:
        if count <= self._most:
            return np.arange(count)
        return np.random.default_rng(len(self._rows)).choice(count, self._most, replace=False)

    def _windows(self, value: Array, output: tuple[int, ...]) -> Array:
        """[batch, height, width, kernel height, kernel width, channels], a view."""
        options, size = self._options, self._kernel[1:3]
        strides = (options.strideH, options.strideW)
        if self._name == "TRANSPOSE_CONV":
            return _spread_windows(value, size, strides, output[1:3], options.padding == _SAME)
        dilations = (options.dilationHFactor, options.dilationWFactor)
        reach = [(extent - 1) * dilation + 1 for extent, dilation in zip(size, dilations, strict=True)]
        missing = [
            max((made - 1) * stride + extent - held, 0) if options.padding == _SAME else 0
            for made, stride, extent, held in zip(output[1:3], strides, reach, value.shape[1:3], strict=True)
        ]
        padded = _padded(value, [(count // 2, count - count // 2) for count in missing])
        seen = sliding_window_view(padded, reach, axis=(1, 2))[:, :: strides[0], :: strides[1]]
        return np.moveaxis(seen[..., :: dilations[0], :: dilations[1]], 3, 5)


def _spread_windows(
    value: Array, size: tuple[int, ...], strides: tuple[int, int], output: tuple[int, ...], same: bool
) -> Array:
    """Of a transposed convolution: an ordinary one, mirrored, over the input with zeros between its values."""
    batch, height, width, channels = value.shape
    spread = np.zeros((batch, (height - 1) * strides[0] + 1, (width - 1) * strides[1] + 1, channels), value.dtype)
    spread[:, :: strides[0], :: strides[1]] = value
    missing = []
    for held, extent, made in zip(spread.shape[1:3], size, output, strict=True):
        cut = max(held + extent - 1 - made, 0) // 2 if same else 0
        before = extent - 1 - cut
        missing.append((before, made + extent - 1 - before - held))
    padded = _padded(spread, [(before, max(after, 0)) for before, after in missing])
    seen = sliding_window_view(padded, size, axis=(1, 2))[:, : output[0], : output[1]]
    return np.moveaxis(seen[..., ::-1, ::-1], 3, 5)


def _padded(value: Array, missing: list[tuple[int, int]]) -> Array:
    return np.pad(value, [(0, 0), *missing, (0, 0)])


def meetings_of(editor: GraphEditor, samples: int) -> dict[int, Meetings]:
    """For each operation with a constant kernel, by its place, where to put its rows."""
    found = {}
    for place, operator in enumerate(editor.subgraph.operators):
        name = operator_name(editor.model, operator)
        if name not in WEIGHTED or name == "DEPTHWISE_CONV_2D":  # of which every channel has weights of its own
            continue
        kernel = editor.constant(int(operator.inputs[WEIGHTED[name].kernel]))
        if kernel is not None:
            found[place] = Meetings(name, operator, kernel.shape, samples)
    return found
