"""Verification sees damage: every artifact of a damaged model fails against the sound one, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aetool_exporters import ExportOptions, Reference, Samples, export, verify
from aetool_runtime.bundle import Bundle
from aetool_runtime.errors import ModelError
from aetool_runtime.specs import Normalization


def change_one_weight(reference: Reference) -> Reference:
    kernel = reference.encoder.get_layer("latent").kernel
    values = kernel.numpy()
    values[3, 2] *= 1.05
    kernel.assign(values)
    return reference


def drop_bias(reference: Reference) -> Reference:
    bias = reference.encoder.get_layer("conv").bias
    bias.assign(np.zeros(bias.shape))
    return reference


def misfold_batch_norm(reference: Reference) -> Reference:
    """As if epsilon had been forgotten when the statistics were folded into the convolution."""
    reference.encoder.get_layer("norm").epsilon = 0.0
    return reference


def permute_inputs(reference: Reference) -> Reference:
    kernel = reference.encoder.get_layer("conv").kernel
    kernel.assign(kernel.numpy()[:, ::-1, :])
    return reference


def forget_normalization(reference: Reference) -> Reference:
    return Reference(reference.encoder, reference.decoder, Normalization((1000.0, 980.1), (40.0, 55.0)))


DAMAGES = [change_one_weight, drop_bias, misfold_batch_norm, permute_inputs, forget_normalization]


def bundle_of(reference: Reference, samples: Samples, path: Path) -> Bundle:
    return export(reference.encoder, reference.decoder, path, normalization=reference.normalization, samples=samples)


def test_a_sound_bundle_passes_everywhere(reference: Reference, samples: Samples, tmp_path: Path) -> None:
    checks = list(verify(bundle_of(reference, samples, tmp_path / "sound.aepkg"), reference, samples))
    assert {(check.artifact.role, check.artifact.format, check.backend) for check in checks} == {
        (role, format_name, backend)
        for role in ("encoder", "decoder", "autoencoder")
        for format_name, backend in (("onnx", "onnxruntime"), ("tflite", "litert"))
    }
    assert [str(check.worst) for check in checks if not check.passed] == []


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda function: function.__name__)
def test_damage_is_caught(
    damage: Callable[[Reference], Reference],
    make_reference: Callable[[], Reference],
    reference: Reference,
    samples: Samples,
    tmp_path: Path,
) -> None:
    bundle = bundle_of(damage(make_reference()), samples, tmp_path / "damaged.aepkg")
    checks = [check for check in verify(bundle, reference, samples) if check.artifact.role != "decoder"]
    assert len(checks) == 4
    assert [check for check in checks if check.passed] == []


def test_another_model_is_refused(reference: Reference, samples: Samples, tmp_path: Path) -> None:
    import keras

    bundle = bundle_of(reference, samples, tmp_path / "sound.aepkg")
    other = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    with pytest.raises(ModelError, match=r"the model's latent is \[batch, 2\]|the model's input is \[batch, 5\]"):
        list(verify(bundle, Reference(other, None, Normalization()), Samples.of(np.zeros((1, 5), np.float32))))


def test_every_edge_case_is_tried(reference: Reference, samples: Samples, tmp_path: Path) -> None:
    options = ExportOptions(formats=("onnx",))
    bundle = export(
        reference.encoder,
        reference.decoder,
        tmp_path / "sound.aepkg",
        normalization=reference.normalization,
        samples=samples,
        options=options,
    )
    cases = {
        check.artifact.role: [report.case for report in check.reports] for check in verify(bundle, reference, samples)
    }
    inputs = [
        "held-out",
        "batch 1",
        "batch 2",
        "batch 7",
        "batch 64",
        "zeros",
        "ones",
        "minimum",
        "maximum",
        "denormals",
    ]
    latents = ["latent zeros", "latent minimum", "latent maximum", "latent ones", "latent denormals"]
    assert cases == {"encoder": inputs, "decoder": inputs + latents, "autoencoder": inputs}
