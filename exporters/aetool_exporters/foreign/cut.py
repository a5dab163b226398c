"""A place where a model can be cut in two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aetool_runtime.specs import format_shape

__all__ = ["Cut"]


@dataclass(frozen=True)
class Cut:
    """A layer whose output is all that the rest of the model needs.

    Args:
        name: the layer's, with those of the nested models around it: ``encoder/dense_2``.
        shape: of the output, the batch first.
        elements: in one sample; free dimensions of the input count as 64, or as one where that will not do.
        model: the nested model that ends here, named like a layer, or "".
        follows_on: it only transforms the output of the layer before it, one by one.
        only_reshapes: and does not even change the values.
        tensor: the symbolic output.
        place: of the step that makes it, in the graph's order.
    """

    name: str
    shape: tuple[int | None, ...]
    elements: int
    model: str
    follows_on: bool
    only_reshapes: bool
    tensor: Any
    place: int

    @property
    def closes_model(self) -> bool:
        return bool(self.model)

    def __str__(self) -> str:
        return f"{self.name} {format_shape(self.shape)}"
