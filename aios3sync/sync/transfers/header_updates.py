"""Gives unchanged objects the headers that are asked for now, by a copy of each onto itself on the server.

A copy replaces all headers at once, so that one HEAD before it shows what is to stay as it is. It also proves
that the object is the recorded one; the copy is made only of that. An object that is gone or was replaced is
uploaded instead. In a versioned bucket the copy is a new version, as an upload is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from aios3sync import events
from aios3sync.core.actions import Reason, UpdateHeaders, Upload
from aios3sync.core.etag import part_count
from aios3sync.errors import ObjectNotFoundError, PreconditionFailedError, StoreError
from aios3sync.events import NotDone, Updated
from aios3sync.store.protocol import HeadResult, ObjectStore, PutResult
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.headers import HeaderPlan

__all__ = ("preview_updates", "update_stage")

_AT_ONCE: Final = 32
"""Copies at once; the session bounds the requests in flight besides."""
_NOT_OFFERED: Final = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
_SENT_AGAIN: Final = (
    "the endpoint offers no copy of an object onto itself: for new headers objects are sent again "
    "(--metadata-update off leaves their headers as they are)"
)
_WAY_OUT: Final = "--metadata-update upload sends the file again, off leaves the headers as they are"


async def update_stage(
    run: Run,
    headers: HeaderPlan,
    jobs: MemoryObjectReceiveStream[list[UpdateHeaders]],
    uploads: MemoryObjectSendStream[list[Upload]],
) -> None:
    """Update batches until there are no more; both streams are this stage's own.

    Raises:
        StoreError: the session is broken.
    """
    updates = _Updates(run, headers)
    async with jobs, uploads:
        async for batch in jobs:
            await run.recorder.begin()
            instead = await updates.carry_out(batch)
            if instead:
                run.events(events.Planned(len(instead), sum(upload.source.size for upload in instead)))
                await uploads.send(instead)


async def preview_updates(
    run: Run,
    headers: HeaderPlan,
    jobs: MemoryObjectReceiveStream[list[UpdateHeaders]],
    uploads: MemoryObjectSendStream[list[Upload]],
) -> None:
    """What :func:`update_stage` is in a dry run: every update is counted and reported, none is made."""
    async with jobs, uploads:
        async for batch in jobs:
            for action in batch:
                row = action.recorded
                with run.item(row.key, "update"):
                    run.recorder.add(Updated(row, row.size, headers.type_of(row.key)))


class _Updates:
    """The copies of one run; an endpoint that offers none is asked once."""

    def __init__(self, run: Run, headers: HeaderPlan) -> None:
        self._run = run
        self._headers = headers
        self._offered = True

    async def carry_out(self, batch: list[UpdateHeaders]) -> list[Upload]:
        """Update a batch, and return what has to be uploaded instead."""
        instead: list[Upload] = []
        waiting = iter(batch)
        store = await self._run.resources.open_store()

        async def worker() -> None:
            for action in waiting:
                if self._run.stop.signal:
                    return  # the rest is counted as cancelled
                with self._run.item(action.source.key, "update"):
                    result = await self._update(store, action)
                    if isinstance(result, Upload):
                        instead.append(result)
                    else:
                        self._run.recorder.add(result)

        async with anyio.create_task_group() as tasks:
            for _ in range(min(_AT_ONCE, len(batch))):
                tasks.start_soon(worker)
        return instead

    async def _update(self, store: ObjectStore, action: UpdateHeaders) -> Updated | NotDone | Upload:
        run, headers, key = self._run, self._headers, self._run.full_key(action.source.key)
        if not self._offered:
            return Upload(action.source, Reason.HEADERS)
        try:
            head = await store.head(key)
            if not head.etag or head.etag != action.recorded.etag:
                return self._surprise(action, Reason.DRIFTED)
            result = await store.copy(key, key, headers.for_copy(action.source, head), source_etag=head.etag)
            if not result.etag:
                result = result._replace(etag=(await store.head(key)).etag)
        except ObjectNotFoundError:
            return self._surprise(action, Reason.MISSING)
        except PreconditionFailedError:
            return self._surprise(action, Reason.DRIFTED)
        except StoreError as error:
            if error.code in _NOT_OFFERED:
                self._offered = False
                run.tally.warn(_SENT_AGAIN)
                return Upload(action.source, Reason.HEADERS)
            return _not_updated(run, action.source.key, error)
        run.note_response(result.encryption)
        return _updated(run, headers, action, head, result)

    def _surprise(self, action: UpdateHeaders, reason: Reason) -> Upload:
        """The object is not the one that was recorded, so that the target is worth a listing."""
        self._run.target_changed = True
        return Upload(action.source, reason)


def _updated(
    run: Run, headers: HeaderPlan, action: UpdateHeaders, head: HeadResult, result: PutResult
) -> Updated:
    source, recorded = action.source, action.recorded
    asked = headers.asked(source.key)
    row = run.row(
        source,
        recorded.md5,
        result.etag,
        settled=action.settled,
        encoding=recorded.encoding,
        headers=asked.digest,
    )
    if part_count(result.etag):  # the copy of a multipart object may be one piece, and have a plain ETag
        row = row._replace(part_size=recorded.part_size)
    return Updated(
        row, head.size, headers.type_of(source.key), asked.base.storage_class or head.storage_class
    )


def _not_updated(run: Run, key: str, error: StoreError) -> NotDone:
    fault = run.outcome_of_error(key, "update", error)
    return fault if error.retryable else replace(fault, error=f"{fault.error}; {_WAY_OUT}")
