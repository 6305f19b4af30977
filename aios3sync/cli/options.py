"""The options that commands share, as decorators, and how their values become ConnectOptions and SyncOptions.

No default stands here: what is not given stays unset, and the options classes fill it in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

import click

from aios3sync.cli.output.view import Output
from aios3sync.cli.values import (
    http_date,
    names,
    pair,
    read_customer_key,
    read_names,
    rules_of_file,
    seconds,
    size,
)
from aios3sync.errors import UsageError
from aios3sync.options import (
    CHARSETS,
    CHECKS,
    LANES,
    LIST_ORDERS,
    METADATA_UPDATES,
    ON_BAD_NAME,
    SYMLINK_MODES,
    ConnectOptions,
    SyncOptions,
)

__all__ = (
    "RuledCommand",
    "comparison_options",
    "connect_options",
    "connection_options",
    "deletion_options",
    "filter_options",
    "manifest_options",
    "manifest_place",
    "output",
    "output_options",
    "payer_option",
    "progress_options",
    "reading_options",
    "sync_options",
    "upload_options",
)

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
_RULES: Final = ("include", "exclude", "exclude_from")
_ORDER: Final = "aios3sync.rules"
_SPELLINGS: Final = {
    "bandwidth": "--bwlimit",
    "anonymous": "--no-sign-request",
    "addressing": "--addressing-style",
    "verify_tls": "--no-verify-ssl",
    "files": "--files-from",
    "tags": "--tag",
    "sse_customer_key": "--sse-c-key-file",
    "guess_content_type": "--no-guess-mime-type",
    "rules": "--include/--exclude",
}


class RuledCommand(click.Command):
    """A command that knows in which order its filter options stood: the last rule that matches wins."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse once for the order alone, which click tells nobody, and once for good."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args)) if args else ({}, [], [])
        ctx.meta[_ORDER] = tuple(param.name for param in order if param.name in _RULES)
        return super().parse_args(ctx, args)


def _group(*options: Callable[[CommandT], CommandT]) -> Callable[[CommandT], CommandT]:
    def decorate(command: CommandT) -> CommandT:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _flag(*names: str, help: str) -> Callable[[CommandT], CommandT]:  # noqa: A002 - click's word
    return click.option(*names, is_flag=True, default=None, help=help)


connection_options = _group(
    click.option("--endpoint-url", metavar="URL", help="An S3 compatible endpoint."),
    click.option("--profile", metavar="NAME", help="Profile of the AWS configuration."),
    click.option("--region", metavar="NAME", help="Region of the bucket."),
    _flag("--no-sign-request", "anonymous", help="Send unsigned requests."),
    click.option(
        "--addressing-style",
        "addressing",
        type=click.Choice(["auto", "path", "virtual"]),
        help="Where the bucket stands in URLs.",
    ),
    click.option("--ca-bundle", metavar="FILE", help="Certificate authorities to trust."),
    click.option(
        "--no-verify-ssl", "verify_tls", flag_value=False, default=None, help="Do not check certificates."
    ),
    click.option(
        "--etags",
        type=click.Choice(["auto", "md5", "opaque"]),
        envvar="AIOS3SYNC_ETAGS",
        help="Whether ETags are MD5s: find out anew (auto), insist (md5), or not (opaque); remembered.",
    ),
    click.option(
        "--lane",
        type=click.Choice(LANES),
        envvar="AIOS3SYNC_LANE",
        help="Which S3 client serves the hot requests.",
    ),
    click.option("--workers", type=int, metavar="N", help="Ceiling of requests in flight (256)."),
)

output_options = _group(
    click.option("--json", "json", is_flag=True, help="Print one JSON document and nothing else."),
    click.option("-q", "--quiet", is_flag=True, help="Print errors alone."),
    click.option("-v", "--verbose", count=True, help="Tell more; -vv also shows tracebacks and the log."),
)

progress_options = _group(
    click.option("--events", is_flag=True, help="Print one JSON object a line while it works."),
    click.option("--no-progress", is_flag=True, help="No live view: one line for each thing done."),
)

manifest_options = _group(
    click.option("--manifest", metavar="PATH", help="Keep the manifest here, not in the state directory."),
)

filter_options = _group(
    click.option(
        "--include", multiple=True, metavar="PATTERN", help="Sync what matches. The last matching rule wins."
    ),
    click.option("--exclude", multiple=True, metavar="PATTERN", help="Hide what matches, on both sides."),
    click.option("--exclude-from", multiple=True, metavar="FILE", help="Read rules: one a line, ! includes."),
    _flag("--gitignore", help="Honour the .gitignore files of the source."),
    click.option("--files-from", metavar="FILE", help="Only these files exist, one a line; - is stdin."),
    click.option(
        "--symlinks", type=click.Choice(SYMLINK_MODES), help="How to treat symbolic links (follow)."
    ),
    click.option(
        "--on-bad-name",
        type=click.Choice(ON_BAD_NAME),
        help="What a name is that cannot be a key: a failure (fail), a warning, or escaped.",
    ),
    _flag("--no-follow-symlinks", help="The same as --symlinks skip."),
)

comparison_options = _group(
    click.option("--check", type=click.Choice(CHECKS), help="How hard to look for changes (auto)."),
    click.option(
        "--incremental/--no-incremental",
        default=None,
        help="Upload what changed (default), or everything.",
    ),
    _flag("--accept-content", help="Upload files whose content changed without their stat."),
    click.option(
        "--max-manifest-age",
        type=seconds,
        metavar="AGE",
        help="How long a listing is trusted by --check auto (24h).",
    ),
    click.option(
        "--list-order",
        type=click.Choice(LIST_ORDERS),
        help="Say bytes if the endpoint is known to list in byte order, as AWS does (auto); remembered.",
    ),
    _flag("--no-list", help="Never list the target: for credentials that may only write. Deletes nothing."),
    click.option(
        "--list-workers", type=int, metavar="N", help="Pages of the listing to ask for at once (up to 32)."
    ),
    click.option(
        "--stat-fields",
        type=names,
        metavar="NAME,NAME",
        help="What makes a file the same (size,mtime,ctime,inode).",
    ),
    click.option("--gzip", type=names, metavar="EXT,EXT", help="Compress files with these extensions."),
)

payer_option = _flag("--request-payer", help="Accept to pay for the requests.")

reading_options = _group(
    click.option("--part-size", type=size, metavar="SIZE", help="Size of the parts of large files (16M)."),
    click.option("--sse-c-key-file", metavar="FILE", help="Key of the customer: 32 bytes, raw or base64."),
    payer_option,
)

deletion_options = _group(
    _flag("--delete", help="Delete what is not in the source (mirror)."),
    _flag("--delete-tracked", help="Delete only what was uploaded from here and nobody replaced."),
    click.option("--max-delete", type=int, metavar="N", help="Refuse to delete more than this."),
    click.option("--max-delete-ratio", type=float, metavar="R", help="The same as a share of the target."),
    _flag("--allow-empty-source", help="An empty source may delete everything."),
    _flag("--delete-excluded", help="Also delete what the filters hide."),
    _flag("--delete-protected", help="Also delete what belongs to other tools."),
    _flag("--delete-despite-errors", help="Delete although files could not be read or sent."),
)

upload_options = _group(
    click.option(
        "--max-parts", type=int, metavar="N", help="The most parts of one object (what the endpoint takes)."
    ),
    click.option(
        "--bwlimit", "bandwidth", type=size, metavar="SIZE", help="Bytes a second, for example 10M."
    ),
    click.option(
        "--processes",
        type=int,
        metavar="N",
        help="Processes that send small files: cores - 1, up to 4; 0 for none.",
    ),
    click.option(
        "--multipart-threshold", type=size, metavar="SIZE", help="Files above this are sent in parts (16M)."
    ),
    click.option("--content-type", metavar="TYPE", help="For every object, instead of guessing."),
    click.option(
        "--guess-mime-type/--no-guess-mime-type",
        "guess_content_type",
        default=None,
        help="Guess by extension.",
    ),
    click.option(
        "--charset",
        type=click.Choice(CHARSETS),
        help="Charset of guessed types of text (auto).",
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
        help="A header of the keys that match, for example '*.html:cache-control=no-cache'.",
    ),
    click.option(
        "--metadata-update",
        type=click.Choice(METADATA_UPDATES),
        help="How unchanged objects get headers that were not asked for before (copy).",
    ),
    click.option("--storage-class", metavar="CLASS", help="For example STANDARD_IA."),
    click.option(
        "--sse",
        is_flag=False,
        flag_value="AES256",
        metavar="[AES256|aws:kms|aws:kms:dsse]",
        help="Encrypt on the server.",
    ),
    click.option("--sse-kms-key-id", metavar="ID", help="Key for --sse aws:kms."),
    click.option("--acl", metavar="NAME", help="A canned ACL, for example public-read."),
    click.option(
        "--checksum",
        type=click.Choice(["crc32", "crc32c", "crc64nvme", "sha1", "sha256"]),
        help="Have the endpoint keep this checksum.",
    ),
    click.option(
        "--thumbnails",
        type=int,
        metavar="PIXELS",
        help="Also upload thumbnails of images, below .thumbnails/PIXELS/ in the bucket.",
    ),
)


def output(values: Mapping[str, Any]) -> Output:
    """How to tell what is done.

    Raises:
        UsageError: two answers to one question.
    """
    _exclusive(values, "json", "events")
    return Output(
        json=values["json"],
        events=values.get("events", False),
        quiet=values["quiet"],
        verbose=values["verbose"],
        progress=not values.get("no_progress", False),
    )


def connect_options(values: Mapping[str, Any]) -> ConnectOptions:
    """The values that tell how to reach S3.

    Raises:
        UsageError: one of them cannot be.
    """
    given = _given(ConnectOptions, values)
    return _spelled(lambda: ConnectOptions(**given))


def sync_options(ctx: click.Context, values: Mapping[str, Any]) -> SyncOptions:
    """The values that tell what to do.

    Raises:
        UsageError: one of them cannot be, or two exclude each other.
    """
    _exclusive(values, "delete", "delete_tracked")
    _exclusive(values, "manifest", "no_manifest")
    _exclusive(values, "symlinks", "no_follow_symlinks")
    given = _given(SyncOptions, values, leave=("delete", "include", "exclude"))
    given["rules"] = tuple(_rules(ctx, values))
    if values.get("delete") or values.get("delete_tracked"):
        given["delete"] = "mirror" if values.get("delete") else "tracked"
    if values.get("no_follow_symlinks"):
        given["symlinks"] = "skip"
    if values.get("files_from"):
        given["files"] = read_names(values["files_from"])
    if values.get("sse_c_key_file"):
        given["sse_customer_key"] = read_customer_key(values["sse_c_key_file"])
    given |= {name: dict(values[name]) for name in ("metadata", "tags") if values.get(name)}
    given |= manifest_place(values)
    if "gzip" in given:
        given["gzip"] = tuple(extension.lstrip(".") for extension in given["gzip"])
    return _spelled(lambda: SyncOptions(**given))


def manifest_place(values: Mapping[str, Any]) -> dict[str, Any]:
    """Where the manifest is, as a field of SyncOptions; a relative path is relative to here."""
    if values.get("no_manifest"):
        return {"manifest": False}
    return {"manifest": os.path.abspath(values["manifest"])} if values.get("manifest") else {}


def _rules(ctx: click.Context, values: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The filter rules in the order of the command line."""
    left = {name: iter(values.get(name, ())) for name in _RULES}
    for name in ctx.meta.get(_ORDER, ()):
        value = next(left[name])
        if name == "exclude_from":
            yield from rules_of_file(value)
        else:
            yield name, value


def _given(kind: type, values: Mapping[str, Any], leave: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values that are fields of ``kind`` and were given."""
    names = {item.name for item in fields(kind)} - set(leave)
    return {name: value for name, value in values.items() if name in names and value not in (None, ())}


def _exclusive(values: Mapping[str, Any], one: str, other: str) -> None:
    if values.get(one) and values.get(other):
        raise UsageError(f"{spelling(one)} and {spelling(other)} exclude each other; give one of them")


def spelling(name: str) -> str:
    """How a field is written on the command line."""
    return _SPELLINGS.get(name) or "--" + name.replace("_", "-")


OptionsT = TypeVar("OptionsT")


def _spelled(make: Callable[[], OptionsT]) -> OptionsT:
    """Make options; an error that names a field names the option instead."""
    try:
        return make()
    except UsageError as error:
        text = re.sub(r"^([a-z_]+)(?=: )", lambda match: spelling(match[1]), str(error))
        raise UsageError(text) from None
