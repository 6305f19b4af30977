"""Brings a listing into key order where the endpoint does not: streams if it can, sorts in a spool if not.

It decides nothing. Which endpoints list in order is known of AWS's own and remembered of others; where it is
not known the listing is read to its end before the first entry is handed on, because a key that comes late
would look like one that is not there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from operator import lt
from typing import Final

import anyio
from anyio.abc import ObjectSendStream
from anyio.streams.memory import MemoryObjectSendStream

from aios3sync.concurrency import raise_first_error
from aios3sync.core.entries import TargetEntry
from aios3sync.listing.pages import relative
from aios3sync.listing.parallel import ListPlan, list_in_parts
from aios3sync.listing.spool import Spool
from aios3sync.store.protocol import ObjectStore

__all__ = ("ASCENDING", "UNORDERED", "SeenOrder", "send_target", "sorted_target")

ASCENDING: Final = "ascending"
UNORDERED: Final = "unordered"
_IN_MEMORY: Final = 20_000
"""Entries that are sorted in memory before the spool takes over: about 6 MB."""
_AT_ONCE: Final = 8_000
_PAGE: Final = 1000


@dataclass(slots=True)
class SeenOrder:
    """What a listing showed of its order; empty while it has not ended."""

    order: str = ""


async def send_target(  # noqa: PLR0913 - what a listing depends on, each from another owner
    store: ObjectStore,
    prefix: str,
    spool: Spool,
    known: str,
    seen: SeenOrder,
    plan: ListPlan,
    out: ObjectSendStream[list[TargetEntry]],
) -> None:
    """Send the pages of the listing in key order, relative keys.

    Args:
        store: of the target's bucket.
        prefix: of the target.
        spool: takes a long listing whose order is not known.
        known: ``ascending`` streams; the join finds out if that is wrong.
        seen: told the order when the listing has ended.
        plan: how to list.
        out: the receiver; it is left open.

    Raises:
        StoreError: the listing did not end cleanly.
        OutOfOrderError: the endpoint was said to list in byte order, and does not.
    """
    if known != ASCENDING:
        async with aclosing(sorted_target(store, prefix, spool, seen, plan)) as pages:
            async for page in pages:
                await out.send(page)
        seen.order = known or seen.order  # disorder that was seen once may not show in the parts
        return
    send, receive = anyio.create_memory_object_stream[list[TargetEntry]](1)
    with raise_first_error():
        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(_list_into, send, store, prefix, replace(plan, ordered=True), seen)
            async for page in receive:
                if entries := relative(page, prefix):
                    await out.send(entries)
    seen.order = ASCENDING


async def sorted_target(
    store: ObjectStore, prefix: str, spool: Spool, seen: SeenOrder, plan: ListPlan
) -> AsyncGenerator[list[TargetEntry], None]:
    """The pages of the listing in key order, relative keys; it is read to its end before the first one."""
    collected = _Collected(spool, prefix)
    plan = replace(plan, ordered=False, byte_order=False, key_after=None)
    send, receive = anyio.create_memory_object_stream[list[TargetEntry]](4)
    with raise_first_error():
        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(_list_into, send, store, prefix, plan, seen)
            async for page in receive:
                await collected.add(page)
    if collected.count <= 1 and seen.order == ASCENDING:
        seen.order = ""  # one page proves little, and sorting it again next time costs nothing
    async for page in collected.pages():
        yield page


async def _list_into(
    send: MemoryObjectSendStream[list[TargetEntry]],
    store: ObjectStore,
    prefix: str,
    plan: ListPlan,
    seen: SeenOrder,
) -> None:
    async with send:
        ascending = await list_in_parts(store, prefix, send, plan)
        seen.order = ASCENDING if ascending else UNORDERED


class _Collected:
    """All pages of a listing, which come in any order."""

    def __init__(self, spool: Spool, prefix: str) -> None:
        self.count = 0
        self._spool = spool
        self._prefix = prefix
        self._held: list[list[TargetEntry]] = []
        self._entries = 0
        self._spooled = False

    async def add(self, page: list[TargetEntry]) -> None:
        """Keep a page."""
        keys = [entry[0] for entry in page]
        self.count += 1
        self._held.append(page if all(map(lt, keys, keys[1:])) else _ascending(page))
        self._entries += len(page)
        if self._entries >= (_AT_ONCE if self._spooled else _IN_MEMORY):
            await self._spill()

    async def _spill(self) -> None:
        await self._spool.add_pages(self._held, len(self._prefix))
        self._held, self._entries, self._spooled = [], 0, True

    async def pages(self) -> AsyncGenerator[list[TargetEntry], None]:
        """Everything in key order, relative keys; of a key that was sent twice the later entry."""
        if not self._spooled:
            everything = relative(_ascending([entry for page in self._held for entry in page]), self._prefix)
            for place in range(0, len(everything), _PAGE):
                yield everything[place : place + _PAGE]
            return
        await self._spill()
        async for entries in self._spool.listing():
            yield entries


def _ascending(entries: list[TargetEntry]) -> list[TargetEntry]:
    return sorted({entry.key: entry for entry in entries}.values())
