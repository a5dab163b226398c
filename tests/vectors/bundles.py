"""The rows of bundles.json: a small bundle as one file, and what damage, disguise and other zip programs make of it."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from tests.runtime.tiny import bundle_of, golden_of, onnx_files, samples, tiny_files

from aetool_runtime.bundle import MANIFEST, MANIFEST_DIGEST, digest_line
from aetool_runtime.selftest import Case
from aetool_runtime.zip_layout import zip_chunks

__all__ = ["Archive", "archive_of", "archives", "small_files", "with_manifest"]

GRAPH = "encoder.onnx"


@dataclass(frozen=True)
class Archive:
    """An archive's bytes, and the name of what a reader says to it: when it is opened, or when its graph is loaded."""

    name: str
    verdict: str
    data: bytes
    at: str = "open"


def archives() -> Iterator[Archive]:
    """Every row; a new one must have a new name."""
    small = small_files()
    whole = archive_of(small)
    yield Archive("encoder", "ok", whole)
    yield Archive("encoder-decoder-in-both-formats", "ok", archive_of(tiny_files()))
    yield Archive("files-in-folders", "ok", archive_of(small_files({"a/LICENSE": b"free", "a/b/c": b""})))
    yield Archive("files-in-another-order", "ok", archive_of(dict(reversed(small.items()))))
    for name, (verdict, edit) in DAMAGE.items():
        yield Archive(name, verdict, edit(whole))
    for name, (verdict, change) in OTHER_FILES.items():
        yield Archive(name, verdict, archive_of(change(small)))
    for name, write in OTHER_PROGRAMS.items():
        yield Archive(name, "unsafe", write(small))
    for name, path in NAMES.items():
        yield Archive(name, "unsafe", _with_name(small, path))
    yield Archive("weights-in-another-file", "unsafe", archive_of(small_files({GRAPH: _external()})), at="load")


def small_files(changed: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """A bundle of one ONNX encoder with two golden samples, its manifest without spaces; other files added."""
    artifacts, files = onnx_files()
    encoders = [artifact for artifact in artifacts if artifact.role == "encoder"]
    whole = golden_of(inputs=samples(2))[0].tensors
    cases = [Case("held-out", {name: whole[name] for name in ("input", "latent")})]
    made = bundle_of(encoders, {GRAPH: files[GRAPH], **(changed or {})}, cases)
    return with_manifest(made, lambda _: None)


def with_manifest(files: Mapping[str, bytes], edit: Callable[[dict[str, Any]], None]) -> dict[str, bytes]:
    """The files with an edited manifest and the digest that fits it."""
    document = json.loads(files[MANIFEST])
    edit(document)
    text = json.dumps(document, separators=(",", ":")).encode()
    return {**files, MANIFEST: text, MANIFEST_DIGEST: digest_line(text)}


def archive_of(files: Mapping[str, bytes]) -> bytes:
    return b"".join(zip_chunks(files))


# --- damage to an archive ---


def _flip(mark: bytes, offset: int, mask: int = 1) -> Callable[[bytes], bytes]:
    """Change bits of the byte that lies ``offset`` after the first (for the directory and the end: last) mark."""

    def edit(data: bytes) -> bytes:
        at = (data.rindex(mark) if mark in (CENTRAL, END) else data.index(mark)) + offset
        return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]

    return edit


def _end_record(**fields: int) -> Callable[[bytes], bytes]:
    names = ("disk", "start_disk", "here", "count", "length", "start", "comment")

    def edit(data: bytes) -> bytes:
        values = dict(zip(names, struct.unpack("<4H2IH", data[-18:]), strict=True))
        return data[:-18] + struct.pack("<4H2IH", *{**values, **fields}.values())

    return edit


def _huge_entries(_: bytes) -> bytes:
    """Two empty files that claim 4 GiB less a byte each."""
    names = [b"manifest.json", b"x"]
    header = struct.Struct("<4s6H3I5H2I")
    records = [
        header.pack(CENTRAL, 20, 20, 0, 0, 0, 0x21, 0, 2**32 - 1, 2**32 - 1, len(name), 0, 0, 0, 0, 0, 0) + name
        for name in names
    ]
    body = b"".join(records)
    return LOCAL + body + END + struct.pack("<4H2IH", 0, 0, 2, 2, len(body), 4, 0)


def _gap(data: bytes) -> bytes:
    """A byte between the contents and the directory, which the end record takes into account."""
    at = struct.unpack("<I", data[-6:-2])[0]
    moved = data[:at] + b"\0" + data[at:]
    return _end_record(start=at + 1)(moved)


LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "empty-file": ("truncated", lambda _: b""),
    "two-bytes": ("truncated", lambda data: data[:2]),
    "twenty-bytes": ("truncated", lambda data: data[:20]),
    "half": ("truncated", lambda data: data[: len(data) // 2]),
    "last-byte-missing": ("truncated", lambda data: data[:-1]),
    "first-byte-missing": ("unsafe", lambda data: data[1:]),
    "a-byte-before": ("unsafe", lambda data: b"\0" + data),
    "a-byte-behind": ("truncated", lambda data: data + b"\0"),
    "a-comment-behind": ("truncated", lambda data: _end_record(comment=2)(data) + b"hi"),
    "a-second-archive-behind": ("unsafe", lambda data: data + data),
    "first-byte-flipped": ("unsafe", _flip(LOCAL, 0)),
    "manifest-flipped": ("digest", _flip(b"aetool.bundle", 1)),
    "digest-flipped": ("digest", _flip(b"  manifest.json\n", -1)),
    "graph-flipped": ("digest", _flip(b"Gemm", 0)),
    "local-method-deflate": ("unsafe", _flip(LOCAL, 8, 8)),
    "local-crc": ("unsafe", _flip(LOCAL, 14)),
    "local-name": ("unsafe", _flip(LOCAL, 30)),
    "directory-size": ("unsafe", _flip(CENTRAL, 24)),
    "directory-attributes-link": ("unsafe", _flip(CENTRAL, 41, 0xA0)),
    "directory-offset": ("unsafe", _flip(CENTRAL, 42)),
    "end-mark": ("truncated", _flip(END, 0)),
    "end-count": ("unsafe", _flip(END, 10)),
    "end-claims-65535-files": ("unsafe", _end_record(here=65535, count=65535)),
    "end-claims-4-gib": ("unsafe", _end_record(length=2**32 - 1, start=2**32 - 1)),
    "entries-claim-8-gib": ("unsafe", _huge_entries),
    "a-gap": ("unsafe", _gap),
    "no-files": ("truncated", lambda _: archive_of({})),
}

# --- other files in a right archive ---


def _put(name: str, data: bytes) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: {**files, name: data}


def _drop(name: str) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: {key: data for key, data in files.items() if key != name}


def _edit(path: str, value: Any) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: with_manifest(files, lambda document: document.update({path: value}))


def _list_outside(files: dict[str, bytes]) -> dict[str, bytes]:
    entry = {"sha256": "0" * 64, "bytes": 0}
    return with_manifest(files, lambda document: document["files"].update({"../outside": entry}))


OTHER_FILES: dict[str, tuple[str, Callable[[dict[str, bytes]], dict[str, bytes]]]] = {
    "no-manifest": ("truncated", _drop(MANIFEST)),
    "no-digest": ("truncated", _drop(MANIFEST_DIGEST)),
    "no-graph": ("truncated", _drop(GRAPH)),
    "an-unlisted-file": ("unsafe", _put("x", b"")),
    "graph-shorter": ("truncated", lambda files: {**files, GRAPH: files[GRAPH][:-1]}),
    "graph-longer": ("digest", lambda files: {**files, GRAPH: files[GRAPH] + b"\0"}),
    "digest-of-another-manifest": ("digest", _put(MANIFEST_DIGEST, digest_line(b""))),
    "digest-without-line-feed": (
        "digest", lambda files: {**files, MANIFEST_DIGEST: files[MANIFEST_DIGEST][:-1]}
    ),
    "digest-with-more-lines": (
        "digest", lambda files: {**files, MANIFEST_DIGEST: files[MANIFEST_DIGEST] + b"x"}
    ),
    "manifest-and-digest-changed": ("manifest", _edit("artifacts", [])),
    "manifest-of-version-2": ("version", _edit("version", 2)),
    "manifest-lists-outside": ("unsafe", _list_outside),
}  # fmt: skip

# --- the same files, packed by other programs ---


def _stock(method: int, year: int = 1980, **members: Any) -> Callable[[dict[str, bytes]], bytes]:
    def write(files: dict[str, bytes]) -> bytes:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", method) as archive:
            for name, data in files.items():
                info = zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0))
                info.compress_type, info.create_system = method, 3
                for member, value in members.items():
                    setattr(info, member, value)
                archive.writestr(info, data)
        return target.getvalue()

    return write


def _joined(files: list[tuple[bytes, bytes]]) -> bytes:
    """An archive in the prescribed layout, whatever the names are."""
    contents, directory, start = [], [], 0
    for name, data in files:
        stand_in = "x" * len(name)
        part = archive_of({stand_in: data})
        at = part.rindex(CENTRAL)
        record = part[at : at + 42] + struct.pack("<I", start) + name
        contents.append(part[:30] + name + part[30 + len(name) : at])
        directory.append(record)
        start += at
    body = b"".join(directory)
    end = END + struct.pack("<4H2IH", 0, 0, len(files), len(files), len(body), start, 0)
    return b"".join([*contents, body, end])


def _with_name(files: dict[str, bytes], name: bytes) -> bytes:
    return _joined([*((key.encode(), data) for key, data in files.items()), (name, b"outside")])


def _external() -> bytes:
    """The encoder, whose weights are said to lie in a file beside it."""
    model = onnx.ModelProto.FromString(onnx_files()[1][GRAPH])
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="golden.bin")
    return model.SerializeToString(deterministic=True)


OTHER_PROGRAMS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "stock-deflated": _stock(zipfile.ZIP_DEFLATED),
    "stock-stored": _stock(zipfile.ZIP_STORED),
    "stock-with-an-extra-field": _stock(zipfile.ZIP_STORED, extra=b"\xfe\xca\0\0"),
}
# a file of this name, which the directory lists too
NAMES: dict[str, bytes] = {
    "name-parent": b"../x",
    "name-backslash": b"..\\x",
    "name-nul": b"x\0.onnx",
    "name-folder": b"graphs/",
    "name-twice": GRAPH.encode(),
    "name-twice-manifest": MANIFEST.encode(),
}
