"""The front door for reading: a bundle's decoder of streams. Needs no engine."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from aetool_runtime.bundle import Bundle, open_bundle
from aetool_runtime.compression.decoding import ChunkDecoder
from aetool_runtime.compression.framing.reader import StreamReader
from aetool_runtime.compression.pictures import join
from aetool_runtime.compression.reading import read_compression
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.specs import Array

__all__ = ["Decompressor"]


class Decompressor:
    """Reads the streams that a bundle's compressors made: the same values on every machine.

    Every method may be called from several threads at once; a reader that it returns belongs to one thread.

    Example:
        >>> decompressor = Decompressor("model.aepkg")
        >>> windows = decompressor.decompress(stream)
        >>> with decompressor.open("recording.aez") as reader:
        ...     minute = reader.read(0, 360 * 60)

    Args:
        bundle: a bundle's folder or zip, or one that is open already.

    Raises:
        InputError, IntegrityError: see ``aetool_runtime.bundle.open_bundle``.
        UsageError: the bundle brings nothing for compression.
    """

    def __init__(self, bundle: str | os.PathLike[str] | Bundle) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        self.compression = read_compression(self.bundle)
        self.decoder = ChunkDecoder(self.compression)

    def decompress(self, stream: bytes) -> Array:
        """All samples (or rows) of a stream, once all of it was checked.

        Raises:
            DamagedStreamError, TruncatedError: bytes are missing, or not the ones that were written.
            WrongBundleError: another bundle made it.
            VersionError: a newer version did.
        """
        return self.reader(io.BytesIO(stream)).read_all()

    def decompress_picture(self, stream: bytes) -> Array:
        """The picture [height, width, …] of a stream of its tiles; see ``decompress``.

        Raises:
            UsageError: the stream holds no picture.
        """
        reader = self.reader(io.BytesIO(stream))
        if reader.header.picture is None:
            raise UsageError("the stream holds no picture", hint="decompress it as samples")
        return join(reader.read_all(), reader.header.picture)

    def reader(self, file: BinaryIO, *, where: str = "stream", salvage: bool = False) -> StreamReader:
        """Read a stream chunk by chunk from an open binary file, which may be a pipe; see ``StreamReader``.

        Args:
            where: the file's name, for errors.
            salvage: leave out damaged chunks, and list them in ``lost``, in place of raising.
        """
        digest = bytes.fromhex(self.bundle.digest)
        return StreamReader(file, self.decoder, digest, where=where, salvage=salvage)

    @contextmanager
    def open(self, path: str | os.PathLike[str], *, salvage: bool = False) -> Iterator[StreamReader]:
        """Open a file with a stream for reading; see ``reader``."""
        with _opened(Path(path)) as file:
            yield self.reader(file, where=str(path), salvage=salvage)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
