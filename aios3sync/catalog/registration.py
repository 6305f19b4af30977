"""The subscriber that adds a synced dataset or model to a catalog; a failing catalog fails no sync."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from aios3sync._dataclass import replace
from aios3sync.catalog.catalog import Catalog
from aios3sync.catalog.entries import Entry, Registration
from aios3sync.catalog.layout import kind_of
from aios3sync.catalog.update import CatalogChange
from aios3sync.concurrency import Stop
from aios3sync.core.keys import Location
from aios3sync.errors import UsageError
from aios3sync.events import EventSink, PhaseBegan, Warned, discard
from aios3sync.report import CatalogResult, SyncReport
from aios3sync.store.wrappers.metrics import RequestCounts

if TYPE_CHECKING:
    from aios3sync.sync.request import SyncRequest
    from aios3sync.sync.resources import Resources

__all__ = ("Registrar",)

_STOPPED = "the run was stopped before the catalog answered"


class Registrar:
    """Adds the entry of one sync to its catalog: a :class:`~aios3sync.sync.subscribers.Subscriber`.

    Invalid arguments raise when it is created, before the sync begins.

    Args:
        wanted: the entry, which gets the bucket and prefix of the target.
        target: of the sync.
        open_catalog: opens a catalog, as :meth:`aios3sync.Session.catalog` does.
        counts: of the requests of that catalog.

    Raises:
        UsageError: the target is a whole bucket, or the location of the catalog is invalid.
    """

    def __init__(
        self,
        wanted: Entry | Registration,
        target: Location,
        open_catalog: Callable[..., Catalog],
        counts: RequestCounts,
    ) -> None:
        self._counts = counts
        self._on_event: EventSink = discard
        self._stop = Stop()
        self._began = time.monotonic()
        registration = wanted if isinstance(wanted, Registration) else Registration(wanted)
        entry = registration.entry
        if not target.prefix:
            raise UsageError(f"catalog: {entry.id!r} cannot be a whole bucket; sync below a prefix")
        where = registration.catalog or f"s3://{target.bucket}"
        if Location.parse(where).bucket != target.bucket:
            raise UsageError(f"catalog: {where} is not in the bucket of the target; name it as a replica")
        self._entry = replace(entry, s3_prefix=target.prefix.rstrip("/"), s3_bucket=target.bucket)
        self._catalog = open_catalog(
            where,
            kind_of(entry).name,
            public=registration.public,
            acl=registration.acl,
            replicas=registration.replicas,
        )

    @asynccontextmanager
    async def attached(
        self,
        request: SyncRequest,  # noqa: ARG002 - of the protocol
        resources: Resources,
    ) -> AsyncIterator[Resources]:
        """Do nothing while the run lasts."""
        self._on_event, self._stop = resources.on_event, resources.stop
        self._began = time.monotonic()
        yield resources

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Ignore outcomes: the report says whether all files are there."""

    async def finish(self, report: SyncReport) -> SyncReport:
        """Add the entry if all files of the sync are stored; return the report with the result.

        A stop cancels the request to the catalog.
        """
        report, counts = await self._registered(report), self._counts
        self._catalog.metrics.requests.update(counts.requests)
        return replace(
            report,
            requests=dict(counts.requests + Counter(report.requests)),
            retries=report.retries + counts.retries,
            throttled=report.throttled + counts.throttled,
            retry_codes=dict(counts.retry_codes + Counter(report.retry_codes)),
            elapsed_s=round(time.monotonic() - self._began, 3),
            interrupted=self._stop.signal,
        )

    async def _registered(self, report: SyncReport) -> SyncReport:
        if report.exit_code or not report.balanced or report.vanished:
            return self._with_result(report, "skipped", "not all of its files are there")
        if report.dry_run:
            return self._with_result(report, "planned", "")
        self._on_event(PhaseBegan("finish"))
        change, error = await self._add()
        if change is None:
            return self._with_result(report, "failed", error)
        for warning in change.warnings:
            self._on_event(Warned(warning))
        report = replace(report, warnings=(*report.warnings, *change.warnings))
        copies = {copy.location: copy.error for copy in change.copies}
        return replace(report, catalog=replace(self._result("added"), copies=copies))

    async def _add(self) -> tuple[CatalogChange | None, str]:
        """Return the change, or ``None`` and the reason why there is none."""
        change: CatalogChange | None = None
        error = _STOPPED

        async def cancel_on_stop() -> None:
            await self._stop.wait()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(cancel_on_stop)
            try:
                change = await self._catalog.add(self._entry)
            except Exception as failure:  # noqa: BLE001 - the files are stored, so the error is only reported
                error = str(failure) or type(failure).__name__
            group.cancel_scope.cancel()
        return change, error

    def _result(self, state: str, error: str = "") -> CatalogResult:
        return CatalogResult(self._entry.id, self._catalog.location, state, error)

    def _with_result(self, report: SyncReport, state: str, error: str) -> SyncReport:
        report = replace(report, catalog=self._result(state, error))
        if not error:
            return report
        remedy = "; add it when the reason is gone" if state == "failed" else ""
        warning = f"{self._entry.id} was not added to the catalog: {error}{remedy}"
        self._on_event(Warned(warning))
        return replace(report, warnings=(*report.warnings, warning))
