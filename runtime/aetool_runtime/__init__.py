"""aetool's runtime: opens a bundle and runs its encoder and decoder. Needs NumPy and one engine, never TensorFlow.

    from aetool_runtime import Autoencoder

    with Autoencoder.open("model.aepkg") as model:
        latent = model.encode(samples)
        restored = model.decode(latent)

A bundle that brings entropy tables compresses as well; reading a stream needs no engine:

    from aetool_runtime import Compressor, Decompressor

    with Compressor("model.aepkg", max_error=2) as compressor:
        stream = compressor.compress(samples)
    restored = Decompressor("model.aepkg").decompress(stream)

No engine is imported before ``Autoencoder.open``.
"""

from aetool_runtime.autoencoder import Autoencoder
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.compression.compressor import Compressor
from aetool_runtime.compression.decompressor import Decompressor
from aetool_runtime.errors import AetoolError
from aetool_runtime.selftest import self_test

__all__ = ["AetoolError", "Autoencoder", "Bundle", "Compressor", "Decompressor", "open_bundle", "self_test"]
