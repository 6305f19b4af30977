"""Brings a listing into key order: streams it where the endpoint lists in order, else sorts it.

For AWS's own endpoints it is known whether they list in order; for others the observed order is remembered.
Where the order is unknown, the listing is read to its end before the first entry is passed on, because a late
key would look like an absent one. A long listing is sorted on disk.
"""

from __future__ import annotations

import marshal
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from operator import lt
from types import TracebackType
from typing import Any, Final, Self

import anyio
from anyio.abc import ObjectSendStream
from anyio.streams.memory import MemoryObjectSendStream

from aios3sync._dataclass import dataclass, replace
from aios3sync.concurrency import raise_first_error
from aios3sync.core.entries import TargetEntry
from aios3sync.listing.pages import ASCENDING, UNORDERED, relative
from aios3sync.listing.parallel import ListPlan, list_in_parallel
from aios3sync.local.scratch import ScratchDatabase
from aios3sync.store.protocol import ObjectStore

__all__ = ("ListingSorter", "SeenOrder", "send_sorted", "sorted_pages")

_IN_MEMORY: Final = 20_000
"""Entries that are sorted in memory; a longer listing is sorted on disk. About 6 MB."""
_AT_ONCE: Final = 8_000
"""Entries that are written to disk at once."""
_PAGE: Final = 1000
_MERGED_IN_MEMORY: Final = 16
"""Overlapping pages that are merged in memory; more of them are sorted by SQLite."""
_GROUPS_A_THREAD: Final = 4
"""Groups of pages that are read in one call, as each call costs a change of threads."""

_SCHEMA: Final = """
CREATE TABLE pages (number INTEGER PRIMARY KEY, first TEXT, last TEXT, entries BLOB);
CREATE TABLE listing (key TEXT PRIMARY KEY, size INTEGER, etag TEXT, last_modified REAL,
    storage_class TEXT, version_id TEXT, restore TEXT) WITHOUT ROWID;
"""
_ADD_PAGE: Final = "INSERT INTO pages (first, last, entries) VALUES (?, ?, ?)"
_PAGES: Final = "SELECT first, last, number FROM pages ORDER BY first, number"
_ONE_PAGE: Final = "SELECT entries FROM pages WHERE number = ?"
_ADD_ENTRY: Final = "INSERT OR REPLACE INTO listing VALUES (?, ?, ?, ?, ?, ?, ?)"
_LISTING_PAGE: Final = "SELECT * FROM listing WHERE key > ? ORDER BY key LIMIT ?"

_entry: Final[Callable[[Any], TargetEntry]] = partial(tuple.__new__, TargetEntry)
"""Takes a third of the time of ``_make``, which is written in Python."""


@dataclass(slots=True)
class SeenOrder:
    """The observed order of a listing; empty until it has ended."""

    order: str = ""


async def send_sorted(
    store: ObjectStore,
    prefix: str,
    known: str,
    seen: SeenOrder,
    plan: ListPlan,
    out: ObjectSendStream[list[TargetEntry]],
) -> None:
    """Send the pages of the listing in key order, with relative keys.

    Args:
        store: of the target's bucket.
        prefix: of the target.
        known: ``ascending`` streams the listing, and the reader notices if that is wrong.
        seen: receives the order when the listing has ended.
        plan: how to list.
        out: the receiver; it is left open.

    Raises:
        StoreError: the listing did not end cleanly.
        OutOfOrderError: the options say that the endpoint lists in byte order, but it does not.
        TemporarySpaceError: the listing is sorted on disk, and the disk is full.
    """
    if known != ASCENDING:
        async with aclosing(sorted_pages(store, prefix, seen, plan)) as pages:
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


async def sorted_pages(
    store: ObjectStore, prefix: str, seen: SeenOrder, plan: ListPlan
) -> AsyncGenerator[list[TargetEntry], None]:
    """Yield the pages of the listing in key order, with relative keys, once it has been read to its end."""
    plan = replace(plan, ordered=False, byte_order=False, key_after=None)
    send, receive = anyio.create_memory_object_stream[list[TargetEntry]](4)
    async with ListingSorter(prefix) as sorter:
        with raise_first_error():
            async with anyio.create_task_group() as tasks, receive:
                tasks.start_soon(_list_into, send, store, prefix, plan, seen)
                async for page in receive:
                    await sorter.add(page)
        little = sorter.pages_added <= 1 or not plan.key_range.is_everything
        if little and seen.order == ASCENDING:
            # One page, or a range, proves little: what is out of order may be in another one.
            seen.order = ""
        async for page in sorter.pages():
            yield page


async def _list_into(
    send: MemoryObjectSendStream[list[TargetEntry]],
    store: ObjectStore,
    prefix: str,
    plan: ListPlan,
    seen: SeenOrder,
) -> None:
    async with send:
        ascending = await list_in_parallel(store, prefix, send, plan)
        seen.order = ASCENDING if ascending else UNORDERED


class ListingSorter:
    """Sorts the pages of a listing, which may come in any order: in memory, or on disk if there are many.

    Pages are kept whole: where the endpoint lists in order, nothing is sorted at all. Use it as an
    asynchronous context manager, which removes its files at the end.

    Args:
        prefix: of all keys, which is cut off; a key that equals it is left out.

    Attributes:
        pages_added: number of pages so far.
    """

    def __init__(self, prefix: str) -> None:
        self.pages_added = 0
        self._prefix = prefix
        self._database = ScratchDatabase(_SCHEMA)
        self._pending: list[list[TargetEntry]] = []
        self._entries = 0
        self._on_disk = False

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drop the file."""
        with anyio.CancelScope(shield=True):
            await self._database.close()

    async def add(self, page: list[TargetEntry]) -> None:
        """Keep a page; if a key comes twice, the later entry counts."""
        keys = [entry[0] for entry in page]
        self.pages_added += 1
        self._pending.append(page if all(map(lt, keys, keys[1:])) else _ascending(page))
        self._entries += len(page)
        if self._entries >= (_AT_ONCE if self._on_disk else _IN_MEMORY):
            await self._spill()

    async def pages(self) -> AsyncIterator[list[TargetEntry]]:
        """Yield all entries in key order, with relative keys; it can be called once."""
        if not self._on_disk:
            everything = relative(
                _ascending([entry for page in self._pending for entry in page]), self._prefix
            )
            for place in range(0, len(everything), _PAGE):
                yield everything[place : place + _PAGE]
            return
        await self._spill()
        async for entries in self._merged():
            yield entries

    async def _spill(self) -> None:
        """Write the pages in memory to disk."""
        cut = len(self._prefix)
        # Only the first key of a page can be as short as the prefix.
        relative_pages = (page[len(page[0].key) <= cut :] for page in self._pending if page)
        rows = (_packed(page, cut) for page in relative_pages if page)
        await self._database.transact(lambda connection: connection.executemany(_ADD_PAGE, rows))
        self._pending, self._entries, self._on_disk = [], 0, True

    async def _merged(self) -> AsyncIterator[list[TargetEntry]]:
        """Yield the pages on disk; those whose keys overlap are merged."""
        batch: list[list[int]] = []
        for group in [*_overlapping(await self._database.fetch(_PAGES)), []]:
            if batch and (len(batch) == _GROUPS_A_THREAD or not 0 < len(group) <= _MERGED_IN_MEMORY):
                for entries in await self._database.transact(partial(_merge, groups=batch)):
                    yield entries
                batch = []
            if len(group) <= _MERGED_IN_MEMORY:
                batch.append(group)
                continue
            async for entries in self._sorted_in_table(group):
                yield entries

    async def _sorted_in_table(self, group: list[int]) -> AsyncIterator[list[TargetEntry]]:
        """Yield the entries of many overlapping pages, sorted in a table."""
        for number in sorted(group):
            await self._database.transact(
                lambda connection, number=number: connection.executemany(  # type: ignore[misc]
                    _ADD_ENTRY, _unpacked(connection, number)
                )
            )
        after = ""
        while page := await self._database.fetch(_LISTING_PAGE, (after, _PAGE)):
            yield list(map(_entry, page))
            after = page[-1][0]
        await self._database.clear("listing")


def _ascending(entries: list[TargetEntry]) -> list[TargetEntry]:
    return sorted({entry.key: entry for entry in entries}.values())


def _packed(page: Sequence[TargetEntry], cut: int) -> tuple[str, str, bytes]:
    """Return an ascending page by columns: a third of the size and of the time of pickling its entries."""
    full, *columns = zip(*page, strict=True)
    keys = [key[cut:] for key in full]
    return keys[0], keys[-1], marshal.dumps((keys, *columns))


def _unpacked(connection: sqlite3.Connection, number: int) -> Iterator[TargetEntry]:
    (packed,) = connection.execute(_ONE_PAGE, (number,)).fetchone()
    columns = marshal.loads(packed)  # noqa: S302 - written by this very process
    return map(_entry, zip(*columns, strict=True))


def _overlapping(index: Sequence[tuple[str, str, int]]) -> Iterator[list[int]]:
    """Yield groups of page numbers in key order; pages whose keys overlap are in one group."""
    group: list[int] = []
    end = ""
    for first, last, number in index:
        if group and first > end:
            yield group
            group = []
        group.append(number)
        end = max(end, last)
    if group:
        yield group


def _merge(connection: sqlite3.Connection, groups: list[list[int]]) -> list[list[TargetEntry]]:
    """Return the entries of each group, in ascending order."""
    merged = []
    for group in groups:
        pages = [list(_unpacked(connection, number)) for number in sorted(group)]
        if len(pages) > 1:
            later = {entry.key: entry for page in pages for entry in page}
            pages = [sorted(later.values())]
        merged += pages
    return merged
