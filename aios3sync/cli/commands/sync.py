"""``aios3sync sync``: uploads what changed in a directory, and deletes on request."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from aios3sync._dataclass import replace
from aios3sync.cli.command import run_command
from aios3sync.cli.commands.catalog_entry import registration_of_options, registration_options
from aios3sync.cli.options import (
    RulesCommand,
    comparison_options,
    connect_options,
    connection_options,
    deletion_options,
    filter_options,
    manifest_options,
    output,
    output_options,
    progress_options,
    reading_options,
    sync_options,
    upload_options,
)
from aios3sync.cli.output.choose import choose_view
from aios3sync.cli.output.summary import conclude_sync
from aios3sync.events import Warned

if TYPE_CHECKING:
    from aios3sync.cli.output.view import View
    from aios3sync.concurrency import Stop
    from aios3sync.index.object_index import ObjectIndex
    from aios3sync.report import SyncReport
    from aios3sync.session import Session

__all__ = ("sync_command",)


@click.command("sync", cls=RulesCommand, short_help="Upload a directory to a target.")
@click.argument("source")
@click.argument("target", metavar="s3://BUCKET/PREFIX")
@click.option("--dry-run", is_flag=True, help="Print what a run would do; write nothing.")
@click.option(
    "--index", metavar="URL", help="Keep this object index current: sqlite:///FILE or postgresql://…"
)
@registration_options
@click.option("--no-manifest", is_flag=True, help="Keep no manifest: every run compares everything.")
@deletion_options
@filter_options
@comparison_options
@reading_options
@manifest_options
@upload_options
@connection_options
@output_options
@progress_options
@click.pass_context
def sync_command(ctx: click.Context, /, source: str, target: str, index: str | None, **values: Any) -> int:
    """Upload what changed in SOURCE; delete only what you ask to be deleted."""
    shown, options, connection = output(values), sync_options(ctx, values), connect_options(values)
    registration = registration_of_options(values)

    async def work(session: Session, view: View, stop: Stop) -> SyncReport:
        async with AsyncExitStack() as stack:
            opened = _OpenedIndex()
            if index:
                opened = await _open_index(
                    stack.enter_async_context(session.index(index, request_payer=options.request_payer))
                )
                for text in opened.warnings:
                    view(Warned(text))
            report = await session.sync(
                source,
                target,
                options=options,
                on_event=view,
                stop=stop,
                index=opened.database,
                catalog=registration,
            )
            return replace(report, warnings=(*opened.warnings, *report.warnings))

    open_view = partial(
        choose_view,
        "sync",
        shown,
        partial(conclude_sync, verbose=shown.verbose),
        heading=f"{source} -> {target}",
        dry_run=options.dry_run,
    )
    return run_command(work, connection, open_view, orderly=True)


class _OpenedIndex(NamedTuple):
    """The index of a sync, or the warning that the sync goes on without it."""

    database: ObjectIndex | None = None
    warnings: tuple[str, ...] = ()


async def _open_index(opening: Awaitable[ObjectIndex]) -> _OpenedIndex:
    """Open the index; a database that cannot be used is a warning, as it never fails a sync."""
    from aios3sync.index.rows import IndexUnavailableError

    try:
        return _OpenedIndex(await opening)
    except IndexUnavailableError as error:
        return _OpenedIndex(
            None, (f"{error}; the sync goes on without it, 'aios3sync index reconcile' repairs it",)
        )
