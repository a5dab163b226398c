"""Sources: one contract for every kind of data, and what each refuses by name."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from aetool.data import open_source
from aetool_runtime.errors import AetoolError, InputError

ROWS = np.arange(60, dtype=np.float32).reshape(20, 3) / 4
PICTURES = np.arange(5 * 6 * 4, dtype=np.uint8).reshape(5, 6, 4)


def npy(folder: Path) -> str:
    np.save(folder / "rows.npy", ROWS)
    return str(folder / "rows.npy")


def fortran_npy(folder: Path) -> str:
    np.save(folder / "rows.npy", np.asfortranarray(ROWS))
    return str(folder / "rows.npy")


def npz(folder: Path) -> str:
    np.savez(folder / "one.npz", rows=ROWS)
    return str(folder / "one.npz")


def npz_key(folder: Path) -> str:
    np.savez(folder / "two.npz", other=ROWS + 1, rows=ROWS)
    return f"{folder / 'two.npz'}:rows"


def compressed_npz(folder: Path) -> str:
    np.savez_compressed(folder / "one.npz", rows=ROWS)
    return str(folder / "one.npz")


def compressed_fortran_npz(folder: Path) -> str:
    np.savez_compressed(folder / "one.npz", rows=np.asfortranarray(ROWS))
    return str(folder / "one.npz")


def csv(folder: Path) -> str:
    np.savetxt(folder / "rows.csv", ROWS, delimiter=",")
    return str(folder / "rows.csv")


def csv_with_names(folder: Path) -> str:
    lines = ["a;b;c", *(";".join(f'"{value}"' for value in row) for row in ROWS), "", ""]
    (folder / "rows.csv").write_text("\r\n".join(lines), encoding="utf-8-sig")
    return str(folder / "rows.csv")


def tsv(folder: Path) -> str:
    np.savetxt(folder / "rows.TSV", ROWS, delimiter="\t")
    return str(folder / "rows.TSV")


def parquet(folder: Path) -> str:
    pq.write_table(pa.table({name: ROWS[:, i] for i, name in enumerate("abc")}), folder / "rows.parquet")
    return str(folder / "rows.parquet")


def parquet_of_lists(folder: Path) -> str:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(ROWS.reshape(-1)), 3)
    pq.write_table(pa.table({"embedding": lists}), folder / "rows.parquet", row_group_size=7)
    return str(folder / "rows.parquet")


def named_by_content(folder: Path) -> str:
    Path(npy(folder)).rename(folder / "rows.dat")
    return str(folder / "rows.dat")


def pictures(folder: Path) -> str:
    for index, picture in enumerate(PICTURES):
        Image.fromarray(picture).save(folder / f"{index}.png")
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.png").write_text("not one either")
    return str(folder)


SOURCES: list[tuple[Callable[[Path], str], np.ndarray]] = [
    *((make, ROWS) for make in (npy, fortran_npy, npz, npz_key, compressed_npz, compressed_fortran_npz)),
    *((make, ROWS) for make in (csv, csv_with_names, tsv, parquet, parquet_of_lists, named_by_content)),
    (pictures, PICTURES[..., None]),
]


@pytest.mark.parametrize(("make", "expected"), SOURCES, ids=[make.__name__ for make, _ in SOURCES])
def test_every_source_holds_the_contract(make, expected, tmp_path):
    spec = make(tmp_path)
    source = open_source(spec)
    assert source.name == spec or source.name.startswith(spec)  # an archive's only array is named
    assert len(source.shape) == expected.ndim
    assert source.shape[0] in (None, len(expected))
    assert source.shape[1:] == expected.shape[1:]
    for _ in range(2):  # a source can be read again
        batches = list(source.batches(8))
        assert {len(batch) for batch in batches[:-1]} <= {8}
        assert 1 <= len(batches[-1]) <= 8
        np.testing.assert_array_equal(np.concatenate(batches), expected)
    array = source.array()
    np.testing.assert_array_equal(array, expected)
    np.testing.assert_array_equal(array[np.array([3, 0, 4])], expected[[3, 0, 4]])


@pytest.mark.parametrize("make", [npy, npz, npz_key])
def test_numpy_files_are_mapped_and_not_read(make, tmp_path):
    assert isinstance(open_source(make(tmp_path)).array(), np.memmap)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "least", "most"),
    [("builtin:ecg", (480256, 2), "int16", 781, 1311), ("builtin:digits", (1797, 28, 28, 1), "float32", 0, 255)],
)
def test_the_builtin_data(name, shape, dtype, least, most):
    array = open_source(name).array()
    assert (array.shape, array.dtype.name, array.min(), array.max()) == (shape, dtype, least, most)


def test_the_builtin_ecg_is_small_and_has_an_attribution():
    import aetool.data

    folder = Path(aetool.data.__file__).parent / "builtin"
    assert (folder / "ecg.npy").stat().st_size <= 2_000_000
    for word in ("MIT-BIH", "Open Data Commons Attribution", "360"):
        assert word in (folder / "ATTRIBUTION.md").read_text("utf-8")


def test_colour_and_grey_jpeg_and_resizing(tmp_path):
    Image.new("RGB", (10, 8), (250, 10, 10)).save(tmp_path / "a.jpg")
    Image.new("L", (5, 4), 77).save(tmp_path / "b.jpeg")
    source = open_source(tmp_path, image_size=(4, 6))
    assert source.shape == (2, 4, 6, 3)
    pixels = source.array()
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[0, 0, 0], (250, 10, 10), atol=4)
    np.testing.assert_allclose(pixels[1], 77, atol=1)


def write(name: str, content: bytes | str) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(folder / name)

    return make


def truncated_npy(folder: Path) -> str:
    path = Path(npy(folder))
    path.write_bytes(path.read_bytes()[:-8])
    return str(path)


def npy_of(values: object) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        np.save(folder / "rows.npy", np.array(values), allow_pickle=True)
        return str(folder / "rows.npy")

    return make


def npz_without_key(folder: Path) -> str:
    return npz_key(folder).removesuffix(":rows")


def npz_wrong_key(folder: Path) -> str:
    return npz_without_key(folder) + ":row"


def damaged_compressed_npz(folder: Path) -> str:
    path = folder / "one.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("rows.npy", "w") as file:
        np.lib.format.write_array(file, np.random.default_rng(0).random((400, 3)))
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    return str(path)


def parquet_of(**columns: object) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        pq.write_table(pa.table(columns), folder / "rows.parquet")
        return str(folder / "rows.parquet")

    return make


def damaged_parquet(folder: Path) -> str:
    path = Path(parquet(folder))
    path.write_bytes(path.read_bytes()[:100])
    return str(path)


def other_size(folder: Path) -> str:
    pictures(folder)
    Image.new("L", (4, 7)).save(folder / "9.png")
    return str(folder)


def other_colour(folder: Path) -> str:
    pictures(folder)
    Image.new("RGB", (4, 6)).save(folder / "9.png")
    return str(folder)


def deep_picture(folder: Path) -> str:
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(folder / "a.png")
    return str(folder)


def broken_picture(folder: Path) -> str:
    pictures(folder)
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:45])
    return str(folder)


REFUSED: list[tuple[str, Callable[[Path], str], str]] = [
    ("nothing there", lambda folder: str(folder / "none.npy"), "no such file or folder"),
    ("unknown built-in", lambda folder: "builtin:digit", "did you mean builtin:digits?"),
    ("unknown suffix", write("rows.xlsx", "1"), r"'.xlsx' is not known data; expected .npy, .npz, .csv"),
    ("not a npy", write("rows.npy", "1,2"), "is not a .npy file: it starts with b'1,2'"),
    ("truncated npy", truncated_npy, "cannot be read as NumPy data"),
    ("Python objects", npy_of([{}, "a"]), "cannot be read as NumPy data"),
    ("complex numbers", npy_of([[1j]]), "holds complex128"),
    ("text", npy_of(["a"]), "holds <U1"),
    ("no rows", npy_of(np.zeros((0, 3))), r"holds no rows \(shape \[0, 3\]\)"),
    ("which array", npz_without_key, "holds 2 arrays; expected one of other, rows"),
    ("no such array", npz_wrong_key, "holds no array 'row'; expected one of other, rows"),
    ("damaged npz", damaged_compressed_npz, "cannot be read as NumPy data"),
    ("empty csv", write("rows.csv", "\n\n"), "is empty"),
    ("names only", write("rows.csv", "a,b\n"), "holds no rows below the names"),
    ("word in csv", write("rows.csv", "a,b\n1,2\n\n3,x\n"), r"row 2, column 2 \(b\) is 'x'; expected a number"),
    ("hole in csv", write("rows.csv", "1,2\n3,\n"), "row 2, column 2 is ''; expected a number"),
    ("short row", write("rows.csv", "1,2\n3,4\n5\n"), "row 3 has 1 columns; expected 2 as above"),
    ("long rows", write("rows.csv", "a,b\n1,2,3\n4,5,6\n"), "row 1 has 3 columns; expected 2 as above"),
    ("text column", write("rows.csv", "1,left\n2,right\n"), "row 1, column 2 is 'left'"),
    ("underscores", write("rows.csv", "1,2\n1_0,2\n"), "row 2, column 1 is '1_0'"),
    ("not text", write("rows.csv", b"1,2\n\xff\xfe,3\n"), "is not UTF-8 text"),
    ("text in Parquet", parquet_of(a=[1.0], name=["x"]), "column 'name' holds string"),
    ("null in Parquet", parquet_of(a=[1.0, None]), r"row 2, column 'a' is empty \(null\)"),
    ("no rows in Parquet", parquet_of(a=pa.array([], pa.float32())), "holds no rows"),
    ("damaged Parquet", damaged_parquet, "cannot be read as Parquet"),
    ("no pictures", lambda folder: str(folder), "holds no image; expected files ending in .png"),
    ("other size", other_size, r"9.png: is 7×4 \(height × width\); expected 6×4 like 0.png"),
    ("other colour", other_colour, "9.png: is in colour; expected grey like 0.png"),
    ("16-bit picture", deep_picture, "a.png: has the pixel format I;16; expected 8-bit grey or RGB"),
    ("broken picture", broken_picture, "2.png: cannot be read as an image"),
]


@pytest.mark.parametrize(("make", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_cannot_be_used_is_refused_by_name(make, message, tmp_path):
    with pytest.raises(InputError, match=message):
        list(open_source(make(tmp_path)).batches(4)) or open_source(make(tmp_path)).array()


def test_no_foreign_error_leaves_a_damaged_file(tmp_path):
    """Every reader, every file cut short at many places: an error of ours, or data of the promised shape."""
    for make in (npy, npz, compressed_npz, parquet, parquet_of_lists):
        whole = Path(make(tmp_path).partition(".npz:")[0])
        content = whole.read_bytes()
        for end in range(0, len(content), 37):
            whole.write_bytes(content[:end])
            try:
                source = open_source(whole)
                assert sum(len(batch) for batch in source.batches(8)) == source.shape[0]
            except AetoolError:
                pass
