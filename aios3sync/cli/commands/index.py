"""``aios3sync index``: fills an object index from S3, and asks it instead of S3."""

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
    backfill_answer,
    folders_answer,
    histogram_answer,
    page_answer,
    reconcile_answer,
    sample_answer,
    totals_answer,
    urls_answer,
)
from aios3sync.cli.output.result import CommandResult
from aios3sync.cli.output.status_line import StatusLine
from aios3sync.cli.values import seconds
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

_AGAIN = "stopped; the same command goes on where it was, or begins anew where it was not far"
Work = Callable[["Session", "ObjectIndex"], Awaitable[CommandResult]]

_database = click.option(
    "--database",
    metavar="URL",
    envvar="AIOS3SYNC_INDEX",
    help="sqlite:///FILE or postgresql://HOST/NAME; a file in the state directory if not given.",
)
_name = click.option("--name", default="main", metavar="NAME", help="Which index of the database (main).")
_target = click.argument("target", metavar="s3://BUCKET[/PREFIX]")
_selection = click.argument("target", metavar="[s3://BUCKET[/PREFIX]]", default="")
_folder = click.option("--folder", is_flag=True, help="What stands directly in it, not all that is below.")
_limit = click.option("--limit", type=int, default=50, metavar="N", help="At most so many rows (50).")
_after = click.option("--after", metavar="CURSOR", help="Go on after a page: the cursor that it ended with.")


def index_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command here."""
    for decorate in (output_options, connection_options, payer_option, _name, _database):
        command = decorate(command)
    return command


@click.group("index", short_help="List, sample and count from a database instead of S3.")
def index_command() -> None:
    """Keep an index of objects in a database, and ask it instead of listing the bucket.

    A prefix is literal, and means every key that begins with it; with --folder, the keys directly in it.
    """


@index_command.command("backfill")
@_target
@click.option("--fresh", is_flag=True, help="Begin anew, also where an earlier one broke off.")
@click.option(
    "--inventory",
    default="",
    metavar="s3://BUCKET/KEY",
    help="Read this S3 Inventory instead of listing: its manifest.json, or the prefix of its configuration.",
)
@index_options
def _backfill(target: str, *, fresh: bool, inventory: str, **values: Any) -> int:
    """List a prefix into the index, and drop the rows of what is gone.

    An inventory is of the past: nothing is dropped, and later changes are left to follow and reconcile.
    """

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        with _progress_shown(output(values)) as on_event:
            report = await index.backfill(target, on_event=on_event, fresh=fresh, inventory=inventory)
        return backfill_answer(report)

    return run_index("index backfill", values, work, stopped=_AGAIN)


@index_command.command("reconcile")
@_target
@click.option("--dry-run", is_flag=True, help="Tell what differs, repair nothing.")
@index_options
def _reconcile(target: str, *, dry_run: bool, **values: Any) -> int:
    """Compare the index with a listing, and repair it: exit code 6 where differences are left."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        with _progress_shown(output(values)) as on_event:
            report = await index.reconcile(target, repair=not dry_run, on_event=on_event)
        return reconcile_answer(report, dry_run=dry_run)

    return run_index("index reconcile", values, work, stopped=_AGAIN)


@index_command.command("page")
@_selection
@_folder
@click.option(
    "--order", type=click.Choice(["key", "uploaded_at", "size", "name"]), default="key", help="By what (key)."
)
@click.option("--desc", is_flag=True, help="The greatest first.")
@_limit
@_after
@click.option("--urls", is_flag=True, help="Presigned URLs as well.")
@index_options
def _page(target: str, *, folder: bool, urls: bool, **values: Any) -> int:
    """Show objects, a page at a time."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        page = await index.page(
            **await known(index, target, folder=folder),
            order=values["order"],
            desc=values["desc"],
            limit=values["limit"],
            after=values["after"],
        )
        return page_answer("index page", page, await index.urls(page) if urls else None)

    return run_index("index page", values, work, asks=True)


@index_command.command("sample")
@_selection
@_folder
@click.option("-n", "--count", "count", type=int, default=10, metavar="N", help="How many (10).")
@click.option("--seed", type=int, metavar="N", help="The same seed picks the same objects.")
@index_options
def _sample(target: str, *, folder: bool, count: int, seed: int | None, **values: Any) -> int:
    """Show random objects, each as likely as any other."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        chosen = await known(index, target, folder=folder)
        return sample_answer(await index.sample(count, **chosen, seed=seed))

    return run_index("index sample", values, work, asks=True)


@index_command.command("totals")
@_selection
@_folder
@index_options
def _totals(target: str, *, folder: bool, **values: Any) -> int:
    """Count objects and bytes."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        totals = await index.totals(**await known(index, target, folder=folder))
        listed = await index.listed(target or f"s3://{(await index.buckets())[0]}")
        return totals_answer(totals, await index.stale(), listed)

    return run_index("index totals", values, work, asks=True)


@index_command.command("folders")
@_selection
@index_options
def _folders(target: str, **values: Any) -> int:
    """Show the folders directly below a prefix, with what is in each."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        chosen = await known(index, target, folder=False)
        return folders_answer(await index.folders(chosen["prefix"], bucket=chosen["bucket"]))

    return run_index("index folders", values, work, asks=True)


@index_command.command("search")
@click.argument("text")
@_selection
@_folder
@_limit
@_after
@index_options
def _search(text: str, target: str, *, folder: bool, **values: Any) -> int:
    """Show objects whose name contains TEXT, small and capital letters alike."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        chosen = await known(index, target, folder=folder)
        page = await index.search(text, **chosen, limit=values["limit"], after=values["after"])
        return page_answer("index search", page, None)

    return run_index("index search", values, work, asks=True)


@index_command.command("histogram")
@_selection
@_folder
@click.option("--by", type=click.Choice(["extension", "size", "month"]), default="extension", help="Of what.")
@index_options
def _histogram(target: str, *, folder: bool, by: Any, **values: Any) -> int:
    """Count objects and bytes by extension, size or month."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        chosen = await known(index, target, folder=folder)
        return histogram_answer(by, await index.histogram(by, **chosen))

    return run_index("index histogram", values, work, asks=True)


@index_command.command("urls")
@_selection
@_folder
@_limit
@_after
@click.option("--expires", type=seconds, default="1h", metavar="AGE", help="How long they work (1h).")
@index_options
def _urls(target: str, *, folder: bool, expires: float, **values: Any) -> int:
    """Print presigned URLs of objects, a page at a time."""

    async def work(_: Session, index: ObjectIndex) -> CommandResult:
        chosen = await known(index, target, folder=folder)
        page = await index.page(**chosen, limit=values["limit"], after=values["after"])
        return urls_answer(page, await index.urls(page, expires=expires))

    return run_index("index urls", values, work, asks=True)


@index_command.command("follow")
@click.argument("queue_url", metavar="QUEUE-URL")
@click.option("--drain", is_flag=True, help="End when the queue is empty.")
@click.option("--receivers", type=int, metavar="N", help="Requests that wait for messages at once (4).")
@click.option("--drop-poison", is_flag=True, help="Delete messages that are no notifications of S3.")
@index_options
def _follow(queue_url: str, **values: Any) -> int:
    """Keep the index current with S3 event notifications from an SQS queue, until it is stopped.

    Events may come straight from S3, through SNS or through EventBridge. A message is deleted when the index
    has what it told; one that is no notification stays, hidden for longer each time it comes. Exit code 3
    where there were any.
    """
    from aios3sync.cli.commands.index_follow import follow_index

    return follow_index(queue_url, values)


def selection(target: str, *, folder: bool) -> dict[str, Any]:
    """The arguments of a question: a literal prefix, or a folder; nothing means all of the only bucket."""
    if not target:
        return {"bucket": "", "prefix": "", "folder": "" if folder else None}
    location = Location.parse(target)
    prefix = target.removeprefix(f"s3://{location.bucket}").removeprefix("/")
    if folder:
        return {"bucket": location.bucket, "prefix": "", "folder": prefix}
    return {"bucket": location.bucket, "prefix": prefix, "folder": None}


async def known(index: ObjectIndex, target: str, *, folder: bool) -> dict[str, Any]:
    """A selection of what the index knows something of; "nothing is there" is said of nothing else."""
    chosen = selection(target, folder=folder)
    buckets = await index.buckets()
    if chosen["bucket"] and chosen["bucket"] not in buckets and await index.listed(target) is None:
        holds = f"it holds {', '.join(buckets)}" if buckets else "it is empty"
        raise UsageError(
            f"the index knows nothing of bucket {chosen['bucket']!r} ({holds}); "
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
    """A sink for the progress of backfill and reconcile, shown on a line of the terminal."""
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
    command: str, values: dict[str, Any], work: Work, *, asks: bool = False, stopped: str = ""
) -> int:
    """Open the session and the index, do the work, tell what came of it.

    Args:
        command: its name, for documents.
        values: of the options.
        work: makes the answer.
        asks: it writes nothing, so there has to be an index.
        stopped: what to tell where a signal ended it.
    """
    shown = output(values)
    connection = connect_options(values)
    if not values["name"]:
        raise UsageError("--name: an index needs a name")

    async def opened(session: Session, _view: View, _stop: Stop) -> CommandResult:
        from aios3sync.index.db.open import default_database, refuse_absent

        database = values["database"] or default_database()
        if asks:
            await to_thread.run_sync(refuse_absent, database)
        options = {"name": values["name"], "request_payer": bool(values["request_payer"])}
        async with session.index(database, **options) as index:
            return await work(session, index)

    text = "" if shown.quiet else stopped
    return run_command(opened, connection, result_view(command, shown), stopped=text)
