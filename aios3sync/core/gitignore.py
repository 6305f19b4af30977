"""Reads ``.gitignore`` files as git itself does. Pure.

git matches bytes (``?`` is one byte of a UTF-8 sequence) and matches every directory from the root down by
itself, so a rule applies to the path that it matches, never to paths below. Sources:
https://git-scm.com/docs/gitignore, git's ``dir.c`` (lines of a file) and ``wildmatch.c`` (patterns).

pathspec, the usual library, applies a rule to all paths below the one that it matches: the common white list
``*``, ``!*/``, ``!*.py`` then hides every file of a subdirectory, and a sync would silently leave it out.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Final

from aios3sync._namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("IgnoreTree",)

_GIT: Final = ".git"
_CLASSES: Final = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "blank": " \t",
    "cntrl": "".join(map(chr, range(32))) + "\x7f",
    "digit": string.digits,
    "graph": "".join(map(chr, range(33, 127))),
    "lower": string.ascii_lowercase,
    "print": "".join(map(chr, range(32, 127))),
    "punct": string.punctuation,
    "space": string.whitespace,
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}
_STAR: Final = "*"
_DIRECTORIES: Final = "**/"
_EVERYTHING: Final = "**"
_ANY: Final = "(?:[^/]*/)"
"""One directory of a path."""


class _Line(NamedTuple):
    """One rule: whether it ignores or shows, whether it applies to directories only, and to names only."""

    ignores: bool
    directories_only: bool
    names_only: bool
    pattern: re.Pattern[str]


class IgnoreTree:
    """The ``.gitignore`` files of a tree, each added when the walk enters its directory.

    The deepest file with a rule for a path decides, within it the last matching line; nothing below an
    ignored directory can be seen again.
    """

    def __init__(self) -> None:
        self._files: dict[str, list[_Line]] = {}

    def read(self, directory: str, content: bytes) -> None:
        """Read the ``.gitignore`` of ``directory`` (empty for the root, else ending in ``/``).

        As git does: LF alone ends a line (a CR before it is left out), and the mark of UTF-8 is no letter.
        """
        text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        self.add(directory, text.split("\n"))

    def add(self, directory: str, lines: Iterable[str]) -> None:
        """Add the lines of the ``.gitignore`` of ``directory``."""
        read = (_read_line(line) for line in lines)
        self._files[directory] = [line for line in read if line is not None][::-1]

    def ignores(self, path: str) -> bool:
        """Return whether a file, or a directory given with its ``/`` at the end, is ignored by itself.

        The directories above it are not looked at, see :meth:`hides`. git's own ``.git`` is never part of a
        tree.
        """
        if path.rstrip("/").rpartition("/")[2] == _GIT:
            return True
        is_directory = path.endswith("/")
        whole = _as_bytes(path[:-1] if is_directory else path)
        name = whole.rpartition("/")[2]
        end = len(path) - is_directory
        while self._files:
            end = path.rfind("/", 0, end) + 1
            directory = path[:end]
            below = whole[len(_as_bytes(directory)) :]
            for line in self._files.get(directory, ()):
                applies = is_directory or not line.directories_only
                if applies and line.pattern.fullmatch(name if line.names_only else below):
                    return line.ignores
            if not end:
                return False
            end -= 1
        return False

    def hides(self, key: str) -> bool:
        """Return whether the key or any directory above it is ignored."""
        if not self._files:
            return _GIT in key.split("/")
        place = key.find("/")
        while place >= 0:
            if self.ignores(key[: place + 1]):
                return True
            place = key.find("/", place + 1)
        return self.ignores(key)


def _as_bytes(text: str) -> str:
    """Return the text with one character for each of its bytes, because git's patterns match bytes."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _read_line(line: str) -> _Line | None:
    """Return the rule of one line, or ``None`` if it is blank, a comment, or can match nothing."""
    text = line.removesuffix("\n").removesuffix("\r")
    if text.startswith("#"):
        return None
    negated = text.startswith("!")
    body = _trimmed(text[negated:])
    directories_only = body.endswith("/")
    body = body.removesuffix("/")
    if not body or (pattern := _translate(_as_bytes(body.removeprefix("/")))) is None:
        return None
    return _Line(not negated, directories_only, "/" not in body, re.compile(pattern, re.DOTALL))


def _trimmed(text: str) -> str:
    """Return a text without the spaces at its end; the first of them stays after a backslash."""
    stripped = text.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if backslashes % 2 and len(stripped) < len(text) else stripped


# Patterns become regular expressions that are matched in time proportional to the path and the pattern. Each
# wildcard takes the shortest text after which the next piece matches, up to the next wildcard, and never
# gives it back (an atomic group): if the whole can match at all, it can with the earliest place of each
# piece. That holds for ``*`` because a piece between two of them has a fixed length and is in one directory,
# or ends at a slash that no ``*`` can pass, and for ``**`` because whole directories are between two of them.
# Only the last wildcard looks for the place that ends with the path.


def _translate(pattern: str) -> str | None:
    """Return a regular expression for a whole path, or ``None`` where git matches nothing."""
    atoms = _atoms(pattern)
    if atoms is None:
        return None
    expression, block, is_first = "", list[str](), True
    for atom in atoms:
        if atom not in (_DIRECTORIES, _EVERYTHING):
            block.append(atom)
            continue
        piece = _block(block, is_last=False)
        expression += piece if is_first else f"(?>{_ANY}*?{piece})"
        block, is_first = [], False
        if atom == _EVERYTHING:
            return expression + ".*"
    last = _block(block, is_last=True)
    return expression + (last if is_first else f"{_ANY}*{last}")


def _block(atoms: list[str], *, is_last: bool) -> str:
    """Return the expression for atoms between two ``**``; only the last one of a pattern ends the path."""
    pieces: list[list[str]] = [[]]
    for atom in atoms:
        if atom == _STAR:
            pieces.append([])
        else:
            pieces[-1].append(atom)
    first, *further = ("".join(piece) for piece in pieces)
    if is_last and further:
        return first + "".join(f"(?>[^/]*?{piece})" for piece in further[:-1]) + f"[^/]*{further[-1]}"
    return first + "".join(f"(?>[^/]*?{piece})" for piece in further)


def _atoms(pattern: str) -> list[str] | None:
    """Return the pieces of a pattern: ``*``, ``**/``, ``**`` as they are, others as expressions of a byte.

    ``None`` where git lets the pattern match nothing: a set that is never closed, an unknown class, a
    backslash at the end.
    """
    atoms: list[str] = []
    place, end = 0, len(pattern)
    while place < end:
        letter = pattern[place]
        if letter == "*":
            atom, place = _stars(pattern, place)
            atoms.append(atom)
        elif letter == "[":
            found = _set_at(pattern, place)
            if found is None:
                return None
            atoms.append(found[0])
            place = found[1]
        elif letter == "\\":
            if place + 1 == end:
                return None
            atoms.append(re.escape(pattern[place + 1]))
            place += 2
        else:
            atoms.append("[^/]" if letter == "?" else re.escape(letter))
            place += 1
    return atoms


def _stars(pattern: str, start: int) -> tuple[str, int]:
    """Return the wildcard at ``start`` and its end; two stars are special as a whole directory only."""
    end = start
    while pattern[end : end + 1] == "*":
        end += 1
    is_directory = end - start > 1 and (start == 0 or pattern[start - 1] == "/")
    if is_directory and pattern[end : end + 1] == "/":
        return _DIRECTORIES, end + 1
    return (_EVERYTHING if is_directory and end == len(pattern) else _STAR), end


def _set_at(pattern: str, start: int) -> tuple[str, int] | None:
    """Return the set of bytes at ``start`` as an expression, and its end, as ``wildmatch.c`` reads it."""
    place = start + 1
    negated = pattern[place : place + 1] in ("!", "^")
    place += negated
    first, previous, close = place, "", -1
    members: set[str] = set()
    while (letter := pattern[place : place + 1]) and (letter != "]" or place == first):
        after = pattern[place + 1 : place + 2]
        if letter == "\\":
            letter, place = after, place + 1
        elif letter == "-" and previous and after not in ("", "]"):
            place += 1 + (after == "\\")
            high = pattern[place : place + 1]
            if high:
                members.update(map(chr, range(ord(previous), ord(high) + 1)))
            previous, place = "", place + 1
            continue
        elif letter == "[" and after == ":":
            close = close if close > place + 1 else pattern.find("]", place + 2)
            if close < 0:
                return None
            if close > place + 2 and pattern[close - 1] == ":":
                named = _CLASSES.get(pattern[place + 2 : close - 1])
                if named is None:
                    return None
                members.update(named)
                previous, place = "", close + 1
                continue
        members.update(letter)
        previous, place = letter, place + 1
    return (_expression(members, negated=negated), place + 1) if letter else None


def _expression(members: set[str], *, negated: bool) -> str:
    """Return a set of bytes; it never holds ``/``."""
    if negated:
        members = set(map(chr, range(256))) - members
    members.discard("/")
    listed = "".join(f"\\x{ord(member):02x}" for member in sorted(members))
    return f"[{listed}]" if members else "(?!)"
