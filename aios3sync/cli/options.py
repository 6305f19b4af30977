"""The options that commands share, as decorators, and their values as ConnectOptions and SyncOptions.

This module has no defaults: an option that is not given stays unset, and the options classes fill it in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

import click

from aios3sync._dataclass import replace
from aios3sync.cli.connection_help import CONNECTION
from aios3sync.cli.option_group import flag, option_group
from aios3sync.cli.output.view import Output
from aios3sync.cli.program_command import ORDER, ProgramCommand
from aios3sync.cli.settings import EXCLUSIVE
from aios3sync.cli.values import (
    FILE,
    http_date,
    moment,
    names,
    pair,
    read_customer_key,
    read_names,
    rules_of_file,
    seconds,
    size,
)
from aios3sync.core.keys import SCHEME
from aios3sync.errors import UsageError
from aios3sync.options import (
    CHARSETS,
    CHECKS,
    DIRECTORY_MARKERS,
    LANES,
    LIST_ORDERS,
    METADATA_DIRECTIVES,
    METADATA_UPDATES,
    ON_BAD_NAME,
    ON_CONFLICT,
    RESTORE_TIERS,
    SYMLINK_MODES,
    ConnectOptions,
    SyncOptions,
)

__all__ = (
    "as_of_option",
    "comparison_options",
    "connect_options",
    "connection_options",
    "copy_options",
    "customer_keys",
    "deletion_options",
    "download_options",
    "filter_options",
    "key_options",
    "manifest_options",
    "manifest_place",
    "named_by_option",
    "output",
    "output_options",
    "payer_option",
    "progress_options",
    "reading_options",
    "source_connect_options",
    "source_connection_options",
    "sync_options",
    "upload_options",
)

_RULES: Final = ("include", "exclude", "exclude_from")
_OPTION_NAMES: Final = {
    "bandwidth": "--bwlimit",
    "anonymous": "--no-sign-request",
    "addressing": "--addressing-style",
    "verify_tls": "--no-verify-ssl",
    "files": "--files-from",
    "tags": "--tag",
    "sse_customer_key": "--sse-c-key-file",
    "source_sse_customer_key": "--source-sse-c-key-file",
    "guess_content_type": "--no-guess-mime-type",
    "rules": "--include/--exclude",
}


def _show_connection_help(ctx: click.Context, _: click.Parameter, *, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        assert isinstance(ctx.command, ProgramCommand)  # noqa: S101 - all commands are
        click.echo(ctx.command.connection_help(ctx), color=ctx.color)
        ctx.exit()


connection_options = option_group(
    click.option("--endpoint-url", metavar="URL", help="An S3 compatible endpoint (AWS)."),
    click.option("--profile", metavar="NAME", help="Profile of the AWS configuration."),
    click.option("--region", metavar="NAME", help="Region of the bucket."),
    flag("--no-sign-request", "anonymous", help="Send unsigned requests."),
    click.option(
        "--addressing-style",
        "addressing",
        type=click.Choice(["auto", "path", "virtual"]),
        help="Where URLs have the name of the bucket.",
    ),
    click.option("--ca-bundle", type=FILE, metavar="FILE", help="Certificate authorities to trust."),
    click.option(
        "--no-verify-ssl", "verify_tls", flag_value=False, default=None, help="Do not check certificates."
    ),
    click.option(
        "--etags",
        type=click.Choice(["auto", "md5", "opaque"]),
        envvar="AIOS3SYNC_ETAGS",
        help="Whether ETags are MD5s: yes (md5), no (opaque), find out again (auto); remembered.",
    ),
    click.option(
        "--lane",
        type=click.Choice(LANES),
        envvar="AIOS3SYNC_LANE",
        help="The transport of the frequent requests.",
    ),
    click.option("--workers", type=int, metavar="N", help="The most requests in flight (256)."),
    click.option(
        "--config-file",
        type=FILE,
        metavar="FILE",
        expose_value=False,
        help="The configuration file, instead of aios3sync.toml or pyproject.toml here or above.",
    ),
    click.option("--no-config", is_flag=True, expose_value=False, help="Read no configuration file."),
    click.option(
        "--help-connection",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=lambda ctx, param, value: _show_connection_help(ctx, param, value=value),
        help="Show these options and the environment variables, and exit.",
    ),
    title=CONNECTION,
)

output_options = option_group(
    click.option("--json", "json", is_flag=True, help="Print one JSON document and nothing else."),
    click.option("-q", "--quiet", is_flag=True, help="Print only errors."),
    click.option("-v", "--verbose", count=True, help="Print more; -vv also prints tracebacks and the log."),
    click.option("--log-json", is_flag=True, help="Log and events as JSON lines on standard error."),
    click.option("--otel", is_flag=True, help="Export spans and metrics, as the OTEL_… variables say."),
    title="Output",
)

progress_options = option_group(
    click.option("--events", is_flag=True, help="Print one JSON object a line during the run."),
    click.option("--no-progress", is_flag=True, help="No live view: one line for each action."),
    title="Output",
)

manifest_options = option_group(
    click.option(
        "--manifest",
        type=FILE,
        metavar="PATH",
        help="The file of the manifest, instead of one in the state directory; or s3://bucket/key or "
        "s3://bucket/folder/, which several machines share.",
    ),
    title="Manifest",
)

filter_options = option_group(
    click.option(
        "--include", multiple=True, metavar="PATTERN", help="Sync what matches; the last matching rule wins."
    ),
    click.option("--exclude", multiple=True, metavar="PATTERN", help="Ignore what matches, on both sides."),
    click.option(
        "--exclude-from", multiple=True, type=FILE, metavar="FILE", help="Read rules: one a line, ! includes."
    ),
    flag("--gitignore", help="Honour the .gitignore files of the source."),
    click.option(
        "--files-from",
        type=FILE,
        metavar="FILE",
        help="Sync only the files that FILE lists, one a line; - is stdin.",
    ),
    click.option(
        "--symlinks", type=click.Choice(SYMLINK_MODES), help="How to treat symbolic links (follow)."
    ),
    click.option(
        "--on-bad-name",
        type=click.Choice(ON_BAD_NAME),
        help="A file whose name cannot be a key fails (fail), is skipped with a warning, or is escaped.",
    ),
    flag("--no-follow-symlinks", help="The same as --symlinks skip."),
    title="Filters",
)

comparison_options = option_group(
    click.option(
        "--check",
        type=click.Choice(CHECKS),
        help="How to find changes: trust the manifest while possible (auto), list, or hash every file.",
    ),
    click.option(
        "--incremental/--no-incremental",
        default=None,
        help="Upload what changed (default) or everything.",
    ),
    flag("--accept-content", help="Upload files whose content changed without their stat."),
    click.option(
        "--max-manifest-age",
        type=seconds,
        metavar="AGE",
        help="How long a listing is trusted by --check auto (24h).",
    ),
    click.option(
        "--list-order",
        type=click.Choice(LIST_ORDERS),
        help="bytes if the endpoint is known to list in byte order, as AWS does (auto); remembered.",
    ),
    flag("--no-list", help="Never list the target, for credentials that may only write; deletes nothing."),
    click.option(
        "--list-workers", type=int, metavar="N", help="Pages of the listing to request at once (up to 32)."
    ),
    click.option(
        "--stat-fields",
        type=names,
        metavar="NAME,NAME",
        help="What must be equal in an unchanged file (size,mtime,ctime,inode).",
    ),
    click.option(
        "--prices",
        metavar="writes=N,reads=N",
        help="Prices of 1,000 requests, for --dry-run (those of AWS in us-east-1, for AWS alone).",
    ),
    click.option(
        "--last",
        type=names,
        metavar="PATTERN,PATTERN",
        help="Transfer these when all the rest has succeeded, for example 'index.html,*.json'.",
    ),
    flag("--track-renames", help="Copy renamed files on the server, instead of sending them again."),
    click.option("--gzip", type=names, metavar="EXT,EXT", help="Compress files with these extensions."),
    title="Comparison",
)

inventory_options = option_group(
    click.option(
        "--target-listing",
        metavar="inventory:s3://BUCKET/PREFIX",
        help="Read the latest S3 Inventory below PREFIX instead of listing the target.",
    ),
    click.option(
        "--source-listing",
        metavar="inventory:s3://BUCKET/PREFIX",
        help="The same for the source, where it is a bucket.",
    ),
    title="Comparison",
)

payer_option = flag("--request-payer", help="Agree to pay for the requests.")

_key_option = click.option(
    "--sse-c-key-file", type=FILE, metavar="FILE", help="The SSE-C key: 32 bytes, raw or base64."
)
_source_key_option = click.option(
    "--source-sse-c-key-file", type=FILE, metavar="FILE", help="Between buckets: the SSE-C key of the source."
)
key_options = option_group(_key_option, _source_key_option)
as_of_option = click.option(
    "--as-of",
    type=moment,
    metavar="TIME",
    help="The versions that were the latest then: 2026-11-30T12:00:00Z, or '2h ago'.",
)

reading_options = option_group(
    click.option("--part-size", type=size, metavar="SIZE", help="Size of the parts of large files (16M)."),
    _key_option,
    payer_option,
    title="Large files and keys",
)

deletion_options = option_group(
    flag("--delete", help="Delete what is not in the source (mirror)."),
    flag("--delete-tracked", help="Delete only what was uploaded from here and not replaced since."),
    click.option("--max-delete", type=int, metavar="N", help="Refuse to delete more than this."),
    click.option(
        "--max-delete-ratio",
        type=float,
        metavar="R",
        help="The same as a share of the objects of the target.",
    ),
    flag("--allow-empty-source", help="Let an empty source delete everything."),
    flag("--delete-excluded", help="Also delete what the filters hide."),
    flag("--delete-protected", help="Also delete objects of other tools."),
    flag("--delete-despite-errors", help="Delete although files could not be read or sent."),
    title="Deletes",
)

download_options = option_group(
    click.option(
        "--on-conflict",
        type=click.Choice(ON_CONFLICT),
        help="Of a download: keep files that were changed here (keep), or overwrite them.",
    ),
    click.option(
        "--no-fsync",
        "fsync",
        flag_value=False,
        default=None,
        help="Of a download: do not wait until files are on the disk.",
    ),
    click.option(
        "--directory-markers",
        type=click.Choice(DIRECTORY_MARKERS),
        help="Of a download: whether empty objects that end in / make directories (skip).",
    ),
    click.option(
        "--trash",
        type=FILE,
        metavar="DIR|s3://BUCKET/PREFIX",
        help="Move what is deleted there: files into a directory, objects below a prefix.",
    ),
    click.option(
        "--restore",
        type=int,
        metavar="DAYS",
        help="Out of a bucket: restore archived objects for so many days; a later run transfers them.",
    ),
    click.option(
        "--restore-tier",
        type=click.Choice(RESTORE_TIERS),
        help="How fast that is, and how expensive (standard).",
    ),
    as_of_option,
    click.option(
        "--no-decode",
        "decode",
        flag_value=False,
        default=None,
        help="Of a download: keep the files of --gzip compressed.",
    ),
    title="Downloads",
)

source_connection_options = option_group(
    click.option(
        "--source-endpoint-url",
        metavar="URL",
        help="Between buckets: the endpoint of the source.",
    ),
    click.option("--source-profile", metavar="NAME", help="Between buckets: the profile for the source."),
    click.option("--source-region", metavar="NAME", help="Between buckets: the region of the source."),
    title="Between buckets",
)

copy_options = option_group(
    source_connection_options,
    _source_key_option,
    click.option(
        "--metadata-directive",
        type=click.Choice(METADATA_DIRECTIVES),
        help="Between buckets: keep metadata and headers (copy), or replace them by those that are given.",
    ),
    click.option(
        "--copy-part-threshold",
        type=size,
        metavar="SIZE",
        help="Between buckets: objects above this are copied in parts (5G).",
    ),
    title="Between buckets",
)

upload_options = option_group(
    click.option(
        "--max-parts", type=int, metavar="N", help="The most parts of one object (the limit of the endpoint)."
    ),
    click.option(
        "--bwlimit", "bandwidth", type=size, metavar="SIZE", help="Bytes a second, for example 10M."
    ),
    click.option(
        "--processes",
        type=int,
        metavar="N",
        help="Processes that send or fetch small files (cores - 1, up to 4); 0 for none.",
    ),
    click.option(
        "--multipart-threshold", type=size, metavar="SIZE", help="Files above this are sent in parts (16M)."
    ),
    click.option(
        "--no-md5chksum",
        "md5chksum",
        flag_value=False,
        default=None,
        help="Hash large files once, without the MD5 of the whole in their metadata, which rclone reads.",
    ),
    click.option("--content-type", metavar="TYPE", help="Content-Type of every object, instead of guessing."),
    click.option(
        "--guess-mime-type/--no-guess-mime-type",
        "guess_content_type",
        default=None,
        help="Guess the Content-Type by the extension.",
    ),
    click.option(
        "--charset",
        type=click.Choice(CHARSETS),
        help="Charset of guessed text types (auto).",
    ),
    click.option("--cache-control", metavar="TEXT", help="Cache-Control header."),
    click.option("--content-disposition", metavar="TEXT", help="Content-Disposition header."),
    click.option("--content-language", metavar="TEXT", help="Content-Language header."),
    click.option("--expires", type=http_date, metavar="DATE", help="Expires header."),
    click.option(
        "--metadata", type=pair, metavar="NAME=VALUE", multiple=True, help="User metadata; may be repeated."
    ),
    click.option(
        "--tag", "tags", type=pair, metavar="NAME=VALUE", multiple=True, help="Object tags; may be repeated."
    ),
    click.option(
        "--header-for",
        multiple=True,
        metavar="PATTERN:NAME=VALUE",
        help="A header for the keys that match, for example '*.html:cache-control=no-cache'.",
    ),
    click.option(
        "--metadata-update",
        type=click.Choice(METADATA_UPDATES),
        help="How unchanged objects get headers that they were not stored with (copy).",
    ),
    click.option("--storage-class", metavar="CLASS", help="For example STANDARD_IA."),
    click.option(
        "--sse",
        is_flag=False,
        flag_value="AES256",
        metavar="[AES256|aws:kms|aws:kms:dsse]",
        help="Encrypt on the server.",
    ),
    click.option("--sse-kms-key-id", metavar="ID", help="The KMS key for --sse aws:kms."),
    click.option("--acl", metavar="NAME", help="A canned ACL, for example public-read."),
    click.option(
        "--checksum",
        type=click.Choice(["crc32", "crc32c", "crc64nvme", "sha1", "sha256"]),
        help="Let the endpoint verify and store this checksum.",
    ),
    click.option(
        "--thumbnails",
        type=int,
        metavar="PIXELS",
        help="Also upload thumbnails of images, below .thumbnails/PIXELS/ in the bucket.",
    ),
    title="Uploads",
)


def output(values: Mapping[str, Any]) -> Output:
    """Return the output options.

    Raises:
        UsageError: two of them exclude each other.
    """
    for group in EXCLUSIVE:
        _exclusive(values, *group)
    return Output(
        json=values["json"],
        events=values.get("events", False),
        quiet=values["quiet"],
        verbose=values["verbose"],
        progress=not values.get("no_progress", False),
        log_json=values.get("log_json", False),
    )


def connect_options(values: Mapping[str, Any]) -> ConnectOptions:
    """Return the options of the connection.

    Raises:
        UsageError: a value is invalid.
    """
    given = _given(ConnectOptions, values)
    return named_by_option(lambda: ConnectOptions(**given))


def source_connect_options(values: Mapping[str, Any], connection: ConnectOptions) -> ConnectOptions | None:
    """Return the connection options of the source of a copy; ``None`` where they are those of the target.

    Raises:
        UsageError: a value is invalid.
    """
    names = ("endpoint_url", "profile", "region")
    given = {name: values[f"source_{name}"] for name in names if values.get(f"source_{name}")}
    if not given:
        return None
    return named_by_option(lambda: replace(connection, **given))


def sync_options(ctx: click.Context, values: Mapping[str, Any]) -> SyncOptions:
    """Return the options of the sync; :func:`output` has checked whether two exclude each other.

    Raises:
        UsageError: a value is invalid.
    """
    given = _given(SyncOptions, values, without=("delete", "include", "exclude"))
    given["rules"] = tuple(_rules(ctx, values))
    if values.get("delete") or values.get("delete_tracked"):
        given["delete"] = "mirror" if values.get("delete") else "tracked"
    if values.get("no_follow_symlinks"):
        given["symlinks"] = "skip"
    if values.get("files_from"):
        given["files"] = read_names(values["files_from"])
    given |= customer_keys(values)
    given |= {name: dict(values[name]) for name in ("metadata", "tags") if values.get(name)}
    if values.get("trash"):
        trash = values["trash"]
        given["trash"] = trash if trash.startswith(SCHEME) else os.path.abspath(trash)
    if values.get("receipt"):
        receipt = values["receipt"]
        given["receipt"] = receipt if receipt.startswith(SCHEME) else os.path.abspath(receipt)
    given |= manifest_place(values)
    if "gzip" in given:
        given["gzip"] = tuple(extension.lstrip(".") for extension in given["gzip"])
    return named_by_option(lambda: SyncOptions(**given))


def customer_keys(values: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the SSE-C keys whose files are named, by the names of their fields in SyncOptions.

    Raises:
        UsageError: a file contains no key.
    """
    files = {"sse_customer_key": "sse_c_key_file", "source_sse_customer_key": "source_sse_c_key_file"}
    return {name: read_customer_key(values[file]) for name, file in files.items() if values.get(file)}


def manifest_place(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the field ``manifest`` of SyncOptions: the address of an object, or an absolute path."""
    if values.get("no_manifest"):
        return {"manifest": False}
    if not (place := values.get("manifest")):
        return {}
    return {"manifest": place if place.startswith(SCHEME) else os.path.abspath(place)}


def _rules(ctx: click.Context, values: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the filter rules in the order of the command line."""
    left = {name: iter(values.get(name, ())) for name in _RULES}
    for name in ctx.meta.get(ORDER, ()):
        if name not in left:
            continue
        value = next(left[name])
        if name == "exclude_from":
            yield from rules_of_file(value)
        else:
            yield name, value


def _given(kind: type, values: Mapping[str, Any], without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the given values that are fields of ``kind``."""
    names = {item.name for item in fields(kind)} - set(without)
    return {name: value for name, value in values.items() if name in names and value not in (None, ())}


def _exclusive(values: Mapping[str, Any], one: str, other: str) -> None:
    if values.get(one) and values.get(other):
        raise UsageError(f"{option_name(one)} and {option_name(other)} exclude each other; give one of them")


def option_name(name: str) -> str:
    """Return the name of the option for a field."""
    return _OPTION_NAMES.get(name) or "--" + name.replace("_", "-")


OptionsT = TypeVar("OptionsT")


def named_by_option(make: Callable[[], OptionsT]) -> OptionsT:
    """Make options; the message of an error names the option instead of the field."""
    try:
        return make()
    except UsageError as error:
        text = re.sub(r"^([a-z_]+)(?=: )", lambda match: option_name(match[1]), str(error))
        raise UsageError(text) from None
