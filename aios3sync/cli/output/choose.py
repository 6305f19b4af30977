"""Chooses the view by the output options, and by whether standard output is a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from operator import attrgetter

from aios3sync._dataclass import replace
from aios3sync._typing import Any
from aios3sync.cli.output.lines import standard_lines
from aios3sync.cli.output.view import Conclude, Output, View

__all__ = ("choose_view", "report_view", "result_view", "shows_live")


def choose_view(
    command: str,
    output: Output,
    conclude: Conclude,
    on_lost: Callable[[], None],
    *,
    heading: str = "",
    dry_run: bool = False,
) -> View:
    """Return the view for the output options.

    Args:
        command: its name.
        output: the options.
        conclude: summarizes a report.
        on_lost: called when the reader of standard output has closed it.
        heading: the first line of the live view.
        dry_run: whether every line says "would"; then a live view shows only the comparison.
    """
    if output.log_json:
        from aios3sync.cli.output.json_log import LoggedView

        plain = replace(output, log_json=False, progress=False, actions=False)
        return LoggedView(
            choose_view(command, plain, conclude, on_lost, heading=heading, dry_run=dry_run),
        )
    out, err = standard_lines(on_lost)
    if output.json:
        from aios3sync.cli.output.json_lines import JsonDocument

        return JsonDocument(command, out, verbose=output.verbose > 1)
    if output.events:
        from aios3sync.cli.output.json_lines import EventLines

        return EventLines(out, dry_run=dry_run, verbose=output.verbose > 1, runs=output.runs)
    names_actions = dry_run and output.actions  # each in a line as it is found
    if shows_live(output) and not names_actions:
        from aios3sync.cli.output.live import LiveView

        return LiveView(out, err, conclude, heading, output, dry_run=dry_run)
    from aios3sync.cli.output.plain import PlainView

    return PlainView(out, err, conclude, output, dry_run=dry_run)


def report_view(command: str, output: Output, conclude: Conclude) -> Callable[[Any], None]:
    """Return the view for the report of a command that has already ended."""
    if output.json or output.events:
        return choose_view(command, output, conclude, lambda: None).report
    from aios3sync.cli.output.conclusion import PlainReport

    return PlainReport(*standard_lines(lambda: None), conclude, output).report


def result_view(command: str, output: Output) -> Callable[[Callable[[], None]], View]:
    """Return the function that opens the view of a command with a ``CommandResult``: lines, never live."""
    return partial(choose_view, command, output.without_progress(), attrgetter("conclusion"))


def shows_live(output: Output) -> bool:
    """Whether a run with these options, none of which is for machines, is shown by a live view."""
    return output.progress and not output.quiet and output.verbose < 2 and _is_terminal()


def _is_terminal() -> bool:
    """Whether standard output is a terminal with a cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
