"""WAV files of PCM: a recording with a row for each frame, both ways."""

from __future__ import annotations

import wave
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aetool.compressing.content import Content
from aetool.compressing.form import Form
from aetool.compressing.numbers import Wanted
from aetool.compressing.placing import place
from aetool_runtime.compression.description import Compression
from aetool_runtime.errors import InputError
from aetool_runtime.specs import Array

__all__ = ["wav_content", "write_wav"]

_FRAMES = 1 << 16
_TYPES = {1: "uint8", 2: "<i2", 3: "<i4", 4: "<i4"}  # 24 bits have no type of their own


def wav_content(path: Path, compression: Compression, wanted: Wanted) -> Content:
    """A WAV file's frames; rate and width of a sample travel along.

    Raises:
        InputError: broken, not PCM, or another number of channels than the bundle takes.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, frames = file.getparams()[:4]
    except (wave.Error, EOFError) as error:
        raise InputError(f"cannot be read as WAV ({error})", where=str(path), expected="PCM of 8 to 32 bits") from error
    if width not in _TYPES:
        raise InputError(f"has {8 * width} bits a sample", where=str(path), expected="PCM of 8, 16, 24 or 32 bits")
    if not frames:
        raise InputError("holds no frames", where=str(path))
    placement = place((channels,) if channels > 1 else (), compression.sample_shape, str(path))

    def batches() -> Iterator[Array]:
        with wave.open(str(path), "rb") as file:
            read = 0
            while data := file.readframes(_FRAMES):
                values = _values(data, width)
                if len(values) % channels:
                    raise InputError(f"ends within frame {read + len(values) // channels}", where=str(path))
                read += len(values) // channels
                yield values.reshape(-1, *placement.item_shape)
            if read != frames:
                raise InputError(f"holds {read} frames", where=str(path), expected=f"{frames}, as its header says")

    form = Form("wav", {"rate": rate, "width": width, "channels": channels})
    return Content(str(path), batches, form, wanted, placement.recording, None, frames, float(width))


def _values(data: bytes, width: int) -> Array:
    if width != 3:
        values = np.frombuffer(data, _TYPES[width])
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return (wide.view("<i4")[:, 0] >> 8).astype(np.int32)


def write_wav(parts: Iterable[Array], form: Form, file: BinaryIO) -> tuple[int, ...]:
    """Write frames as they come; the file's shape, [frames, channels]."""
    width, channels = int(form.members["width"]), int(form.members["channels"])
    count = 0
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(int(form.members["rate"]))
        for part in parts:
            frames = part.reshape(-1, channels)
            sound.writeframesraw(_bytes(frames, width))
            count += len(frames)
    return (count, channels)


def _bytes(frames: Array, width: int) -> bytes:
    if width != 3:
        return frames.astype(_TYPES[width]).tobytes()
    limit = 1 << 23
    wide = np.clip(frames, -limit, limit - 1).astype("<i4").reshape(-1, 1).view(np.uint8)
    return wide[:, :3].tobytes()
