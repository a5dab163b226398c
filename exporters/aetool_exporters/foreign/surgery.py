"""What the user adds to a file whose layers Keras does not know: classes of their own, and stand-ins by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Surgery"]


@dataclass(frozen=True)
class Surgery:
    """The user's own code, which is run because the user names it.

    Args:
        custom: class or function name → what it stands for.
        replaced: layer name, or path such as ``encoder/lambda`` → a function of its input tensors that takes the place
            of the layer.
    """

    custom: Mapping[str, Any] = field(default_factory=dict)
    replaced: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    def replacement(self, path: str) -> Callable[..., Any] | None:
        """The function for a layer; by its path, else by its last name."""
        return self.replaced.get(path) or self.replaced.get(path.rpartition("/")[2])
