"""What a bundle's encoder needs as C on a microcontroller."""

from __future__ import annotations

from aetool_runtime.bundle import Bundle
from aetool_runtime.errors import AetoolError

__all__ = ["c_json", "c_lines"]


def c_json(bundle: Bundle) -> dict[str, object] | None:
    """Bytes of the arena and the constants, or why there can be no C; ``None`` without an int8 TFLite encoder.

    Also ``None`` where nothing is installed that reads TFLite files.
    """
    kinds = {(artifact.format, artifact.precision, artifact.role) for artifact in bundle.manifest.artifacts}
    if ("tflite", "int8", "encoder") not in kinds:
        return None
    try:
        from aetool_exporters.c import program_of
    except ImportError:
        return None
    try:
        program = program_of(bundle)
    except AetoolError as error:
        return {"refused": str(error).splitlines()[0]}
    return {"arena_bytes": program.arena, "constant_bytes": program.constants}


def c_lines(bundle: Bundle) -> list[str]:
    """The same as a line to read."""
    found = c_json(bundle)
    if found is None:
        return []
    if "refused" in found:
        return ["", f"encoder as C   not to be had: {found['refused']}"]
    needs = f"static arena {found['arena_bytes']:,} bytes, constants {found['constant_bytes']:,} bytes"
    return ["", f"encoder as C   {needs}, and the caller's input and output"]
