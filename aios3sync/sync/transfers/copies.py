"""Copies objects from one bucket to another: on the server where possible, else through memory, not disk.

A copy names the ETag that was listed, so that the version that was compared is copied. Bodies in memory are
bounded by the byte budget.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import md5 as md5_of
from typing import Final

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream

from aios3sync.core.actions import CopyObject
from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import Proof, is_opaque_encryption, part_count, proof, same_etag
from aios3sync.core.parts import MAX_PART_SIZE, MIN_PART_SIZE
from aios3sync.errors import IntegrityError, ObjectNotFoundError, PreconditionFailedError, StoreError
from aios3sync.events import Archived, Copied, NotDone, Outcome
from aios3sync.store.body_progress import LARGE_BODY
from aios3sync.store.protocol import GetResult, ObjectStore, PutResult
from aios3sync.sync.archives import ARCHIVED, ask_for, is_archived, outcome_of_archived
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.copy_plan import CopyPlan
from aios3sync.sync.transfers.headers import HeaderPlan
from aios3sync.sync.transfers.kept import is_refused_on_server, verified
from aios3sync.sync.transfers.large_copies import LargeCopy, check_version, copy_in_parts
from aios3sync.sync.transfers.object_version import ObjectVersion
from aios3sync.sync.transfers.part_layout import part_layout
from aios3sync.sync.transfers.unneeded import abort_unneeded
from aios3sync.sync.transfers.worker_pool import WorkerPool

__all__ = ("copy_stage", "preview_copies")

_ATTEMPTS: Final = 3
"""Versions of an object that are tried while it is replaced repeatedly."""
_LARGE_AT_ONCE: Final = 4
_QUEUED: Final = 1024
_WHOLE_SHARE: Final = 8
"""An object up to this share of the memory is sent with one request if it was uploaded with one."""
_HASHED_AT_ONCE: Final = 512 * 1024
_PART_SHARE: Final = 4
"""A part that goes through memory takes at most this share of the memory."""


async def copy_stage(
    run: Run, headers: HeaderPlan, jobs: MemoryObjectReceiveStream[list[CopyObject]]
) -> None:
    """Copy batches until the stream ends; the stream is always closed.

    Raises:
        StoreError: the session is broken.
    """
    async with jobs, anyio.create_task_group() as workers:
        pool = _CopyPool(run, headers, workers)
        async for batch in jobs:
            await run.recorder.begin()
            await run.recorder.catch_up()
            await pool.submit(batch)
        pool.close()
    await abort_unneeded(run)


async def preview_copies(
    run: Run, headers: HeaderPlan, jobs: MemoryObjectReceiveStream[list[CopyObject]]
) -> None:
    """Replace :func:`copy_stage` in a dry run: count and report every copy, make none."""
    del headers
    async with jobs:
        async for batch in jobs:
            for copy in batch:
                if is_archived(copy.source):
                    run.recorder.add(Archived(copy.source.key, copy.source.size, restoring=True))
                    continue
                row = run.copied_row(copy.source, "")
                run.recorder.add(Copied(row, copy.source.size, copy.reason))


class _CopyPool(WorkerPool[CopyObject]):
    """The workers that copy, and the objects that are queued for them."""

    def __init__(self, run: Run, headers: HeaderPlan, tasks: TaskGroup) -> None:
        super().__init__(run, tasks, most_queued=_QUEUED, refill_at=_QUEUED // 2)
        self._copier = _Copier(run, headers)

    async def handler(self) -> Callable[[CopyObject], Awaitable[None]]:
        """Return the function that copies one object."""
        return self._take

    async def _take(self, copy: CopyObject) -> None:
        run = self.run
        if run.sends_no_more:  # the queue is only drained, and counted as cancelled
            run.cancel([copy.source.key])
            return
        try:
            run.recorder.add(await self._copier.copy(copy))
        except Exception as error:  # noqa: BLE001 - Run.item, spelled out: this is once for every object
            run.recorder.add(run.outcome_of_error(copy.source.key, "copy", error))


class _Copier:
    """Copies one object after another, in the way that has worked in this run."""

    def __init__(self, run: Run, headers: HeaderPlan) -> None:
        self._run = run
        self._plan = CopyPlan(run, headers)
        self._large = anyio.CapacityLimiter(_LARGE_AT_ONCE)

    async def copy(self, copy: CopyObject) -> Outcome:
        """Copy one object; if it was replaced since it was listed, its current version.

        Raises:
            StoreError: a request failed.
        """
        source: TargetEntry | str = copy.source
        if not copy.source.etag:  # not every endpoint lists them, and every copy names one
            source = await self._run.source.entry(copy.source.key)
        for _ in range(_ATTEMPTS):
            if isinstance(source, str):
                return NotDone(copy.source.key, "vanished", "copy")
            try:
                asked = await ask_for(self._run, await self._version(source)) if is_archived(source) else None
                return asked or await self._copied(source, copy.reason)
            except (PreconditionFailedError, ObjectNotFoundError):
                now = await self._run.source.entry(source.key)
                if isinstance(now, TargetEntry) and same_etag(now.etag, source.etag):
                    raise
                source = now
            except StoreError as error:
                if error.code != ARCHIVED:
                    raise
                return await outcome_of_archived(self._run, await self._version(source))
        return NotDone(copy.source.key, "failed", "copy", "changed while it was copied", uncertain=True)

    async def _version(self, source: TargetEntry) -> ObjectVersion:
        return ObjectVersion(await self._plan.source_store(), self._plan.source_key(source.key), source)

    async def _copied(self, source: TargetEntry, reason: str) -> Copied:
        run, result = self._run, await self._stored(source)
        store, opaque = await run.resources.open_store(), run.policy.opaque_etags
        result = await verified(store, run.full_key(source.key), source, result, opaque=opaque)
        run.stored(result.encryption)
        return Copied(run.copied_row(source, result.etag), source.size, reason)

    async def _stored(self, source: TargetEntry) -> PutResult:
        """Copy on the server, or through memory where that is refused: all further objects, if it works."""
        plan, run = self._plan, self._run
        if not plan.on_server:
            return await self._through_memory(source)
        try:
            return await self._on_server(source)
        except StoreError as error:
            if not is_refused_on_server(error):
                raise
            refusal = error
        result = await self._through_memory(source)
        if plan.on_server:
            plan.on_server = False
            run.builder.warn(f"objects are copied through this machine, the endpoint refuses to: {refusal}")
        return result

    async def _on_server(self, source: TargetEntry) -> PutResult:
        plan, run = self._plan, self._run
        if source.size > run.options.copy_part_threshold:
            return await self._in_parts(source, on_server=True)
        store, key = await run.resources.open_store(), run.full_key(source.key)
        if plan.keeps_metadata:
            options = plan.asked(source.key)
            return await store.copy(plan.source_of(source), key, options, keep_metadata=True)
        reading = await plan.source_store()
        head = await reading.head(plan.source_key(source.key), version_id=source.version_id)
        options = plan.headers.for_replacement(source.key, head)
        return await store.copy(plan.source_of(source), key, options)

    async def _through_memory(self, source: TargetEntry) -> PutResult:
        run = self._run
        in_parts = part_count(source.etag) or source.size > run.resources.memory.total // _WHOLE_SHARE
        if in_parts and source.size:
            return await self._in_parts(source, on_server=False)
        window = source.size >= LARGE_BODY
        if window:  # acquired before memory, as everywhere: no deadlock
            await run.resources.window.acquire(source.size, run.next_turn())
        try:
            await run.resources.memory.acquire(source.size)
            try:
                return await self._whole(source)
            finally:
                run.resources.memory.release(source.size)
        finally:
            if window:
                run.resources.window.release(source.size)

    async def _in_parts(self, source: TargetEntry, *, on_server: bool) -> PutResult:
        """Copy one object in the parts of its source.

        Raises:
            PreconditionFailedError: it is no longer the object that was listed.
        """
        plan, run = self._plan, self._run
        async with self._large:
            reading, version = await plan.source_store(), plan.source_of(source)
            head = await reading.head(version.key, version_id=version.version_id)
            check_version(reading, version, source.size, head)
            options = await plan.options(reading, source, head)
            memory = max(run.resources.memory.total // _PART_SHARE, MIN_PART_SIZE)
            parts = await part_layout(
                reading,
                version.key,
                source,
                wanted=run.options.part_size,
                largest=MAX_PART_SIZE if on_server else memory,
            )
            writing, key = await run.resources.open_store(), run.full_key(source.key)
            copy = LargeCopy(version, reading, key, writing, options, on_server, run.next_turn())
            return await copy_in_parts(copy, parts, run.resources, run.unfinished, run.builder.warn)

    async def _whole(self, source: TargetEntry) -> PutResult:
        """Read one object and store it; its bytes must be those that its ETag says."""
        plan, run = self._plan, self._run
        reading, store = await plan.source_store(), await run.resources.open_store()
        read, digest = await _read(plan, reading, source)
        options = await plan.options(reading, source, read.head)
        return await store.put(run.full_key(source.key), read.body, options, md5=digest)


async def _read(plan: CopyPlan, store: ObjectStore, source: TargetEntry) -> tuple[GetResult, bytes]:
    """Return the object and its MD5, which must be its ETag where the endpoint's ETags are MD5s.

    Where that is not certain, bytes that are received twice alike are right, and the ETag proves nothing.

    Raises:
        IntegrityError: other bytes were received.
    """
    key, resources = plan.source_key(source.key), plan.run.resources
    profile = resources.source_profile or resources.profile
    before = b""
    while True:
        read = await store.get(key, length=source.size, if_match=source.etag, version_id=source.version_id)
        digest = await _md5(read.body)
        if _is_right(read, source, digest) or (digest == before and not profile.certain_md5):
            return read, digest
        if before:
            raise IntegrityError(
                f"{key!r} was received with other bytes than its ETag says",
                operation="GetObject",
                bucket=store.bucket,
                key=key,
                code="ContentMismatch",
            )
        before = digest


async def _md5(body: bytes) -> bytes:
    def digest() -> bytes:
        return md5_of(body, usedforsecurity=False).digest()

    return digest() if len(body) <= _HASHED_AT_ONCE else await to_thread.run_sync(digest)


def _is_right(read: GetResult, source: TargetEntry, digest: bytes) -> bool:
    """Whether nothing contradicts the bytes that were received."""
    if len(read.body) != source.size:
        return False
    known = proof(source.etag, opaque=is_opaque_encryption(read.head.encryption)) is Proof.MD5
    return not known or same_etag(source.etag, digest.hex())
