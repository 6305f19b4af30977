"""Hands on in order what is made at the same time, and bounds how far it may run ahead; it makes nothing.

A node is one producer. What it yields, pages and further nodes, stands in the order in which it is wanted.
Room is counted in pages: whoever comes first in the order gets it first, and the node that the reader
waits for always gets it, so that pages which wait far ahead can never lock out the one that is wanted.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Any, Final, Generic, TypeVar

from anyio import Event
from anyio.abc import ObjectSendStream

__all__ = ("Node", "Room", "deliver")

T = TypeVar("T")
_GIVE_BACK: Final = None


class Node(Generic[T]):
    """One producer's place in the order.

    Args:
        path: its number below its parent, after the parent's own path.
    """

    def __init__(self, path: tuple[int, ...] = ()) -> None:
        self.path = path
        self.ended = False
        self.items: deque[list[T] | Node[T] | None] = deque()
        self._children = 0
        self._arrived: Event | None = None

    def child(self) -> Node[T]:
        """A producer whose pages come after all that is here already."""
        node: Node[T] = Node((*self.path, self._children))
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

    async def arrived(self) -> None:
        """Wait for an item or the end."""
        self._arrived = Event()
        await self._arrived.wait()

    def _put(self, item: list[T] | Node[T] | None) -> None:
        self.items.append(item)
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None:
            self._arrived.set()
            self._arrived = None


class Room:
    """How many pages may be in memory or under way.

    Args:
        pages: how many; the node that the reader waits for may exceed it by one.
    """

    def __init__(self, pages: int) -> None:
        self._free = pages
        self._waiting: list[tuple[tuple[int, ...], int, Node[Any], Event]] = []
        self._wanted: Node[Any] | None = None
        self._serial = 0

    async def enter(self, node: Node[Any]) -> None:
        """Wait until there is room for one more page of a node, or of its next child."""
        if self._free > 0 or node is self._wanted:
            self._free -= 1
            if node is self._wanted:
                self._wanted = None  # once for each time that the reader waits
            return
        turn = Event()
        self._serial += 1
        heapq.heappush(self._waiting, (node.path, self._serial, node, turn))
        await turn.wait()

    def leave(self) -> None:
        """Give back the room of one page."""
        self._free += 1
        while self._free > 0 and self._waiting:
            self._admit(heapq.heappop(self._waiting))

    def want(self, node: Node[Any]) -> None:
        """The reader waits for this node."""
        self._wanted = node
        for entry in self._waiting:
            if entry[2] is node:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
                self._admit(entry)
                self._wanted = None
                return

    def _admit(self, entry: tuple[tuple[int, ...], int, Node[Any], Event]) -> None:
        self._free -= 1
        entry[3].set()


async def deliver(root: Node[T], room: Room, out: ObjectSendStream[list[T]]) -> None:
    """Send the pages of a node and of all below it, in order, until it has ended."""
    stack = [root]
    while stack:
        node = stack[-1]
        if not node.items:
            if node.ended:
                stack.pop()
                continue
            room.want(node)
            await node.arrived()
            continue
        item = node.items.popleft()
        if item is None:
            room.leave()
        elif isinstance(item, Node):
            stack.append(item)
        else:
            await out.send(item)
