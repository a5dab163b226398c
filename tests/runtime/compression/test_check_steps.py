"""Every MUST of BITSTREAM.md, section 4, broken once; and what just keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.runtime.compression.random_steps import codec_of

from aetool_runtime.compression.decoder import check_steps
from aetool_runtime.compression.description import (
    Add,
    Concatenate,
    Convolution,
    Crop,
    Dense,
    Lookup,
    Rescale,
    Rescaling,
    Reshape,
    Step,
    Upsample,
)
from aetool_runtime.errors import ManifestError

WIDE = (-(2**31) + 1, 2**31 - 1)
SMALL = (-100, 100)


def rescaling(channels: int = 1, multiplier: int = 1, shift: int = 0) -> Rescaling:
    return Rescaling(np.full(channels, multiplier, np.int32), np.full(channels, shift, np.uint8))


def dense(weights: Any = ((1,),), bias: Any = (0,), dtype: type = np.int16, **members: Any) -> Dense:
    step = Dense((0,), SMALL, np.array(weights, dtype), np.array(bias, np.int32), rescaling(len(bias)))
    return replace(step, **members)


def conv(kernel: tuple[int, ...] = (3,), **members: Any) -> Convolution:
    weights = np.ones((*kernel, 1, 1), np.int8)
    ones, margins = (1,) * len(kernel), ((0, 0),) * len(kernel)
    step = Convolution((0,), SMALL, weights, np.zeros(1, np.int32), rescaling(), ones, margins)
    return replace(step, **members)


def rescale(**members: Any) -> Rescale:
    return replace(Rescale((0,), SMALL, rescaling(), np.zeros(1, np.int32)), **members)


def lookup(count: int = 65536, **members: Any) -> Lookup:
    return replace(Lookup((0,), SMALL, np.zeros(count, np.int16)), **members)


Case = tuple[Callable[[], list[Step]], tuple[int | None, ...], tuple[int | None, ...]]

KEPT: dict[str, Case] = {
    "a sum just below the limit": (lambda: [dense([[32767]], [2**31 - 1 - 2**15 * 32767])], (1,), (1,)),
    "a table of all inputs": (lambda: [lookup()], (3,), (3,)),
    "a single value of a convolution": (lambda: [conv((3,))], (3, 1), (1, 1)),
    "a stride that divides": (
        lambda: [Upsample((0,), SMALL, (4,)), conv((2,), inputs=(1,), stride=(2,))], (None, 1), (None, 1),
    ),
    "a kernel whose places never meet": (
        lambda: [conv(weights=np.full((3, 1, 1), 32767, np.int16), stride=(3,), transposed=True)], (2, 1), (6, 1),
    ),
    "an unread value": (lambda: [rescale(), rescale(inputs=(0,))], (1,), (1,)),
}  # fmt: skip

BROKEN: dict[str, tuple[Callable[[], list[Step]], tuple[int | None, ...], tuple[int | None, ...], str]] = {
    "no steps": (list, (1,), (1,), "0 steps"),
    "too many steps": (lambda: [rescale()] * 257, (1,), (1,), "257 steps"),
    "an input that comes later": (lambda: [rescale(inputs=(1,))], (1,), (1,), "step 0: has the inputs"),
    "a negative input": (lambda: [rescale(inputs=(-1,))], (1,), (1,), "has the inputs"),
    "one input too many": (lambda: [rescale(inputs=(0, 0))], (1,), (1,), "has the inputs"),
    "an addition of one": (lambda: [Add((0,), SMALL, (1, 1), 0)], (1,), (1,), "has the inputs"),
    "a concatenation of one": (lambda: [Concatenate((0,), SMALL)], (1,), (1,), "has the inputs"),
    "a range upside down": (lambda: [rescale(range=(1, 0))], (1,), (1,), "has the range"),
    "a range too low": (lambda: [rescale(range=(-(2**31), 0))], (1,), (1,), "has the range"),
    "a range too high": (lambda: [rescale(range=(0, 2**31))], (1,), (1,), "has the range"),
    "weights of another type": (lambda: [dense(dtype=np.int32)], (1,), (1,), "has weights"),
    "weights of another rank": (lambda: [dense([[[1]]])], (1,), (1,), "has weights"),
    "three dimensions of a kernel": (lambda: [conv((1, 1, 1))], (1, 1, 1, 1), (1, 1, 1, 1), "has weights"),
    "a bias too short": (lambda: [dense([[1, 1]], [0])], (1,), (2,), "has a bias"),
    "multipliers too few": (lambda: [dense(rescaling=rescaling(2))], (1,), (1,), "has a multiplier"),
    "a multiplier of 0": (lambda: [dense(rescaling=rescaling(multiplier=0))], (1,), (1,), "multipliers from 0"),
    "a multiplier of 2^21": (lambda: [dense(rescaling=rescaling(multiplier=2**21))], (1,), (1,), "to 2097152"),
    "a shift of 41": (lambda: [dense(rescaling=rescaling(shift=41))], (1,), (1,), "to 41"),
    "an added shift of 41": (lambda: [Add((0, 0), SMALL, (1, 1), 41)], (1,), (1,), "to 41"),
    "an added multiplier of 0": (lambda: [Add((0, 0), SMALL, (1, 0), 0)], (1,), (1,), "multipliers"),
    "an added multiplier of 2^20 + 1": (lambda: [Add((0, 0), SMALL, (1, 2**20 + 1), 20)], (1,), (1,), "multipliers"),
    "a sum at the limit": (lambda: [dense([[32767]], [2**31 - 2**15 * 32767])], (1,), (1,), "channel 0"),
    "the same below zero": (lambda: [dense([[-32767]], [-(2**31) + 2**15 * 32767])], (1,), (1,), "channel 0"),
    "a bias of -2^31": (lambda: [dense([[0]], [-(2**31)])], (1,), (1,), "channel 0"),
    "a sum over places of a kernel that meet": (
        lambda: [conv(weights=np.full((5, 1, 1), 32767, np.int16), stride=(2,), transposed=True)],
        (2, 1), (7, 1), "channel 0",
    ),
    "a rescaled value at the limit": (lambda: [rescale(rescaling=rescaling(multiplier=2**16))], (1,), (1,), "clamped"),
    "a rescaled value and a bias": (lambda: [rescale(bias=np.array([2**31 - 2**15], np.int32))], (1,), (1,), "clamped"),
    "an added value at the limit": (lambda: [Add((0, 0), SMALL, (2**15, 2**15), 0)], (1,), (1,), "clamped"),
    "a table that is too short": (lambda: [lookup(65535)], (1,), (1,), "table of 65535"),
    "a table that is too long": (
        lambda: [rescale(range=(-(2**16), 0)), lookup(2**16 + 1, inputs=(1,))], (1,), (1,), "table of 65537",
    ),
    "a table with a value outside": (
        lambda: [lookup(values=np.full(65536, 101, np.int16))], (1,), (1,), "from 101 to 101",
    ),
    "an unsigned table": (lambda: [lookup(values=np.zeros(65536, np.uint16))], (1,), (1,), "table of uint16"),
    "too many channels": (lambda: [dense()], (2,), (1,), "step 0: takes values of [2]"),
    "too many channels for a kernel": (lambda: [conv()], (3, 2), (1, 1), "takes values"),
    "too many channels to rescale": (lambda: [rescale()], (2,), (2,), "takes values"),
    "a kernel of one dimension over two": (lambda: [conv((1,))], (3, 3, 1), (3, 3, 1), "takes values"),
    "a stride of 0": (lambda: [conv(stride=(0,))], (3, 1), (1, 1), "stride"),
    "two strides": (lambda: [conv(stride=(1, 1))], (3, 1), (1, 1), "stride"),
    "two pairs of padding": (lambda: [conv(margins=((0, 0), (0, 0)))], (3, 1), (1, 1), "margins"),
    "a negative padding": (lambda: [conv(margins=((0, -1),))], (5, 1), (2, 1), "negative padding"),
    "a negative crop": (lambda: [Crop((0,), WIDE, ((0, -1),))], (3, 1), (4, 1), "negative crop"),
    "nothing left": (lambda: [Crop((0,), WIDE, ((2, 1),))], (3, 1), (0, 1), "at least 1"),
    "a kernel that does not fit": (lambda: [conv((4,))], (3, 1), (0, 1), "at least 1"),
    "a kernel that does not always fit": (
        lambda: [conv((3,)), conv(inputs=(1,), margins=((2, 2),))], (None, 1), (None, 1), "at least 1",
    ),
    "a free size that cannot be strided": (lambda: [conv((1,), stride=(2,))], (None, 1), (None, 1), "stride 2"),
    "a free size that is reshaped": (lambda: [Reshape((0,), WIDE, (1,))], (None, 1), (None, 1), "no free sizes"),
    "a shape of other size": (lambda: [Reshape((0,), WIDE, (2, 3))], (5,), (2, 3), "as many values"),
    "no shape at all": (lambda: [Reshape((0,), WIDE, ())], (1,), (), "as many values"),
    "a factor of 0": (lambda: [Upsample((0,), WIDE, (0,))], (3, 1), (0, 1), "factors"),
    "factors too few": (lambda: [Upsample((0,), WIDE, (2,))], (3, 3, 1), (6, 6, 1), "1 dimension"),
    "no place to upsample": (lambda: [Upsample((0,), WIDE, ())], (3,), (3,), "dimensions"),
    "more values than there may be": (lambda: [Upsample((0,), WIDE, (2**28 + 1,))], (1, 1), (2**28 + 1, 1), "at most"),
    "two shapes added": (
        lambda: [dense(np.ones((1, 2), int), (0, 0)), Add((0, 1), SMALL, (1, 1), 0)], (1,), (2,), "one shape",
    ),
    "two sizes beside each other": (
        lambda: [conv(), Concatenate((0, 1), SMALL)], (5, 1), (5, 2), "differ in the last",
    ),
    "another size than the samples": (lambda: [rescale()], (1,), (2,), "returns samples of 1; expected 2"),
    "another rank than the samples": (lambda: [rescale()], (1,), (1, 1), "returns samples"),
    "a fixed size where samples are free": (lambda: [rescale()], (4, 1), (None, 1), "returns samples"),
    "a free size where samples are fixed": (lambda: [rescale()], (None, 1), (4, 1), "returns samples"),
    "another factor than the downsampling": (lambda: [Upsample((0,), WIDE, (2,))], (None, 1), (None, 1), "4n+0"),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_what_just_keeps_the_rules_is_taken(name: str) -> None:
    steps, latent, sample = KEPT[name]
    check_steps(codec_of(latent, *steps(), downsampling=(2, 1)), sample, "here")


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_a_rule_is_refused_and_named(name: str) -> None:
    steps, latent, sample, message = BROKEN[name]
    with pytest.raises(ManifestError) as caught:
        check_steps(codec_of(latent, *steps(), downsampling=(4, 1)), sample, "here")
    assert message in str(caught.value)
    assert str(caught.value).startswith("here")
    assert caught.value.expected
