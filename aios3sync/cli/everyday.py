"""Answers the everyday command line, a sync that finds nothing to do, without loading what others need.

It reads the plainest command lines itself. Whatever it does not know, and whatever is wrong, is left to the
program, which reads the command line from the start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

from aios3sync.cli.output.choose import choose_view
from aios3sync.cli.output.summary import conclude_sync
from aios3sync.cli.output.view import Output
from aios3sync.errors import AioS3SyncError
from aios3sync.options import ConnectOptions, SyncOptions
from aios3sync.store.s3.endpoint_config import endpoint_name
from aios3sync.sync.request import SyncRequest, locate_sides
from aios3sync.sync.unchanged import report_unchanged

__all__ = ("PlainSync", "read_plain_sync", "run_unchanged")

# Options that take one value as it is, and the fields that they set.
_CONNECTION: Final = {"--endpoint-url": "endpoint_url", "--profile": "profile", "--region": "region"}
_RULES: Final = {"--include": "include", "--exclude": "exclude"}
_MANIFEST: Final = "--manifest"
_FLAGS: Final[dict[str, dict[str, Any]]] = {
    "-q": {"quiet": True},
    "--quiet": {"quiet": True},
    "--json": {"json": True},
    "--no-progress": {"progress": False},
    "-v": {"verbose": 1},
    "--verbose": {"verbose": 1},
}
# Options that the environment may give.
_VARIABLES: Final = ("AIOS3SYNC_ETAGS", "AIOS3SYNC_LANE")


class PlainSync(NamedTuple):
    """A sync as the command line asks for it."""

    source: str
    target: str
    options: SyncOptions
    connection: ConnectOptions
    output: Output


class _UnknownError(Exception):
    """Raised for a command line that is not one of the plainest; the program reads it."""


def run_unchanged(arguments: Sequence[str]) -> int | None:
    """Run a plain sync that has nothing to do; ``None`` for all else, of which nothing is done then."""
    with suppress(_UnknownError, AioS3SyncError):
        plain = read_plain_sync(arguments)
        direction, root, files, location = locate_sides(plain.source, plain.target, plain.options)
        request = SyncRequest(
            direction=direction,
            root=root,
            location=location,
            endpoint=endpoint_name(plain.connection),
            options=plain.options,
            files=files,
        )
        report = report_unchanged(request)
        if report is not None:
            conclude = partial(conclude_sync, verbose=plain.output.verbose)
            shown = plain.output.without_progress()  # there is nothing left to draw
            choose_view("sync", shown, conclude, _go_on).report(report)
            return report.exit_code
    return None


def _go_on() -> None:
    """Do nothing when the reader of standard output has left: the command has ended."""


def read_plain_sync(arguments: Sequence[str]) -> PlainSync:
    """Read a command line.

    Raises:
        Exception: it is none of the plainest ones, or something is wrong with it.
    """
    if not arguments or arguments[0] != "sync" or any(os.environ.get(name) for name in _VARIABLES):
        raise _UnknownError
    places: list[str] = []
    connection: dict[str, Any] = {}
    shown: dict[str, Any] = {}
    rules: list[tuple[str, ...]] = []
    chosen: dict[str, Any] = {}
    for name, value in _parts(arguments[1:]):
        if not name:
            places.append(value)
        elif name in _FLAGS:
            if not shown.keys().isdisjoint(_FLAGS[name]):
                raise _UnknownError  # -v may be counted
            shown |= _FLAGS[name]
        elif name in _CONNECTION:
            connection[_CONNECTION[name]] = value
        elif name in _RULES:
            rules.append((_RULES[name], value))
        else:
            chosen["manifest"] = os.path.abspath(value)
    if len(places) != 2:
        raise _UnknownError
    options = SyncOptions(rules=tuple(rules), **chosen)
    return PlainSync(places[0], places[1], options, ConnectOptions(**connection), Output(**shown))


def _parts(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield options with their values, and arguments with an empty name.

    Raises:
        Exception: an option is not known here, or has no value or an unusual one.
    """
    left = iter(arguments)
    for argument in left:
        if argument in _FLAGS:
            yield argument, ""
        elif not argument.startswith("-"):
            yield "", argument
        else:
            name, equals, value = argument.partition("=")
            if name not in _CONNECTION and name not in _RULES and name != _MANIFEST:
                raise _UnknownError
            value = value if equals else next(left, "")
            if not value or value.startswith("-"):
                raise _UnknownError
            yield name, value
