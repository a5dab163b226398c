"""Which tensor of an artifact is which layer's output.

Graphs carry no layer names, and a converter fuses, splits and reorders. So layers are recognized by what they compute:
each is run on what the artifact itself fed it, and the tensor that comes out of the artifact nearest to that is its
output. Its values then stand in for the layer's own, and the walk goes on from there: damage in one layer does not
hide those behind it, and every layer has an error of its own. Layers that no tensor belongs to are fused into the next
that has one. Where a layer is damaged so much that nothing is near, a tensor is tried in its place, and believed when
the layers after it agree.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeAlias

import numpy as np

from aetool_exporters.drift.measure import Fit, best_fit, layouts, likeness, most_alike
from aetool_exporters.drift.program import Program, Values, as_array
from aetool_exporters.drift.progress import AHEAD, WINDOW, Match, Progress, like, same_values
from aetool_exporters.drift.trace import Trace
from aetool_exporters.multiply_adds import PASSING
from aetool_runtime.specs import Array

__all__ = ["align"]

_Found: TypeAlias = tuple[int, int, Fit]  # place of the operation, place of the tensor, how they fit

_GUESSES = 8  # tensors that are tried in place of a damaged layer's
_EVIDENCE = 6.0  # dB that a layer must bring a tensor nearer, to speak for it
_ALIKE = 0.6  # correlation
_MORE_ALIKE = 0.02
_PLENTY = 10.0  # dB above confidence: nothing is wrong with what was skipped on the way there
_SAME = 180.0  # dB: equal but for the last bit


def align(program: Program, trace: Trace, array: Array, *, confident: float, doubtful: float) -> list[Match]:
    """Match layers and tensors, in the order of the layers. Each returned slot is matched with its output.

    Args:
        array: raw samples, as the program takes them; the trace was made with the same.
        confident: dB from which a tensor is taken for a layer's output.
        doubtful: dB from which it still is, where none is nearer and nothing speaks for another.
    """
    return _Walk(program, trace, array, confident, doubtful).run()


class _Walk(Progress):
    def __init__(self, program: Program, trace: Trace, array: Array, confident: float, doubtful: float) -> None:
        super().__init__(program, trace, array)
        self.confident, self.doubtful = confident, doubtful

    def run(self) -> list[Match]:
        while self.open:
            self.drop_passing()
            found = self._surest() or self._doubtfully() or self._spoiled() or self._last()
            if found is None:
                break
            self.accept(*found)
        return sorted(self.matches, key=lambda match: match.layer)

    def _surest(self) -> _Found | None:
        """A tensor that is near to a layer, unless a layer before it, which would be fused into it, has one as well."""
        near = self._near(self.confident, self.open)
        if near is None:
            found = self._confirmed(self.open)
            return found and (self._before(found) or found)
        before = self.pending(near[0])
        skipped = self._near(self.doubtful, before, self._leading_to(near[1])) if before else None
        if skipped is None and before and near[2].likeness < self.confident + _PLENTY:
            skipped = self._confirmed(before)
        return skipped or near

    def _before(self, found: _Found) -> _Found | None:
        """A layer that is skipped on the way to one, with more than are ever fused, and a tensor that looks like it."""
        before = self.pending(found[0])
        return self._likely(before, self._leading_to(found[1])) if len(before) > AHEAD else None

    def _leading_to(self, place: int) -> frozenset[int]:
        return self.trace.ancestors[place] - {place}

    def _doubtfully(self) -> _Found | None:
        """Several layers are damaged: the nearest there is, or else whatever looks like a layer's output at all."""
        near = self._near(self.doubtful, self.open)
        if near is None:
            return self._likely(self.open)
        return self._before(near) or near

    def _likely(self, layers: Sequence[int], among: Collection[int] | None = None) -> _Found | None:
        for at in layers[:AHEAD]:
            expected = self.array(self.program.operations[at].output)
            if expected.dtype.kind != "f" or self.hands_on(at):
                continue
            places = [place for place in self.candidates(at) if among is None or place in among]
            fits = {place: most_alike(expected, self.tensor(place)) for place in places}
            best = max(fits, key=lambda place: fits[place].likeness, default=None)
            if best is not None and fits[best].likeness >= _ALIKE and not self._resembles_more(at, best, fits[best]):
                values = fits[best].values
                return at, best, Fit(likeness(expected, values), fits[best].layout, values)
        return None

    def _resembles_more(self, at: int, place: int, fit: Fit) -> bool:
        """Whether a tensor looks more like what a layer right behind makes."""
        behind = [other for other in self.next_open(at) if self.is_candidate(other, place)]
        made = [self.array(self.program.operations[other].output) for other in behind]
        claims = [most_alike(values, self.tensor(place)) for values in made if values.size == fit.values.size]
        return any(claim.likeness > fit.likeness + _MORE_ALIKE for claim in claims)

    def _near(self, least: float, layers: Sequence[int], among: Collection[int] | None = None) -> _Found | None:
        """The first layer that some tensor is near to, and that no layer right behind it has a better claim to."""
        window = layers[:WINDOW]
        for at in window:
            best = None if self.hands_on(at) else self._best(at)
            if best is None or best[1].likeness < least or (among is not None and best[0] not in among):
                continue
            if best[1].likeness >= _SAME or not self._outbid(at, self.next_open(at), best):
                return at, *best
        return None

    def _best(self, at: int) -> tuple[int, Fit] | None:
        expected = self.array(self.program.operations[at].output)
        fits = [(place, best_fit(expected, self.trace.tensors[place].values)) for place in self.candidates(at)]
        known = [(place, fit) for place, fit in fits if fit is not None]
        return max(known, key=lambda entry: entry[1].likeness, default=None)  # of equals the first

    def _outbid(self, at: int, behind: Sequence[int], best: tuple[int, Fit]) -> bool:
        place, fit = best
        values = self.trace.tensors[place].values
        mine = self.array(self.program.operations[at].output)
        for other in behind:
            made = self.array(self.program.operations[other].output)
            rival = self.is_candidate(other, place) and not same_values(made, mine)
            claim = best_fit(made, values) if rival else None
            if claim is not None and claim.likeness > fit.likeness + 3.0:
                return True
        return False

    def _confirmed(self, layers: Sequence[int]) -> _Found | None:
        """A tensor in place of a layer that nothing is near to, with which a layer behind comes out right."""
        for at in layers[:WINDOW]:
            expected = self.array(self.program.operations[at].output)
            if expected.dtype.kind != "f" or self.hands_on(at):
                continue
            for place in self.candidates(at)[:_GUESSES]:
                fits = [
                    Fit(likeness(expected, v), layout, v) for layout, v in layouts(self.tensor(place), expected.shape)
                ]
                agreeing = {index: self._agreeing(at, place, fit.values) for index, fit in enumerate(fits)}
                best = max(agreeing, key=lambda index: (agreeing[index], fits[index].likeness), default=None)
                if best is not None and agreeing[best]:
                    return self._latest(at, place, fits[best])
        return None

    def _spoiled(self) -> _Found | None:
        """Where the first value appears that is not finite: nothing behind it can agree with anything."""
        finite = [tensor.values is None or bool(np.all(np.isfinite(tensor.values))) for tensor in self.trace.tensors]
        origins = [
            place
            for place, tensor in enumerate(self.trace.tensors)
            if not finite[place] and all(finite[given] for given in tensor.inputs)
        ]
        for at in self.open:
            expected = self.array(self.program.operations[at].output)
            for place in self.candidates(at):
                fit = best_fit(expected, self.trace.tensors[place].values) if place in origins else None
                if fit is not None and np.all(np.isfinite(expected)):
                    return at, place, fit
        return None

    def _agreeing(self, at: int, place: int, values: Array) -> int:
        """How many of the layers behind come out right, if these are a layer's values. Activations do so in any layout,
        hence the count.
        """
        count = 0
        slot = self.program.operations[at].output
        trial: Values = {slot: like(self.value(slot), values)}
        for behind in self.behind(at):
            operation = self.program.operations[behind]
            given = {read: trial[read] if read in trial else self.value(read) for read in operation.inputs}
            trial |= zip(operation.outputs, operation.call(given), strict=True)
            made = as_array(trial[operation.output])
            if made.dtype.kind != "f" or not np.all(np.isfinite(made)) or same_values(made, values):
                continue
            if not np.ptp(made):
                continue  # a layer that says nothing agrees with everything
            count += self._is_somewhere(operation.output, made, place, values)
        return count

    def _is_somewhere(self, slot: int, made: Array, behind: int, source: Array) -> bool:
        """Whether some tensor that is computed from another is near to a value, and not as near to its source."""
        end = self.ends.get(slot)
        for other in [end] if end is not None else range(len(self.trace.tensors)):
            if other == behind or behind not in self.trace.ancestors[other]:
                continue
            fit = best_fit(made, self.trace.tensors[other].values)
            if fit is not None and fit.likeness >= self.confident:
                trivial = best_fit(source, self.trace.tensors[other].values)
                if trivial is None or trivial.likeness < fit.likeness - _EVIDENCE:
                    return True
        return False

    def _latest(self, at: int, place: int, fit: Fit) -> _Found:
        """Activations leave alone what is behind an activation already: the tensor belongs to the last of them."""
        slot = self.program.operations[at].output
        values: Values = {slot: like(self.value(slot), fit.values)}
        for behind in self.behind(at):
            operation = self.program.operations[behind]
            if operation.inputs != (slot,) or operation.kind in PASSING or operation.output in self.ends:
                break
            made = operation.call(values)
            if not same_values(as_array(made[0]), fit.values):
                break
            values |= zip(operation.outputs, made, strict=True)
            at, slot = behind, operation.output
        expected = self.array(slot)
        return at, place, Fit(likeness(expected, fit.values), fit.layout, fit.values)

    def _last(self) -> _Found | None:
        """Else the next output, whose tensor is known by its name."""
        for at in self.open:
            operation = self.program.operations[at]
            if operation.output in self.ends:
                expected = self.array(operation.output)
                fit = best_fit(expected, self.tensor(self.ends[operation.output]))
                if fit is not None:
                    return at, self.ends[operation.output], fit
        return None
