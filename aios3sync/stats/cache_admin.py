"""Shows and clears the cache files of a bucket or a prefix, for the command line."""

from __future__ import annotations

from datetime import datetime

from anyio import to_thread

from aios3sync._dataclass import dataclass, replace
from aios3sync.errors import (
    ObjectNotFoundError,
    StoreError,
)
from aios3sync.stats.cache import CacheLookup, EnvelopeLookup, ModeCache, count_lookup
from aios3sync.stats.model import MODES, Mode
from aios3sync.store.protocol import DeleteItem, ObjectStore

__all__ = (
    "CacheEntry",
    "StatsCache",
)


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One cache file, as the command line shows it.

    Attributes:
        path: its key.
        mode: of the statistics.
        writer: ``aios3sync`` or ``deltaglider``.
        size: bytes of the file.
        computed_at: when the numbers were computed, seconds since the epoch; ``None`` for an unusable file.
        objects: counted at that time.
        problem: why the file cannot be used.
        hits, misses: of this machine's user.
    """

    path: str
    mode: Mode
    writer: str
    size: int
    computed_at: float | None = None
    objects: int | None = None
    problem: str = ""
    hits: int = 0
    misses: int = 0


class StatsCache:
    """Shows and clears all cache files of a bucket or a prefix."""

    def __init__(self, store: ObjectStore, prefix: str, endpoint: str = "") -> None:
        self._store = store
        self._prefix = prefix
        self._endpoint = endpoint

    async def show(self) -> list[CacheEntry]:
        """Return all cache files, without validating them.

        Raises:
            StoreError: the endpoint did not answer.
        """
        entries: list[CacheEntry] = []
        for mode in MODES:
            cache = ModeCache(self._store, self._prefix, mode)
            lookup = await cache.read()
            if not lookup.readable:
                # Read again, so that the error itself is raised.
                await self._store.get(cache.path, length=1)
            if lookup.size is not None:
                hits, misses = await to_thread.run_sync(self._lookups, cache.path)
                entries.append(replace(_entry(cache.path, mode, lookup), hits=hits, misses=misses))
            if not cache.envelope_path:
                continue
            try:
                size = (await self._store.head(cache.envelope_path)).size
            except ObjectNotFoundError:
                continue
            entries.append(_envelope_entry(cache.envelope_path, mode, size, await cache.read_envelope()))
        return entries

    def _lookups(self, path: str) -> tuple[int, int]:
        return count_lookup(self._endpoint, self._store.bucket, path, hit=None)

    async def clear(self, mode: Mode | None = None) -> int:
        """Delete the cache files of a mode, or of all modes, and return how many there were.

        Raises:
            StoreError: one of them could not be deleted.
        """
        caches = [ModeCache(self._store, self._prefix, one) for one in MODES if mode in (None, one)]
        keys = [path for cache in caches for path in (cache.path, cache.envelope_path) if path]
        items = []
        for key in keys:
            try:
                await self._store.head(key)
            except ObjectNotFoundError:
                continue
            items.append(DeleteItem(key))
        errors = await self._store.delete_many(items) if items else []
        if errors:
            first = errors[0]
            raise StoreError(
                f"deleting s3://{self._store.bucket}/{first.key}: {first.message}",
                operation="DeleteObjects",
                bucket=self._store.bucket,
                key=first.key,
                code=first.code,
            )
        return len(items)


def _entry(path: str, mode: Mode, lookup: CacheLookup) -> CacheEntry:
    size = lookup.size or 0
    if lookup.content is None:
        return CacheEntry(path, mode, "aios3sync", size, problem=lookup.problem)
    stats, validation = lookup.content.stats, lookup.content.validation
    return CacheEntry(path, mode, "aios3sync", size, stats.computed_at, validation.object_count)


def _envelope_entry(path: str, mode: Mode, size: int, lookup: EnvelopeLookup) -> CacheEntry:
    content = lookup.content
    if content is None:
        return CacheEntry(path, mode, "deltaglider", size, problem="it is not a file of DeltaGlider 1.0")
    try:
        computed_at: float | None = datetime.fromisoformat(content.computed_at).timestamp()
    except ValueError:
        computed_at = None
    writer = "aios3sync" if content.fingerprint else "deltaglider"
    return CacheEntry(path, mode, writer, size, computed_at, content.object_count)
