"""A network's codec on trial."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from aetool_exporters.compression.computing import compute
from aetool_exporters.compression.encoding import exported_latents
from aetool_exporters.compression.keras_program import read_decoder
from aetool_exporters.compression.network import integer_network
from aetool_exporters.compression.nodes import Floats, InexpressibleError, Program
from aetool_exporters.compression.scales import Setting
from aetool_exporters.compression.sensitivity import sensitivity
from aetool_exporters.compression.subject import Fold, Subject
from aetool_exporters.reference import Reference
from aetool_exporters.request import Exported
from aetool_runtime.compression.decoder.shapes import free_shape, shape_after
from aetool_runtime.compression.description import Codec, Step
from aetool_runtime.specs import Artifact

__all__ = ["network_subject"]

_CALIBRATION = 1 << 21  # values of training samples that ranges are measured on
_CHECKED = 8
_CLOSE = 1e-3  # of the output's spread, that our reading of the network may differ from Keras
_LOSS = 0.1  # of the network's error, that integers may add as noise: half a percent of the sum
_FINEST = 2.0**-6  # of the steps that a network was trained for


def network_subject(
    reference: Reference, encoders: Sequence[tuple[Exported, Artifact]], setting: Setting
) -> tuple[Subject, float, float]:
    """The codec, the factor of the steps that suit its network, and the finest.

    Raises:
        InexpressibleError: the decoder has what integers cannot express, or the bundle no encoder that runs here.
    """
    if reference.decoder is None or not encoders:
        raise InexpressibleError("a bundle without encoder and decoder")
    if reference.reconstruction.sample_shape != reference.input.sample_shape:
        raise InexpressibleError("a reconstruction of another shape than the input's")
    program = read_decoder(reference)
    training = Fold(setting.training, exported_latents(*encoders[0], setting.training))
    _check(reference, program, training.latents[:_CHECKED])
    some = training.subset(_CALIBRATION)
    error = compute(program, some.latents) - some.samples
    rmse = float(np.sqrt(np.mean(error**2)))
    network = integer_network(program, some.latents, setting.output, max(_LOSS * rmse, setting.output.unit))
    base, start, finest = _steps(reference, program, some, setting, float(np.mean((error / setting.scale) ** 2)))
    codec = Codec(
        "network",
        "artifact",
        reference.latent.sample_shape,
        _downsampling(reference.latent.sample_shape, network.steps),
        network.unit,
        _center(reference, training.latents, network.unit),
        (),
        network.steps,
    )
    held_out = Fold(setting.held_out, exported_latents(*encoders[0], setting.held_out))
    return Subject(codec, setting.compression, setting.scale, base / network.unit, training, held_out), start, finest


def _check(reference: Reference, program: Program, latents: Floats) -> None:
    """Our reading of the network against Keras itself: what was misread must not be shipped."""
    wanted = reference.compute("decoder", latents.astype(np.float32)).astype(np.float64)
    far = np.abs(compute(program, latents.astype(np.float32)) - wanted).max()
    if far > _CLOSE * (wanted.std() + 1e-6 * np.abs(wanted).max()):
        raise InexpressibleError(f"the network as Keras computes it (its reading is off by {far:.3g})")


def _steps(
    reference: Reference, program: Program, some: Fold, setting: Setting, distortion: float
) -> tuple[Floats, float, float]:
    """Real steps of the channels at the factor 1, the factor to begin with, and the finest.

    Where nobody trained for steps, every channel is to cost the output as much error as the others (which is best where
    rates are high), and all together as much as the network itself makes.
    """
    if reference.rate is not None:
        return np.array(reference.rate.step, np.float64), 1.0, _FINEST
    moved = sensitivity(program, some.latents, setting.scale)
    live = int(np.count_nonzero(some.latents.reshape(-1, len(moved)).std(axis=0) > 0)) or 1
    values = some.samples[0].size
    places = some.latents[0].size // len(moved)
    start = math.sqrt(12 * values * max(distortion, setting.finest**2) / (live * places))
    return 1 / moved, start, start * _FINEST


def _center(reference: Reference, latents: Floats, unit: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Where symbols are 0: where values are densest."""
    known = reference.rate.center if reference.rate else np.median(latents.reshape(-1, latents.shape[-1]), axis=0)
    return np.clip(np.rint(np.asarray(known) / unit), -32767, 32767).astype(np.int32)


def _downsampling(latent_shape: tuple[int | None, ...], steps: Sequence[Step]) -> tuple[int, ...]:
    """How often each free size of the latent fits the sample's; () where none is free."""
    if None not in latent_shape:
        return ()
    shapes = [free_shape(latent_shape)]
    for step in steps:
        shapes.append(shape_after(step, [shapes[i] for i in step.inputs]))
    return tuple(max(1, size.factor) for size in shapes[-1])
