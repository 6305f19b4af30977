"""One document of the catalog in one bucket: read as a whole, and replaced as a whole by compare-and-swap.

Invariants:

* Shards are immutable: each is stored under a new random key, and never overwritten. So a shard that was read
  once can be cached for ever.
* A shard is stored before the document that names it. So a change is one swap of one object, and a reader of
  the new document finds all of its shards.
* A shard may be deleted in three cases only:

  1. We stored it for a swap that was refused (412 or 404), and the document read after that does not name it.
     An earlier attempt of ours may have been applied and its response lost; a writer that replaced that
     document keeps the shards that it did not change. Where such a writer has dropped them, none can name
     them again: a new document names shards of the one that it replaces, and new ones.
  2. The document that we have replaced named it, and ours does not: the swap had the ETag of that document as
     its condition, so no other document names it. A reader that is still loading the old document finds a
     shard missing, and reads the document again.
  3. It existed before our swap, our document does not name it, and it is old enough: an earlier writer has
     orphaned it. See :mod:`aios3sync.catalog.orphans`.

  After a swap of unknown outcome (a timeout) no shard is deleted: the document may name it. Where the
  endpoint has no conditional writes, another writer may still overwrite our document with one derived from
  the old one. Then case 3 does not apply, and case 2 is safe for one writer at a time only, which a warning
  says.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import anyio
from anyio import to_thread

from aios3sync._dataclass import dataclass, field, replace
from aios3sync.catalog import format as catalog_format
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
from aios3sync.store.protocol import CopySource, DeleteItem, ObjectStore, PutOptions

__all__ = ("CatalogDocument", "ConditionalWrites", "CorruptDocument", "Snapshot")

_AT_ONCE: Final = 8
_ATTEMPTS: Final = 30
"""How often a document is read that other writers replace meanwhile."""
_NOT_OFFERED: Final = frozenset({"NotImplemented", "501"})
_MOST_BLANKS: Final = 4096
_UNKNOWN_ETAG: Final = "0" * 32


class ConditionalWrites:
    """Whether an endpoint honours conditional writes; found out once, with a request that writes nothing.

    The request overwrites a missing object under an ETag. AWS, SeaweedFS, Ceph, MinIO and moto refuse it (404
    or 412). Endpoints that ignore If-Match (rclone, JuiceFS, older servers) store the object, which is then
    deleted; those that do not support it respond with 501 (Swift).
    """

    def __init__(self, honoured: bool | None = None) -> None:
        self.honoured = honoured
        self._lock = anyio.Lock()

    async def ask(self, store: ObjectStore, folder: str, request_payer: str = "") -> bool:
        """Return whether they are honoured; assumed where the bucket denies writing into ``folder``."""
        async with self._lock:
            if self.honoured is None:
                self.honoured = await self._probe(
                    store, f"{folder}probe-{secrets.token_hex(8)}", request_payer
                )
        return self.honoured

    async def _probe(self, store: ObjectStore, key: str, request_payer: str) -> bool:
        md5 = hashlib.md5(b"", usedforsecurity=False).digest()
        try:
            options = PutOptions(if_match=_UNKNOWN_ETAG, request_payer=request_payer)
            await store.put(key, b"", options, md5=md5)
        except (PreconditionFailedError, ObjectNotFoundError, AccessDeniedError):
            return True
        except StoreError as error:
            if error.code not in _NOT_OFFERED:
                raise
            return False
        await store.delete_many([DeleteItem(key)])
        return False


class CorruptDocument(Exception):  # noqa: N818 - the state of a document, not the failure of a request
    """Raised when the document exists and cannot be parsed; ``etag`` is that of the object."""

    def __init__(self, reason: str, etag: str) -> None:
        super().__init__(reason)
        self.etag = etag


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A document with its shards, as it was read.

    Attributes:
        entries: raw, by key.
        etag: of the document, empty where there is none.
        modified: seconds since the epoch, by the clock of the endpoint.
        size: bytes of the document and its shards as stored.
        head: the document without its shards.
        requests: how many were needed; 1 for a document without shards.
        unchanged: the endpoint responded with 304.
    """

    entries: dict[str, Any]
    etag: str = ""
    modified: float = 0.0
    size: int = 0
    head: Head = field(default_factory=Head)
    requests: int = 1
    unchanged: bool = False


class CatalogDocument:
    """One document of the catalog.

    Args:
        store: of the bucket.
        key: of the document.
        folder: of its shards and probes, used by no other document; it ends in ``/``.
        conditions: shared by all writers to the endpoint.
        acl: a canned ACL for written objects, or empty.
        request_payer: ``requester`` where the requester pays for a write.

    Attributes:
        acl: see above; a write replaces an object together with its ACL.
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
        self.acl = self._requested_acl = acl
        self._payer = request_payer
        self._known: Snapshot | None = None
        self._shards: dict[str, Shard] = {}
        self._orphans = OrphanedShards(store, key, folder)

    async def read(self) -> Snapshot:
        """Read the document; a repetition takes one conditional request where nothing has changed.

        Raises:
            ObjectNotFoundError: there is no document.
            CorruptDocument: it cannot be parsed, or a shard is missing.
            StoreError: it could not be fetched.
        """
        incomplete = ""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._read()
            except _ShardGoneError as error:
                # Another writer has replaced the document and deleted its shards: read the new one. If it is
                # still the same document, the shard is lost.
                if error.etag == incomplete or attempt == _ATTEMPTS:
                    raise CorruptDocument(str(error), error.etag) from None
                incomplete = error.etag
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
            head = await to_thread.run_sync(catalog_format.read_head, body)
            shards = await self._load(head.shards, facts.etag)
        except CorruptError as error:
            raise CorruptDocument(str(error), facts.etag) from error
        entries: dict[str, Any] = {}
        for shard in shards.values():
            entries.update(shard.entries)
        # Entries next to the shards were added later, by a tool that does not know about shards.
        entries.update(head.entries)
        size = len(body) + sum(shard.stored for shard in shards.values())
        self._shards = shards
        self._known = Snapshot(
            entries, facts.etag, facts.last_modified, size, head, requests=1 + len(head.shards)
        )
        return self._known

    async def _load(self, refs: tuple[ShardRef, ...], etag: str) -> dict[str, Shard]:
        """Return the shards by key; a shard that was read before is not fetched again."""
        loaded: dict[str, Shard] = {}

        async def load(ref: ShardRef) -> None:
            if ref.key not in self._shards:
                try:
                    body, _ = await self.store.get(ref.key)
                except ObjectNotFoundError:
                    raise _ShardGoneError(f"its shard {ref.key} is missing", etag) from None
                loaded[ref.key] = await to_thread.run_sync(catalog_format.read_shard, body)
            else:
                loaded[ref.key] = self._shards[ref.key]

        await for_each(refs, load, _AT_ONCE)
        return loaded

    async def replace(
        self, found: Snapshot, entries: Mapping[str, Any], *, changed: bool = True, sweep: bool = False
    ) -> int:
        """Replace the document that was found; an empty ``found.etag`` means that there was none.

        Args:
            found: the document to replace; a different one is not replaced.
            entries: raw, by key.
            changed: False where the document has these entries already: then it is written only to sweep.
            sweep: look for orphaned shards, also where the document has no shards.

        Returns:
            How many orphaned shards have been deleted.

        Raises:
            PreconditionFailedError, ObjectNotFoundError: another writer has replaced the document.
            StoreError: the write failed, or its outcome is unknown.
        """
        old = {ref.key for ref in found.head.shards}
        # Listed before the swap: see case 3 of the module.
        seen = await self._orphans.seen(at_once=sweep) if sweep or old else {}
        if not changed and not seen.keys() - old:
            return 0
        body, refs, fresh = await self._prepared(found, entries, changed=changed)
        try:
            await self._put(body, found.etag, gzip=found.head.gzip and not refs)
        except (PreconditionFailedError, ObjectNotFoundError):
            # Any other error leaves the shards that we stored, as the document may have been written.
            await self._drop_unnamed(fresh)
            raise
        # Only the replaced document named these (case 2).
        await self._drop(set(found.head.shards) - set(refs))
        if not self.conditions.honoured:
            return 0
        # What existed before the swap and is in neither document is orphaned (case 3).
        return await self._orphans.drop(seen, old | {ref.key for ref in refs})

    async def _prepared(
        self, found: Snapshot, entries: Mapping[str, Any], *, changed: bool
    ) -> tuple[bytes, tuple[ShardRef, ...], tuple[ShardRef, ...]]:
        """Return the body of the document, its shards, and those of them that were stored for it now."""
        most = int(catalog_format.LARGEST_PLAIN * (0.8 if found.head.count else 1))
        size = self._estimate(found, entries)
        if size <= most:
            write = partial(catalog_format.written, entries, gzip=found.head.gzip)
            body = await to_thread.run_sync(write)
            size = len(body)
            if size <= most:
                # A sweep has to change the ETag: writers that read the old document must lose the next swap.
                blanks = 0 if changed else 1 + secrets.randbelow(_MOST_BLANKS)
                return (await to_thread.run_sync(partial(write, blanks=blanks)) if blanks else body), (), ()
        count = found.head.count or catalog_format.shard_count(size)
        if catalog_format.shard_count(size) not in (count // 2, count, count * 2):
            count = catalog_format.shard_count(size)
        refs, fresh = await self._write_shards(found, entries, count)
        return catalog_format.head_document(refs, count, secrets.token_hex(8)), refs, fresh

    def _estimate(self, found: Snapshot, entries: Mapping[str, Any]) -> int:
        """Estimate the bytes of the entries from those of the shards found; serializing them takes long."""
        plain = sum(self._shards[ref.key].plain for ref in found.head.shards if ref.key in self._shards)
        return plain * len(entries) // max(1, len(found.entries))

    async def _write_shards(
        self, found: Snapshot, entries: Mapping[str, Any], count: int
    ) -> tuple[tuple[ShardRef, ...], tuple[ShardRef, ...]]:
        """Store the shards that differ; return all shards of the document, and those that are new."""
        parts: dict[int, dict[str, Any]] = {}
        for key, value in entries.items():
            parts.setdefault(catalog_format.shard_of(key, count), {})[key] = value
        old = {ref.number: ref for ref in found.head.shards} if found.head.count == count else {}
        kept = [
            ref
            for number, ref in old.items()
            if number in parts and ref.key in self._shards and self._shards[ref.key].entries == parts[number]
        ]
        fresh: list[ShardRef] = []

        async def write(number: int) -> None:
            key = shard_key(self._folder, number, secrets.token_hex(8))
            body = await to_thread.run_sync(catalog_format.written_shard, parts[number])
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

    async def _drop_unnamed(self, refs: tuple[ShardRef, ...]) -> None:
        """Delete the shards of a refused swap (case 1), but those that the present document names."""
        if not refs:
            return
        try:
            body, _ = await self.store.get(self.key)
            head = await to_thread.run_sync(catalog_format.read_head, body)
            named = {ref.key for ref in head.shards}
        except ObjectNotFoundError:
            named = set()
        except (StoreError, CorruptError):
            return  # not known, so they stay: once no document names them, case 3 deletes them
        await self._drop({ref for ref in refs if ref.key not in named})

    async def _drop(self, refs: set[ShardRef] | tuple[ShardRef, ...]) -> None:
        """Delete shards that no document names; a failure is ignored, as they only take up space."""
        if refs:
            try:
                await self.store.delete_many([DeleteItem(ref.key) for ref in refs])
            except StoreError:
                return

    async def keep_acl(self) -> bool:
        """Write with the ACL that the document has, unless another one was requested.

        An overwrite does not keep the ACL: a public manifest would be private from then on.

        Returns:
            Whether that ACL is known; it is not where reading ACLs is denied or not supported.
        """
        if self._requested_acl:
            return True
        self.acl = ""
        try:
            self.acl = await self.store.acl(self.key)
        except ObjectNotFoundError:
            return True  # there is no document, so no ACL to keep
        except StoreError as error:
            if error.retryable:
                raise
            return False
        return True

    async def set_aside(self) -> str:
        """Copy the object to ``KEY.corrupt-TIME`` on the server side, and return the key of the copy."""
        moment = datetime.fromtimestamp(time.time(), UTC)
        aside = f"{self.key}{ASIDE}{moment:%Y%m%dT%H%M%S}.{moment.microsecond:06d}Z"
        await self.store.copy(CopySource(self.key), aside)
        return aside


class _ShardGoneError(Exception):
    """Raised when a shard that the document names does not exist."""

    def __init__(self, reason: str, etag: str) -> None:
        super().__init__(reason)
        self.etag = etag


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
