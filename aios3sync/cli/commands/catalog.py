"""``aios3sync catalog``: what a bucket holds by name, and the index in the bucket that knows it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import click

from aios3sync.cli.command import run_command
from aios3sync.cli.commands.catalog_entry import entry_of
from aios3sync.cli.options import (
    connect_options,
    connection_options,
    output,
    output_options,
    payer_option,
)
from aios3sync.cli.output.catalog_tables import change_answer, listing_answer, shown_answer
from aios3sync.cli.output.choose import result_view
from aios3sync.cli.output.result import CommandResult
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
_place = click.argument("url", metavar="s3://BUCKET[/PREFIX]")
_kind = click.option(
    "--kind", type=click.Choice(["datasets", "models"]), default="datasets", help="Of what (datasets)."
)
_config = click.option("--config", metavar="NAME", help="Of a dataset; the default one if not given.")
_revision = click.option("--revision", metavar="NAME", help="The default one if not given.")
_public = click.option("--public", is_flag=True, help="The public manifest as well.")
_acl = click.option("--acl", default="", metavar="ACL", help="Of the public manifest: public-read.")
_replica = click.option(
    "--replica", "replicas", multiple=True, metavar="s3://BUCKET[/PREFIX]", help="Change this copy as well."
)


def catalog_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command here."""
    for decorate in (output_options, connection_options, payer_option, _kind):
        command = decorate(command)
    return command


def _copies(command: Callable[..., Any]) -> Callable[..., Any]:
    for decorate in (_replica, _acl, _public):
        command = decorate(command)
    return command


@click.group("catalog", short_help="Datasets and models of a bucket by name.")
def catalog_command() -> None:
    """List and keep the catalog of datasets or models that lies in a bucket as JSON.

    Its files are those of HG-Localization; its variables HGLOC_* count where AIOS3SYNC_* are not set.
    """


@catalog_command.command("list")
@_url
@click.option(
    "--tier",
    type=click.Choice(["auto", "index", "scan", "public", "all"]),
    default="auto",
    help="Ask this one alone (auto: the fastest that answers); all: the private and the public one together.",
)
@catalog_options
def _list(url: str, *, tier: str, **values: Any) -> int:
    """Show everything in the catalog, and which way it was found."""

    async def work(catalog: Catalog) -> CommandResult:
        listing = await catalog.list(tier=tier)
        unread = await catalog.unread(listing) if tier == "auto" else ""
        return listing_answer(catalog, listing, unread)

    return run_catalog("catalog list", url, values, work)


@catalog_command.command("show")
@_place
@click.argument("name", metavar="ID")
@click.option("--urls", is_flag=True, help="Presigned URLs of the files in its folder as well.")
@click.option("--expires", type=seconds, default="1h", metavar="AGE", help="How long they work (1h).")
@catalog_options
def _show(url: str, name: str, *, urls: bool, expires: float, **values: Any) -> int:
    """Show every version with this id, or the one with this key of the index."""

    async def work(catalog: Catalog) -> CommandResult:
        entries = await catalog.show(name)
        if not entries:
            raise AioS3SyncError(f"{catalog.location} knows no {name!r}; catalog list shows what it knows")
        signed = [await catalog.urls(entry, expires=expires) for entry in entries] if urls else []
        return shown_answer(catalog, entries, signed)

    return run_catalog("catalog show", url, values, work)


@catalog_command.command("add")
@_place
@click.argument("name", metavar="ID")
@_config
@_revision
@click.option("--at", default="", metavar="PREFIX", help="Where its files are, if not where its names say.")
@_copies
@catalog_options
def _add(url: str, name: str, **values: Any) -> int:
    """Add an entry for files that are in the bucket, or bring it up to date."""

    async def work(catalog: Catalog) -> CommandResult:
        return change_answer("catalog add", catalog, await catalog.add(_entry(name, values)), name)

    return run_catalog("catalog add", url, values, work)


@catalog_command.command("remove")
@_place
@click.argument("name", metavar="ID")
@_config
@_revision
@_copies
@catalog_options
def _remove(url: str, name: str, **values: Any) -> int:
    """Take an entry out of the catalog; its files stay."""

    async def work(catalog: Catalog) -> CommandResult:
        return change_answer("catalog remove", catalog, await catalog.remove(_entry(name, values)), name)

    return run_catalog("catalog remove", url, values, work)


@catalog_command.command("rebuild")
@_place
@_replica
@catalog_options
def _rebuild(url: str, **values: Any) -> int:
    """Make the index anew from what is in the bucket; what it knew and is still there is kept."""

    async def work(catalog: Catalog) -> CommandResult:
        return change_answer("catalog rebuild", catalog, await catalog.rebuild(), "")

    return run_catalog("catalog rebuild", url, values, work)


def _entry(name: str, values: dict[str, Any]) -> DatasetEntry | ModelEntry:
    config, revision, place = values["config"], values["revision"], values.get("at", "")
    return entry_of(values["kind"], name, config, revision, place, spelled=_SPELLED)


def run_catalog(command: str, url: str, values: dict[str, Any], work: Work) -> int:
    """Open the session and the catalog, do the work, tell what came of it."""
    shown = output(values)
    if values.get("acl") and not values["public"]:
        raise UsageError("--acl: is of the public manifest; give --public as well")
    _take_settings_of_the_original()
    connection = connect_options(values)
    options: dict[str, Any] = {name: values[name] for name in ("public", "acl", "replicas") if name in values}
    options["request_payer"] = bool(values["request_payer"])

    async def opened(session: Session, _view: View, _stop: Stop) -> CommandResult:
        return await work(session.catalog(url, kind=values["kind"], **options))

    return run_command(opened, connection, result_view(command, shown))


def _take_settings_of_the_original() -> None:
    """Endpoint and credentials as HG-Localization is given them, where nothing else names any."""
    from aios3sync.catalog.layout import setting

    environ = os.environ
    pair = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    if not environ.get("AWS_PROFILE") and not any(environ.get(name) for name in pair):
        found = {name: setting(environ, name) for name in pair}
        environ.update({name: value for name, value in found.items() if value})
    endpoint = setting(environ, "S3_ENDPOINT_URL")
    if endpoint and not (environ.get("AWS_ENDPOINT_URL") or environ.get("AWS_ENDPOINT_URL_S3")):
        environ["AWS_ENDPOINT_URL"] = endpoint
