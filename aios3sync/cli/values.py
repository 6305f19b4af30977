"""Parses the values of options, and reads the files that options name; writes nothing."""

from __future__ import annotations

import base64
import binascii
import os
import sys
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from aios3sync.cli.config_file import PROFILE_MARK, find_config_file, read_config_file
from aios3sync.core.filters import read_rules
from aios3sync.core.lines import lines_of
from aios3sync.errors import UsageError
from aios3sync.field_types import parse_moment, parse_seconds, parse_size

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = (
    "DATABASE",
    "FILE",
    "PLACE",
    "DatabaseUrl",
    "Located",
    "Place",
    "http_date",
    "moment",
    "names",
    "pair",
    "read_customer_key",
    "read_lines",
    "read_names",
    "rules_of_file",
    "seconds",
    "size",
)


class Located(click.Path):
    """The type of an option that names a file or directory; relative to a configuration file if set there."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        """Return the value unchanged."""
        return value

    def within(self, directory: str, text: str) -> str:
        """Return the path for a value in a file of ``directory``; ``-`` stays standard input."""
        if text == "-" or "://" in text:
            return text
        return os.path.join(directory, os.path.expanduser(text))


class Place(Located):
    """The type of an argument that is a directory, a location in S3, or a profile."""

    name = "text"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the names of profiles; let the shell complete paths."""
        if not incomplete.startswith(PROFILE_MARK):
            return super().shell_complete(ctx, param, incomplete)
        from click.shell_completion import CompletionItem

        try:
            path = find_config_file(os.environ)
            names = read_config_file(path).profiles if path else {}
        except UsageError:
            return []  # the command says what is wrong
        marked = [f"{PROFILE_MARK}{name}" for name in names]
        return [CompletionItem(name) for name in marked if name.startswith(incomplete)]


class DatabaseUrl(Located):
    """The type of an option that names a database: a URL, or a file of SQLite."""

    name = "database"

    def within(self, directory: str, text: str) -> str:
        """Return the URL for a value in a file of ``directory``."""
        scheme, separator, rest = text.rpartition("sqlite:///")
        if not separator:
            return text if "://" in text else super().within(directory, text)
        is_absolute = rest.startswith("/") or rest in ("", ":memory:")
        return text if is_absolute else f"{scheme}{separator}{super().within(directory, rest)}"


FILE: Final = Located()
PLACE: Final = Place()
DATABASE: Final = DatabaseUrl()


def size(text: str) -> int:
    """Parse a size in bytes, as :func:`~aios3sync.field_types.parse_size` does."""
    try:
        return parse_size(text)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


def seconds(text: str) -> float:
    """Parse a duration: ``24h``, ``30m``, ``2d`` or a number of seconds."""
    try:
        return parse_seconds(text)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


def moment(text: str) -> float:
    """Parse a time: ISO 8601 with a time zone, or a duration ``ago``."""
    try:
        return parse_moment(text)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


def pair(text: str) -> tuple[str, str]:
    """Parse ``name=value``; the value may be empty and may contain further equals signs."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE; write for example owner=lab")
    return name, value


def names(text: str) -> tuple[str, ...]:
    """Parse names that are separated by commas."""
    items = tuple(item.strip() for item in text.split(",") if item.strip())
    if not items:
        raise click.BadParameter(f"{text!r} contains no name; write names with commas between them")
    return items


def http_date(text: str) -> str:
    """Return a date in the format of HTTP, parsed from that format or ISO 8601, in UTC if it has no zone."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            when = read(text)
        except ValueError:
            continue
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return format_datetime(when.astimezone(UTC), usegmt=True)
    raise click.BadParameter(f"{text!r} is not a date; write for example 2027-01-31T12:00:00Z")


def read_lines(option: str, path: str) -> tuple[list[str], bool]:
    """Read the lines of the text file of an option, and whether NUL ends them; ``-`` is standard input.

    See :mod:`aios3sync.core.lines` for encodings and ends of lines.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        return lines_of(_read(option, path))
    except UnicodeError:
        raise UsageError(
            f"{option}: {path!r} is invalid UTF-16 or UTF-32, or has no byte order mark; save it as UTF-8"
        ) from None


def _read(option: str, path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: the path contains NUL
        error = error if isinstance(error, OSError) else OSError(None, str(error))
        reason = error.strerror or type(error).__name__
        raise UsageError(f"{option}: {path!r} cannot be read: {reason}; name a readable file") from error


def read_names(path: str) -> tuple[str, ...]:
    """Read the file names of ``--files-from``, one a line, without empty lines and ``#`` comments.

    Where NUL ends the names, every text that is not empty is a name.
    """
    lines, is_literal = read_lines("--files-from", path)
    if is_literal:
        return tuple(line for line in lines if line)
    return tuple(line for line in lines if line.strip() and not line.startswith("#"))


def rules_of_file(path: str) -> list[tuple[str, str, str]]:
    """Read the filter rules of ``--exclude-from``."""
    rules = read_rules(read_lines("--exclude-from", path)[0], path)
    return [("include" if rule.include else "exclude", rule.pattern, rule.origin) for rule in rules]


def read_customer_key(path: str) -> bytes:
    """Read the 32 bytes of an SSE-C key, raw or as base64.

    Raises:
        UsageError: the file contains neither; the message shows nothing of its content.
    """
    content = _read("--sse-c-key-file", path)
    if len(content) == 32:
        return content
    try:
        key = base64.b64decode(content.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise UsageError(
            f"--sse-c-key-file: {path!r} contains no key: it must have 32 raw bytes, or those as base64; "
            "make one with: head -c 32 /dev/urandom > FILE"
        )
    return key
