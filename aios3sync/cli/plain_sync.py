"""Parses the simplest command lines of a sync, in a tenth of the time that loading click takes.

Unknown options and errors are left to the program, which parses the command line from the start. A test
compares both parsers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import TYPE_CHECKING, Any, Final
from aios3sync.cli.config_file import PROFILE_MARK, find_config_file
from aios3sync.cli.output.view import Output
from aios3sync.core.keys import CATALOG_SCHEME, SCHEME
from aios3sync.options import CHECKS, VARIABLES, ConnectOptions, SyncOptions

if TYPE_CHECKING:
    from aios3sync.cli.catalog_source import CatalogSource
    from aios3sync.session import Session

__all__ = ("PlainSync", "UnknownError", "read_plain_sync")

# Options that take one value as it is, and the fields that they set.
_CONNECTION: Final = {"--endpoint-url": "endpoint_url", "--profile": "profile", "--region": "region"}
_RULES: Final = {"--include": "include", "--exclude": "exclude"}
_CHECK: Final = "--check"
_MANIFEST: Final = "--manifest"
_FLAGS: Final[dict[str, dict[str, Any]]] = {
    "-q": {"quiet": True},
    "--quiet": {"quiet": True},
    "--json": {"json": True},
    "--no-progress": {"progress": False},
    "-v": {"verbose": 1},
    "--verbose": {"verbose": 1},
}
_ACTIONS: Final[dict[str, dict[str, Any]]] = {
    "--delete": {"delete": "mirror"},
    "--delete-tracked": {"delete": "tracked"},
    "--dry-run": {"dry_run": True},
    "--gitignore": {"gitignore": True},
}
_SWITCHES: Final = _FLAGS | _ACTIONS


class PlainSync(NamedTuple):
    """A sync as the command line requests it.

    Attributes:
        source, target, options, output: as given.
        connection: to the target, and to a source without one of its own.
        source_connection: to the source of a copy, ``None`` for the same.
        named: the entry of a catalog, if it is the source.
    """

    source: str
    target: str
    options: SyncOptions
    connection: ConnectOptions
    output: Output
    source_connection: ConnectOptions | None = None
    named: CatalogSource | None = None

    async def locate(self, session: Session) -> str:
        """Return the source; for an entry of a catalog, the location from the catalog.

        Raises:
            AioS3SyncError: the catalog has no such entry, or cannot be read.
        """
        return self.source if self.named is None else await self.named.locate(session)


class UnknownError(Exception):
    """The command line is not one of the simplest; the program parses it."""


def read_plain_sync(arguments: Sequence[str]) -> PlainSync:
    """Read a command line.

    Raises:
        Exception: it is not one of the simplest, or it is wrong.
    """
    if not arguments or arguments[0] != "sync" or any(name.startswith(VARIABLES) for name in os.environ):
        raise UnknownError
    if find_config_file(os.environ) is not None:
        raise UnknownError
    places: list[str] = []
    connection: dict[str, Any] = {}
    shown: dict[str, Any] = {}
    rules: list[tuple[str, ...]] = []
    chosen: dict[str, Any] = {}
    for name, value in _parts(arguments[1:]):
        if not name:
            places.append(value)
        elif name in _SWITCHES:
            fields = shown if name in _FLAGS else chosen
            if not fields.keys().isdisjoint(_SWITCHES[name]):
                raise UnknownError  # -v is counted, and two that delete exclude each other
            fields |= _SWITCHES[name]
        elif name in _CONNECTION:
            connection[_CONNECTION[name]] = value
        elif name in _RULES:
            rules.append((_RULES[name], value))
        else:
            chosen |= {"check": value} if name == _CHECK else {"manifest": os.path.abspath(value)}
    if len(places) != 2 or places[0].startswith((CATALOG_SCHEME, PROFILE_MARK)):
        raise UnknownError
    if chosen.get("check", "auto") not in CHECKS:
        raise UnknownError
    options = SyncOptions(rules=tuple(rules), **chosen)
    return PlainSync(places[0], places[1], options, ConnectOptions(**connection), Output(**shown))


def _parts(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield options with their values, and arguments with an empty name.

    Raises:
        Exception: an option is unknown here, or its value is missing or unusual.
    """
    left = iter(arguments)
    for argument in left:
        if argument in _SWITCHES:
            yield argument, ""
        elif not argument.startswith("-"):
            yield "", argument
        else:
            name, equals, value = argument.partition("=")
            if name not in _CONNECTION and name not in _RULES and name not in (_CHECK, _MANIFEST):
                raise UnknownError
            value = value if equals else next(left, "")
            if not value or value.startswith("-") or (name == _MANIFEST and value.startswith(SCHEME)):
                raise UnknownError
            yield name, value
