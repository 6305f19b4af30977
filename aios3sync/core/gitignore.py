"""The rules of ``.gitignore`` files, as git itself reads them; pure, works on texts alone.

git matches bytes (``?`` is one byte of a UTF-8 sequence) and asks every directory from the root down by
itself, so a rule speaks of the path that it matches, never of what lies below. Sources:
https://git-scm.com/docs/gitignore, git's ``dir.c`` (lines of a file) and ``wildmatch.c`` (patterns).

pathspec, the usual library, lets a rule speak of what lies below what it matches: the common white list
``*``, ``!*/``, ``!*.py`` then hides every file of a subdirectory, and a sync would silently leave it out.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Final, NamedTuple

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
_LINE = re.compile(r"(?:\#.*|(?P<negated>!?)(?P<body>(?:\\.|[^\\]|\\\Z)*?) *)\Z", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<any_start>(?:(?<=/)|\A)\*{2,}/)     # "**/": nothing, or directories
      | (?P<any_end>(?:(?<=/)|\A)\*{2,}\Z)      # "/**": everything below
      | (?P<star>\*+)
      | (?P<one>\?)
      | \[(?P<negated>[!^]?+)(?P<set>\]?+(?:\[:[^\]]*:\]|\\.|[^\]\\])*+)\]
      | \\(?P<escaped>.)
      | (?P<broken>[\[\\])                      # never closed: git lets the pattern match nothing
      | (?P<literal>.)
    """,
    re.DOTALL | re.VERBOSE,
)
_WILDCARDS: Final = {"any_start": "(?:.*/)?", "any_end": ".*", "star": "[^/]*", "one": "[^/]"}
_MEMBER = re.compile(r"\[:(?P<name>[^\]]*):\]|\\?(?P<low>.)(?:-\\?(?P<high>.))?", re.DOTALL)


class _Line(NamedTuple):
    """One rule: what it says, whether it speaks of directories only, and of which names or paths."""

    ignores: bool
    directories_only: bool
    names_only: bool
    pattern: re.Pattern[str]


class IgnoreTree:
    """The ``.gitignore`` files of a tree, each added when the walk enters its directory.

    The deepest file that speaks of a path decides, within it the last matching line; nothing below an
    ignored directory can be seen again.
    """

    def __init__(self) -> None:
        self._files: dict[str, list[_Line]] = {}

    def add(self, directory: str, lines: Iterable[str]) -> None:
        """Read the ``.gitignore`` of ``directory`` (empty for the root, else ending in ``/``)."""
        read = (_read_line(line) for line in lines)
        self._files[directory] = [line for line in read if line is not None][::-1]

    def ignores(self, path: str) -> bool:
        """Whether a file, or a directory given with its ``/`` at the end, is ignored by itself.

        That none of the directories above it is ignored is the caller's knowledge, see :meth:`hides`. git's
        own ``.git`` is never part of a tree.
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
        """Whether the key or any directory above it is ignored."""
        if not self._files:
            return _GIT in key.split("/")
        place = key.find("/")
        while place >= 0:
            if self.ignores(key[: place + 1]):
                return True
            place = key.find("/", place + 1)
        return self.ignores(key)


def _as_bytes(text: str) -> str:
    """The text with one character for each of its bytes, because git's patterns match bytes."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _read_line(line: str) -> _Line | None:
    """The rule of one line, or ``None`` if it is blank, a comment, or can match nothing."""
    text = _LINE.match(line.removesuffix("\n").removesuffix("\r"))
    if text is None or text["negated"] is None:
        return None
    body = text["body"]
    directories_only = body.endswith("/")
    body = body.removesuffix("/")
    if not body or (pattern := _translate(_as_bytes(body.removeprefix("/")))) is None:
        return None
    return _Line(not text["negated"], directories_only, "/" not in body, re.compile(pattern, re.DOTALL))


def _translate(pattern: str) -> str | None:
    """A regular expression for a whole path, or ``None`` where git matches nothing."""
    parts = []
    for token in _TOKEN.finditer(pattern):
        kind = token.lastgroup
        if kind == "broken":
            return None
        if kind == "set":
            members = _members(token["set"], negated=bool(token["negated"]))
            if members is None:
                return None
            parts.append(members)
        elif kind in ("escaped", "literal"):
            parts.append(re.escape(token[kind]))
        elif kind is not None:
            parts.append(_WILDCARDS[kind])
    return "".join(parts)


def _members(text: str, *, negated: bool) -> str | None:
    """A set of bytes as a regular expression; it never holds ``/``. ``None`` for an unknown class."""
    members: set[str] = set()
    for item in _MEMBER.finditer(text):
        if item["name"] is not None:
            if item["name"] not in _CLASSES:
                return None
            members.update(_CLASSES[item["name"]])
        else:
            low, high = item["low"], item["high"] or item["low"]
            members.update(low, map(chr, range(ord(low), ord(high) + 1)))
    if negated:
        members = set(map(chr, range(256))) - members
    members.discard("/")
    listed = "".join(f"\\x{ord(member):02x}" for member in sorted(members))
    return f"[{listed}]" if members else "(?!)"
