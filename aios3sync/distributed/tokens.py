"""Proves that every node sees the same directories: each node has to find a file with a random name.

The names are like those of unfinished downloads, which every sync ignores. A directory that cannot be written
is identified by its inode and by the names in it. All functions block.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from aios3sync._dataclass import dataclass
from aios3sync._version import __version__
from aios3sync.core.local_names import TEMPORARY_PREFIX
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import ClusterError

__all__ = ("Sight", "Token", "look", "tokens", "verify")

_NAMES: Final = 1000


@dataclass(frozen=True, slots=True)
class Token:
    """What a node must find in a directory.

    Attributes:
        directory: absolute.
        name: of the file; empty where none could be made.
        content: of the file, or a description of the directory.
    """

    directory: str
    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What a node has found.

    Attributes:
        machine: the name of the machine.
        version: of this package there.
        problems: for each directory why it is a different one; empty where it is the same.
    """

    machine: str
    version: str
    problems: tuple[str, ...]


@contextmanager
def tokens(directories: Sequence[str]) -> Iterator[tuple[Token, ...]]:
    """Make a token in each directory while the block lasts.

    Raises:
        OSError: a directory can be neither written nor read.
    """
    with ExitStack() as stack:
        yield tuple(stack.enter_context(_token(directory)) for directory in directories)


@contextmanager
def _token(directory: str) -> Iterator[Token]:
    name, content = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.part", secrets.token_hex(16)
    path = os.path.join(directory, name)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        yield Token(directory, "", _described(directory))
        return
    try:
        yield Token(directory, name, content)
    finally:
        with suppress(OSError):
            os.unlink(path)


def _described(directory: str) -> str:
    with os.scandir(directory) as found:
        names = sorted(entry.name for _, entry in zip(range(_NAMES), found, strict=False))
    digest = hashlib.sha256("\0".join(map(escape_undecodable, names)).encode()).hexdigest()
    return f"{os.stat(directory).st_ino} {digest if len(names) < _NAMES else ''}"


def look(wanted: Sequence[Token]) -> Sight:
    """Return which of the tokens this process sees; a node calls it."""
    return Sight(socket.gethostname(), __version__, tuple(map(_problem, wanted)))


def _problem(token: Token) -> str:
    try:
        if not token.name:
            same = _described(token.directory) == token.content
        else:
            # The directory is read first: NFS then asks again for names that it did not find before.
            os.listdir(token.directory)
            with open(os.path.join(token.directory, token.name), encoding="ascii") as file:
                same = file.read() == token.content
    except FileNotFoundError:
        return (
            "is another directory there, or none"
            if os.path.isdir(token.directory)
            else "does not exist there"
        )
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is another file"
        return f"cannot be read there: {reason}"
    return "" if same else "is another directory there"


def verify(wanted: Sequence[Token], found: Mapping[str, Sight], machines: Mapping[str, str]) -> None:
    """Check that all nodes see the same directories, and have the same version of this package.

    Args:
        wanted: the tokens.
        found: the answer of each node.
        machines: all nodes, with the names of their machines.

    Raises:
        ClusterError: a node does not; the message names it, the directory and the remedy.
    """
    for node, machine in sorted(machines.items()):
        sight = found.get(node)
        if sight is None:
            raise ClusterError(f"the worker {node} on {machine} does not answer; remove it and try again")
        if sight.version != __version__:
            raise ClusterError(
                f"the worker {node} on {sight.machine} has version {sight.version} of aios3sync, "
                f"this process {__version__}; install the same everywhere"
            )
        for token, problem in zip(wanted, sight.problems, strict=True):
            if problem:
                raise ClusterError(
                    f"the worker {node} on {sight.machine} sees other files: "
                    f"{escape_undecodable(token.directory)!r} {problem}; mount the same filesystem there, or "
                    "name a directory that all share (--manifest names the place of the manifest)"
                )
