"""Inventory backfill: load an S3 Inventory into the index, file by file; resumable.

An inventory shows the past, and S3 may leave out changes shortly before its creation. So its rows count as
observed when its creation began, and what syncs and events have reported since then stays. No row is deleted,
and the prefix counts as stale until a reconcile or a backfill by listing has ended
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html).
"""

from __future__ import annotations

import dataclasses
import time
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

import anyio
import orjson

from aios3sync._dataclass import asdict, dataclass, replace
from aios3sync.core.entries import TargetEntry
from aios3sync.core.keys import Location
from aios3sync.core.tool_files import without_tool_files
from aios3sync.errors import AioS3SyncError, UsageError
from aios3sync.index.backfill import BackfillReport, IndexProgress, IndexSink, row_of_entry
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.index.rows import Applied
from aios3sync.index.staleness import final_state, new_mark
from aios3sync.inventory.fetch import read_inventory
from aios3sync.inventory.manifest import Inventory, find_manifest, open_inventory
from aios3sync.store.protocol import ObjectStore

__all__ = ("InventoryReport", "run_inventory_backfill")

_ITEM: Final = "inventory:"
_HELD: Final = 50_000
"""Entries that are sorted before they are written: some 15 MB, and as many bytes again as rows."""
_BATCH: Final = 10_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)  # it inherits fields
class InventoryReport(BackfillReport):
    """The result of a backfill from an inventory.

    Attributes:
        inventory: ``s3://bucket/key`` of the manifest.
        created: when its creation began, seconds since the epoch; it does not contain later changes.
    """

    inventory: str
    created: float

    @property
    def note(self) -> str:
        """A remark for the user: the date of the inventory."""
        when = _date(self.created)
        return f"the inventory is of {when}; 'index follow' and 'index reconcile' add what came later"


@dataclass(slots=True)
class _LoadProgress:
    """The state of an inventory backfill, saved in the transactions of its rows.

    Attributes:
        inventory, created: identify the inventory.
        file: the number of the first file that is not done.
        listed: objects of the files before it.
    """

    inventory: str
    created: float
    file: int = 0
    listed: int = 0

    def text(self) -> str:
        return orjson.dumps(asdict(self)).decode()


async def run_inventory_backfill(
    backend: IndexBackend,
    store: ObjectStore,
    path: str,
    location: Location,
    on_event: IndexSink,
    *,
    fresh: bool,
) -> InventoryReport:
    """Load the inventory of a bucket.

    Args:
        backend: the index.
        store: of the bucket that holds the inventory.
        path: of its ``manifest.json`` in that bucket, or the prefix of its configuration for the newest one.
        location: whose objects are loaded.
        on_event: receives progress.
        fresh: begin again instead of resuming.

    Raises:
        InventoryError: the inventory cannot be read, or is damaged. Rows that were loaded before stay.
        UsageError: the inventory is of another bucket.
    """
    began = time.monotonic()
    key = await find_manifest(store, path)
    inventory = await open_inventory(store, key)
    where = f"s3://{store.bucket}/{key}"
    if inventory.bucket != location.bucket:
        raise UsageError(f"inventory: {where} is of the bucket {inventory.bucket!r}, not {location.bucket!r}")
    progress = await _progress(backend, location, where, inventory, fresh=fresh)
    resumed = progress.file > 0
    reason = f"filled from the inventory of {_date(inventory.created)}, later changes are not in it"
    # One mark for each target: a newer inventory replaces the mark of an older one.
    mark = replace(new_mark(location, inventory.created), number=f"inventory {location}")
    await backend.save_state(final_state(mark, reason))
    await backend.begin_loading()
    try:
        applied = await _load(backend, store, inventory, location, progress, on_event)
    finally:
        with anyio.CancelScope(shield=True):
            on_event(IndexProgress("build", progress.listed))
            await backend.end_loading()
    await backend.save_state({_ITEM + str(location): None})
    return InventoryReport(
        target=str(location),
        listed=progress.listed,
        resumed=resumed,
        elapsed_s=round(time.monotonic() - began, 3),
        inventory=where,
        created=inventory.created,
        **applied._asdict(),
    )


async def _progress(
    backend: IndexBackend, location: Location, where: str, inventory: Inventory, *, fresh: bool
) -> _LoadProgress:
    """Return the state of an earlier attempt with the same inventory, else that of the beginning."""
    item = _ITEM + str(location)
    saved_text = (await backend.state(item)).get(item)
    if saved_text is not None and not fresh:
        found = _LoadProgress(**orjson.loads(saved_text))
        if (found.inventory, found.created) == (where, inventory.created):
            return found
    return _LoadProgress(where, inventory.created)


async def _load(
    backend: IndexBackend,
    store: ObjectStore,
    inventory: Inventory,
    location: Location,
    progress: _LoadProgress,
    on_event: IndexSink,
) -> Applied:
    applied, listed = Applied(), 0
    files, item = len(inventory.files), _ITEM + str(location)
    held: list[TargetEntry] = []

    async def flush() -> None:
        """Write the held entries in key order, which takes a database half the time; files are unsorted."""
        nonlocal applied
        held.sort()
        rows = list(map(row_of_entry, held))
        held.clear()
        for start in range(0, len(rows), _BATCH):
            state = {item: progress.text()} if start + _BATCH >= len(rows) else None
            some = rows[start : start + _BATCH]
            applied = applied.plus(await backend.load(location.bucket, some, inventory.created, state))
        written = applied.inserted + applied.updated
        on_event(IndexProgress("list", progress.listed + listed, written, files, progress.file))

    reading = read_inventory(store, inventory, prefix=location.prefix, first=progress.file)
    try:
        async with aclosing(reading) as batches:
            async for number, everything in batches:
                if number > progress.file:  # the files before this one are complete once this is written
                    await flush()
                    progress.file, progress.listed, listed = number, progress.listed + listed, 0
                batch = without_tool_files(everything)
                listed += len(batch)
                held += batch
                if len(held) >= _HELD:
                    await flush()
    except AioS3SyncError:
        await flush()  # the entries that were read are valid, whatever follows them
        raise
    await flush()
    progress.listed += listed
    return applied


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
