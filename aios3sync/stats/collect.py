"""Counts a bucket: one pass over a listing, and the HEAD requests of its mode. It knows no cache."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import anyio
from anyio.abc import ObjectReceiveStream

from aios3sync._dataclass import dataclass
from aios3sync.concurrency import raise_first_error
from aios3sync.core.entries import TargetEntry
from aios3sync.listing.parallel import ADAPTIVE_WORKERS, ListPlan, list_in_parallel
from aios3sync.stats.aggregate import ListingAggregate
from aios3sync.stats.codec import CachedStats, Validation
from aios3sync.stats.deltaglider import Envelope, deltaglider_stats
from aios3sync.stats.estimates import (
    detailed_kinds,
    quick_kinds,
    sampled_kinds,
    savings,
    total,
    trusted_kinds,
)
from aios3sync.stats.fingerprint import Fingerprint
from aios3sync.stats.head_requests import HeadRequester, HeadSink, head_requester
from aios3sync.stats.hidden_storage import HiddenStorage, count_hidden_storage, uncounted_storage
from aios3sync.stats.model import BucketStats, DeltaGliderStats, HeadCounts, Mode, ObjectKind, exact
from aios3sync.stats.original_sizes import KindTotals, classify
from aios3sync.stats.sampling import Sample
from aios3sync.store.protocol import HeadResult, ObjectStore

__all__ = ("CountRequest", "Page", "count_objects", "list_pages")

Page = list[TargetEntry]

_PAGES: Final = 4
"""Pages of the listing that wait to be counted."""
_PLAIN_PAGES: Final = 20
"""Up to 20,000 objects a listing is as many requests as it has pages; in parts it would be more of them."""


@asynccontextmanager
async def list_pages(
    store: ObjectStore, prefix: str, workers: int
) -> AsyncIterator[ObjectReceiveStream[Page]]:
    """Yield the pages of a listing in parts, in any order, no faster than the block receives them.

    Raises:
        ListingError, StoreError: the listing is not complete; so there are no numbers.
    """
    plan = ListPlan(
        workers or ADAPTIVE_WORKERS,
        byte_order=store.capabilities.sorted_listing,
        plain_pages=_PLAIN_PAGES,
    )
    sending, receiving = anyio.create_memory_object_stream[Page](_PAGES)

    async def produce() -> None:
        async with sending:
            await list_in_parallel(store, prefix, sending, plan)

    with raise_first_error():
        async with anyio.create_task_group() as tasks, receiving:
            tasks.start_soon(produce)
            yield receiving


@dataclass(frozen=True, slots=True, kw_only=True)
class CountRequest:
    """A request to count a bucket or the objects below a prefix.

    Attributes:
        store: of the bucket.
        prefix: empty or ending in ``/``.
        mode, every: see :class:`~aios3sync.stats.options.StatsOptions`.
        gzip: extensions whose objects may be compressed.
        now: ages are as of this time, seconds since the epoch.
        workers: requests at once, at most.
        trusted: an envelope whose original bytes spare the HEAD requests, and the reason to trust it.
        hidden_storage: also count uploads and versions, which takes listings of their own.
    """

    store: ObjectStore
    prefix: str
    mode: Mode
    every: bool = False
    gzip: tuple[str, ...] = ()
    now: float
    workers: int
    trusted: tuple[Envelope, str] | None = None
    hidden_storage: bool = True


async def count_objects(request: CountRequest, pages: AsyncIterable[Page]) -> CachedStats:
    """Count the objects on some pages.

    Args:
        request: what to count, and how.
        pages: all objects below the prefix by their full keys, in any order; every key once.

    Raises:
        StoreError: the bucket cannot be used.
    """
    counter = _Counter(request)
    with raise_first_error():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(counter.count_hidden_storage)
            await counter.run(pages)
    return counter.result()


class _Counter:
    """Adds up the pages, sends the HEAD requests and puts the numbers together."""

    def __init__(self, request: CountRequest) -> None:
        self._request = request
        self._needs_heads = request.mode != "quick" and request.trusted is None
        self._fingerprint = Fingerprint()
        self._aggregate = ListingAggregate(request.prefix, request.now)
        self._kinds = KindTotals(
            request.gzip if self._needs_heads else (), every=request.every and self._needs_heads
        )
        self._sample = Sample()
        self._sampled: dict[str, float] = {}
        self._delta_bytes: dict[str, int] = {}
        self._hidden_storage: HiddenStorage | None = None
        self._requester: HeadRequester | None = None

    async def count_hidden_storage(self) -> None:
        if not self._request.hidden_storage:
            self._hidden_storage = uncounted_storage("S3 was not listed")
            return
        self._hidden_storage = await count_hidden_storage(
            self._request.store, self._request.prefix, self._request.mode
        )

    async def run(self, pages: AsyncIterable[Page]) -> None:
        if not self._needs_heads:
            async for page in pages:
                self._add(page)
        elif self._request.mode == "detailed":
            async with self._heads(self._add_head) as self._requester:
                async for page in pages:
                    await self._requester.request(self._add(page))
        else:
            async for page in pages:
                for category, entry in self._add(page):
                    self._sample.add(category, entry)
            chosen = dict.fromkeys(self._sample.representatives() + self._sample.last_objects())
            async with self._heads(self._add_sampled) as self._requester:
                await self._requester.request(list(chosen))

    def _heads(self, sink: HeadSink) -> AbstractAsyncContextManager[HeadRequester]:
        return head_requester(self._request.store, sink, self._request.workers)

    def _add(self, page: Page) -> list[tuple[str, TargetEntry]]:
        visible = self._fingerprint.add(page)
        if not visible:
            return []
        self._aggregate.add(visible)
        return self._kinds.add_page(visible)

    def _add_head(self, category: str, entry: TargetEntry, head: HeadResult) -> None:
        self._kinds.add_classified(category, entry, classify(entry.key, head))

    def _add_sampled(self, category: str, entry: TargetEntry, head: HeadResult) -> None:
        found = classify(entry.key, head)
        if found.delta_bytes is not None:
            self._delta_bytes[entry.key] = found.delta_bytes
        if found.original is not None:
            by_size = found.original / entry.size if entry.size else 1.0
            self._sampled[entry.key] = found.original if category == "delta" else by_size
        if found.kind == "gzip":
            self._kinds.note_gzip(entry.key)

    def result(self) -> CachedStats:
        """Put all numbers together."""
        request, listed = self._request, self._fingerprint
        hidden_storage = self._hidden_storage
        assert hidden_storage is not None  # noqa: S101 - the task group has ended
        kinds = self._by_kind()
        original = total(*(kind.original_bytes for kind in kinds))
        saved, ratio = savings(original, listed.stored_bytes)
        stats = BucketStats(
            bucket=request.store.bucket,
            prefix=request.prefix,
            mode=request.mode,
            every=request.every,
            computed_at=request.now,
            complete=hidden_storage.complete and self._heads_complete(),
            objects=exact(listed.objects),
            stored_bytes=exact(listed.stored_bytes),
            original_bytes=original,
            saved_bytes=saved,
            ratio=ratio,
            kinds=kinds,
            storage_classes=self._aggregate.storage_classes(),
            extensions=self._aggregate.extensions(),
            top_folders=self._aggregate.folders.top(),
            folders=self._aggregate.folders.tree(),
            sizes=self._aggregate.sizes(),
            ages=self._aggregate.ages(),
            largest=self._aggregate.largest(),
            newest=self._aggregate.newest(),
            uploads=hidden_storage.uploads,
            versions=hidden_storage.versions,
            heads=self._requester.heads if self._requester else HeadCounts(),
            deltaglider=self._deltaglider(),
            warnings=(*self._warnings(), *hidden_storage.warnings),
        )
        found = tuple(sorted(self._kinds.gzip_extensions))
        tool_files = (listed.tool_objects, listed.tool_bytes)
        return CachedStats(Validation.of(listed), stats, request.gzip, found, tool_files)

    def _by_kind(self) -> tuple[ObjectKind, ...]:
        if self._request.trusted is not None:
            envelope, reason = self._request.trusted
            return trusted_kinds(self._kinds, envelope.stats.total_size, reason)
        modes: dict[str, Callable[[], tuple[ObjectKind, ...]]] = {
            "quick": lambda: quick_kinds(self._kinds),
            "sampled": lambda: sampled_kinds(self._kinds, self._sample, self._sampled),
            "detailed": lambda: detailed_kinds(self._kinds, every=self._request.every),
        }
        return modes[self._request.mode]()

    def _deltaglider(self) -> DeltaGliderStats:
        if self._request.trusted is not None:
            return self._request.trusted[0].stats
        original = self._kinds.delta_bytes
        if self._request.mode == "sampled":
            original = self._sample.delta_bytes(self._delta_bytes)
        return deltaglider_stats(self._request.store.bucket, self._kinds, original)

    def _heads_complete(self) -> bool:
        requester = self._requester
        return requester is None or not (requester.failed or requester.vanished or requester.changed)

    def _warnings(self) -> list[str]:
        requester = self._requester
        warnings = []
        if requester is not None and requester.failed:
            what = "1 object" if requester.failed == 1 else f"{requester.failed} objects"
            warnings.append(f"{what} could not be asked; the first: {requester.first_error}")
        if requester is not None and (requester.vanished or requester.changed):
            lost = requester.vanished + requester.changed
            what = "1 object was" if lost == 1 else f"{lost} objects were"
            warnings.append(f"{what} deleted or replaced while the bucket was counted")
        if self._sample.shared:
            warnings.append("there are so many folders that some share the object that represents them")
        return warnings
