"""The user's own classes and functions, for layers that Keras does not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from aetool_exporters.foreign.keras_file import read_keras
from aetool_exporters.foreign.surgery import Surgery
from aetool_runtime.errors import ModelError

from .old_files import as_keras_2, computed, scrambled, write_archive, write_h5

pytestmark = pytest.mark.filterwarnings("ignore")


class Double(layers.Layer):
    def call(self, tensor: Any) -> Any:
        return tensor * 2


class Scaled(layers.Layer):
    """With a weight."""

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(1,), name="factor")

    def call(self, tensor: Any) -> Any:
        return tensor * self.factor


def model_of(layer: Any) -> keras.Model:
    return scrambled(keras.Sequential([keras.Input((4,)), layers.Dense(3), layer, layers.Dense(4, name="out")]))


@pytest.mark.parametrize("kind", ["keras", "h5"])
@pytest.mark.parametrize("custom", [Double, Scaled])
def test_a_class_of_ones_own(tmp_path: Path, custom: type, kind: str) -> None:
    model = model_of(custom(name="own"))
    path = tmp_path / f"model.{kind}"
    path = write_h5(path, model, as_keras_2(model)) if kind == "h5" else write_archive(path, model)
    with pytest.raises(ModelError, match="'own' is a"):
        read_keras(path)
    found = read_keras(path, Surgery(custom={custom.__name__: custom}))
    np.testing.assert_allclose(computed(found.models["model"]), computed(model), atol=1e-6)


@pytest.mark.parametrize("kind", ["keras", "h5"])
@pytest.mark.parametrize("layer", [
    lambda: layers.Lambda(lambda x: x * 2, name="own", output_shape=(3,)),
    lambda: Double(name="own"),
], ids=["code", "a class"])  # fmt: skip
def test_a_function_in_place_of_a_layer(tmp_path: Path, layer: Any, kind: str) -> None:
    model = model_of(layer())
    path = tmp_path / f"model.{kind}"
    path = write_h5(path, model, as_keras_2(model)) if kind == "h5" else write_archive(path, model)
    found = read_keras(path, Surgery(replaced={"own": lambda tensor: tensor * 2}))
    np.testing.assert_allclose(computed(found.models["model"]), computed(model), atol=1e-6)
    assert found.notices == ("layer 'own' is replaced by your function",)


@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_the_weights_of_a_replaced_layer_are_left_out(tmp_path: Path, kind: str) -> None:
    model = model_of(Scaled(name="own"))
    path = tmp_path / f"model.{kind}"
    path = write_h5(path, model, as_keras_2(model)) if kind == "h5" else write_archive(path, model)
    factor = float(model.get_layer("own").factor[0])
    found = read_keras(path, Surgery(replaced={"own": lambda tensor: tensor * factor}))
    np.testing.assert_allclose(computed(found.models["model"]), computed(model), atol=1e-6)


def test_a_function_of_several_tensors_in_a_nested_model(tmp_path: Path) -> None:
    given = keras.Input((4,))
    joined = layers.Lambda(lambda two: two[0] - two[1], name="join")(
        [layers.Dense(3)(given), layers.Dense(2)(given)[:, :1]]
    )
    inner = keras.Model(given, joined, name="inner")
    outer = keras.Input((4,))
    model = scrambled(keras.Model(outer, layers.Dense(4)(inner(outer))))
    path = write_archive(tmp_path / "model.keras", model)
    found = read_keras(path, Surgery(replaced={"inner/join": lambda one, other: ops.subtract(one, other)}))
    np.testing.assert_allclose(computed(found.models["model"]), computed(model), atol=1e-6)


def test_an_activation_of_ones_own(tmp_path: Path) -> None:
    def cubic(tensor: Any) -> Any:
        return tensor**3

    model = scrambled(keras.Sequential([keras.Input((4,)), layers.Dense(4, activation=cubic, name="own")]))
    path = write_h5(tmp_path / "model.h5", model, as_keras_2(model))
    with pytest.raises(ModelError, match="'own' has the activation 'cubic'"):
        read_keras(path)
    found = read_keras(path, Surgery(custom={"cubic": cubic}))
    np.testing.assert_allclose(computed(found.models["model"]), computed(model), atol=1e-6)
