"""aetool: train an autoencoder, ship its encoder and decoder, and know that they still compute the same thing there."""

__version__ = "0.1.0"
