"""``aios3sync doctor``: probes the behaviour of an endpoint, on keys that it creates and removes."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from aios3sync._dataclass import replace
from aios3sync.cli.command import run_command
from aios3sync.cli.options import (
    connect_options,
    connection_options,
    output,
    output_options,
    payer_option,
)
from aios3sync.cli.output.choose import result_view
from aios3sync.cli.output.result import CommandResult
from aios3sync.cli.output.summary import Conclusion
from aios3sync.cli.program_command import ProgramCommand
from aios3sync.core.text import count, printable
from aios3sync.events import Event, Warned

if TYPE_CHECKING:
    from aios3sync.cli.output.view import View
    from aios3sync.concurrency import Stop
    from aios3sync.objects.doctor.report import DoctorReport
    from aios3sync.session import Session

__all__ = ("doctor_command", "wrapped")

_STATUS: Final = 8


@click.command("doctor", cls=ProgramCommand, profile="bucket", short_help="Probe what an endpoint does.")
@click.argument("url", metavar="s3://BUCKET[/PREFIX]")
@click.option("--read-only", is_flag=True, help="Probe only what needs no write.")
@payer_option
@connection_options
@output_options
def doctor_command(url: str, **values: Any) -> int:
    """Probe a bucket and its endpoint, and explain each answer: rights, clock, ETags, listings, speed, ...

    Writes some keys below PREFIX/.aios3sync/doctor-..., about 22 MiB of traffic, and removes them in any
    case. Syncs use what was found. Exit code 0: all is as S3 documents it; 3: something differs or is
    refused; 1: the bucket cannot be used.
    """
    shown, connection = output(values), connect_options(values)

    async def work(session: Session, view: View, _stop: Stop) -> CommandResult:
        def on_event(event: Event) -> None:
            view.close()  # a status line
            _warn(event)

        payer = bool(values["request_payer"])
        report = await session.doctor(
            url, read_only=values["read_only"], request_payer=payer, on_event=on_event
        )
        return CommandResult(report.as_dict(), _conclude(report), report.exit_code)

    probing = replace(shown, work=f"probing {url}")
    return run_command(work, connection, result_view("doctor", probing))


def _warn(event: Event) -> None:
    """Print the keys that cancelled probes have left, in every kind of output, as there is no report then."""
    if isinstance(event, Warned):
        print(f"warning: {printable(event.message)}", file=sys.stderr, flush=True)


def _conclude(report: DoctorReport) -> Conclusion:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    lines = [
        line
        for finding in report.findings
        for line in wrapped(f"{finding.status:<{_STATUS}} {printable(finding.as_text())}", width)
    ]
    wrong = sum(finding.status not in ("ok", "skipped") for finding in report.findings)
    state = {0: "all that was asked is as S3 documents it", 1: "the bucket cannot be used"}.get(
        report.exit_code, f"{count(wrong, 'difference')}; a sync works around what it can"
    )
    known = f"syncs know of the endpoint: {'; '.join(report.known)}" if report.known else ""
    return Conclusion(
        f"{report.url}: {state} ({count(sum(report.requests.values()), 'request')})",
        warnings=tuple(printable(line) for line in report.left),
        differences=tuple(lines),
        note=known,
    )


def wrapped(line: str, width: int) -> list[str]:
    """Return the line wrapped to ``width`` columns, with the further lines indented below its text.

    Args:
        line: a status and a text.
        width: of the terminal; 0 without a terminal, for no wrapping.
    """
    if len(line) < width or width < 2 * _STATUS:
        return [line]
    import textwrap  # a terminal alone needs it

    indent = " " * (_STATUS + 1)
    return textwrap.wrap(
        line, width - 1, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
