"""Prints the end of a run as lines, independently of the view during the run."""

from __future__ import annotations

from aios3sync._typing import Any, Final
from aios3sync.cli.output.lines import Lines
from aios3sync.cli.output.summary import Conclusion, failure_line
from aios3sync.cli.output.view import Conclude, Output
from aios3sync.core.text import count, printable
from aios3sync.report import MAX_REPORTED_ERRORS, Failure

__all__ = ("PlainReport", "PrintedFailures", "print_conclusion")

_MOST_REMEMBERED: Final = 10 * MAX_REPORTED_ERRORS


class PrintedFailures:
    """The failures that were printed: one that a second comparison finds again is not repeated."""

    def __init__(self) -> None:
        self._printed: set[Failure] = set()

    def is_new(self, failure: Failure) -> bool:
        """Return whether the failure was not printed before; from now on it counts as printed."""
        if failure in self._printed:
            return False
        if len(self._printed) < _MOST_REMEMBERED:
            self._printed.add(failure)
        return True


def print_conclusion(
    out: Lines,
    err: Lines,
    conclusion: Conclusion,
    *,
    printed: PrintedFailures,
    warned: set[str],
    limit: int = 0,
) -> None:
    """Print the end of a run: failures on standard error, then the summary on standard output.

    Args:
        out: standard output.
        err: standard error.
        conclusion: what to print.
        printed: failures that were printed before.
        warned: warnings that were printed before.
        limit: the most failures to print; 0 for all.
    """
    out.flush()
    failures = [failure for failure in conclusion.failures if printed.is_new(failure)]
    for failure in failures[: limit or None]:
        err.line(failure_line(failure))
    if limit and len(failures) > limit:
        err.line(f"... and {count(len(failures) - limit, 'more failure')} (--json lists them)")
    for warning in conclusion.warnings:
        if warning not in warned:
            err.line(f"warning: {warning}")
    if conclusion.more:
        err.line(conclusion.more)
    if conclusion.refused:
        err.line(f"refused: {conclusion.refused}")
    if conclusion.aborted:
        err.line(f"failed: {conclusion.aborted}")
    err.flush()
    for line in conclusion.tables:
        out.styled(line)
    last = [
        *conclusion.differences,
        conclusion.summary,
        *conclusion.also,
        conclusion.details,
        conclusion.note,
    ]
    for line in last:
        if line:
            out.line(line)
    out.flush()


class PlainReport:
    """The end of a run: the summary on standard output, failures on standard error.

    Args:
        out: standard output.
        err: standard error.
        conclude: summarizes a report.
        output: the output options.
    """

    def __init__(self, out: Lines, err: Lines, conclude: Conclude, output: Output) -> None:
        self._out = out
        self._err = err
        self._conclude = conclude
        self._output = output
        self._printed = PrintedFailures()
        self._warned: set[str] = set()

    def report(self, report: Any) -> None:
        """Print the summary; with ``--quiet`` only failures, refusals and the reason of an early end."""
        conclusion = self._conclude(report)
        if not self._output.quiet:
            if conclusion.plan is not None:
                from aios3sync.cli.output.plan_lines import show_plan

                show_plan(conclusion.plan, self._out, verbose=bool(self._output.verbose))
            print_conclusion(self._out, self._err, conclusion, printed=self._printed, warned=self._warned)
            return
        for failure in conclusion.failures:
            if self._printed.is_new(failure):
                self._err.line(failure_line(failure))
        if conclusion.refused:
            self._err.line(f"refused: {printable(conclusion.refused)}")
        if conclusion.aborted:
            self._err.line(f"failed: {printable(conclusion.aborted)}")
        if conclusion.no_receipt:
            self._err.line(f"no receipt was written: {printable(conclusion.no_receipt)}")
        if conclusion.unregistered:
            self._err.line(f"not added to the catalog: {printable(conclusion.unregistered)}")
        self._err.flush()
