"""Which models are taken for an autoencoder, an encoder or a decoder, and which halves fit each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from aetool_exporters.foreign.opening import open_halves, open_model
from aetool_runtime.errors import ModelError

from .old_files import computed, scrambled

pytestmark = pytest.mark.filterwarnings("ignore")


def chain(shape: tuple[int, ...], *blocks: keras.layers.Layer) -> keras.Model:
    return scrambled(keras.Sequential([keras.Input(shape), *blocks]))


def whole() -> keras.Model:
    return chain((8,), layers.Dense(3, name="middle"), layers.Dense(8))


def colouring() -> keras.Model:
    """Another number of channels comes out, and the middle is narrower than both ends."""
    return chain((8, 8, 1), layers.Conv2D(2, 3, strides=4, padding="same", name="middle"),
                 layers.Conv2DTranspose(3, 3, strides=4, padding="same"))  # fmt: skip


def encoder() -> keras.Model:
    return chain((8,), layers.Dense(5), layers.Dense(3))


def decoder() -> keras.Model:
    return chain((3,), layers.Dense(5), layers.Dense(8))


def map_decoder() -> keras.Model:
    """Fewer numbers come out than go in, and a larger map."""
    return chain((4, 4, 32), layers.Conv2DTranspose(8, 3, strides=2, padding="same"),
                 layers.Conv2DTranspose(1, 3, strides=2, padding="same"))  # fmt: skip


def skipping() -> keras.Model:
    given = keras.Input((8,))
    return scrambled(keras.Model(given, layers.Add()([given, layers.Dense(8)(layers.Dense(3)(given))])))


def with_a_second_output() -> keras.Model:
    given = keras.Input((8,))
    middle = layers.Dense(3, name="middle")(given)
    return scrambled(keras.Model(given, [layers.Dense(2, name="label")(middle), layers.Dense(8, name="image")(middle)]))


KINDS: list[tuple[Callable[[], keras.Model], str, bool, bool, str]] = [
    (whole, "model", True, True, "the latent is the output of layer 'middle'"),
    (colouring, "model", True, True, "the latent is the output of layer 'middle'"),
    (encoder, "model", True, False, "taken for an encoder alone"),
    (decoder, "model", False, True, "taken for a decoder alone"),
    (map_decoder, "model", False, True, "taken for a decoder alone"),
    (map_decoder, "the_encoder", True, False, "taken for an encoder alone"),
    (skipping, "model", True, False, "exported whole"),
    (with_a_second_output, "model", True, True, "that of layer 'image' is the reconstruction"),
]


@pytest.mark.parametrize(("build", "name", "encodes", "decodes", "told"), KINDS)
def test_what_a_model_is_taken_for(
    tmp_path: Path, build: Callable[[], keras.Model], name: str, encodes: bool, decodes: bool, told: str
) -> None:
    build().save(tmp_path / f"{name}.keras")
    halves = open_model(tmp_path / f"{name}.keras")
    assert (halves.encoder is not None, halves.decoder is not None) == (encodes, decodes)
    assert any(told in notice for notice in halves.notices), halves.notices


def test_an_encoder_only_where_it_is_asked_for(tmp_path: Path) -> None:
    model = whole()
    model.save(tmp_path / "model.keras")
    part = open_model(tmp_path / "model.keras", latent="middle", encoder_only=True)
    assert (part.encoder.output_shape, part.decoder) == ((None, 3), None)
    everything = open_model(tmp_path / "model.keras", encoder_only=True)
    assert (everything.encoder.output_shape, everything.decoder) == ((None, 8), None)


def test_halves_of_one_model(tmp_path: Path) -> None:
    one, other = encoder(), decoder()
    one.save(tmp_path / "one.keras")
    other.save(tmp_path / "other.h5")
    halves = open_halves(tmp_path / "one.keras", tmp_path / "other.h5")
    np.testing.assert_allclose(computed(halves.encoder), computed(one), atol=1e-6)
    np.testing.assert_allclose(computed(halves.decoder), computed(other), atol=1e-6)
    assert open_halves(tmp_path / "one.keras", None).decoder is None
    assert open_halves(None, tmp_path / "other.h5").encoder is None


def test_halves_that_do_not_fit(tmp_path: Path) -> None:
    encoder().save(tmp_path / "one.keras")
    map_decoder().save(tmp_path / "other.keras")
    with pytest.raises(ModelError) as refusal:
        open_halves(tmp_path / "one.keras", tmp_path / "other.keras")
    assert "the encoder makes [batch, 3], the decoder takes [batch, 4, 4, 32]" in refusal.value.what


def test_two_inputs_are_refused_by_name(tmp_path: Path) -> None:
    image, label = keras.Input((8,), name="image"), keras.Input((2,), name="label")
    keras.Model([image, label], layers.Dense(8)(layers.Concatenate()([image, label]))).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="image, label"):
        open_model(tmp_path / "m.keras")
