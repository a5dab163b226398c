"""Tensors and kernels that integers would be too coarse for, by what calibration saw of them.

Such are values that vary little around a large offset (the integers must reach zero, for padding), and channels of very
different size, together with the weights that make up for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aetool_exporters.quantization.affine import Affine
from aetool_exporters.tflite.calibration import Statistics
from aetool_exporters.tflite.editing import GraphEditor, operator_name
from aetool_exporters.tflite.kernels import CARRIED, WEIGHTED
from aetool_exporters.tflite.weights import energy_of_inputs, takes_channels
from aetool_runtime.specs import Array

__all__ = ["coarse_kernels", "coarse_tensors", "operators_around"]

_LEAST_RATIO = 100.0  # 20 dB: eight bits usually leave 35


def coarse_tensors(editor: GraphEditor, statistics: Mapping[int, Statistics], dtype: str) -> set[int]:
    """Tensors of which less than 20 dB would be left, where they are multiplied with weights or leave the graph."""
    outputs = {int(index) for index in editor.subgraph.outputs if int(index) in statistics}
    found = {index for index in outputs if _is_coarse(statistics[index], np.ones(1), dtype)}
    makers = {int(index): operator for operator in editor.subgraph.operators for index in operator.outputs}
    for operator in editor.subgraph.operators:
        index, energy = _weighed_input(editor, operator)
        if index in statistics and energy is not None and _is_coarse(statistics[index], energy, dtype):
            found.add(index)
    waiting = list(found)
    while waiting:  # what only hands values on has its input's integers
        maker = makers.get(waiting.pop())
        if maker is not None and operator_name(editor.model, maker) in CARRIED:
            sources = {int(i) for i in maker.inputs if int(i) in statistics} - found
            found |= sources
            waiting += sources
    return found


def coarse_kernels(editor: GraphEditor, statistics: Mapping[int, Statistics], *, per_channel: bool) -> set[int]:
    """Places of operations whose weights, rounded to int8, would leave less than 20 dB of what they make."""
    found = set()
    for place, operator in enumerate(editor.subgraph.operators):
        index, energy = _weighed_input(editor, operator)
        if energy is None or index not in statistics or len(energy) % len(statistics[index].variance):
            continue
        kernel = editor.constant(int(operator.inputs[WEIGHTED[operator_name(editor.model, operator)].kernel]))
        assert kernel is not None
        variance = np.resize(statistics[index].variance, len(energy))
        apart = per_channel and takes_channels(operator_name(editor.model, operator), kernel, 0)
        reach = np.abs(kernel).max(axis=tuple(range(1, kernel.ndim)) if apart else None) / 127
        count = kernel.size / len(energy) / len(kernel)  # places of the kernel that each channel meets
        steps = float(np.sum(np.broadcast_to(reach, len(kernel)) ** 2)) / 12
        noise = steps * count * float(variance.sum())
        if 0 < float(energy @ variance) < _LEAST_RATIO * noise:
            found.add(place)
    return found


def operators_around(editor: GraphEditor, tensors: set[int]) -> set[int]:
    """Places of the operations that read or make one of these tensors."""
    return {
        place
        for place, operator in enumerate(editor.subgraph.operators)
        if tensors & {int(index) for index in (*operator.inputs, *operator.outputs)}
    }


def _weighed_input(editor: GraphEditor, operator: Any) -> tuple[int, Array | None]:
    name = operator_name(editor.model, operator)
    if name not in WEIGHTED or name == "DEPTHWISE_CONV_2D":
        return -1, None
    kernel = editor.constant(int(operator.inputs[WEIGHTED[name].kernel]))
    index = int(operator.inputs[WEIGHTED[name].data])
    return (-1, None) if kernel is None else (index, energy_of_inputs(kernel))


def _is_coarse(held: Statistics, energy: Array, dtype: str) -> bool:
    """Whether rounding adds more than a hundredth of the variance, each channel counting by its weights."""
    channels = len(held.variance)
    if len(energy) > 1 and len(energy) % channels:
        return False
    weight = energy.reshape(-1, channels).sum(axis=0) if len(energy) > 1 else np.ones(channels)
    signal = float(np.sum(weight * held.variance))
    affine = Affine.covering(held.range, dtype, symmetric=dtype == "int16")
    noise = float(weight.sum()) * affine.scale**2 / 12
    return 0 < signal < _LEAST_RATIO * noise
