"""Delivers in order what is produced at the same time, and bounds how far it may run ahead; it makes nothing.

A node is one producer. What it yields, pages and further nodes, is in the order in which the reader wants it.
The window is counted in pages: what comes first in the order gets it first, and the producers that the
reader is in have some of their own, so that pages which wait far ahead leave it to the nearer ones to be
had at once.

The invariant on which it hangs that a listing ends: *the producer that the reader waits for is never
bounded*. While the reader waits for a node, which then has no item, every page and every child that its
producer asks room for is admitted, however many they are and whichever nodes hold the room. So the reader
always waits for a producer that runs or has a request under way; neither pages that wait far ahead nor a
producer that holds a page while it asks for room can stop it. The node is unbounded until it has an item, so
that what exceeds the room is one item of each node on the way to the reader.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from typing import Any, Final, Generic, NamedTuple, TypeVar

from anyio import Event
from anyio.abc import ObjectSendStream

__all__ = ("OrderedProducer", "PageWindow", "deliver")

T = TypeVar("T")
_GIVE_BACK: Final = None


class OrderedProducer(Generic[T]):
    """One producer's place in the order; its producer is one task, which ends it.

    Args:
        parent: the node that it is an item of.

    Attributes:
        path: its number below its parent, after the parent's own path.
        ended: nothing comes after its items.
        items: pages, nodes, and ``None`` where the room of one page is to be given back.
    """

    def __init__(self, parent: OrderedProducer[T] | None = None) -> None:
        self.path: tuple[int, ...] = parent.place if parent else ()
        self.ended = False
        self.items: deque[list[T] | OrderedProducer[T] | None] = deque()
        self._parent = parent
        self._beyond: int | None = None
        self._children = 0
        self._arrived: Event | None = None

    @property
    def wanted(self) -> bool:
        """Whether the reader waits for it."""
        return self._arrived is not None

    @property
    def beyond(self) -> int:
        """How many pages it may have beyond the room: those below a node share what that may have."""
        if self._beyond is None:
            return self._parent.beyond if self._parent else 0
        return self._beyond

    @property
    def place(self) -> tuple[int, ...]:
        """Where its next item is in the order."""
        return (*self.path, self._children)

    def child(self) -> OrderedProducer[T]:
        """A producer whose pages come after all that is here already."""
        node = OrderedProducer(self)
        self._children += 1
        self._put(node)
        return node

    def page(self, items: list[T]) -> None:
        """Hand on a page."""
        self._put(items)

    def give_back(self) -> None:
        """Give back the room of one page as soon as the reader has come to here."""
        self._put(_GIVE_BACK)

    def end(self) -> None:
        """There is nothing more."""
        self.ended = True
        self._wake()

    def reached(self, beyond: int) -> None:
        """The reader is in it now: it may have so many pages beyond the room."""
        self._beyond = beyond

    def want(self) -> Event:
        """What is set as soon as it has an item or has ended; until then it is wanted."""
        self._arrived = Event()
        return self._arrived

    def _put(self, item: list[T] | OrderedProducer[T] | None) -> None:
        self.items.append(item)
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None:
            self._arrived.set()
            self._arrived = None


class _Turn(NamedTuple):
    """A producer that waits for room; the first one in the order is the least."""

    place: tuple[int, ...]
    serial: int
    node: OrderedProducer[Any]
    admitted: Event


class PageWindow:
    """How many pages may be in memory or under way.

    Args:
        pages: how many.
        beyond: how many more for each level that the reader is in; a node that the reader waits for has
            no bound.
    """

    def __init__(self, pages: int, beyond: int = 0) -> None:
        self._free = pages
        self._beyond = beyond
        self._waiting: list[_Turn] = []
        self._serial = 0

    async def enter(self, node: OrderedProducer[Any]) -> None:
        """Wait until there is room for one more page of a node, or of its next child."""
        if self._admits(node):
            self._free -= 1
            return
        turn = _Turn(node.place, self._serial, node, Event())
        self._serial += 1
        insort(self._waiting, turn)
        await turn.admitted.wait()

    def leave(self) -> None:
        """Give back the room of one page."""
        self._free += 1
        self._admit()

    def reach(self, node: OrderedProducer[Any]) -> None:
        """The reader is in this node now."""
        # The deeper one is always the nearer one: what it may have, no node above it can take.
        node.reached(self._beyond * max(0, len(node.path) - 1))
        self._admit()

    async def item(self, node: OrderedProducer[Any]) -> None:
        """Wait until a node has an item or has ended; its producer is not bounded meanwhile."""
        arrived = node.want()
        self._admit()
        await arrived.wait()

    def _admits(self, node: OrderedProducer[Any]) -> bool:
        return self._free > -node.beyond or node.wanted

    def _admit(self) -> None:
        for turn in self._waiting.copy():
            if self._admits(turn.node):
                self._waiting.remove(turn)
                self._free -= 1
                turn.admitted.set()


async def deliver(root: OrderedProducer[T], room: PageWindow, out: ObjectSendStream[list[T]]) -> None:
    """Send the pages of a node and of all below it, in order, until it has ended."""
    stack = [root]
    while stack:
        node = stack[-1]
        if not node.items:
            if node.ended:
                stack.pop()
            else:
                await room.item(node)
            continue
        item = node.items.popleft()
        if item is None:
            room.leave()
        elif isinstance(item, OrderedProducer):
            stack.append(item)
            room.reach(item)
        else:
            await out.send(item)
