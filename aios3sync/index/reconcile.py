"""Reconcile: merge the index with a listing in key order, and repair the differences; in constant memory.

A row whose key the listing has passed without showing it belongs to an object that does not exist any more. A
listing that is not sorted is sorted on disk first, and one that breaks off proves nothing about the keys that
it has not reached. Rows that syncs or events wrote while the listing ran are newer than it, and stay.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import anyio
from anyio.abc import ObjectReceiveStream
from anyio.streams.memory import MemoryObjectSendStream

from aios3sync._dataclass import asdict, dataclass, field
from aios3sync.concurrency import raise_first_error
from aios3sync.core.entries import TargetEntry
from aios3sync.core.keys import Location
from aios3sync.core.merge import BatchJoin
from aios3sync.core.tool_files import without_tool_files
from aios3sync.index.backfill import IndexProgress, IndexSink, row_of_entry
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.index.rows import Applied, Change, ObjectRow, Removal, Upsert
from aios3sync.index.staleness import covered_marks, listed_state
from aios3sync.listing.pages import ASCENDING
from aios3sync.listing.parallel import ListPlan
from aios3sync.listing.sorted import SeenOrder, send_sorted
from aios3sync.store.protocol import ObjectStore

__all__ = ("ReconcileReport", "run_reconcile")

_SCAN: Final = 2000
_BATCH: Final = 2000
_MOST_KEYS: Final = 100
"""Keys that a report names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReport:
    """The result of a reconcile.

    Attributes:
        target: ``s3://bucket/prefix``.
        listed: objects of the listing.
        missing: objects without a row.
        extra: rows without an object.
        stale: rows with another size, ETag, time or storage class than the listing.
        repaired: rows that were written or deleted; 0 where no repair was requested.
        newer: differences that were left, because the row was written while the listing ran.
        keys: the first differences: ``missing``, ``extra`` or ``stale``, and the key.
        elapsed_s: seconds.
    """

    target: str
    listed: int
    missing: int
    extra: int
    stale: int
    repaired: int
    newer: int
    keys: tuple[tuple[str, str], ...]
    elapsed_s: float

    @property
    def differences(self) -> int:
        """The number of differences."""
        return self.missing + self.extra + self.stale

    @property
    def exit_code(self) -> int:
        """The exit code of the command line: 6, as of ``verify``, where differences are left."""
        return 6 if self.differences > self.repaired + self.newer else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the document of ``--json``."""
        return {"command": "index reconcile", **asdict(self), "exit_code": self.exit_code}


@dataclass(slots=True)
class _Differences:
    """The differences so far, and the changes that wait to be written."""

    observed: float
    listed: int = 0
    kinds: dict[str, int] = field(default_factory=lambda: {"missing": 0, "extra": 0, "stale": 0})
    keys: list[tuple[str, str]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def add(self, kind: str, change: Change) -> None:
        """Add one difference."""
        self.kinds[kind] += 1
        self.changes.append(change)
        if len(self.keys) < _MOST_KEYS:
            self.keys.append((kind, change.key))

    def compare(self, entry: TargetEntry | None, row: ObjectRow | None) -> None:
        """Compare both sides of one key, and add what differs."""
        self.listed += entry is not None
        if entry is None and row is not None:
            self.add("extra", Removal(row.key, self.observed))
        elif entry is not None and (row is None or _differs(entry, row)):
            self.add("missing" if row is None else "stale", Upsert(row_of_entry(entry), self.observed))


def _differs(entry: TargetEntry, row: ObjectRow) -> bool:
    """Whether known facts differ; times are compared in whole seconds, which every endpoint reports."""
    return (
        entry.size != row.size
        or bool(entry.etag and row.etag and entry.etag != row.etag)
        or bool(entry.storage_class and row.storage_class and entry.storage_class != row.storage_class)
        or bool(row.last_modified and int(entry.last_modified) != int(row.last_modified))
    )


async def run_reconcile(
    backend: IndexBackend, store: ObjectStore, location: Location, on_event: IndexSink, *, repair: bool
) -> ReconcileReport:
    """See :meth:`aios3sync.index.object_index.ObjectIndex.reconcile`."""
    began = time.monotonic()
    differences = _Differences(time.time())
    settled = await covered_marks(backend, location)
    marker = await _marker(store, location.prefix)
    applied = Applied()
    send, receive = anyio.create_memory_object_stream[list[TargetEntry]](4)
    with raise_first_error():
        # The streams end after the tasks: a listing that failed must not look like one that ended.
        async with send, receive, anyio.create_task_group() as tasks:
            tasks.start_soon(_list, store, location.prefix, marker, send)
            async for _ in _joined(backend, location, receive, differences):
                if repair and len(differences.changes) >= _BATCH:
                    applied = applied.plus(await _repair(backend, location.bucket, differences))
                on_event(IndexProgress("list", differences.listed, applied.inserted + applied.updated))
    if repair:
        applied = applied.plus(await _repair(backend, location.bucket, differences))
        await backend.save_state({**dict.fromkeys(settled), **listed_state(location, differences.observed)})
    return _report(location, differences, applied, time.monotonic() - began)


def _report(
    location: Location, differences: _Differences, applied: Applied, elapsed: float
) -> ReconcileReport:
    repaired = applied.inserted + applied.updated + applied.deleted + applied.unchanged
    return ReconcileReport(
        target=str(location),
        listed=differences.listed,
        repaired=repaired,
        newer=applied.ignored,
        keys=tuple(differences.keys),
        elapsed_s=round(elapsed, 3),
        **differences.kinds,
    )


async def _repair(backend: IndexBackend, bucket: str, differences: _Differences) -> Applied:
    changes, differences.changes = differences.changes, []
    return await backend.apply(bucket, changes) if changes else Applied()


async def _joined(
    backend: IndexBackend,
    location: Location,
    receive: ObjectReceiveStream[list[TargetEntry]],
    out: _Differences,
) -> AsyncIterator[None]:
    """Compare both sides; yields after each batch of keys."""
    join = BatchJoin("listing", "index")
    after = ""
    while not join.finished:
        while (needs_input := join.needs_input()) is not None:
            batch: Sequence[Any]
            if needs_input == 0:
                batch = await _next(receive)
            else:
                batch = await backend.scan(location.bucket, location.prefix, after, _SCAN)
                after = batch[-1].key if batch else after
            if batch:
                join.feed(needs_input, batch)
            else:
                join.end(needs_input)
        for entry, row in join.rows():
            out.compare(entry, row)
        yield


async def _next(receive: ObjectReceiveStream[list[TargetEntry]]) -> list[TargetEntry]:
    """Return the next page with entries; empty at the end."""
    try:
        while not (page := await receive.receive()):
            pass
    except anyio.EndOfStream:
        return []
    return page


async def _marker(store: ObjectStore, prefix: str) -> list[TargetEntry]:
    """Return the object whose key is the prefix itself, which a listing relative to the prefix leaves out."""
    if not prefix:
        return []
    page = await store.list_page(prefix, max_keys=1)
    return [entry for entry in page.entries if entry.key == prefix]


async def _list(
    store: ObjectStore,
    prefix: str,
    marker: list[TargetEntry],
    out: MemoryObjectSendStream[list[TargetEntry]],
) -> None:
    """Send the listing in key order, with full keys; an error ends the task group before the join ends."""
    known = ASCENDING if store.capabilities.sorted_listing else ""
    plan = ListPlan(byte_order=store.capabilities.sorted_listing)
    send, receive = anyio.create_memory_object_stream[list[TargetEntry]](1)

    async def listing() -> None:
        async with send:
            await send_sorted(store, prefix, known, SeenOrder(), plan, send)

    async with anyio.create_task_group() as tasks, receive:
        tasks.start_soon(listing)
        if marker:
            await out.send(marker)
        async for page in receive:
            full = [entry._replace(key=prefix + entry.key) for entry in page] if prefix else page
            await out.send(without_tool_files(full))
    # Closed only after a complete listing: the join takes the end of the stream as the end of the keys.
    await out.aclose()
