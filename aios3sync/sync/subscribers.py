"""Subscribers of a run: each listens to its outcomes and may add to its report. Finished is sent after all.

The index, the thumbnails and the catalog subscribe; the engine knows none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from aios3sync._dataclass import replace
from aios3sync.report import SyncReport
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.setup import run_sync

__all__ = ("Subscriber", "run_subscribed")


class Subscriber(Protocol):
    """Listens to one run. It is an :class:`~aios3sync.events.OutcomeSink` while it is attached."""

    def attached(self, request: SyncRequest, resources: Resources) -> AbstractAsyncContextManager[Resources]:
        """Return a context that lasts as long as the run; it yields the resources that the run gets."""
        ...

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Take the next batch of outcomes."""
        ...

    async def finish(self, report: SyncReport) -> SyncReport:
        """Return the report with what the subscriber adds; called when the run ended without error."""
        ...


async def run_subscribed(
    request: SyncRequest, resources: Resources, subscribers: Sequence[Subscriber]
) -> SyncReport:
    """Run one sync with subscribers; its last event is left to :func:`~aios3sync.events.concluded`.

    The first subscriber is attached first, takes each batch of outcomes first, and finishes last.

    Raises:
        AioS3SyncError: as :func:`~aios3sync.sync.setup.run_sync`.
    """
    if not subscribers:
        return await run_sync(request, resources)
    subscriber, *others = subscribers
    async with subscriber.attached(request, resources) as attached:
        sinks = (*attached.outcome_sinks, subscriber)
        report = await run_subscribed(request, replace(attached, outcome_sinks=sinks), others)
    return await subscriber.finish(report)
