"""Gives unchanged objects new headers, by a server-side copy of each object onto itself.

A copy replaces all headers at once, so a HEAD before it finds out which have to stay. The HEAD also proves
that the object is the recorded one: only that is copied. If the object is gone or was replaced, the file is
uploaded instead. In a versioned bucket the copy is a new version, as an upload is.
"""

from __future__ import annotations

from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from aios3sync import events
from aios3sync._dataclass import replace
from aios3sync.core.actions import Reason, UpdateHeaders, Upload
from aios3sync.core.etag import part_count
from aios3sync.errors import ObjectNotFoundError, PreconditionFailedError, StoreError
from aios3sync.events import NotDone, Updated
from aios3sync.store.protocol import CopySource, HeadResult, ObjectStore, PutResult
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.headers import HeaderPlan

__all__ = ("preview_updates", "update_stage")

_AT_ONCE: Final = 32
"""Copies at once; the session bounds the requests in flight as well."""
_NOT_OFFERED: Final = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
_SENT_AGAIN: Final = (
    "the endpoint offers no copy of an object onto itself: for new headers objects are sent again "
    "(--metadata-update off leaves their headers as they are)"
)
_HINT: Final = "--metadata-update upload sends the file again, off leaves the headers as they are"


async def update_stage(
    run: Run,
    headers: HeaderPlan,
    jobs: MemoryObjectReceiveStream[list[UpdateHeaders]],
    uploads: MemoryObjectSendStream[list[Upload]],
) -> None:
    """Update batches until the stream ends; the stage closes both streams.

    Raises:
        StoreError: the session is broken.
    """
    updates = _Updates(run, headers)
    async with jobs, uploads:
        async for batch in jobs:
            await run.recorder.begin()
            instead = await updates.update_all(batch)
            if instead:
                run.events(events.Planned(len(instead), sum(upload.source.size for upload in instead)))
                await uploads.send(instead)


async def preview_updates(
    run: Run,
    headers: HeaderPlan,
    jobs: MemoryObjectReceiveStream[list[UpdateHeaders]],
    uploads: MemoryObjectSendStream[list[Upload]],
) -> None:
    """Replace :func:`update_stage` in a dry run: count and report every update, make none."""
    async with jobs, uploads:
        async for batch in jobs:
            for action in batch:
                row = action.recorded
                with run.item(row.key, "update"):
                    run.recorder.add(Updated(row, row.size, headers.type_of(row.key)))


class _Updates:
    """The copies of one run; an endpoint without copies is tried only once."""

    def __init__(self, run: Run, headers: HeaderPlan) -> None:
        self._run = run
        self._headers = headers
        self._offered = True

    async def update_all(self, batch: list[UpdateHeaders]) -> list[Upload]:
        """Update a batch; return the uploads that are needed instead."""
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
            return Upload(action.source, Reason.HEADERS, "", action.recorded.etag)
        try:
            head = await store.head(key)
            if not head.etag or head.etag != action.recorded.etag:
                return self._upload_instead(action, Reason.DRIFTED)
            source = CopySource(key, etag=head.etag)
            result = await store.copy(source, key, headers.for_copy(action.source, head))
            if not result.etag:
                result = result._replace(etag=(await store.head(key)).etag)
        except ObjectNotFoundError:
            return self._upload_instead(action, Reason.MISSING)
        except PreconditionFailedError:
            return self._upload_instead(action, Reason.DRIFTED)
        except StoreError as error:
            if error.code in _NOT_OFFERED:
                self._offered = False
                run.builder.warn(_SENT_AGAIN)
                return Upload(action.source, Reason.HEADERS, "", action.recorded.etag)
            return _not_updated(run, action.source.key, error)
        run.note_response(result.encryption)
        return _updated(run, headers, action, head, result)

    def _upload_instead(self, action: UpdateHeaders, reason: Reason) -> Upload:
        """Return the upload of a file whose object is not the recorded one; the next run must list."""
        self._run.target_changed = True
        return Upload(action.source, reason, "", action.recorded.etag)


def _updated(
    run: Run, headers: HeaderPlan, action: UpdateHeaders, head: HeadResult, result: PutResult
) -> Updated:
    source, recorded = action.source, action.recorded
    asked = headers.header_set(source.key)
    row = run.row(
        source,
        recorded.md5,
        result.etag,
        settled=action.settled,
        encoding=recorded.encoding,
        headers=asked.digest,
    )
    row = row._replace(sha256=recorded.sha256)
    if part_count(result.etag):  # the copy of a multipart object may have one part, and a plain ETag
        row = row._replace(part_size=recorded.part_size)
    return Updated(
        row, head.size, headers.type_of(source.key), asked.base.storage_class or head.storage_class
    )


def _not_updated(run: Run, key: str, error: StoreError) -> NotDone:
    outcome = run.outcome_of_error(key, "update", error)
    return outcome if error.retryable else replace(outcome, error=f"{outcome.error}; {_HINT}")
