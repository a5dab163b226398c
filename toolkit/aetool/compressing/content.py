"""What goes into a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aetool.compressing.form import Form
from aetool.compressing.numbers import Wanted
from aetool_runtime.compression.framing.header import Picture
from aetool_runtime.specs import Array

__all__ = ["Content"]


@dataclass(frozen=True)
class Content:
    """A file, open for compression.

    Args:
        name: for messages.
        batches: reads it, [n, …] in a type that streams have; in bounded memory.
        form: what brings the file back.
        wanted: what the stream must keep for the file to keep what was asked for.
        recording: batches are rows of one recording.
        picture: batches are tiles of one picture.
        count: of rows, where it is known beforehand.
        value_bytes: of one value as the file has it, for ratios.
    """

    name: str
    batches: Callable[[], Iterator[Array]] = field(repr=False)
    form: Form
    wanted: Wanted
    recording: bool = False
    picture: Picture | None = None
    count: int | None = None
    value_bytes: float = 0.0
