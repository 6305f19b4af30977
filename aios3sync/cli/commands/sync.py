"""``aios3sync sync``: transfers changes from a directory to a bucket, or back; deletes on request."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from aios3sync.cli.catalog_source import catalog_source_of, catalog_source_options
from aios3sync.cli.commands.catalog_entry import registration_of_options, registration_options
from aios3sync.cli.option_group import option_group
from aios3sync.cli.options import (
    comparison_options,
    connect_options,
    connection_options,
    copy_options,
    deletion_options,
    download_options,
    filter_options,
    inventory_options,
    manifest_options,
    named_by_option,
    output,
    output_options,
    progress_options,
    reading_options,
    source_connect_options,
    sync_options,
    upload_options,
)
from aios3sync.cli.plain_sync import PlainSync
from aios3sync.cli.program_command import ProgramCommand
from aios3sync.cli.sync_run import run_plan, run_sync
from aios3sync.cli.values import DATABASE, FILE
from aios3sync.cli.watch_options import check_watch, watch_options, watch_times
from aios3sync.core.keys import CATALOG_SCHEME, SCHEME
from aios3sync.errors import UsageError
from aios3sync.sync.upload_options import check_upload_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aios3sync.options import SyncOptions

__all__ = ("sync_command",)

_BUCKETS: Final = (SCHEME, CATALOG_SCHEME)


_EXAMPLES: Final = """\b
Examples:
  aios3sync sync data s3://my-bucket/data                  upload what changed
  aios3sync sync data s3://my-bucket/data --dry-run        print what would be done
  aios3sync sync data s3://my-bucket/data --delete-tracked and delete what we uploaded and is gone here
  aios3sync sync s3://my-bucket/data data                  download what changed
  aios3sync sync s3://my-bucket/data s3://other/data       copy between buckets
  aios3sync sync data s3://my-bucket --exclude '*' --include '*.jpg'
  aios3sync sync @site                                     the profile 'site' of aios3sync.toml

\b
Environment: AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID …; AIOS3SYNC_CONFIG;
AIOS3SYNC_WORKERS and so on for each option of one value or none; all in --help-connection."""

_run_options = option_group(
    click.option("--dry-run", is_flag=True, help="Print what a run would do; write nothing."),
    click.option(
        "--plan",
        type=FILE,
        metavar="FILE",
        help="Write what a run would do to this file, for 'aios3sync apply'; do nothing.",
    ),
    click.option(
        "--index",
        type=DATABASE,
        metavar="URL",
        help="Keep this object index current: sqlite:///FILE or postgresql://…",
    ),
    click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Run on a Dask cluster: tcp://HOST:8786, or local:N for N processes here.",
    ),
    click.option(
        "--receipt",
        type=FILE,
        metavar="PLACE",
        help="Once all is in step, write a list of it for 'sha256sum -c' and 'verify --receipt': a file, or "
        "s3://bucket/key.",
    ),
    title="What is done",
)
_no_manifest = option_group(
    click.option("--no-manifest", is_flag=True, help="Keep no manifest: every run compares everything."),
    title="Manifest",
)


@click.command(
    "sync",
    cls=ProgramCommand,
    short_help="Sync a directory to a bucket, back, or between buckets.",
    epilog=_EXAMPLES,
)
@click.argument("source")
@click.argument("target")
@_run_options
@watch_options
@_no_manifest
@registration_options
@catalog_source_options
@deletion_options
@filter_options
@comparison_options
@inventory_options
@reading_options
@manifest_options
@upload_options
@download_options
@copy_options
@connection_options
@output_options
@progress_options
@click.pass_context
def sync_command(
    ctx: click.Context, /, source: str, target: str, index: str | None, cluster: str | None, **values: Any
) -> int:
    """Bring TARGET in step with SOURCE: each is a directory or s3://BUCKET/PREFIX, not both directories.

    SOURCE may also be catalog:ID, the files of an entry of a catalog.

    Only what changed is transferred, and only what you ask to be deleted is deleted.
    """
    named = catalog_source_of(source, values)
    if index and source.startswith(_BUCKETS) and not target.startswith(SCHEME):
        # What is written to buckets keeps it current; a general setting means nothing to a download.
        index = index if ctx.get_parameter_source("index") is ParameterSource.COMMANDLINE else None
    shown, options, connection = output(values), sync_options(ctx, values), connect_options(values)
    _check_direction(source, target, options)
    if options.source_listing or options.target_listing:
        # The allocator that pyarrow takes by default holds some 35 MB more, as it hardly gives any back.
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    registration = registration_of_options(values)
    source_connection = source_connect_options(values, connection)

    plain = PlainSync(source, target, options, connection, shown, source_connection, named)
    check_watch(values)
    _check_cluster(cluster, values)
    if values["watch"]:
        from aios3sync.cli.watch_run import run_watch

        return run_watch(plain, watch_times(values), values["watch_queue"] or "", index)
    if values["plan"]:
        return run_plan(plain, values["plan"], registration)
    return run_sync(plain, index, registration, cluster)


def _check_cluster(cluster: str | None, values: Mapping[str, Any]) -> None:
    """Check the name of the cluster, and the options that are combined with it.

    Raises:
        UsageError: the name is invalid, or an option is impossible with it.
    """
    if cluster is None:
        return
    for name in ("watch", "plan"):
        if values[name]:
            raise UsageError(f"--{name} is for one process; leave out --cluster")
    from aios3sync.distributed.addresses import checked_cluster

    checked_cluster(cluster)


def _check_direction(source: str, target: str, options: SyncOptions) -> None:
    """Check the options of a download or a copy, as the session does, by their names on the command line.

    Raises:
        UsageError: one of them is meaningless in this direction.
    """
    if target.startswith(SCHEME) and options.trash is not None:
        from aios3sync.core.keys import Location
        from aios3sync.sync.trash_options import check_trash

        trash = options.trash
        named_by_option(lambda: check_trash(trash, Location.parse(target), None))
    if source.startswith(_BUCKETS) and target.startswith(SCHEME):
        from aios3sync.sync.copy_options import check_copy_options

        named_by_option(lambda: check_copy_options(options))
    elif source.startswith(_BUCKETS):
        from aios3sync.sync.download_options import check_download_options

        named_by_option(lambda: check_download_options(options, os.path.abspath(target)))
    elif options.source_listing:
        raise UsageError("--source-listing: the source is no bucket; leave it out")
    else:
        named_by_option(lambda: check_upload_options(options))
