"""The curves of a bundle's codecs: real streams, written and read."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from aetool.compressing.curves import Curve, Point, point
from aetool_exporters.compression.fitting import SETS, fit_models, join_fits
from aetool_exporters.compression.fitting_residual import fit_residual_model
from aetool_exporters.compression.ladder import ladder
from aetool_exporters.compression.linear_subject import linear_subject
from aetool_exporters.compression.scales import setting_of
from aetool_exporters.reference import Reference
from aetool_runtime import Bundle
from aetool_runtime.compression.batches import chunks_of
from aetool_runtime.compression.choosing_paths import ChunkEncoder
from aetool_runtime.compression.decoding import ChunkDecoder
from aetool_runtime.compression.description import Codec, Compression, EntropyModel
from aetool_runtime.compression.entropy.coding import Coder
from aetool_runtime.compression.framing.header import Header
from aetool_runtime.compression.framing.reader import StreamReader
from aetool_runtime.compression.framing.stream import StreamWriter
from aetool_runtime.compression.goals import Bounded, Goal, grid_for, read_goal
from aetool_runtime.compression.reading import format_compression
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["Data", "alone", "curve_of", "fitted_linear", "lossless_point", "model_bytes"]

_CHUNK_VALUES = 1 << 18
_CELLS = 1024
_QUALITIES = 12
Encode = Callable[[Array], Array]
Judge = Callable[[str, int, Array, Array], Point]


@dataclass(frozen=True)
class Data:
    """What codecs are tried on.

    Args:
        samples: held out, [n, …] of a type that streams have.
        encode: the bundle's encoder.
        judge: what came of a setting: its name, bytes, samples, what was restored.
    """

    samples: Array
    encode: Encode
    judge: Judge = point


def alone(compression: Compression, codec: Codec) -> Compression:
    """What the bundle would bring if it had this codec only."""
    wanted = [quality.model for quality in codec.qualities] + [compression.residual]
    kept = sorted(set(wanted))
    models = [compression.models[place] for place in kept]
    used = sorted({int(t) for model in models for array in (model.map, model.selectors) for t in array.ravel()})
    place_of = np.zeros(len(compression.tables), np.uint16)
    place_of[used] = np.arange(len(used))
    moved = [_moved(model, place_of) for model in models]
    qualities = tuple(replace(quality, model=kept.index(quality.model)) for quality in codec.qualities)
    return replace(
        compression,
        tables=tuple(compression.tables[place] for place in used),
        models=tuple(moved),
        residual=kept.index(compression.residual),
        codecs=(replace(codec, qualities=qualities),),
    )


def _moved(model: EntropyModel, place_of: NDArray[np.uint16]) -> EntropyModel:
    selectors = place_of[model.selectors] if len(model.selectors) else model.selectors
    return replace(model, map=place_of[model.map], selectors=selectors)


def curve_of(name: str, compression: Compression, data: Data, digest: bytes, *, extra: int = 0) -> Curve:
    """A point for every quality of the first codec.

    Args:
        extra: bytes that are added to every point: the model's own.
    """
    points = []
    for quality in range(len(compression.codecs[0].qualities)):
        goal = read_goal(compression, quality, None, False)
        points.append(_point(f"quality {quality}", compression, data, digest, goal, extra))
    return Curve(name, tuple(sorted(points, key=lambda one: -one.rmse)))


def lossless_point(compression: Compression, data: Data, digest: bytes, extra: int = 0) -> Point:
    """What the stream takes when nothing may be lost."""
    return _point("lossless", compression, data, digest, Bounded(0.0), extra)


def _point(setting: str, compression: Compression, data: Data, digest: bytes, goal: Goal, extra: int) -> Point:
    samples, decoder = data.samples, ChunkDecoder(compression)
    grid = grid_for(goal, compression, samples) if samples.dtype == np.float32 else None
    header = Header(digest[:8], samples.dtype.name, samples.shape[1:], grid=grid)
    file = io.BytesIO()
    writer = StreamWriter(file, header)
    encoder = ChunkEncoder(decoder, header, goal, data.encode)
    for chunk, count in chunks_of([samples], header.shape, _CHUNK_VALUES, rows=False):
        for encoded in encoder.encode(chunk, count):
            writer.add(encoded.body)
    writer.close()
    file.seek(0)
    restored = StreamReader(file, decoder, digest).read_all()
    return data.judge(setting, writer.bytes + extra, samples, restored)


def model_bytes(compression: Compression) -> int:
    """What a decompressor must have besides the stream: codecs, tables and their description."""
    return sum(map(len, format_compression(compression)))


def fitted_linear(bundle: Bundle, compression: Compression, training: Array, held_out: Array) -> Compression:
    """Principal components and tables as ``aetool export --compression`` would make them of these samples.

    Raises:
        InputError: no block fits such samples.
    """
    stand_in = cast(Reference, SimpleNamespace(normalization=bundle.manifest.normalization))
    real = (samples.astype(np.float32) for samples in (training, held_out))
    setting = setting_of(stand_in, compression.sample_shape, *real)
    made = linear_subject(setting, 0)
    if made is None:
        raise InputError("no principal components can be made of such samples", expected="sizes that blocks divide")
    subject, start, finest = made
    rungs = ladder(subject, start, finest, _QUALITIES)
    symbols = [subject.symbols(quality) for quality in rungs]
    residual = fit_residual_model()
    fit = fit_models(symbols, sets=_sets(symbols[0].shape[-1]))
    tables, models = join_fits([fit, (residual[0], [residual[1]])])
    coder = Coder(tables, models)
    qualities = [subject.measured(replace(quality, model=place), coder) for place, quality in enumerate(rungs)]
    codec = replace(subject.codec, qualities=tuple(qualities))
    return replace(
        setting.compression, tables=tuple(tables), models=tuple(models), residual=len(models) - 1, codecs=(codec,)
    )


def _sets(channels: int) -> Sequence[int]:
    return [count for count in SETS if count == 1 or count * channels <= _CELLS]
