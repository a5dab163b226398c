"""What a bundle brings for compression: a JSON file and a data file, read strictly (BITSTREAM.md, sections 1 to 4)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aetool_runtime.bundle import Bundle
from aetool_runtime.compression.arrays import ArrayReader, ArrayWriter
from aetool_runtime.compression.decoder import check_steps
from aetool_runtime.compression.description import (
    PRECISION,
    Codec,
    Compression,
    Convolution,
    Crop,
    Dense,
    EntropyModel,
    EntropyTable,
    Quality,
    Reshape,
    Step,
)
from aetool_runtime.compression.step_members import parse_steps, step_json
from aetool_runtime.errors import UsageError, VersionError
from aetool_runtime.manifest import check_path
from aetool_runtime.manifest_reader import open_name
from aetool_runtime.strict_json import Node, load

__all__ = ["DATA_PATH", "MAX_CODECS", "VERSION", "format_compression", "parse_compression", "read_compression"]

VERSION = 1
DATA_PATH = "compression.bin"
MAX_CODECS = 14
_MAX_ENTRIES, _MAX_CHANNELS, _MAX_SETS, _MAX_RAW_BITS = 4096, 65_536, 256, 24
_MAX_MULTIPLIER, _MAX_SHIFT, _MAX_RANK, _MAX_QUALITIES = 2**21 - 1, 40, 7, 64
_LIMIT = 2**31


def read_compression(bundle: Bundle) -> Compression:
    """What a bundle brings for compression.

    Raises:
        UsageError: it brings nothing.
        ManifestError: it breaks BITSTREAM.md.
        VersionError: it is of another version.
    """
    path = bundle.manifest.compression
    if not path:
        raise UsageError(
            "the bundle cannot compress: it brings no entropy tables",
            where=str(bundle.path),
            hint="train with a [compression] section, and export the model again",
        )
    root = load(bundle.read(path), f"{bundle.path}/{path}")
    _check_version(root)
    data = check_path(root["data"].text(), root.where)
    if data not in bundle.manifest.files:
        root["data"].refuse(f"is {data!r}, which the manifest does not list", "a listed file")
    return parse_compression(root, bundle.read(data))


def parse_compression(root: Node, data: bytes) -> Compression:
    """The JSON document and the content of the data file that it names.

    Raises:
        ManifestError, VersionError: see ``read_compression``.
    """
    _check_version(root)
    arrays = ArrayReader(data)
    sample_shape = _shape(root["sample_shape"])
    tables = tuple(_table(node, arrays) for node in root["tables"].items())
    models = tuple(_model(node, arrays, tables) for node in root["models"].items())
    residual = _index(root["residual"], len(models))
    if models[residual].kind != "sets" or models[residual].channels != 1:
        root["residual"].refuse("is a model of another kind", "kind sets, one channel")
    codecs = root["codecs"].items()
    if len(codecs) > MAX_CODECS:
        root["codecs"].refuse(f"has {len(codecs)} codecs", f"at most {MAX_CODECS}")
    return Compression(
        sample_shape=sample_shape,
        output_unit=_positive(root["output_unit"]),
        multiplier=_within(root["integer"]["multiplier"], 1, _MAX_MULTIPLIER),
        shift=_within(root["integer"]["shift"], 0, _MAX_SHIFT),
        tables=tables,
        models=models,
        residual=residual,
        codecs=tuple(_codec(node, arrays, sample_shape, models) for node in codecs),
    )


def _check_version(root: Node) -> None:
    version = root["version"].integer()
    if version != VERSION:
        raise VersionError(
            f"has version {str(version)[:60]}",
            where=root.where,
            expected=f"version {VERSION}",
            hint="update aetool, or export the model again with this version",
        )


# --- numbers ---


def _within(node: Node, least: int, most: int) -> int:
    value = node.integer()
    if not least <= value <= most:
        node.refuse(f"is {str(value)[:20]}", f"{least} to {most}")
    return value


def _index(node: Node, count: int) -> int:
    value = node.natural()
    if value >= count:
        node.refuse(f"is {value}", f"less than {count}")
    return value


def _positive(node: Node) -> float:
    value = node.number()
    if value <= 0:
        node.refuse(f"is {value:g}", "a number > 0")
    return value


def _shape(node: Node) -> tuple[int | None, ...]:
    sizes = tuple(None if size.value is None else size.natural(1) for size in node.items())
    if not 1 <= len(sizes) <= _MAX_RANK:
        node.refuse(f"has {len(sizes)} sizes", f"1 to {_MAX_RANK}")
    return sizes


# --- tables and models ---


def _table(node: Node, arrays: ArrayReader) -> EntropyTable:
    frequencies = arrays.read(node["frequencies"], "uint16", shape=(None,))
    count = len(frequencies)
    if not 2 <= count <= _MAX_ENTRIES:
        node["frequencies"].refuse(f"has {count} entries", f"2 to {_MAX_ENTRIES}")
    if frequencies.min() < 1 or int(frequencies.sum(dtype=np.int64)) != 1 << PRECISION:
        node["frequencies"].refuse("has a 0, or another sum", f"every one at least 1, sum {1 << PRECISION}")
    low = _within(node["low"], -_LIMIT, _LIMIT - 1)
    if low + count - 2 >= _LIMIT:
        node["low"].refuse(f"is {low} with {count} entries", "values below 2^31")
    return EntropyTable(low, frequencies)


def _model(node: Node, arrays: ArrayReader, tables: Sequence[EntropyTable]) -> EntropyModel:
    kind: Literal["sets", "neighbors"] = node["kind"].one_of(("sets", "neighbors"))  # type: ignore[assignment]
    channels = _within(node["channels"], 1, _MAX_CHANNELS)
    chosen = arrays.read(node["map"], "uint16", shape=(None, channels))
    sets = len(chosen)
    if sets > _MAX_SETS:
        node["map"].refuse(f"has {sets} sets", f"at most {_MAX_SETS}")
    if int(chosen.max()) >= len(tables):
        node["map"].refuse(f"names table {chosen.max()}", f"less than {len(tables)}")
    if kind == "sets":
        return EntropyModel(
            kind,
            chosen,
            _raw_bits(node, arrays, sets),
            selectors=_selectors(node["selectors"], arrays, tables, sets) if sets > 1 else np.empty(0, np.uint16),
            positions=node["positions"].natural(1),
        )
    if node.get("raw_bits") is not None:
        node["raw_bits"].refuse("is given", "none for the kind neighbors")
    thresholds = _thresholds(node["thresholds"], arrays, sets) if sets > 1 else np.empty(0, np.uint32)
    return EntropyModel(kind, chosen, np.zeros(sets, np.uint8), thresholds=thresholds)


def _raw_bits(node: Node, arrays: ArrayReader, sets: int) -> NDArray[np.uint8]:
    member = node.get("raw_bits")
    if member is None:
        return np.zeros(sets, np.uint8)
    bits: NDArray[np.uint8] = arrays.read(member, "uint8", shape=(sets,))
    if bits.max() > _MAX_RAW_BITS:
        member.refuse(f"has {bits.max()}", f"at most {_MAX_RAW_BITS}")
    return bits


def _selectors(node: Node, arrays: ArrayReader, tables: Sequence[EntropyTable], sets: int) -> NDArray[np.uint16]:
    selectors: NDArray[np.uint16] = arrays.read(node, "uint16", shape=(sets,))
    if int(selectors.max()) >= len(tables):
        node.refuse(f"names table {selectors.max()}", f"less than {len(tables)}")
    if any(tables[i].low != 0 or len(tables[i].frequencies) != sets + 1 for i in selectors):
        node.refuse("names a table of another size", f"tables with low 0 and {sets + 1} entries")
    return selectors


def _thresholds(node: Node, arrays: ArrayReader, sets: int) -> NDArray[np.uint32]:
    thresholds: NDArray[np.uint32] = arrays.read(node, "uint32", shape=(sets - 1,))
    if np.any(thresholds[1:] < thresholds[:-1]):
        node.refuse("is not sorted", "ascending thresholds")
    return thresholds


# --- codecs ---


def _codec(
    node: Node, arrays: ArrayReader, sample_shape: tuple[int | None, ...], models: Sequence[EntropyModel]
) -> Codec:
    latent_shape = _shape(node["latent_shape"])
    channels = latent_shape[-1]
    if channels is None:
        node["latent_shape"].refuse("ends with null", "the number of channels")
    encoder: Literal["artifact", "adjoint"] = node["encoder"].one_of(("artifact", "adjoint"))  # type: ignore[assignment]
    codec = Codec(
        name=open_name(node["name"]),
        encoder=encoder,
        latent_shape=latent_shape,
        downsampling=_downsampling(node, latent_shape, sample_shape),
        unit=_unit(node["unit"], channels),
        center=_center(node["center"], arrays, channels),
        qualities=_qualities(node["qualities"], arrays, models, channels),
        steps=parse_steps(node["steps"], arrays),
    )
    if encoder == "adjoint" and not _is_linear(codec.steps):
        node["encoder"].refuse("is adjoint of other steps", "one linear step, then others that only reshape")
    check_steps(codec, sample_shape, f"{node.where}: {node['steps'].path}")
    return codec


def _downsampling(
    node: Node, latent_shape: tuple[int | None, ...], sample_shape: tuple[int | None, ...]
) -> tuple[int, ...]:
    member = node.get("downsampling")
    if member is None:
        if None in latent_shape:
            node.refuse("has no 'downsampling'", "one, since a size of the latent is free")
        return ()
    factors = tuple(item.natural(1) for item in member.items())
    if len(factors) != len(latent_shape):
        member.refuse(f"has {len(factors)} factors", f"{len(latent_shape)}, one for each size of the latent")
    if any(size is None and place >= len(sample_shape) for place, size in enumerate(latent_shape)):
        node["latent_shape"].refuse("has a free size where samples have none", f"{len(sample_shape)} sizes")
    return factors


def _unit(node: Node, channels: int) -> NDArray[np.float64]:
    values = tuple(_positive(item) for item in node.items())
    if len(values) != channels:
        node.refuse(f"has {len(values)} numbers", f"{channels}, one for each channel")
    return np.array(values, np.float64)


def _center(node: Node, arrays: ArrayReader, channels: int) -> NDArray[np.int32]:
    center: NDArray[np.int32] = arrays.read(node, "int32", shape=(channels,))
    if center.min() <= -(2**15) or center.max() >= 2**15:
        node.refuse("has a value out of range", "magnitudes below 2^15")
    return center


def _qualities(node: Node, arrays: ArrayReader, models: Sequence[EntropyModel], channels: int) -> tuple[Quality, ...]:
    items = node.items()
    if not 1 <= len(items) <= _MAX_QUALITIES:
        node.refuse(f"has {len(items)} qualities", f"1 to {_MAX_QUALITIES}")
    return tuple(_quality(item, arrays, models, channels) for item in items)


def _quality(node: Node, arrays: ArrayReader, models: Sequence[EntropyModel], channels: int) -> Quality:
    step: NDArray[np.int32] = arrays.read(node["step"], "int32", shape=(channels,))
    if step.min() < 1 or step.max() > 65_535:
        node["step"].refuse("has a value out of range", "1 to 65535")
    model = _index(node["model"], len(models))
    if models[model].channels != channels:
        node["model"].refuse(f"has {models[model].channels} channels", f"{channels}, as the latent")
    rmse, bits = node.get("rmse"), node.get("bits")
    return Quality(
        step=step,
        rounding=node["rounding"].number(),
        model=model,
        rmse=None if rmse is None else rmse.number(),
        bits=None if bits is None else bits.number(),
    )


def _is_linear(steps: Sequence[Step]) -> bool:
    first, *others = steps
    linear = isinstance(first, Dense) or (
        isinstance(first, Convolution) and first.transposed and first.weights.shape[:-2] == first.stride
    )
    return linear and all(isinstance(step, Reshape | Crop) for step in others)


# --- writing ---


def format_compression(compression: Compression, data_path: str = DATA_PATH) -> tuple[bytes, bytes]:
    """The JSON file and the data file, the same bytes for equal values; ``data_path`` is the latter's place."""
    arrays = ArrayWriter()
    document = {
        "version": VERSION,
        "data": data_path,
        "sample_shape": list(compression.sample_shape),
        "output_unit": float(compression.output_unit),
        "integer": {"multiplier": compression.multiplier, "shift": compression.shift},
        "tables": [
            {"low": int(table.low), "frequencies": arrays.place(table.frequencies)} for table in compression.tables
        ],
        "models": [_model_json(model, arrays) for model in compression.models],
        "residual": compression.residual,
        "codecs": [_codec_json(codec, arrays) for codec in compression.codecs],
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n"
    return text.encode(), bytes(arrays.data)


def _model_json(model: EntropyModel, arrays: ArrayWriter) -> dict[str, Any]:
    members: dict[str, Any] = {"kind": model.kind, "channels": model.channels, "map": arrays.place(model.map)}
    if model.raw_bits.any():
        members["raw_bits"] = arrays.place(model.raw_bits)
    if model.kind == "sets":
        members["positions"] = int(model.positions)
    if model.sets > 1 and model.kind == "sets":
        members["selectors"] = arrays.place(model.selectors)
    elif model.sets > 1:
        members["thresholds"] = arrays.place(model.thresholds)
    return members


def _codec_json(codec: Codec, arrays: ArrayWriter) -> dict[str, Any]:
    return {
        "name": codec.name,
        "encoder": codec.encoder,
        "latent_shape": list(codec.latent_shape),
        **({"downsampling": list(codec.downsampling)} if codec.downsampling else {}),
        "unit": [float(value) for value in codec.unit],
        "center": arrays.place(codec.center),
        "qualities": [_quality_json(quality, arrays) for quality in codec.qualities],
        "steps": [step_json(step, arrays) for step in codec.steps],
    }


def _quality_json(quality: Quality, arrays: ArrayWriter) -> dict[str, Any]:
    told = {"rmse": quality.rmse, "bits": quality.bits}
    return {
        "step": arrays.place(quality.step),
        "rounding": float(quality.rounding),
        "model": quality.model,
        **{key: float(value) for key, value in told.items() if value is not None},
    }
