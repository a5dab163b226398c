"""``python -m aetool_runtime --cmake-dir``: where the C++ library's CMake package is."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["cmake_folder", "main"]


def cmake_folder() -> Path:
    """The folder to give CMake as ``aetool_DIR``: inside the installed package, or in the repository."""
    package = Path(__file__).resolve().parent
    installed = package / "cpp" / "cmake"
    return installed if installed.is_dir() else package.parent / "cpp" / "cmake"


def main(arguments: list[str]) -> int:
    """Print what is asked for; 2 for anything else."""
    if arguments != ["--cmake-dir"]:
        sys.stderr.write("usage: python -m aetool_runtime --cmake-dir\n")
        return 2
    sys.stdout.write(f"{cmake_folder()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
