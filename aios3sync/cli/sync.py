"""``aios3sync sync``: brings a target in step with a directory."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import click

from aios3sync.cli.catalog_entry import registration_of_options, registration_options
from aios3sync.cli.options import (
    RuledCommand,
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
from aios3sync.cli.summary import conclude_sync
from aios3sync.cli.views import choose_view

__all__ = ("sync_command",)


@click.command("sync", cls=RuledCommand, short_help="Bring a target in step with a directory.")
@click.argument("source")
@click.argument("target", metavar="s3://BUCKET/PREFIX")
@click.option("--dry-run", is_flag=True, help="Decide and tell, write nothing.")
@click.option(
    "--index", metavar="URL", help="Tell an object index what is done: sqlite:///FILE or postgresql://…"
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
    told, options, connection = output(values), sync_options(ctx, values), connect_options(values)
    registration = registration_of_options(values)
    # Loaded here: a wrong command line should cost nothing.
    from aios3sync.cli.execution import execute
    from aios3sync.run import Stop
    from aios3sync.session import connect

    stop = Stop()
    view = choose_view(
        "sync",
        told,
        partial(conclude_sync, verbose=told.verbose),
        partial(stop.request, 13),
        heading=f"{source} -> {target}",
        dry_run=options.dry_run,
    )

    async def work(stop: Stop) -> Any:
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(connect(connection))
            told_index = await stack.enter_async_context(session.index(index)) if index else None
            return await session.sync(
                source,
                target,
                options=options,
                on_event=view,
                stop=stop,
                index=told_index,
                catalog=registration,
            )

    return execute(work, view, stop, orderly=True)
