"""As many engines as threads run at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Pool"]

T = TypeVar("T")


class Pool(Generic[T]):
    """Things of which each serves one thread at a time; made when they are needed, and kept.

    Args:
        first: one that is there already, if any.
        make: another one; may be called from several threads at once.
        most: how many there may be; who comes when all are taken waits.
    """

    def __init__(self, first: T | None, make: Callable[[], T], most: int) -> None:
        self._idle = [] if first is None else [first]
        self._make = make
        self._left = most - len(self._idle)
        self._waiting = 0
        self._returned = threading.Condition()
        self._closed = False

    def take(self) -> T:
        """One that nobody else has until it is given back; the last one used, whose data are in the caches."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._another()

    def give(self, one: T) -> None:
        """Give it back."""
        if self._closed:
            return
        self._idle.append(one)
        if self._waiting:
            with self._returned:
                self._returned.notify()

    def close(self) -> None:
        """Forget all; those that are taken are forgotten when they are given back.

        Whoever waits for one, or comes later, gets ``ValueError``.
        """
        with self._returned:
            self._closed = True
            self._idle.clear()
            self._returned.notify_all()

    def _another(self) -> T:
        with self._returned:
            self._waiting += 1
            try:
                while True:
                    if self._closed:
                        raise ValueError("the graph is closed")
                    if self._idle:
                        return self._idle.pop()
                    if self._left:
                        self._left -= 1
                        break
                    self._returned.wait()
            finally:
                self._waiting -= 1
        try:
            return self._make()
        except BaseException:
            with self._returned:
                self._left += 1
                self._returned.notify()
            raise
