"""Decides which keys can be paths of files below a directory, and which of them collide there. Pure.

Sources: path traversal by keys (CWE-22, https://cwe.mitre.org/data/definitions/22.html); reserved names of
Windows, https://learn.microsoft.com/windows/win32/fileio/naming-a-file.
"""

from __future__ import annotations

import unicodedata

from aios3sync._lazy import lazy_pattern
from aios3sync._typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = (
    "TEMPORARY_PREFIX",
    "FolderClashes",
    "folded",
    "have_no_problem",
    "is_temporary",
    "parents",
    "path_problem",
)

TEMPORARY_PREFIX: Final = ".aios3sync-"
"""How the names of files begin that a download writes until they are whole; they are never synced."""
_TEMPORARY: Final = lazy_pattern(r"\.aios3sync-[0-9a-f]{16}\.(?:part|ranges)")

_MAX_NAME_BYTES: Final = 255
"""NAME_MAX of the usual filesystems of Linux and macOS; the 255 UTF-16 units of NTFS are never fewer."""
_RESERVED: Final = lazy_pattern(r"(?is)(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\..*)?")
_NOT_WINDOWS: Final = lazy_pattern(r'[<>:"\\|?*\x00-\x1f]')


def is_temporary(name: str) -> bool:
    """Return whether a file name is one that an unfinished download uses."""
    return name.startswith(TEMPORARY_PREFIX) and _TEMPORARY.fullmatch(name) is not None


def path_problem(key: str, *, windows: bool = False) -> str:
    """Return why a key cannot be a path below a directory, as the rest of a sentence; empty if it can.

    Keys are never changed to make them fit: two keys could then become one file.

    Args:
        key: relative to the prefix. One that ends in ``/`` names a directory, and is judged as such.
        windows: judge by the rules of Windows as well.
    """
    if "\0" in key:
        return "holds a NUL character, which no path can hold"
    path = key.removesuffix("/")
    if not path:
        return "is the directory itself" if key else "is empty"
    if path.startswith("/"):
        return "begins with a slash, which would make it an absolute path"
    for part in path.split("/"):
        if problem := _part_problem(part, windows=windows):
            return problem
    return ""


def have_no_problem(keys: Sequence[str]) -> bool:
    """Return whether no key can have a problem, from one look at all of them.

    Most keys are plain; where one may not be, each has to be looked at.
    """
    text = "\n".join(("", *keys, ""))
    if text.count("\n") != len(keys) + 1 or max(map(len, keys), default=0) > _MAX_NAME_BYTES // 4:
        return False
    return not any(suspicious in text for suspicious in ("\0", "//", "/.", "\n.", "\n/", "/\n", "\n\n"))


def _part_problem(part: str, *, windows: bool) -> str:
    if not part:
        return "has an empty part between two slashes, which a path cannot have"
    if part in (".", ".."):
        return f"has the part {part!r}, which leads to another directory"
    if len(part) > _MAX_NAME_BYTES // 4 and len(part.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES:
        return f"has a part of more than {_MAX_NAME_BYTES} bytes, which is too long for a file name"
    if is_temporary(part):
        return "has the name of an unfinished download"
    return _windows_problem(part) if windows else ""


def _windows_problem(part: str) -> str:
    if found := _NOT_WINDOWS.search(part):
        return f"has the character {found[0]!r}, which Windows does not allow in a name"
    if part[-1] in ". ":
        return "has a part that ends in a dot or a space, which Windows cuts off"
    if _RESERVED.fullmatch(part):
        return f"has the part {part!r}, which is a device of Windows"
    return ""


def parents(key: str) -> list[str]:
    """Return the directories that a key lies in, the outermost first: ``a/b/c`` lies in ``a`` and ``a/b``."""
    parts = key.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def folded(name: str, *, case: bool, form: bool) -> str:
    """Return what a filesystem compares names by.

    Args:
        name: a name or a path.
        case: upper and lower case are the same to it.
        form: the normal forms of Unicode are the same to it.
    """
    if name.isascii():
        return name.lower() if case else name
    if form:
        name = unicodedata.normalize("NFD", name)
    if case:
        name = name.casefold()
        if form:  # folding may undo the normal form
            name = unicodedata.normalize("NFD", name)
    return name


class FolderClashes:
    """Finds keys that are both an object and a folder, ``a`` and ``a/b``: no directory can hold both.

    Between ``a`` and ``a/b`` may come any number of keys (``a!``, ``a-1``): whether ``a`` is a folder is
    known when a key that sorts after ``a/`` has passed.

    Invariant: ``_open`` holds the keys that are a beginning of the latest key, each one a beginning of the
    next. A key that is not among them can have no children any more, since keys come in order. So memory is
    bounded by the length of one key, but for the clashes themselves.
    """

    def __init__(self) -> None:
        self._open: list[str] = []
        self._clashes: set[str] = set()
        self._latest = ""
        self._ended = False

    def feed(self, keys: Sequence[str]) -> None:
        """Take the next keys, in ascending order."""
        opened = self._open
        for key in keys:
            while opened and not key.startswith(opened[-1]):
                opened.pop()
            for earlier in opened:
                if key[len(earlier)] == "/":
                    self._clashes.add(earlier)
            opened.append(key)
        if keys:
            self._latest = keys[-1]

    def add(self, key: str) -> None:
        """Note that a key is a folder as well."""
        self._clashes.add(key)

    def end(self) -> None:
        """Note that there are no more keys."""
        self._ended = True
        self._open.clear()

    def is_folder(self, key: str) -> bool | None:
        """Return whether a key that was fed is a folder as well; ``None`` while that is not known."""
        if key in self._clashes:
            return True
        return False if self._ended or self._latest > f"{key}/" else None
