"""Dependency-free C99 from int8 TFLite graphs, for microcontrollers."""

from __future__ import annotations

from aetool_exporters.c.program import CProgram, make_program
from aetool_exporters.c.writing import check_c_folder, program_of, write_c

__all__ = ["CProgram", "check_c_folder", "make_program", "program_of", "write_c"]
