"""SavedModel folders: cut as graphs of operations, and never run where they could reach beyond themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.core.protobuf import saved_model_pb2

from aetool_exporters.foreign.opening import open_halves, open_model
from aetool_exporters.foreign.saved_model import read_saved_model
from aetool_runtime.errors import ModelError, UnsafeError, UnsupportedOperatorError

from .old_files import computed, scrambled

pytestmark = pytest.mark.filterwarnings("ignore")


def dense() -> keras.Model:
    return keras.Sequential([keras.Input((12,)), layers.Dense(8, "relu", name="down"), layers.Dense(3, name="middle"),
                             layers.Dense(8, "relu", name="up"), layers.Dense(12, "sigmoid", name="out")])  # fmt: skip


def convolutional() -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3, strides=2, padding="same", name="down"),
                             layers.BatchNormalization(), layers.ReLU(), layers.Flatten(),
                             layers.Dense(3, name="middle"), layers.Dense(64), layers.Reshape((4, 4, 4)),
                             layers.Conv2DTranspose(1, 3, strides=2, padding="same")])  # fmt: skip


def recurrent() -> keras.Model:
    return keras.Sequential([keras.Input((6, 2)), layers.LSTM(5, name="middle"), layers.RepeatVector(6),
                             layers.GRU(2, return_sequences=True)])  # fmt: skip


def saved(folder: Path, model: keras.Model) -> Path:
    scrambled(model).export(folder, verbose=False)
    return folder


@pytest.mark.parametrize(("build", "latent"), [(dense, 3), (convolutional, 3), (recurrent, 5)])
def test_an_autoencoder_is_cut_at_its_narrowest(tmp_path: Path, build: Callable[[], keras.Model], latent: int) -> None:
    model = build()
    halves = open_model(saved(tmp_path / "model", model))
    assert halves.encoder.output_shape == halves.decoder.input_shape == (None, latent)
    assert any("middle" in notice for notice in halves.notices)
    shape = (3, *model.inputs[0].shape[1:])
    given = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    met = halves.decoder(halves.encoder(given))
    np.testing.assert_allclose(met, model(given), atol=1e-5)
    assert halves.encoder.count_params() + halves.decoder.count_params() == model.count_params()


def test_a_layer_by_name(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", dense())
    halves = open_model(folder, latent="down")
    assert halves.encoder.output_shape == (None, 8)
    with pytest.raises(ModelError) as refusal:
        open_model(folder, latent="midle")
    assert "middle [batch, 3]" in refusal.value.expected


def test_halves_in_folders(tmp_path: Path) -> None:
    one = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    other = keras.Sequential([keras.Input((2,)), layers.Dense(6)])
    halves = open_halves(saved(tmp_path / "encoder", one), saved(tmp_path / "decoder", other))
    np.testing.assert_allclose(computed(halves.encoder), computed(one), atol=1e-6)
    assert open_model(tmp_path / "decoder").encoder is None


class Program(tf.Module):
    """A function that somebody wrote, saved with its signature."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.weight = tf.Variable(np.eye(4, dtype=np.float32))
        self.function = function

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="given")])
    def serve(self, given: Any) -> Any:
        return {"made": self.function(tf.matmul(given, self.weight))}

    @tf.function(input_signature=[])
    def train(self) -> Any:
        return self.weight


def program(folder: Path, function: Callable[[Any], Any]) -> Path:
    module = Program(function)
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    return folder


def test_random_numbers_become_their_mean(tmp_path: Path) -> None:
    folder = program(tmp_path / "model", lambda x: x + tf.random.normal(tf.shape(x)) + tf.random.uniform(tf.shape(x)))
    halves = open_model(folder, encoder_only=True)
    given = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(halves.encoder(given), given + 0.5, atol=1e-6)
    assert sum("draws random numbers" in notice for notice in halves.notices) == 2


class TestPrograms:
    """What a folder could do to whoever opens it."""

    @staticmethod
    def reads(tensor: Any) -> Any:
        return tensor + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)

    @staticmethod
    def writes(tensor: Any) -> Any:
        tf.io.write_file("/tmp/never", "")
        return tensor

    @staticmethod
    def calls_python(tensor: Any) -> Any:
        return tf.numpy_function(lambda x: x, [tensor], tf.float32)

    @staticmethod
    def inside_a_branch(tensor: Any) -> Any:
        return tf.cond(tf.reduce_sum(tensor) > 0, lambda: TestPrograms.reads(tensor), lambda: tensor)

    @pytest.mark.parametrize(("function", "word"), [
        (reads, "ReadFile"), (writes, "WriteFile"), (calls_python, "PyFunc"), (inside_a_branch, "ReadFile"),
    ])  # fmt: skip
    def test_that_reach_out_are_refused(self, tmp_path: Path, function: Any, word: str) -> None:
        function = getattr(function, "__func__", function)
        with pytest.raises(UnsafeError, match=word):
            read_saved_model(program(tmp_path / "model", function))

    def test_that_reach_out_where_nobody_calls_them_are_refused_too(self, tmp_path: Path) -> None:
        module = Program(lambda x: x)
        module.other = tf.function(lambda: tf.io.read_file("/etc/hostname"), input_signature=[])
        tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.serve)
        with pytest.raises(UnsafeError, match="ReadFile"):
            read_saved_model(tmp_path / "model")

    def test_with_unknown_operations_are_refused_by_name(self, tmp_path: Path) -> None:
        folder = program(tmp_path / "model", lambda x: tf.strings.to_number(tf.strings.as_string(x)))
        with pytest.raises(UnsupportedOperatorError, match=r"AsString|StringToNumber"):
            read_saved_model(folder)

    def test_with_tables_are_refused(self, tmp_path: Path) -> None:
        module = Program(lambda x: x)
        keys = tf.constant([1, 2], tf.int64)
        initializer = tf.lookup.KeyValueTensorInitializer(keys, keys)
        module.table = tf.lookup.StaticHashTable(initializer, 0)
        tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.serve)
        with pytest.raises(UnsafeError, match="when it is loaded"):
            read_saved_model(tmp_path / "model")

    def test_whose_files_are_links_are_refused(self, tmp_path: Path) -> None:
        folder = program(tmp_path / "model", lambda x: x)
        index = folder / "variables" / "variables.index"
        index.rename(tmp_path / "elsewhere")
        index.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(UnsafeError, match="link"):
            read_saved_model(folder)


class TestDamage:
    def test_a_program_that_is_cut_off(self, tmp_path: Path) -> None:
        folder = program(tmp_path / "model", lambda x: x)
        path = folder / "saved_model.pb"
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(ModelError):
            read_saved_model(folder)

    def test_missing_weights(self, tmp_path: Path) -> None:
        folder = program(tmp_path / "model", lambda x: x)
        next((folder / "variables").glob("*.data*")).unlink()
        with pytest.raises(ModelError, match="cannot read"):
            read_saved_model(folder)

    def test_several_signatures_are_listed(self, tmp_path: Path) -> None:
        module = Program(lambda x: x)
        tf.saved_model.save(module, str(tmp_path / "model"), signatures={"one": module.serve, "two": module.serve})
        with pytest.raises(ModelError, match="one, two"):
            read_saved_model(tmp_path / "model")

    def test_one_of_tensorflow_1(self, tmp_path: Path) -> None:
        folder = program(tmp_path / "model", lambda x: x)
        content = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        content.meta_graphs[0].ClearField("object_graph_def")
        (folder / "saved_model.pb").write_bytes(content.SerializeToString())
        with pytest.raises(ModelError, match="TensorFlow 1"):
            read_saved_model(folder)
