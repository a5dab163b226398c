"""Keras models from a configuration: an encoder and a decoder, built with the functional API."""

from aetool.models.autoencoder import KerasAutoencoder
from aetool.models.backend import import_keras
from aetool.models.custom import import_custom
from aetool.models.families import build_autoencoder, with_vocabulary

__all__ = ["KerasAutoencoder", "build_autoencoder", "import_custom", "import_keras", "with_vocabulary"]
