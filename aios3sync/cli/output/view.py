"""What a command shows while it works and at its end: the contract of views, and the choice of one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aios3sync.cli.output.lines import standard_lines
from aios3sync.cli.output.summary import Conclusion
from aios3sync.events import Event

__all__ = ("Conclude", "Output", "View", "choose_view")

Conclude = Callable[[Any], Conclusion]


@dataclass(frozen=True, slots=True)
class Output:
    """How a command was asked to tell what it does: the output options of the command line."""

    json: bool = False
    events: bool = False
    quiet: bool = False
    verbose: int = 0
    progress: bool = True


class View(Protocol):
    """Shows one run. Its methods are called on the event loop and must be quick."""

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        ...

    def tick(self) -> None:
        """Called about ten times a second while the run lasts."""
        ...

    def stopping(self, signal: int) -> None:
        """Say at once that a signal asked the run to stop, and what another one does."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was found; idempotent."""
        ...

    def report(self, report: Any) -> None:
        """Say what came of it."""
        ...

    def fail(self, error: BaseException) -> None:
        """Say why there is no report, on standard output where machines read it."""
        ...


def choose_view(
    command: str,
    output: Output,
    conclude: Conclude,
    on_lost: Callable[[], None],
    *,
    heading: str = "",
    dry_run: bool = False,
) -> View:
    """The view for the options and for what standard output is.

    Args:
        command: its name.
        output: the options.
        conclude: makes the last words of a report.
        on_lost: called when nobody reads standard output any more.
        heading: the first line of the live view.
        dry_run: nothing is done, so every line says that it would be; never live.
    """
    out, err = standard_lines(on_lost)
    if output.json:
        from aios3sync.cli.output.json_lines import JsonDocument

        return JsonDocument(command, out, verbose=output.verbose > 1)
    if output.events:
        from aios3sync.cli.output.json_lines import EventLines

        return EventLines(out, dry_run=dry_run, verbose=output.verbose > 1)
    if output.progress and not output.quiet and not dry_run and output.verbose < 2 and _is_terminal():
        from aios3sync.cli.output.live import LiveView

        return LiveView(out, err, conclude, heading, verbose=output.verbose)
    from aios3sync.cli.output.plain import PlainView

    return PlainView(out, err, conclude, output, dry_run=dry_run)


def _is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
