"""Names and shapes of a file's weights, to look at before any layer is built."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from aetool_exporters.foreign.entries import Entry, layer_name
from aetool_exporters.foreign.model_file import ModelFile

__all__ = ["WeightIndex", "snake_case"]

_WORDS = (re.compile(r"(.)([A-Z][a-z0-9]+)"), re.compile(r"([a-z])([A-Z])"))
_NO_WEIGHTS = ("seed_generator", "_seed_generator", "optimizer", "optimizer_weights")


def snake_case(name: str) -> str:
    """What Keras calls a class in its weight files: ``Conv2DTranspose`` → ``conv2d_transpose``."""
    name = re.sub(r"\W+", "", name)
    for pattern in _WORDS:
        name = pattern.sub(r"\1_\2", name)
    return name.lower()


@dataclass(frozen=True)
class WeightIndex:
    """Where a file's weights lie.

    Args:
        by_layer: the file names groups after layers (``.h5``); after classes otherwise (``.keras``).
        shapes: path → shape, in the file's order.
    """

    by_layer: bool
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, file: ModelFile) -> WeightIndex:
        """Look through a file."""
        shapes: dict[str, tuple[int, ...]] = {}
        with file.open_weights() as root:
            root.visititems(lambda path, member: _note(shapes, path, member))
        return cls(file.kind == ".h5", shapes)

    def of_layer(self, entry: Entry) -> list[tuple[int, ...]]:
        """The shapes of what may be a layer's weights, in order: kernel first."""
        name = layer_name(entry) if self.by_layer else snake_case(entry["class_name"])
        mine = re.compile(re.escape(name) + ("" if self.by_layer else r"(_\d+)?"))
        found = {path: shape for path, shape in self.shapes.items() if any(map(mine.fullmatch, path.split("/")))}
        first = [shape for path, shape in found.items() if re.search(r"kernel|embeddings|vars/0$", path)]
        return first + [shape for shape in found.values() if shape not in first]


def _note(shapes: dict[str, tuple[int, ...]], path: str, member: Any) -> None:
    path = path.replace("\\", "/")
    if hasattr(member, "shape") and not any(part in _NO_WEIGHTS for part in path.split("/")):
        shapes[path] = tuple(member.shape)
