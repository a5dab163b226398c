"""What a bundle shall bring for compression."""

from __future__ import annotations

from dataclasses import dataclass, field

from aetool_runtime.specs import Array

__all__ = ["CODECS", "CompressionOptions"]

CODECS = ("network", "linear")


@dataclass(frozen=True)
class CompressionOptions:
    """What to make, and of what.

    Args:
        samples: raw samples [n, …] of the training part, that principal components, ranges and tables are fitted to.
            ``None`` for those that the checkpoint brings, or else the calibration's.
        codecs: which of ``CODECS``.
        qualities: at most so many for each, 1 to 64.
        block: places on a side of what the linear codec transforms at once; 0 to choose by the samples' shape.
    """

    samples: Array | None = field(default=None, repr=False, compare=False)
    codecs: tuple[str, ...] = CODECS
    qualities: int = 12
    block: int = 0
