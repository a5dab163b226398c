"""Files for a fuzz target to begin with, from the vectors.

python -m tests.cpp.seeds manifest|archive|stream FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

__all__ = ["write_seeds"]

VECTORS = Path(__file__).parents[1] / "vectors"


def write_seeds(kind: str, folder: Path) -> None:
    """Write the seeds of a kind into a folder that is there."""
    for number, content in enumerate(_contents(kind)):
        (folder / f"seed-{number}").write_bytes(content)


def _contents(kind: str) -> list[bytes]:
    if kind == "archive":
        return [path.read_bytes() for path in sorted((VECTORS / "bundles").glob("*.aepkg"))]
    if kind == "manifest":
        rows = json.loads((VECTORS / "manifests.json").read_text("utf-8"))
        return [row["manifest"].encode("utf-8", "surrogatepass") for row in rows if "manifest" in row]
    rows = json.loads((VECTORS / "compression" / "streams.json").read_text("utf-8"))
    return [bytes.fromhex(row["stream"]) for row in rows if row["bundle"] == "fixed"]


if __name__ == "__main__":
    write_seeds(sys.argv[1], Path(sys.argv[2]))
