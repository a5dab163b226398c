"""What is known on the way along a network: which layers have their tensor, and what the others are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from aetool_exporters.drift.measure import Fit, balanced_likeness, likeness
from aetool_exporters.drift.program import Program, Values, as_array
from aetool_exporters.drift.trace import Trace
from aetool_runtime.specs import Array

__all__ = ["AHEAD", "WINDOW", "Match", "Progress", "like", "same_values"]

WINDOW = 12
"""Layers without a tensor of their own, from which on one is taken to be damaged."""

AHEAD = 3
"""Layers behind one that could be a better owner of its tensor: BatchNormalization, activation, dropout."""


@dataclass(frozen=True)
class Match:
    """A layer's output in the artifact.

    Args:
        layer: place of the operation in the program.
        tensor: place in the trace.
        layout: how the tensor had to be laid out, see ``Fit``.
        fused: places of the operations before it that have no tensor of their own, in order.
        given: values of the slots that go into the first of them, as the artifact has them.
        expected: what Keras makes of them.
        met: what the artifact makes of them, in the same layout.
        sources: places of the tensors that stand for ``given``.
    """

    layer: int
    tensor: int
    layout: str
    fused: tuple[int, ...]
    given: Values
    expected: Array
    met: Array
    sources: tuple[int, ...]

    @property
    def own(self) -> float:
        """Likeness of the two, dB: what this layer loses by itself."""
        return likeness(self.expected, self.met)

    @property
    def balanced(self) -> float:
        """The same with each channel in its own unit, see ``balanced_likeness``."""
        return balanced_likeness(self.expected, self.met)


class Progress:
    """The state of a walk.

    Args:
        array: raw samples, as the program takes them.

    Attributes:
        place: slot → the tensor that stands for it.
        values: slot → value, with the artifact's in place of Keras's as far as they are known.
        open: places of the operations that are not settled, in order.
        ends: returned slot → its tensor, known by name.
    """

    def __init__(self, program: Program, trace: Trace, array: Array) -> None:
        self.program, self.trace = program, trace
        self.place = {program.given: 0}  # slot → tensor that stands for it
        self.values: Values = program.run(array)  # as far as known, with the artifact's in place of Keras's
        self.stale: set[int] = set()  # operations that are given other values since they were computed
        self.makers = {slot: at for at, op in enumerate(program.operations) for slot in op.outputs}
        self.open = list(range(len(program.operations)))
        self.matches: list[Match] = []
        self.ends = {slot: trace.returned[name] for name, slot in program.returned.items() if name in trace.returned}
        first = trace.tensors[0]
        if first.grid is not None and first.values is not None:
            self.settle_input(first.values)

    def settle_input(self, values: Array) -> None:
        """A quantized input is what the first layer is given."""
        given = as_array(self.values[self.program.given])
        if given.dtype.kind == "f":
            self.values[self.program.given] = like(self.values[self.program.given], values)
            self.stale = set(self.open)

    def drop_passing(self) -> None:
        """A layer that hands on what it is given, in another shape perhaps, shares the tensor before it."""
        for at in list(self.open):
            operation = self.program.operations[at]
            if operation.inputs[:1] and operation.inputs[0] in self.place and self.hands_on(at):
                self.place[operation.output] = self.place[operation.inputs[0]]
                self.open.remove(at)

    def hands_on(self, at: int) -> bool:
        operation = self.program.operations[at]
        if len(operation.inputs) != 1 or operation.output in self.ends:
            return False
        return same_values(self.array(operation.inputs[0]), self.array(operation.output))

    def sources(self, at: int) -> tuple[int, ...]:
        """Tensors of the nearest known slots that a layer is computed from."""
        return tuple(sorted({self.place[slot] for slot in self.roots(at)}))

    def roots(self, at: int) -> set[int]:
        found: set[int] = set()
        stack, seen = list(self.program.operations[at].inputs), set[int]()
        while stack:
            slot = stack.pop()
            if slot in seen:
                continue
            seen.add(slot)
            if slot in self.place:
                found.add(slot)
            elif slot in self.makers:
                stack += self.program.operations[self.makers[slot]].inputs
        return found

    def pending(self, at: int) -> list[int]:
        """The open layers that lead to one, without it."""
        found: set[int] = set()
        stack = list(self.program.operations[at].inputs)
        while stack:
            slot = stack.pop()
            maker = self.makers.get(slot)
            if slot not in self.place and maker is not None and maker not in found:
                found.add(maker)
                stack += self.program.operations[maker].inputs
        return sorted(found)

    def candidates(self, at: int) -> list[int]:
        """Tensors that are computed from all that a layer is computed from, nearest first; an output's is given."""
        slot = self.program.operations[at].output
        if slot in self.ends:
            return [self.ends[slot]]
        needed = set(self.sources(at))
        size = as_array(self.values[slot]).size
        taken = set(self.ends.values())
        return [
            place
            for place, tensor in enumerate(self.trace.tensors)
            if needed <= self.trace.ancestors[place] - {place}
            and tensor.values is not None
            and tensor.values.size == size
            and (place not in taken or self._alone(place))
        ]

    def _alone(self, place: int) -> bool:
        """Whether an output is read by further layers, and so may stand for one inside."""
        return any(place in tensor.inputs for tensor in self.trace.tensors)

    def is_candidate(self, at: int, place: int) -> bool:
        slot = self.program.operations[at].output
        return self.ends.get(slot, place) == place and set(self.sources(at)) <= self.trace.ancestors[place]

    def tensor(self, place: int) -> Array:
        values = self.trace.tensors[place].values
        assert values is not None
        return values

    def next_open(self, at: int) -> list[int]:
        """The open layers right behind one."""
        return [other for other in self.open if other > at][:AHEAD]

    def behind(self, at: int) -> Iterator[int]:
        """The next layers that are computed from one."""
        reached = set(self.program.operations[at].outputs)
        count = 0
        for behind in range(at + 1, len(self.program.operations)):
            operation = self.program.operations[behind]
            if reached & set(operation.inputs):
                reached |= set(operation.outputs)
                yield behind
                count += 1
                if count == WINDOW // 2:
                    return

    def accept(self, at: int, place: int, fit: Fit) -> None:
        operation = self.program.operations[at]
        fused = self.pending(at)
        known = {slot: self.value(slot) for slot in self.roots(at)}
        expected = self.array(operation.output)
        sources = self.sources(at)
        self.matches.append(Match(at, place, fit.layout, tuple(fused), known, expected, fit.values, sources))
        for done in (*fused, at):
            if done in self.open:
                self.open.remove(done)
        self.place[operation.output] = place
        if expected.dtype.kind == "f":
            self.values[operation.output] = like(self.values[operation.output], fit.values)
            unsettled = (at for at, op in enumerate(self.program.operations) if op.output not in self.place)
            self.stale = set(unsettled)  # computed again when they are asked for

    def value(self, slot: int) -> Any:
        """What is known of a slot, computed from the artifact's values as far as they reach."""
        maker = self.makers.get(slot)
        if maker in self.stale and slot not in self.place:
            operation = self.program.operations[maker]
            made = zip(
                operation.outputs, operation.call({read: self.value(read) for read in operation.inputs}), strict=True
            )
            self.values |= {out: value for out, value in made if out not in self.place}
            self.stale.discard(maker)
        return self.values[slot]

    def array(self, slot: int) -> Array:
        """The same as NumPy."""
        return as_array(self.value(slot))


def same_values(one: Array, other: Array) -> bool:
    return one.size == other.size and bool(np.array_equal(one.reshape(-1), other.reshape(-1)))


def like(tensor: Any, values: Array) -> Any:
    """Other values as a Keras tensor of the same dtype, with the mask that the layers behind go by."""
    import keras

    made = keras.ops.convert_to_tensor(values, dtype=tensor.dtype)
    mask = getattr(tensor, "_keras_mask", None)
    if mask is not None:
        made._keras_mask = mask
    return made
