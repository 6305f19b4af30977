"""Delivers in order the pages of parallel producers, and bounds how far they may run ahead.

A producer is one task. Its items, pages and further producers, are in the order of the reader. The window is
counted in pages: the producer that comes first in the order gets a page first. The producers at the position
of the reader get some extra pages, so that pages which wait far ahead leave enough for nearer ones to be
listed in parallel.

Invariants:

1. A listing always ends, because *the producer that the reader waits for is never bounded*. While the reader
   waits for a producer, which then has no item, every page that it acquires is granted, however many they are
   and whichever producers hold the window. So the reader always waits for a producer that runs or has a
   request in flight; neither pages that wait far ahead nor a producer that holds a page while it acquires
   another can block it.
2. A producer is unbounded only until it has an item. So memory exceeds the window by at most one item of each
   producer between the root and the reader.
3. Each acquired page is released exactly once: at once, or when the reader reaches the place where
   :meth:`OrderedProducer.release_here` was called.
4. A producer has its place in the order from its creation on: its items come after all earlier items of its
   parent, and before all later ones.
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
    """One producer and its place in the order.

    Args:
        parent: the producer of which it is an item.

    Attributes:
        path: its number below its parent, after the parent's own path.
        ended: whether no more items will follow.
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
        """How many pages it may have beyond the window, shared with its children."""
        if self._extra is None:
            return self._parent.extra if self._parent else 0
        return self._extra

    @property
    def position(self) -> tuple[int, ...]:
        """The place of its next item in the order."""
        return (*self.path, self._children)

    def add_child(self) -> OrderedProducer[T]:
        """Return a new producer whose pages follow all items so far."""
        child = OrderedProducer(self)
        self._children += 1
        self._add(child)
        return child

    def add_page(self, entries: list[T]) -> None:
        """Add a page."""
        self._add(entries)

    def release_here(self) -> None:
        """Release one page of the window as soon as the reader reaches this place."""
        self._add(_RELEASE)

    def end(self) -> None:
        """Mark the end: no more items follow."""
        self.ended = True
        self._wake()

    def allow(self, extra: int) -> None:
        """Allow ``extra`` pages beyond the window, as the reader has reached it."""
        self._extra = extra

    def arrival(self) -> Event:
        """Return an event that is set at its next item or its end; until then the reader waits for it."""
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
    """A producer that waits for a page; waiters compare by their place in the order."""

    position: tuple[int, ...]
    serial: int
    producer: OrderedProducer[Any]
    granted: Event


class PageWindow:
    """Bounds how many pages are in memory or requested.

    Args:
        pages: the most of them.
        extra: how many more for each level at the position of the reader; a producer that the reader waits
            for has no bound.
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
        """Give a producer its extra pages, as the reader has reached it."""
        # The deeper one is always the nearer one: no producer above it can take what it may have.
        producer.allow(self._extra * max(0, len(producer.path) - 1))
        self._grant()

    async def wait_for_item(self, producer: OrderedProducer[Any]) -> None:
        """Wait until a producer has an item or has ended; meanwhile it is not bounded."""
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
    """Send the pages of a producer and all its children, in order, until it has ended."""
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
