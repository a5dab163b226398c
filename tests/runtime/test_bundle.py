"""A bundle is opened whole and untouched, or refused by name: no damage, disguise or link gives data back."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.tiny import write_bundle
from tests.vectors.bundles import archive_of, small_files, with_manifest

from aetool_runtime import Bundle, open_bundle
from aetool_runtime.bundle import MANIFEST, MANIFEST_DIGEST, digest_line
from aetool_runtime.errors import (
    AetoolError,
    DigestError,
    InputError,
    IntegrityError,
    ManifestError,
    TruncatedError,
    UnsafeError,
)
from aetool_runtime.pack import pack, write_zip
from aetool_runtime.zip_layout import zip_chunks

SMALL = small_files()
ARCHIVE = archive_of(SMALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "b.aepkg", SMALL)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to write archives to, one after the other."""
    return tmp_path_factory.mktemp("scratch") / "b.aepkg"


# --- what becomes of it afterwards ---


@pytest.fixture(params=["a folder", "a zip"])
def opened(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Bundle:
    if request.param == "a folder":
        return open_bundle(folder)
    write_zip(tmp_path / "z.aepkg", SMALL)
    return open_bundle(tmp_path / "z.aepkg")


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def put(path: Path, files: dict[str, bytes]) -> None:
    """In the bundle's place, as `export --overwrite` does."""
    is_folder = path.is_dir()
    remove(path)
    write_bundle(path, files) if is_folder else write_zip(path, files)


def retrained() -> dict[str, bytes]:
    """Another graph under the same name."""
    files = {**SMALL, "encoder.onnx": SMALL["encoder.onnx"].replace(b"tiny", b"TINY")}
    entry = {"sha256": hashlib.sha256(files["encoder.onnx"]).hexdigest(), "bytes": len(files["encoder.onnx"])}
    return with_manifest(files, lambda document: document["files"].update({"encoder.onnx": entry}))


def put_a_text(path: Path) -> None:
    remove(path)
    path.write_text("x")


AFTERWARDS: dict[str, Callable[[Path], None]] = {
    "it is removed": remove,
    "another one is in its place": lambda path: put(path, retrained()),
    "a damaged other one is in its place": lambda path: put(path, {**retrained(), MANIFEST_DIGEST: b""}),
    "something else is in its place": put_a_text,
}


@pytest.mark.parametrize("happen", AFTERWARDS.values(), ids=AFTERWARDS)
def test_a_bundle_that_is_no_longer_there_is_not_called_damaged(opened: Bundle, happen: Callable[[Path], None]) -> None:
    happen(opened.path)
    with pytest.raises(InputError, match="replaced or removed since it was opened") as refusal:
        opened.read("encoder.onnx")
    assert refusal.value.hint == "open it again"


def test_a_bundle_that_is_replaced_by_the_same_goes_on(opened: Bundle) -> None:
    put(opened.path, SMALL)
    assert opened.read("encoder.onnx") == SMALL["encoder.onnx"]


def test_damage_to_an_opened_bundle_is_still_called_so(folder: Path) -> None:
    bundle = open_bundle(folder)
    (folder / "encoder.onnx").write_bytes(b"")
    with pytest.raises(TruncatedError):
        bundle.read("encoder.onnx")
    (folder / "encoder.onnx").unlink()
    with pytest.raises(TruncatedError, match="missing"):
        bundle.read("encoder.onnx")


def test_a_bundle_is_found_again_from_another_working_directory(
    monkeypatch: pytest.MonkeyPatch, opened: Bundle, tmp_path: Path
) -> None:
    monkeypatch.chdir(opened.path.parent)
    relative = open_bundle(opened.path.name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert relative.read("encoder.onnx") == SMALL["encoder.onnx"]
    assert relative.path == Path(opened.path.name)


# --- what is opened ---


def test_a_folder_and_its_zip_are_one_bundle(tmp_path: Path, folder: Path) -> None:
    one = open_bundle(folder)
    pack(one, tmp_path / "z.aepkg")
    other = open_bundle(tmp_path / "z.aepkg")
    assert (one.manifest, one.digest, one.text) == (other.manifest, other.digest, other.text)
    for path in one.manifest.files:
        assert one.read(path) == other.read(path) == SMALL[path]


def test_the_digest_is_what_sha256sum_prints(folder: Path) -> None:
    check = subprocess.run(["sha256sum", "--check", "--strict", MANIFEST_DIGEST], cwd=folder, capture_output=True)
    assert check.returncode == 0, check.stderr
    assert (folder / MANIFEST_DIGEST).read_text().split()[0] == open_bundle(folder).digest


def test_files_that_the_manifest_does_not_list_are_not_part_of_a_folder(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "link").symlink_to("/etc/passwd")
    bundle = open_bundle(folder)
    with pytest.raises(UnsafeError, match=r"does not list 'notes\.txt'"):
        bundle.read("notes.txt")


@pytest.mark.parametrize("name", ["../b.aepkg/encoder.onnx", "/etc/passwd", "", MANIFEST, "encoder.onnx/"])
def test_only_listed_files_are_read(folder: Path, name: str) -> None:
    with pytest.raises(UnsafeError):
        open_bundle(folder).read(name)


def test_the_bundle_itself_may_be_reached_through_a_link(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    write_zip(tmp_path / "z.aepkg", SMALL)
    (tmp_path / "zip-link").symlink_to(tmp_path / "z.aepkg")
    assert open_bundle(tmp_path / "link").digest == open_bundle(tmp_path / "zip-link").digest


# --- every byte ---


def refused(path: Path) -> bool:
    """Whether a bundle is refused as one whose bytes are not the right ones."""
    try:
        open_bundle(path)
    except IntegrityError:
        return True
    return False


def test_every_changed_byte_of_a_folder_is_found(folder: Path) -> None:
    unnoticed = []
    for name, data in SMALL.items():
        for at in range(len(data)):
            (folder / name).write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
            if not refused(folder):
                unnoticed.append((name, at))
        (folder / name).write_bytes(data)
    assert unnoticed == []
    open_bundle(folder)


def test_every_changed_byte_of_a_zip_is_found(scratch: Path) -> None:
    unnoticed = []
    for at in range(len(ARCHIVE)):
        for mask in (1 << at % 8, 0xFF):
            scratch.write_bytes(ARCHIVE[:at] + bytes([ARCHIVE[at] ^ mask]) + ARCHIVE[at + 1 :])
            if not refused(scratch):
                unnoticed.append((at, mask))
    assert unnoticed == []


def test_every_length_of_a_zip_but_its_own_is_found(scratch: Path) -> None:
    for length in range(len(ARCHIVE)):
        scratch.write_bytes(ARCHIVE[:length])
        with pytest.raises(TruncatedError):
            open_bundle(scratch)


@pytest.mark.parametrize("name", SMALL)
def test_a_file_of_any_other_length_is_found(folder: Path, name: str) -> None:
    for length in {0, 1, len(SMALL[name]) // 2, len(SMALL[name]) - 1}:
        (folder / name).write_bytes(SMALL[name][:length])
        with pytest.raises(IntegrityError):
            open_bundle(folder)
    (folder / name).write_bytes(SMALL[name] + b"\0")
    with pytest.raises(DigestError):
        open_bundle(folder)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_other_damage_to_a_zip_is_refused_and_nothing_foreign_leaves(scratch: Path, data: st.DataObject) -> None:
    """Pieces cut out, doubled, overwritten: an error of the format's families, or not a bundle at all."""
    content = bytearray(ARCHIVE)
    for _ in range(data.draw(st.integers(1, 4))):
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        content[start:end] = data.draw(st.binary(max_size=40) | st.just(bytes(content[start:end]) * 2))
    if bytes(content) == ARCHIVE:
        return
    scratch.write_bytes(content)
    with pytest.raises((IntegrityError, InputError)):
        open_bundle(scratch)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_noise_is_no_bundle(scratch: Path, noise: bytes) -> None:
    for content in (noise, b"PK\3\4" + noise, noise + b"PK\5\6" + noise[:18].ljust(18, b"\0")):
        scratch.write_bytes(content)
        with pytest.raises((IntegrityError, InputError)):
            open_bundle(scratch)


def test_damage_after_opening_is_found_when_the_file_is_read(folder: Path) -> None:
    bundle = open_bundle(folder)
    (folder / "encoder.onnx").write_bytes(SMALL["encoder.onnx"].replace(b"Gemm", b"Mmeg"))
    with pytest.raises(DigestError, match=r"encoder\.onnx"):
        bundle.read("encoder.onnx")


# --- what lies in a file's place ---


def link_to_a_copy(path: Path) -> None:
    shutil.copy(path, path.parent.parent / "copy")
    path.unlink()
    path.symlink_to(path.parent.parent / "copy")


def link_to_a_neighbour(path: Path) -> None:
    path.rename(path.with_name("neighbour"))
    path.symlink_to("neighbour")


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe_in_its_place(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def socket_in_its_place(path: Path) -> None:
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's name has at most 108 bytes
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nothing")


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def device_in_its_place(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


IN_ITS_PLACE = {
    "nothing": (Path.unlink, TruncatedError),
    "a link to the same bytes": (link_to_a_copy, UnsafeError),
    "a link within the bundle": (link_to_a_neighbour, UnsafeError),
    "a link to nothing": (link_to_nothing, UnsafeError),
    "a link to itself": (link_to_itself, UnsafeError),
    "a link to a device": (device_in_its_place, UnsafeError),
    "a folder": (folder_in_its_place, UnsafeError),
    "a pipe": (pipe_in_its_place, UnsafeError),
    "a socket": (socket_in_its_place, UnsafeError),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("replace", "error"), IN_ITS_PLACE.values(), ids=IN_ITS_PLACE)
def test_in_a_files_place(folder: Path, name: str, replace: Callable[[Path], None], error: type[AetoolError]) -> None:
    replace(folder / name)
    with pytest.raises(error) as refusal:
        open_bundle(folder)
    assert name in refusal.value.where


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "d.aepkg", small_files({"a/b/x": b"x", "a/y": b"y"}))


@pytest.mark.parametrize("inner", ["a", "a/b"])
def test_an_inner_folder_that_is_a_link_is_refused(tmp_path: Path, deep: Path, inner: str) -> None:
    open_bundle(deep)
    (deep / inner).rename(tmp_path / "moved")
    (deep / inner).symlink_to(tmp_path / "moved")
    with pytest.raises(UnsafeError, match="is a link"):
        open_bundle(deep)


def test_an_inner_folder_that_is_a_file_hides_what_should_be_in_it(deep: Path) -> None:
    shutil.rmtree(deep / "a")
    (deep / "a").write_bytes(b"x")
    with pytest.raises(TruncatedError, match="missing"):
        open_bundle(deep)


def pipe(path: Path) -> None:
    os.mkfifo(path)


NO_BUNDLES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a text": lambda path: path.write_text("hello"),
    "a pipe": pipe,
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("make", NO_BUNDLES.values(), ids=NO_BUNDLES)
def test_what_is_no_bundle_is_called_so(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "b")
    with pytest.raises(InputError) as refusal:
        open_bundle(tmp_path / "b")
    assert type(refusal.value) is InputError
    assert "aetool export" in refusal.value.hint


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "b/" * 3000])
def test_a_path_that_no_system_takes_is_refused(path: str) -> None:
    with pytest.raises(InputError):
        open_bundle(path)


def test_an_empty_folder_has_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(TruncatedError, match=r"manifest\.json: the file is missing"):
        open_bundle(tmp_path)


# --- a manifest that lies about its files, with a digest that fits ---


def lie(path: Path, **entry: object) -> None:
    files = with_manifest(SMALL, lambda document: document["files"]["encoder.onnx"].update(entry))
    write_bundle(path, files)


def test_a_size_larger_than_any_memory_is_not_believed(tmp_path: Path) -> None:
    lie(tmp_path / "l.aepkg", bytes=2**52)
    with pytest.raises(TruncatedError, match="expected 4503599627370496"):
        open_bundle(tmp_path / "l.aepkg")


def test_a_manifest_larger_than_allowed_is_not_read(folder: Path) -> None:
    """It is sparse: 8 GiB on no disk and in no memory."""
    with (folder / MANIFEST).open("r+b") as file:
        file.truncate(8 << 30)
    with pytest.raises(ManifestError, match="at most 16777216 bytes"):
        open_bundle(folder)


# --- archives ---


def test_any_zip_program_reads_ours(tmp_path: Path, folder: Path) -> None:
    pack(open_bundle(folder), tmp_path / "z.aepkg")
    with zipfile.ZipFile(tmp_path / "z.aepkg") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [MANIFEST, MANIFEST_DIGEST, "encoder.onnx", "golden.bin"]
        archive.extractall(tmp_path / "unpacked")
    assert open_bundle(tmp_path / "unpacked").digest == open_bundle(folder).digest


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_unzip_reads_ours(tmp_path: Path, folder: Path) -> None:
    pack(open_bundle(folder), tmp_path / "z.aepkg")
    subprocess.run(["unzip", "-q", "z.aepkg", "-d", "unpacked"], cwd=tmp_path, check=True)
    assert open_bundle(tmp_path / "unpacked").digest == open_bundle(folder).digest


def test_packing_gives_the_same_bytes_from_a_folder_from_a_zip_and_again(tmp_path: Path, folder: Path) -> None:
    targets = [tmp_path / f"{i}.aepkg" for i in range(3)]
    pack(open_bundle(folder), targets[0])
    os.utime(folder / "encoder.onnx", (0, 0))
    (folder / "encoder.onnx").chmod(0o600)
    pack(open_bundle(folder), targets[1])
    pack(open_bundle(targets[0]), targets[2])
    assert targets[0].read_bytes() == targets[1].read_bytes() == targets[2].read_bytes() == ARCHIVE


def test_unknown_members_of_the_manifest_survive_packing(tmp_path: Path) -> None:
    files = with_manifest(SMALL, lambda document: document.update(later=[1]))
    pack(open_bundle(write_bundle(tmp_path / "b", files)), tmp_path / "z.aepkg")
    assert open_bundle(tmp_path / "z.aepkg").text == files[MANIFEST]


def test_an_archive_of_a_stock_program_is_refused_with_the_way_out(tmp_path: Path, folder: Path) -> None:
    shutil.make_archive(str(tmp_path / "z"), "zip", folder)
    with pytest.raises(UnsafeError, match="aetool pack"):
        open_bundle(tmp_path / "z.zip")
    with zipfile.ZipFile(tmp_path / "z.zip") as archive:
        archive.extractall(tmp_path / "u")
    pack(open_bundle(tmp_path / "u"), tmp_path / "again.aepkg")
    assert (tmp_path / "again.aepkg").read_bytes() == ARCHIVE


def test_a_damaged_bundle_is_not_packed(tmp_path: Path, folder: Path) -> None:
    bundle = open_bundle(folder)
    (folder / "golden.bin").write_bytes(b"")
    with pytest.raises(TruncatedError):
        pack(bundle, tmp_path / "z.aepkg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.aepkg"]


def test_no_more_files_are_packed_than_a_reader_takes() -> None:
    most = {f"f{i}": b"" for i in range(4096)}
    assert sum(map(len, zip_chunks(most))) > 0
    with pytest.raises(InputError, match="at most 4096 files"):
        list(zip_chunks({**most, "x": b""}))


ABSURD = """
import resource, sys
from aetool_runtime import open_bundle
from aetool_runtime.errors import IntegrityError
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
for path in sys.argv[1:]:
    try:
        open_bundle(path)
    except IntegrityError as error:
        print(type(error).__name__)
"""


def test_a_claim_of_absurd_sizes_takes_no_memory(tmp_path: Path) -> None:
    """Also where the file is as large as it claims, being sparse."""
    end = struct.Struct("<4s4H2IH")
    claims = [
        (22, end.pack(b"PK\5\6", 0, 0, 4096, 4096, 2**32 - 1, 0, 0)),
        (22, end.pack(b"PK\5\6", 0, 0, 4096, 4096, 0, 2**32 - 1, 0)),
        (4 << 30, end.pack(b"PK\5\6", 0, 0, 4096, 4096, (4 << 30) - 23, 1, 0)),
        (4 << 30, end.pack(b"PK\5\6", 0, 0, 4096, 4096, 46, (4 << 30) - 68, 0)),
        (9 << 30, end.pack(b"PK\5\6", 0, 0, 1, 1, 46, 0, 0)),
        (20, b"PK\3\4" + b"\xff" * 16),
    ]
    paths = []
    for i, (size, record) in enumerate(claims):
        paths.append(tmp_path / f"{i}.aepkg")
        with paths[-1].open("wb") as file:
            file.write(b"PK\3\4"[: max(0, size - len(record))])
            file.seek(size - len(record))
            file.write(record)
    child = subprocess.run([sys.executable, "-c", ABSURD, *map(str, paths)], capture_output=True, text=True)
    assert child.stdout.split() == ["UnsafeError"] * 5 + ["TruncatedError"], child.stderr


def test_a_bundle_shows_where_it_is_and_not_its_bytes(folder: Path) -> None:
    bundle: Bundle = open_bundle(folder)
    assert str(folder) in repr(bundle)
    assert len(repr(bundle)) < 3000
    assert digest_line(bundle.text) == (folder / MANIFEST_DIGEST).read_bytes()
