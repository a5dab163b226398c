"""Whether a network is worth having beside the linear codec, in sentences."""

from __future__ import annotations

from aetool_exporters.compression.comparison import bd_rate
from aetool_runtime.compression.description import Codec, Compression, Quality

__all__ = ["changed", "compare", "told"]

_WORTH = -0.1  # bits that a network must save


def compare(compression: Compression) -> float | None:
    """The network's bits over the linear codec's at equal error, minus 1; ``None`` where there are not both."""
    network, linear = (_named(compression, name) for name in ("network", "linear"))
    return bd_rate(network.qualities, linear.qualities) if network and linear else None


def told(compression: Compression, gain: float | None) -> list[str]:
    """What the user should know."""
    sentences = [_curve(codec) for codec in compression.codecs]
    if gain is not None:
        amount = f"{abs(gain):.0%} {'less' if gain < 0 else 'more'}"
        sentences.append(f"at equal error the network takes {amount} than the linear codec on held-out samples")
    if gain is not None and gain > _WORTH:
        sentences.append("that is no gain of a tenth: the linear codec needs no network; recommended: --codec linear")
    return sentences


def changed(precision: str, quality: Quality, other: Quality) -> str:
    """What the encoder of another precision takes and loses in a quality, beside the one that tables were fitted to."""
    bits, error = (b / a - 1 if a and b else 0.0 for a, b in ((quality.bits, other.bits), (quality.rmse, other.rmse)))
    return f"the {precision} encoder takes {bits:+.1%} bits and makes {error:+.1%} error at a middle quality"


def _named(compression: Compression, name: str) -> Codec | None:
    return next((codec for codec in compression.codecs if codec.name == name), None)


def _curve(codec: Codec) -> str:
    first, last = codec.qualities[0], codec.qualities[-1]
    return (
        f"{codec.name}: {len(codec.qualities)} qualities, {first.bits:.3g} to {last.bits:.3g} bits a value, "
        f"root mean square error {first.rmse:.3g} to {last.rmse:.3g}"
    )
