"""Adds the vectors that are missing, and never changes one that is there: `python -m tests.vectors.make`."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

from tests.runtime.compression.made import bare, fixed, free
from tests.runtime.compression.streams import archive_with
from tests.vectors.bundles import archives
from tests.vectors.coded import coded_rows
from tests.vectors.manifests import Row, rows
from tests.vectors.streams import stream_rows

from aetool_runtime.bundle import open_bundle
from aetool_runtime.compression.reading import read_compression

__all__ = ["COMPRESSION", "FOLDER", "append", "bundle_index", "manifest_index", "text_of"]

FOLDER = Path(__file__).parent
COMPRESSION = FOLDER / "compression"


def manifest_index() -> list[dict[str, Any]]:
    return [{"name": row.name, "verdict": row.verdict, **_text_members(row)} for row in rows()]


def _text_members(row: Row) -> dict[str, str]:
    try:
        return {"manifest": row.text.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(row.text).decode()}


def text_of(vector: dict[str, str]) -> bytes:
    """The manifest's bytes of an entry of manifests.json."""
    return vector["manifest"].encode() if "manifest" in vector else base64.b64decode(vector["base64"])


def bundle_index(folder: Path) -> list[dict[str, Any]]:
    """The entries of bundles.json; the archives themselves are written to ``folder`` where they are missing."""
    entries = []
    for archive in archives():
        path = folder / f"{archive.name}.aepkg"
        if not path.exists():
            path.write_bytes(archive.data)
        entries.append(
            {
                "name": archive.name,
                "verdict": archive.verdict,
                "at": archive.at,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "digest": _digest(path) if archive.verdict == "ok" else None,
            }
        )
    return entries


def _digest(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return hashlib.sha256(archive.read("manifest.json")).hexdigest()


def append(path: Path, entries: list[dict[str, Any]]) -> int:
    """Add to a list in JSON the entries whose names it has not; return how many."""
    old = json.loads(path.read_text("utf-8")) if path.exists() else []
    names = {entry["name"] for entry in old}
    new = [entry for entry in entries if entry["name"] not in names]
    if new:
        lines = ",\n".join(json.dumps(entry, ensure_ascii=True) for entry in [*old, *new])
        path.write_text(f"[\n{lines}\n]\n", "utf-8")
    return len(new)


def compression_vectors() -> int:
    """Bundles that compress, and what goes with them; how many vectors are new."""
    for name, make in (("bare", bare), ("fixed", fixed), ("free", free)):
        path = COMPRESSION / f"{name}.aepkg"
        if not path.exists():
            path.write_bytes(archive_with(make()))
    bundles = {name: open_bundle(COMPRESSION / f"{name}.aepkg") for name in ("bare", "fixed", "free")}
    made = {name: read_compression(bundle) for name, bundle in bundles.items()}
    added = append(COMPRESSION / "coded.json", list(coded_rows(made)))
    added += append(COMPRESSION / "streams.json", list(stream_rows(bundles)))
    return added


def main() -> None:
    (FOLDER / "bundles").mkdir(exist_ok=True)
    COMPRESSION.mkdir(exist_ok=True)
    added = append(FOLDER / "manifests.json", manifest_index())
    added += append(FOLDER / "bundles.json", bundle_index(FOLDER / "bundles"))
    added += compression_vectors()
    sys.stdout.write(f"{added} vectors added\n")


if __name__ == "__main__":
    main()
