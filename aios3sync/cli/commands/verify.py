"""``aios3sync verify``: compares the content of both sides and prints what differs; writes nothing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from aios3sync._dataclass import replace
from aios3sync.cli.catalog_source import catalog_source_of, catalog_source_options
from aios3sync.cli.command import run_command
from aios3sync.cli.options import (
    as_of_option,
    connect_options,
    connection_options,
    filter_options,
    output,
    output_options,
    progress_options,
    reading_options,
    source_connect_options,
    source_connection_options,
    sync_options,
)
from aios3sync.cli.output.choose import choose_view
from aios3sync.cli.output.summary import conclude_verify
from aios3sync.cli.program_command import ProgramCommand

if TYPE_CHECKING:
    from aios3sync.cli.output.view import View
    from aios3sync.concurrency import Stop
    from aios3sync.session import Session
    from aios3sync.sync.verify_report import VerifyReport

__all__ = ("verify_command",)


@click.command("verify", cls=ProgramCommand, short_help="Compare the content of both sides.")
@click.argument("source")
@click.argument("target")
@filter_options
@reading_options
@as_of_option
@source_connection_options
@catalog_source_options
@connection_options
@output_options
@progress_options
@click.pass_context
def verify_command(ctx: click.Context, /, source: str, target: str, **values: Any) -> int:
    """Compare the content of SOURCE and the target: exit code 0 if they are equal, 6 if not."""
    named = catalog_source_of(source, values)
    shown, options, connection = output(values), sync_options(ctx, values), connect_options(values)
    conclude = partial(conclude_verify, verbose=shown.verbose)

    async def work(session: Session, view: View, _stop: Stop) -> VerifyReport:
        return await session.verify(
            source if named is None else await named.locate(session),
            target,
            options=options,
            on_event=view,
            source_connect=source_connect_options(values, connection),
        )

    words = replace(shown, kept="the same")
    open_view = partial(choose_view, "verify", words, conclude, heading=f"{source} <> {target}")
    return run_command(work, connection, open_view)
