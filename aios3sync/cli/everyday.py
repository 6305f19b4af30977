"""Runs the most common command line, a plain sync, and loads no more than it needs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING

from aios3sync.cli.output.choose import choose_view, report_view, shows_live
from aios3sync.cli.output.summary import conclude_sync
from aios3sync.cli.plain_sync import PlainSync, UnknownError, read_plain_sync
from aios3sync.errors import AioS3SyncError
from aios3sync.options import payer_of
from aios3sync.store.s3.endpoint_config import endpoint_name
from aios3sync.sync.request import SyncRequest, locate_sides
from aios3sync.sync.small_run import run_small

if TYPE_CHECKING:
    from aios3sync.core.entries import RecordedEntry
    from aios3sync.report import SyncReport
    from aios3sync.store.wire.blocking_pages import BlockingPages
    from aios3sync.store.wire.blocking_puts import BlockingPuts

__all__ = ("run_everyday",)


def run_everyday(arguments: Sequence[str]) -> int | None:
    """Run a plain sync and return its exit code; ``None`` for all else, of which nothing is done then."""
    try:
        plain = read_plain_sync(arguments)
    except (UnknownError, AioS3SyncError):
        return None
    code = _run_small(plain)
    if code is not None:
        return code
    from aios3sync.cli.sync_run import run_sync

    return run_sync(plain)


def _run_small(plain: PlainSync) -> int | None:
    """Run a sync that has little or nothing to do; ``None`` for any other, also for one that is wrong."""
    with suppress(AioS3SyncError):
        direction, root, files, location = locate_sides(plain.source, plain.target, plain.options)
        request = SyncRequest(
            direction=direction,
            root=root,
            location=location,
            endpoint=endpoint_name(plain.connection),
            options=plain.options,
            files=files,
        )
        uploads: list[tuple[RecordedEntry, str]] = []
        # A verbose run shows what is known of the endpoint, as only a whole run does.
        asks = not plain.output.verbose
        report = run_small(
            request,
            partial(_open_pages, plain, request) if asks else None,
            partial(_open_puts, plain, request) if asks else None,
            lambda row, reason: uploads.append((row, reason)),
        )
        if report is not None:
            _show(plain, report, uploads)
            return report.exit_code
    return None


def _show(plain: PlainSync, report: SyncReport, uploads: list[tuple[RecordedEntry, str]]) -> None:
    """Show a run that has ended already: what a live view leaves, or the lines of a plain one."""
    output, conclude = plain.output, partial(conclude_sync, verbose=plain.output.verbose)
    if not uploads or output.quiet or output.json or shows_live(output):
        report_view("sync", output, conclude)(report)
        return
    from aios3sync.events import ObjectUploaded

    with closing(choose_view("sync", output, conclude, lambda: None)) as view:
        for row, reason in uploads:
            view(ObjectUploaded(row.key, row.size, row.etag, reason))
        view.report(report)


def _open_pages(plain: PlainSync, request: SyncRequest) -> BlockingPages:
    """Open a listing of the target."""
    from aios3sync.store.wire.blocking_pages import BlockingPages

    payer = payer_of(plain.options.request_payer)
    return BlockingPages(plain.connection, request.location.bucket, payer)


def _open_puts(plain: PlainSync, request: SyncRequest) -> BlockingPuts:
    """Open what stores small objects, at an endpoint whose answers are known to prove what it stored.

    Raises:
        NotPlainError: nothing is known of it yet, or that its ETags prove nothing.
    """
    from aios3sync.store.endpoint_profile import EndpointProfile, profile_name
    from aios3sync.store.profile_files import read_profile
    from aios3sync.store.wire.blocking_connection import NotPlainError
    from aios3sync.store.wire.blocking_puts import BlockingPuts

    bucket = request.location.bucket
    profile = EndpointProfile(profile_name(request.endpoint, bucket))
    read_profile(profile)
    if profile.etags != "md5":
        raise NotPlainError("ETags that may be anything")
    return BlockingPuts(plain.connection, bucket)
