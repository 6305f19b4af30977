"""``aios3sync job``: one sync for another program; a JSON document in, JSON lines out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from aios3sync.cli.command import run_command
from aios3sync.cli.errors import exit_code_of
from aios3sync.cli.output.json_lines import EventLines
from aios3sync.cli.output.lines import standard_lines
from aios3sync.cli.program_command import ProgramCommand
from aios3sync.errors import UsageError

if TYPE_CHECKING:
    from aios3sync.concurrency import Stop
    from aios3sync.report import SyncReport
    from aios3sync.session import Session

__all__ = ("job_command",)


def _read_input() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise UsageError(f"standard input cannot be read: {error.strerror or error}") from None


@click.command("job", cls=ProgramCommand, short_help="Run a sync for another program: JSON in, JSON out.")
@click.option("-v", "--verbose", count=True, help="-vv prints tracebacks on standard error.")
def job_command(verbose: int) -> int:
    """Run the sync that the JSON document on standard input asks for.

    The document names "source" (a directory or a bucket) or "files" (a list of {"path", "key",
    "content_type", "metadata"}), "target", and any option of sync in snake_case or camelCase, for example
    "delete", "maxWorkers", "endpointUrl"; a "catalog" is an object such as {"dataset": "org/name"}. Standard
    output has one JSON object a line, each with its "time": an "uploaded", "downloaded", "copied",
    "deleted" or "failed" event for each file, with running totals, and at the end "finished" with the
    "report", or "error". A list of files is the whole source: with "delete": true every other object below
    the target is deleted, as far as the guards allow.
    """
    from aios3sync.cli.commands.job_document import read_job

    def open_view(on_lost: Callable[[], None] | None) -> EventLines:
        return EventLines(standard_lines(on_lost)[0], quiet=verbose < 2, verbose=verbose > 1)

    try:
        job = read_job(_read_input())
    except UsageError as error:
        open_view(None).fail(error)
        return exit_code_of(error)

    async def work(session: Session, view: EventLines, stop: Stop) -> SyncReport:
        return await session.sync(
            job.source,
            job.target,
            options=job.options,
            on_event=view,
            stop=stop,
            overrides=job.overrides,
            catalog=job.catalog,
            source_connect=job.source_connection,
        )

    return run_command(work, job.connection, open_view, orderly=True)
