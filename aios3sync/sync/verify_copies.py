"""Compares the content of two buckets: by listings, else by metadata, else by reading both objects."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from typing import Any, Final

import anyio
from anyio import to_thread

from aios3sync import events
from aios3sync.core.checksums import ObjectChecksum
from aios3sync.core.entries import ScanBatch, TargetEntry
from aios3sync.core.etag import Proof, is_opaque_encryption, proof, same_etag
from aios3sync.core.filters import Filters
from aios3sync.core.metadata import recorded_md5
from aios3sync.core.safety import Protection
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import StoreError
from aios3sync.report import Failure
from aios3sync.store.protocol import HeadResult, ObjectStore
from aios3sync.sync.policy import useless_rules
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.sides import Sides
from aios3sync.sync.stored_checksum import head_with_checksum
from aios3sync.sync.verify_pairs import pairs_of
from aios3sync.sync.verify_report import Difference, VerifyReport

__all__ = ("verify_copies",)

_AT_ONCE: Final = 16
_RANGE: Final = 8 * 1024 * 1024


async def verify_copies(
    request: SyncRequest, resources: Resources, sides: Sides, report: VerifyReport, filters: Filters
) -> None:
    """Compare all pairs of objects, and add what differs to the report.

    Raises:
        StoreError: one of the buckets cannot be listed.
    """
    opener = resources.open_source_store
    assert opener is not None  # noqa: S101 - the sides were made with it
    stores = await opener(), await resources.open_store()
    comparison = _Comparison(request, resources, stores, report)
    slots = anyio.CapacityLimiter(_AT_ONCE)
    protection = Protection(prefixes=request.options.protected_prefixes)

    async def compare(key: str) -> None:
        try:
            await comparison.compare(key)
        finally:
            slots.release_on_behalf_of(key)

    joined = pairs_of(sides.source.walk(filters, "").stream(), sides.target.entries(), _entries)
    async with aclosing(joined) as pairs, anyio.create_task_group() as tasks:
        async for source, target in pairs:
            if source is None:
                hidden = not filters.visible(target.key)
                if not (hidden or protection.covers(target.key, target.size, tracked=False)):
                    report.add_difference(Difference(target.key, "extra", "not in the source"))
            elif target is None:
                report.add_difference(Difference(source.key, "missing", "not in the target"))
            elif not comparison.is_settled(source, target):
                await slots.acquire_on_behalf_of(source.key)
                tasks.start_soon(compare, source.key)
    if text := useless_rules(filters):
        resources.on_event(events.Warned(text))


def _entries(_: int, batch: list[Any] | ScanBatch[Any]) -> list[Any]:
    return batch.entries if isinstance(batch, ScanBatch) else batch


class _Comparison:
    """Compares pairs of objects."""

    def __init__(
        self,
        request: SyncRequest,
        resources: Resources,
        stores: tuple[ObjectStore, ObjectStore],
        report: VerifyReport,
    ) -> None:
        source = request.source_location
        self._prefixes = ("" if source is None else source.prefix, request.location.prefix)
        self._resources = resources
        self._stores = stores
        self._report = report

    def is_settled(self, source: TargetEntry, target: TargetEntry) -> bool:
        """Compare two objects by their listings; return whether that was enough."""
        if source.size != target.size:
            text = f"{source.size} bytes in the source, {target.size} in the target"
            self._report.add_difference(Difference(source.key, "size", text))
            return True
        opaque = any(store.capabilities.opaque_etags for store in self._stores)
        if proof(source.etag, opaque=opaque) is Proof.NOTHING or not same_etag(source.etag, target.etag):
            return False
        self._same()
        return True

    def _same(self) -> None:
        self._report.same += 1
        self._resources.on_event(events.Decided(1))

    async def compare(self, key: str) -> None:
        """Compare two objects of one size whose ETags do not settle it."""
        try:
            same = await self._holds_same(key)
        except StoreError as error:
            self._report.add_failure(Failure(escape_undecodable(key), "compare", str(error)))
        except Exception as error:  # noqa: BLE001 - the failure of one object does not end the run
            self._report.add_failure(Failure.unforeseen(key, "compare", error))
        else:
            if same:
                self._same()
            else:
                self._report.add_difference(Difference(key, "content", "the content differs"))

    async def _holds_same(self, key: str) -> bool:
        heads = [
            await head_with_checksum(store, prefix + key)
            for store, prefix in zip(self._stores, self._prefixes, strict=True)
        ]
        digests = [_md5_of(store, head) for store, head in zip(self._stores, heads, strict=True)]
        if all(digests):
            return digests[0] == digests[1]
        if (same := _same_checksum(*(head.checksum for head in heads))) is not None:
            return same
        for index, digest in enumerate(digests):
            if not digest:
                self._report.read += 1
                digests[index] = await self._read(index, key, heads[index])
        return digests[0] == digests[1]

    async def _read(self, index: int, key: str, head: HeadResult) -> str:
        """Return the MD5 of an object, read in ranges."""
        store, digest = self._stores[index], hashlib.md5(usedforsecurity=False)
        for start in range(0, head.size, _RANGE):
            result = await store.get(
                self._prefixes[index] + key, start=start, length=_RANGE, if_match=head.etag
            )
            await to_thread.run_sync(digest.update, result.body)
        return digest.hexdigest()


def _same_checksum(one: ObjectChecksum | None, other: ObjectChecksum | None) -> bool | None:
    """Return whether two objects of one size have the same checksum; ``None`` where that is not known.

    Equal checksums of parts prove equal bytes; different ones may be due to other part sizes.
    """
    if one is None or other is None or one.algorithm != other.algorithm or one.parts != other.parts:
        return None
    if one.digest == other.digest:
        return True
    return False if one.certain and other.certain and not one.parts else None


def _md5_of(store: ObjectStore, head: HeadResult) -> str:
    """Return the MD5 of the body if ETag or metadata prove it, else an empty text.

    The metadata of a compressed object describe its original, but stored bytes are compared here.
    """
    opaque = store.capabilities.opaque_etags or is_opaque_encryption(head.encryption)
    if proof(head.etag, opaque=opaque) is Proof.MD5:
        return head.etag.lower()
    return "" if head.content_encoding else recorded_md5(head.metadata)
