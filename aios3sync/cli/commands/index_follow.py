"""``aios3sync index follow``: keeps an index current with notifications from a queue until it is stopped."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from aios3sync.cli.command import run_command
from aios3sync.cli.options import connect_options, output
from aios3sync.cli.output.choose import result_view
from aios3sync.cli.output.result import CommandResult
from aios3sync.cli.output.status_line import StatusLine
from aios3sync.cli.output.summary import Conclusion
from aios3sync.cli.runner import exit_code_of_signal
from aios3sync.core.text import count
from aios3sync.events import Warned
from aios3sync.index.follow.report import FollowOptions, FollowReport

if TYPE_CHECKING:
    from aios3sync.cli.output.view import View
    from aios3sync.concurrency import Stop
    from aios3sync.session import Session

__all__ = ("follow_index",)


def follow_index(queue_url: str, values: Mapping[str, Any]) -> int:
    """Follow until a signal is received, or with ``--drain`` until the queue is empty; return the exit code.

    Raises:
        UsageError: an option has an invalid value.
    """
    shown, connection = output(values), connect_options(values)
    given = {name: values[name] for name in ("receivers", "drain", "drop_poison") if values[name] is not None}
    options = FollowOptions(**given, wait=1.0 if values["drain"] else 20.0)
    line = StatusLine(shown)
    warnings: list[str] = []

    def progress(report: FollowReport) -> None:
        line.show(partial(_counts, report))

    async def work(session: Session, view: View, stop: Stop) -> CommandResult:
        from aios3sync.index.db.open import default_database

        def warn(message: str) -> None:
            warnings.append(message)
            line.clear()
            view(Warned(message))
            view.close()  # flushed now: the next line may be printed much later

        database = values["index"] or default_database()
        opened = {"name": values["name"], "request_payer": bool(values["request_payer"])}
        async with session.index(database, **opened) as index:
            report = await index.follow(queue_url, options=options, stop=stop, warn=warn, progress=progress)
        line.clear()
        return _result(report, warnings, stop.signal)

    return run_command(work, connection, result_view("index follow", shown), orderly=True)


def _result(report: FollowReport, warnings: list[str], signal: int) -> CommandResult:
    details = ", ".join(f"{number:,} {kind}" for kind, number in sorted(report.other.items()))
    conclusion = Conclusion(
        _counts(report),
        details=f"other events: {details}" if details else "",
        warnings=tuple(warnings),
        note="stopped; every message that was received is in the index or comes again" if signal else "",
    )
    document = {"command": "index follow", **report.as_dict(), "warnings": warnings}
    return CommandResult(document, conclusion, exit_code_of_signal(signal) if signal else report.exit_code)


def _counts(report: FollowReport) -> str:
    text = f"{count(report.messages, 'message')}: {report.upserted:,} upserted, {report.removed:,} removed"
    more = {"ignored": report.ignored, "poison": report.poison, "unresolved": report.unresolved}
    return text + "".join(f", {number:,} {name}" for name, number in more.items() if number)
