"""Models of a class of their author's, whose code the file does not carry: what can be told from the file alone.

Many such classes write the models that they consist of into their configuration, complete. Those can be rebuilt.
"""

from __future__ import annotations

from typing import Any

from aetool_exporters.foreign.entries import GRAPHS, Entry, is_entry
from aetool_exporters.foreign.model_file import ModelFile
from aetool_runtime.errors import ModelError

__all__ = ["halves_of", "is_subclassed", "weight_groups"]


def is_subclassed(config: Entry) -> bool:
    """Neither functional nor Sequential."""
    return config["class_name"] not in GRAPHS


def halves_of(file: ModelFile) -> dict[str, Entry]:
    """The encoder and the decoder, or the one model, in the configuration of a class.

    Raises:
        ModelError: there are none, or it is not clear which is which.
    """
    config = file.config["config"]
    parts = {key: value for key, value in config.items() if is_entry(value) and value["class_name"] in GRAPHS}
    found = {role: [key for key in parts if role[:3] in key.lower()] for role in ("encoder", "decoder")}
    if all(len(keys) == 1 for keys in found.values()):
        return {role: parts[keys[0]] for role, keys in found.items()}
    if len(parts) == 1:
        return {"model": next(iter(parts.values()))}
    kind = file.config["class_name"]
    raise ModelError(
        f"the model is a {kind!r}, whose layers are in Python code that the file does not carry",
        where=str(file.path),
        expected="a functional or Sequential model, or a class that wrote encoder and decoder into the file",
        hint=f"--custom module:{kind}, if you have its code; or save its encoder and decoder each in a file",
    )


def weight_groups(file: ModelFile, part: Entry, parts: dict[str, Entry]) -> list[str]:
    """Where the weights of a part may lie in the file, the likeliest place first."""
    config = file.config["config"]
    key = next(key for key, value in config.items() if value is part)
    kind = "sequential" if part["class_name"] == "Sequential" else "functional"
    same = [other for other in parts.values() if (other["class_name"] == "Sequential") == (kind == "sequential")]
    place = next(index for index, other in enumerate(same) if other is part)
    name = kind if place == 0 else f"{kind}_{place}"
    with file.open_weights() as root:
        wanted = [key, f"_{key}", f"layers/{name}", f"_layer_checkpoint_dependencies/{name}", f"layers/{key}"]
        return [group for group in wanted if _has_weights(root, group)]


def _has_weights(root: Any, group: str) -> bool:
    found: list[str] = []
    if group in root:
        root[group].visititems(lambda path, member: found.append(path) if hasattr(member, "shape") else None)
    return bool(found)
