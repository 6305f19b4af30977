"""``aios3sync sync``: uploads what changed in a directory, and deletes on request."""

from __future__ import annotations

from typing import Any

import click

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
from aios3sync.cli.plain_sync import PlainSync
from aios3sync.cli.sync_run import run_sync

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

    return run_sync(PlainSync(source, target, options, connection, shown), index, registration)
