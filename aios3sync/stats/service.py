"""Answers a question for statistics: from the cache if that is current, else by counting. Never wrong.

A cache is believed only after a listing has shown the same count, bytes and fingerprint, or where the caller
said so (``max_age``, ``background``). Whatever is wrong with the cache costs one warning, not the answer;
whatever is wrong with the listing is an error, and nothing is kept.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Literal

from anyio import to_thread
from anyio.abc import ObjectReceiveStream

from aios3sync.errors import AioS3SyncError, UsageError
from aios3sync.stats.cache import Cache, Found, count_call
from aios3sync.stats.codec import CachedStats, Validation
from aios3sync.stats.collect import Count, Page, count, listed
from aios3sync.stats.deltaglider import Envelope
from aios3sync.stats.fingerprint import Fingerprint, is_hidden
from aios3sync.stats.model import BucketStats, CacheFacts, Number
from aios3sync.stats.options import StatsOptions
from aios3sync.store.protocol import ObjectStore

__all__ = (
    "Refreshes",
    "StatsRequest",
    "answer",
)

_LOG = logging.getLogger(__name__)


class Refreshes:
    """The refreshes of one session: at most one for each bucket, prefix and mode.

    A task group cannot hold them: it belongs to the task that opened it, and whoever asks for statistics may
    be another one. So the tasks are held here, and end before the session does.
    """

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str, str], asyncio.Task[None]] = {}

    def start(self, question: StatsRequest) -> None:
        """Answer a question anew, unless that is under way."""
        key = (question.store.bucket, question.prefix, question.options.mode)
        if key in self._tasks:
            return
        task = self._tasks[key] = asyncio.create_task(_refresh(question))
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def wait(self) -> None:
        """Wait for all that is under way."""
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def close(self, *ending: type[BaseException] | BaseException | TracebackType | None) -> None:
        """End: wait for the refreshes, or cancel them where the session ends with an error."""
        tasks = set(self._tasks.values())
        try:
            if ending[0] is None:
                await self.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _refresh(question: StatsRequest) -> None:
    try:
        await answer(question)
    except AioS3SyncError as error:
        _LOG.warning("the statistics of %s were not refreshed: %s", question.store.bucket, error)


_HELD: Final = 20_000
"""Listed objects that are kept in memory until it is known whether they have to be counted."""
_SUCH: Final = "from DeltaGlider's cache, which a listing confirmed by count and bytes alone"
_OURS: Final = "from the cache beside DeltaGlider, which a listing confirmed"

State = Literal["hit", "miss", "stale", "off"]
Validated = Literal["", "fingerprint", "totals", "age", "later"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsRequest:
    """What is asked.

    Attributes:
        store: of the bucket.
        prefix: empty or ending in ``/``.
        options: how.
        endpoint: its name, for the local count of hits and misses.
        workers: requests at once, at most.
        cache_store: reads and writes the cache; ``None`` is ``store``, which may read with a customer's key.
        requests: counted by operation while they are sent.
        refresh_later: has the same question answered anew, behind the caller's back.
        now: seconds since the epoch.
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


async def answer(question: StatsRequest) -> BucketStats:
    """The statistics.

    Raises:
        UsageError: the prefix is one that is in no statistics.
        StoreError: the bucket could not be listed, completely.
    """
    if is_hidden(question.prefix):
        raise UsageError(f"{question.prefix!r} holds files of tools, which are in no statistics")
    return await _Answering(question).run()


class _Answering:
    def __init__(self, question: StatsRequest) -> None:
        self._ask = question
        self._options = question.options
        self._started = question.now()
        self._clock = time.perf_counter()
        payer = "requester" if question.options.request_payer else ""
        store = question.cache_store or question.store
        self._cache = Cache(store, question.prefix, question.options.mode, payer)
        self._found = Found()
        self._read = False

    async def run(self) -> BucketStats:
        if not self._options.use_cache:
            async with self._listed() as pages:
                content = await self._count(pages)
            return self._finished(content.stats, CacheFacts())
        if self._options.max_age is not None or self._options.background:
            await self._read_cache()
            if (answered := await self._without_listing()) is not None:
                return answered
        return await self._with_listing()

    def _listed(self) -> AbstractAsyncContextManager[ObjectReceiveStream[Page]]:
        return listed(self._ask.store, self._ask.prefix, self._options.list_workers)

    # Answers without a listing

    async def _without_listing(self) -> BucketStats | None:
        content = self._usable()
        if content is None or self._options.refresh:
            return None
        age = self._started - content.stats.computed_at
        if self._options.max_age is not None and 0 <= age < self._options.max_age:
            return await self._hit(content, "age")
        if self._options.background and self._ask.refresh_later is not None:
            options = replace(self._options, background=False, max_age=None)
            self._ask.refresh_later(replace(self._ask, options=options, refresh_later=None))
            return await self._hit(content, "later")
        return None

    # Answers with one

    async def _with_listing(self) -> BucketStats:
        async with self._listed() as pages:
            await self._read_cache()  # the first pages come meanwhile
            content = None if self._options.refresh else self._usable()
            envelope = await self._envelope(content)
            if content is None and envelope is None:
                return await self._computed(await self._count(pages), "miss")
            held = _Held()
            async for page in pages:
                held.add(page)
        if content is not None and Validation.of(held.seen) == content.validation:
            return await self._hit(content, "fingerprint")
        trusted = self._believed(envelope, held.seen)
        state: State = "stale" if content is not None else "miss"
        if not held.overflowed:
            counted = await self._count(held.pages(), trusted)
        else:
            async with self._listed() as pages:
                counted = await self._count(pages, trusted)
        # What was believed without asking anybody is not kept as if it had been asked.
        return await self._computed(counted, state, keep=trusted is None)

    async def _read_cache(self) -> None:
        if not self._read:
            self._found, self._read = await self._cache.read(), True

    def _usable(self) -> CachedStats | None:
        """The cached numbers, if they tell all that is asked for."""
        content = self._found.content
        if content is None or content.stats.every or self._options.mode == "quick":
            return content
        enough = not self._options.every and set(self._options.gzip) <= set(content.gzip)
        return content if enough else None

    async def _envelope(self, content: CachedStats | None) -> Envelope | None:
        """A file in DeltaGlider's form, where ours is missing and the questions could be spared."""
        options = self._options
        asks = options.mode == "quick" or options.every or options.gzip
        if content is not None or options.refresh or asks or not self._found.readable:
            return None
        envelope = (await self._cache.read_envelope()).content
        return envelope if envelope and (envelope.fingerprint or options.deltaglider) else None

    def _believed(self, envelope: Envelope | None, seen: Fingerprint) -> tuple[Envelope, str] | None:
        if envelope is None:
            return None
        if envelope.fingerprint:
            return (envelope, _OURS) if envelope.fingerprint == seen.text() else None
        told = (envelope.object_count, envelope.stored_bytes)
        # DeltaGlider for Python counts the caches themselves, the one for Rust does not.
        everything = (seen.objects + seen.hidden_objects, seen.stored_bytes + seen.hidden_bytes)
        same = told in (everything, (seen.objects, seen.stored_bytes))
        return (envelope, _SUCH) if same else None

    async def _count(
        self, pages: AsyncIterable[Page], trusted: tuple[Envelope, str] | None = None
    ) -> CachedStats:
        known = self._found.content.gzip_found if self._found.content is not None else ()
        asks = self._options.mode != "quick"
        what = Count(
            store=self._ask.store,
            prefix=self._ask.prefix,
            mode=self._options.mode,
            every=self._options.every,
            gzip=tuple(sorted({*self._options.gzip, *known})) if asks else (),
            now=self._started,
            workers=self._ask.workers,
            trusted=trusted,
        )
        return await count(what, pages)

    # What comes of it

    async def _computed(self, content: CachedStats, state: State, *, keep: bool = True) -> BucketStats:
        """Keep new numbers, if they are complete, and answer with them."""
        written, problem = False, ""
        if keep and content.stats.complete:
            written, problem = await self._cache.write(content, self._found)
        hits, misses = await self._counted(hit=False)
        warning = self._found.problem or problem
        stats = replace(content.stats, warnings=(*content.stats.warnings, *((warning,) if warning else ())))
        facts = CacheFacts(
            state=state,
            path=self._cache.path,
            size=self._found.size,
            written=written,
            hits=hits,
            misses=misses,
        )
        return self._finished(stats, facts)

    async def _hit(self, content: CachedStats, validated: Validated) -> BucketStats:
        hits, misses = await self._counted(hit=True)
        facts = CacheFacts(
            state="hit",
            validated=validated,
            path=self._cache.path,
            age_s=max(self._started - content.stats.computed_at, 0.0),
            size=self._found.size,
            hits=hits,
            misses=misses,
        )
        return self._finished(_as_of(content.stats), facts)

    async def _counted(self, *, hit: bool) -> tuple[int, int]:
        ask = self._ask
        return await to_thread.run_sync(
            lambda: count_call(ask.endpoint, ask.store.bucket, self._cache.path, hit=hit)
        )

    def _finished(self, stats: BucketStats, facts: CacheFacts) -> BucketStats:
        requests = {name: number for name, number in self._ask.requests.items() if number}
        elapsed = time.perf_counter() - self._clock
        return replace(stats, cache=facts, requests=requests, elapsed_s=elapsed)


class _Held:
    """Adds up a listing and keeps it in memory while it is small."""

    def __init__(self) -> None:
        self.seen = Fingerprint()
        self.overflowed = False
        self._pages: list[Page] = []
        self._objects = 0

    def add(self, page: Page) -> None:
        self.seen.add(page)
        self._objects += len(page)
        if self._objects <= _HELD:
            self._pages.append(page)
        elif not self.overflowed:
            self.overflowed = True
            self._pages.clear()

    async def pages(self) -> AsyncIterator[Page]:
        for page in self._pages:
            yield page


def _as_of(stats: BucketStats) -> BucketStats:
    """Cached numbers; what the listing does not show is as of then."""
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
