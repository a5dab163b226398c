"""Refuses HDF5 files that reach beyond themselves, before Keras would go and read what they point to.

A dataset may be kept in other files ("external", "virtual"), and a name may be a link into another file: whoever reads
such weights copies some local file's bytes into what is exported.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from aetool_runtime.errors import UnsafeError

__all__ = ["refuse_foreign_data"]


def refuse_foreign_data(file: Path | IO[bytes], shown: Path) -> None:
    """Walk every group and dataset of an HDF5 file.

    Raises:
        UnsafeError: one keeps its data, or lies itself, in another file; names it.
    """
    import h5py  # type: ignore[import-untyped]

    with h5py.File(file, "r") as root:
        found = _foreign(root, h5py)
    if found:
        raise UnsafeError(
            f"{found} points to another file",
            where=str(shown),
            expected="all weights inside the file",
            hint="do not use this file; ask whoever made it for a new one",
        )


def _foreign(group: Any, h5py: Any) -> str:
    """The first name below ``group`` whose data lie elsewhere; "" if there is none."""
    for name in group:
        path = f"{group.name.rstrip('/')}/{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            return path
        member = group[name]
        if isinstance(member, h5py.Dataset) and (member.external or member.is_virtual):
            return path
        if isinstance(member, h5py.Group) and (below := _foreign(member, h5py)):
            return below
    return ""
