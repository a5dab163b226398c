"""Which tensor of an artifact is which layer's output.

Graphs carry no layer names, and a converter fuses, splits and reorders. So layers are recognized by what they compute:
each is run on what the artifact itself fed it, and the tensor that comes out of the artifact nearest to that is its
output. Its values then stand in for the layer's own, and the walk goes on from there: damage in one layer does not
hide those behind it, and every layer has an error of its own. Layers that no tensor belongs to are fused into the next
that has one. Where a layer is damaged so much that nothing is near, a tensor is tried in its place, and believed when
the layers after it agree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from aetool_exporters.drift.measure import Fit, balanced_likeness, best_fit, layouts, likeness
from aetool_exporters.drift.program import Program, Values, as_array
from aetool_exporters.drift.trace import Trace
from aetool_exporters.multiply_adds import PASSING
from aetool_runtime.specs import Array

__all__ = ["Match", "align"]

_Found: TypeAlias = tuple[int, int, Fit]  # place of the operation, place of the tensor, how they fit

_WINDOW = 12  # layers without a tensor of their own before one is taken to be damaged
_AHEAD = 3  # layers behind one that could be a better owner of its tensor: BatchNorm, activation, dropout
_GUESSES = 8  # tensors that are tried in place of a damaged layer's
_EVIDENCE = 6.0  # dB that a layer must bring a tensor nearer, to speak for it
_PLENTY = 10.0  # dB above confidence: nothing is wrong with what was skipped on the way there
_SAME = 180.0  # dB: equal but for the last bit


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


def align(program: Program, trace: Trace, array: Array, *, confident: float, doubtful: float) -> list[Match]:
    """Match layers and tensors, in the order of the layers. Each returned slot is matched with its output.

    Args:
        array: raw samples, as the program takes them; the trace was made with the same.
        confident: dB from which a tensor is taken for a layer's output.
        doubtful: dB from which it still is, where none is nearer and nothing speaks for another.
    """
    return _Walk(program, trace, array, confident, doubtful).run()


class _Walk:
    def __init__(self, program: Program, trace: Trace, array: Array, confident: float, doubtful: float) -> None:
        self._program, self._trace = program, trace
        self._confident, self._doubtful = confident, doubtful
        self._place = {program.given: 0}  # slot → tensor that stands for it
        self._values: Values = program.run(array)  # as far as known, with the artifact's in place of Keras's
        self._makers = {slot: at for at, op in enumerate(program.operations) for slot in op.outputs}
        self._open = list(range(len(program.operations)))
        self._matches: list[Match] = []
        self._ends = {slot: trace.returned[name] for name, slot in program.returned.items() if name in trace.returned}
        first = trace.tensors[0]
        if first.grid is not None and first.values is not None:
            self._settle_input(first.values)

    def run(self) -> list[Match]:
        while self._open:
            self._drop_passing()
            found = self._surest() or self._near(self._doubtful, self._open) or self._spoiled() or self._last()
            if found is None:
                break
            self._accept(*found)
        return sorted(self._matches, key=lambda match: match.layer)

    # --- what is known ---

    def _settle_input(self, values: Array) -> None:
        """A quantized input is what the first layer is given."""
        given = as_array(self._values[self._program.given])
        if given.dtype.kind == "f":
            self._values[self._program.given] = _like(self._values[self._program.given], values)
            self._recompute(range(len(self._program.operations)))

    def _drop_passing(self) -> None:
        """A layer that hands on what it is given, in another shape perhaps, shares the tensor before it."""
        for at in list(self._open):
            operation = self._program.operations[at]
            if self._hands_on(at) and operation.inputs[0] in self._place:
                self._place[operation.output] = self._place[operation.inputs[0]]
                self._open.remove(at)

    def _hands_on(self, at: int) -> bool:
        operation = self._program.operations[at]
        if len(operation.inputs) != 1 or operation.output in self._ends:
            return False
        return _same_values(*(as_array(self._values[slot]) for slot in (operation.inputs[0], operation.output)))

    def _sources(self, at: int) -> tuple[int, ...]:
        """Tensors of the nearest known slots that a layer is computed from."""
        return tuple(sorted({self._place[slot] for slot in self._roots(at)}))

    def _roots(self, at: int) -> set[int]:
        found: set[int] = set()
        stack, seen = list(self._program.operations[at].inputs), set[int]()
        while stack:
            slot = stack.pop()
            if slot in seen:
                continue
            seen.add(slot)
            if slot in self._place:
                found.add(slot)
            elif slot in self._makers:
                stack += self._program.operations[self._makers[slot]].inputs
        return found

    def _pending(self, at: int) -> list[int]:
        """The open layers that lead to one, without it."""
        found: set[int] = set()
        stack = list(self._program.operations[at].inputs)
        while stack:
            slot = stack.pop()
            maker = self._makers.get(slot)
            if slot not in self._place and maker is not None and maker not in found:
                found.add(maker)
                stack += self._program.operations[maker].inputs
        return sorted(found)

    def _candidates(self, at: int) -> list[int]:
        """Tensors that are computed from all that a layer is computed from, nearest first; an output's is given."""
        slot = self._program.operations[at].output
        if slot in self._ends:
            return [self._ends[slot]]
        needed = set(self._sources(at))
        size = as_array(self._values[slot]).size
        taken = set(self._ends.values())
        return [
            place
            for place, tensor in enumerate(self._trace.tensors)
            if needed <= self._trace.ancestors[place] - {place}
            and tensor.values is not None
            and tensor.values.size == size
            and (place not in taken or self._alone(place))
        ]

    def _alone(self, place: int) -> bool:
        """Whether an output is read by further layers, and so may stand for one inside."""
        return any(place in tensor.inputs for tensor in self._trace.tensors)

    # --- ways to find the next match ---

    def _surest(self) -> _Found | None:
        """A tensor that is near to a layer, unless a layer before it, which would be fused into it, has one as well."""
        near = self._near(self._confident, self._open)
        if near is None:
            return self._confirmed(self._open)
        before = self._pending(near[0])
        skipped = self._near(self._doubtful, before, self._trace.ancestors[near[1]]) if before else None
        if skipped is None and before and near[2].likeness < self._confident + _PLENTY:
            skipped = self._confirmed(before)
        return skipped or near

    def _near(self, least: float, layers: Sequence[int], among: Collection[int] | None = None) -> _Found | None:
        """The first layer that some tensor is near to, and that no layer right behind it has a better claim to."""
        window = layers[:_WINDOW]
        for at in window:
            best = None if self._hands_on(at) else self._best(at)
            if best is None or best[1].likeness < least or (among is not None and best[0] not in among):
                continue
            if best[1].likeness >= _SAME or not self._outbid(at, self._next(at), best):
                return at, *best
        return None

    def _next(self, at: int) -> list[int]:
        """The open layers right behind one."""
        return [other for other in self._open if other > at][:_AHEAD]

    def _best(self, at: int) -> tuple[int, Fit] | None:
        expected = as_array(self._values[self._program.operations[at].output])
        fits = [(place, best_fit(expected, self._trace.tensors[place].values)) for place in self._candidates(at)]
        known = [(place, fit) for place, fit in fits if fit is not None]
        return max(known, key=lambda entry: entry[1].likeness, default=None)  # of equals the first

    def _outbid(self, at: int, behind: Sequence[int], best: tuple[int, Fit]) -> bool:
        place, fit = best
        values = self._trace.tensors[place].values
        mine = as_array(self._values[self._program.operations[at].output])
        for other in behind:
            made = as_array(self._values[self._program.operations[other].output])
            rival = self._is_candidate(other, place) and not _same_values(made, mine)
            claim = best_fit(made, values) if rival else None
            if claim is not None and claim.likeness > fit.likeness + 3.0:
                return True
        return False

    def _is_candidate(self, at: int, place: int) -> bool:
        slot = self._program.operations[at].output
        return self._ends.get(slot, place) == place and set(self._sources(at)) <= self._trace.ancestors[place]

    def _confirmed(self, layers: Sequence[int]) -> _Found | None:
        """A tensor in place of a layer that nothing is near to, with which a layer behind comes out right."""
        for at in layers[:_WINDOW]:
            expected = as_array(self._values[self._program.operations[at].output])
            if expected.dtype.kind != "f" or self._hands_on(at):
                continue
            for place in self._candidates(at)[:_GUESSES]:
                fits = [
                    Fit(likeness(expected, v), layout, v) for layout, v in layouts(self._tensor(place), expected.shape)
                ]
                agreeing = {index: self._agreeing(at, place, fit.values) for index, fit in enumerate(fits)}
                best = max(agreeing, key=lambda index: (agreeing[index], fits[index].likeness), default=None)
                if best is not None and agreeing[best]:
                    return self._latest(at, place, fits[best])
        return None

    def _spoiled(self) -> _Found | None:
        """Where the first value appears that is not finite: nothing behind it can agree with anything."""
        finite = [tensor.values is None or bool(np.all(np.isfinite(tensor.values))) for tensor in self._trace.tensors]
        origins = [
            place
            for place, tensor in enumerate(self._trace.tensors)
            if not finite[place] and all(finite[given] for given in tensor.inputs)
        ]
        for at in self._open:
            expected = as_array(self._values[self._program.operations[at].output])
            for place in self._candidates(at):
                fit = best_fit(expected, self._trace.tensors[place].values) if place in origins else None
                if fit is not None and np.all(np.isfinite(expected)):
                    return at, place, fit
        return None

    def _tensor(self, place: int) -> Array:
        values = self._trace.tensors[place].values
        assert values is not None
        return values

    def _agreeing(self, at: int, place: int, values: Array) -> int:
        """How many of the layers behind come out right, if these are a layer's values. Activations do so in any layout,
        hence the count.
        """
        count = 0
        trial = dict(self._values)
        slot = self._program.operations[at].output
        trial[slot] = _like(trial[slot], values)
        for behind in self._behind(at):
            operation = self._program.operations[behind]
            if any(given not in trial for given in operation.inputs):
                continue
            trial |= zip(operation.outputs, operation.call(trial), strict=True)
            made = as_array(trial[operation.output])
            if made.dtype.kind != "f" or not np.all(np.isfinite(made)) or _same_values(made, values):
                continue
            if not np.ptp(made):
                continue  # a layer that says nothing agrees with everything
            count += self._is_somewhere(operation.output, made, place, values)
        return count

    def _is_somewhere(self, slot: int, made: Array, behind: int, source: Array) -> bool:
        """Whether some tensor that is computed from another is near to a value, and not as near to its source."""
        end = self._ends.get(slot)
        for other in [end] if end is not None else range(len(self._trace.tensors)):
            if other == behind or behind not in self._trace.ancestors[other]:
                continue
            fit = best_fit(made, self._trace.tensors[other].values)
            if fit is not None and fit.likeness >= self._confident:
                trivial = best_fit(source, self._trace.tensors[other].values)
                if trivial is None or trivial.likeness < fit.likeness - _EVIDENCE:
                    return True
        return False

    def _behind(self, at: int) -> Iterator[int]:
        """The next layers that are computed from one."""
        reached = set(self._program.operations[at].outputs)
        count = 0
        for behind in range(at + 1, len(self._program.operations)):
            operation = self._program.operations[behind]
            if reached & set(operation.inputs):
                reached |= set(operation.outputs)
                yield behind
                count += 1
                if count == _WINDOW // 2:
                    return

    def _latest(self, at: int, place: int, fit: Fit) -> _Found:
        """Activations leave alone what is behind an activation already: the tensor belongs to the last of them."""
        values: Values = dict(self._values)
        slot = self._program.operations[at].output
        values[slot] = _like(values[slot], fit.values)
        for behind in self._behind(at):
            operation = self._program.operations[behind]
            if operation.inputs != (slot,) or operation.kind in PASSING or operation.output in self._ends:
                break
            made = operation.call(values)
            if not _same_values(as_array(made[0]), fit.values):
                break
            values |= zip(operation.outputs, made, strict=True)
            at, slot = behind, operation.output
        expected = as_array(self._values[slot])
        return at, place, Fit(likeness(expected, fit.values), fit.layout, fit.values)

    def _last(self) -> _Found | None:
        """Else the next output, whose tensor is known by its name."""
        self._recompute(self._open)
        for at in self._open:
            operation = self._program.operations[at]
            if operation.output in self._ends:
                expected = as_array(self._values[operation.output])
                fit = best_fit(expected, self._tensor(self._ends[operation.output]))
                if fit is not None:
                    return at, self._ends[operation.output], fit
        return None

    # --- going on ---

    def _accept(self, at: int, place: int, fit: Fit) -> None:
        operation = self._program.operations[at]
        fused = self._pending(at)
        known = {slot: self._values[slot] for slot in self._roots(at)}
        expected = as_array(self._values[operation.output])
        sources = self._sources(at)
        self._matches.append(Match(at, place, fit.layout, tuple(fused), known, expected, fit.values, sources))
        for done in (*fused, at):
            if done in self._open:
                self._open.remove(done)
        self._place[operation.output] = place
        if expected.dtype.kind == "f":
            self._values[operation.output] = _like(self._values[operation.output], fit.values)
            self._recompute(self._open[: _WINDOW + _AHEAD])  # further ones when it is their turn

    def _recompute(self, layers: Sequence[int]) -> None:
        """What is behind a value that has changed."""
        for at in layers:
            operation = self._program.operations[at]
            made = dict(zip(operation.outputs, operation.call(self._values), strict=True))
            self._values |= {slot: value for slot, value in made.items() if slot not in self._place}


def _same_values(one: Array, other: Array) -> bool:
    return one.size == other.size and bool(np.array_equal(one.reshape(-1), other.reshape(-1)))


def _like(tensor: Any, values: Array) -> Any:
    """Other values as a Keras tensor of the same dtype, with the mask that the layers behind go by."""
    import keras

    made = keras.ops.convert_to_tensor(values, dtype=tensor.dtype)
    mask = getattr(tensor, "_keras_mask", None)
    if mask is not None:
        made._keras_mask = mask
    return made
