"""Where each tensor lies: the caller's buffers at the ends, one arena between, where what lives apart shares room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aetool_exporters.c.graph import Graph, Tensor
from aetool_exporters.c.step import Step

__all__ = ["Plan", "Room", "plan"]

_ALIGNMENT = 4


@dataclass(frozen=True)
class Room:
    """Where a tensor lies: in the arena from ``offset`` on, or in the caller's buffer ``argument``."""

    offset: int = 0
    argument: str = ""


@dataclass(frozen=True)
class Plan:
    """The calls that are left, where their tensors lie, and the arena's size in bytes."""

    steps: tuple[Step, ...]
    rooms: dict[Tensor, Room]
    arena: int


def plan(graph: Graph, steps: Sequence[Step]) -> Plan:
    """Tensors that a call makes from one that dies with it share its room, and copies within a room fall away."""
    arguments = {tensor: Room(argument=f"input{_number(graph.inputs, tensor)}") for tensor in graph.inputs}
    arguments |= {tensor: Room(argument=f"output{_number(graph.outputs, tensor)}") for tensor in graph.outputs}
    shared = _shared(graph, steps)
    lives = dict(_lives(graph, steps, shared))
    offsets, arena = _packed({root: life for root, life in lives.items() if shared.argument(root) is None})
    rooms = {}
    for tensor in _tensors(graph, steps):
        held = shared.argument(tensor)
        rooms[tensor] = arguments[held] if held is not None else Room(offsets[shared.root(tensor)])
    left = [step for step in steps if not (step.kernel == "copy" and rooms[step.inputs[0]] == rooms[step.output])]
    return Plan(tuple(left), rooms, arena)


def _number(tensors: Sequence[Tensor], tensor: Tensor) -> str:
    return "" if len(tensors) == 1 else str(tensors.index(tensor))


class _Shared:
    """Groups of tensors in one room; a group may hold one of the caller's."""

    def __init__(self, graph: Graph) -> None:
        self.parent: dict[Tensor, Tensor] = {}
        self.held = {tensor: tensor for tensor in (*graph.inputs, *graph.outputs)}

    def root(self, tensor: Tensor) -> Tensor:
        while tensor in self.parent:
            tensor = self.parent[tensor]
        return tensor

    def argument(self, tensor: Tensor) -> Tensor | None:
        return self.held.get(self.root(tensor))

    def join(self, first: Tensor, second: Tensor) -> None:
        argument = self.argument(first) or self.argument(second)
        self.parent[self.root(second)] = self.root(first)
        if argument is not None:
            self.held[self.root(first)] = argument


def _shared(graph: Graph, steps: Sequence[Step]) -> _Shared:
    shared = _Shared(graph)
    for place, step in enumerate(steps):
        if not step.in_place or step.inputs[0].data is not None:
            continue
        given, made = step.inputs[0], step.output
        both_held = shared.argument(given) is not None and shared.argument(made) is not None
        read_later = any(
            shared.root(tensor) is shared.root(given) for later in steps[place + 1 :] for tensor in later.inputs
        )
        spoils = read_later or shared.argument(given) is not None
        if not both_held and (step.kernel == "copy" or not spoils):
            shared.join(given, made)
    return shared


def _tensors(graph: Graph, steps: Sequence[Step]) -> list[Tensor]:
    found = [tensor for step in steps for tensor in (*step.inputs, step.output) if tensor.data is None]
    return list(dict.fromkeys((*graph.inputs, *found, *graph.outputs)))


def _lives(graph: Graph, steps: Sequence[Step], shared: _Shared) -> Iterator[tuple[Tensor, tuple[int, int, int]]]:
    """First and last call, and bytes, of each group."""
    for root in dict.fromkeys(map(shared.root, _tensors(graph, steps))):
        used = [
            place
            for place, step in enumerate(steps)
            if any(shared.root(tensor) is root for tensor in (*step.inputs, step.output))
        ]
        if used:
            yield root, (min(used), max(used), root.size)


def _packed(lives: dict[Tensor, tuple[int, int, int]]) -> tuple[dict[Tensor, int], int]:
    """Offsets, the largest first, each as low as those alive with it let it; and the size of all."""
    placed: dict[Tensor, tuple[int, int]] = {}
    for tensor in sorted(lives, key=lambda tensor: (-lives[tensor][2], lives[tensor][0], tensor.index)):
        first, last, size = lives[tensor]
        offset = 0
        for other in sorted(placed, key=lambda other: placed[other]):
            alive = lives[other][0] <= last and first <= lives[other][1]
            if alive and offset < placed[other][1] and placed[other][0] < offset + size:
                offset = -(-placed[other][1] // _ALIGNMENT) * _ALIGNMENT
        placed[tensor] = (offset, offset + size)
    return {tensor: start for tensor, (start, _) in placed.items()}, max((end for _, end in placed.values()), default=0)
