"""`aetool compress` and `decompress` as a user meets them: what goes in comes back, in the form that it had."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image
from tests.runtime.compression.made import bare, fixed, free
from tests.runtime.compression.streams import bundle_with, linear_only

from aetool_runtime import Compressor, Decompressor

from .conftest import Aetool

ROWS = np.cumsum(np.random.default_rng(0).integers(-20, 21, (1003, 2)), axis=0).astype(np.int16)
GREY = (np.add.outer(np.arange(37), np.arange(50)) * 2 % 251).astype(np.uint8)
COLOUR = np.dstack([GREY, GREY // 2, 255 - GREY])
ALPHA = np.where(GREY > 99, 255, GREY)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for samples [8, 2]."""
    path = tmp_path_factory.mktemp("windows") / "b.aepkg"
    bundle_with(path, fixed())
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for pictures [?, ?, 1]."""
    path = tmp_path_factory.mktemp("pictures") / "b.aepkg"
    bundle_with(path, linear_only(free()))
    return path


def there_and_back(aetool: Aetool, given: Path, bundle: Path, *options: object, name: str = "") -> Path:
    """What decompressing what compressing made of a file gave."""
    stream, back = given.with_name("stream.aes"), given.with_name("back-" + (name or given.name))
    outcome = aetool("compress", given, "-o", stream, "--bundle", bundle, *options)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1].startswith(f"next: aetool decompress {stream} -o restored")
    outcome = aetool("decompress", stream, "-o", back, "--bundle", bundle)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == f"next: aetool inspect {stream}"
    return back


# --- arrays ---

ARRAYS = {
    "a recording": ROWS,
    "windows": ROWS[:800].reshape(100, 8, 2),
    "flat windows": ROWS[:800].reshape(100, 16),
    "uint8": ROWS.astype(np.uint8),
    "bool": ROWS > 0,
    "float16": (ROWS / 8).astype(np.float16),
    "float32": (ROWS / 8).astype(np.float32),
    "any float32": np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32),
    "float64 that float32 holds": ROWS / 8,
    "int64": ROWS.astype(np.int64),
    "uint64": (ROWS.astype(np.int64) - int(ROWS.min())).astype(np.uint64),
    "big-endian": ROWS.astype(">i2"),
    "Fortran order": np.asfortranarray(ROWS),
}


@pytest.mark.parametrize("values", ARRAYS.values(), ids=ARRAYS)
def test_an_array_comes_back(aetool: Aetool, windows: Path, tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", values)
    back = np.load(there_and_back(aetool, tmp_path / "a.npy", windows, "--lossless"))
    assert back.dtype == values.dtype.newbyteorder("=")
    np.testing.assert_array_equal(back, values)


def test_an_array_of_an_archive_comes_back_under_its_name(aetool: Aetool, windows: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", ecg=ROWS, other=ROWS)
    refused = aetool("compress", tmp_path / "a.npz", "-o", tmp_path / "s.aes", "--bundle", windows)
    assert (refused.code, "ecg" in refused.err) == (3, True)
    aetool("compress", f"{tmp_path / 'a.npz'}:ecg", "-o", tmp_path / "s.aes", "--bundle", windows)
    assert aetool("decompress", tmp_path / "s.aes", "-o", tmp_path / "b.npz", "--bundle", windows).code == 0
    with np.load(tmp_path / "b.npz") as back:
        assert list(back) == ["ecg"]
        np.testing.assert_array_equal(back["ecg"], ROWS)


BOUNDED = {
    "int16": (ROWS, 3),
    "float64": (ROWS / 7, 0.05),
    "float16": ((ROWS / 8).astype(np.float16), 0.3),
    "bool": (ROWS > 0, 0.4),
}


@pytest.mark.parametrize(("values", "error"), BOUNDED.values(), ids=BOUNDED)
def test_a_bound_holds_in_the_type_that_comes_back(
    aetool: Aetool, windows: Path, tmp_path: Path, values: np.ndarray, error: float
) -> None:
    np.save(tmp_path / "a.npy", values)
    back = np.load(there_and_back(aetool, tmp_path / "a.npy", windows, "--max-error", error))
    assert back.dtype == values.dtype
    assert np.abs(back.astype(np.float64) - values.astype(np.float64)).max() <= error


def test_a_bound_that_32_bits_cannot_keep_is_refused(aetool: Aetool, windows: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS * 1e9 + 0.1)
    outcome = aetool("compress", tmp_path / "a.npy", "-o", tmp_path / "s.aes", "--bundle", windows, "--max-error", 1)
    assert (outcome.code, "--max-error above" in outcome.err) == (3, True)


def test_the_bundles_quality_is_used(aetool: Aetool, windows: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    sizes = []
    for quality in (0, 1):
        options = ("-o", tmp_path / "s.aes", "--bundle", windows, "--quality", quality, "--overwrite", "--json")
        document = aetool("compress", tmp_path / "a.npy", *options).document
        assert document["largest_error"] > 0
        assert document["bits_per_value"] == 8 * document["bytes"] / ROWS.size
        sizes.append(document["bytes"])
    assert max(sizes) < ROWS.nbytes / 8, "quality 0 and 1 of this bundle trade alike"


# --- tables ---

TABLES = {
    "numbers with names": "time,größe\n1,2.5\n-3,0.1\n4,1e-3\n",
    "integers": "1;2\n-3;70000\n",
    "quoted names": '"a,b","c"\n1,2\n3,4\n',
    "nan": "1,nan\n2,3\n",
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_a_table_comes_back(aetool: Aetool, windows: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text, "utf-8")
    back = there_and_back(aetool, tmp_path / "t.csv", windows).read_text("utf-8")
    separator, named = (";" if ";" in text else ","), not text[0].isdigit()
    if named:
        assert back.splitlines()[0].replace('"', "") == text.splitlines()[0].replace('"', "")
    read = [np.genfromtxt(t.splitlines()[named:], delimiter=separator) for t in (text, back)]
    np.testing.assert_array_equal(*read)


def test_decimals_cost_what_integers_do(aetool: Aetool, windows: Path, tmp_path: Path) -> None:
    for name, digits in {"whole.csv": 0, "tenths.csv": 1, "thousandths.csv": 3}.items():
        np.savetxt(tmp_path / name, ROWS / 10**digits, f"%.{digits}f", ",")
        back = there_and_back(aetool, tmp_path / name, windows)
        np.testing.assert_array_equal(np.loadtxt(back, delimiter=","), np.loadtxt(tmp_path / name, delimiter=","))
        assert (tmp_path / "stream.aes").stat().st_size < ROWS.nbytes
        (tmp_path / "stream.aes").unlink()


def test_a_table_of_too_many_digits_is_kept_within_a_bound_only(aetool: Aetool, windows: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1.23456789012,2\n")
    outcome = aetool("compress", tmp_path / "t.csv", "-o", tmp_path / "s.aes", "--bundle", windows)
    assert (outcome.code, "--max-error" in outcome.err) == (3, True)
    back = there_and_back(aetool, tmp_path / "t.csv", windows, "--max-error", 1e-3).read_text()
    assert abs(float(back.split(",")[0]) - 1.23456789012) <= 1e-3


PARQUET = {
    "columns of types": pyarrow.table(
        {"a": pyarrow.array(ROWS[:, 0], "int16"), "b": pyarrow.array(ROWS[:, 1] / 4, "float64")}
    ),
    "booleans": pyarrow.table({"a": ROWS[:, 0] > 0, "b": ROWS[:, 1] > 0}),
    "vectors": pyarrow.table(
        {"v": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(ROWS[:800].reshape(-1), "float32"), 16)}
    ),
}  # fmt: skip


@pytest.mark.parametrize("table", PARQUET.values(), ids=PARQUET)
@pytest.mark.parametrize("options", [("--lossless",), ("--max-error", 0.75)], ids=str)
def test_parquet_comes_back(
    aetool: Aetool, windows: Path, tmp_path: Path, table: pyarrow.Table, options: tuple[object, ...]
) -> None:
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    back = pyarrow.parquet.read_table(there_and_back(aetool, tmp_path / "t.parquet", windows, *options))
    assert back.schema.equals(table.schema, check_metadata=False) or back.column_names == table.column_names
    assert [str(field.type).replace("element", "item") for field in back.schema] == [
        str(field.type).replace("element", "item") for field in table.schema
    ]
    if options[0] == "--lossless":
        assert back.to_pydict() == table.to_pydict()
    for name in table.column_names:
        pair = (np.array(t[name].to_pylist(), np.float64) for t in (back, table))
        assert np.abs(np.subtract(*pair)).max() <= 0.75


# --- sound ---


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_sound_comes_back_with_its_parameters(aetool: Aetool, windows: Path, tmp_path: Path, width: int) -> None:
    data = np.random.default_rng(width).integers(0, 256, (500, 2, width)).astype(np.uint8)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, width, 11_025, 0, "NONE", ""))
        file.writeframes(data.tobytes())
    back = there_and_back(aetool, tmp_path / "a.wav", windows)
    assert back.read_bytes() == (tmp_path / "a.wav").read_bytes()


def test_sound_of_other_channels_is_refused(aetool: Aetool, windows: Path, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(200))
    outcome = aetool("compress", tmp_path / "a.wav", "-o", tmp_path / "s.aes", "--bundle", windows)
    assert (outcome.code, "rows of shape []" in outcome.err) == (3, True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


# --- pictures ---


def _palette() -> Image.Image:
    return Image.fromarray(COLOUR).quantize(17)


MODES: dict[str, Callable[[], Image.Image]] = {
    "L": lambda: Image.fromarray(GREY),
    "1": lambda: Image.fromarray(GREY > 99),
    "RGB": lambda: Image.fromarray(COLOUR),
    "RGBA": lambda: Image.fromarray(np.dstack([COLOUR, ALPHA])),
    "LA": lambda: Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA.astype(np.uint8))]),
    "P": _palette,
    "I;16": lambda: Image.fromarray(GREY.astype(np.uint16) * 250),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "options", [("--lossless",), ("--max-error", 3), ("--quality", 0), ("--max-error", 3, "--halo", 2)], ids=str
)
def test_a_picture_comes_back(
    aetool: Aetool, pictures: Path, tmp_path: Path, mode: str, options: tuple[object, ...]
) -> None:
    given = MODES[mode]()
    assert given.mode == mode
    given.save(tmp_path / "p.png")
    with Image.open(there_and_back(aetool, tmp_path / "p.png", pictures, *options)) as back:
        assert (back.mode, back.size) == (given.mode, given.size)
        plain = "RGBA" if mode == "P" else mode
        old, new = (np.asarray(image.convert(plain)).astype(int) for image in (given, back))
    if options[0] != "--quality":
        assert np.abs(old - new).max() <= (0 if options[0] == "--lossless" or mode in ("P", "1") else 3)
    if "A" in mode:
        np.testing.assert_array_equal(old[..., -1], new[..., -1])


@pytest.fixture(scope="module")
def colour_tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for tiles [16, 16, 3], without codecs."""
    path = tmp_path_factory.mktemp("tiles") / "b.aepkg"
    bundle_with(path, replace(bare(), sample_shape=(16, 16, 3)))
    return path


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "I;16"])
@pytest.mark.parametrize("halo", [0, 3])
def test_a_picture_comes_back_from_tiles_of_colour(
    aetool: Aetool, colour_tiles: Path, tmp_path: Path, mode: str, halo: int
) -> None:
    given = MODES[mode]()
    given.save(tmp_path / "p.png")
    with Image.open(there_and_back(aetool, tmp_path / "p.png", colour_tiles, "--halo", halo)) as back:
        assert (back.mode, back.size) == (mode, given.size)
        np.testing.assert_array_equal(np.asarray(back.convert("RGBA")), np.asarray(given.convert("RGBA")))


def test_tiles_that_are_lost_are_zero_and_told(aetool: Aetool, colour_tiles: Path, tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "p.png")
    stream, back = tmp_path / "s.aes", tmp_path / "b.png"
    aetool("compress", tmp_path / "p.png", "-o", stream, "--bundle", colour_tiles, "--chunk-values", 768)
    data = bytearray(stream.read_bytes())
    data[len(data) // 2] ^= 1
    stream.write_bytes(data)
    call = ("decompress", stream, "-o", back, "--bundle", colour_tiles)
    assert aetool(*call).code == 7
    assert not back.exists()
    outcome = aetool(*call, "--salvage", "--json")
    number = outcome.document["lost"][0]["number"]
    assert "1 tiles of the picture are missing" in outcome.err
    top, left = 16 * (number // 4), 16 * (number % 4)
    wanted = COLOUR.copy()
    wanted[top : top + 16, left : left + 16] = 0
    with Image.open(back) as picture:
        np.testing.assert_array_equal(np.asarray(picture), wanted)


def test_a_picture_for_a_bundle_of_windows_is_refused(aetool: Aetool, windows: Path, tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "p.png")
    outcome = aetool("compress", tmp_path / "p.png", "-o", tmp_path / "s.aes", "--bundle", windows)
    assert (outcome.code, "a bundle for pictures" in outcome.err) == (3, True)


def test_a_picture_in_an_array_is_tiled(aetool: Aetool, colour_tiles: Path, pictures: Path, tmp_path: Path) -> None:
    for values, bundle in ((COLOUR, colour_tiles), (GREY, pictures), (GREY[..., None], pictures)):
        np.save(tmp_path / "a.npy", values)
        back = np.load(there_and_back(aetool, tmp_path / "a.npy", bundle))
        np.testing.assert_array_equal(back, values)
        (tmp_path / "stream.aes").unlink()
        (tmp_path / "back-a.npy").unlink()


def test_a_transparent_colour_and_the_orientation_stay(aetool: Aetool, pictures: Path, tmp_path: Path) -> None:
    given, exif = _palette(), Image.Exif()
    exif[0x0112] = 6
    given.save(tmp_path / "p.png", transparency=3, exif=exif)
    with Image.open(there_and_back(aetool, tmp_path / "p.png", pictures)) as back:
        assert back.info["transparency"] == 3
        assert back.getexif()[0x0112] == 6


def test_a_folder_of_pictures_comes_back_as_a_folder(aetool: Aetool, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    Image.fromarray(GREY).save(tmp_path / "in" / "a.png")
    Image.fromarray(COLOUR).save(tmp_path / "in" / "deep" / "b.jpg")
    (tmp_path / "in" / "notes.md").write_text("not data")
    outcome = aetool("compress", tmp_path / "in", "-o", tmp_path / "s", "--bundle", pictures, "--json")
    assert (outcome.code, outcome.document["files"]) == (0, 2)
    assert aetool("decompress", tmp_path / "s", "-o", tmp_path / "out", "--bundle", pictures).code == 0
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert found == ["a.png", "deep/b.jpg.png"]
    with Image.open(tmp_path / "in" / "deep" / "b.jpg") as old, Image.open(tmp_path / "out" / found[1]) as new:
        np.testing.assert_array_equal(np.asarray(old), np.asarray(new))


def test_a_folder_goes_on_where_it_ended(aetool: Aetool, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        Image.fromarray(GREY).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "b.png").write_bytes(b"broken")
    call = ("compress", tmp_path / "in", "-o", tmp_path / "s", "--bundle", pictures)
    assert aetool(*call).code == 3
    assert (tmp_path / "s" / "a.png.aes").exists()
    Image.fromarray(GREY).save(tmp_path / "in" / "b.png")
    assert aetool(*call).code == 2
    assert aetool(*call, "--resume", "--max-error", 2).code == 2
    before = (tmp_path / "s" / "a.png.aes").stat().st_mtime_ns
    outcome = aetool(*call, "--resume", "--json")
    assert (outcome.document["files"], outcome.document["kept"]) == (2, 1)
    assert (tmp_path / "s" / "a.png.aes").stat().st_mtime_ns == before
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["a.png.aes", "b.png.aes", "c.png.aes"]


# --- pieces, pipes ---


def test_any_part_comes_back_alone(aetool: Aetool, windows: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    aetool("compress", tmp_path / "a.npy", "-o", tmp_path / "s.aes", "--bundle", windows, "--chunk-values", 160)
    for part, wanted in {"500:517": ROWS[500:517], ":3": ROWS[:3], "-4:": ROWS[-4:]}.items():
        call = ("decompress", tmp_path / "s.aes", "-o", tmp_path / "b.npy", "--bundle", windows, "--overwrite")
        assert aetool(*call, f"--rows={part}").code == 0
        np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), wanted)
    assert aetool(*call, "--rows", "2000:3000").code == 3
    assert aetool(*call, "--rows", "many").code == 2


def test_a_pipe_of_bare_values(windows: Path) -> None:
    aetool = [sys.executable, "-m", "aetool"]
    given = ROWS.astype("<i2").tobytes()
    there = [*aetool, "compress", "-", "--raw", "int16", "--channels", "2", "--bundle", str(windows)]
    stream = subprocess.run(there, input=given, capture_output=True, check=True)
    assert len(stream.stdout) < len(given)
    back = [*aetool, "decompress", "-", "-o", "-", "--bundle", str(windows)]
    assert subprocess.run(back, input=stream.stdout, capture_output=True, check=True).stdout == given
    short = subprocess.run(there, input=given[:-1], capture_output=True)
    assert (short.returncode, b"whole rows of 4 bytes" in short.stderr) == (3, True)
    cut = subprocess.run(back, input=stream.stdout[:-30], capture_output=True)
    assert cut.returncode == 7


# --- refusals ---

FORMS = {
    "a type that is none": (b'{"form":"array","dtype":"float1024"}', "b.npy"),
    "Python objects": (b'{"form":"array","dtype":"object"}', "b.npy"),
    "rows that do not fit": (b'{"form":"array","row":[7]}', "b.npy"),
    "rows that are none": (b'{"form":"array","row":"x"}', "b.npy"),
    "sound without parameters": (b'{"form":"wav"}', "b.wav"),
    "sound of a negative rate": (b'{"form":"wav","rate":-1,"width":2,"channels":2}', "b.wav"),
    "sound of 9 bytes": (b'{"form":"wav","rate":1,"width":9,"channels":2}', "b.wav"),
    "a table without names": (b'{"form":"csv","columns":2,"separator":","}', "b.csv"),
    "a table of no columns": (b'{"form":"csv","columns":0,"separator":",","names":[]}', "b.csv"),
    "a separator of two letters": (b'{"form":"csv","columns":2,"separator":"ab","names":[]}', "b.csv"),
    "a column type that is none": (b'{"form":"parquet","names":["a","b"],"types":["x","y"],"lists":0}', "b.parquet"),
    "a column type that is something else": (
        b'{"form":"parquet","names":["a","b"],"types":["table","table"],"lists":0}',
        "b.parquet",
    ),
    "a picture of a recording": (b'{"form":"picture","mode":"RGB"}', "b.png"),
    "a picture of no mode": (b'{"form":"picture"}', "b.png"),
    "a palette that is none": (b'{"form":"picture","mode":"P","palette":"RGB","colors":3}\0x', "b.png"),
}


@pytest.mark.parametrize(("attachment", "name"), FORMS.values(), ids=FORMS)
def test_a_form_that_cannot_be_is_refused(
    aetool: Aetool, windows: Path, tmp_path: Path, attachment: bytes, name: str
) -> None:
    with Compressor(windows, lossless=True) as compressor:
        (tmp_path / "s.aes").write_bytes(compressor.compress(ROWS, rows=True, attachment=attachment))
    outcome = aetool("decompress", tmp_path / "s.aes", "-o", tmp_path / name, "--bundle", windows)
    assert (outcome.code, "Traceback" in outcome.err) == (3, False), outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["s.aes"]


@pytest.fixture
def stream(aetool: Aetool, windows: Path, tmp_path: Path) -> Path:
    """Chunks of 80 rows."""
    (tmp_path / "there").mkdir()
    np.save(tmp_path / "there" / "a.npy", ROWS)
    path = tmp_path / "there" / "s.aes"
    call = ("compress", tmp_path / "there" / "a.npy", "-o", path, "--bundle", windows, "--chunk-values", 160)
    assert aetool(*call).code == 0
    return path


def test_a_damaged_stream_leaves_no_output_unless_what_is_whole_is_asked_for(
    aetool: Aetool, windows: Path, stream: Path, tmp_path: Path
) -> None:
    data = bytearray(stream.read_bytes())
    data[len(data) // 2] ^= 1
    stream.write_bytes(data)
    call = ("decompress", stream, "-o", tmp_path / "b.npy", "--bundle", windows)
    refused = aetool(*call, "--json")
    assert (refused.code, refused.document["error"]["type"]) == (7, "DamagedStreamError")
    assert not (tmp_path / "b.npy").exists()
    outcome = aetool(*call, "--salvage", "--json")
    assert outcome.code == 0
    (lost,) = outcome.document["lost"]
    assert f"lost: chunk {lost['number']} (80 samples or rows)" in outcome.err
    start = 80 * lost["number"]
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), np.delete(ROWS, np.s_[start : start + 80], axis=0))


@pytest.mark.parametrize("length", [0, 3, 20, 200, -1])
def test_a_truncated_stream_leaves_no_output(
    aetool: Aetool, windows: Path, stream: Path, tmp_path: Path, length: int
) -> None:
    stream.write_bytes(stream.read_bytes()[:length])
    outcome = aetool("decompress", stream, "-o", tmp_path / "out" / "b.npy", "--bundle", windows)
    assert outcome.code == 7
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_another_bundle_is_named(aetool: Aetool, pictures: Path, stream: Path, tmp_path: Path) -> None:
    outcome = aetool("decompress", stream, "-o", tmp_path / "b.npy", "--bundle", pictures, "--json")
    assert (outcome.code, outcome.document["error"]["type"]) == (7, "WrongBundleError")


def test_the_library_reads_what_the_command_wrote(windows: Path, stream: Path) -> None:
    np.testing.assert_array_equal(Decompressor(windows).decompress(stream.read_bytes()), ROWS)


CALLS = {
    "a missing file": (["compress", "missing.npy", "-o", "s.aes"], 3, "no such file"),
    "a missing stream": (["decompress", "missing.aes", "-o", "b.npy"], 3, "cannot be read"),
    "two goals": (["compress", "a.npy", "-o", "s.aes", "--lossless", "--max-error", "1"], 2, "--max-error"),
    "a bound below 0": (["compress", "a.npy", "-o", "s.aes", "--max-error", "-1"], 2, "--max-error"),
    "a quality that is not there": (["compress", "a.npy", "-o", "s.aes", "--quality", "9"], 2, "0 (coarsest) to 1"),
    "a mistyped option": (["compress", "a.npy", "-o", "s.aes", "--losless"], 2, "--lossless"),
    "bare values of no type": (["compress", "-"], 2, "--raw"),
    "a document among bytes": (["compress", "a.npy", "--json"], 2, "standard output"),
    "an unknown kind": (["compress", "a.xyz", "-o", "s.aes"], 3, ".parquet"),
    "an output that is the input": (["compress", "a.npy", "-o", "a.npy", "--overwrite"], 2, "not written to"),
    "an output that is there": (["compress", "a.npy", "-o", "a.xyz"], 2, "already exists"),
    "something that is no stream": (["decompress", "a.npy", "-o", "b.npy"], 7, "does not begin"),
    "a bundle without compression": (["compress", "a.npy", "-o", "s.aes"], 2, "compression"),
}


@pytest.mark.parametrize(("arguments", "code", "text"), CALLS.values(), ids=CALLS)
def test_mistakes_are_told_and_leave_nothing(
    aetool: Aetool, windows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest, arguments: list[str], code: int, text: str,
) -> None:  # fmt: skip
    from tests.vectors.make import FOLDER

    monkeypatch.chdir(tmp_path)
    np.save("a.npy", ROWS)
    Path("a.xyz").write_text("?")
    without = FOLDER / "bundles" / "encoder.aepkg"
    bundle = without if "without compression" in request.node.name else windows
    outcome = aetool(*arguments, "--bundle", bundle)
    assert (outcome.code, text in outcome.err) == (code, True), outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "a.xyz"]


@pytest.mark.parametrize("engine", [("--backend", "auto"), ("--backend", "onnxruntime", "--threads", 2)], ids=str)
def test_the_engine_is_as_asked_for_and_changes_no_value(
    aetool: Aetool,
    windows: Path,
    stream: Path,
    tmp_path: Path,
    engine: tuple[object, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    call = ("compress", stream.with_name("a.npy"), "-o", tmp_path / "s.aes", "--bundle", windows, *engine)
    outcome = aetool(*call, "--max-error", 2)
    assert outcome.code == 0, outcome.err
    assert np.abs(Decompressor(windows).decompress((tmp_path / "s.aes").read_bytes()) - ROWS).max() <= 2


def test_bytes_do_not_go_to_a_terminal(
    aetool: Aetool, windows: Path, stream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    outcome = aetool("compress", stream.with_name("a.npy"), "--bundle", windows)
    assert (outcome.code, "terminal" in outcome.err) == (2, True)


@pytest.mark.parametrize("suffix", [".jpg", ".wav", ".aes", ""])
def test_a_stream_is_not_written_as_what_it_was_not(
    aetool: Aetool, windows: Path, stream: Path, tmp_path: Path, suffix: str
) -> None:
    outcome = aetool("decompress", stream, "-o", tmp_path / f"b{suffix}", "--bundle", windows)
    assert (outcome.code, ".npy" in outcome.err) == (2, True)


def test_ctrl_c_leaves_nothing_half(windows: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aetool", "compress", "-", "--raw", "int16", "--channels", "2"]
    process = subprocess.Popen(
        [*command, "-o", str(tmp_path / "s.aes"), "--bundle", str(windows), "--chunk-values", "16"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(ROWS.tobytes())
    process.stdin.flush()
    while not any(path.stat().st_size for path in tmp_path.iterdir()):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert b"Traceback" not in process.stderr.read()
    assert list(tmp_path.iterdir()) == []
