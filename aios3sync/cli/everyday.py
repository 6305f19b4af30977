"""Runs the everyday command line, a plain sync, and loads no more than it needs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from aios3sync.cli.output.choose import report_view
from aios3sync.cli.output.summary import conclude_sync
from aios3sync.cli.plain_sync import PlainSync, UnknownError, read_plain_sync
from aios3sync.errors import AioS3SyncError
from aios3sync.options import payer_of
from aios3sync.store.s3.endpoint_config import endpoint_name
from aios3sync.sync.request import SyncRequest, locate_sides
from aios3sync.sync.unchanged import report_unchanged

if TYPE_CHECKING:
    from aios3sync.store.wire.blocking_pages import BlockingPages

__all__ = ("run_everyday",)


def run_everyday(arguments: Sequence[str]) -> int | None:
    """Run a plain sync and return its exit code; ``None`` for all else, of which nothing is done then."""
    try:
        plain = read_plain_sync(arguments)
    except (UnknownError, AioS3SyncError):
        return None
    code = _run_unchanged(plain)
    if code is not None:
        return code
    from aios3sync.cli.sync_run import run_sync

    return run_sync(plain)


def _run_unchanged(plain: PlainSync) -> int | None:
    """Report a sync that has nothing to do; ``None`` for any other, also for one that is wrong."""
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
        # A verbose run shows what is known of the endpoint.
        open_pages = None if plain.output.verbose else partial(_open_pages, plain, request)
        report = report_unchanged(request, open_pages)
        if report is not None:
            conclude = partial(conclude_sync, verbose=plain.output.verbose)
            report_view("sync", plain.output, conclude)(report)
            return report.exit_code
    return None


def _open_pages(plain: PlainSync, request: SyncRequest) -> BlockingPages:
    """Open a listing of the target."""
    from aios3sync.store.wire.blocking_pages import BlockingPages

    payer = payer_of(plain.options.request_payer)
    return BlockingPages(plain.connection, request.location.bucket, payer)
