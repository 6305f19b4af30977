"""``stats --watch``: the tables of a bucket, updated repeatedly; after an error the last ones stay."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from aios3sync.cli.errors import print_error
from aios3sync.cli.output.lines import Lines
from aios3sync.cli.output.stats_tables import stats_lines, stats_tables
from aios3sync.core.text import duration, printable
from aios3sync.errors import AioS3SyncError
from aios3sync.events import Event

if TYPE_CHECKING:
    from aios3sync.session import Session
    from aios3sync.stats.model import BucketStats

__all__ = ("StatsWatch", "counted_repeatedly")


Work = Callable[["Session"], Awaitable[Any]]


def counted_repeatedly(ask: Work, view: StatsWatch, every: float) -> Work:
    """Return work that counts repeatedly, until its task is cancelled.

    Args:
        ask: counts and returns the statistics.
        view: shows them.
        every: seconds between two starts; after a longer count the next begins at once.

    Raises:
        AioS3SyncError: the very first count failed.
    """

    async def count_again(session: Session) -> None:
        while True:
            began = time.monotonic()
            try:
                view.show(await ask(session))
            except AioS3SyncError as error:
                if not view.has_statistics:
                    raise
                view.show_failure(error)
            await anyio.sleep(max(began + every - time.monotonic(), 0.0))

    return count_again


class StatsWatch:
    """See :class:`~aios3sync.cli.output.view.View`: its own screen on a terminal, else many tables.

    Args:
        out: standard output.
        verbose: print errors with their tracebacks.
    """

    def __init__(self, out: Lines, *, verbose: bool = False) -> None:
        self._out = out
        self._verbose = verbose
        self._console = Console(highlight=False, markup=False, emoji=False)
        terminal = self._console.is_terminal and os.environ.get("TERM", "") not in ("", "dumb")
        self._live = Live(console=self._console, screen=True, auto_refresh=False) if terminal else None
        self._plain = not (sys.stdout.encoding or "").lower().startswith("utf")
        self._stats: BucketStats | None = None
        self._shown_at = 0.0
        self._problem = ""

    @property
    def has_statistics(self) -> bool:
        """Whether statistics were shown."""
        return self._stats is not None

    def show(self, stats: BucketStats) -> None:
        """Show new statistics."""
        self._stats, self._problem = stats, ""
        self._shown_at = time.monotonic()
        if self._live is None:
            self._print(stats)
        self.tick()

    def show_failure(self, error: AioS3SyncError) -> None:
        """Show that a count failed; the last statistics stay."""
        self._problem = printable(str(error))
        if self._live is None:
            self._out.line(f"{time.strftime('%H:%M:%S')} {self._problem_line()}")
            self._out.flush()
        self.tick()

    def __call__(self, event: Event, /) -> None:
        """Do nothing: counting sends no events."""

    def tick(self) -> None:
        """Draw again: the age of the numbers and the size of the terminal may have changed."""
        if self._live is None or self._stats is None:
            return
        if not self._live.is_started:
            self._live.start()
        self._live.update(self._screen(self._stats), refresh=True)

    def stopping(self, signal: int) -> None:
        """Show nothing: a watch ends at once."""

    def close(self) -> None:
        """Leave the screen, and print the last statistics on the normal one."""
        if self._live is None or not self._live.is_started:
            return
        self._live.stop()
        self._live = None
        if self._stats is not None:
            self._print(self._stats)
            if self._problem:
                self._out.line(self._problem_line())
                self._out.flush()

    def report(self, report: Any) -> None:
        """Show nothing: a watch ends by a signal and has no report."""

    def fail(self, error: BaseException) -> None:
        """Print the error."""
        self.close()
        print_error(error, verbose=self._verbose)

    def _print(self, stats: BucketStats) -> None:
        color = self._console.is_terminal and not self._console.no_color
        for line in stats_lines(stats, self._console.width, color=color, plain=self._plain):
            self._out.styled(line)
        for warning in stats.warnings:
            self._out.line(f"warning: {printable(warning)}")
        self._out.flush()

    def _screen(self, stats: BucketStats) -> Group:
        """Return the status and the tables; a low terminal shows only the top, so changes come first."""
        status = Text(f"shown {duration(time.monotonic() - self._shown_at)} ago; Ctrl-C ends", style="dim")
        lines = [status]
        if self._problem:
            lines.append(Text(self._problem_line(), style="bold red"))
        lines += [Text(f"warning: {printable(warning)}", style="bold") for warning in stats.warnings]
        return Group(*lines, stats_tables(stats, self._console.width, plain=self._plain))

    def _problem_line(self) -> str:
        age = duration(time.monotonic() - self._shown_at)
        return f"refresh failed, the numbers are {age} old: {self._problem}"
