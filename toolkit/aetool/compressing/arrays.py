"""``.npy`` and ``.npz``, memory-mapped or streamed, both ways."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from aetool.compressing.content import Content
from aetool.compressing.form import Form
from aetool.compressing.numbers import Wanted, back_to, largest_magnitude, loss_of, narrowed
from aetool.compressing.placing import place
from aetool.compressing.tiles import cut, tile_shape
from aetool.data.source import Source
from aetool_runtime.compression.description import Compression
from aetool_runtime.compression.framing.header import Picture
from aetool_runtime.specs import Array

__all__ = ["array_content", "batch_rows", "write_npy", "write_npz", "write_raw"]

_BATCH_BYTES = 1 << 22
_AS_THEY_ARE = ("uint8", "int8", "uint16", "int16", "int32", "float32")


def batch_rows(row_values: int) -> int:
    """Rows that are read at once."""
    return max(1, _BATCH_BYTES // (8 * max(1, row_values)))


def array_content(source: Source, compression: Compression, wanted: Wanted, halo: int | None) -> Content:
    """An array [n, …] of samples, of flat samples, of a recording's rows, or one picture [height, width, …].

    Raises:
        InputError: it fits the bundle in none of these ways.
    """
    shape = tuple(size or 0 for size in source.shape)
    dtype = next(source.batches(1)).dtype
    loss = 0.0
    if dtype in (np.float64, np.float16) and wanted.max_error is not None:
        loss = loss_of(dtype, largest_magnitude(source.batches(batch_rows(_size(shape[1:])))), wanted)
    kept = _for_booleans(wanted) if dtype == np.bool_ else wanted.less(loss, source.name)
    members: dict[str, Any] = {} if dtype.newbyteorder("=").name in _AS_THEY_ARE else {"dtype": dtype.name}
    if _is_picture(shape, compression):
        return _picture(source, compression, kept, halo, members)
    placement = place(shape[1:], compression.sample_shape, source.name)
    if placement.item_shape != shape[1:]:
        members["row"] = list(shape[1:])

    def batches() -> Iterator[Array]:
        for batch in narrowed(source.batches(batch_rows(_size(shape[1:]))), kept, source.name):
            yield batch.reshape(-1, *placement.item_shape)

    return Content(
        source.name, batches, Form("array", members), kept, placement.recording, None, shape[0], float(dtype.itemsize)
    )


def _for_booleans(wanted: Wanted) -> Wanted:
    return wanted if wanted.quality is not None else Wanted(lossless=True)


def _size(shape: Iterable[int]) -> int:
    return int(np.prod(tuple(shape), dtype=np.int64))


def _is_picture(shape: tuple[int, ...], compression: Compression) -> bool:
    """[height, width, channels], or without the last for one channel; unless these are samples."""
    wanted = compression.sample_shape
    if len(wanted) != 3 or wanted[2] is None:
        return False
    if len(shape) == 3 and shape[2] == wanted[2]:
        sample = (*shape[1:], 1)
        return not (wanted[2] == 1 and all(w in (None, s) for s, w in zip(sample, wanted, strict=True)))
    return len(shape) == 2 and wanted[2] == 1 and (None in wanted or shape[1] != _size(size or 0 for size in wanted))


def _picture(
    source: Source, compression: Compression, wanted: Wanted, halo: int | None, members: dict[str, Any]
) -> Content:
    values = np.concatenate(list(narrowed(source.batches(1 << 12), wanted, source.name)))
    if values.ndim == 2:
        members["row"] = list(values.shape[1:])
        values = values[..., None]
    tile, margin = tile_shape(compression, values, halo, source.name)
    picture = Picture(values.shape[0], values.shape[1], margin)
    form = Form("array", members)
    return Content(source.name, lambda: cut(values, tile, margin), form, wanted, False, picture, None, 1.0)


# --- back ---


def _restored(parts: Iterable[Array], form: Form) -> Iterator[Array]:
    dtype = np.dtype(form.members["dtype"]) if "dtype" in form.members else None
    if dtype is not None and dtype.kind not in "biuf":  # an object's bytes would be addresses
        raise ValueError(f"values of type {dtype}")
    for part in parts:
        rows = part.reshape(-1, *form.members["row"]) if "row" in form.members else part
        yield rows if dtype is None else back_to(rows, dtype)


def write_npy(parts: Iterable[Array], form: Form, like: Array, file: BinaryIO) -> tuple[int, ...]:
    """Write a .npy file [n, …] as parts come; its shape.

    Args:
        parts: of the stream, [n, …].
        like: of their type and shape, without rows.
        file: a file that can be sought.
    """
    nothing = next(iter(_restored([like], form)))
    begin, rows = file.tell(), 0
    _write_header(file, nothing, 0)
    length = file.tell()
    for part in _restored(parts, form):
        file.write(np.ascontiguousarray(part).data)
        rows += len(part)
    file.seek(begin)
    _write_header(file, nothing, rows)
    assert file.tell() == length  # NumPy leaves room for the number of rows
    return (rows, *nothing.shape[1:])


def _write_header(file: BinaryIO, like: Array, rows: int) -> None:
    document = {
        "descr": np.lib.format.dtype_to_descr(like.dtype),
        "fortran_order": False,
        "shape": (rows, *like.shape[1:]),
    }
    np.lib.format.write_array_header_1_0(file, document)


def write_npz(parts: Iterable[Array], form: Form, like: Array, file: BinaryIO) -> tuple[int, ...]:
    """Write a .npz archive with the one array under the name that it had."""
    name = str(form.members.get("key", "arr_0"))
    with tempfile.TemporaryFile() as beside:
        shape = write_npy(parts, form, like, beside)
        beside.seek(0)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            member = zipfile.ZipInfo(f"{name}.npy")
            with archive.open(member, "w", force_zip64=True) as target:
                while piece := beside.read(1 << 20):
                    target.write(piece)
    return shape


def write_raw(parts: Iterable[Array], form: Form, like: Array, file: BinaryIO) -> tuple[int, ...]:
    """Write bare values, little-endian, part by part; may be a pipe."""
    rows, shape = 0, like.shape[1:]
    for part in _restored(parts, form):
        file.write(part.astype(part.dtype.newbyteorder("<"), copy=False).tobytes())
        file.flush()
        rows, shape = rows + len(part), part.shape[1:]
    return (rows, *shape)
