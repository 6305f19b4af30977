"""Computes statistics from an object index instead of a listing, where the index is complete. Reads only.

An index is filled by backfills, by syncs that feed it and by notifications. Nothing here can see whether
the bucket has changed since; so the numbers are as of the index, and say so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from aios3sync._dataclass import replace
from aios3sync.core.entries import TargetEntry
from aios3sync.core.keys import Location
from aios3sync.stats.collect import CountRequest, Page, count_objects
from aios3sync.stats.model import BucketStats, Number
from aios3sync.stats.service import StatsRequest, compute

if TYPE_CHECKING:
    from aios3sync.index.object_index import ObjectIndex

__all__ = ("compute_with_index",)

_ROWS: Final = 5000
_UNFINISHED: Final = "backfill:"
_NOTE: Final = "as the object index knows it; S3 was not listed"


async def compute_with_index(request: StatsRequest, index: ObjectIndex) -> BucketStats:
    """Return the statistics without a listing; with one, and a warning, where the index is incomplete.

    Raises:
        StoreError: the bucket could not be listed, where that was necessary.
    """
    from aios3sync.index.rows import ObjectIndexError

    try:
        reason = await _gap(index, Location(request.store.bucket, request.prefix))
        if not reason:
            return await _count_index(request, index)
    except ObjectIndexError as error:
        reason = str(error)
    stats = await compute(request)
    return replace(stats, warnings=(*stats.warnings, f"the index was not used: {reason}"))


async def _gap(index: ObjectIndex, location: Location) -> str:
    """Return why the index may be incomplete below a location; empty where it is complete."""
    if location.bucket not in await index.buckets():
        return f"it holds nothing of the bucket {location.bucket}; fill it with backfill"
    for stale in await index.stale():
        if _overlap(stale.target, str(location)):
            return f"it is stale at {stale.target} ({stale.reason}); reconcile it"
    for item in await index.backend.state(_UNFINISHED):
        if _overlap(item.removeprefix(_UNFINISHED), str(location)):
            return f"the backfill of {item.removeprefix(_UNFINISHED)} has not ended"
    if await index.listed(str(location)) is None:
        return f"nothing has shown it all of {location}; fill it with backfill"
    return ""


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


async def _count_index(request: StatsRequest, index: ObjectIndex) -> BucketStats:
    options, began = request.options, request.now()
    counted = CountRequest(
        store=request.store,
        prefix=request.prefix,
        mode=options.mode,
        every=options.every,
        gzip=options.gzip,
        now=began,
        workers=request.workers,
        hidden_storage=False,
    )
    stats = (await count_objects(counted, _pages(request, index))).stats
    return replace(
        stats,
        origin="index",
        objects=Number(stats.objects.value, "estimated", note=_NOTE),
        stored_bytes=Number(stats.stored_bytes.value, "estimated", note=_NOTE),
        requests={name: number for name, number in request.requests.items() if number},
        elapsed_s=max(request.now() - began, 0.0),
    )


async def _pages(request: StatsRequest, index: ObjectIndex) -> AsyncIterator[Page]:
    bucket, after = request.store.bucket, ""
    while rows := await index.backend.scan(bucket, request.prefix, after, _ROWS):
        after = rows[-1].key
        yield [
            TargetEntry(row.key, row.size, row.etag, row.last_modified or row.uploaded_at, row.storage_class)
            for row in rows
        ]
