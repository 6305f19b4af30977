"""Lists a prefix into the index, in parts at the same time; goes on where it broke off; drops what is gone.

Every row that the listing shows is marked with the time at which the backfill began, in the same transaction
as the part that it completes. When all parts are done, the rows of the prefix that were last observed before
that are not in the bucket any more. What syncs and events tell meanwhile was observed later, so it stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

import anyio
import orjson
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from aios3sync.concurrency import raise_first_error
from aios3sync.core.entries import TargetEntry
from aios3sync.core.keys import Location
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.index.rows import Applied, ObjectRow
from aios3sync.index.staleness import covered, listed
from aios3sync.listing.parallel import ListPlan, list_in_parts
from aios3sync.listing.resumable import PartsPlan, ResumableLevel, read_parts
from aios3sync.store.protocol import ObjectStore

__all__ = (
    "BackfillReport",
    "IndexProgress",
    "IndexSink",
    "discard_progress",
    "row_of_entry",
    "run_backfill",
    "sweep_all",
)


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How far the work has come.

    Attributes:
        phase: ``list``, ``sweep`` or ``build``.
        listed: objects of the listing that were taken in so far, those of an earlier attempt included.
        written: rows that this changed.
        parts, parts_done: of the listing; 0 while they are not known.
    """

    phase: str
    listed: int = 0
    written: int = 0
    parts: int = 0
    parts_done: int = 0


class IndexSink(Protocol):
    """Takes progress; called on the event loop, must not block."""

    def __call__(self, event: IndexProgress, /) -> object:
        """Take one event."""
        ...


def discard_progress(event: IndexProgress, /) -> None:
    """The sink for callers who do not listen."""


_ITEM: Final = "backfill:"
_PART: Final = "backfilled:"
_BATCH: Final = 5000
_AT_ONCE: Final = 16
"""Parts that are listed at the same time; each may ask for more pages at once where it is large."""
_WORKERS: Final = 4
_PAGES: Final = 32
_SWEEP: Final = 5000
_RESUMABLE: Final = 86_400.0
"""Seconds after which an attempt that broke off is too old to be gone on with: what it listed may be past."""
_REMEMBERED: Final = 15 * 86_400.0
"""Seconds after which no event can come any more that is older than a removal: a queue keeps 14 days."""

Message = tuple[list[TargetEntry], str | None]
"""Entries, full keys; or the part that has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillReport:
    """What a backfill did.

    Attributes:
        target: ``s3://bucket/prefix``.
        listed: objects that were taken in, those of an earlier attempt included.
        inserted, updated, unchanged: rows, of this attempt.
        deleted: rows of objects that are not there any more.
        ignored: objects of which something newer is known.
        resumed: whether it went on where an earlier one broke off.
        elapsed_s: seconds of this attempt.
    """

    target: str
    listed: int
    inserted: int
    updated: int
    unchanged: int
    deleted: int
    ignored: int
    resumed: bool
    elapsed_s: float

    @property
    def exit_code(self) -> int:
        """Of the command line."""
        return 0

    @property
    def note(self) -> str:
        """What a person should know of it, or empty."""
        return ""

    def as_dict(self) -> dict[str, Any]:
        """The document of ``--json``."""
        return {"command": "index backfill", **asdict(self)}


@dataclass(slots=True)
class _Progress:
    """The state of a backfill, as it is saved beside the rows."""

    observed: float
    listed: int = 0
    planned: bool = False
    plan: PartsPlan = field(default_factory=lambda: PartsPlan([]))

    def text(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def of(cls, text: str) -> _Progress:
        values = orjson.loads(text)
        plan = values.pop("plan")
        levels = [ResumableLevel(**level) for level in plan["waiting"]]
        return cls(**values, plan=PartsPlan(levels, plan["parts"]))


def row_of_entry(entry: TargetEntry) -> ObjectRow:
    """The row of an object as a listing with full keys shows it."""
    key, size, etag, modified, storage = entry
    return ObjectRow(key, size, etag, "", storage, None, None, None, "", 0.0, modified)


async def run_backfill(
    backend: IndexBackend, store: ObjectStore, location: Location, on_event: IndexSink, *, fresh: bool
) -> BackfillReport:
    """See :meth:`aios3sync.index.object_index.ObjectIndex.backfill`."""
    began = time.monotonic()
    item = f"{_ITEM}{location}"
    done_items = f"{_PART}{location} "
    state = await backend.state(item)
    now = time.time()
    progress = _Progress.of(state[item]) if item in state else None
    resumed = progress is not None and not fresh and 0 <= now - progress.observed < _RESUMABLE
    if progress is None or not resumed:
        old: dict[str, str | None] = dict.fromkeys(await backend.state(done_items))
        await backend.save_state(old)
        progress = _Progress(now, plan=PartsPlan([ResumableLevel(location.prefix)]))
    healed = await covered(backend, location)
    await backend.begin_loading()
    work = _Backfill(backend, store, location, progress, on_event)
    await work.save({})
    try:
        await work.list_all(await backend.state(done_items), done_items)
        deleted = await sweep_all(backend, location, progress.observed, work.tell)
    finally:
        with anyio.CancelScope(shield=True):
            work.tell("build")
            await backend.end_loading()
    done = await backend.state(done_items)
    ended: dict[str, str | None] = {item: None, **dict.fromkeys(done), **dict.fromkeys(healed)}
    await backend.save_state(ended | listed(location, progress.observed))
    await backend.forget_removals(time.time() - _REMEMBERED)
    facts = work.applied._asdict()
    facts["deleted"] = deleted
    return BackfillReport(
        target=str(location),
        listed=progress.listed,
        resumed=resumed,
        elapsed_s=round(time.monotonic() - began, 3),
        **facts,
    )


async def sweep_all(
    backend: IndexBackend, location: Location, before: float, tell: Callable[[str, int], None]
) -> int:
    """Drop all rows of a prefix that were last observed before a moment."""
    deleted = 0
    after: str | None = ""
    while after is not None:
        some, after = await backend.sweep(location.bucket, location.prefix, before, after, _SWEEP)
        deleted += some
        tell("sweep", deleted)
    return deleted


class _Backfill:
    """One attempt: parts are listed side by side, one task writes."""

    def __init__(
        self,
        backend: IndexBackend,
        store: ObjectStore,
        location: Location,
        progress: _Progress,
        on_event: IndexSink,
    ) -> None:
        self.applied = Applied()
        self._backend = backend
        self._store = store
        self._location = location
        self._progress = progress
        self._on_event = on_event
        self._parts = self._parts_done = 0

    def tell(self, phase: str, deleted: int = 0) -> None:
        """Tell how far it has come."""
        written = self.applied.inserted + self.applied.updated + deleted
        event = IndexProgress(phase, self._progress.listed, written, self._parts, self._parts_done)
        self._on_event(event)

    async def save(self, more: dict[str, str | None]) -> None:
        """Save how far it has come."""
        await self._backend.save_state({f"{_ITEM}{self._location}": self._progress.text(), **more})

    async def list_all(self, done: dict[str, str], done_items: str) -> None:
        """List what is not done yet."""
        progress = self._progress
        if not progress.planned:
            await self._plan()
        waiting = [part for part in progress.plan.parts if done_items + part not in done]
        self._parts, self._parts_done = len(progress.plan.parts), len(progress.plan.parts) - len(waiting)
        send, receive = anyio.create_memory_object_stream[Message](_PAGES)
        queue = iter(waiting)
        with raise_first_error():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write_parts, receive, done_items)
                async with send:
                    for _ in range(min(_AT_ONCE, len(waiting))):
                        tasks.start_soon(self._list_parts, queue, send.clone())

    async def _plan(self) -> None:
        """Read the first levels; what stands directly in them is written on the way."""
        held: list[TargetEntry] = []

        async def take(entries: list[TargetEntry]) -> None:
            held.extend(entries)
            if len(held) >= _BATCH:
                await flush()

        async def flush(state: dict[str, str | None] | None = None) -> None:
            entries = held.copy()
            held.clear()
            await self._load(entries, state or {})

        async def save(plan: PartsPlan) -> None:
            if len(held) >= _BATCH or not plan.waiting or plan.waiting[0].after == "":
                await flush({f"{_ITEM}{self._location}": self._progress.text()})

        await read_parts(self._store, self._progress.plan, take, save)
        self._progress.planned = True
        await flush({f"{_ITEM}{self._location}": self._progress.text()})

    async def _list_parts(self, queue: Any, send: MemoryObjectSendStream[Message]) -> None:
        """List one part after the other, until there are no more."""
        async with send:
            for part in queue:
                await self._list_part(part, send)

    async def _list_part(self, part: str, send: MemoryObjectSendStream[Message]) -> None:
        pages, receive = anyio.create_memory_object_stream[list[TargetEntry]](2)

        async def listing() -> None:
            async with pages:
                await list_in_parts(self._store, part, pages, ListPlan(workers=_WORKERS))

        with raise_first_error():
            async with anyio.create_task_group() as tasks, receive:
                tasks.start_soon(listing)
                async for page in receive:
                    await send.send((page, None))
        # Only a listing that has ended is done; an error has ended this before.
        await send.send(([], part))

    async def _write_parts(self, receive: MemoryObjectReceiveStream[Message], done_items: str) -> None:
        """Write what comes, in large batches; a part is done in the transaction of its last rows."""
        entries: list[TargetEntry] = []
        ended: list[str] = []
        async with receive:
            async for page, part in receive:
                entries += page
                if part is not None:
                    ended.append(part)
                if len(entries) >= _BATCH:
                    await self._write(entries, ended, done_items)
                    entries, ended = [], []
        await self._write(entries, ended, done_items)

    async def _write(self, entries: list[TargetEntry], ended: Sequence[str], done_items: str) -> None:
        self._parts_done += len(ended)
        await self._load(entries, {done_items + part: "" for part in ended})

    async def _load(self, entries: list[TargetEntry], state: dict[str, str | None]) -> None:
        if not (entries or state):
            return
        self._progress.listed += len(entries)
        rows = list(map(row_of_entry, entries))
        bucket, observed = self._location.bucket, self._progress.observed
        self.applied = self.applied.plus(await self._backend.load(bucket, rows, observed, state))
        self.tell("list")
