"""What a bundle brings for compression: codecs, their qualities and tables, and how well they do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aetool_exporters.compression.encoding import encoders, exported_latents
from aetool_exporters.compression.fitting import SETS, fit_models, join_fits
from aetool_exporters.compression.fitting_residual import fit_residual_model
from aetool_exporters.compression.ladder import ladder
from aetool_exporters.compression.linear_subject import linear_subject
from aetool_exporters.compression.network_subject import network_subject
from aetool_exporters.compression.nodes import InexpressibleError
from aetool_exporters.compression.options import CompressionOptions
from aetool_exporters.compression.scales import Setting, setting_of
from aetool_exporters.compression.subject import Fold, Subject
from aetool_exporters.compression.verdict import changed, compare, told
from aetool_exporters.reference import Reference
from aetool_exporters.request import Exported
from aetool_runtime.compression.description import Codec, Compression
from aetool_runtime.compression.entropy.coding import Coder
from aetool_runtime.compression.reading import format_compression
from aetool_runtime.errors import UsageError
from aetool_runtime.specs import Array, Artifact

__all__ = ["COMPRESSION_PATH", "bring_compression"]

COMPRESSION_PATH = "compression/codecs.json"
_DATA_PATH = "compression/codecs.bin"
_MAX_VALUES = 1 << 24  # of training samples that are looked at
_FEW = 512
_CELLS = 1024
Notice = Callable[[str], None]


def bring_compression(
    reference: Reference,
    exported: Sequence[Exported],
    held_out: Array,
    training: Array,
    options: CompressionOptions,
    on_notice: Notice,
) -> Mapping[str, bytes]:
    """The files that a bundle holds for compression, by path. The same input gives the same bytes.

    Args:
        exported: what goes into the bundle: latents come from its encoders.
        held_out: raw samples that rates and errors are measured on.
        training: raw samples that everything is fitted to.

    Raises:
        UsageError: such data cannot be compressed, or no codec can be made for them.
    """
    shape = _sample_shape(reference)
    training = _some(np.asarray(training, np.float32))
    if len(training) < _FEW:
        on_notice(f"compression: tables are fitted to {len(training)} samples only; better: --calibration DATA")
    setting = setting_of(reference, shape, training, np.asarray(held_out, np.float32))
    subjects = _subjects(reference, exported, setting, options, on_notice)
    if not subjects:
        raise UsageError("no codec can be made for this model", hint="leave --compression out")
    compression = _fitted(setting.compression, [_Climbed(*one) for one in subjects], options)
    others = _other_precisions(compression, subjects, encoders(exported), setting)
    for sentence in [*told(compression, compare(compression)), *others]:
        on_notice(f"compression: {sentence}")
    document, data = format_compression(_best_first(compression), _DATA_PATH)
    return {COMPRESSION_PATH: document, _DATA_PATH: data}


@dataclass(frozen=True, eq=False)
class _Climbed:
    """A subject, and between which factors its qualities lie."""

    subject: Subject
    start: float
    finest: float


def _sample_shape(reference: Reference) -> tuple[int | None, ...]:
    spec = reference.given if reference.encoder is not None else reference.reconstruction
    if not spec.dtype.startswith("float"):
        raise UsageError(f"samples of {spec.dtype} are not compressed", expected="a model of numbers, not of tokens")
    return spec.sample_shape


def _some(samples: Array) -> Array:
    """Samples spread over all of them."""
    return samples[:: max(1, math.ceil(samples.size / _MAX_VALUES))]


def _subjects(
    reference: Reference,
    exported: Sequence[Exported],
    setting: Setting,
    options: CompressionOptions,
    on_notice: Notice,
) -> list[tuple[Subject, float, float]]:
    found = []
    linear = reference.rate is not None and reference.rate.linear
    if "network" in options.codecs and not linear:
        try:
            found.append(network_subject(reference, encoders(exported), setting))
        except InexpressibleError as error:
            on_notice(f"compression: the network is left out, since integers cannot express {error}")
    if "linear" in options.codecs or linear:
        subject = linear_subject(setting, options.block)
        if subject is None:
            on_notice("compression: the linear codec is left out, since no block fits such samples")
        else:
            found.append(subject)
    return found


def _fitted(bare: Compression, climbed: Sequence[_Climbed], options: CompressionOptions) -> Compression:
    """With qualities, tables and what held-out samples came to."""
    rungs = [ladder(one.subject, one.start, one.finest, options.qualities) for one in climbed]
    symbols = [[one.subject.symbols(q) for q in qualities] for one, qualities in zip(climbed, rungs, strict=True)]
    fits = [fit_models(each, sets=_sets(each[0].shape[-1])) for each in symbols]
    residual = fit_residual_model()
    tables, models = join_fits([*fits, (residual[0], [residual[1]])])
    coder = Coder(tables, models)
    codecs, first = [], 0
    for one, qualities in zip(climbed, rungs, strict=True):
        placed = [replace(quality, model=first + place) for place, quality in enumerate(qualities)]
        codecs.append(replace(one.subject.codec, qualities=tuple(one.subject.measured(q, coder) for q in placed)))
        first += len(qualities)
    return replace(bare, tables=tuple(tables), models=tuple(models), residual=len(models) - 1, codecs=tuple(codecs))


def _sets(channels: int) -> list[int]:
    """Numbers of sets to choose from: of many channels few, for each has a table in each set that takes time to fit."""
    return [count for count in SETS if count == 1 or count * channels <= _CELLS]


def _other_precisions(
    compression: Compression,
    subjects: Sequence[tuple[Subject, float, float]],
    artifacts: Sequence[tuple[Exported, Artifact]],
    setting: Setting,
) -> list[str]:
    """What the bundle's other encoders cost with tables that were fitted to the first one's symbols."""
    subject = next((one for one, _, _ in subjects if one.codec.encoder == "artifact"), None)
    if subject is None:
        return []
    codec = next(codec for codec in compression.codecs if codec.encoder == "artifact")
    quality, coder = codec.qualities[len(codec.qualities) // 2], Coder(compression.tables, compression.models)
    sentences, known = [], {artifacts[0][1].precision}
    for exported, artifact in artifacts:
        if artifact.precision not in known:
            known.add(artifact.precision)
            latents = exported_latents(exported, artifact, setting.held_out)
            other = replace(subject, held_out=Fold(setting.held_out, latents)).measured(quality, coder)
            sentences.append(changed(artifact.precision, quality, other))
    return sentences


def _best_first(compression: Compression) -> Compression:
    """The codec that takes fewest bits first: ``quality`` counts the first one's."""
    gain = compare(compression)
    if gain is None or gain <= 0:
        return compression
    codecs: tuple[Codec, ...] = compression.codecs[::-1]
    return replace(compression, codecs=codecs)
