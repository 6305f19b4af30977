"""Runs ``sync --watch`` for the command line: one line for each sync, a status line in between."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from aios3sync._dataclass import asdict, dataclass, replace
from aios3sync.cli.command import run_command
from aios3sync.cli.followed_index import followed_index
from aios3sync.cli.output.choose import choose_view
from aios3sync.cli.output.summary import Conclusion, signal_name
from aios3sync.cli.plain_sync import PlainSync
from aios3sync.core.text import count, time_taken
from aios3sync.report import SyncReport
from aios3sync.watch.pending import WatchTimes

if TYPE_CHECKING:
    from aios3sync.cli.output.view import View
    from aios3sync.concurrency import Stop
    from aios3sync.session import Session

__all__ = ("WatchReport", "run_watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchReport:
    """What a watch has done until it was stopped.

    Attributes:
        command: its name.
        runs: syncs that did something or failed.
        transferred, deleted: files or objects, of all runs.
        failed: failures of all runs; failed items were tried again.
        elapsed_s: seconds.
        interrupted: the number of the signal that stopped it.
    """

    command: str = "watch"
    runs: int = 0
    transferred: int = 0
    deleted: int = 0
    failed: int = 0
    elapsed_s: float = 0.0
    interrupted: int = 0

    def after(self, report: SyncReport) -> WatchReport:
        """Return the report with one more run."""
        return replace(
            self,
            runs=self.runs + 1,
            transferred=self.transferred + report.uploaded + report.downloaded + report.copied,
            deleted=self.deleted + report.deleted,
            failed=self.failed + report.failed,
        )

    @property
    def exit_code(self) -> int:
        """128 + the number of the signal: a watch ends by one, or with an error."""
        return 128 + self.interrupted if self.interrupted else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON document of the last line."""
        return asdict(self) | {"exit_code": self.exit_code}


def run_watch(plain: PlainSync, times: WatchTimes, queue: str = "", index: str | None = None) -> int:
    """Watch until a signal is received, and return the exit code."""

    async def work(session: Session, view: View, stop: Stop) -> WatchReport:
        began, total = time.monotonic(), WatchReport()
        payer = plain.options.request_payer
        async with followed_index(session, index, view, request_payer=payer) as opened:
            async for report in session.watch(
                await plain.locate(session),
                plain.target,
                stable=times.stable,
                every=times.every,
                queue=queue,
                options=plain.options,
                on_event=view,
                stop=stop,
                index=opened.database,
                source_connect=plain.source_connection,
            ):
                total = total.after(report)
        return replace(total, elapsed_s=round(time.monotonic() - began, 3), interrupted=stop.signal)

    open_view = partial(
        choose_view,
        "sync",
        replace(plain.output, runs=True),
        conclude_watch,
        heading=f"{plain.source} -> {plain.target} (watching)",
    )
    return run_command(work, plain.connection, open_view, orderly=True)


def conclude_watch(report: WatchReport) -> Conclusion:
    """Summarize a watch."""
    done = f"{count(report.runs, 'run')}, transferred {count(report.transferred, 'file')}"
    line = f"watched for {time_taken(report.elapsed_s)}: {done}, deleted {report.deleted:,}"
    if report.failed:
        line += f", failed {report.failed:,}"
    if report.interrupted:
        line += f"; stopped by {signal_name(report.interrupted)}"
    return Conclusion(summary=line)
