"""``aios3sync index``: fills an object index from S3, and queries it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click
from anyio import to_thread

from aios3sync.cli.command import run_command
from aios3sync.cli.options import (
    connect_options,
    connection_options,
    output,
    output_options,
    payer_option,
)
from aios3sync.cli.output.choose import result_view
from aios3sync.cli.output.index_tables import (
    backfill_result,
    folders_result,
    histogram_result,
    page_result,
    reconcile_result,
    sample_result,
    totals_result,
    urls_result,
)
from aios3sync.cli.output.result import CommandResult
from aios3sync.cli.output.status_line import StatusLine
from aios3sync.cli.program_command import ProgramGroup
from aios3sync.cli.values import DATABASE, seconds
from aios3sync.core.keys import Location
from aios3sync.core.text import count
from aios3sync.errors import UsageError

if TYPE_CHECKING:
    from aios3sync.cli.output.view import Output, View
    from aios3sync.concurrency import Stop
    from aios3sync.index.backfill import IndexProgress, IndexSink
    from aios3sync.index.object_index import ObjectIndex
    from aios3sync.session import Session

__all__ = ("index_command", "index_options", "run_index")

_STOPPED = "stopped; run the same command again: it goes on from its last checkpoint, if there is one"
Work = Callable[["Session", "ObjectIndex"], Awaitable[CommandResult]]

_database = click.option(
    "--index",
    type=DATABASE,
    metavar="URL",
    envvar="AIOS3SYNC_INDEX",
    help="sqlite:///FILE or postgresql://HOST/NAME (a file in the state directory).",
)
_name = click.option(
    "--name", default="main", metavar="NAME", help="The name of the index in the database (main)."
)
_target = click.argument("target", metavar="s3://BUCKET[/PREFIX]")
_selection = click.argument("target", metavar="[s3://BUCKET[/PREFIX]]", default="")
_folder = click.option("--folder", is_flag=True, help="Only what is directly in the folder, not below it.")
_limit = click.option("--limit", type=int, default=50, metavar="N", help="The most rows to show (50).")
_after = click.option(
    "--after", metavar="CURSOR", help="Show the next page: CURSOR is printed below each page."
)


def index_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all of these commands have."""
    for decorate in (output_options, connection_options, payer_option, _name, _database):
        command = decorate(command)
    return command


@click.group("index", cls=ProgramGroup, short_help="List, sample and count from a database instead of S3.")
def index_command() -> None:
    """Keep an index of objects in a database, and query it instead of listing the bucket.

    A prefix selects every key that begins with it; with --folder, the keys directly in that folder.
    """


@index_command.command("backfill")
@_target
@click.option(
    "--fresh", is_flag=True, help="Start from the beginning, not where an interrupted backfill ended."
)
@click.option(
    "--inventory",
    default="",
    metavar="s3://BUCKET/KEY",
    help="Read this S3 Inventory instead of listing: its manifest.json, or the prefix of its configuration.",
)
@index_options
def _backfill(target: str, *, fresh: bool, inventory: str, **values: Any) -> int:
    """List a prefix into the index, and delete the rows of objects that are gone.

    An inventory may be a day old: no rows are deleted, and follow or reconcile add the later changes.
    """

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        with _progress_shown(output(values)) as on_event:
            report = await index.backfill(target, on_event=on_event, fresh=fresh, inventory=inventory)
        return backfill_result(report)

    return run_index("index backfill", values, work, stopped=_STOPPED)


@index_command.command("reconcile")
@_target
@click.option("--dry-run", is_flag=True, help="Show what differs, repair nothing.")
@index_options
def _reconcile(target: str, *, dry_run: bool, **values: Any) -> int:
    """Compare the index with a listing, and repair it; exit code 6 where differences are left."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        with _progress_shown(output(values)) as on_event:
            report = await index.reconcile(target, repair=not dry_run, on_event=on_event)
        return reconcile_result(report, dry_run=dry_run)

    return run_index("index reconcile", values, work, stopped=_STOPPED)


@index_command.command("page")
@_selection
@_folder
@click.option(
    "--order",
    type=click.Choice(["key", "uploaded_at", "size", "name"]),
    default="key",
    help="The order of the rows (key).",
)
@click.option("--desc", is_flag=True, help="In descending order.")
@_limit
@_after
@click.option("--urls", is_flag=True, help="Also print presigned URLs.")
@index_options
def _page(target: str, *, folder: bool, urls: bool, **values: Any) -> int:
    """Show objects, a page at a time."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        page = await index.page(
            **await _indexed_selection(index, target, folder=folder),
            order=values["order"],
            desc=values["desc"],
            limit=values["limit"],
            after=values["after"],
        )
        return page_result("index page", page, await index.urls(page) if urls else None)

    return run_index("index page", values, work, reads_only=True)


@index_command.command("sample")
@_selection
@_folder
@click.option("-n", "--count", "count", type=int, default=10, metavar="N", help="How many objects (10).")
@click.option("--seed", type=int, metavar="N", help="The same seed selects the same objects.")
@index_options
def _sample(target: str, *, folder: bool, count: int, seed: int | None, **values: Any) -> int:
    """Show random objects; all have the same probability."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        chosen = await _indexed_selection(index, target, folder=folder)
        return sample_result(await index.sample(count, **chosen, seed=seed))

    return run_index("index sample", values, work, reads_only=True)


@index_command.command("totals")
@_selection
@_folder
@index_options
def _totals(target: str, *, folder: bool, **values: Any) -> int:
    """Count objects and bytes."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        totals = await index.totals(**await _indexed_selection(index, target, folder=folder))
        listed = await index.listed(target or f"s3://{(await index.buckets())[0]}")
        return totals_result(totals, await index.stale(), listed)

    return run_index("index totals", values, work, reads_only=True)


@index_command.command("folders")
@_selection
@index_options
def _folders(target: str, **values: Any) -> int:
    """Show the folders directly below a prefix, with the objects and bytes of each."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        chosen = await _indexed_selection(index, target, folder=False)
        return folders_result(await index.folders(chosen["prefix"], bucket=chosen["bucket"]))

    return run_index("index folders", values, work, reads_only=True)


@index_command.command("search")
@click.argument("text")
@_selection
@_folder
@_limit
@_after
@index_options
def _search(text: str, target: str, *, folder: bool, **values: Any) -> int:
    """Show objects whose name contains TEXT; upper and lower case are equal."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        chosen = await _indexed_selection(index, target, folder=folder)
        page = await index.search(text, **chosen, limit=values["limit"], after=values["after"])
        return page_result("index search", page, None)

    return run_index("index search", values, work, reads_only=True)


@index_command.command("histogram")
@_selection
@_folder
@click.option(
    "--by",
    type=click.Choice(["extension", "size", "month"]),
    default="extension",
    help="The groups (extension).",
)
@index_options
def _histogram(target: str, *, folder: bool, by: Any, **values: Any) -> int:
    """Count objects and bytes by extension, size or month."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        chosen = await _indexed_selection(index, target, folder=folder)
        return histogram_result(by, await index.histogram(by, **chosen))

    return run_index("index histogram", values, work, reads_only=True)


@index_command.command("urls")
@_selection
@_folder
@_limit
@_after
@click.option(
    "--expires", type=seconds, default="1h", metavar="AGE", help="How long the URLs are valid (1h)."
)
@index_options
def _urls(target: str, *, folder: bool, expires: float, **values: Any) -> int:
    """Print presigned URLs of objects, a page at a time."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        chosen = await _indexed_selection(index, target, folder=folder)
        page = await index.page(**chosen, limit=values["limit"], after=values["after"])
        return urls_result(page, await index.urls(page, expires=expires))

    return run_index("index urls", values, work, reads_only=True)


@index_command.command("follow")
@click.argument("queue_url", metavar="QUEUE-URL")
@click.option("--drain", is_flag=True, help="Exit when the queue is empty.")
@click.option("--receivers", type=int, metavar="N", help="Concurrent requests that wait for messages (4).")
@click.option("--drop-poison", is_flag=True, help="Delete messages that are not S3 notifications.")
@index_options
def _follow(queue_url: str, **values: Any) -> int:
    """Keep the index current with S3 event notifications from an SQS queue, until it is stopped.

    Events may come from S3 directly, through SNS or through EventBridge. A message is deleted once the
    index has its changes. A message that is not a notification stays in the queue, hidden for longer each
    time it is received; exit code 3 where there were any.
    """
    from aios3sync.cli.commands.index_follow import follow_index

    return follow_index(queue_url, values)


def _selected(target: str, *, folder: bool) -> dict[str, Any]:
    """Return the arguments of a query: a prefix or a folder; no target selects the only bucket."""
    if not target:
        return {"bucket": "", "prefix": "", "folder": "" if folder else None}
    location = Location.parse(target)
    prefix = target.removeprefix(f"s3://{location.bucket}").removeprefix("/")
    if folder:
        return {"bucket": location.bucket, "prefix": "", "folder": prefix}
    return {"bucket": location.bucket, "prefix": prefix, "folder": None}


async def _indexed_selection(index: ObjectIndex, target: str, *, folder: bool) -> dict[str, Any]:
    """Return a selection of a bucket that is in the index.

    Raises:
        UsageError: the bucket is not in the index, where an empty result would be misleading.
    """
    chosen = _selected(target, folder=folder)
    buckets = await index.buckets()
    if chosen["bucket"] and chosen["bucket"] not in buckets and await index.listed(target) is None:
        content = f"it has {', '.join(buckets)}" if buckets else "it is empty"
        raise UsageError(
            f"bucket {chosen['bucket']!r} is not in the index ({content}); "
            f"'aios3sync index backfill {target}' fills it"
        )
    return chosen


_PHASES: Final = {
    "list": "listed",
    "sweep": "listed, deleting the rows of what is gone:",
    "build": "listed, building search trees",
}


@contextmanager
def _progress_shown(shown: Output) -> Iterator[IndexSink]:
    """Return a sink that shows the progress of backfill and reconcile on a line of the terminal."""
    line = StatusLine(shown)

    def on_event(event: IndexProgress, /) -> None:
        line.show(partial(_progress_text, event), at_once=event.phase == "build")

    try:
        yield on_event
    finally:
        line.clear()


def _progress_text(event: IndexProgress) -> str:
    parts = f", part {event.parts_done:,} of {event.parts:,}" if event.parts else ""
    listed = f"{count(event.listed, 'object')} {_PHASES[event.phase]}"
    return f"{listed}{parts}, {count(event.written, 'row')} written"


def run_index(
    command: str, values: dict[str, Any], work: Work, *, reads_only: bool = False, stopped: str = ""
) -> int:
    """Do the work with the index, print its result and return the exit code.

    Args:
        command: its name, for JSON documents.
        values: of the options.
        work: makes the result.
        reads_only: whether the command never creates a missing database.
        stopped: printed if a signal ended the work, unless with ``--quiet``.
    """
    shown = output(values)
    connection = connect_options(values)
    if not values["name"]:
        raise UsageError("--name: an index needs a name")

    async def opened(session: Session, _view: View, _stop: Stop) -> CommandResult:
        from aios3sync.index.db.open import default_database, refuse_absent

        database = values["index"] or default_database()
        if reads_only:
            await to_thread.run_sync(refuse_absent, database)
        options = {"name": values["name"], "request_payer": bool(values["request_payer"])}
        async with session.index(database, **options) as index:
            return await work(session, index)

    text = "" if shown.quiet else stopped
    return run_command(opened, connection, result_view(command, shown), stopped=text)
