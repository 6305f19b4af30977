"""``aios3sync rm``: deletes objects by name, or all objects below a prefix after counting them."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from aios3sync._dataclass import asdict, replace
from aios3sync.cli.command import run_command
from aios3sync.cli.options import (
    connect_options,
    connection_options,
    output,
    output_options,
    payer_option,
    progress_options,
)
from aios3sync.cli.output.choose import choose_view, result_view
from aios3sync.cli.output.result import CommandResult
from aios3sync.cli.output.summary import Conclusion, conclude_sync, signal_name
from aios3sync.cli.program_command import ProgramCommand
from aios3sync.core.keys import Location, parse_object
from aios3sync.core.text import count, printable, time_taken
from aios3sync.errors import BucketNotFoundError, CredentialsError, StoreError, UsageError
from aios3sync.events import Event, Planned
from aios3sync.report import Failure
from aios3sync.store.protocol import DeleteItem

if TYPE_CHECKING:
    from aios3sync.cli.output.view import Output, View
    from aios3sync.concurrency import Stop
    from aios3sync.options import ConnectOptions
    from aios3sync.report import SyncReport
    from aios3sync.session import Session

__all__ = ("conclude_removal", "rm_command")


@click.command("rm", cls=ProgramCommand, short_help="Delete objects.")
@click.argument("urls", metavar="s3://BUCKET/KEY...", nargs=-1, required=True)
@click.option("--recursive", is_flag=True, help="Delete all objects below one prefix.")
@click.option("--max-delete", type=click.IntRange(0), metavar="N", help="Refuse to delete more than this.")
@click.option("--whole-bucket", is_flag=True, help="Let --recursive delete everything in a bucket.")
@click.option("--dry-run", is_flag=True, help="Print what would be deleted; delete nothing.")
@payer_option
@connection_options
@output_options
@progress_options
def rm_command(urls: tuple[str, ...], **values: Any) -> int:
    """Delete objects. With --recursive: list all objects below a prefix, count them, then delete them.

    The prefix is that of a folder: --recursive s3://b/path deletes path/a, never path-old/a. Nothing is
    deleted if the listing is incomplete or has more than --max-delete objects. In a versioned bucket the
    versions stay.
    """
    shown, connection = output(values), connect_options(values)
    if values["recursive"]:
        return _delete_below(urls, values, connection, shown)
    if values["whole_bucket"]:
        raise UsageError("--whole-bucket goes with --recursive")
    return _delete_named(urls, values, connection, shown)


# All below a prefix: a sync from a source that holds nothing, with its guards.


def _delete_below(
    urls: tuple[str, ...], values: dict[str, Any], connection: ConnectOptions, shown: Output
) -> int:
    if len(urls) != 1:
        raise UsageError("--recursive takes one location")
    location = Location.parse(urls[0])
    if not location.prefix and not values["whole_bucket"]:
        raise UsageError(
            f"{urls[0]!r} is a whole bucket: name a prefix, or add --whole-bucket to delete everything in it"
        )

    async def work(session: Session, view: View, stop: Stop) -> SyncReport:
        def on_event(event: Event) -> None:
            if isinstance(event, Planned) and event.deletes:
                view.close()  # what is drawn must not be below the line
                _announce(event.deletes, location, shown, dry_run=values["dry_run"])
            view(event)

        report = await session.sync(
            {},
            str(location),
            delete="mirror",
            allow_empty_source=True,
            delete_protected=True,
            manifest=False,
            max_delete=values["max_delete"],
            dry_run=values["dry_run"],
            request_payer=bool(values["request_payer"]),
            on_event=on_event,
            stop=stop,
        )
        if report.exit_code == 0 and await _remove_marker(session, location, values, report.deleted):
            report = replace(report, planned=report.planned + 1, deleted=report.deleted + 1)
        return report

    open_view = partial(
        choose_view,
        "rm",
        shown,
        partial(conclude_removal, verbose=shown.verbose),
        heading=f"delete {location}",
        dry_run=values["dry_run"],
    )
    return run_command(work, connection, open_view, orderly=True)


async def _remove_marker(session: Session, location: Location, values: dict[str, Any], deleted: int) -> bool:
    """Delete the object whose key is the prefix, as consoles make for a folder; return whether it existed."""
    if not location.prefix or deleted == values["max_delete"]:
        return False
    payer = bool(values["request_payer"])
    store = await session.store(location.bucket, request_payer=payer)
    page = await store.list_page(location.prefix, max_keys=1)
    if not any(entry.key == location.prefix for entry in page.entries):
        return False
    if not values["dry_run"]:
        await store.delete_one(DeleteItem(location.prefix))
    return True


def _announce(number: int, location: Location, shown: Output, *, dry_run: bool) -> None:
    """Print how many objects will be deleted, before the first delete."""
    if not (shown.quiet or shown.json or shown.events or dry_run):
        print(f"deleting {count(number, 'object')} below {location}", file=sys.stderr, flush=True)


def conclude_removal(report: SyncReport, *, verbose: int) -> Conclusion:
    """Summarize a deletion; failures and refusals are shown as after a sync."""
    verb = "(dry run) would delete" if report.dry_run else "deleted"
    parts = [f"{verb} {count(report.deleted, 'object')}"]
    states = ((state, getattr(report, state)) for state in ("withheld", "failed", "cancelled"))
    parts += [f"{state} {number:,}" for state, number in states if number]
    summary = f"{', '.join(parts)} in {time_taken(report.elapsed_s)}"
    if report.interrupted:
        summary = f"stopped by {signal_name(report.interrupted)}: {summary}"
    return replace(conclude_sync(report, verbose=verbose), summary=summary, note="")


# Named objects.


def _delete_named(
    urls: tuple[str, ...], values: dict[str, Any], connection: ConnectOptions, shown: Output
) -> int:
    addresses = [parse_object(url) for url in urls]
    if values["max_delete"] is not None and len(urls) > values["max_delete"]:
        raise UsageError(f"{len(urls)} objects are named, --max-delete allows {values['max_delete']}")
    payer = bool(values["request_payer"])

    async def work(session: Session, _view: View, _stop: Stop) -> CommandResult:
        from aios3sync.objects.removal import remove_object

        deleted: list[str] = []
        failures: list[Failure] = []
        for url, (bucket, key) in zip(urls, addresses, strict=True):
            store = await session.store(bucket, request_payer=payer)
            try:
                await remove_object(store, key, dry_run=values["dry_run"])
            except (BucketNotFoundError, CredentialsError):
                raise  # no other object could be deleted either
            except StoreError as error:
                failures.append(Failure(url, "delete", str(error)))
            else:
                deleted.append(url)
        return _result(deleted, failures, dry_run=values["dry_run"])

    return run_command(work, connection, result_view("rm", shown))


def _result(deleted: list[str], failures: list[Failure], *, dry_run: bool) -> CommandResult:
    verb = "(dry run) would delete" if dry_run else "deleted"
    document = {
        "command": "rm",
        "dry_run": dry_run,
        "deleted": deleted,
        "errors": [asdict(failure) for failure in failures],
    }
    lines = tuple(f"{'(dry run) would delete' if dry_run else 'delete'}: {printable(url)}" for url in deleted)
    summary = f"{verb} {count(len(deleted), 'object')}" + (f", failed {len(failures):,}" if failures else "")
    code = 0 if not failures else 3 if deleted else 1
    return CommandResult(document, Conclusion(summary, failures=tuple(failures), differences=lines), code)
