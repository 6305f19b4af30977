"""Adds what was synced to a catalog, once all of its files are there; a failing catalog fails no sync."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio

from aios3sync.catalog.catalog import Catalog
from aios3sync.catalog.entries import Entry, Registration
from aios3sync.catalog.layout import kind_of
from aios3sync.catalog.update import CatalogChange
from aios3sync.core.keys import Location
from aios3sync.errors import UsageError
from aios3sync.events import EventSink, PhaseBegan, Warned
from aios3sync.report import CatalogResult, SyncReport

__all__ = ("Registrar",)

_STOPPED = "the run was stopped before the catalog answered"


class Registrar:
    """The entry of one sync and the catalog that it goes to; what cannot be is found before the sync.

    Args:
        wanted: the entry, whose place becomes the target.
        target: where its files will be.
        open_catalog: opens a catalog, as :meth:`aios3sync.Session.catalog` does.

    Raises:
        UsageError: the target is a whole bucket, or the catalog cannot be one.
    """

    def __init__(
        self, wanted: Entry | Registration, target: Location, open_catalog: Callable[..., Catalog]
    ) -> None:
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

    async def conclude(
        self, report: SyncReport, on_event: EventSink, stopped: Callable[[], Awaitable[None]]
    ) -> SyncReport:
        """Add the entry if the sync did all that it was to do; the report with what came of that.

        Args:
            report: of the sync.
            on_event: told of warnings.
            stopped: returns when the application wants an end; the catalog is not waited for any longer.
        """
        if report.exit_code or not report.balanced or report.vanished:
            return self._told(report, "skipped", "not all of its files are there", on_event)
        if report.dry_run:
            return self._told(report, "planned", "", on_event)
        on_event(PhaseBegan("finish"))
        change, error = await self._add(stopped)
        if change is None:
            return self._told(report, "failed", error, on_event)
        for warning in change.warnings:
            on_event(Warned(warning))
        report = replace(report, warnings=(*report.warnings, *change.warnings))
        copies = {copy.location: copy.error for copy in change.copies}
        return replace(report, catalog=replace(self._result("added"), copies=copies))

    async def _add(self, stopped: Callable[[], Awaitable[None]]) -> tuple[CatalogChange | None, str]:
        """The change; or ``None`` and why there is none."""
        change: CatalogChange | None = None
        error = _STOPPED

        async def give_up() -> None:
            await stopped()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(give_up)
            try:
                change = await self._catalog.add(self._entry)
            except Exception as failure:  # noqa: BLE001 - whatever it is, the files are there: it is reported
                error = str(failure) or type(failure).__name__
            group.cancel_scope.cancel()
        return change, error

    def _result(self, state: str, error: str = "") -> CatalogResult:
        return CatalogResult(self._entry.id, self._catalog.location, state, error)

    def _told(self, report: SyncReport, state: str, error: str, on_event: EventSink) -> SyncReport:
        report = replace(report, catalog=self._result(state, error))
        if not error:
            return report
        way_out = "; add it when the reason is gone" if state == "failed" else ""
        warning = f"the catalog was not told of {self._entry.id}: {error}{way_out}"
        on_event(Warned(warning))
        return replace(report, warnings=(*report.warnings, warning))
