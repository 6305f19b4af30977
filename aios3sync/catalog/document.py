"""One document of the catalog in one bucket: read whole, replaced whole by compare-and-swap, never merged.

Shards are written under new names before the document names them, and deleted after it no longer does, so a
change is one swap of one object. A reader that meets a shard which is gone reads the document again. What a
writer that broke off left behind is swept by a later one.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import anyio
from anyio import to_thread

from aios3sync.catalog import format as document
from aios3sync.catalog.format import CorruptError, Head, Shard, ShardRef
from aios3sync.catalog.orphans import ASIDE, OrphanedShards, shard_key
from aios3sync.concurrency import for_each
from aios3sync.errors import (
    AccessDeniedError,
    NotModifiedError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
)
from aios3sync.store.protocol import DeleteItem, ObjectStore, PutOptions

__all__ = ("CatalogDocument", "ConditionalWrites", "CorruptDocument", "Snapshot")

_AT_ONCE: Final = 8
_ATTEMPTS: Final = 30
"""How often a document is read that others replace all the time."""
_NOT_OFFERED: Final = frozenset({"NotImplemented", "501"})
_MOST_BLANKS: Final = 4096
_NOBODY: Final = "0" * 32


class ConditionalWrites:
    """Whether an endpoint honours conditional writes; asked once, with one request that writes nothing.

    AWS, SeaweedFS, Ceph, MinIO and moto refuse to overwrite what is not there under an ETag (404 or 412).
    Who does not know If-Match (rclone, JuiceFS, older servers) carries the request out, and the probe is
    deleted again; who answers 501 (Swift) does not offer it.
    """

    def __init__(self, honoured: bool | None = None) -> None:
        self.honoured = honoured
        self._lock = anyio.Lock()

    async def ask(self, store: ObjectStore, folder: str, request_payer: str = "") -> bool:
        """Whether they are honoured; a bucket that lets us write nothing in ``folder`` is believed to."""
        async with self._lock:
            if self.honoured is None:
                self.honoured = await self._probe(
                    store, f"{folder}probe-{secrets.token_hex(8)}", request_payer
                )
        return self.honoured

    async def _probe(self, store: ObjectStore, key: str, request_payer: str) -> bool:
        md5 = hashlib.md5(b"", usedforsecurity=False).digest()
        try:
            options = PutOptions(if_match=_NOBODY, request_payer=request_payer)
            await store.put(key, b"", options, md5=md5)
        except (PreconditionFailedError, ObjectNotFoundError, AccessDeniedError):
            return True
        except StoreError as error:
            if error.code not in _NOT_OFFERED:
                raise
            return False
        await store.delete_many([DeleteItem(key)])
        return False


class CorruptDocument(Exception):  # noqa: N818 - an answer of the document, not a failure of the request
    """The document is there and cannot be read; ``etag`` is of what was found."""

    def __init__(self, reason: str, etag: str) -> None:
        super().__init__(reason)
        self.etag = etag


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A document as it was read, shards and all.

    Attributes:
        entries: raw, by key.
        etag: of the document, empty where there is none.
        modified: seconds since the epoch, by the endpoint's clock.
        size: bytes of the document and its shards as stored.
        head: the document itself.
        requests: how many it took; 1 for one without shards.
        unchanged: the endpoint said that what was known still holds.
    """

    entries: dict[str, Any]
    etag: str = ""
    modified: float = 0.0
    size: int = 0
    head: Head = field(default_factory=Head)
    requests: int = 1
    unchanged: bool = False


class CatalogDocument:
    """One document.

    Args:
        store: of the bucket.
        key: of the document.
        folder: where its shards and probes go, and those of no other document; it ends in ``/``.
        conditions: shared by everything that writes to the endpoint.
        acl: a canned ACL for what is written, or empty.
        request_payer: ``requester`` where the requester pays for a write.

    Attributes:
        acl: see above; what is written replaces an object, and its ACL with it.
    """

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        folder: str,
        conditions: ConditionalWrites,
        acl: str = "",
        request_payer: str = "",
    ) -> None:
        self.key = key
        self.store = store
        self.conditions = conditions
        self._folder = folder
        self.acl = self._asked_acl = acl
        self._payer = request_payer
        self._known: Snapshot | None = None
        self._shards: dict[str, Shard] = {}
        self._leftovers = OrphanedShards(store, key, folder)

    async def read(self) -> Snapshot:
        """Read it; a repeat costs one conditional request where nothing has changed.

        Raises:
            ObjectNotFoundError: there is none.
            CorruptDocument: it cannot be read.
            StoreError: it could not be fetched.
        """
        gone = ""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._read()
            except _ShardGoneError as error:
                # Somebody replaced the document meanwhile; or it is the same one, and the shard is lost.
                if error.etag == gone or attempt == _ATTEMPTS:
                    raise CorruptDocument(str(error), error.etag) from None
                gone = error.etag
        raise AssertionError("unreachable")

    async def _read(self) -> Snapshot:
        known = self._known
        try:
            body, facts = await self.store.get(self.key, if_none_match=known.etag if known else "")
        except NotModifiedError:
            if known is None:
                raise
            return replace(known, unchanged=True, requests=1)
        try:
            head = await to_thread.run_sync(document.read_head, body)
            shards = await self._load(head.shards, facts.etag)
        except CorruptError as error:
            raise CorruptDocument(str(error), facts.etag) from error
        entries: dict[str, Any] = {}
        for shard in shards.values():
            entries.update(shard.entries)
        # What stands beside the shards was added later, by a tool that does not know of them.
        entries.update(head.entries)
        size = len(body) + sum(shard.stored for shard in shards.values())
        self._shards = shards
        self._known = Snapshot(
            entries, facts.etag, facts.last_modified, size, head, requests=1 + len(head.shards)
        )
        return self._known

    async def _load(self, refs: tuple[ShardRef, ...], etag: str) -> dict[str, Shard]:
        """The shards by key; one that was read before cannot have changed."""
        loaded: dict[str, Shard] = {}

        async def load(ref: ShardRef) -> None:
            if ref.key not in self._shards:
                try:
                    body, _ = await self.store.get(ref.key)
                except ObjectNotFoundError:
                    raise _ShardGoneError(f"its shard {ref.key} is missing", etag) from None
                loaded[ref.key] = await to_thread.run_sync(document.read_shard, body)
            else:
                loaded[ref.key] = self._shards[ref.key]

        await for_each(refs, load, _AT_ONCE)
        return loaded

    async def replace(
        self, found: Snapshot, entries: Mapping[str, Any], *, changed: bool = True, sweep: bool = False
    ) -> int:
        """Put ``entries`` in the place of what was found; ``found.etag`` may be empty: there is nothing.

        Args:
            found: what is to be replaced, and nothing else.
            entries: raw, by key.
            changed: False where these are its entries already: then nothing is written but to sweep.
            sweep: look for shards that were left behind, also where there are no others.

        Returns:
            How many shards that were left behind have been deleted.

        Raises:
            PreconditionFailedError, ObjectNotFoundError: something else is there by now.
            StoreError: it could not be written, or that is not known.
        """
        old = {ref.key for ref in found.head.shards}
        seen = await self._leftovers.seen(at_once=sweep) if sweep or old else {}
        if not changed and not seen.keys() - old:
            return 0
        body, refs, fresh = await self._prepared(found, entries, changed=changed)
        try:
            await self._put(body, found.etag, gzip=found.head.gzip and not refs)
        except (PreconditionFailedError, ObjectNotFoundError):
            await self._drop(fresh)
            raise
        await self._drop(set(found.head.shards) - set(refs))
        if not self.conditions.honoured:
            return 0
        return await self._leftovers.drop(seen, old | {ref.key for ref in refs})

    async def _prepared(
        self, found: Snapshot, entries: Mapping[str, Any], *, changed: bool
    ) -> tuple[bytes, tuple[ShardRef, ...], tuple[ShardRef, ...]]:
        """The document to put, its shards, and those of them that were stored for it."""
        most = int(document.LARGEST_PLAIN * (0.8 if found.head.count else 1))
        size = self._estimate(found, entries)
        if size <= most:
            write = partial(document.written, entries, gzip=found.head.gzip)
            body = await to_thread.run_sync(write)
            size = len(body)
            if size <= most:
                # Every swap makes another document: whoever read an older one loses the race for the next.
                blanks = 0 if changed else 1 + secrets.randbelow(_MOST_BLANKS)
                return (await to_thread.run_sync(partial(write, blanks=blanks)) if blanks else body), (), ()
        count = found.head.count or document.shard_count(size)
        if document.shard_count(size) not in (count // 2, count, count * 2):
            count = document.shard_count(size)
        refs, fresh = await self._write_shards(found, entries, count)
        return document.head_document(refs, count, secrets.token_hex(8)), refs, fresh

    def _estimate(self, found: Snapshot, entries: Mapping[str, Any]) -> int:
        """Bytes of the entries, by those of the shards that were found: writing them to count takes long."""
        plain = sum(self._shards[ref.key].plain for ref in found.head.shards if ref.key in self._shards)
        return plain * len(entries) // max(1, len(found.entries))

    async def _write_shards(
        self, found: Snapshot, entries: Mapping[str, Any], count: int
    ) -> tuple[tuple[ShardRef, ...], tuple[ShardRef, ...]]:
        """Write what differs; all shards, and those that are new."""
        parts: dict[int, dict[str, Any]] = {}
        for key, value in entries.items():
            parts.setdefault(document.shard_of(key, count), {})[key] = value
        old = {ref.number: ref for ref in found.head.shards} if found.head.count == count else {}
        kept = [
            ref
            for number, ref in old.items()
            if number in parts and ref.key in self._shards and self._shards[ref.key].entries == parts[number]
        ]
        fresh: list[ShardRef] = []

        async def write(number: int) -> None:
            key = shard_key(self._folder, number, secrets.token_hex(8))
            body = await to_thread.run_sync(document.written_shard, parts[number])
            options = self._options(gzip=True)
            await self.store.put(key, body, options, md5=_md5(body))
            fresh.append(ShardRef(number, key, len(parts[number])))

        await for_each(parts.keys() - {ref.number for ref in kept}, write, _AT_ONCE)
        return (*kept, *fresh), tuple(fresh)

    def _options(self, *, gzip: bool) -> PutOptions:
        return PutOptions(
            content_type="application/json",
            content_encoding="gzip" if gzip else "",
            acl=self.acl,
            request_payer=self._payer,
        )

    async def _put(self, body: bytes, etag: str, *, gzip: bool) -> None:
        options = self._options(gzip=gzip)
        if await self.conditions.ask(self.store, self._folder, self._payer):
            options = replace(options, if_match=etag, if_none_match=not etag)
        await self.store.put(self.key, body, options, md5=_md5(body))

    async def _drop(self, refs: set[ShardRef] | tuple[ShardRef, ...]) -> None:
        """Delete shards that nothing names; what is left over only takes room."""
        if refs:
            try:
                await self.store.delete_many([DeleteItem(ref.key) for ref in refs])
            except StoreError:
                return

    async def keep_acl(self) -> bool:
        """Write with the ACL that the document has, unless another was asked for.

        An overwrite does not keep it: a manifest that everyone could read would be private from then on.

        Returns:
            Whether that ACL is known; it is not where the right to ask is missing, or where the endpoint does
            not offer the question.
        """
        if self._asked_acl:
            return True
        self.acl = ""
        try:
            self.acl = await self.store.acl(self.key)
        except ObjectNotFoundError:
            return True  # there is none to be kept
        except StoreError as error:
            if error.retryable:
                raise
            return False
        return True

    async def set_aside(self) -> str:
        """Copy what is there to ``KEY.corrupt-TIME``, and tell where; the copy is made by the endpoint."""
        moment = datetime.fromtimestamp(time.time(), UTC)
        aside = f"{self.key}{ASIDE}{moment:%Y%m%dT%H%M%S}.{moment.microsecond:06d}Z"
        await self.store.copy(self.key, aside)
        return aside


class _ShardGoneError(Exception):
    """A shard that the document names is not there."""

    def __init__(self, reason: str, etag: str) -> None:
        super().__init__(reason)
        self.etag = etag


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
