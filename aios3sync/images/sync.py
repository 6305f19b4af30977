"""The subscriber that makes thumbnails of the images that a sync uploads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.concurrency import raise_first_error
from aios3sync.events import EventSink, Warned, discard
from aios3sync.images.size import require_pillow
from aios3sync.images.thumbnails import ThumbnailPlan, Thumbnails, making_thumbnails
from aios3sync.index.rows import Change
from aios3sync.options import payer_of
from aios3sync.report import SyncReport
from aios3sync.store.protocol import PutOptions
from aios3sync.sync.callbacks import Callbacks
from aios3sync.sync.request import SyncRequest, pending_path
from aios3sync.sync.resources import Resources

__all__ = ("ThumbnailSubscriber",)


class ThumbnailSubscriber:
    """Makes thumbnails of the images of one sync: a :class:`~aios3sync.sync.subscribers.Subscriber`.

    Args:
        record: receives the changes of thumbnails and of their images, for an index, after their uploads.

    Raises:
        UsageError: Pillow is not installed.
    """

    def __init__(self, record: Callable[[Sequence[Change]], Awaitable[object]] | None = None) -> None:
        require_pillow("thumbnails")
        self._record = record
        self._warnings: list[str] = []
        self._callbacks = Callbacks(lambda: None)
        self._on_event: EventSink = discard
        self._counts: Any = None
        self._thumbnails: Thumbnails | None = None

    @asynccontextmanager
    async def attached(self, request: SyncRequest, resources: Resources) -> AsyncIterator[Resources]:
        """Make thumbnails while the run lasts, and finish the queue at its end; their errors fail no sync.

        Raises:
            Exception: from ``on_event``.
        """
        self._callbacks = Callbacks(resources.stop.request)
        self._on_event = self._callbacks.events(resources.on_event)
        self._counts = resources.counts
        plan = ThumbnailPlan(
            side=request.options.thumbnails,
            open_store=resources.open_store,
            locate=request.tree().place,
            prefix=request.location.prefix,
            put=_put_options(request),
            pending=await to_thread.run_sync(_pending_path, request),
            record=self._record,
            warn=self._warn,
        )
        with self._callbacks.raised(), raise_first_error():
            async with making_thumbnails(plan, resources.stop) as self._thumbnails:
                yield replace(resources, on_event=self._on_event)

    def _warn(self, message: str) -> None:
        self._warnings.append(message)
        self._on_event(Warned(message))

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Queue the thumbnails of a batch of outcomes."""
        if self._thumbnails is not None:
            await self._thumbnails.outcomes(batch)

    async def finish(self, report: SyncReport) -> SyncReport:
        """Return the report with the warnings about thumbnails and with their requests.

        Raises:
            Exception: from ``on_event``.
        """
        with self._callbacks.raised():
            for line in self._thumbnails.report.warnings() if self._thumbnails is not None else ():
                self._warn(line)
        return replace(
            report,
            warnings=(*report.warnings, *(line for line in self._warnings if line not in report.warnings)),
            # Including requests for thumbnails, some of which are sent after the end of the run.
            **self._counts.as_fields(),
        )


def _put_options(request: SyncRequest) -> PutOptions:
    """Return the upload options of thumbnails: the access rights of their images, not their other headers."""
    options = request.options
    return PutOptions(
        content_type="image/webp",
        cache_control=options.cache_control,
        sse=options.sse,
        sse_kms_key_id=options.sse_kms_key_id,
        acl=options.acl,
        request_payer=payer_of(options.request_payer),
    )


def _pending_path(request: SyncRequest) -> str:
    """Return the path of the queue; empty where the run must leave no state."""
    return "" if request.options.manifest is False else pending_path(request)
