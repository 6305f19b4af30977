"""Counts a bucket: one pass over a listing, and the questions that its mode asks. It decides on no cache."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.abc import ObjectReceiveStream

from aios3sync.concurrency import raise_first_error
from aios3sync.core.entries import TargetEntry
from aios3sync.listing.parallel import ADAPTIVE_WORKERS, ListPlan, list_in_parts
from aios3sync.stats.aggregate import ListingAggregate
from aios3sync.stats.codec import CachedStats, Validation
from aios3sync.stats.deltaglider import Envelope, computed
from aios3sync.stats.estimates import (
    Sample,
    added,
    compared,
    detailed_kinds,
    quick_kinds,
    sampled_kinds,
    trusted_kinds,
)
from aios3sync.stats.fingerprint import Fingerprint
from aios3sync.stats.head_requests import HeadRequester, asking
from aios3sync.stats.hidden_storage import HiddenStorage, count_extras, no_extras
from aios3sync.stats.model import BucketStats, DeltaGliderStats, HeadCounts, Mode, ObjectKind, exact
from aios3sync.stats.original_sizes import KindTotals, facts_of
from aios3sync.store.protocol import HeadResult, ObjectStore

__all__ = ("Count", "Page", "count", "listed")

Page = list[TargetEntry]

_PAGES: Final = 4
"""Pages of the listing that wait to be counted."""
_PLAIN_PAGES: Final = 20
"""Up to 20,000 objects a listing is as many requests as it has pages; in parts it would be more of them."""


@asynccontextmanager
async def listed(store: ObjectStore, prefix: str, workers: int) -> AsyncIterator[ObjectReceiveStream[Page]]:
    """List in parts, in any order; the pages come as the block takes them.

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
            await list_in_parts(store, prefix, sending, plan)

    with raise_first_error():
        async with anyio.create_task_group() as tasks, receiving:
            tasks.start_soon(produce)
            yield receiving


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What to count.

    Attributes:
        store: of the bucket.
        prefix: empty or ending in ``/``.
        mode, every: see :class:`~aios3sync.stats.options.StatsOptions`.
        gzip: extensions whose objects may be compressed.
        now: ages are as of this time, seconds since the epoch.
        workers: requests at once, at most.
        trusted: a file that tells the original bytes, so that no object is asked, and why it is believed.
        extras: also ask for uploads and versions, which takes listings.
    """

    store: ObjectStore
    prefix: str
    mode: Mode
    every: bool = False
    gzip: tuple[str, ...] = ()
    now: float
    workers: int
    trusted: tuple[Envelope, str] | None = None
    extras: bool = True


async def count(what: Count, pages: AsyncIterable[Page]) -> CachedStats:
    """Count everything that the pages hold.

    Args:
        what: to count.
        pages: of full keys below the prefix, in any order; every key once.

    Raises:
        StoreError: the bucket cannot be used.
    """
    counting = _Counting(what)
    with raise_first_error():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(counting.count_extras)
            await counting.run(pages)
    return counting.kept()


class _Counting:
    def __init__(self, what: Count) -> None:
        self._what = what
        self._asks = what.mode != "quick" and what.trusted is None
        self._seen = Fingerprint()
        self._census = ListingAggregate(what.prefix, what.now)
        self._kinds = KindTotals(what.gzip if self._asks else (), every=what.every and self._asks)
        self._sample = Sample()
        self._values: dict[str, float] = {}
        self._deltas: dict[str, int] = {}
        self._extras: HiddenStorage | None = None
        self._asker: HeadRequester | None = None

    async def count_extras(self) -> None:
        if not self._what.extras:
            self._extras = no_extras("S3 was not listed")
            return
        self._extras = await count_extras(self._what.store, self._what.prefix, self._what.mode)

    async def run(self, pages: AsyncIterable[Page]) -> None:
        if not self._asks:
            async for page in pages:
                self._add(page)
        elif self._what.mode == "detailed":
            async with asking(self._what.store, self._told, self._what.workers) as self._asker:
                async for page in pages:
                    await self._asker.ask(self._add(page))
        else:
            async for page in pages:
                for place, entry in self._add(page):
                    self._sample.add(place, entry)
            async with asking(self._what.store, self._told_of_sample, self._what.workers) as self._asker:
                await self._asker.ask(list(dict.fromkeys(self._sample.firsts() + self._sample.seconds())))

    def _add(self, page: Page) -> list[tuple[str, TargetEntry]]:
        visible = self._seen.add(page)
        if not visible:
            return []
        self._census.add(visible)
        return self._kinds.add_page(visible)

    def _told(self, place: str, entry: TargetEntry, head: HeadResult) -> None:
        self._kinds.add_facts(place, entry, facts_of(entry.key, head))

    def _told_of_sample(self, place: str, entry: TargetEntry, head: HeadResult) -> None:
        facts = facts_of(entry.key, head)
        if facts.told is not None:
            self._deltas[entry.key] = facts.told
        if facts.original is not None:
            by_size = facts.original / entry.size if entry.size else 1.0
            self._values[entry.key] = facts.original if place == "delta" else by_size
        if facts.kind == "gzip":
            self._kinds.note_gzip(entry.key)

    def kept(self) -> CachedStats:
        """All of it together."""
        what, seen = self._what, self._seen
        assert self._extras is not None  # noqa: S101 - the group has ended
        kinds = self._by_kind()
        original = added(*(kind.original_bytes for kind in kinds))
        saved, ratio = compared(original, seen.stored_bytes)
        warnings = (*self._warnings(), *self._extras.warnings)
        stats = BucketStats(
            bucket=what.store.bucket,
            prefix=what.prefix,
            mode=what.mode,
            every=what.every,
            computed_at=what.now,
            complete=self._extras.complete and self._heads_complete(),
            objects=exact(seen.objects),
            stored_bytes=exact(seen.stored_bytes),
            original_bytes=original,
            saved_bytes=saved,
            ratio=ratio,
            kinds=kinds,
            storage_classes=self._census.storage_classes(),
            extensions=self._census.extensions(),
            top_folders=self._census.folders.top(),
            folders=self._census.folders.tree(),
            sizes=self._census.sizes(),
            ages=self._census.ages(),
            largest=self._census.largest(),
            newest=self._census.newest(),
            uploads=self._extras.uploads,
            versions=self._extras.versions,
            heads=self._asker.heads if self._asker else HeadCounts(),
            deltaglider=self._deltaglider(),
            warnings=warnings,
        )
        found = tuple(sorted(self._kinds.gzip_extensions))
        hidden = (seen.hidden_objects, seen.hidden_bytes)
        return CachedStats(Validation.of(seen), stats, what.gzip, found, hidden)

    def _by_kind(self) -> tuple[ObjectKind, ...]:
        if self._what.trusted is not None:
            told, why = self._what.trusted
            return trusted_kinds(self._kinds, told.stats.total_size, why)
        modes: dict[str, Callable[[], tuple[ObjectKind, ...]]] = {
            "quick": lambda: quick_kinds(self._kinds),
            "sampled": lambda: sampled_kinds(self._kinds, self._sample, self._values),
            "detailed": lambda: detailed_kinds(self._kinds, every=self._what.every),
        }
        return modes[self._what.mode]()

    def _deltaglider(self) -> DeltaGliderStats:
        if self._what.trusted is not None:
            return self._what.trusted[0].stats
        told = self._kinds.told_deltas
        if self._what.mode == "sampled":
            told = self._sample.deltas_told(self._deltas)
        return computed(self._what.store.bucket, self._kinds, told)

    def _heads_complete(self) -> bool:
        asker = self._asker
        return asker is None or not (asker.failed or asker.vanished or asker.changed)

    def _warnings(self) -> list[str]:
        asker = self._asker
        warnings = []
        if asker is not None and asker.failed:
            what = "1 object" if asker.failed == 1 else f"{asker.failed} objects"
            warnings.append(f"{what} could not be asked; the first: {asker.first_error}")
        if asker is not None and (asker.vanished or asker.changed):
            lost = asker.vanished + asker.changed
            what = "1 object was" if lost == 1 else f"{lost} objects were"
            warnings.append(f"{what} deleted or replaced while the bucket was counted")
        if self._sample.shared:
            warnings.append("there are so many folders that some share the object that stands for them")
        return warnings
