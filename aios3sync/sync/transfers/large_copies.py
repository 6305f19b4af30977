"""Copies one large object in parts, several at once; aborts uploads that it does not finish.

The parts are those that the source was uploaded in, where they can be known: then the copy has its ETag.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import anyio
from anyio import to_thread

from aios3sync.concurrency import first_error
from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import same_etag
from aios3sync.core.parts import MAX_PART_SIZE, MIN_PART_SIZE, Part
from aios3sync.errors import PreconditionFailedError, StoreError
from aios3sync.local.compress import md5_of
from aios3sync.store.protocol import HeadResult, ListedPart, ObjectStore, PutOptions, PutResult
from aios3sync.sync.transfers.copied import CopyPlan
from aios3sync.sync.transfers.part_layout import part_layout

__all__ = ("copy_in_parts",)

_PARTS_AT_ONCE: Final = 8
_PART_SHARE: Final = 4
"""A part that goes through memory takes at most this share of the memory."""
_ABORT_GRACE: Final = 5.0
"""Seconds that an abort may take after a cancellation."""


async def copy_in_parts(plan: CopyPlan, source: TargetEntry, *, on_server: bool) -> PutResult:
    """Copy one object in parts.

    Args:
        plan: of the run.
        source: the object as it was listed.
        on_server: the endpoint reads the parts itself; else they go through memory.

    Raises:
        PreconditionFailedError: it is not the object that was listed any more.
        StoreError: a request failed.
    """
    reading, key = await plan.source_store(), plan.source_key(source.key)
    head = await reading.head(key)
    _check_version(reading, key, source, head)
    options = await plan.options(reading, source.key, head)
    memory = plan.run.resources.memory.total // _PART_SHARE
    parts = await part_layout(
        reading,
        key,
        source,
        wanted=plan.run.options.part_size,
        largest=MAX_PART_SIZE if on_server else max(memory, MIN_PART_SIZE),
    )
    return await _PartedCopy(plan, source, options, reading, on_server=on_server).copy(parts)


def _check_version(store: ObjectStore, key: str, source: TargetEntry, head: HeadResult) -> None:
    if same_etag(head.etag, source.etag) and head.size == source.size:
        return
    raise PreconditionFailedError(
        f"{key!r} was replaced since it was listed",
        operation="HeadObject",
        bucket=store.bucket,
        key=key,
        code="PreconditionFailed",
        status=412,
    )


class _PartedCopy:
    """One copy in parts."""

    def __init__(
        self,
        plan: CopyPlan,
        source: TargetEntry,
        options: PutOptions,
        reading: ObjectStore,
        *,
        on_server: bool,
    ) -> None:
        self._plan = plan
        self._run = plan.run
        self._source = source
        self._options = options
        self._reading = reading
        self._on_server = on_server
        self._key = plan.run.full_key(source.key)
        self._turn = plan.run.next_turn()
        self._stored: list[ListedPart] = []

    async def copy(self, parts: list[Part]) -> PutResult:
        """Copy all parts and join them; a failure aborts the upload, so that no parts are left behind."""
        store = await self._run.resources.open_store()
        upload_id = await store.create_multipart(self._key, self._options)
        left = iter(parts)
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(_PARTS_AT_ONCE):
                    tasks.start_soon(self._work, store, upload_id, left)
            return await store.complete_multipart(self._key, upload_id, sorted(self._stored), self._options)
        except BaseException as error:  # noqa: BLE001 - cancellation too must not leave parts behind
            with anyio.move_on_after(_ABORT_GRACE, shield=True):
                await self._abort(store, upload_id)
            raise first_error(error) from None

    async def _work(self, store: ObjectStore, upload_id: str, left: Iterator[Part]) -> None:
        for part in left:
            send = self._copy_part if self._on_server else self._send_part
            result = await send(store, upload_id, part)
            self._stored.append(ListedPart(part.number, result.etag, part.length, result.checksum))

    async def _copy_part(self, store: ObjectStore, upload_id: str, part: Part) -> PutResult:
        source = self._plan.source_of(self._source, part.offset, part.length)
        return await store.copy_part(source, self._key, upload_id, part.number, self._options)

    async def _send_part(self, store: ObjectStore, upload_id: str, part: Part) -> PutResult:
        """Read a part and send it. The window is acquired before memory, as for uploads: no deadlock."""
        resources = self._run.resources
        await resources.window.acquire(part.length, self._turn)
        try:
            await resources.memory.acquire(part.length)
            try:
                read = await self._reading.get(
                    self._plan.source_key(self._source.key),
                    start=part.offset,
                    length=part.length,
                    if_match=self._source.etag,
                )
                digest = await to_thread.run_sync(md5_of, read.body)
                return await store.put_part(
                    self._key, upload_id, part.number, read.body, self._options, md5=digest
                )
            finally:
                resources.memory.release(part.length)
        finally:
            resources.window.release(part.length)

    async def _abort(self, store: ObjectStore, upload_id: str) -> None:
        try:
            await store.abort_multipart(self._key, upload_id)
        except Exception as error:  # noqa: BLE001 - the first failure is the one that counts
            text = error if isinstance(error, StoreError) else type(error).__name__
            self._run.builder.warn(f"a multipart upload of {self._key!r} may be left over: {text}")
