"""Delivers in order what is produced in parallel, and bounds how far the producers may run ahead.

A producer is one task. What it yields, pages and further producers, is in the order in which the reader
wants it. The window is counted in pages: the producer that comes first in the order gets a page first. The
producers that the reader is in have some extra pages, so that pages which wait far ahead leave enough for the
nearer ones to be listed in parallel.

Invariants:

1. A listing always ends, because *the producer that the reader waits for is never bounded*. While the reader
   waits for a producer, which then has no item, every page that it acquires is granted, however many they are
   and whichever producers hold the window. So the reader always waits for a producer that runs or has a
   request under way; neither pages that wait far ahead nor a producer that holds a page while it acquires
   another can stop it.
2. A producer is unbounded only until it has an item. So memory exceeds the window by at most one item of each
   producer on the way from the root to the reader.
3. Each acquired page is released exactly once: at once, or when the reader comes to where
   :meth:`OrderedProducer.release_here` was called.
4. A producer is in the order from the moment it is made: its items come after all that its parent had until
   then, and before all that its parent gets later.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from typing import Any, Final, Generic, TypeVar

from anyio import Event
from anyio.abc import ObjectSendStream

from aios3sync._namedtuple import NamedTuple

__all__ = ("OrderedProducer", "PageWindow", "deliver")

T = TypeVar("T")
_RELEASE: Final = None


class OrderedProducer(Generic[T]):
    """The place of one producer in the order.

    Args:
        parent: the producer that it is an item of.

    Attributes:
        path: its number below its parent, after the parent's own path.
        ended: nothing comes after its items.
        items: pages, producers, and ``None`` where one page of the window is released.
    """

    def __init__(self, parent: OrderedProducer[T] | None = None) -> None:
        self.path: tuple[int, ...] = parent.position if parent else ()
        self.ended = False
        self.items: deque[list[T] | OrderedProducer[T] | None] = deque()
        self._parent = parent
        self._extra: int | None = None
        self._children = 0
        self._arrived: Event | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether the reader waits for it."""
        return self._arrived is not None

    @property
    def extra(self) -> int:
        """How many pages it may have beyond the window; those below it share what it may have."""
        if self._extra is None:
            return self._parent.extra if self._parent else 0
        return self._extra

    @property
    def position(self) -> tuple[int, ...]:
        """Where its next item is in the order."""
        return (*self.path, self._children)

    def add_child(self) -> OrderedProducer[T]:
        """Return a new producer whose pages come after all that is here already."""
        child = OrderedProducer(self)
        self._children += 1
        self._add(child)
        return child

    def add_page(self, entries: list[T]) -> None:
        """Hand on a page."""
        self._add(entries)

    def release_here(self) -> None:
        """Let one page of the window be released as soon as the reader has come to here."""
        self._add(_RELEASE)

    def end(self) -> None:
        """Mark the end: no item comes any more."""
        self.ended = True
        self._wake()

    def allow(self, extra: int) -> None:
        """Let it have so many pages beyond the window, for the reader is in it now."""
        self._extra = extra

    def arrival(self) -> Event:
        """Return an event that is set at its next item or its end; it is awaited until then."""
        self._arrived = Event()
        return self._arrived

    def _add(self, item: list[T] | OrderedProducer[T] | None) -> None:
        self.items.append(item)
        self._wake()

    def _wake(self) -> None:
        # Not awaited any more: from here on its pages are bounded again (invariant 2).
        if self._arrived is not None:
            self._arrived.set()
            self._arrived = None


class _Waiter(NamedTuple):
    """A producer that waits for a page; the first one in the order is the least."""

    position: tuple[int, ...]
    serial: int
    producer: OrderedProducer[Any]
    granted: Event


class PageWindow:
    """Bounds how many pages are in memory or under way.

    Args:
        pages: how many.
        extra: how many more for each level that the reader is in; a producer that the reader waits for has
            no bound.
    """

    def __init__(self, pages: int, extra: int = 0) -> None:
        self._free = pages
        self._extra = extra
        self._waiting: list[_Waiter] = []
        self._serial = 0

    async def acquire(self, producer: OrderedProducer[Any]) -> None:
        """Wait until a producer may have one more page, for itself or for its next child."""
        if self._may_have_one(producer):
            self._free -= 1  # below zero while extra pages, or pages without a bound, are out
            return
        waiter = _Waiter(producer.position, self._serial, producer, Event())
        self._serial += 1
        insort(self._waiting, waiter)
        await waiter.granted.wait()

    def release(self) -> None:
        """Release one page."""
        self._free += 1
        self._grant()

    def allow_extra(self, producer: OrderedProducer[Any]) -> None:
        """Give a producer its extra pages, for the reader is in it now."""
        # The deeper one is always the nearer one: no producer above it can take what it may have.
        producer.allow(self._extra * max(0, len(producer.path) - 1))
        self._grant()

    async def wait_for_item(self, producer: OrderedProducer[Any]) -> None:
        """Wait until a producer has an item or has ended; it is not bounded meanwhile."""
        arrived = producer.arrival()
        self._grant()  # it may be waiting for a page: invariant 1
        await arrived.wait()

    def _may_have_one(self, producer: OrderedProducer[Any]) -> bool:
        return self._free > -producer.extra or producer.is_awaited

    def _grant(self) -> None:
        # In order, so that the nearest producers come first; one that may not is passed over, for a later one
        # may be awaited or have extra pages.
        for waiter in self._waiting.copy():
            if self._may_have_one(waiter.producer):
                self._waiting.remove(waiter)
                self._free -= 1
                waiter.granted.set()


async def deliver(root: OrderedProducer[T], window: PageWindow, out: ObjectSendStream[list[T]]) -> None:
    """Send the pages of a producer and of all below it, in order, until it has ended."""
    stack = [root]
    while stack:
        producer = stack[-1]
        if not producer.items:
            # Only here does the reader wait, and only for a producer without an item.
            if producer.ended:
                stack.pop()
            else:
                await window.wait_for_item(producer)
            continue
        item = producer.items.popleft()
        if item is None:
            window.release()
        elif isinstance(item, OrderedProducer):
            stack.append(item)
            window.allow_extra(item)
        else:
            await out.send(item)
