"""``aios3sync catalog``: lists and edits the catalog of datasets or models in a bucket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import click

from aios3sync.cli.catalog_source import use_hg_localization_settings
from aios3sync.cli.command import run_command
from aios3sync.cli.commands.catalog_entry import entry_of
from aios3sync.cli.options import (
    connect_options,
    connection_options,
    output,
    output_options,
    payer_option,
)
from aios3sync.cli.output.catalog_tables import change_result, listing_result, shown_result
from aios3sync.cli.output.choose import result_view
from aios3sync.cli.output.result import CommandResult
from aios3sync.cli.program_command import ProgramGroup
from aios3sync.cli.values import seconds
from aios3sync.errors import AioS3SyncError, UsageError

if TYPE_CHECKING:
    from aios3sync.catalog import Catalog, DatasetEntry, ModelEntry
    from aios3sync.cli.output.view import View
    from aios3sync.concurrency import Stop
    from aios3sync.session import Session

__all__ = ("catalog_command", "catalog_options", "run_catalog")

Work = Callable[["Catalog"], Awaitable[CommandResult]]
_SPELLED: Final = {"dataset": "ID", "model": "ID", "config": "--config", "revision": "--revision"}

_url = click.argument("url", metavar="[s3://BUCKET[/PREFIX]]", default="")
_location = click.argument("url", metavar="s3://BUCKET[/PREFIX]")
_kind = click.option(
    "--kind", type=click.Choice(["datasets", "models"]), default="datasets", help="Which catalog (datasets)."
)
_config = click.option("--config", metavar="NAME", help="The config of a dataset (the default one).")
_revision = click.option("--revision", metavar="NAME", help="The revision (the default one).")
_public = click.option("--public", is_flag=True, help="Change the public manifest as well.")
_acl = click.option("--acl", default="", metavar="ACL", help="The ACL of the public manifest: public-read.")
_replica = click.option(
    "--replica", "replicas", multiple=True, metavar="s3://BUCKET[/PREFIX]", help="Change this copy as well."
)


def catalog_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all of these commands have."""
    for decorate in (output_options, connection_options, payer_option, _kind):
        command = decorate(command)
    return command


def _copy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for decorate in (_replica, _acl, _public):
        command = decorate(command)
    return command


@click.group("catalog", cls=ProgramGroup, short_help="List and edit the datasets and models of a bucket.")
def catalog_command() -> None:
    """List and edit the catalog of datasets or models that a bucket contains as JSON.

    The format is that of HG-Localization; its variables HGLOC_* apply where AIOS3SYNC_* are not set.
    """


@catalog_command.command("list")
@_url
@click.option(
    "--tier",
    type=click.Choice(["auto", "index", "scan", "public", "all"]),
    default="auto",
    help="Read only this source (auto: the fastest available; all: the private and the public one).",
)
@catalog_options
def _list(url: str, *, tier: str, **values: Any) -> int:
    """Show all entries of the catalog, and where they were found."""

    async def work(catalog: Catalog) -> CommandResult:
        listing = await catalog.list(tier=tier)
        unread = await catalog.unread(listing) if tier == "auto" else ""
        return listing_result(catalog, listing, unread)

    return run_catalog("catalog list", url, values, work)


@catalog_command.command("show")
@_location
@click.argument("name", metavar="ID")
@click.option("--urls", is_flag=True, help="Also print presigned URLs of its files.")
@click.option(
    "--expires", type=seconds, default="1h", metavar="AGE", help="How long the URLs are valid (1h)."
)
@catalog_options
def _show(url: str, name: str, *, urls: bool, expires: float, **values: Any) -> int:
    """Show all versions with this id, or the one with this key of the index."""

    async def work(catalog: Catalog) -> CommandResult:
        entries = await catalog.show(name)
        if not entries:
            raise AioS3SyncError(
                f"{catalog.location} has no {name!r}; 'aios3sync catalog list' shows its entries"
            )
        signed = [await catalog.urls(entry, expires=expires) for entry in entries] if urls else []
        return shown_result(catalog, entries, signed)

    return run_catalog("catalog show", url, values, work)


@catalog_command.command("add")
@_location
@click.argument("name", metavar="ID")
@_config
@_revision
@click.option(
    "--at", default="", metavar="PREFIX", help="The prefix of its files, if not the one that its names give."
)
@_copy_options
@catalog_options
def _add(url: str, name: str, **values: Any) -> int:
    """Add an entry for files that are in the bucket, or update it."""

    async def work(catalog: Catalog) -> CommandResult:
        return change_result("catalog add", catalog, await catalog.add(_entry(name, values)), name)

    return run_catalog("catalog add", url, values, work)


@catalog_command.command("remove")
@_location
@click.argument("name", metavar="ID")
@_config
@_revision
@_copy_options
@catalog_options
def _remove(url: str, name: str, **values: Any) -> int:
    """Remove an entry from the catalog; its files stay."""

    async def work(catalog: Catalog) -> CommandResult:
        return change_result("catalog remove", catalog, await catalog.remove(_entry(name, values)), name)

    return run_catalog("catalog remove", url, values, work)


@catalog_command.command("rebuild")
@_location
@_replica
@catalog_options
def _rebuild(url: str, **values: Any) -> int:
    """Rebuild the index from the objects of the bucket; entries whose files are still there are kept."""

    async def work(catalog: Catalog) -> CommandResult:
        return change_result("catalog rebuild", catalog, await catalog.rebuild(), "")

    return run_catalog("catalog rebuild", url, values, work)


def _entry(name: str, values: dict[str, Any]) -> DatasetEntry | ModelEntry:
    config, revision, place = values["config"], values["revision"], values.get("at", "")
    return entry_of(values["kind"], name, config, revision, place, spelled=_SPELLED)


def run_catalog(command: str, url: str, values: dict[str, Any], work: Work) -> int:
    """Do the work with the catalog, print its result and return the exit code."""
    shown = output(values)
    if values.get("acl") and not values["public"]:
        raise UsageError("--acl: applies to the public manifest; give --public as well")
    use_hg_localization_settings()
    connection = connect_options(values)
    options: dict[str, Any] = {name: values[name] for name in ("public", "acl", "replicas") if name in values}
    options["request_payer"] = bool(values["request_payer"])

    async def opened(session: Session, _view: View, _stop: Stop) -> CommandResult:
        return await work(session.catalog(url, kind=values["kind"], **options))

    return run_command(opened, connection, result_view(command, shown))
