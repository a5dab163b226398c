"""Compressors for what files need, and what became of many streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aetool.compressing.content import Content
from aetool.compressing.form import format_form
from aetool.compressing.numbers import Wanted
from aetool_runtime import Autoencoder, Bundle, Compressor
from aetool_runtime.atomic import replacing_file
from aetool_runtime.compression.compressor import Summary
from aetool_runtime.specs import Array

__all__ = ["Compressors", "Totals", "compress_to"]


class Compressors:
    """A bundle's compressors, one for each goal that is met; a context manager.

    Args:
        bundle: open; or an open model, which stays the caller's.
        chunk_values: about how many values make a chunk.
        engine: ``backend``, ``device``, ``threads``, ``precision``.
    """

    def __init__(self, bundle: Bundle | Autoencoder, chunk_values: int, **engine: str | int | None) -> None:
        self._bundle, self._chunk_values, self._engine = bundle, chunk_values, engine
        self._made: dict[Wanted, Compressor] = {}

    def get(self, wanted: Wanted) -> Compressor:
        """The one for a goal.

        Raises:
            UsageError: the bundle has no such quality.
        """
        if wanted not in self._made:
            self._made[wanted] = Compressor(
                self._bundle,
                quality=wanted.quality,
                max_error=wanted.max_error,
                lossless=wanted.lossless,
                chunk_values=self._chunk_values,
                **self._engine,  # type: ignore[arg-type]
            )
        return self._made[wanted]

    def write(self, content: Content, file: BinaryIO, on_rows: Callable[[int], None]) -> Summary:
        """Compress a file's content into a binary file, which may be a pipe."""

        def batches() -> Iterator[Array]:
            for batch in content.batches():
                yield batch
                on_rows(len(batch))

        return self.get(content.wanted).write(
            file,
            batches(),
            rows=content.recording,
            picture=content.picture,
            attachment=format_form(content.form, content.name),
        )

    def __enter__(self) -> Compressors:
        return self

    def __exit__(self, *exception: object) -> None:
        for compressor in self._made.values():
            compressor.close()


def compress_to(target: Path, compressors: Compressors, content: Content, on_rows: Callable[[int], None]) -> Summary:
    """Compress into a file, which is whole or not there."""
    with replacing_file(target) as partial, partial.open("wb") as file:
        return compressors.write(content, file, on_rows)


@dataclass
class Totals:
    """Of some streams.

    Attributes:
        files: how many; kept: that were there already.
        values, bytes: of the streams; given: bytes that the values took before, bare.
        paths: chunks by the path that they took.
        largest_error: raw units; squared_error: the sum.
    """

    files: int = 0
    kept: int = 0
    values: int = 0
    bytes: int = 0
    given: float = 0.0
    paths: Counter[str] = field(default_factory=Counter)
    largest_error: float = 0.0
    squared_error: float = 0.0

    def add(self, summary: Summary, content: Content) -> None:
        """Count a stream."""
        self.files += 1
        self.values += summary.values
        self.bytes += summary.bytes
        self.given += summary.values * content.value_bytes
        self.paths.update(summary.paths)
        self.largest_error = max(self.largest_error, summary.largest_error)
        self.squared_error += summary.rmse**2 * summary.values

    @property
    def rmse(self) -> float:
        return float(np.sqrt(self.squared_error / max(1, self.values)))

    @property
    def bits(self) -> float:
        """A value."""
        return 8 * self.bytes / max(1, self.values)
