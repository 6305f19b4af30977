"""Runs the most common command line, a plain sync, and loads no more than it needs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial

from aios3sync._typing import TYPE_CHECKING, Final
from aios3sync.cli.output.choose import choose_view, report_view, shows_live
from aios3sync.cli.output.summary import conclude_sync
from aios3sync.cli.plain_sync import PlainSync, UnknownError, read_plain_sync
from aios3sync.concurrency import CORES
from aios3sync.core.endpoints import AWS
from aios3sync.errors import AioS3SyncError
from aios3sync.options import payer_of
from aios3sync.store.s3.endpoint_config import endpoint_name
from aios3sync.sync.request import SyncRequest, locate_sides
from aios3sync.sync.small_run import run_small

if TYPE_CHECKING:
    from aios3sync.core.entries import RecordedEntry
    from aios3sync.report import SyncReport
    from aios3sync.store.endpoint_profile import EndpointProfile
    from aios3sync.store.wire.blocking_endpoint import BlockingEndpoint
    from aios3sync.store.wire.blocking_pages import BlockingPages
    from aios3sync.store.wire.blocking_puts import BlockingPuts

__all__ = ("run_everyday",)

_MOST_PROCESSES: Final = 4
"""Processes that hash the files of one sync; more would only wait for its storage."""


def run_everyday(arguments: Sequence[str]) -> int | None:
    """Run a plain sync and return its exit code; ``None`` for all else, of which nothing is done then."""
    try:
        plain = read_plain_sync(arguments)
    except (UnknownError, AioS3SyncError):
        return None
    sent: list[tuple[RecordedEntry, str]] = []
    code = _run_small(plain, sent)
    if code is not None:
        return code
    from aios3sync.cli.sync_run import run_sync

    return run_sync(plain, sent=sent)


def _run_small(plain: PlainSync, sent: list[tuple[RecordedEntry, str]]) -> int | None:
    """Run a sync that has little or nothing to do; ``None`` for any other, also for one that is wrong.

    Args:
        plain: the sync.
        sent: takes the rows of files that were sent, and the reasons; also of a sync that has to be ended.
    """
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
        # A verbose run shows what is known of the endpoint, as only a whole run does.
        remote = None if plain.output.verbose else _Remote(plain, request)
        report = run_small(
            request,
            None if remote is None else remote.open_pages,
            None if remote is None else remote.open_puts,
            lambda row, reason: sent.append((row, reason)),
            min(_MOST_PROCESSES, CORES),
        )
        if report is not None:
            _show(plain, report, sent)
            if remote is not None:
                remote.remember()
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


class _Remote:
    """The bucket of a sync, which most runs do not need.

    Args:
        plain: the sync.
        request: the same.
    """

    def __init__(self, plain: PlainSync, request: SyncRequest) -> None:
        self._plain = plain
        self._request = request
        self._endpoint: BlockingEndpoint | None = None
        self._profile: EndpointProfile | None = None

    def open_pages(self) -> BlockingPages:
        """Open a listing of the target."""
        from aios3sync.store.wire.blocking_pages import BlockingPages

        return BlockingPages(self._opened(), payer_of(self._plain.options.request_payer))

    def open_puts(self) -> BlockingPuts:
        """Open what stores small objects, unless the ETags of the endpoint may prove nothing.

        Raises:
            NotPlainError: they are known to, or the user says what they prove.
        """
        from aios3sync.store.endpoint_profile import EndpointProfile, profile_name
        from aios3sync.store.profile_files import read_profile
        from aios3sync.store.wire.blocking_endpoint import NotPlainError
        from aios3sync.store.wire.blocking_puts import BlockingPuts

        profile = EndpointProfile(profile_name(self._request.endpoint, self._request.location.bucket))
        read_profile(profile)
        if profile.etags == "opaque" or self._plain.connection.etags:
            raise NotPlainError("ETags that may be anything")
        puts = BlockingPuts(self._opened(), self._plain.connection.workers)
        self._profile = profile
        return puts

    def remember(self) -> None:
        """Keep what was learnt of the endpoint: every stored object had its MD5 as its ETag."""
        profile = self._profile
        if profile is not None and profile.etags == "unknown" and self._request.endpoint != AWS:
            from aios3sync.store.profile_files import write_profile

            profile.record("etags", "md5")
            write_profile(profile)

    def _opened(self) -> BlockingEndpoint:
        if self._endpoint is None:
            from aios3sync.store.wire.blocking_endpoint import BlockingEndpoint

            self._endpoint = BlockingEndpoint(self._plain.connection, self._request.location.bucket)
        return self._endpoint
