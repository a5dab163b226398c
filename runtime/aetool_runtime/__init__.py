"""aetool's runtime: opens a bundle and runs its encoder and decoder. Needs NumPy and one engine, never TensorFlow.

    from aetool_runtime import Autoencoder

    with Autoencoder.open("model.aepkg") as model:
        latent = model.encode(samples)
        restored = model.decode(latent)

No engine is imported before ``Autoencoder.open``.
"""

from aetool_runtime.autoencoder import Autoencoder
from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.errors import AetoolError
from aetool_runtime.selftest import self_test

__all__ = ["AetoolError", "Autoencoder", "Bundle", "open_bundle", "self_test"]
