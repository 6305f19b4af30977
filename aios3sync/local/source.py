"""The root of a source, and what a walk over it hands out. It looks at the root and at nothing below it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import Literal, NamedTuple

from aios3sync.core.entries import SourceEntry
from aios3sync.errors import SourceError

__all__ = ("Problem", "ProblemKind", "ScanBatch", "check_root", "kind_of", "shown")

ProblemKind = Literal["unreadable", "skipped", "vanished", "hidden"]


class Problem(NamedTuple):
    """A place of the source that the walk could not, or must not, see.

    Attributes:
        path: relative, with ``/``; may hold surrogate escapes.
        kind: ``unreadable`` (or without a key) is a failure, ``skipped`` a warning, ``vanished`` was there a
            moment ago, ``hidden`` is as asked for and worth no line.
        error: one line.
    """

    path: str
    kind: ProblemKind
    error: str


class ScanBatch(NamedTuple):
    """What the walk saw since the batch before, entries ascending."""

    entries: list[SourceEntry]
    problems: list[Problem]


def shown(path: str) -> str:
    """A path as text that any terminal and any JSON can hold: undecodable bytes are escaped."""
    try:
        content = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # of a text that no system gave, such as one of JSON
        content = path.encode("utf-8", "backslashreplace")
    return content.decode("utf-8", "backslashreplace")


def check_root(root: str) -> os.stat_result:
    """The stat of the source root.

    Raises:
        SourceError: it is missing, not a directory, or cannot be read.
    """
    try:
        result = os.stat(root)
        if not stat.S_ISDIR(result.st_mode):
            raise SourceError(f"{shown(root)!r} is not a directory; name the directory to sync")
        os.scandir(root).close()
    except FileNotFoundError:
        raise SourceError(f"no such directory: {shown(root)!r}") from None
    except OSError as error:
        raise SourceError(f"{shown(root)!r} cannot be read: {error.strerror}") from error
    except ValueError:
        raise SourceError(f"no directory can have the path {shown(root)!r}") from None
    return result


def kind_of(mode: int) -> str:
    """What a file is that is no regular one."""
    kinds: Iterable[tuple[bool, str]] = (
        (stat.S_ISFIFO(mode), "FIFO"),
        (stat.S_ISSOCK(mode), "socket"),
        (stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "device"),
        (stat.S_ISDIR(mode), "directory"),
    )
    return next((name for matches, name in kinds if matches), "special file")
