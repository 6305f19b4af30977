"""Computes statistics: from the cache if a listing shows that it is current, else by counting.

A cache is trusted only after a listing has shown the same count, bytes and fingerprint, or where the caller
allows more (``max_age``, ``background``). A problem with the cache costs one warning, not the result; a
problem with the listing is an error, and nothing is cached.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Final, Literal

from anyio import to_thread
from anyio.abc import ObjectReceiveStream

from aios3sync._dataclass import dataclass, field, replace
from aios3sync.core.tool_files import is_tool_file
from aios3sync.errors import UsageError
from aios3sync.options import payer_of
from aios3sync.stats.cache import CacheLookup, ModeCache, count_lookup
from aios3sync.stats.codec import CachedStats, Validation
from aios3sync.stats.collect import CountRequest, Page, count_objects, list_pages
from aios3sync.stats.deltaglider import Envelope
from aios3sync.stats.fingerprint import Fingerprint
from aios3sync.stats.model import BucketStats, CacheFacts, Number
from aios3sync.stats.options import StatsOptions
from aios3sync.store.protocol import ObjectStore

__all__ = (
    "StatsRequest",
    "compute",
)

_BUFFERED_OBJECTS: Final = 20_000
"""Listed objects that are kept in memory until it is known whether they have to be counted."""
_BY_TOTALS: Final = "from DeltaGlider's cache, which a listing confirmed by count and bytes alone"
_BY_FINGERPRINT: Final = "from the cache in DeltaGlider's form, which a listing confirmed"

_State = Literal["hit", "miss", "stale", "off"]
_Validated = Literal["", "fingerprint", "totals", "age", "later"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsRequest:
    """A request for the statistics of a bucket or of the objects below a prefix.

    Attributes:
        store: of the bucket.
        prefix: empty or ending in ``/``.
        options: how to count, and what the cache may be used for.
        endpoint: its name, for the local count of hits and misses.
        workers: requests at once, at most.
        cache_store: reads and writes the cache; ``None`` is ``store``, which may read with a customer's key.
        requests: counted by operation while they are sent.
        refresh_later: starts the same request without ``background``, which this call does not wait for.
        now: returns seconds since the epoch.
    """

    store: ObjectStore
    prefix: str
    options: StatsOptions
    endpoint: str = ""
    workers: int = 256
    cache_store: ObjectStore | None = None
    requests: Mapping[str, int] = field(default_factory=dict)
    refresh_later: Callable[[StatsRequest], None] | None = None
    now: Callable[[], float] = time.time


async def compute(request: StatsRequest) -> BucketStats:
    """Return the statistics.

    Raises:
        UsageError: the prefix is a folder of tools, which is in no statistics.
        StoreError: the bucket could not be listed completely.
    """
    if is_tool_file(request.prefix):
        raise UsageError(f"{request.prefix!r} holds files of tools, which are in no statistics")
    return await _Computation(request).run()


class _Computation:
    """One request on its way: what was read of the cache, and when it began."""

    def __init__(self, request: StatsRequest) -> None:
        self._request = request
        self._options = request.options
        self._started = request.now()
        self._clock = time.perf_counter()
        payer = payer_of(request.options.request_payer)
        store = request.cache_store or request.store
        self._cache = ModeCache(store, request.prefix, request.options.mode, payer)
        self._lookup = CacheLookup()
        self._read = False

    async def run(self) -> BucketStats:
        if not self._options.use_cache:
            async with self._list_pages() as pages:
                content = await self._count(pages)
            return self._result(content.stats, CacheFacts())
        if self._options.max_age is not None or self._options.background:
            await self._read_cache()
            if (stats := await self._without_listing()) is not None:
                return stats
        return await self._with_listing()

    def _list_pages(self) -> AbstractAsyncContextManager[ObjectReceiveStream[Page]]:
        return list_pages(self._request.store, self._request.prefix, self._options.list_workers)

    # Results without a listing

    async def _without_listing(self) -> BucketStats | None:
        content = self._usable()
        if content is None or self._options.refresh:
            return None
        age = self._started - content.stats.computed_at
        if self._options.max_age is not None and 0 <= age < self._options.max_age:
            return await self._hit(content, "age")
        if self._options.background and self._request.refresh_later is not None:
            options = replace(self._options, background=False, max_age=None)
            self._request.refresh_later(replace(self._request, options=options, refresh_later=None))
            return await self._hit(content, "later")
        return None

    # Results with a listing

    async def _with_listing(self) -> BucketStats:
        async with self._list_pages() as pages:
            await self._read_cache()  # the first pages arrive meanwhile
            content = None if self._options.refresh else self._usable()
            envelope = await self._envelope(content)
            if content is None and envelope is None:
                return await self._miss(await self._count(pages), "miss")
            buffer = _ListingBuffer()
            async for page in pages:
                buffer.add(page)
        if content is not None and Validation.of(buffer.fingerprint) == content.validation:
            return await self._hit(content, "fingerprint")
        trusted = self._trusted(envelope, buffer.fingerprint)
        state: _State = "stale" if content is not None else "miss"
        if not buffer.overflowed:
            counted = await self._count(buffer.pages(), trusted)
        else:
            async with self._list_pages() as pages:
                counted = await self._count(pages, trusted)
        # Sizes taken from a trusted file are not cached as if the objects themselves had been asked.
        return await self._miss(counted, state, write=trusted is None)

    async def _read_cache(self) -> None:
        if not self._read:
            self._lookup, self._read = await self._cache.read(), True

    def _usable(self) -> CachedStats | None:
        """Return the cached numbers if they hold all that the options ask for."""
        content = self._lookup.content
        if content is None or content.stats.every or self._options.mode == "quick":
            return content
        enough = not self._options.every and set(self._options.gzip) <= set(content.gzip)
        return content if enough else None

    async def _envelope(self, content: CachedStats | None) -> Envelope | None:
        """Return DeltaGlider's file where ours is missing and its numbers would spare the HEAD requests."""
        options = self._options
        needs_heads = options.mode == "quick" or options.every or options.gzip
        if content is not None or options.refresh or needs_heads or not self._lookup.readable:
            return None
        envelope = (await self._cache.read_envelope()).content
        return envelope if envelope and (envelope.fingerprint or options.deltaglider) else None

    def _trusted(self, envelope: Envelope | None, listed: Fingerprint) -> tuple[Envelope, str] | None:
        """Return the envelope, with the reason to trust it, if the listing confirms it."""
        if envelope is None:
            return None
        if envelope.fingerprint:
            return (envelope, _BY_FINGERPRINT) if envelope.fingerprint == listed.text() else None
        totals = (envelope.object_count, envelope.stored_bytes)
        # DeltaGlider for Python counts the cache files themselves, the one for Rust does not.
        everything = (listed.objects + listed.tool_objects, listed.stored_bytes + listed.tool_bytes)
        same = totals in (everything, (listed.objects, listed.stored_bytes))
        return (envelope, _BY_TOTALS) if same else None

    async def _count(
        self, pages: AsyncIterable[Page], trusted: tuple[Envelope, str] | None = None
    ) -> CachedStats:
        known = self._lookup.content.gzip_found if self._lookup.content is not None else ()
        heads = self._options.mode != "quick"
        request = CountRequest(
            store=self._request.store,
            prefix=self._request.prefix,
            mode=self._options.mode,
            every=self._options.every,
            gzip=tuple(sorted({*self._options.gzip, *known})) if heads else (),
            now=self._started,
            workers=self._request.workers,
            trusted=trusted,
        )
        return await count_objects(request, pages)

    # The result, and what the cache had to do with it

    async def _miss(self, content: CachedStats, state: _State, *, write: bool = True) -> BucketStats:
        """Cache new numbers if they are complete, and return them."""
        written, problem = False, ""
        exists = self._lookup.size is not None
        if write and content.stats.complete and (exists or self._options.create_cache):
            written, problem = await self._cache.write(content, self._lookup)
        hits, misses = await self._count_lookup(hit=False)
        warning = self._lookup.problem or problem
        stats = replace(content.stats, warnings=(*content.stats.warnings, *((warning,) if warning else ())))
        facts = CacheFacts(
            state=state,
            path=self._cache.path,
            size=self._lookup.size,
            written=written,
            hits=hits,
            misses=misses,
        )
        return self._result(stats, facts)

    async def _hit(self, content: CachedStats, validated: _Validated) -> BucketStats:
        """Return the cached numbers."""
        hits, misses = await self._count_lookup(hit=True)
        facts = CacheFacts(
            state="hit",
            validated=validated,
            path=self._cache.path,
            age_s=max(self._started - content.stats.computed_at, 0.0),
            size=self._lookup.size,
            hits=hits,
            misses=misses,
        )
        return self._result(_from_cache(content.stats), facts)

    async def _count_lookup(self, *, hit: bool) -> tuple[int, int]:
        request = self._request
        return await to_thread.run_sync(
            lambda: count_lookup(request.endpoint, request.store.bucket, self._cache.path, hit=hit)
        )

    def _result(self, stats: BucketStats, facts: CacheFacts) -> BucketStats:
        requests = {name: number for name, number in self._request.requests.items() if number}
        elapsed = time.perf_counter() - self._clock
        return replace(stats, cache=facts, requests=requests, elapsed_s=elapsed)


class _ListingBuffer:
    """Adds up a listing and keeps its pages in memory while it is small.

    Attributes:
        fingerprint: of all pages.
        overflowed: the listing was too long; it has to be read again to be counted.
    """

    def __init__(self) -> None:
        self.fingerprint = Fingerprint()
        self.overflowed = False
        self._pages: list[Page] = []
        self._objects = 0

    def add(self, page: Page) -> None:
        self.fingerprint.add(page)
        self._objects += len(page)
        if self._objects <= _BUFFERED_OBJECTS:
            self._pages.append(page)
        elif not self.overflowed:
            self.overflowed = True
            self._pages.clear()

    async def pages(self) -> AsyncIterator[Page]:
        for page in self._pages:
            yield page


def _from_cache(stats: BucketStats) -> BucketStats:
    """Return cached numbers; those that no listing confirms say when they were counted."""
    moment = datetime.fromtimestamp(stats.computed_at, UTC).isoformat(timespec="seconds")
    note = f"as of {moment}; a listing does not show whether it is still so"

    def aged(number: Number) -> Number:
        if number.known != "exact":
            return number
        return Number(number.value, "estimated", note=note)

    uploads, versions = stats.uploads, stats.versions
    return replace(
        stats,
        origin="cache",
        uploads=replace(uploads, uploads=aged(uploads.uploads), stored_bytes=aged(uploads.stored_bytes)),
        versions=replace(
            versions,
            versions=aged(versions.versions),
            stored_bytes=aged(versions.stored_bytes),
            delete_markers=aged(versions.delete_markers),
        ),
    )
