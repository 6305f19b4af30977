"""``aios3sync verify``: compares the content of both sides and prints what differs; writes nothing."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from aios3sync._dataclass import replace
from aios3sync.cli.catalog_source import catalog_source_of, catalog_source_options
from aios3sync.cli.command import run_command
from aios3sync.cli.option_group import option_group
from aios3sync.cli.options import (
    as_of_option,
    connect_options,
    connection_options,
    filter_options,
    option_name,
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
from aios3sync.cli.values import FILE
from aios3sync.core.keys import SCHEME
from aios3sync.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aios3sync.cli.output.view import View
    from aios3sync.concurrency import Stop
    from aios3sync.session import Session
    from aios3sync.sync.verify_report import VerifyReport

__all__ = ("verify_command",)

_OF_A_SOURCE: Final = ("source_endpoint_url", "source_profile", "source_region")


_receipt_option = option_group(
    click.option(
        "--receipt",
        type=FILE,
        metavar="PLACE",
        help="Compare TARGET with this list of sha256sum, a file or s3://bucket/key, in the place of SOURCE.",
    ),
    title="What is compared",
)


@click.command("verify", cls=ProgramCommand, short_help="Compare the content of both sides.")
@click.argument("source")
@click.argument("target", required=False)
@_receipt_option
@filter_options
@reading_options
@as_of_option
@source_connection_options
@catalog_source_options
@connection_options
@output_options
@progress_options
@click.pass_context
def verify_command(ctx: click.Context, /, source: str, target: str | None, **values: Any) -> int:
    """Compare the content of SOURCE and the target: exit code 0 if they are equal, 6 if not.

    With --receipt there is only the target: its objects are read and compared with that list.
    """
    if values["receipt"] and target is not None:
        if ctx.get_parameter_source("receipt") is ParameterSource.COMMANDLINE:
            raise UsageError("--receipt takes the place of SOURCE; name only the target")
        values["receipt"] = None  # a general setting is for syncs
    if values["receipt"]:
        return _verify_receipt(ctx, source, values)
    if target is None:
        raise click.MissingParameter(ctx=ctx, param=ctx.command.params[1])
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


def _verify_receipt(ctx: click.Context, target: str, values: Mapping[str, Any]) -> int:
    """Compare a target with a list, and return the exit code.

    Raises:
        UsageError: an option is about a source.
    """
    if not target.startswith(SCHEME):
        raise UsageError(
            f"--receipt is compared with objects; for the directory: cd {os.fspath(target)} && sha256sum -c "
            f"{values['receipt']}"
        )
    for name in ("files_from", "gitignore", "as_of", *_OF_A_SOURCE):
        if values.get(name):
            raise UsageError(f"{option_name(name)}: with --receipt there is no source; leave it out")
    shown, options, connection = output(values), sync_options(ctx, values), connect_options(values)

    async def work(session: Session, view: View, _stop: Stop) -> VerifyReport:
        return await session.verify(None, target, options=options, on_event=view)

    conclude = partial(conclude_verify, verbose=shown.verbose)
    heading = f"{values['receipt']} <> {target}"
    return run_command(work, connection, partial(choose_view, "verify", shown, conclude, heading=heading))
