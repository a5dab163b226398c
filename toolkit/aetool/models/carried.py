"""Super-resolution as Kim 2016 learns it: the small image, enlarged, and a network for what that lacks.

The small image goes along as the last channels of the latent, since the decoder sees nothing else.
"""

from __future__ import annotations

from typing import Any

from aetool_runtime.errors import UsageError

__all__ = ["add_enlarged", "joined", "parted"]


def joined(image: Any, features: Any) -> Any:
    """[batch, height, width, c], and features of the same height and width → both, one behind the other.

    Raises:
        UsageError: the features are no such map.
    """
    import keras

    if tuple(features.shape[1:-1]) != tuple(image.shape[1:-1]):
        raise UsageError(
            f"[task] residual: a latent of shape {list(features.shape[1:])} cannot carry an image of shape "
            f"{list(image.shape[1:])}",
            expected="a map of the image's height and width",
            hint='family "conv2d" with a latent_map, and as few filters as double to the factor: one for 2',
        )
    return keras.layers.Concatenate(name="encoder_carried")([features, image])


def parted(latent: Any, channels: int) -> tuple[Any, Any]:
    """The way back: features, and the image of ``channels`` channels."""
    return latent[..., :-channels], latent[..., -channels:]


def add_enlarged(restored: Any, image: Any, factor: int) -> Any:
    """[batch, height · factor, width · factor, c] + the image, enlarged by linear interpolation."""
    import keras

    height, width = image.shape[1:3]
    if height is None or width is None:
        layer = keras.layers.UpSampling2D(factor, interpolation="bilinear", name="decoder_enlarged")
    else:
        layer = keras.layers.Resizing(
            height * factor, width * factor, interpolation="bilinear", name="decoder_enlarged"
        )
    return keras.layers.Add(name="decoder_sum")([restored, layer(image)])
