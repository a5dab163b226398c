"""A chunk's body → its samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.compression.codecs import CodecRunner, Scaling, scaling_of
from aetool_runtime.compression.description import Compression
from aetool_runtime.compression.entropy.coding import Coder
from aetool_runtime.compression.fields import Cursor
from aetool_runtime.compression.framing.chunk import FIRST_CODEC, PREDICTIVE, STORED, Body, check_content
from aetool_runtime.compression.framing.header import Header
from aetool_runtime.compression.prediction import predictive
from aetool_runtime.specs import Array

__all__ = ["MAX_STEP", "ChunkDecoder", "counted", "values_of"]

MAX_STEP = 2**21 - 1


class ChunkDecoder:
    """Decodes bodies by what a bundle brings. Immutable, so threads may share it.

    Attributes:
        compression: what the bundle brings.
        coder: its entropy coder.
        runners: its codecs.
    """

    def __init__(self, compression: Compression) -> None:
        self.compression = compression
        self.coder = Coder(compression.tables, compression.models)
        self.runners = tuple(CodecRunner(codec, compression) for codec in compression.codecs)

    def decode(self, header: Header, body: Body, where: str) -> Array:
        """The samples, or rows, [count, …] of the stream's dtype.

        Raises:
            DamagedStreamError: no compressor wrote this body, or it holds other values than were compressed.
        """
        fields = Cursor(body.payload, where)
        if body.path == STORED:
            values = self._stored(header, body, fields)
            check_content(values if header.is_float else values.astype(np.int32), body, where)
            return values
        samples = header.samples_of(body.count)
        scaling = scaling_of(header, self.compression)
        if body.path == PREDICTIVE:
            found = predictive.decode(fields, samples, header.shape, self.coder, self.compression.residual)
        else:
            found = self._by_codec(header, samples, scaling, self.runners[body.path - FIRST_CODEC], fields)
        numbers = counted(np.clip(found, *scaling.limits).astype(np.int32), header, body.count)
        check_content(numbers, body, where)
        return values_of(numbers, header, scaling)

    def _stored(self, header: Header, body: Body, fields: Cursor) -> Array:
        dtype = np.dtype(header.dtype)
        samples = header.samples_of(body.count)
        data = fields.take(samples * header.sample_values * dtype.itemsize)
        fields.end()
        values = np.frombuffer(data, dtype.newbyteorder("<")).reshape(samples, *header.shape)
        return counted(values.astype(dtype), header, body.count)

    def _by_codec(
        self, header: Header, samples: int, scaling: Scaling, runner: CodecRunner, fields: Cursor
    ) -> NDArray[np.int64]:
        number = fields.u8()
        if number >= len(runner.codec.qualities):
            fields.refuse(f"has the quality {number}", f"less than {len(runner.codec.qualities)}")
        quality = runner.codec.qualities[number]
        step = fields.varint(0, MAX_STEP)
        if step and step % 2 == 0:
            fields.refuse(f"has residuals in steps of {step}", "0 or an odd number")
        latent = runner.latent_shape(header.shape)
        if latent is None:
            fields.refuse(f"has samples {list(header.shape)}", "samples that fit the codec")
        symbols, fields.at = self.coder.decode(fields.data, fields.at, (samples, *latent), quality.model)
        output = runner.output(symbols, quality)
        if output.shape[1:] != header.shape:
            fields.refuse(f"decodes to samples {list(output.shape[1:])}", f"{list(header.shape)}")
        found = scaling.predicted(output)
        if step:
            shape = (1, found.size, 1)
            left, fields.at = self.coder.decode(fields.data, fields.at, shape, self.compression.residual)
            found += step * left.reshape(found.shape).astype(np.int64)
        fields.end()
        return found


def counted(values: Array, header: Header, count: int) -> Array:
    """Without the surplus rows of the last sample."""
    return values.reshape(-1, *header.shape[1:])[:count] if header.rows else values


def values_of(numbers: NDArray[np.int32], header: Header, scaling: Scaling) -> Array:
    """n as samples of the stream's dtype."""
    if not header.is_float:
        return numbers.astype(header.dtype)
    with np.errstate(over="ignore"):
        return (scaling.grid * numbers.astype(np.float64)).astype(np.float32)
