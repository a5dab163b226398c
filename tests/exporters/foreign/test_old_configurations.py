"""Files of Keras 2, and of other Keras 3: what is rewritten computes what it did, what cannot be is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from aetool_exporters.foreign.keras_file import load_keras, read_keras
from aetool_runtime.errors import ModelError

from .old_files import as_keras_2, computed, edit_archive, scrambled, write_archive, write_h5

pytestmark = pytest.mark.filterwarnings("ignore")


def recurrent() -> keras.Model:
    return scrambled(
        keras.Sequential(
            [
                keras.Input((6, 3)),
                layers.LSTM(4, name="lstm"),
                layers.RepeatVector(6),
                layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="both"),
                layers.TimeDistributed(layers.Dense(3), name="out"),
            ]
        )
    )


def convolutional() -> keras.Model:
    given = keras.Input((8, 8, 2), name="given")
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="down")(given)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.LeakyReLU(negative_slope=0.25, name="leaky")(x)
    return scrambled(keras.Model(given, layers.Conv2DTranspose(2, 3, strides=2, padding="same", name="up")(x)))


def dense() -> keras.Model:
    return scrambled(
        keras.Sequential([keras.Input((5,)), layers.Dense(3, "softmax", name="down"), layers.Dense(5, name="up")])
    )


def layer(config: dict[str, Any], name: str) -> dict[str, Any]:
    """A layer's entry, wherever it is."""
    found = config["config"] if isinstance(config["config"], list) else config["config"]["layers"]
    return next(entry for entry in found if entry["config"].get("name") == name)


def changed(name: str, **arguments: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: layer(config, name)["config"].update(arguments)


def alpha_as_array(config: dict[str, Any]) -> None:
    leaky = layer(config, "leaky")["config"]
    del leaky["negative_slope"]
    leaky["alpha"] = {"type": "ndarray", "value": 0.25}


def as_list(config: dict[str, Any]) -> None:
    """The Sequential of Keras 2.0: a list, its shape with the first layer."""
    inner = [entry for entry in config["config"]["layers"] if entry["class_name"] != "InputLayer"]
    inner[0]["config"]["batch_input_shape"] = [None, 5]
    config["config"] = inner


def inside(config: dict[str, Any]) -> None:
    for wrapped in (layer(config, "both")["config"]["layer"], layer(config, "both")["config"]["backward_layer"]):
        wrapped["config"] |= {"time_major": False, "implementation": 2}


def class_name(name: str, kind: str) -> Callable[[dict[str, Any]], None]:
    return lambda config: layer(config, name).update(class_name=kind)


def everywhere(**arguments: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        for entry in config["config"]["layers"]:
            entry["config"] |= arguments

    return change


MIXED = {"class_name": "Policy", "config": {"name": "mixed_float16", "loss_scale": None}}
ZEROS = {"class_name": "Zeros", "config": {"dtype": "float32"}}
OWN = {"class_name": "MyOwn", "module": "paper.code", "config": {"strength": 0.1}, "registered_name": "paper>MyOwn"}

HARMLESS: list[tuple[str, Callable[[], keras.Model], Callable[[dict[str, Any]], None]]] = [
    ("as Keras 2 wrote it, recurrent", recurrent, lambda config: None),
    ("as Keras 2 wrote it, functional", convolutional, lambda config: None),
    ("time_major", recurrent, changed("lstm", time_major=False, implementation=2)),
    ("time_major inside a wrapper", recurrent, inside),
    ("groups on a transposed convolution", convolutional, changed("up", groups=1)),
    ("initializers with dtypes", convolutional, changed("down", kernel_initializer=ZEROS, bias_initializer=ZEROS)),
    ("a regularizer of somebody's own", convolutional, changed("down", kernel_regularizer=OWN, kernel_constraint=OWN)),
    ("an activity regularizer of somebody's own", dense, changed("down", activity_regularizer=OWN)),
    ("an axis in a list", convolutional, changed("norm", axis=[3])),
    ("an old name of BatchNormalization", convolutional, class_name("norm", "BatchNormalizationV1")),
    ("arguments of old BatchNormalization", convolutional, changed("norm", fused=True, virtual_batch_size=None)),
    ("a slope in an array", convolutional, alpha_as_array),
    ("a policy of mixed precision", convolutional, everywhere(dtype=MIXED)),
    ("float64", dense, everywhere(dtype="float64")),
    ("a list of layers", dense, as_list),
    ("an activation's other name", dense, changed("down", activation="softmax_v2")),
    ("an argument that is switched off", dense, changed("down", newest_feature=None)),
    ("a state that is kept", recurrent, changed("lstm", stateful=True)),
]


@pytest.mark.parametrize(("build", "change"), [case[1:] for case in HARMLESS], ids=[case[0] for case in HARMLESS])
def test_an_h5_file_of_keras_2_computes_what_it_did(
    tmp_path: Path, build: Callable[[], keras.Model], change: Callable[[dict[str, Any]], None]
) -> None:
    model = build()
    config = as_keras_2(model)
    change(config)
    met = load_keras(write_h5(tmp_path / "model.h5", model, config))
    np.testing.assert_allclose(computed(met), computed(model), atol=1e-6)


@pytest.mark.parametrize("change", [
    lambda config: None,
    changed("lstm", time_major=False, batch_input_shape=[None, 6, 3]),
    everywhere(dtype={"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_bfloat16"}}),
])  # fmt: skip
def test_an_archive_of_keras_2(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    model = recurrent()
    path = write_archive(tmp_path / "model.keras", model, change, version="2.14.0")
    np.testing.assert_allclose(computed(load_keras(path)), computed(model), atol=1e-6)


def test_the_layout_of_weights_of_the_first_archives(tmp_path: Path) -> None:
    model = convolutional()
    path = write_archive(tmp_path / "model.keras", model, version="2.13.1")
    edit_archive(path, names={"layers": "_layer_checkpoint_dependencies"})
    np.testing.assert_allclose(computed(load_keras(path)), computed(model), atol=1e-6)


def test_a_fixed_batch_is_freed(tmp_path: Path) -> None:
    model = convolutional()
    config = as_keras_2(model)
    layer(config, "given")["config"]["batch_input_shape"] = [16, 8, 8, 2]
    found = read_keras(write_h5(tmp_path / "model.h5", model, config))
    assert found.models["model"].input_shape == (None, 8, 8, 2)
    assert any("fixed batch" in notice for notice in found.notices)
    np.testing.assert_allclose(computed(found.models["model"]), computed(model), atol=1e-6)


@pytest.mark.parametrize(("build", "shape"), [(dense, (None, 5)), (recurrent, (None, None, 3))])
def test_a_shape_that_is_nowhere_written_is_read_from_the_first_kernel(
    tmp_path: Path, build: Callable[[], keras.Model], shape: tuple[int | None, ...]
) -> None:
    model = build()
    config = as_keras_2(model)
    del config["config"]["layers"][0], config["config"]["build_input_shape"]
    found = read_keras(write_h5(tmp_path / "model.h5", model, config))
    assert found.models["model"].input_shape == shape
    assert any("fits its weights" in notice for notice in found.notices)


class TestMeaningsThatChanged:
    """The same words mean something else in Keras 3, which reads such files without a complaint."""

    @pytest.mark.parametrize(("version", "steepness"), [("2.2.4", 0.2), ("3.3.0", 1 / 6)])
    def test_hard_sigmoid(self, tmp_path: Path, version: str, steepness: float) -> None:
        model = keras.Sequential([keras.Input((3,)), layers.Dense(3, name="hard")])
        model.layers[0].set_weights([np.eye(3, dtype=np.float32), np.zeros(3, np.float32)])
        config = as_keras_2(model)
        layer(config, "hard")["config"]["activation"] = "hard_sigmoid"
        found = read_keras(write_h5(tmp_path / "model.h5", model, config, version))
        given = np.array([[-1.0, 0.5, 4.0]], np.float32)
        met = np.asarray(found.models["model"](given))
        np.testing.assert_allclose(met, np.clip(steepness * given + 0.5, 0, 1), atol=1e-6)
        assert bool(found.notices) == version.startswith("2")

    def test_a_gru_from_before_there_was_a_choice_resets_before(self, tmp_path: Path) -> None:
        model = scrambled(keras.Sequential([keras.Input((4, 3)), layers.GRU(2, reset_after=False, name="gru")]))
        config = as_keras_2(model)
        del layer(config, "gru")["config"]["reset_after"]
        met = load_keras(write_h5(tmp_path / "model.h5", model, config, "2.1.0"))
        np.testing.assert_allclose(computed(met), computed(model), atol=1e-6)

    def test_dropout_that_was_called_as_in_training_rests(self, tmp_path: Path) -> None:
        given = keras.Input((4,))
        model = keras.Model(given, layers.Dropout(0.5)(layers.Dense(4)(given), training=True))
        met = load_keras(write_archive(tmp_path / "model.keras", model))
        quiet = keras.Model(given, model.layers[1].output)  # the dense layer alone
        np.testing.assert_allclose(computed(met), computed(quiet), atol=1e-6)


def channels_first_model() -> keras.Model:
    return scrambled(
        keras.Sequential(
            [
                keras.Input((2, 8, 6)),
                layers.Conv2D(4, 3, strides=2, padding="same", data_format="channels_first", name="down"),
                layers.BatchNormalization(axis=1, name="norm"),
                layers.MaxPooling2D(2, data_format="channels_first", padding="same"),
                layers.UpSampling2D(2, data_format="channels_first"),
                layers.Conv2DTranspose(2, 3, strides=2, padding="same", data_format="channels_first", name="up"),
            ]
        )
    )


def test_channels_first_is_computed_on_a_cpu(tmp_path: Path) -> None:
    model = channels_first_model()
    found = read_keras(write_archive(tmp_path / "model.keras", model))
    met = found.models["model"]
    assert met.output_shape == (None, 2, 8, 8)
    assert any("channels first" in notice for notice in found.notices)
    last = keras.Sequential(
        [
            keras.Input((8, 6, 2)),
            layers.Conv2D(4, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2, padding="same"),
            layers.UpSampling2D(2),
            layers.Conv2DTranspose(2, 3, strides=2, padding="same"),
        ]
    )
    last.set_weights(model.get_weights())
    given = np.random.default_rng(3).normal(size=(2, 8, 6, 2)).astype(np.float32)
    wanted = np.moveaxis(np.asarray(last(given)), -1, 1)
    np.testing.assert_allclose(np.asarray(met(np.moveaxis(given, -1, 1))), wanted, atol=1e-5)


class TestLayersThatAreNoMore:
    @pytest.mark.parametrize("kind", ["LSTM", "GRU"])
    @pytest.mark.parametrize("both_ways", [False, True])
    def test_layers_for_gpus_only(self, tmp_path: Path, kind: str, both_ways: bool) -> None:
        layer_of = getattr(layers, kind)(4, name="rnn")
        recurrent = layers.Bidirectional(layer_of, name="rnn") if both_ways else layer_of
        model = scrambled(keras.Sequential([keras.Input((5, 3)), recurrent]))
        config = as_keras_2(model)
        entries = [layer(config, "rnn")]
        if both_ways:
            entries = [entries[0]["config"]["layer"], entries[0]["config"]["backward_layer"]]
        for entry in entries:
            kept = ("name", "units", "return_sequences", "go_backwards", "dtype", "trainable")
            entry["class_name"] = f"CuDNN{kind}"
            entry["config"] = {key: value for key, value in entry["config"].items() if key in kept}
        path = write_h5(tmp_path / "model.h5", model, config, "2.2.4")
        with h5py.File(path, "r+") as file:
            group = file["model_weights/rnn"]
            names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["weight_names"]]
            for place in range(0, len(names), 3):
                self.replace(group, names[place : place + 3], 4 if kind == "LSTM" else 3)
        np.testing.assert_allclose(computed(load_keras(path)), computed(model), atol=1e-6)

    @staticmethod
    def replace(group: Any, names: list[str], gates: int) -> None:
        """Write kernel, recurrent kernel and bias as cuDNN has them: the way back of what is tested."""
        kernel, recurrent, bias = (group[name][()] for name in names)
        kernel = np.hstack([gate.reshape(gate.shape[::-1], order="F").T for gate in np.hsplit(kernel, gates)])
        recurrent = np.hstack([gate.T for gate in np.hsplit(recurrent, gates)])
        bias = np.concatenate([0.25 * bias, 0.75 * bias]) if gates == 4 else bias.reshape(-1)
        for name, value in zip(names, (kernel, recurrent, bias), strict=True):
            del group[name]
            group[name] = value

    def test_a_threshold(self, tmp_path: Path) -> None:
        model = scrambled(keras.Sequential([keras.Input((5,)), layers.Dense(5), layers.ReLU(name="threshold")]))
        config = as_keras_2(model)
        entry = layer(config, "threshold")
        entry |= {"class_name": "ThresholdedReLU", "config": {"name": "threshold", "theta": 0.7}}
        met = computed(load_keras(write_h5(tmp_path / "model.h5", model, config)))
        linear = computed(keras.Model(model.inputs, model.layers[0].output))
        np.testing.assert_allclose(met, np.where(linear > 0.7, linear, 0), atol=1e-6)


class TestRefusals:
    @pytest.mark.parametrize(("change", "words"), [
        (changed("lstm", time_major=True), ["'lstm'", "time_major = True", "--replace-layer lstm="]),
        (class_name("lstm", "Capsule"), ["'lstm'", "'Capsule'", "--custom module:Capsule", "--replace-layer lstm="]),
        (changed("lstm", activation="my_act"), ["'lstm'", "'my_act'", "--custom module:my_act"]),
    ])  # fmt: skip
    def test_name_the_layer_and_the_remedy(
        self, tmp_path: Path, change: Callable[[dict[str, Any]], None], words: list[str]
    ) -> None:
        model = recurrent()
        config = as_keras_2(model)
        change(config)
        with pytest.raises(ModelError) as refusal:
            load_keras(write_h5(tmp_path / "model.h5", model, config))
        told = str(refusal.value)
        assert [word for word in words if word not in told] == []

    def test_weights_that_do_not_fit(self, tmp_path: Path) -> None:
        model = dense()
        config = as_keras_2(model)
        layer(config, "up")["config"]["units"] = 6
        with pytest.raises(ModelError, match="weights do not fit"):
            load_keras(write_h5(tmp_path / "model.h5", model, config))


class TestCallsAsKeras2WroteThem:
    def test_making_a_nested_model_was_its_first_call(self, tmp_path: Path) -> None:
        inner = keras.Sequential([keras.Input((5,)), layers.Dense(3)], name="inner")
        given = keras.Input((5,), name="given")
        model = scrambled(keras.Model(given, layers.Dense(5, name="out")(inner(given))))
        config = as_keras_2(model)
        layer(config, "out")["inbound_nodes"] = [[["inner", 1, 0, {}]]]
        met = load_keras(write_h5(tmp_path / "model.h5", model, config))
        np.testing.assert_allclose(computed(met), computed(model), atol=1e-6)

    def test_a_function_of_a_constant_and_a_tensor(self, tmp_path: Path) -> None:
        """A node that is no list of lists, its first argument a number."""
        model = scrambled(keras.Sequential([keras.Input((5,)), layers.Dense(5, name="down"), layers.ReLU(name="op")]))
        functional = keras.Model(model.inputs[0], model.outputs[0])
        config = as_keras_2(functional)
        entry = layer(config, "op")
        entry["class_name"] = "TFOpLambda"
        entry["config"] = {"name": "op", "trainable": True, "dtype": "float32", "function": "math.multiply"}
        entry["inbound_nodes"] = [["_CONSTANT_VALUE", -1, 0.5, {"y": ["down", 0, 0], "name": None}]]
        met = load_keras(write_h5(tmp_path / "model.h5", functional, config))
        linear = computed(keras.Model(model.inputs[0], model.layers[0].output))
        np.testing.assert_allclose(computed(met), 0.5 * linear, atol=1e-6)

    def test_tensors_by_name(self, tmp_path: Path) -> None:
        given = keras.Input((6, 3), name="given")
        attention = layers.MultiHeadAttention(2, 4, name="attention")
        model = scrambled(keras.Model(given, attention(given, value=given)))
        config = as_keras_2(model)
        entry = layer(config, "attention")
        entry["inbound_nodes"] = [[["given", 0, 0, {"value": ["given", 0, 0]}]]]
        entry["config"] |= {"query_shape": [None, 6, 3], "key_shape": [None, 6, 3], "value_shape": [None, 6, 3]}
        met = load_keras(write_h5(tmp_path / "model.h5", model, config))
        np.testing.assert_allclose(computed(met), computed(model), atol=1e-6)
