"""Mutated streams: a named error or the very same data. `make fuzz` goes on for an hour."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from tests.fuzz.targets import NAMES, TARGETS, decompressor, seeds
from tests.runtime.compression.streams import SIGNALS

from aetool_runtime import Compressor
from aetool_runtime.errors import IntegrityError, VersionError

SEEDS = seeds()
EDGES = (0, 1, 2, 3, 15, 16, 0x3F, 0x7F, 0x80, 0xFE, 0xFF)


def mutated(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """One to four changes: a bit, a byte, a piece left out, doubled, moved, or from elsewhere."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        length = rng.choice((1, 1, 2, 4, 16))
        change = rng.randrange(6)
        if change == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif change == 1 and at < len(out):
            out[at] = rng.choice(EDGES)
        elif change == 2:
            del out[at : at + length]
        elif change == 3:
            out[at:at] = out[at : at + length]
        elif change == 4:
            other = rng.choice(others)
            begin = rng.randrange(len(other) + 1)
            out[at : at + length] = other[begin : begin + length]
        else:
            out[at:at] = rng.randbytes(length)
    return bytes(out)


@pytest.mark.parametrize("target", TARGETS)
def test_only_named_errors(target: str) -> None:
    rng = random.Random(target)
    own = [data for kind, data in SEEDS if kind == target]
    for data in own:
        TARGETS[target](data)
    for _ in range(1500):
        TARGETS[target](mutated(rng.choice(own), rng, own))


def test_no_mutation_returns_other_data() -> None:
    """Data are returned as they were written, or not at all: in order, in part, and with salvage."""
    opened = decompressor(NAMES[0])
    rows = SIGNALS["a random walk"][:600].reshape(-1, 2)
    with Compressor(opened.bundle, lossless=True, chunk_values=96) as compressor:
        stream = compressor.compress(rows, rows=True)
    rng = random.Random(1)
    refused = 0
    for _ in range(300):
        broken = mutated(stream, rng, [stream])
        if broken == stream:
            continue
        with pytest.raises((IntegrityError, VersionError)):
            opened.decompress(broken)
        refused += 1
        try:
            found = opened.reader(io.BytesIO(broken)).read(50, 77)
        except (IntegrityError, VersionError):
            continue
        assert np.array_equal(found, rows[50:77])
    assert refused > 250
