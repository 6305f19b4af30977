"""Make thumbnails of the images that a sync uploads, and remove those of the images that it deletes.

It receives the outcomes of a run, and neither delays it nor makes it fail: tasks are added to a queue on disk
at once, and worker threads process them. The next run does the tasks that an interrupted run has left.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from hashlib import md5
from typing import Any, Final

import anyio
from anyio import to_thread

from aios3sync._dataclass import dataclass, field
from aios3sync.concurrency import Stop
from aios3sync.core.keys import THUMBNAIL_PREFIX, thumbnails_below
from aios3sync.errors import ObjectNotFoundError, StoreError
from aios3sync.events import Adopted, Deleted, Uploaded
from aios3sync.images.pending import PendingError, PendingThumbnails, Task, Todo
from aios3sync.images.scale import ImageChangedError, Scaled, UnscalableError, scaled
from aios3sync.images.size import is_image_name
from aios3sync.index.rows import Change, ObjectIndexError, ObjectRow, Removal, Upsert
from aios3sync.local.read import Place
from aios3sync.report import Failure
from aios3sync.store.protocol import DeleteItem, HeadResult, ObjectStore, PutOptions, PutResult

__all__ = (
    "ThumbnailPlan",
    "ThumbnailReport",
    "Thumbnails",
    "making_thumbnails",
)


_PAGE: Final = 64
_WORKERS: Final = 4
_REMOVALS: Final = 1000
_MOST_FAILURES: Final = 10
"""Failed requests in a row, after which the rest is left to the next run."""
_EXTENSION: Final = ".webp"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThumbnailPlan:
    """The thumbnails of one sync.

    Attributes:
        side: pixels of the square that thumbnails fit into.
        open_store: opens the store of the bucket.
        locate: returns the path of the file of a key.
        prefix: of the target of the sync; the keys of its outcomes are relative to it.
        below: the beginning of the keys of thumbnails; their size and the full key of the image follow.
        put: the options of uploads, such as an ACL or encryption.
        pending: path of the queue, empty for a queue in memory.
        record: receives the changes of images and of thumbnails, which are objects of the bucket as well.
        warn: called with warnings of one line.
    """

    side: int
    open_store: Callable[[], Awaitable[ObjectStore]]
    locate: Callable[[str], Place]
    prefix: str = ""
    below: str = THUMBNAIL_PREFIX
    put: PutOptions = field(default_factory=PutOptions)
    pending: str = ""
    record: Callable[[Sequence[Change]], Awaitable[object]] | None = None
    warn: Callable[[str], object] = lambda _: None

    def key_of(self, key: str) -> str:
        """Return the key of the thumbnail of an image."""
        return f"{thumbnails_below(self.side, self.prefix, self.below)}{key}{_EXTENSION}"


@dataclass(slots=True)
class ThumbnailReport:
    """The counts of the thumbnails of one sync.

    Attributes:
        made, removed: thumbnails.
        existing: thumbnails that existed already.
        unscalable: images of which no thumbnail can be made.
        left: tasks that are left to the next run.
        first: the first of the unscalable images, and why.
    """

    made: int = 0
    removed: int = 0
    existing: int = 0
    unscalable: int = 0
    left: int = 0
    first: str = ""

    def warnings(self) -> list[str]:
        """Return the warnings of the run, one line each."""
        lines = []
        if self.unscalable:
            images = "1 image has" if self.unscalable == 1 else f"{self.unscalable:,} images have"
            lines.append(f"{images} no thumbnail, the first: {self.first}")
        if self.left:
            lines.append(f"thumbnails left for the next run with --thumbnails: {self.left:,}")
        return lines


@asynccontextmanager
async def making_thumbnails(plan: ThumbnailPlan, stop: Stop | None = None) -> AsyncIterator[Thumbnails]:
    """Make thumbnails while the block lasts, and finish the queue at its end.

    Args:
        plan: the thumbnails of the sync.
        stop: when it is set, the rest is left to the next run.
    """
    try:
        pending = await to_thread.run_sync(PendingThumbnails, plan.pending)
    except PendingError as error:
        plan.warn(f"{error}; thumbnails that are not made in this run are not made in the next one either")
        pending = await to_thread.run_sync(PendingThumbnails, "")
    thumbnails = Thumbnails(plan, pending)
    try:
        async with anyio.create_task_group() as listening:
            if stop is not None:
                listening.start_soon(thumbnails.stop_on, stop)
            async with anyio.create_task_group() as working:
                working.start_soon(thumbnails.work)
                yield thumbnails
                thumbnails.finish()
            listening.cancel_scope.cancel()
        thumbnails.report.left = await to_thread.run_sync(pending.count)
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(pending.close)


@dataclass(slots=True)
class Thumbnails:
    """The sink of outcomes and the workers; see :func:`making_thumbnails`.

    Attributes:
        report: counts so far.
    """

    plan: ThumbnailPlan
    pending: PendingThumbnails
    report: ThumbnailReport = field(default_factory=ThumbnailReport)
    _wake: anyio.Event = field(default_factory=anyio.Event)
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _ended: bool = False
    _warned: bool = False
    _failures: int = 0
    _threads: anyio.CapacityLimiter = field(default_factory=partial(anyio.CapacityLimiter, _WORKERS))

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Add the tasks of a batch of outcomes to the queue."""
        tasks = [task for outcome in batch if (task := _task(outcome)) is not None]
        if tasks:
            try:
                await to_thread.run_sync(self.pending.add, tasks)
            except PendingError as error:
                self._warn_once(f"{error}; {len(tasks)} thumbnails or more are not made")
            self._wake.set()

    def finish(self) -> None:
        """Let the workers end when the queue is empty: the sync has no more outcomes."""
        self._ended = True
        self._wake.set()

    async def stop_on(self, stop: Stop) -> None:
        """Cancel the workers when ``stop`` is set; the next run does the rest."""
        await stop.wait()
        self._scope.cancel()

    async def work(self) -> None:
        """Process the queue until it is empty and :meth:`finish` was called. Run it as a task."""
        try:
            await self._work()
        except PendingError as error:
            self.plan.warn(f"{error}; no more thumbnails are made")
        except Exception as error:  # noqa: BLE001 - thumbnails fail no sync
            failure = Failure.unforeseen("", "thumbnail", error)
            self.plan.warn(f"{failure.error}; no more thumbnails are made")

    async def _work(self) -> None:
        at = 0
        with self._scope:
            while self._failures < _MOST_FAILURES:
                tasks = await to_thread.run_sync(self.pending.after, at, _PAGE)
                if tasks:
                    await self._do(tasks)
                    at = tasks[-1].number
                elif self._ended:
                    return
                else:
                    await self._wake.wait()
                    self._wake = anyio.Event()

    async def _do(self, tasks: Sequence[Task]) -> None:
        done: list[Task] = []
        changes: list[Change] = []
        removals = [task for task in tasks if task.todo is Todo.REMOVE]
        try:
            async with anyio.create_task_group() as group:
                if removals:
                    group.start_soon(self._remove, removals, done, changes)
                for task in tasks:
                    if task.todo is not Todo.REMOVE:
                        group.start_soon(self._make, task, done, changes)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self.pending.done, done)
                await self._record(changes)

    async def _make(self, task: Task, done: list[Task], changes: list[Change]) -> None:
        plan = self.plan
        key = plan.key_of(task.key)
        async with self._threads:
            try:
                store = await plan.open_store()
                if task.todo is Todo.MAKE_MISSING and (head := await _head(store, key)) is not None:
                    self.report.existing += 1
                    done.append(task)
                    changes += self._pair(task, _row_of(key, head))
                    return
                stat = (task.size, task.mtime_ns)
                made = await to_thread.run_sync(scaled, plan.locate(task.key), plan.side, stat)
                put = await _put(store, key, made, plan.put)
            except (ImageChangedError, FileNotFoundError):
                done.append(task)  # the run that uploads the new file, or finds it deleted, has a task for it
            except (UnscalableError, OSError) as error:
                await self._unscalable(task, error, done, changes)
            except StoreError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - one image fails neither the others nor the sync
                failure = Failure.unforeseen(task.key, "thumbnail", error)
                await self._unscalable(task, UnscalableError(failure.error), done, changes)
            else:
                self._failures = 0
                self.report.made += 1
                done.append(task)
                thumbnail = ObjectRow(
                    key, len(made.content), put.etag, plan.put.content_type, uploaded_at=time.time()
                )
                changes += self._pair(task, thumbnail, (made.width, made.height))

    async def _record(self, changes: Sequence[Change]) -> None:
        if not changes or self.plan.record is None:
            return
        try:
            await self.plan.record(changes)
        except ObjectIndexError as error:
            self._warn_once(f"{error}; the index does not know the thumbnails")

    def _pair(
        self, task: Task, thumbnail: ObjectRow, size: tuple[int | None, int | None] = (None, None)
    ) -> list[Change]:
        """Return the changes of an image and of its thumbnail."""
        full, (width, height) = self.plan.prefix + task.key, size
        image = ObjectRow(full, task.stored, task.etag, width=width, height=height, thumbnail=thumbnail.key)
        now = time.time()
        return [Upsert(image, now), Upsert(thumbnail, now)]

    async def _unscalable(
        self, task: Task, error: Exception, done: list[Task], changes: list[Change]
    ) -> None:
        """Count an unscalable image, and remove the thumbnail of its former content."""
        self.report.unscalable += 1
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        self.report.first = self.report.first or f"{task.key}: {reason}"
        await self._remove([task], done, changes, counted=False)

    async def _remove(
        self, tasks: Sequence[Task], done: list[Task], changes: list[Change], *, counted: bool = True
    ) -> None:
        items = [DeleteItem(self.plan.key_of(task.key)) for task in tasks]
        try:
            store = await self.plan.open_store()
            failed = {error.key for error in await store.delete_many(items)}
        except StoreError as error:
            self._failed(error)
            return
        gone = [task for task in tasks if self.plan.key_of(task.key) not in failed]
        self.report.removed += len(gone) if counted else 0
        done += gone
        now = time.time()
        changes += [Removal(self.plan.key_of(task.key), now) for task in gone]

    def _failed(self, error: StoreError) -> None:
        self._failures += 1
        self._warn_once(f"a thumbnail waits for the next run: {error}")

    def _warn_once(self, message: str) -> None:
        """Warn of the first failure only: each of a million images may fail."""
        if not self._warned:
            self.plan.warn(message)
        self._warned = True


def _task(outcome: Any) -> Task | None:
    match outcome:
        case Uploaded(row=row) if is_image_name(row.key):
            stored = outcome.sent if row.encoding else row.size
            return Task(row.key, Todo.MAKE, row.size, row.mtime_ns, stored, row.etag)
        case Adopted(row=row, stored=target) if is_image_name(row.key):
            stored = row.size if target is None else target.size
            return Task(row.key, Todo.MAKE_MISSING, row.size, row.mtime_ns, stored, row.etag)
        case Deleted(key=key) if is_image_name(key):
            return Task(key, Todo.REMOVE)
        case _:
            return None


async def _put(store: ObjectStore, key: str, made: Scaled, options: PutOptions) -> PutResult:
    digest = md5(made.content, usedforsecurity=False).digest()
    return await store.put(key, made.content, options, md5=digest)


async def _head(store: ObjectStore, key: str) -> HeadResult | None:
    try:
        return await store.head(key)
    except ObjectNotFoundError:
        return None


def _row_of(key: str, head: HeadResult) -> ObjectRow:
    return ObjectRow(
        key,
        head.size,
        head.etag,
        head.content_type,
        head.storage_class,
        metadata=dict(head.metadata),
        last_modified=head.last_modified,
    )
