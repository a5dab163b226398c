"""What the user should know of a reduced precision: which layers stay in float32, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

__all__ = ["Notices"]

_LOOPS = frozenset(["WHILE", "IF"])


class Notices:
    """Collects by layer; signatures that share layers say the same thing once."""

    def __init__(self, precision: str) -> None:
        self._precision = precision
        self._lacking: dict[str, set[str]] = {}
        self._coarse: dict[str, None] = {}
        self._too_large: dict[str, None] = {}

    def stays(
        self, layers: Sequence[tuple[str, ...]], coarse: Collection[int], lacking: Iterable[tuple[int, str]]
    ) -> None:
        """Of one graph: places of operations beside too coarse values; places and names of those without a kernel."""
        for place in sorted(coarse):
            self._coarse[_shown(layers[place])] = None
        for place, operation in lacking:
            self._lacking.setdefault(_shown(layers[place]), set()).add(operation)

    def too_large(self, layers: tuple[str, ...]) -> None:
        """A layer whose weights float16 cannot hold."""
        self._too_large[_shown(layers)] = None

    def sentences(self) -> tuple[str, ...]:
        """One sentence for each layer."""
        return (
            *(self._without_kernel(layer, operations) for layer, operations in self._lacking.items()),
            *(
                f"{layer} stays in float32: {self._precision} would leave less than 20 dB of what it reads or makes, "
                "for its offset or its differences in size; normalize the data"
                for layer in self._coarse
            ),
            *(f"{layer} stays in float32: its weights are too large for float16" for layer in self._too_large),
        )

    def _without_kernel(self, layer: str, operations: set[str]) -> str:
        if operations & _LOOPS:
            return f"{layer} computes in float32, with int8 weights: the engine has no integer kernel for its loop"
        listed = ", ".join(sorted(operations))
        return (
            f"{layer} stays in float32: the engine has no {self._precision} kernel that is precise enough for {listed}"
        )


def _shown(layers: tuple[str, ...]) -> str:
    return f"layer {layers[0]!r}" if layers else "a part of the model"
