"""Answers from an object index instead of a listing, where the index says that it lacks nothing. Reads only.

An index knows what was told to it: by backfills, by syncs that feed it, by notifications. Nothing here can
see whether somebody else changed the bucket since; so the numbers are as of the index, and say so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aios3sync.core.entries import TargetEntry
from aios3sync.core.keys import Location
from aios3sync.stats.collect import Count, Page, count
from aios3sync.stats.model import BucketStats, Number
from aios3sync.stats.service import StatsRequest, answer

if TYPE_CHECKING:
    from aios3sync.index.object_index import ObjectIndex

__all__ = ("answer_with_index",)

_ROWS: Final = 5000
_UNFINISHED: Final = "backfill:"
_NOTE: Final = "as the object index knows it; S3 was not listed"


async def answer_with_index(question: StatsRequest, index: ObjectIndex) -> BucketStats:
    """The statistics without a listing; with one, and a warning, where the index cannot be relied on.

    Raises:
        StoreError: the bucket could not be listed, where that was necessary.
    """
    from aios3sync.index.rows import ObjectIndexError

    try:
        reason = await _gap(index, Location(question.store.bucket, question.prefix))
        if not reason:
            return await _counted(question, index)
    except ObjectIndexError as error:
        reason = str(error)
    found = await answer(question)
    return replace(found, warnings=(*found.warnings, f"the index was not used: {reason}"))


async def _gap(index: ObjectIndex, location: Location) -> str:
    """Why the index may lack something of a location; empty where it does not, as far as it knows."""
    if location.bucket not in await index.buckets():
        return f"it holds nothing of the bucket {location.bucket}; fill it with backfill"
    for behind in await index.stale():
        if _overlap(behind.target, str(location)):
            return f"it is behind at {behind.target} ({behind.reason}); reconcile it"
    for item in await index.backend.state(_UNFINISHED):
        if _overlap(item.removeprefix(_UNFINISHED), str(location)):
            return f"the backfill of {item.removeprefix(_UNFINISHED)} has not ended"
    if await index.listed(str(location)) is None:
        return f"nothing has shown it all of {location}; fill it with backfill"
    return ""


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


async def _counted(question: StatsRequest, index: ObjectIndex) -> BucketStats:
    options, began = question.options, question.now()
    what = Count(
        store=question.store,
        prefix=question.prefix,
        mode=options.mode,
        every=options.every,
        gzip=options.gzip,
        now=began,
        workers=question.workers,
        extras=False,
    )
    stats = (await count(what, _pages(question, index))).stats
    return replace(
        stats,
        origin="index",
        objects=Number(stats.objects.value, "estimated", note=_NOTE),
        stored_bytes=Number(stats.stored_bytes.value, "estimated", note=_NOTE),
        requests={name: number for name, number in question.requests.items() if number},
        elapsed_s=max(question.now() - began, 0.0),
    )


async def _pages(question: StatsRequest, index: ObjectIndex) -> AsyncIterator[Page]:
    bucket, after = question.store.bucket, ""
    while rows := await index.backend.scan(bucket, question.prefix, after, _ROWS):
        after = rows[-1].key
        yield [
            TargetEntry(row.key, row.size, row.etag, row.last_modified or row.uploaded_at, row.storage_class)
            for row in rows
        ]
