"""Reading ahead and writing behind, each in a thread of its own, with a bounded number of batches on the way.

Engines, file systems and decompressors give up the interpreter's lock while they work, so that three threads really
overlap.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, TypeVar

__all__ = ["WriteBehind", "read_ahead"]

T = TypeVar("T")
_END = object()
_POLL = 0.1  # seconds after which a waiting thread looks whether it is still wanted


def read_ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The items in their order, taken from ``items`` by another thread, at most ``depth`` ahead.

    What ``items`` raises is raised here, in its place. When the caller stops, so does the thread, after the item that
    it is at.
    """
    ahead: queue.Queue[Any] = queue.Queue(depth)
    stopped = threading.Event()
    thread = threading.Thread(target=_read, args=(items, ahead, stopped), name="aetool read ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ahead.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


def _read(items: Iterable[Any], ahead: queue.Queue[Any], stopped: threading.Event) -> None:
    """Fill the queue until the items end, fail, or are no longer wanted."""
    try:
        entries = ((item, None) for item in items)
        while not stopped.is_set() and (entry := next(entries, None)) is not None:
            _put(entry, ahead, stopped)
        _put((_END, None), ahead, stopped)
    except BaseException as error:  # told where it is waited for
        _put((None, error), ahead, stopped)


def _put(entry: Any, ahead: queue.Queue[Any], stopped: threading.Event) -> None:
    while not stopped.is_set():
        with suppress(queue.Full):
            ahead.put(entry, timeout=_POLL)
            return


class WriteBehind(Generic[T]):
    """Hands items to ``write`` in their order, from another thread, at most ``depth`` behind.

    What ``write`` raises is raised by the next ``put``, or at the end of the block; nothing is written after it. At the
    end of the block, or when it is interrupted, everything is written; if it fails, what was on the way is dropped.
    """

    def __init__(self, write: Callable[[T], None], depth: int = 2) -> None:
        self._write = write
        self._behind: queue.Queue[Any] = queue.Queue(depth)
        self._failure: BaseException | None = None
        self._dropped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aetool write behind", daemon=True)

    def put(self, item: T) -> None:
        """Write ``item`` soon; waits while ``depth`` are on the way."""
        if self._failure is not None:
            raise self._failure
        self._behind.put(item)

    def __enter__(self) -> WriteBehind[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, KeyboardInterrupt):
            self._dropped.set()
        self._behind.put(_END)
        self._thread.join()
        if error is None and self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while (item := self._behind.get()) is not _END:
            if self._failure is None and not self._dropped.is_set():
                try:
                    self._write(item)
                except BaseException as failure:  # told by put, or at the end
                    self._failure = failure
