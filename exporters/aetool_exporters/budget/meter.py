"""Measures what artifacts are worth on held-out data, through the engines that are here.

The quality of an autoencoder is that of its reconstructions against the data themselves, for the float model and for
an artifact alike; the loss is the difference of the two. A reconstruction is made in every way that a user of the
bundle may: by the graph that holds both halves, and by the encoder's followed by the decoder's, on every engine and
device. The worst of them counts.

Where a model does not give back what it is given (a decoder alone, super-resolution), the float model's reconstruction
takes the place of the data. ``recall@k`` compares latents: of each sample's k nearest neighbours by the float model's
latents, the share that are among its k nearest by the artifact's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aetool_exporters.budget.budget import Budget
from aetool_exporters.budget.metrics import (
    area_under_curve,
    nearest_neighbours,
    psnr,
    recall,
    structural_similarity,
    token_accuracy,
)
from aetool_exporters.budget.suitability import HeldOut, check_suitable, gives_back
from aetool_exporters.reference import Reference
from aetool_exporters.request import Exported
from aetool_runtime.backends import Backend, Graph, available_backends, load_graph
from aetool_runtime.errors import DependencyError, InputError
from aetool_runtime.parity import output_scale, signal_to_noise
from aetool_runtime.specs import Array, Artifact, OutputScale

__all__ = ["Meter", "Quality"]

_BATCH = 64


@dataclass(frozen=True)
class Quality:
    """Of one set of artifacts, in the worst of the ways to use it.

    Args:
        value: of the budget's metric.
        loss: how much worse than the float model's, in the metric's unit; below zero where it is better.
        snr: of what the metric looks at, against the float model, dB. Tells apart what the metric cannot.
    """

    value: float
    loss: float
    snr: float


class Meter:
    """Measures artifacts of one model by one metric.

    Raises:
        UsageError: the metric does not suit the model or the data.
        DependencyError: SSIM without SciPy.
    """

    def __init__(self, reference: Reference, budget: Budget, held_out: HeldOut) -> None:
        self.budget = budget
        self._reference = reference
        self._held_out = held_out
        check_suitable(reference, budget, held_out)
        self._given = np.asarray(held_out.values, reference.given.dtype)
        self._float = self._compute()
        self.value = self._score(self._float)
        if not math.isfinite(self.value):
            raise InputError(
                f"the model's own {budget.name} on the held-out data is {self.value}",
                expected="a finite number to keep a budget against",
                hint="look for extreme values in the data" if math.isnan(self.value) else "a budget of mse:…",
            )

    @property
    def limit(self) -> float:
        """The largest loss that is accepted, in the metric's unit."""
        return self.budget.limit(self.value)

    @property
    def samples(self) -> int:
        return len(self._given)

    def keeps(self, quality: Quality) -> bool:
        """Whether it is within the budget."""
        return quality.loss <= self.limit

    def measure(self, exported: Exported) -> Quality:
        """Of artifacts, through every engine and device that is here.

        Raises:
            DependencyError: there is none.
            BackendError: an engine refused a graph or failed.
        """
        worst = Quality(math.nan, -math.inf, math.inf)
        for tensor in self._ways(exported):
            value = self._score(tensor)
            loss, snr = self.budget.loss(self.value, value), self._snr(tensor)
            value, loss = max((value, loss), (worst.value, worst.loss), key=lambda pair: pair[1])
            worst = Quality(value, loss, min(snr, worst.snr))
        return worst

    def _compute(self) -> Array:
        """The float model's latent or reconstruction, whichever the metric looks at."""
        if self.budget.metric.of == "latent":
            return self._reference.compute("encoder", self._given)
        role = self._reference.roles[-1]
        return self._reference.compute(role, self._given)

    def _ways(self, exported: Exported) -> Iterator[Array]:
        backends = available_backends(exported.artifacts[0].format)
        if not backends:
            raise DependencyError(
                f"no backend is here to measure {exported.artifacts[0].format} with",
                hint="pip install 'aetool[cpu]' for ONNX, 'aetool[litert]' for TFLite",
            )
        for backend in backends:
            for device in backend.devices():
                yield from self._on(exported, backend, device)

    def _on(self, exported: Exported, backend: Backend, device: str) -> Iterator[Array]:
        artifacts = {artifact.role: artifact for artifact in exported.artifacts}
        with ExitStack() as stack:
            graphs: dict[str, tuple[Artifact, Graph]] = {}
            for role, artifact in artifacts.items():
                graph = load_graph(backend, artifact, exported.tried(artifact), device=device, threads=1)
                stack.callback(graph.close)
                graphs[role] = (artifact, graph)
            if self.budget.metric.of == "latent":
                yield _run(*graphs["encoder"], self._given)
                return
            if "autoencoder" in graphs:
                yield _run(*graphs["autoencoder"], self._given)
            if "decoder" in graphs:
                latent = _run(*graphs["encoder"], self._given) if "encoder" in graphs else self._given
                yield _run(*graphs["decoder"], latent)

    def _score(self, tensor: Array) -> float:
        if not np.isfinite(tensor).all():
            return math.nan
        name, held_out = self.budget.metric.name, self._held_out
        if name == "recall":
            met = nearest_neighbours(tensor.reshape(len(tensor), -1), self.budget.neighbours)
            return recall(self._neighbours, met)
        if name == "accuracy":
            return token_accuracy(self._given, tensor)
        if name == "ssim":
            return structural_similarity(self._truth, tensor, held_out.peak)
        if name == "auc":
            assert held_out.anomalous is not None
            return area_under_curve(self._anomaly_scores(tensor), held_out.anomalous)
        mse = float(np.square(tensor.astype(np.float64) - self._truth).mean())
        return psnr(mse, held_out.peak) if name == "psnr" else mse

    def _anomaly_scores(self, tensor: Array) -> Array:
        """[samples]: the mean squared error of each reconstruction, in the network's own units."""
        normalization = self._reference.normalization
        error = normalization.apply(tensor).astype(np.float64) - normalization.apply(self._truth)
        scores: Array = np.square(error).reshape(len(error), -1).mean(axis=1)
        return scores

    @cached_property
    def _truth(self) -> Array:
        """What reconstructions are held against: [samples, …], raw units."""
        return self._given if gives_back(self._reference) else self._float

    @cached_property
    def _neighbours(self) -> Array:
        return nearest_neighbours(self._float.reshape(len(self._float), -1), self.budget.neighbours)

    @cached_property
    def _scale(self) -> OutputScale:
        if self.budget.metric.of == "latent":
            return output_scale(self._float)
        normalization = self._reference.normalization
        return output_scale(self._float, zero=normalization.offset, unit=normalization.scale)

    def _snr(self, tensor: Array) -> float:
        return signal_to_noise(self._float, tensor, self._scale)


def _run(artifact: Artifact, graph: Graph, real: Array) -> Array:
    """An artifact's own output, real values in and out, in batches of bounded size."""
    given = np.ascontiguousarray(artifact.inputs[0].stored(real))
    pieces = [graph.run(given[start : start + _BATCH])[0] for start in range(0, len(given), _BATCH)]
    return artifact.outputs[0].real(np.concatenate(pieces))
