"""Lists the target in many parts at once, complete or an error; it decides nothing and changes nothing.

A listing begins with one plain page. Only where that is not all, one page with the delimiter tells what
stands below; then the CommonPrefixes are parts of their own, split further where they turn out to be large,
and put together where they are small. Every key belongs to exactly one part: direct keys come from the
listing with the delimiter, all others from the one part that their CommonPrefix begins with.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.abc import ObjectSendStream, TaskGroup

from aios3sync.concurrency import raise_first_error
from aios3sync.core.entries import TargetEntry
from aios3sync.core.keys import is_directory_bucket
from aios3sync.errors import OutOfOrderError
from aios3sync.listing.ordered import OrderedProducer, PageWindow, deliver
from aios3sync.listing.pages import PageReader
from aios3sync.listing.partition import (
    DELIMITER,
    KeyDensity,
    KeyRange,
    PrefixLevel,
    child_of,
    skip_marker,
    worth_splitting,
)
from aios3sync.store.protocol import ListPage, ObjectStore

__all__ = ("ADAPTIVE_WORKERS", "KeyAfter", "ListPlan", "list_in_parts")

KeyAfter = Callable[[str, int], Awaitable[str | None]]
"""Answers the key that stands some rows after another one, ``None`` where there are fewer rows."""

ADAPTIVE_WORKERS: Final = 32
_AHEAD: Final = 2
"""Pages in memory for each request that may be under way."""
_RANGE_ROWS: Final = 2000
_PATIENCE: Final = 8
"""Pages after which a part in byte order is looked at again: its rest may still be split."""


@dataclass(frozen=True, slots=True)
class ListPlan:
    """How to list.

    Attributes:
        workers: requests at once; they are also bounded by the store, and by how many parts there are.
        ordered: hand pages on in byte order, as far as the endpoint lists a single prefix so.
        byte_order: the endpoint is known to list in UTF-8 byte order, so that StartAfter may be used.
        key_after: rows of the manifest, relative keys: where a listing in byte order can be cut.
        plain_pages: pages to ask for one after the other before parts are begun; for callers to whom
            requests matter more than time, as splitting a short listing costs more of them than it has pages.
            Where the byte order is not known that many pages are held until it is clear that they are not
            listed again in parts.
    """

    workers: int = ADAPTIVE_WORKERS
    ordered: bool = False
    byte_order: bool = False
    key_after: KeyAfter | None = None
    plain_pages: int = 1


async def list_in_parts(
    store: ObjectStore, prefix: str, out: ObjectSendStream[list[TargetEntry]], plan: ListPlan
) -> bool:
    """Send all objects below ``prefix``, full keys, in pages.

    Args:
        store: of the bucket.
        prefix: of the target.
        out: the receiver; it is left open.
        plan: how.

    Returns:
        Whether every part was seen to ascend. That is not byte order as ``ListPlan`` means it: whether
        a server lists all of a tree so cannot be told from its parts.

    Raises:
        ListingError: the end of the listing is not known to be its end.
        OutOfOrderError: the endpoint was said to list in byte order, and does not.
        StoreError: a page could not be had.
    """
    if plan.workers == 1:
        return await _list_plainly(store, prefix, out)
    with raise_first_error():
        async with anyio.create_task_group() as tasks:
            listing = _Listing(store, prefix, out, plan, tasks)
            await listing.begin()
    return listing.ascending


async def _list_plainly(store: ObjectStore, prefix: str, out: ObjectSendStream[list[TargetEntry]]) -> bool:
    reader = PageReader(store, prefix)
    while not reader.ended:
        page = await reader.next()
        if page.entries:
            await out.send(page.entries)
    return reader.disorder is None


class _Listing:
    def __init__(
        self,
        store: ObjectStore,
        prefix: str,
        out: ObjectSendStream[list[TargetEntry]],
        plan: ListPlan,
        tasks: TaskGroup,
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._out = out
        self._plan = plan
        self._tasks = tasks
        self._slots = anyio.CapacityLimiter(plan.workers)
        self._room = PageWindow(_AHEAD * plan.workers, beyond=plan.workers)
        self.ascending = True
        self._may_group = not is_directory_bucket(
            store.bucket
        )  # lists only prefixes that end in the delimiter

    async def begin(self) -> None:
        root: OrderedProducer[TargetEntry] = OrderedProducer()
        whole = KeyRange(self._prefix)
        self._tasks.start_soon(self._ranges, whole, root)
        if self._plan.ordered:
            await deliver(root, self._room, self._out)

    # What is handed on. In order it waits in its node; otherwise it goes out at once.

    async def _hand_on(self, node: OrderedProducer[TargetEntry], entries: list[TargetEntry]) -> None:
        if not entries:
            return
        if self._plan.ordered:
            node.page(entries)
        else:
            await self._out.send(entries)

    def _give_back(self, node: OrderedProducer[TargetEntry]) -> None:
        if self._plan.ordered:
            node.give_back()
        else:
            self._room.leave()

    async def _spawn(self, part: KeyRange, node: OrderedProducer[TargetEntry], density: KeyDensity) -> None:
        """Start a part below ``node`` as soon as there is room for its first page."""
        await self._enter(node)
        child = node.child() if self._plan.ordered else node
        self._tasks.start_soon(self._list, part, child, density)

    async def _enter(self, node: OrderedProducer[TargetEntry]) -> None:
        await self._room.enter(node)

    async def _next(self, reader: PageReader) -> ListPage:
        async with self._slots:
            page = await reader.next()
        if reader.disorder is not None:
            self.ascending = False
            if self._plan.byte_order:
                raise OutOfOrderError("target", *reader.disorder)
        return page

    # Parts. Each task has room for one page when it begins.

    async def _ranges(self, whole: KeyRange, node: OrderedProducer[TargetEntry]) -> None:
        """Cut where the manifest says, if the endpoint allows it; else all is one part."""
        density = KeyDensity("", ())
        after = ""
        if self._plan.byte_order and (key_after := self._plan.key_after) is not None:
            while (key := await key_after(after, _RANGE_ROWS)) is not None:
                part = whole._replace(after=after and whole.prefix + after, until=whole.prefix + key)
                await self._spawn(part, node, density)
                after = key
        await self._spawn(whole._replace(after=after and whole.prefix + after), node, density)
        node.end()

    async def _list(self, part: KeyRange, node: OrderedProducer[TargetEntry], density: KeyDensity) -> None:
        """List a part, or split it when its first pages show that this is worth it."""
        reader = PageReader(self._store, part.prefix, start_after=part.after)
        pages = [await self._next(reader)]
        few = 1 if part.names else self._plan.plain_pages
        while not (reader.ended or self._plan.byte_order) and reader.pages < few:
            pages.append(await self._next(reader))
        if not (reader.ended or part.after or part.until) and reader.pages >= few:
            seen = KeyDensity(part.prefix, (entry.key for page in pages for entry in page.entries))
            if worth_splitting(part, seen) and await self._split(part, node, seen):
                density.add(seen.keys, 1)
                return
        for page in pages[:-1]:
            await self._hand_on(node, _own(part, page.entries))
        if await self._list_on(part, node, reader, pages[-1]):
            density.add(reader.keys, part.names or 1)

    async def _list_on(
        self, part: KeyRange, node: OrderedProducer[TargetEntry], reader: PageReader, page: ListPage
    ) -> bool:
        """Hand on the first page of a part and get all others; False if its rest was split."""
        while True:
            entries, ended = page.entries, reader.ended
            if self._plan.byte_order and entries:
                part = part._replace(after=entries[-1].key)
                if part.until and part.after >= part.until:
                    entries, ended = _through(entries, part.until), True
            await self._hand_on(node, _own(part, entries))
            if ended:
                break
            if self._may_split_rest(reader.pages):
                seen = KeyDensity(part.prefix, (entry.key for entry in entries))
                rest = part._replace(names=0)
                if seen.children and worth_splitting(rest, seen) and await self._split(rest, node, seen):
                    return False
            self._give_back(node)
            await self._enter(node)
            page = await self._next(reader)
        self._give_back(node)
        node.end()
        return True

    def _may_split_rest(self, pages: int) -> bool:
        return self._plan.byte_order and pages >= self._plan.plain_pages and pages % _PATIENCE == 0

    # A level: what stands directly below a prefix.

    async def _split(self, part: KeyRange, node: OrderedProducer[TargetEntry], density: KeyDensity) -> bool:
        """List the direct keys of a part, and start a part for what is below; False where that cannot be."""
        start = skip_marker(part.prefix, part.after)
        reader = PageReader(self._store, part.prefix, start_after=start, delimiter=DELIMITER)
        level = PrefixLevel(part, density, ordered=self._plan.ordered, groups=self._may_group)
        page = await self._next(reader)
        if not level.is_consistent(page.entries, page.prefixes):
            return False
        if (first := level.first()) is not None:
            self._give_back(node)
            await self._spawn(first, node, density)
            await self._enter(node)
        while True:
            await self._list_level(level, node, page)
            if reader.ended or level.passed(page.entries, page.prefixes):
                break
            await self._enter(node)
            page = await self._next(reader)
            if not level.is_consistent(page.entries, page.prefixes):
                raise reader.broken("a page with delimiter shows what is not directly below the prefix")
        node.end()
        return True

    async def _list_level(
        self, level: PrefixLevel, node: OrderedProducer[TargetEntry], page: ListPage
    ) -> None:
        """Hand on the direct keys of a page and start its parts: in order, or the direct keys first."""
        direct, names = level.direct(page.entries), level.names(page.prefixes)
        if not self._plan.ordered:
            await self._hand_on(node, direct)
            direct = []
        keys = [entry.key for entry in direct]
        done = place = 0
        room = True
        while place < len(names):
            part, count = level.take(names, place)
            place += count
            begin = bisect_left(keys, part.prefix, done)
            await self._hand_on(node, direct[done:begin])
            done = begin
            while done < len(keys) and keys[done].startswith(part.prefix):
                done += 1  # the part lists them
            if room and done == len(keys):
                self._give_back(node)
                room = False
            await self._spawn(part, node, level.density)
        await self._hand_on(node, direct[done:])
        level.page_ended(page.entries)
        if room:
            self._give_back(node)


def _own(part: KeyRange, entries: list[TargetEntry]) -> list[TargetEntry]:
    """The entries without those that the level above lists."""
    if not part.deep:
        return entries
    return [entry for entry in entries if child_of(part.prefix, entry.key)]


def _through(entries: list[TargetEntry], until: str) -> list[TargetEntry]:
    """The entries, ascending, up to and with the key ``until``."""
    return entries[: bisect_right([entry.key for entry in entries], until)]
