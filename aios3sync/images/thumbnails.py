"""Makes thumbnails of the images that a sync uploads, and removes those of images that it deletes.

It listens to the outcomes of a run and never holds it up or fails it: what is to be done goes into a list on
disk at once, and threads of its own work on it. Whatever is left when a run breaks off, the next one does.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import md5
from typing import Any, Final

import anyio
from anyio import to_thread

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
"""Requests in a row that fail, after which the rest waits for the next run."""
_EXTENSION: Final = ".webp"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThumbnailPlan:
    """What to make, and of what.

    Attributes:
        side: pixels of the square that thumbnails fit into.
        open_store: opens the store of the bucket.
        locate: tells where the file of a key is.
        prefix: of the sync's target; the keys of its outcomes are relative to it.
        below: what the keys of thumbnails begin with; their size and the full key of the image follow.
        put: what uploads send beside the body, such as an ACL or encryption.
        pending: path of the list of what is to be done, empty for none that lasts.
        record: told what became of images and of thumbnails, which are objects of the bucket as well.
        warn: told in one line of what a person should know.
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
        """The key of the thumbnail of an image."""
        return f"{thumbnails_below(self.side, self.prefix, self.below)}{key}{_EXTENSION}"


@dataclass(slots=True)
class ThumbnailReport:
    """What was done.

    Attributes:
        made, removed, there: thumbnails; the last ones were found to be there already.
        unscalable: images that none can be made of.
        left: what the next run does.
        first: what the first of the unscalable images suffers from.
    """

    made: int = 0
    removed: int = 0
    there: int = 0
    unscalable: int = 0
    left: int = 0
    first: str = ""

    def warnings(self) -> list[str]:
        """Lines for a person."""
        lines = []
        if self.unscalable:
            images = "1 image has" if self.unscalable == 1 else f"{self.unscalable:,} images have"
            lines.append(f"{images} no thumbnail, the first: {self.first}")
        if self.left:
            lines.append(f"thumbnails left for the next run with --thumbnails: {self.left:,}")
        return lines


@asynccontextmanager
async def making_thumbnails(plan: ThumbnailPlan, stop: Stop | None = None) -> AsyncIterator[Thumbnails]:
    """Make thumbnails while the block lasts, and at its end those that are left.

    Args:
        plan: what to make.
        stop: leaves the rest to the next run when it asks.
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
                listening.start_soon(thumbnails.leave_on, stop)
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
    """A sink of outcomes; see :func:`making_thumbnails`.

    Attributes:
        report: what was done so far.
    """

    plan: ThumbnailPlan
    pending: PendingThumbnails
    report: ThumbnailReport = field(default_factory=ThumbnailReport)
    _wake: anyio.Event = field(default_factory=anyio.Event)
    _leaving: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _ended: bool = False
    _told: bool = False
    _failures: int = 0
    _threads: anyio.CapacityLimiter = field(default_factory=partial(anyio.CapacityLimiter, _WORKERS))

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Note what the images of a batch need; nothing is made here."""
        tasks = [task for outcome in batch if (task := _task(outcome)) is not None]
        if tasks:
            try:
                await to_thread.run_sync(self.pending.add, tasks)
            except PendingError as error:
                self._tell(f"{error}; {len(tasks)} thumbnails or more are not made")
            self._wake.set()

    def finish(self) -> None:
        """No more outcomes will come."""
        self._ended = True
        self._wake.set()

    async def leave_on(self, stop: Stop) -> None:
        """Stop at once when ``stop`` asks; the next run does what is left."""
        await stop.wait()
        self._leaving.cancel()

    async def work(self) -> None:
        """Do what is to be done until :meth:`finish` was called and nothing is left. Run it as a task."""
        try:
            await self._work()
        except PendingError as error:
            self.plan.warn(f"{error}; no more thumbnails are made")
        except Exception as error:  # noqa: BLE001 - thumbnails fail nothing
            failure = Failure.unforeseen("", "thumbnail", error)
            self.plan.warn(f"{failure.error}; no more thumbnails are made")

    async def _work(self) -> None:
        at = 0
        with self._leaving:
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
                if task.todo is Todo.MAKE_MISSING and (there := await _head(store, key)) is not None:
                    self.report.there += 1
                    done.append(task)
                    changes += self._pair(task, _row_there(key, there))
                    return
                stat = (task.size, task.mtime_ns)
                made = await to_thread.run_sync(scaled, plan.locate(task.key), plan.side, stat)
                put = await _put(store, key, made, plan.put)
            except (ImageChangedError, FileNotFoundError):
                done.append(task)  # the run that uploads the new file, or misses the old one, sees to it
            except (UnscalableError, OSError) as error:
                await self._unscalable(task, error, done, changes)
            except StoreError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - of this image alone: thumbnails fail nothing
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
            self._tell(f"{error}; the index does not know the thumbnails")

    def _pair(
        self, task: Task, thumbnail: ObjectRow, size: tuple[int | None, int | None] = (None, None)
    ) -> list[Change]:
        """The image as it is now, and its thumbnail."""
        full, (width, height) = self.plan.prefix + task.key, size
        image = ObjectRow(full, task.stored, task.etag, width=width, height=height, thumbnail=thumbnail.key)
        now = time.time()
        return [Upsert(image, now), Upsert(thumbnail, now)]

    async def _unscalable(
        self, task: Task, error: Exception, done: list[Task], changes: list[Change]
    ) -> None:
        """Count it, and remove the thumbnail of the image that was there before."""
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
        self._tell(f"a thumbnail waits for the next run: {error}")

    def _tell(self, message: str) -> None:
        """Tell once what goes wrong: it may go wrong for each of a million images."""
        if not self._told:
            self.plan.warn(message)
        self._told = True


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


def _row_there(key: str, head: HeadResult) -> ObjectRow:
    return ObjectRow(
        key,
        head.size,
        head.etag,
        head.content_type,
        head.storage_class,
        metadata=dict(head.metadata),
        last_modified=head.last_modified,
    )
