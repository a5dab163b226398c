"""What people do in a notebook: export models of every kind, and the best epoch while they train."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import aetool_exporters.pipeline as flow
from aetool_exporters import ExportBest, ExportOptions, Samples, export
from aetool_exporters.reference import Reference
from aetool_exporters.request import Exported, ExportRequest
from aetool_runtime import Autoencoder, open_bundle
from aetool_runtime.errors import (
    AetoolError,
    ConversionError,
    ModelError,
    ParityError,
    UnsupportedOperatorError,
    UsageError,
)

ONNX = ExportOptions(formats=("onnx",))
DATA = np.random.default_rng(0).normal(size=(48, 6)).astype(np.float32)


class Encoder(keras.Model):
    """A subclassed model: no graph of layers, only code."""

    def __init__(self, units: int = 2) -> None:
        super().__init__()
        self.inner = layers.Dense(units)

    def call(self, tensor: Any) -> Any:
        return self.inner(tensor)


def functional() -> tuple[Any, Any]:
    given, latent = keras.Input((6,)), keras.Input((2,))
    return keras.Model(given, layers.Dense(2)(given)), keras.Model(latent, layers.Dense(6)(latent))


def sequential() -> tuple[Any, Any]:
    return (
        keras.Sequential([keras.Input((6,)), layers.Dense(4, "relu"), layers.Dense(2)]),
        keras.Sequential([keras.Input((2,)), layers.Dense(6)]),
    )


def inside() -> tuple[Any, Any]:
    given = keras.Input((6,))
    return keras.Model(given, Encoder()(given)), sequential()[1]


def subclassed() -> tuple[Any, Any]:
    return Encoder(), Encoder(6)


def not_built() -> tuple[Any, Any]:
    return keras.Sequential([layers.Dense(2)]), keras.Sequential([layers.Dense(6)])


@pytest.mark.parametrize("build", [functional, sequential, inside, subclassed, not_built])
def test_models_of_every_kind(build: Any, tmp_path: Path) -> None:
    encoder, decoder = build()
    bundle = export(encoder, decoder, tmp_path / "b.aepkg", samples=Samples.of(DATA))
    assert {artifact.format for artifact in bundle.manifest.artifacts} == {"onnx", "tflite"}
    with Autoencoder.open(bundle.path) as model:
        np.testing.assert_allclose(model.encode(DATA), encoder(DATA), atol=1e-5)


def training(build: Any = sequential) -> tuple[Any, Any, Any]:
    encoder, decoder = build()
    given = keras.Input((6,))
    whole = keras.Model(given, decoder(encoder(given)))
    whole.compile("sgd", "mse")
    return encoder, decoder, whole


class Losses(keras.callbacks.Callback):
    """Pretends what the validation loss was."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["val_loss"] = self.values[epoch]


def fit(whole: Any, callback: Any, *losses: float) -> Any:
    return whole.fit(DATA, DATA, epochs=len(losses), verbose=0, callbacks=[Losses(*losses), callback])


def test_each_best_epoch_replaces_the_last(tmp_path: Path) -> None:
    encoder, decoder, whole = training()
    best = ExportBest(encoder, decoder, tmp_path / "best.aepkg", samples=DATA, options=ONNX)
    fit(whole, best, 0.5, 0.7, float("nan"), 0.3, 0.3)
    assert [(epoch.epoch, epoch.value) for epoch in best.exported] == [(1, 0.5), (4, 0.3)]
    assert best.exported[0].digest != best.exported[1].digest == open_bundle(tmp_path / "best.aepkg").digest
    assert [path.name for path in tmp_path.iterdir()] == ["best.aepkg"]
    assert best.failures == []


def test_a_path_for_each(tmp_path: Path) -> None:
    encoder, decoder, whole = training()
    options = ExportOptions(formats=("onnx",), zip=True)
    path = tmp_path / "new" / "at-{epoch:02d}-{val_loss:.2f}.aepkg"
    fit(whole, ExportBest(encoder, decoder, path, samples=DATA, mode="max", options=options), 0.5, 0.4, 0.75)
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["at-01-0.50.aepkg", "at-03-0.75.aepkg"]
    assert all(file.is_file() for file in (tmp_path / "new").iterdir())


class FailingSecond:
    """An exporter that gives up once."""

    format = "onnx"
    precisions = ("float32",)
    calls = 0

    def __init__(self, sound: Any, error: AetoolError) -> None:
        self._sound, self._error = sound, error

    def export(self, reference: Reference, request: ExportRequest) -> Exported:
        FailingSecond.calls += 1
        if FailingSecond.calls == 2:
            raise self._error
        return self._sound.export(reference, request)  # type: ignore[no-any-return]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    sound, FailingSecond.calls = flow._exporter, 0
    monkeypatch.setattr(flow, "_exporter", lambda name: FailingSecond(sound(name), ParityError("off by one")))


@pytest.mark.usefixtures("failing")
def test_a_failure_leaves_the_last_bundle_and_the_next_epoch_is_tried(tmp_path: Path) -> None:
    encoder, decoder, whole = training()
    best = ExportBest(encoder, decoder, tmp_path / "best.aepkg", samples=DATA, options=ONNX)
    history = fit(whole, best, 0.5, 0.2, 0.3, 0.6)
    assert len(history.epoch) == 4
    assert [epoch.epoch for epoch in best.exported] == [1, 3], "0.3 is worse than what failed, better than what stands"
    assert [(epoch.epoch, str(epoch.error)) for epoch in best.failures] == [(2, "off by one")]
    assert [path.name for path in tmp_path.iterdir()] == ["best.aepkg"]


@pytest.mark.usefixtures("failing")
def test_a_failure_may_stop_the_training(tmp_path: Path) -> None:
    encoder, decoder, whole = training()
    best = ExportBest(encoder, decoder, tmp_path / "best.aepkg", samples=DATA, on_failure="stop", options=ONNX)
    history = fit(whole, best, 0.5, 0.2, 0.1)
    assert len(history.epoch) == 2
    assert open_bundle(tmp_path / "best.aepkg").digest == best.exported[0].digest


@pytest.mark.usefixtures("failing")
def test_a_failure_may_be_raised(tmp_path: Path) -> None:
    encoder, decoder, whole = training()
    best = ExportBest(encoder, decoder, tmp_path / "best.aepkg", samples=DATA, on_failure="raise", options=ONNX)
    with pytest.raises(ParityError, match="off by one"):
        fit(whole, best, 0.5, 0.2)


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "nothing monitored": ({"monitor": "val_psnr"}, "fit logs no 'val_psnr'; expected one of loss, val_loss"),
    "an unknown name in the path": ({"path": "b-{psnr}"}, r"'b-\{psnr\}' cannot be filled in.*\{epoch\} and \{loss\}"),
    "an unknown mode": ({"mode": "auto"}, "mode is 'auto'; expected one of min, max"),
    "an unknown way to fail": ({"on_failure": "ignore"}, "on_failure is 'ignore'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options, message = MISTAKES[mistake]
    encoder, decoder, whole = training()
    with pytest.raises(UsageError, match=message):
        fit(whole, ExportBest(encoder, decoder, **{"path": "b", "options": ONNX, **options}), 0.5)
    assert list(tmp_path.iterdir()) == []


def test_naming_the_callback_imports_keras_and_nothing_before() -> None:
    script = "import sys, aetool_exporters; assert 'keras' not in sys.modules; from aetool_exporters import ExportBest"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


class InverseErf(layers.Layer):
    def call(self, tensor: Any) -> Any:
        import tensorflow as tf

        return tf.math.erfinv(tensor)


class Random(layers.Layer):
    def call(self, tensor: Any) -> Any:
        import tensorflow as tf

        return tensor + tf.random.normal(tf.shape(tensor))


class Broken(layers.Layer):
    broken = False

    def call(self, tensor: Any) -> Any:
        if Broken.broken:
            raise LookupError("lost my way")
        return tensor


# layer → error, and what it must name: the operation or the reason, the layer where it is known, what to do instead
REFUSALS: dict[str, tuple[type[layers.Layer], str, type[AetoolError], tuple[str, ...]]] = {
    "no counterpart in ONNX": (InverseErf, "onnx", UnsupportedOperatorError, ("Erfinv", "'odd'", "replace the layer")),
    "no counterpart in TFLite": (
        InverseErf,
        "tflite",
        UnsupportedOperatorError,
        ("Erfinv", "'odd'", "replace the layer"),
    ),
    "random numbers in ONNX": (Random, "onnx", UnsupportedOperatorError, ("random numbers", "the mean")),
    "random numbers in TFLite": (Random, "tflite", UnsupportedOperatorError, ("random numbers", "the mean")),
    "a layer that fails, ONNX": (Broken, "onnx", ConversionError, ("lost my way", "replace the layer")),
    "a layer that fails, TFLite": (Broken, "tflite", ConversionError, ("lost my way", "replace the layer")),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_cannot_be_exported_is_named_with_a_remedy(
    refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, format_name, error, words = REFUSALS[refusal]
    given = keras.Input((6,))
    encoder = keras.Model(given, kind(name="odd")(layers.Dense(2, "tanh")(given)))
    # The truth can still be computed where only tracing fails.
    monkeypatch.setattr(Reference, "compute_all", lambda self, role, array: {"latent": array[:, :2]})
    monkeypatch.setattr(Broken, "broken", True)
    with pytest.raises(error) as refused:
        export(encoder, None, tmp_path / "b", samples=Samples.of(DATA), options=ExportOptions(formats=(format_name,)))
    assert [word for word in words if word not in str(refused.value)] == []
    assert list(tmp_path.iterdir()) == []


def test_a_subclassed_model_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"(?s)encoder: the model does not know its input.*Samples\.of"):
        export(*subclassed(), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_subclassed_model_and_samples_that_do_not_fit(tmp_path: Path) -> None:
    encoder, decoder = subclassed()
    encoder(DATA)
    with pytest.raises(ModelError, match=r"cannot be called on inputs of shape \[None, 5\]"):
        export(encoder, decoder, tmp_path / "b", samples=Samples.of(DATA[:, :5]))
