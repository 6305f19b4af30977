"""Backfill: list a location into the index, several prefixes at once, resumable; then delete the stale rows.

Every listed row gets the time at which the backfill began as its ``observed``, and the transaction of the
last rows of a prefix also records that the prefix is done. When all prefixes are done, rows of the location
that were last observed before that time belong to objects that do not exist any more, and are deleted. What
syncs and events report meanwhile was observed later, so it stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import anyio
import orjson
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from aios3sync._dataclass import asdict, dataclass, field
from aios3sync.concurrency import raise_first_error
from aios3sync.core.entries import TargetEntry
from aios3sync.core.keys import Location
from aios3sync.core.tool_files import is_tool_file, without_tool_files
from aios3sync.errors import UsageError
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.index.rows import Applied, ObjectRow
from aios3sync.index.staleness import covered_marks, listed_state
from aios3sync.listing.parallel import ListPlan, list_in_parallel
from aios3sync.listing.resumable import PrefixPlan, ResumableLevel, find_prefixes
from aios3sync.store.protocol import ObjectStore

__all__ = (
    "BackfillReport",
    "IndexProgress",
    "IndexSink",
    "check_indexed",
    "discard_progress",
    "row_of_entry",
    "run_backfill",
)


_ITEM: Final = "backfill:"
_DONE_PREFIX: Final = "backfilled:"
_BATCH: Final = 5000
_PREFIXES_AT_ONCE: Final = 16
"""Prefixes that are listed at the same time; a large one sends several requests at once."""
_WORKERS: Final = 4
"""Requests at once within one prefix."""
_PAGES: Final = 32
"""Pages that may wait for the database."""
_SWEEP: Final = 5000
"""Rows of one transaction of the sweep."""
_RESUMABLE: Final = 86_400.0
"""Seconds after which an attempt that broke off is not resumed: what it listed may have changed."""
_REMEMBERED: Final = 15 * 86_400.0
"""Seconds after which no event older than a removal can arrive: a queue keeps messages for 14 days."""

ListedPage = tuple[list[TargetEntry], str | None]
"""Entries with full keys, and the prefix that has ended with them, if any."""


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """The progress of a backfill or reconcile.

    Attributes:
        phase: ``list``, ``sweep`` or ``build``.
        listed: objects that were listed so far, those of an earlier attempt included.
        written: rows that were changed.
        parts, parts_done: of the listing; 0 while they are not known.
    """

    phase: str
    listed: int = 0
    written: int = 0
    parts: int = 0
    parts_done: int = 0


class IndexSink(Protocol):
    """Receives progress; called on the event loop, must not block."""

    def __call__(self, event: IndexProgress, /) -> object:
        """Receive one event."""
        ...


def discard_progress(event: IndexProgress, /) -> None:
    """Discard an event; the default sink."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillReport:
    """The result of a backfill.

    Attributes:
        target: ``s3://bucket/prefix``.
        listed: objects that were listed, those of an earlier attempt included. Files of tools, those below
            ``.aios3sync/`` and ``.deltaglider/``, are in no index.
        inserted, updated, unchanged: rows of this attempt.
        deleted: rows of objects that do not exist any more.
        ignored: objects of which the index knows a newer state.
        resumed: whether it continued an earlier attempt.
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
        """The exit code of the command line."""
        return 0

    @property
    def note(self) -> str:
        """A remark for the user, or empty."""
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Return the document of ``--json``."""
        return {"command": "index backfill", **asdict(self)}


@dataclass(slots=True)
class _Progress:
    """The state of a backfill, saved in the transactions of its rows."""

    observed: float
    listed: int = 0
    planned: bool = False
    plan: PrefixPlan = field(default_factory=lambda: PrefixPlan([]))

    def text(self) -> str:
        document = asdict(self)
        document["plan"]["parts"] = document["plan"].pop("prefixes")  # as earlier versions wrote it
        return orjson.dumps(document).decode()

    @classmethod
    def of(cls, text: str) -> _Progress:
        values = orjson.loads(text)
        plan = values.pop("plan")
        levels = [ResumableLevel(**level) for level in plan["waiting"]]
        return cls(**values, plan=PrefixPlan(levels, plan["parts"]))


def check_indexed(location: Location) -> None:
    """Look at what is to be listed into an index.

    Raises:
        UsageError: it is a folder of tools, which is in no index, as it is in no statistics.
    """
    if is_tool_file(location.prefix):
        raise UsageError(f"{location} holds files of tools, which are in no index")


def row_of_entry(entry: TargetEntry) -> ObjectRow:
    """Return the row of an object from an entry of a listing with full keys."""
    key, size, etag, modified, storage, _, _ = entry
    return ObjectRow(key, size, etag, "", storage, None, None, None, "", 0.0, modified)


async def run_backfill(
    backend: IndexBackend, store: ObjectStore, location: Location, on_event: IndexSink, *, fresh: bool
) -> BackfillReport:
    """See :meth:`aios3sync.index.object_index.ObjectIndex.backfill`."""
    began = time.monotonic()
    item = f"{_ITEM}{location}"
    done_items = f"{_DONE_PREFIX}{location} "
    state = await backend.state(item)
    now = time.time()
    progress = _Progress.of(state[item]) if item in state else None
    resumed = progress is not None and not fresh and 0 <= now - progress.observed < _RESUMABLE
    if progress is None or not resumed:
        old: dict[str, str | None] = dict.fromkeys(await backend.state(done_items))
        await backend.save_state(old)
        progress = _Progress(now, plan=PrefixPlan([ResumableLevel(location.prefix)]))
    # Read before the listing begins: a sync that goes wrong meanwhile leaves a mark that is not settled.
    settled = await covered_marks(backend, location)
    await backend.begin_loading()
    attempt = _Backfill(backend, store, location, progress, on_event)
    await attempt.save()
    try:
        await attempt.list_all(await backend.state(done_items), done_items)
        deleted = await _sweep(backend, location, progress.observed, attempt.report_progress)
    finally:
        with anyio.CancelScope(shield=True):
            attempt.report_progress("build")
            await backend.end_loading()
    done = await backend.state(done_items)
    ended: dict[str, str | None] = {item: None, **dict.fromkeys(done), **dict.fromkeys(settled)}
    await backend.save_state(ended | listed_state(location, progress.observed))
    await backend.forget_removals(time.time() - _REMEMBERED)
    facts = attempt.applied._asdict()
    facts["deleted"] = deleted
    return BackfillReport(
        target=str(location),
        listed=progress.listed,
        resumed=resumed,
        elapsed_s=round(time.monotonic() - began, 3),
        **facts,
    )


async def _sweep(
    backend: IndexBackend,
    location: Location,
    before: float,
    report_progress: Callable[[str, int], None],
) -> int:
    """Delete the rows of a prefix that were last observed before a moment; return how many."""
    deleted = 0
    after: str | None = ""
    while after is not None:
        some, after = await backend.sweep(location.bucket, location.prefix, before, after, _SWEEP)
        deleted += some
        report_progress("sweep", deleted)
    return deleted


class _Backfill:
    """One attempt: several tasks list prefixes, one task writes."""

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
        self._prefixes = self._prefixes_done = 0

    def report_progress(self, phase: str, deleted: int = 0) -> None:
        """Send the progress to the caller."""
        written = self.applied.inserted + self.applied.updated + deleted
        event = IndexProgress(phase, self._progress.listed, written, self._prefixes, self._prefixes_done)
        self._on_event(event)

    async def save(self) -> None:
        """Save the state, so that a later attempt can continue from here."""
        await self._backend.save_state({f"{_ITEM}{self._location}": self._progress.text()})

    async def list_all(self, done: dict[str, str], done_items: str) -> None:
        """List the prefixes that are not done yet."""
        progress = self._progress
        if not progress.planned:
            await self._plan()
        waiting = [prefix for prefix in progress.plan.prefixes if done_items + prefix not in done]
        self._prefixes = len(progress.plan.prefixes)
        self._prefixes_done = self._prefixes - len(waiting)
        send, receive = anyio.create_memory_object_stream[ListedPage](_PAGES)
        queue = iter(waiting)
        with raise_first_error():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write_prefixes, receive, done_items)
                async with send:
                    for _ in range(min(_PREFIXES_AT_ONCE, len(waiting))):
                        tasks.start_soon(self._list_prefixes, queue, send.clone())

    async def _plan(self) -> None:
        """List the first levels, and write the objects that are directly in them."""
        held: list[TargetEntry] = []

        async def take(entries: list[TargetEntry]) -> None:
            held.extend(entries)
            if len(held) >= _BATCH:
                await flush()

        async def flush(state: dict[str, str | None] | None = None) -> None:
            entries = held.copy()
            held.clear()
            await self._load(entries, state or {})

        async def save(plan: PrefixPlan) -> None:
            if len(held) >= _BATCH or not plan.waiting or plan.waiting[0].after == "":
                await flush({f"{_ITEM}{self._location}": self._progress.text()})

        await find_prefixes(self._store, self._progress.plan, take, save)
        self._progress.planned = True
        await flush({f"{_ITEM}{self._location}": self._progress.text()})

    async def _list_prefixes(self, queue: Any, send: MemoryObjectSendStream[ListedPage]) -> None:
        """List one prefix after the other until the queue is empty."""
        async with send:
            for prefix in queue:
                await self._list_prefix(prefix, send)

    async def _list_prefix(self, prefix: str, send: MemoryObjectSendStream[ListedPage]) -> None:
        pages, receive = anyio.create_memory_object_stream[list[TargetEntry]](2)

        async def listing() -> None:
            async with pages:
                await list_in_parallel(self._store, prefix, pages, ListPlan(workers=_WORKERS))

        with raise_first_error():
            async with anyio.create_task_group() as tasks, receive:
                tasks.start_soon(listing)
                async for page in receive:
                    await send.send((page, None))
        # The listing is complete here: an error would have left this function.
        await send.send(([], prefix))

    async def _write_prefixes(self, receive: MemoryObjectReceiveStream[ListedPage], done_items: str) -> None:
        """Write pages in large batches; a prefix is done in the transaction of its last rows."""
        entries: list[TargetEntry] = []
        ended: list[str] = []
        async with receive:
            async for page, prefix in receive:
                entries += page
                if prefix is not None:
                    ended.append(prefix)
                if len(entries) >= _BATCH:
                    await self._write(entries, ended, done_items)
                    entries, ended = [], []
        await self._write(entries, ended, done_items)

    async def _write(self, entries: list[TargetEntry], ended: Sequence[str], done_items: str) -> None:
        self._prefixes_done += len(ended)
        await self._load(entries, {done_items + prefix: "" for prefix in ended})

    async def _load(self, entries: list[TargetEntry], state: dict[str, str | None]) -> None:
        if not (entries or state):
            return
        entries = without_tool_files(entries)
        self._progress.listed += len(entries)
        rows = list(map(row_of_entry, entries))
        bucket, observed = self._location.bucket, self._progress.observed
        self.applied = self.applied.plus(await self._backend.load(bucket, rows, observed, state))
        self.report_progress("list")
