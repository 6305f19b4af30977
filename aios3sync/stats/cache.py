"""The cache in the bucket: reads, writes by compare-and-swap, clears and shows it. Never fatal.

Numbers are kept in a file of our own, ``PREFIX/.aios3sync/stats_MODE.json``; for a whole bucket DeltaGlider's
file ``.deltaglider/stats_MODE.json`` is written beside it. Nobody trusts either without validation, so where
an endpoint has no conditional writes, a plain one cannot make anybody wrong.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from anyio import to_thread

from aios3sync.errors import (
    CredentialsError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
)
from aios3sync.local.state import state_directory
from aios3sync.stats.codec import CachedStats, kept, read_kept
from aios3sync.stats.deltaglider import (
    ENVELOPE_OPTIONS,
    LISTED,
    Envelope,
    envelope,
    envelope_path,
    read_envelope,
)
from aios3sync.stats.model import MODES, Mode
from aios3sync.store.protocol import DeleteItem, ObjectStore, PutOptions

__all__ = (
    "Cache",
    "CacheEntry",
    "Found",
    "FoundEnvelope",
    "StatsCache",
    "cache_path",
    "count_call",
    "counted",
)

_LOG = logging.getLogger(__name__)
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS calls (endpoint TEXT, bucket TEXT, path TEXT, hits INTEGER, misses INTEGER, "
    "PRIMARY KEY (endpoint, bucket, path))"
)
_COUNT = (
    "INSERT INTO calls VALUES (?, ?, ?, ?, ?) ON CONFLICT (endpoint, bucket, path) "
    "DO UPDATE SET hits = hits + excluded.hits, misses = misses + excluded.misses"
)
_READ = "SELECT hits, misses FROM calls WHERE endpoint = ? AND bucket = ? AND path = ?"


def count_call(endpoint: str, bucket: str, path: str, *, hit: bool | None) -> tuple[int, int]:
    """Count one call and return hits and misses so far; ``None`` counts nothing."""
    here = (int(hit), int(not hit)) if hit is not None else (0, 0)
    directory = state_directory()
    if directory is None:
        return here
    place = os.path.join(directory, "stats.sqlite")
    try:
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        with closing(sqlite3.connect(place, timeout=1.0, isolation_level=None)) as database:
            # A lost count is no loss: no fsync, which would cost more than a small listing.
            database.execute("PRAGMA synchronous = OFF")
            database.execute(_SCHEMA)
            if hit is not None:
                database.execute(_COUNT, (endpoint, bucket, path, int(hit), int(not hit)))
            row = database.execute(_READ, (endpoint, bucket, path)).fetchone()
    except (OSError, sqlite3.Error) as error:
        _LOG.debug("hits and misses are not counted: %s", error)
        return here
    return (row[0], row[1]) if row else (0, 0)


def counted(endpoint: str, bucket: str, path: str) -> tuple[int, int]:
    """Hits and misses so far."""
    return count_call(endpoint, bucket, path, hit=None)


_MOST_BYTES: Final = 16 * 1024 * 1024
"""Of a cache file; a larger one is not ours."""
_OPTIONS: Final = PutOptions(content_type="application/json")
_NOT_OFFERED: Final = frozenset({"NotImplemented", "501"})


def cache_path(prefix: str, mode: Mode) -> str:
    """The key of our own file."""
    return f"{prefix}.aios3sync/stats_{mode}.json"


@dataclass(frozen=True, slots=True)
class Found:
    """What was read.

    Attributes:
        content: the numbers, ``None`` where there are none that can be used.
        etag: of the file, empty where there is none.
        size: bytes of the file.
        problem: why it cannot be used, one sentence; empty where it can or where there is none.
        readable: whether the endpoint answered at all; if not, nothing is written either.
    """

    content: CachedStats | None = None
    etag: str = ""
    size: int | None = None
    problem: str = ""
    readable: bool = True


@dataclass(frozen=True, slots=True)
class FoundEnvelope:
    """The file in DeltaGlider's form, as :class:`Found`; ``foreign`` is one that must not be overwritten."""

    content: Envelope | None = None
    etag: str = ""
    foreign: bool = False
    readable: bool = True
    size: int | None = None


class Cache:
    """The cache of one mode, for a bucket or a prefix.

    Args:
        store: of the bucket.
        prefix: empty or ending in ``/``.
        mode: of the statistics.
        request_payer: ``requester`` where the requester pays for a write.
    """

    def __init__(self, store: ObjectStore, prefix: str, mode: Mode, request_payer: str = "") -> None:
        self.path = cache_path(prefix, mode)
        self.envelope_path = "" if prefix else envelope_path(mode)
        self._store = store
        self._prefix = prefix
        self._mode: Mode = mode
        self._payer = request_payer

    async def read(self) -> Found:
        """Read our own file.

        Raises:
            CredentialsError: nothing else will work either.
        """
        try:
            body, etag = await self._get(self.path)
        except ObjectNotFoundError:
            return Found()
        except CredentialsError:
            raise
        except StoreError as error:
            return Found(problem=f"the cache could not be read: {error}", readable=False)
        try:
            content = read_kept(body)
        except ValueError as error:
            return self._unusable(body, etag, str(error))
        stats = content.stats
        if (stats.bucket, stats.prefix, stats.mode) != (self._store.bucket, self._prefix, self._mode):
            return self._unusable(body, etag, "it is of another bucket, prefix or mode")
        return Found(content, etag, len(body))

    def _unusable(self, body: bytes, etag: str, reason: str) -> Found:
        return Found(None, etag, len(body), f"the cache {self.path} is not used: {reason}")

    async def read_envelope(self) -> FoundEnvelope:
        """Read the file in DeltaGlider's form, if there is one that can be used."""
        if not self.envelope_path:
            return FoundEnvelope()
        try:
            body, etag = await self._get(self.envelope_path)
        except ObjectNotFoundError:
            return FoundEnvelope()
        except StoreError:
            return FoundEnvelope(readable=False)
        try:
            return FoundEnvelope(read_envelope(body, self._mode), etag, size=len(body))
        except ValueError:
            return FoundEnvelope(None, etag, foreign=_is_other_version(body), size=len(body))

    async def write(self, content: CachedStats, found: Found) -> tuple[bool, str]:
        """Write both files over what was found.

        Returns:
            Whether our own was written (not where somebody else was faster), and what went wrong.
        """
        if not found.readable:
            return False, ""
        try:
            body = kept(content)
            written = await self._swap(self.path, body, found.etag, _OPTIONS)
        except StoreError as error:
            return False, f"the cache could not be written: {error}"
        try:
            if written and self.envelope_path:
                await self._write_envelope(content, found, len(body))
        except StoreError as error:
            return True, f"DeltaGlider's cache could not be written: {error}"
        return written, ""

    async def _write_envelope(self, content: CachedStats, found: Found, size: int) -> None:
        """Write the file beside ours, which has ``size`` bytes now, if DeltaGlider can find it current."""
        there = await self.read_envelope()
        if there.foreign or not there.readable:
            return  # the one in Rust writes version 2.0: its file is left to it
        before = [old for old in (found.size, there.size) if old is not None]  # the listing showed them so
        objects = content.validation.object_count + content.hidden[0] - len(before) + 1
        stored = content.validation.compressed_size + content.hidden[1] - sum(before) + size
        if objects >= LISTED[self._mode]:
            return
        stats, fingerprint = content.stats, content.validation.fingerprint
        body = envelope(self._mode, (objects, stored), fingerprint, stats.deltaglider, stats.computed_at)
        await self._swap(self.envelope_path, body, there.etag, ENVELOPE_OPTIONS)

    async def _swap(self, key: str, body: bytes, etag: str, options: PutOptions) -> bool:
        """Write over the version with this ETag; False where another one is there by now."""
        options = replace(options, request_payer=self._payer)
        condition = replace(options, if_match=etag) if etag else replace(options, if_none_match=True)
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        try:
            await self._store.put(key, body, condition, md5=md5)
        except (PreconditionFailedError, ObjectNotFoundError):
            return False
        except StoreError as error:
            if error.code not in _NOT_OFFERED:
                raise
            await self._store.put(key, body, options, md5=md5)
        return True

    async def _get(self, key: str) -> tuple[bytes, str]:
        body, head = await self._store.get(key, length=_MOST_BYTES)
        return body, head.etag


def _is_other_version(body: bytes) -> bool:
    """Whether a file that cannot be read is one of another DeltaGlider's, and not merely damaged."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return False
    version = document.get("version") if isinstance(document, dict) else None
    return isinstance(version, str) and version != "1.0"


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One cache file, for people.

    Attributes:
        path: its key.
        mode: of the statistics.
        writer: ``aios3sync`` or ``deltaglider``.
        size: bytes of the file.
        computed_at: of the numbers, seconds since the epoch; ``None`` where the file cannot be used.
        objects: that were counted then.
        problem: why it cannot be used.
        hits, misses: as this machine's user saw them.
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
    """All cache files of a bucket or a prefix, to look at and to clear."""

    def __init__(self, store: ObjectStore, prefix: str, endpoint: str = "") -> None:
        self._store = store
        self._prefix = prefix
        self._endpoint = endpoint

    async def show(self) -> list[CacheEntry]:
        """What is there, without validating it.

        Raises:
            StoreError: the endpoint did not answer.
        """
        entries: list[CacheEntry] = []
        for mode in MODES:
            cache = Cache(self._store, self._prefix, mode)
            found = await cache.read()
            if not found.readable:
                # Asked again, so that the error itself is raised.
                await self._store.get(cache.path, length=1)
            if found.size is not None:
                place = (self._endpoint, self._store.bucket, cache.path)
                hits, misses = await to_thread.run_sync(counted, *place)
                entries.append(replace(_entry(cache.path, mode, found), hits=hits, misses=misses))
            if not cache.envelope_path:
                continue
            try:
                size = (await self._store.head(cache.envelope_path)).size
            except ObjectNotFoundError:
                continue
            entries.append(_envelope_entry(cache.envelope_path, mode, size, await cache.read_envelope()))
        return entries

    async def clear(self, mode: Mode | None = None) -> int:
        """Delete the cache files of a mode, or of all; how many there were.

        Raises:
            StoreError: one of them could not be deleted.
        """
        caches = [Cache(self._store, self._prefix, one) for one in MODES if mode in (None, one)]
        keys = [path for cache in caches for path in (cache.path, cache.envelope_path) if path]
        there = []
        for key in keys:
            try:
                await self._store.head(key)
            except ObjectNotFoundError:
                continue
            there.append(DeleteItem(key))
        errors = await self._store.delete_many(there) if there else []
        if errors:
            first = errors[0]
            raise StoreError(
                f"deleting s3://{self._store.bucket}/{first.key}: {first.message}",
                operation="DeleteObjects",
                bucket=self._store.bucket,
                key=first.key,
                code=first.code,
            )
        return len(there)


def _entry(path: str, mode: Mode, found: Found) -> CacheEntry:
    size = found.size or 0
    if found.content is None:
        return CacheEntry(path, mode, "aios3sync", size, problem=found.problem)
    stats, validation = found.content.stats, found.content.validation
    return CacheEntry(path, mode, "aios3sync", size, stats.computed_at, validation.object_count)


def _envelope_entry(path: str, mode: Mode, size: int, found: FoundEnvelope) -> CacheEntry:
    content = found.content
    if content is None:
        return CacheEntry(path, mode, "deltaglider", size, problem="it is not a file of DeltaGlider 1.0")
    try:
        computed_at: float | None = datetime.fromisoformat(content.computed_at).timestamp()
    except ValueError:
        computed_at = None
    writer = "aios3sync" if content.fingerprint else "deltaglider"
    return CacheEntry(path, mode, writer, size, computed_at, content.object_count)
