"""Runs a sync for the command line, with its index and its entry of a catalog."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.cli.command import run_command
from aios3sync.cli.followed_index import followed_index
from aios3sync.cli.output.choose import choose_view
from aios3sync.cli.output.summary import conclude_plan, conclude_sync
from aios3sync.cli.plain_sync import PlainSync
from aios3sync.events import ObjectUploaded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aios3sync.catalog import Registration
    from aios3sync.cli.output.view import View
    from aios3sync.concurrency import Stop
    from aios3sync.core.entries import RecordedEntry
    from aios3sync.report import SyncReport
    from aios3sync.session import Session
    from aios3sync.sync.plans.plan import Plan

__all__ = ("run_plan", "run_sync")


def run_plan(plain: PlainSync, saved: str = "", registration: Registration | None = None) -> int:
    """Run a dry sync, show or save its plan, and return its exit code.

    Args:
        plain: the sync.
        saved: the file for the plan; empty to show it.
        registration: the entry of a catalog for the target.
    """
    source, target, options, connection, shown, source_connection, _ = plain
    plans: list[Plan] = []

    async def work(session: Session, view: View, stop: Stop) -> SyncReport:
        plan = await session.plan(
            await plain.locate(session),
            target,
            options=options,
            on_event=view,
            stop=stop,
            catalog=registration,
            source_connect=source_connection,
        )
        plans.append(plan)
        report = plan.report
        assert report is not None  # noqa: S101 - it was made just now
        if saved and not report.interrupted:
            await to_thread.run_sync(plan.save, saved)
        return report

    open_view = partial(
        choose_view,
        "sync",
        replace(shown, actions=False),  # they come at the end, in the order of a plan
        partial(conclude_plan, plan=lambda: plans[0], saved=saved, verbose=shown.verbose),
        heading=f"{source} -> {target}",
        dry_run=True,
    )
    return run_command(work, connection, open_view, orderly=True)


def run_sync(
    plain: PlainSync,
    index: str | None = None,
    registration: Registration | None = None,
    cluster: str | None = None,
    sent: Sequence[tuple[RecordedEntry, str]] = (),
) -> int:
    """Run a sync and return its exit code; show the plan of a dry run.

    Args:
        plain: the sync.
        index: the URL of the object index to keep current.
        registration: the entry of a catalog for the target.
        cluster: the Dask cluster to run on.
        sent: rows of files that this sync has sent already, and the reasons.
    """
    source, target, options, connection, shown, source_connection, _ = plain
    if options.dry_run and cluster is None:
        return run_plan(plain, "", registration)
    if options.dry_run:
        index = None  # nothing changes, and a file that is missing must not be made
    used_cluster = None if cluster is None else _prepared(cluster)

    async def work(session: Session, view: View, stop: Stop) -> SyncReport:
        payer = options.request_payer
        for row, reason in sent:
            view(ObjectUploaded(row.key, row.size, row.etag, reason))
        async with followed_index(session, index, view, request_payer=payer) as opened:
            report = await session.sync(
                await plain.locate(session),
                target,
                options=options,
                on_event=view,
                stop=stop,
                index=opened.database,
                catalog=registration,
                source_connect=source_connection,
                cluster=used_cluster,
            )
            return replace(_with_sent(report, sent), warnings=(*opened.warnings, *report.warnings))

    open_view = partial(
        choose_view,
        "sync",
        shown,
        partial(conclude_sync, verbose=shown.verbose),
        heading=f"{source} -> {target}",
        dry_run=options.dry_run,
    )
    return run_command(work, connection, open_view, orderly=True)


def _prepared(cluster: str) -> object:
    """Return the cluster, whose workers are forked from here if it is one of this machine."""
    from aios3sync.distributed.prepare import prepared_cluster

    return prepared_cluster(cluster)


def _with_sent(report: SyncReport, sent: Sequence[tuple[RecordedEntry, str]]) -> SyncReport:
    """Return the report of a run that found some files sent already, by the same sync."""
    number = len(sent)
    if not number:
        return report
    requests = {**report.requests, "PutObject": report.requests.get("PutObject", 0) + number}
    return replace(
        report,
        uploaded=report.uploaded + number,
        uploaded_bytes=report.uploaded_bytes + sum(row.size for row, _ in sent),
        kept=max(0, report.kept - number),
        requests=requests,
    )
