"""A sync that makes thumbnails on the way; it only puts the two together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from anyio import to_thread

from aios3sync import events
from aios3sync.concurrency import raise_first_error
from aios3sync.images.size import require_pillow
from aios3sync.images.thumbnails import ThumbnailPlan, making_thumbnails
from aios3sync.index.rows import Change
from aios3sync.report import SyncReport
from aios3sync.store.protocol import PutOptions
from aios3sync.sync.callbacks import Callbacks
from aios3sync.sync.request import Resources, SyncRequest, pending_path
from aios3sync.sync.setup import run_sync

__all__ = ("sync_with_thumbnails",)


async def sync_with_thumbnails(
    request: SyncRequest,
    resources: Resources,
    record: Callable[[Sequence[Change]], Awaitable[object]] | None = None,
) -> SyncReport:
    """Run a sync, and make thumbnails of the images that it uploads.

    Args:
        request: the sync; its options say how large the thumbnails are.
        resources: of the session.
        record: told what became of thumbnails and of their images, for an index; it is told of the uploads
            before.

    Raises:
        UsageError: Pillow is not installed.
        AioS3SyncError: see :meth:`Session.sync`; thumbnails themselves fail nothing.
    """
    require_pillow("thumbnails")
    callbacks = Callbacks(resources.stop.request)
    with callbacks.raised():
        return await _sync(request, replace(resources, on_event=callbacks.events(resources.on_event)), record)


async def _sync(
    request: SyncRequest,
    resources: Resources,
    record: Callable[[Sequence[Change]], Awaitable[object]] | None,
) -> SyncReport:
    heard: list[str] = []

    def warn(message: str) -> None:
        heard.append(message)
        resources.on_event(events.Warned(message))

    plan = ThumbnailPlan(
        side=request.options.thumbnails,
        open_store=resources.open_store,
        locate=request.place,
        prefix=request.location.prefix,
        put=_put_options(request),
        pending=await to_thread.run_sync(_pending_path, request),
        record=record,
        warn=warn,
    )
    with raise_first_error():
        async with making_thumbnails(plan, resources.stop) as thumbnails:
            sinks = (*resources.outcome_sinks, thumbnails)
            report = await run_sync(request, replace(resources, outcome_sinks=sinks))
    for line in thumbnails.report.warnings():
        warn(line)
    return replace(
        report,
        warnings=(*report.warnings, *(line for line in heard if line not in report.warnings)),
        # Those for the thumbnails too, which may have come after the end of the run.
        requests=dict(resources.counts.requests),
        retries=resources.counts.retries,
        throttled=resources.counts.throttled,
    )


def _put_options(request: SyncRequest) -> PutOptions:
    """Who may read an image may read its thumbnail; nothing of its other headers fits."""
    options = request.options
    return PutOptions(
        content_type="image/webp",
        cache_control=options.cache_control,
        sse=options.sse,
        sse_kms_key_id=options.sse_kms_key_id,
        acl=options.acl,
        request_payer="requester" if options.request_payer else "",
    )


def _pending_path(request: SyncRequest) -> str:
    """Empty where the run is to leave no state."""
    return "" if request.options.manifest is False else pending_path(request)
