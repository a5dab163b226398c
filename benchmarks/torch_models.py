"""The four models of ``engines.py`` in PyTorch, with the weights of their exported ONNX graphs.

Written as a user of PyTorch would write them; ``gpu.py`` checks that they compute what the graphs compute. Biases of
initial models are zero and not in the graphs, so they are not here either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["TORCH_MODELS", "float_weights"]


def float_weights(graph: Path) -> list[Tensor]:
    """The graph's float constants, in its own order, which is that of computation."""
    import onnx
    from onnx import numpy_helper

    constants = [numpy_helper.to_array(constant) for constant in onnx.load(graph).graph.initializer]
    return [torch.from_numpy(constant.copy()) for constant in constants if constant.dtype == "float32"]


class Dense(nn.Module):
    """Dense layers with ReLU between them."""

    def __init__(self, weights: Sequence[Tensor], last: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(weight.t().contiguous()) for weight in weights])
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        for weight in self.weights[:-1]:
            x = F.relu(F.linear(x, weight))
        return self.last(F.linear(x, self.weights[-1]))


class Convolutional(nn.Module):
    """Three strided convolutions, a dense latent, three transposed ones; [batch, 32, 32, 3] as in Keras.

    "same" padding of a stride of 2 is at the end, as TensorFlow does it.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__()
        down, (encode, decode), up = weights[:3], weights[3:5], weights[5:]
        self.down, self.up = (nn.ParameterList([nn.Parameter(weight) for weight in group]) for group in (down, up))
        self.encode, self.decode = (nn.Parameter(weight.t().contiguous()) for weight in (encode, decode))

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)
        for weight in self.down:
            x = F.relu(F.conv2d(F.pad(x, (0, 1, 0, 1)), weight, stride=2))
        x = F.relu(F.linear(F.linear(x.flatten(1), self.encode), self.decode)).unflatten(1, (64, 4, 4))
        for weight in self.up[:-1]:
            x = F.relu(F.conv_transpose2d(x, weight, stride=2)[:, :, :-1, :-1])
        x = F.conv_transpose2d(x, self.up[-1], stride=2)[:, :, :-1, :-1]
        return x.sigmoid().permute(0, 2, 3, 1)


class Recurrent(nn.Module):
    """A GRU to a latent of 8, a GRU back to 64 steps of 2 channels."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__()
        first, recurrent, bias, encode, second, back, decode = weights
        self.encoder = _gru(first, recurrent, bias)
        self.decoder = _gru(second, back, bias)
        self.encode, self.decode = (nn.Parameter(weight.t().contiguous()) for weight in (encode, decode))

    def forward(self, x: Tensor) -> Tensor:
        _, state = self.encoder(x)
        latent = F.linear(state[-1], self.encode)
        steps, _ = self.decoder(latent.unsqueeze(1).expand(-1, 64, -1).contiguous())
        return F.linear(steps, self.decode)


def _gru(weight: Tensor, recurrent: Tensor, bias: Tensor) -> nn.GRU:
    """ONNX has the gates in the order update, reset, new; PyTorch reset, update, new."""
    hidden = recurrent.shape[-1]
    layer = nn.GRU(weight.shape[-1], hidden, batch_first=True)

    def reordered(tensor: Tensor) -> Tensor:
        update, reset, new = tensor.split(hidden)
        return torch.cat([reset, update, new])

    with torch.no_grad():
        layer.weight_ih_l0.copy_(reordered(weight[0]))
        layer.weight_hh_l0.copy_(reordered(recurrent[0]))
        layer.bias_ih_l0.copy_(reordered(bias[0, : 3 * hidden]))
        layer.bias_hh_l0.copy_(reordered(bias[0, 3 * hidden :]))
    return layer


def _same(x: Tensor) -> Tensor:
    return x


TORCH_MODELS: dict[str, Callable[[Sequence[Tensor]], Any]] = {
    "dense 784-64-32": lambda weights: Dense(weights, torch.sigmoid),
    "dense 640-128x4-8": lambda weights: Dense(weights, _same),
    "conv 32x32x3": Convolutional,
    "GRU 64x2": Recurrent,
}
