"""What a bundle brings for compression, as values: BITSTREAM.md, sections 1 to 4. Frozen, plain, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MAX_LANES",
    "PRECISION",
    "Add",
    "Codec",
    "Compression",
    "Concatenate",
    "Convolution",
    "Crop",
    "Dense",
    "EntropyModel",
    "EntropyTable",
    "Lookup",
    "Quality",
    "Range",
    "Rescale",
    "Rescaling",
    "Reshape",
    "Step",
    "Upsample",
]

PRECISION = 14  # bits: a table's frequencies sum to 2^14
MAX_LANES = 12  # exponent of two


@dataclass(frozen=True, eq=False)
class EntropyTable:
    """The frequencies of values: entry i stands for ``low + i``, the last for every other value.

    Args:
        low: the smallest value that has an entry.
        frequencies: uint16 [n], 2 ≤ n ≤ 4096, each at least 1, sum 2^14.
    """

    low: int
    frequencies: NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class EntropyModel:
    """Which table codes which value.

    Args:
        kind: ``sets``: a group's set is in the stream; ``neighbors``: it follows from values decoded before.
        map: uint16 [sets, channels]: the table of each.
        raw_bits: uint8 [sets]: low bits of a value that are written as they are.
        selectors: ``sets`` with more than one: uint16 [sets]: the table of a set's index, by the index
            before; else empty.
        positions: ``sets``: how many positions share a set.
        thresholds: ``neighbors``: uint32 [sets − 1], ascending; else empty.
    """

    kind: Literal["sets", "neighbors"]
    map: NDArray[np.uint16]
    raw_bits: NDArray[np.uint8]
    selectors: NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    positions: int = 1
    thresholds: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))

    @property
    def sets(self) -> int:
        return len(self.map)

    @property
    def channels(self) -> int:
        return int(self.map.shape[1])


Range: TypeAlias = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Rescaling:
    """acc → shift(acc · multiplier, shift), per channel: int32 [O] and uint8 [O]."""

    multiplier: NDArray[np.int32]
    shift: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Dense:
    """weights int8 or int16 [I, O], bias int32 [O]."""

    inputs: tuple[int, ...]
    range: Range
    weights: NDArray[np.int8] | NDArray[np.int16]
    bias: NDArray[np.int32]
    rescaling: Rescaling


@dataclass(frozen=True, eq=False)
class Convolution:
    """``conv``, or ``conv_transposed``: weights [k…, I, O]; ``margins``: the padding, or what is cropped."""

    inputs: tuple[int, ...]
    range: Range
    weights: NDArray[np.int8] | NDArray[np.int16]
    bias: NDArray[np.int32]
    rescaling: Rescaling
    stride: tuple[int, ...]
    margins: tuple[tuple[int, int], ...]
    transposed: bool = False


@dataclass(frozen=True, eq=False)
class Lookup:
    """``table``: values int16 or int32, one for each integer of the input's range."""

    inputs: tuple[int, ...]
    range: Range
    values: NDArray[np.int16] | NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Rescale:
    inputs: tuple[int, ...]
    range: Range
    rescaling: Rescaling
    bias: NDArray[np.int32]


@dataclass(frozen=True)
class Add:
    inputs: tuple[int, ...]
    range: Range
    multipliers: tuple[int, int]
    shift: int


@dataclass(frozen=True)
class Upsample:
    inputs: tuple[int, ...]
    range: Range
    factors: tuple[int, ...]


@dataclass(frozen=True)
class Reshape:
    inputs: tuple[int, ...]
    range: Range
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Crop:
    inputs: tuple[int, ...]
    range: Range
    crop: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Concatenate:
    inputs: tuple[int, ...]
    range: Range


Step: TypeAlias = Dense | Convolution | Lookup | Rescale | Add | Upsample | Reshape | Crop | Concatenate


@dataclass(frozen=True, eq=False)
class Quality:
    """A codec at one step size.

    Args:
        step: int32 [C], 1 to 65,535, in units of the decoder's input.
        rounding: for compressors: ½ rounds a symbol to the nearest, less is a dead zone.
        model: the index of the entropy model of the symbols.
        rmse: root mean square error on held-out data, raw units; ``None`` when it is not told.
        bits: bits a sample value there.
    """

    step: NDArray[np.int32]
    rounding: float
    model: int
    rmse: float | None = None
    bits: float | None = None


@dataclass(frozen=True, eq=False)
class Codec:
    """Latents ↔ symbols → samples.

    Args:
        name: ``network``, ``linear`` …
        encoder: what makes latents: the bundle's encoder artifact, or the adjoint of the one linear step.
        latent_shape: without the batch; ``None``: the sample's size divided by ``downsampling``.
        unit: float64 [C], > 0: the real latent that 1 of the decoder's input stands for.
        center: int32 [C]: the decoder's input where the symbol is 0.
        qualities: from coarse to fine.
        steps: the decoder.
    """

    name: str
    encoder: Literal["artifact", "adjoint"]
    latent_shape: tuple[int | None, ...]
    downsampling: tuple[int, ...]
    unit: NDArray[np.float64]
    center: NDArray[np.int32]
    qualities: tuple[Quality, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, eq=False)
class Compression:
    """All that a bundle brings.

    Args:
        sample_shape: of the decoders' output without the batch; ``None`` where it is free.
        output_unit: raw units that 1 of the decoders' output stands for.
        multiplier, shift: output → integer samples.
        residual: the index of the model of residuals.
    """

    sample_shape: tuple[int | None, ...]
    output_unit: float
    multiplier: int
    shift: int
    tables: tuple[EntropyTable, ...]
    models: tuple[EntropyModel, ...]
    residual: int
    codecs: tuple[Codec, ...]
