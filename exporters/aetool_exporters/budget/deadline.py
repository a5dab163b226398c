"""How long a search may take. Looked at between trials only: a trial that began is finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Allowance", "Deadline"]

Clock = Callable[[], float]


class Deadline:
    """A point in time."""

    def __init__(self, at: float, clock: Clock) -> None:
        self._at = at
        self._clock = clock

    @property
    def passed(self) -> bool:
        return self._clock() >= self._at


class Allowance:
    """Time for several searches, one after the other; what one leaves is there for the next.

    Args:
        seconds: for all of them together.
        clock: tells seconds.
    """

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        self._left = seconds
        self._clock = clock

    @contextmanager
    def share(self, parts: int) -> Iterator[Deadline]:
        """A deadline for one of ``parts`` searches that are still to come."""
        begun = self._clock()
        try:
            yield Deadline(begun + self._left / parts, self._clock)
        finally:
            self._left = max(0.0, self._left - (self._clock() - begun))
