"""``aios3sync index follow``: keeps an index current with what a queue tells until it is stopped."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from aios3sync.cli.options import connect_options, output
from aios3sync.cli.output.choose import choose_view
from aios3sync.cli.output.result import CommandResult
from aios3sync.cli.output.summary import Conclusion
from aios3sync.cli.output.view import Output
from aios3sync.cli.runner import execute, exit_code_of_signal
from aios3sync.concurrency import Stop
from aios3sync.core.text import count
from aios3sync.events import Warned
from aios3sync.index.follow.report import FollowOptions, FollowReport

__all__ = ("follow_index",)

_INTERVAL_S: Final = 0.2


def follow_index(queue_url: str, values: Mapping[str, Any]) -> int:
    """Follow until a signal comes, or the queue is empty where that was asked for; the exit code.

    Raises:
        UsageError: an option cannot be what it is.
    """
    told, connection = output(values), connect_options(values)
    given = {name: values[name] for name in ("receivers", "drain", "drop_poison") if values[name] is not None}
    options = FollowOptions(**given, wait=1.0 if values["drain"] else 20.0)
    stop = Stop()
    plain = Output(json=told.json, quiet=told.quiet, verbose=told.verbose, progress=False)
    view = choose_view(
        "index follow", plain, lambda answer: answer.conclusion, partial(stop.request, 13), heading=queue_url
    )
    progress = _Progress(shown=sys.stderr.isatty() and not told.quiet and not told.json)
    warnings: list[str] = []

    def warn(message: str) -> None:
        warnings.append(message)
        progress.clear()
        view(Warned(message))
        view.close()  # it may be long until somebody prints the next line

    async def work(stop: Stop) -> CommandResult:
        from aios3sync.index.db.open import default_database
        from aios3sync.session import connect

        database = values["database"] or default_database()
        opened = {"name": values["name"], "request_payer": bool(values["request_payer"])}
        async with connect(connection) as session, session.index(database, **opened) as index:
            report = await index.follow(queue_url, options=options, stop=stop, warn=warn, progress=progress)
        progress.clear()
        return _answer(report, warnings, stop)

    return execute(work, view, stop, orderly=True)


class _Progress:
    """One line on a terminal that is written anew after each batch."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._last = 0.0

    def __call__(self, report: FollowReport) -> None:
        now = time.monotonic()
        if self._shown and now - self._last >= _INTERVAL_S:
            self._last = now
            print(f"\r\x1b[K{_counts(report)}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _answer(report: FollowReport, warnings: list[str], stop: Stop) -> CommandResult:
    details = ", ".join(f"{number:,} {kind}" for kind, number in sorted(report.other.items()))
    code = exit_code_of_signal(stop.signal) if stop.signal else report.exit_code
    conclusion = Conclusion(
        _counts(report),
        details=f"other events: {details}" if details else "",
        warnings=tuple(warnings),
        note=""
        if not stop.signal
        else "stopped; every message that was received is in the index or comes again",
    )
    return CommandResult(
        {"command": "index follow", **report.as_dict(), "warnings": warnings}, conclusion, code
    )


def _counts(report: FollowReport) -> str:
    text = f"{count(report.messages, 'message')}: {report.upserted:,} put, {report.removed:,} removed"
    more = {"ignored": report.ignored, "unusable": report.poison, "unresolved": report.unresolved}
    return text + "".join(f", {number:,} {name}" for name, number in more.items() if number)
