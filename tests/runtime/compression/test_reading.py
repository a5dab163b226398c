"""What a bundle brings for compression: written, read back, and every rule of sections 1 to 3 broken once."""

from __future__ import annotations

import copy
import json
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
from tests.runtime.compression.made import bare, fixed, free

from aetool_runtime.compression.arrays import ArrayWriter
from aetool_runtime.compression.reading import format_compression, parse_compression
from aetool_runtime.errors import ManifestError, VersionError
from aetool_runtime.strict_json import Node, load

MADE = {"bare": bare, "fixed": fixed, "free": free}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("name", MADE)
def test_what_is_written_is_read_again(name: str) -> None:
    made = MADE[name]()
    text, data = format_compression(made)
    assert same(parse_compression(load(text, "c.json"), data), made)
    assert format_compression(made) == (text, data)


def test_equal_arrays_are_written_once_and_aligned() -> None:
    arrays = ArrayWriter()
    first = arrays.place(np.arange(3, dtype=np.uint8))
    second = arrays.place(np.arange(5, dtype=np.int32))
    assert arrays.place(np.arange(3, dtype=np.uint8)) == first
    assert (first["offset"], second["offset"], len(arrays.data)) == (0, 8, 28)


def test_arrays_are_little_endian() -> None:
    arrays = ArrayWriter()
    arrays.place(np.array([1, 2], ">i2"))
    assert bytes(arrays.data) == b"\1\0\2\0"


# --- refusals: the document of "fixed" (and "free" below) with one member changed ---

ABSENT = object()
REFUSED: dict[str, tuple[str, Any]] = {
    "no tables": ("tables", ABSENT),
    "a sample without sizes": ("sample_shape", []),
    "a sample of rank 8": ("sample_shape", [1] * 8),
    "a size of 0": ("sample_shape", [0, 2]),
    "an output unit of 0": ("output_unit", 0),
    "a multiplier of 0": ("integer.multiplier", 0),
    "a multiplier of 2^21": ("integer.multiplier", 2**21),
    "a shift of 41": ("integer.shift", 41),
    "a negative shift": ("integer.shift", -1),
    "a residual that is no model": ("residual", 3),
    "a residual of four channels": ("residual", 0),
    "fifteen codecs": ("codecs", [None] * 15),
    "a table of one entry": ("tables.0.frequencies.shape", [1]),
    "a table of another sum": ("tables.0.frequencies.shape", [33]),
    "frequencies of another type": ("tables.0.frequencies.dtype", "int16"),
    "an unknown type": ("tables.0.frequencies.dtype", "float32"),
    "an array beyond the file": ("tables.0.frequencies.offset", 10**9),
    "an array of 2^50 values": ("tables.0.frequencies.shape", [2**50]),
    "an array without dimensions": ("tables.0.frequencies.shape", []),
    "values beyond 2^31": ("tables.0.low", 2**31 - 3),
    "values below −2^31": ("tables.0.low", -(2**31) - 1),
    "a low that is no integer": ("tables.0.low", 0.5),
    "an unknown kind": ("models.0.kind", "context"),
    "no channels": ("models.0.channels", 0),
    "65,537 channels": ("models.0.channels", 65_537),
    "channels that are not the map's": ("models.0.channels", 5),
    "a map of two sets without selectors": ("models.2.selectors", ABSENT),
    "selectors for another number of sets": ("models.2.selectors.shape", [1]),
    "no positions": ("models.0.positions", ABSENT),
    "zero positions": ("models.0.positions", 0),
    "raw bits of another length": ("models.2.raw_bits.shape", [1]),
    "raw bits beyond 24": ("models.1.raw_bits", {"dtype": "uint8", "shape": [20], "offset": 0}),
    "a name in capitals": ("codecs.0.name", "Linear"),
    "an unknown encoder": ("codecs.0.encoder", "magic"),
    "adjoint of a network": ("codecs.1.encoder", "adjoint"),
    "a latent without channels": ("codecs.0.latent_shape", [None]),
    "a unit of 0": ("codecs.0.unit", [1, 1, 1, 0]),
    "three units": ("codecs.0.unit", [1, 1, 1]),
    "three centres": ("codecs.0.center.shape", [3]),
    "a centre out of range": ("codecs.0.center", {"dtype": "int32", "shape": [4], "offset": 0}),
    "no quality": ("codecs.0.qualities", []),
    "65 qualities": ("codecs.0.qualities", [None] * 65),
    "steps of another type": ("codecs.0.qualities.0.step.dtype", "uint32"),
    "a step out of range": ("codecs.0.qualities.0.step", {"dtype": "int32", "shape": [4], "offset": 0}),
    "a model with other channels": ("codecs.0.qualities.0.model", 1),
    "no rounding": ("codecs.0.qualities.0.rounding", ABSENT),
    "an rmse that is no number": ("codecs.0.qualities.0.rmse", "small"),
    "no steps": ("codecs.0.steps", []),
    "257 steps": ("codecs.0.steps", [None] * 257),
    "an unknown operation": ("codecs.0.steps.0.op", "tanh"),
    "a step without inputs": ("codecs.0.steps.0.inputs", []),
    "an input that is made later": ("codecs.0.steps.0.inputs", [1]),
    "a range of one": ("codecs.0.steps.0.range", [0]),
    "a range upside down": ("codecs.0.steps.0.range", [1, 0]),
    "a range from −2^31": ("codecs.0.steps.0.range", [-(2**31), 0]),
    "weights of rank 1": ("codecs.0.steps.0.weights.shape", [64]),
    "weights in 32 bits": ("codecs.0.steps.0.weights.dtype", "int32"),
    "a bias too short": ("codecs.0.steps.0.bias.shape", [15]),
    "shifts too few": ("codecs.0.steps.0.shift.shape", [15]),
}
FREE_REFUSED: dict[str, tuple[str, Any]] = {
    "a free latent without downsampling": ("codecs.0.downsampling", ABSENT),
    "too few downsamplings": ("codecs.0.downsampling", [4, 4]),
    "downsampling by 0": ("codecs.0.downsampling", [0, 4, 1]),
    "a free size that samples do not have": ("sample_shape", [None]),
    "raw bits with neighbors": ("models.0.raw_bits", {"dtype": "uint8", "shape": [3], "offset": 0}),
    "thresholds too few": ("models.0.thresholds.shape", [1]),
    "thresholds that fall": ("models.0.thresholds", {"dtype": "uint32", "shape": [2], "offset": "falling"}),
    "a stride of 0": ("codecs.0.steps.0.stride", [0, 4]),
    "one stride": ("codecs.0.steps.0.stride", [4]),
    "a crop of one side": ("codecs.0.steps.0.crop", [[0, 0], [0]]),
    "a negative crop": ("codecs.0.steps.0.crop", [[0, 0], [-1, 0]]),
    "no crop": ("codecs.0.steps.0.crop", ABSENT),
    "upsampling by 0": ("codecs.1.steps.0.factors", [0, 2]),
    "padding that is none": ("codecs.1.steps.1.padding", [1, 1]),
}


def changed(document: Any, path: str, value: Any) -> bytes:
    *parents, last = path.split(".")
    at = document = copy.deepcopy(document)
    for part in parents:
        at = at[int(part)] if isinstance(at, list) else at[part]
    if value is ABSENT:
        del at[last]
    else:
        at[last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    refuse(fixed, *REFUSED[name])


@pytest.mark.parametrize("name", FREE_REFUSED)
def test_refusals_of_free_shapes(name: str) -> None:
    refuse(free, *FREE_REFUSED[name])


def refuse(made: Any, path: str, value: Any) -> None:
    text, data = format_compression(made())
    if isinstance(value, dict) and value.get("offset") == "falling":
        value, data = {**value, "offset": len(data)}, data + np.array([9, 2], "<u4").tobytes()
    document = json.loads(text)
    parse_compression(Node(document, "c.json"), data)  # what is refused below is the change
    with pytest.raises(ManifestError) as met:
        parse_compression(load(changed(document, path, value), "c.json"), data)
    assert "c.json" in str(met.value)
    assert met.value.expected


def test_another_version_is_judged_first() -> None:
    with pytest.raises(VersionError, match="version 2"):
        parse_compression(load(b'{"version": 2}', "c.json"), b"")
