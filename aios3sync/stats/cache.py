"""The cache in the bucket: reads it, and writes it by compare-and-swap. Never fatal.

Numbers are cached in our own file ``PREFIX/.aios3sync/stats_MODE.json``; for a whole bucket DeltaGlider's
file ``.deltaglider/stats_MODE.json`` is written as well. Neither is trusted without validation, so where an
endpoint has no conditional writes, an unconditional one cannot cause wrong numbers. How often the cache was
current is counted in a database of the local user.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
from contextlib import closing
from typing import Final

from aios3sync._dataclass import dataclass, replace
from aios3sync.errors import (
    CredentialsError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
)
from aios3sync.local.state import state_directory
from aios3sync.stats.codec import CachedStats, decode_cached, encode_cached
from aios3sync.stats.deltaglider import (
    ENVELOPE_OPTIONS,
    MAX_LISTED,
    Envelope,
    decode_envelope,
    encode_envelope,
    envelope_path,
)
from aios3sync.stats.model import Mode
from aios3sync.store.protocol import ObjectStore, PutOptions

__all__ = (
    "CacheLookup",
    "EnvelopeLookup",
    "ModeCache",
    "cache_path",
    "count_lookup",
)

_LOG = logging.getLogger(__name__)
_MOST_BYTES: Final = 16 * 1024 * 1024
"""Size of a cache file at most; a larger one is not ours."""
_OPTIONS: Final = PutOptions(content_type="application/json")
_NOT_OFFERED: Final = frozenset({"NotImplemented", "501"})


def cache_path(prefix: str, mode: Mode) -> str:
    """Return the key of our own file."""
    return f"{prefix}.aios3sync/stats_{mode}.json"


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """The result of reading our own file.

    Attributes:
        content: the numbers, ``None`` where there are none or the file cannot be used.
        etag: of the file, empty where there is none.
        size: bytes of the file.
        problem: why the file cannot be used, one sentence; empty where it can or where there is none.
        readable: whether the endpoint answered; if not, nothing is written either.
    """

    content: CachedStats | None = None
    etag: str = ""
    size: int | None = None
    problem: str = ""
    readable: bool = True


@dataclass(frozen=True, slots=True)
class EnvelopeLookup:
    """The result of reading DeltaGlider's file; a ``foreign`` one must not be overwritten."""

    content: Envelope | None = None
    etag: str = ""
    foreign: bool = False
    readable: bool = True
    size: int | None = None


class ModeCache:
    """The cache files of one mode, for a bucket or a prefix.

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

    async def read(self) -> CacheLookup:
        """Read our own file.

        Raises:
            CredentialsError: no other request will work either.
        """
        try:
            body, etag = await self._get(self.path)
        except ObjectNotFoundError:
            return CacheLookup()
        except CredentialsError:
            raise
        except StoreError as error:
            return CacheLookup(problem=f"the cache could not be read: {error}", readable=False)
        try:
            content = decode_cached(body)
        except ValueError as error:
            return self._unusable(body, etag, str(error))
        stats = content.stats
        if (stats.bucket, stats.prefix, stats.mode) != (self._store.bucket, self._prefix, self._mode):
            return self._unusable(body, etag, "it is of another bucket, prefix or mode")
        return CacheLookup(content, etag, len(body))

    def _unusable(self, body: bytes, etag: str, reason: str) -> CacheLookup:
        return CacheLookup(None, etag, len(body), f"the cache {self.path} is not used: {reason}")

    async def read_envelope(self) -> EnvelopeLookup:
        """Read the file in DeltaGlider's form; there is none for prefixes."""
        if not self.envelope_path:
            return EnvelopeLookup()
        try:
            body, etag = await self._get(self.envelope_path)
        except ObjectNotFoundError:
            return EnvelopeLookup()
        except StoreError:
            return EnvelopeLookup(readable=False)
        try:
            return EnvelopeLookup(decode_envelope(body, self._mode), etag, size=len(body))
        except ValueError:
            return EnvelopeLookup(None, etag, foreign=_is_other_version(body), size=len(body))

    async def write(self, content: CachedStats, lookup: CacheLookup) -> tuple[bool, str]:
        """Replace both files, if ours is still the one that was read.

        Returns:
            Whether our own file was written (not where another writer was faster), and the problem, if any.
        """
        if not lookup.readable:
            return False, ""
        try:
            body = encode_cached(content)
            written = await self._swap(self.path, body, lookup.etag, _OPTIONS)
        except StoreError as error:
            return False, f"the cache could not be written: {error}"
        try:
            if written and self.envelope_path:
                await self._write_envelope(content, lookup, len(body))
        except StoreError as error:
            return True, f"DeltaGlider's cache could not be written: {error}"
        return written, ""

    async def _write_envelope(self, content: CachedStats, lookup: CacheLookup, size: int) -> None:
        """Write DeltaGlider's file, if DeltaGlider can find it current; ours has ``size`` bytes now."""
        present = await self.read_envelope()
        if present.foreign or not present.readable:
            return  # DeltaGlider for Rust writes version 2.0: its file stays as it is
        # The totals in the file include both files as they are now; the listing had them as they were before.
        before = [old for old in (lookup.size, present.size) if old is not None]
        objects = content.validation.object_count + content.tool_files[0] - len(before) + 1
        stored = content.validation.compressed_size + content.tool_files[1] - sum(before) + size
        if objects >= MAX_LISTED[self._mode]:
            return
        stats, fingerprint = content.stats, content.validation.fingerprint
        body = encode_envelope(
            self._mode, (objects, stored), fingerprint, stats.deltaglider, stats.computed_at
        )
        await self._swap(self.envelope_path, body, present.etag, ENVELOPE_OPTIONS)

    async def _swap(self, key: str, body: bytes, etag: str, options: PutOptions) -> bool:
        """Replace the version with this ETag; return False where there is another one by now."""
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
    """Return whether an unreadable file is of another version of DeltaGlider, and not merely damaged."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return False
    version = document.get("version") if isinstance(document, dict) else None
    return isinstance(version, str) and version != "1.0"


# Hits and misses of the local user

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS calls (endpoint TEXT, bucket TEXT, path TEXT, hits INTEGER, misses INTEGER, "
    "PRIMARY KEY (endpoint, bucket, path))"
)
_COUNT = (
    "INSERT INTO calls VALUES (?, ?, ?, ?, ?) ON CONFLICT (endpoint, bucket, path) "
    "DO UPDATE SET hits = hits + excluded.hits, misses = misses + excluded.misses"
)
_READ = "SELECT hits, misses FROM calls WHERE endpoint = ? AND bucket = ? AND path = ?"


def count_lookup(endpoint: str, bucket: str, path: str, *, hit: bool | None) -> tuple[int, int]:
    """Count one lookup of this machine's user and return hits and misses so far; ``None`` counts nothing.

    Blocking. Never fails: where the database cannot be used, only this lookup is in the result.
    """
    here = (int(hit), int(not hit)) if hit is not None else (0, 0)
    directory = state_directory()
    if directory is None:
        return here
    database_path = os.path.join(directory, "stats.sqlite")
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        with closing(sqlite3.connect(database_path, timeout=1.0, isolation_level=None)) as database:
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
