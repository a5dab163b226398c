"""A model that has every operation there is a C kernel for, and the int8 file of it."""

from __future__ import annotations

from functools import cache

import keras
import numpy as np
from keras import layers

from aetool_exporters.reference import Reference
from aetool_exporters.request import Calibration, ExportRequest, QuantizationOptions
from aetool_exporters.tflite import TfliteExporter
from aetool_runtime.specs import Normalization

SHAPE = (12, 10, 4)


def every_operation() -> Reference:
    given = keras.Input(SHAPE, name="input")
    x = layers.ReLU(6.0)(layers.Conv2D(6, 3, padding="same", dilation_rate=2)(given))
    y = layers.LeakyReLU(0.2)(layers.ZeroPadding2D(((1, 0), (2, 1)))(layers.MaxPooling2D(2)(x)))
    y = layers.Conv2D(6, (2, 4), padding="valid")(y)
    y = layers.UpSampling2D(2)(layers.Conv2D(6, 3, groups=2, padding="same")(y))
    x = layers.Add()([x, y])
    x = layers.Concatenate()([layers.Activation("tanh")(x), layers.Activation("sigmoid")(y)])
    x = layers.AveragePooling2D(3, strides=2, padding="same")(x)
    x = layers.DepthwiseConv2D((3, 2), padding="same", strides=2)(x)
    x = layers.Conv2DTranspose(4, 4, strides=(2, 3), padding="same", activation="relu")(x)
    x = layers.Subtract()([layers.Multiply()([x, layers.Dense(4)(x)]), layers.Conv2DTranspose(4, 1)(x)])
    encoder = keras.Model(given, layers.Dense(5)(layers.Flatten()(x)), name="encoder")
    rng = np.random.default_rng(7)
    for weight in encoder.weights:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    return Reference(encoder, None, Normalization())


@cache
def every_operation_file() -> bytes:
    reference = every_operation()
    values = np.random.default_rng(4).normal(size=(80, *SHAPE)).astype(np.float32)
    options = QuantizationOptions(calibration=Calibration(lambda: iter([values])), integer_io=True)
    exported = TfliteExporter().export(reference, ExportRequest("every", "int8", quantization=options))
    return exported.files["tflite/model.int8.tflite"]
