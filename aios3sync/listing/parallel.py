"""Lists a bucket with many concurrent requests, completely or with an error. Only reads.

A listing begins with one plain page. If that is not all, one page with the delimiter shows the
CommonPrefixes; then each is a key range of its own, which is split further if it is large, and merged with
others if they are small. Every key belongs to exactly one range: direct keys come from the listing with the
delimiter, all others from the range of their CommonPrefix.

Invariants: which task holds a page of the window, and when.

1. The page is acquired *before* the task of a range is started (``_start``), so a task begins with one page:
   that of its first request. ``_cut_by_rows`` has none; it only starts others.
2. From then on a task holds one page, or none after its last direct key. The page is passed along with the
   range: from ``_list`` to ``_list_rest`` or ``_split``, from ``_split`` to ``_list_level`` for one page of
   the listing. The function that has received it releases it, once; ``_split`` returns it untouched where it
   returns False. Only the ``plain_pages`` of ``_list`` are kept in memory on one page of the window.
3. Before a further request the task releases its page and acquires another (``_list_rest``, ``_split``). In
   an ordered listing the release is an item of the producer: the page is free when the reader reaches it.
   Without order it is free at once, as its entries were sent.
4. ``_list_level`` may hold its page, with direct keys that come after a range, while it acquires one for that
   range. That cannot end in a deadlock: the producer that the reader waits for is never bounded
   (:mod:`~aios3sync.listing.ordered`, invariant 1).
5. Each producer is ended by the one task that was started with it, after its last item. After an error none
   is: the task group cancels everything, the reader with it, and the window is not used again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
from anyio.abc import ObjectSendStream, TaskGroup

from aios3sync._dataclass import dataclass
from aios3sync.concurrency import raise_first_error
from aios3sync.core.entries import TargetEntry
from aios3sync.core.key_range import EVERYTHING, KeyRange
from aios3sync.core.keys import is_directory_bucket
from aios3sync.errors import OutOfOrderError
from aios3sync.listing.ordered import OrderedProducer, PageWindow, deliver
from aios3sync.listing.pages import PageReader
from aios3sync.listing.partition import (
    DELIMITER,
    KeyDensity,
    PrefixLevel,
    PrefixRange,
    child_of,
    narrowed,
    skip_marker,
    worth_splitting,
)
from aios3sync.store.observer import ObservedListing, observer_of
from aios3sync.store.protocol import ListPage, ObjectStore
from aios3sync.store.wrappers.base import ForwardingStore

__all__ = ("ADAPTIVE_WORKERS", "KeyAfter", "ListPlan", "list_in_parallel")

KeyAfter = Callable[[str, int], Awaitable[str | None]]
"""Returns the key a number of rows after another one; ``None`` where there are fewer rows."""

ADAPTIVE_WORKERS: Final = 32
_PAGES_A_WORKER: Final = 2
"""Pages in memory for each request that may be in flight."""
_RANGE_ROWS: Final = 2000
"""Rows of the manifest for one range."""
_PATIENCE: Final = 8
"""Pages after which a range in byte order is checked again: its rest may still be split."""


@dataclass(frozen=True, slots=True)
class ListPlan:
    """How to list.

    Attributes:
        workers: requests at once; they are also bounded by the store, and by the number of ranges.
        ordered: send pages in byte order, as far as the endpoint lists a single prefix in that order.
        byte_order: whether the endpoint is known to list in UTF-8 byte order, so that StartAfter may be used.
        key_after: rows of the manifest, relative keys: where a listing in byte order can be cut.
        plain_pages: pages to read sequentially before ranges are begun; for callers to whom requests matter
            more than time, as splitting a short listing takes more requests than it has pages. Where the byte
            order is not known, these pages are kept until it is clear that they are not listed again in
            ranges.
        key_range: the keys to list, relative to the prefix. Where the byte order is not known, whole
            CommonPrefixes are listed, and keys outside of the range are dropped.
    """

    workers: int = ADAPTIVE_WORKERS
    ordered: bool = False
    byte_order: bool = False
    key_after: KeyAfter | None = None
    plain_pages: int = 1
    key_range: KeyRange = EVERYTHING


class _ObservedPages(ForwardingStore):
    """Counts the pages of one listing for the observer of the session."""

    def __init__(self, inner: ObjectStore, listing: ObservedListing) -> None:
        super().__init__(inner)
        self._listing = listing

    async def list_page(self, prefix: str, **where: Any) -> ListPage:
        """Count the page of the inner store."""
        page = await self.inner.list_page(prefix, **where)
        self._listing.pages += 1
        self._listing.objects += len(page.entries)
        return page


async def list_in_parallel(
    store: ObjectStore, prefix: str, out: ObjectSendStream[list[TargetEntry]], plan: ListPlan
) -> bool:
    """Send all objects of a range below ``prefix``, full keys, in pages.

    Args:
        store: of the bucket.
        prefix: of the target.
        out: the receiver; it is left open.
        plan: how to list.

    Returns:
        Whether the keys of every range ascended. That does not mean ``ListPlan.byte_order``: ranges do not
        show whether a server lists a whole tree in that order.

    Raises:
        ListingError: the listing may be incomplete.
        OutOfOrderError: the options say that the endpoint lists in byte order, but it does not.
        StoreError: a page could not be read.
    """
    observer = observer_of(store)
    if observer is not None and not isinstance(store, _ObservedPages):
        observed = ObservedListing(store.bucket, prefix)
        with observer.listing(observed):
            return await list_in_parallel(_ObservedPages(store, observed), prefix, out, plan)
    if plan.workers == 1:
        return await _list_plainly(store, prefix, out, plan)
    with raise_first_error():
        async with anyio.create_task_group() as tasks:
            listing = _Listing(store, prefix, out, plan, tasks)
            await listing.begin()
    return listing.ascending


async def _list_plainly(
    store: ObjectStore, prefix: str, out: ObjectSendStream[list[TargetEntry]], plan: ListPlan
) -> bool:
    whole = narrowed(prefix, plan.key_range, any_prefix=not is_directory_bucket(store.bucket))
    reader = PageReader(store, whole.prefix, start_after=whole.after if plan.byte_order else "")
    while not reader.ended:
        page = await reader.next()
        if plan.byte_order and reader.disorder is not None:
            raise OutOfOrderError("target", *reader.disorder)
        if entries := _held(plan.key_range, prefix, page.entries):
            await out.send(entries)
        if plan.byte_order and whole.until and page.entries and page.entries[-1].key >= whole.until:
            break
    return reader.disorder is None


class _Listing:
    """One listing: its tasks, one for each range, and their shared state.

    Attributes:
        ascending: whether no page has shown that the endpoint lists in another order.
    """

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
        self._window = PageWindow(_PAGES_A_WORKER * plan.workers, extra=plan.workers)
        self.ascending = True
        # A directory bucket lists only prefixes that end in the delimiter.
        self._may_group = not is_directory_bucket(store.bucket)

    async def begin(self) -> None:
        """Start the first task; for an ordered listing deliver the pages until its end."""
        root: OrderedProducer[TargetEntry] = OrderedProducer()
        whole = narrowed(self._prefix, self._plan.key_range, any_prefix=self._may_group)
        self._tasks.start_soon(self._cut_by_rows, whole, root)
        if self._plan.ordered:
            await deliver(root, self._window, self._out)

    # Handing on. In an ordered listing a page waits in its producer; otherwise it is sent at once.

    async def _hand_on(self, producer: OrderedProducer[TargetEntry], entries: list[TargetEntry]) -> None:
        entries = _held(self._plan.key_range, self._prefix, entries)
        if not entries:
            return
        if self._plan.ordered:
            producer.add_page(entries)
        else:
            await self._out.send(entries)

    def _release(self, producer: OrderedProducer[TargetEntry]) -> None:
        if self._plan.ordered:
            producer.release_here()  # its entries are in memory until the reader has come to here
        else:
            self._window.release()

    async def _acquire(self, producer: OrderedProducer[TargetEntry]) -> None:
        await self._window.acquire(producer)

    async def _start(
        self, key_range: PrefixRange, producer: OrderedProducer[TargetEntry], density: KeyDensity
    ) -> None:
        """Start the task of a range below ``producer`` as soon as the window has a page for it."""
        await self._acquire(producer)
        # The child is made here, not in its task: its place in the order is this one (ordered, invariant 4).
        child = producer.add_child() if self._plan.ordered else producer
        self._tasks.start_soon(self._list, key_range, child, density)

    async def _next(self, reader: PageReader) -> ListPage:
        async with self._slots:
            page = await reader.next()
        if reader.disorder is not None:
            self.ascending = False
            if self._plan.byte_order:
                raise OutOfOrderError("target", *reader.disorder)
        return page

    # Ranges. Each task holds one page of the window when it begins.

    async def _cut_by_rows(self, whole: PrefixRange, producer: OrderedProducer[TargetEntry]) -> None:
        """Cut a range at rows of the manifest, if the endpoint allows it; else it stays one range."""
        density = KeyDensity("", ())
        rest, after = whole, self._plan.key_range.after
        if self._plan.byte_order and (key_after := self._plan.key_after) is not None:
            while (key := await key_after(after, _RANGE_ROWS)) is not None:
                if not self._plan.key_range.holds(key):
                    break
                await self._start(rest._replace(until=self._prefix + key), producer, density)
                rest, after = rest._replace(after=self._prefix + key), key
        await self._start(rest, producer, density)
        producer.end()

    async def _list(
        self, key_range: PrefixRange, producer: OrderedProducer[TargetEntry], density: KeyDensity
    ) -> None:
        """List a range, or split it if its first pages show that this is worth it."""
        start = key_range.after if self._plan.byte_order else ""
        reader = PageReader(self._store, key_range.prefix, start_after=start)
        pages = [await self._next(reader)]
        few = 1 if key_range.names else self._plan.plain_pages
        while not (reader.ended or self._plan.byte_order) and reader.pages < few:
            pages.append(await self._next(reader))
        bounded = bool(key_range.after or key_range.until)
        if not (reader.ended or (bounded and self._plan.byte_order)) and reader.pages >= few:
            seen = KeyDensity(key_range.prefix, (entry.key for page in pages for entry in page.entries))
            # Nothing was handed on so far: the ranges below list these keys again.
            # What is outside of a bound is left out only by a split where no request can say the bound.
            worth = bounded or worth_splitting(key_range, seen)
            if worth and await self._split(key_range, producer, seen):
                density.add(seen.keys, 1)
                return
        for page in pages[:-1]:
            await self._hand_on(producer, _own(key_range, page.entries))
        if await self._list_rest(key_range, producer, reader, pages[-1]):
            density.add(reader.keys, key_range.names or 1)

    async def _list_rest(
        self,
        key_range: PrefixRange,
        producer: OrderedProducer[TargetEntry],
        reader: PageReader,
        page: ListPage,
    ) -> bool:
        """Pass on a page of a range and read all following ones; return False if the rest was split."""
        while True:
            entries, ended = page.entries, reader.ended
            if self._plan.byte_order and entries:
                key_range = key_range._replace(after=entries[-1].key)
                if key_range.until and key_range.after >= key_range.until:
                    entries, ended = _through(entries, key_range.until), True
            await self._hand_on(producer, _own(key_range, entries))
            if ended:
                break
            if self._may_split_rest(reader.pages):
                seen = KeyDensity(key_range.prefix, (entry.key for entry in entries))
                rest = key_range._replace(names=0)
                # The page of the window goes to _split, or stays here where that returns False.
                if seen.children and worth_splitting(rest, seen) and await self._split(rest, producer, seen):
                    return False
            self._release(producer)
            await self._acquire(producer)
            page = await self._next(reader)
        self._release(producer)
        producer.end()
        return True

    def _may_split_rest(self, pages: int) -> bool:
        return self._plan.byte_order and pages >= self._plan.plain_pages and pages % _PATIENCE == 0

    # A level: the keys and CommonPrefixes directly below a prefix.

    async def _split(
        self, key_range: PrefixRange, producer: OrderedProducer[TargetEntry], density: KeyDensity
    ) -> bool:
        """List the direct keys of a range, and start ranges for the others; False if it cannot be split."""
        in_order = self._plan.byte_order  # else a bound does not say where in the listing its keys are
        start = skip_marker(key_range.prefix, key_range.after) if in_order else ""
        reader = PageReader(self._store, key_range.prefix, start_after=start, delimiter=DELIMITER)
        level = PrefixLevel(key_range, density, ordered=self._plan.ordered, groups=self._may_group)
        page = await self._next(reader)
        if not level.is_consistent(page.entries, page.prefixes):
            return False  # nothing was handed on or started, and the page of the window is still the caller's
        if in_order and (first := level.first()) is not None:
            # Its keys come before this page, so this task lets go of its own while it waits for one for them.
            self._release(producer)
            await self._start(first, producer, density)
            await self._acquire(producer)
        while True:
            await self._list_level(level, producer, page)
            if reader.ended or (in_order and level.passed(page.entries, page.prefixes)):
                break
            await self._acquire(producer)  # _list_level released the one before
            page = await self._next(reader)
            if not level.is_consistent(page.entries, page.prefixes):
                raise reader.broken("a page with delimiter shows what is not directly below the prefix")
        producer.end()
        return True

    async def _list_level(
        self, level: PrefixLevel, producer: OrderedProducer[TargetEntry], page: ListPage
    ) -> None:
        """Pass on the direct keys of a page and start its ranges: in order, or the direct keys first."""
        direct, names = level.direct(page.entries), level.names(page.prefixes)
        if not self._plan.ordered:
            await self._hand_on(producer, direct)
            direct = []
        keys = [entry.key for entry in direct]
        done = place = 0
        held = True
        while place < len(names):
            key_range, count = level.take(names, place)
            place += count
            begin = bisect_left(keys, key_range.prefix, done)
            await self._hand_on(producer, direct[done:begin])
            done = begin
            while done < len(keys) and keys[done].startswith(key_range.prefix):
                done += 1  # the task of the range lists them
            if held and done == len(keys):
                # No direct key is left in memory, so the ranges that follow may have this page.
                self._release(producer)
                held = False
            await self._start(key_range, producer, level.density)
        await self._hand_on(producer, direct[done:])
        level.page_ended(page.entries)
        if held:
            self._release(producer)


def _held(key_range: KeyRange, prefix: str, entries: list[TargetEntry]) -> list[TargetEntry]:
    """Return the entries in the requested range, whose keys are relative to the prefix."""
    if key_range.is_everything:
        return entries
    cut, holds = len(prefix), key_range.holds
    return [entry for entry in entries if holds(entry.key[cut:])]


def _own(key_range: PrefixRange, entries: list[TargetEntry]) -> list[TargetEntry]:
    """Return the entries, except those that the level above lists."""
    if not key_range.deep:
        return entries
    return [entry for entry in entries if child_of(key_range.prefix, entry.key)]


def _through(entries: list[TargetEntry], until: str) -> list[TargetEntry]:
    """Return the ascending entries up to and including the key ``until``."""
    return entries[: bisect_right([entry.key for entry in entries], until)]
