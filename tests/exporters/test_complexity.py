"""Layer by layer, the counts are those of a table worked by hand; what cannot be counted is never called none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aetool_exporters import Reference
from aetool_exporters.complexity import count_model, count_reference
from aetool_runtime.complexity import RoleCost
from aetool_runtime.specs import Normalization

FLOAT = 4


def kinds(cost: RoleCost) -> list[str]:
    return [layer.kind for layer in cost.layers]


def table(cost: RoleCost) -> list[tuple[Any, ...]]:
    """(output shape, parameters, multiply-adds, activation bytes) of each layer."""
    return [(row.shape, row.parameters, row.multiply_adds, row.activation_bytes) for row in cost.layers]


class TestDense:
    """784-64-32-64-784: the classic."""

    @pytest.fixture(scope="class")
    def costs(self) -> dict[str, RoleCost]:
        from keras import Input, Model, layers

        given, latent = Input((784,)), Input((32,))
        encoder = Model(given, layers.Dense(32)(layers.Dense(64, "relu")(given)))
        decoder = Model(latent, layers.Dense(784, "sigmoid")(layers.Dense(64, "relu")(latent)))
        return count_reference(Reference(encoder, decoder, Normalization()))

    def test_layers(self, costs: dict[str, RoleCost]) -> None:
        assert table(costs["encoder"]) == [
            ((64,), 784 * 64 + 64, 784 * 64, 64 * FLOAT),  # 50,240 and 50,176
            ((32,), 64 * 32 + 32, 64 * 32, 32 * FLOAT),  # 2,080 and 2,048
        ]
        assert table(costs["decoder"]) == [
            ((64,), 32 * 64 + 64, 32 * 64, 64 * FLOAT),  # 2,112 and 2,048
            ((784,), 64 * 784 + 784, 64 * 784, 784 * FLOAT),  # 50,960 and 50,176
        ]

    def test_totals(self, costs: dict[str, RoleCost]) -> None:
        encoder, decoder = costs["encoder"], costs["decoder"]
        assert (encoder.parameters, encoder.multiply_adds) == (52_320, 52_224)
        assert (decoder.parameters, decoder.multiply_adds) == (53_072, 52_224)

    def test_bytes_per_precision(self, costs: dict[str, RoleCost]) -> None:
        assert costs["encoder"].weight_bytes == {
            "float32": 52_320 * 4,
            "float16": 52_320 * 2,
            "int8": (784 * 64 + 64 * 32) + (64 + 32) * 4 + (64 + 32) * 4,  # kernels, their scales, biases
        }

    def test_peak(self, costs: dict[str, RoleCost]) -> None:
        # encoder: while the first layer runs, 784 inputs and 64 outputs; then 64 and 32
        assert costs["encoder"].peak_activation_bytes == (784 + 64) * FLOAT
        # decoder: 32 and 64; then 64 and 784
        assert costs["decoder"].peak_activation_bytes == (64 + 784) * FLOAT


class TestConvolutional:
    """8×8×1 → conv 3×3, stride 2 → BatchNorm → ReLU → 5 numbers, and back through a transposed convolution."""

    @pytest.fixture(scope="class")
    def costs(self) -> dict[str, RoleCost]:
        from keras import Input, Model, layers

        x = given = Input((8, 8, 1))
        for layer in (
            layers.Conv2D(4, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(5),
        ):
            x = layer(x)
        y = latent = Input((5,))
        for layer in (
            layers.Dense(64),
            layers.Reshape((4, 4, 4)),
            layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(1, 3, padding="same"),
        ):
            y = layer(y)
        return count_reference(Reference(Model(given, x), Model(latent, y), Normalization()))

    def test_layers(self, costs: dict[str, RoleCost]) -> None:
        assert kinds(costs["encoder"]) == ["Conv2D", "BatchNormalization", "ReLU", "Flatten", "Dense"]
        assert table(costs["encoder"]) == [
            ((4, 4, 4), 3 * 3 * 1 * 4 + 4, 4 * 4 * (3 * 3 * 1) * 4, 64 * FLOAT),  # 40 and 576
            ((4, 4, 4), 4 * 4, 64, 64 * FLOAT),  # gamma, beta, mean and variance of 4 channels; one for each value
            ((4, 4, 4), 0, 0, 64 * FLOAT),
            ((64,), 0, 0, 0),  # the same bytes in another shape
            ((5,), 64 * 5 + 5, 64 * 5, 5 * FLOAT),  # 325 and 320
        ]
        assert table(costs["decoder"]) == [
            ((64,), 5 * 64 + 64, 5 * 64, 64 * FLOAT),  # 384 and 320
            ((4, 4, 4), 0, 0, 0),
            ((8, 8, 4), 3 * 3 * 4 * 4 + 4, 4 * 4 * (3 * 3 * 4) * 4, 256 * FLOAT),  # 148; from 4×4 places: 2,304
            ((8, 8, 4), 4 * 4, 256, 256 * FLOAT),
            ((8, 8, 4), 0, 0, 256 * FLOAT),
            ((8, 8, 1), 3 * 3 * 4 * 1 + 1, 8 * 8 * (3 * 3 * 4) * 1, 64 * FLOAT),  # 37 and 2,304
        ]

    def test_totals(self, costs: dict[str, RoleCost]) -> None:
        assert (costs["encoder"].parameters, costs["encoder"].multiply_adds) == (381, 960)
        assert (costs["decoder"].parameters, costs["decoder"].multiply_adds) == (585, 320 + 2304 + 256 + 2304)

    def test_bytes_per_precision(self, costs: dict[str, RoleCost]) -> None:
        kernels, channels, small = 36 + 320, 4 + 5, 4 + 16 + 5
        assert costs["encoder"].weight_bytes["int8"] == kernels + 4 * channels + 4 * small

    def test_peak(self, costs: dict[str, RoleCost]) -> None:
        # encoder: 64 + 64 at the convolution, the normalization and ReLU; Flatten makes nothing; then 64 + 5
        assert costs["encoder"].peak_activation_bytes == 128 * FLOAT
        # decoder: 256 + 256 at the normalization and ReLU is the most
        assert costs["decoder"].peak_activation_bytes == 512 * FLOAT


class TestRecurrent:
    """10 steps of 3 values → LSTM of 6 → repeated → LSTM of 6 → 3 values for each step."""

    @pytest.fixture(scope="class")
    def costs(self) -> dict[str, RoleCost]:
        from keras import Input, Model, layers

        given, latent = Input((10, 3)), Input((6,))
        x = layers.LSTM(6, return_sequences=True)(layers.RepeatVector(10)(latent))
        decoder = Model(latent, layers.TimeDistributed(layers.Dense(3))(x))
        return count_reference(Reference(Model(given, layers.LSTM(6)(given)), decoder, Normalization()))

    def test_layers(self, costs: dict[str, RoleCost]) -> None:
        # four gates of 6: kernels 3×24 and 6×24, biases 24; three products with the state for each unit and step
        assert table(costs["encoder"]) == [
            ((6,), 3 * 24 + 6 * 24 + 24, 10 * (3 * 24 + 6 * 24 + 3 * 6), 6 * FLOAT)  # 240 and 2,340
        ]
        assert table(costs["decoder"]) == [
            ((10, 6), 0, 0, 60 * FLOAT),
            ((10, 6), 6 * 24 + 6 * 24 + 24, 10 * (6 * 24 + 6 * 24 + 3 * 6), 60 * FLOAT),  # 312 and 3,060
            ((10, 3), 6 * 3 + 3, 10 * 6 * 3, 30 * FLOAT),  # 21 and 180
        ]

    def test_totals_and_peak(self, costs: dict[str, RoleCost]) -> None:
        assert (costs["encoder"].parameters, costs["encoder"].multiply_adds) == (240, 2_340)
        assert (costs["decoder"].parameters, costs["decoder"].multiply_adds) == (333, 3_240)
        assert costs["encoder"].peak_activation_bytes == (30 + 6) * FLOAT
        assert costs["decoder"].peak_activation_bytes == (60 + 60) * FLOAT


def _gru() -> Any:
    from keras import layers

    return layers.GRU(4, reset_after=True)


def _layer(name: str, *arguments: Any, **settings: Any) -> Callable[[], Any]:
    def make() -> Any:
        import keras

        return getattr(keras.layers, name)(*arguments, **settings)

    return make


def _wrapped(name: str, inner: Callable[[], Any], **settings: Any) -> Callable[[], Any]:
    return lambda: _layer(name, inner(), **settings)()


ONE = {
    # layer: (input shape, parameters, multiply-adds)
    "Dense on every step": (_layer("Dense", 5), (7, 3), 3 * 5 + 5, 7 * 3 * 5),
    "Conv1D": (_layer("Conv1D", 4, 5, strides=2, padding="same"), (9, 2), 5 * 2 * 4 + 4, 5 * (5 * 2) * 4),
    "Conv1D, valid": (_layer("Conv1D", 4, 5), (9, 2), 5 * 2 * 4 + 4, 5 * (5 * 2) * 4),
    "Conv2D in groups": (_layer("Conv2D", 6, 3, groups=2), (5, 5, 4), 9 * 2 * 6 + 6, 9 * (9 * 2) * 6),
    "Conv1DTranspose": (_layer("Conv1DTranspose", 2, 4, strides=2, padding="same"), (6, 3), 26, 6 * (4 * 3) * 2),
    "DepthwiseConv2D": (_layer("DepthwiseConv2D", 3, depth_multiplier=2), (5, 5, 3), 54 + 6, 9 * 9 * 3 * 2),
    "SeparableConv2D": (_layer("SeparableConv2D", 5, 3), (5, 5, 2), 18 + 10 + 5, 9 * (9 * 2 + 2 * 5)),
    "GRU": (_gru, (6, 3), 3 * 12 + 4 * 12 + 24, 6 * (3 * 12 + 4 * 12 + 12)),
    "SimpleRNN": (_layer("SimpleRNN", 4), (6, 3), 3 * 4 + 4 * 4 + 4, 6 * (12 + 16)),
    "Bidirectional": (_wrapped("Bidirectional", _gru), (6, 3), 2 * 108, 2 * 6 * (36 + 48 + 12)),
    "TimeDistributed convolution": (
        _wrapped("TimeDistributed", _layer("Conv1D", 2, 3)), (4, 5, 1), 3 * 2 + 2, 4 * (3 * 3) * 2
    ),
    "Embedding": (_layer("Embedding", 50, 8), (6,), 400, 0),
    "LayerNormalization": (_layer("LayerNormalization"), (6, 4), 8, 2 * 24),
    "PReLU": (_layer("PReLU"), (6,), 6, 6),
    "UpSampling2D, nearest": (_layer("UpSampling2D", 2), (3, 3, 2), 0, 0),
    "UpSampling2D, bilinear": (_layer("UpSampling2D", 2, interpolation="bilinear"), (3, 3, 2), 0, 4 * 72),
    "Resizing, bicubic": (_layer("Resizing", 4, 4, interpolation="bicubic"), (3, 3, 2), 0, 16 * 32),
    "MaxPooling2D": (_layer("MaxPooling2D"), (4, 4, 2), 0, 0),
    "GlobalAveragePooling1D": (_layer("GlobalAveragePooling1D"), (4, 2), 0, 0),
    "Softmax": (_layer("Softmax"), (4,), 0, 0),
    "Dropout": (_layer("Dropout", 0.5), (4,), 0, 0),
    "RepeatVector": (_layer("RepeatVector", 3), (4,), 0, 0),
    # not in the table, so not known; never 0
    "EinsumDense": (_layer("EinsumDense", "ab,bc->ac", output_shape=5), (4,), 20, None),
    "ConvLSTM1D": (_layer("ConvLSTM1D", 2, 3), (4, 5, 1), (3 * 1 + 3 * 2) * 8 + 8, None),
}  # fmt: skip


@pytest.mark.parametrize(("make", "shape", "parameters", "count"), ONE.values(), ids=ONE)
def test_one_layer(make: Callable[[], Any], shape: tuple[int, ...], parameters: int, count: int | None) -> None:
    import keras

    given = keras.Input(shape, dtype="int32" if make is ONE["Embedding"][0] else "float32")
    cost = count_model(keras.Model(given, make()(given)))
    (row,) = cost.layers
    assert (row.parameters, row.multiply_adds) == (parameters, count)
    assert cost.unknown == ((row.name,) if count is None else ())


def test_attention() -> None:
    from keras import Input, Model, layers

    query, memory = Input((5, 8)), Input((7, 6))
    attention = layers.MultiHeadAttention(num_heads=2, key_dim=3, value_dim=4)
    row = count_model(Model(query, attention(query, query))).layers[0]
    assert row.multiply_adds == (
        5 * 8 * 6 + 5 * 8 * 6 + 5 * 8 * 8  # queries, keys and values of two heads
        + 5 * 5 * 6 + 5 * 5 * 8  # scores, and values by scores
        + 5 * 8 * 8  # back to 8
    )  # fmt: skip
    from aetool_exporters.multiply_adds import multiply_adds

    attention = layers.MultiHeadAttention(num_heads=2, key_dim=3)
    made = attention(query, memory)
    assert multiply_adds(attention, [(None, 5, 8), (None, 7, 6)], [made.shape]) == (
        5 * 8 * 6 + 2 * 7 * 6 * 6 + 5 * 7 * (6 + 6) + 5 * 6 * 8
    )


def test_nested_models_branches_and_shared_layers() -> None:
    from keras import Input, Model, Sequential, layers

    inner = Sequential([Input((6,)), layers.Dense(6, name="shared")], name="inner")
    given = Input((6,))
    one = inner(given)
    two = inner(one)
    cost = count_model(Model(given, layers.Concatenate()([layers.Add()([one, two]), given])))
    assert [(row.name, row.parameters, row.multiply_adds) for row in cost.layers[:2]] == [
        ("inner/shared", 42, 36),
        ("inner/shared#2", 0, 36),  # multiplied again, stored once
    ]
    assert [(row.kind, row.shape, row.multiply_adds) for row in cost.layers[2:]] == [
        ("Add", (6,), 0),
        ("Concatenate", (12,), 0),
    ]
    # alive at the addition: the input (still to be concatenated), both summands, the sum: 24 values;
    # at the concatenation: the input, the sum, and 12: as many
    assert cost.peak_activation_bytes == 24 * FLOAT


def test_a_skip_connection_keeps_its_tensor_alive() -> None:
    from keras import Input, Model, layers

    given = Input((10,))
    x = layers.Dense(2)(layers.Dense(100)(given))
    cost = count_model(Model(given, layers.Concatenate()([x, layers.Reshape((10,))(given)])))
    assert cost.peak_activation_bytes == (10 + 100 + 2) * FLOAT


def test_other_types_have_other_sizes() -> None:
    from keras import Input, Model, layers

    given = Input((5,), dtype="int64")
    cost = count_model(Model(given, layers.Embedding(9, 3, dtype="float16")(given)))
    assert cost.layers[0].activation_bytes == 15 * 2
    assert cost.peak_activation_bytes == 5 * 8 + 15 * 2


class TestFreeDimensions:
    def model(self) -> Any:
        from keras import Input, Model, layers

        given = Input((None, None, 1))
        return Model(given, layers.Conv2D(2, 3, padding="same")(given))

    def test_are_unknown_and_not_none(self) -> None:
        cost = count_model(self.model())
        assert table(cost) == [((None, None, 2), 20, None, None)]
        assert cost.peak_activation_bytes is None

    def test_are_counted_for_a_sample(self) -> None:
        cost = count_model(self.model(), (6, 4, 1))
        assert cost.input_shape == (6, 4, 1)
        assert table(cost) == [((6, 4, 2), 20, 24 * 9 * 2, 48 * FLOAT)]

    def test_the_decoder_is_counted_for_the_latent_of_that_sample(self) -> None:
        costs = count_reference(Reference(self.model(), self.decoder(), Normalization()), (6, 4, 1))
        assert costs["decoder"].input_shape == (6, 4, 2)
        assert costs["decoder"].multiply_adds == 24 * 9 * 2

    def decoder(self) -> Any:
        from keras import Input, Model, layers

        given = Input((None, None, 2))
        return Model(given, layers.Conv2D(1, 3, padding="same")(given))


class TestCustomLayers:
    def test_are_unknown(self) -> None:
        import keras

        class Dense(keras.layers.Layer):
            """Called like one of Keras's own."""

            def call(self, inputs: Any) -> Any:
                return inputs * 2.0

        given = keras.Input((3,))
        cost = count_model(keras.Model(given, Dense(name="mine")(given)))
        assert cost.unknown == ("mine",)

    def test_may_say_it_themselves(self) -> None:
        import keras

        class Doubling(keras.layers.Layer):
            def call(self, inputs: Any) -> Any:
                return inputs * 2.0

            def multiply_adds(self, input_shapes: Any, output_shapes: Any) -> int:
                return int(output_shapes[0][1])

        given = keras.Input((3,))
        assert count_model(keras.Model(given, Doubling()(given))).multiply_adds == 3

    def test_a_model_whose_layers_cannot_be_seen_is_one_layer(self) -> None:
        import keras

        class Opaque(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.dense = keras.layers.Dense(4)

            def call(self, inputs: Any) -> Any:
                return self.dense(inputs)

        inner = Opaque()
        given = keras.Input((3,))
        cost = count_model(keras.Model(given, inner(given)))
        assert [(row.kind, row.parameters, row.multiply_adds) for row in cost.layers] == [("Opaque", 16, None)]


def test_an_encoder_alone() -> None:
    from keras import Input, Model, layers

    given = Input((3,))
    costs = count_reference(Reference(Model(given, layers.Dense(2)(given)), None, Normalization()))
    assert list(costs) == ["encoder"]


def test_counting_leaves_the_model_as_it_was() -> None:
    from keras import Input, Model, layers

    given = Input((3,))
    model = Model(given, layers.Dense(2)(given))
    before = model.to_json()
    assert count_model(model) == count_model(model)
    assert model.to_json() == before


def _families() -> dict[str, tuple[Any, tuple[int, ...], Any]]:
    from aetool import config

    variational, codes = config.VariationalLatent(), config.VectorQuantizedLatent(codes=8, dimension=2)
    return {
        "dense": (config.DenseModel(latent=4, hidden=(8,)), (30,), None),
        "dense, variational": (config.DenseModel(latent=4, hidden=(8,)), (30,), variational),
        "dense, vector quantized": (config.DenseModel(latent=4, hidden=(8,)), (30,), codes),
        "conv1d": (config.Conv1dModel(latent=3, filters=(4, 8), batch_norm=True, residual=1), (32, 2), None),
        "conv2d": (config.Conv2dModel(latent=3, filters=(4, 8), batch_norm=True), (12, 8, 3), None),
        "conv2d, resized": (config.Conv2dModel(latent=3, filters=(4,), upsampling="resize"), (12, 8, 1), None),
        "conv2d, map": (config.Conv2dModel(filters=(4,), latent_map=2, residual=1), (12, 8, 1), codes),
        "lstm": (config.RecurrentModel(latent=3, cell="lstm", units=(6, 4)), (10, 2), None),
        "gru, both ways": (config.RecurrentModel(latent=3, bidirectional=True), (10, 2), None),
        "text": (config.TextModel(vocabulary=20, filters=(4, 8)), (16,), None),
        "text, gru": (config.TextModel(vocabulary=20, body="gru", units=8), (16,), None),
    }


@pytest.mark.parametrize("name", _families())
def test_every_layer_of_our_own_families_is_known(name: str) -> None:
    from aetool.models import build_autoencoder

    model, shape, latent = _families()[name]
    built = build_autoencoder(model, shape, 0, latent=latent)
    costs = count_reference(Reference(built.encoder, built.decoder, Normalization()))
    assert {role: cost.unknown for role, cost in costs.items()} == {"encoder": (), "decoder": ()}
    assert {role: cost.parameters for role, cost in costs.items()} == built.parameters
    assert all(cost.peak_activation_bytes for cost in costs.values())
