"""Keys as places in a tree of folders, and as ranges of text; pure.

A folder is everything up to and with a ``/``; what follows the last one is the name. Keys are taken
literally: ``a//b`` stands in ``a//``, which stands in ``a/``.
"""

from __future__ import annotations

from typing import Final

__all__ = ("ancestors", "extension_of", "folder_of", "parent_of", "prefix_end")

_LONGEST_EXTENSION: Final = 16


def folder_of(key: str) -> str:
    """Where a key stands; empty at the top."""
    return key[: key.rfind("/") + 1]


def parent_of(folder: str) -> str:
    """Where a folder stands; the top has no parent."""
    return folder[: folder.rfind("/", 0, -1) + 1]


def ancestors(folder: str) -> list[str]:
    """The folder itself and all that it stands in, from the top (empty) down."""
    found = [""]
    place = folder.find("/")
    while place >= 0:
        found.append(folder[: place + 1])
        place = folder.find("/", place + 1)
    return found


def extension_of(name: str) -> str:
    """What follows the last dot, in lower case; empty where that is no extension (``.bashrc``, ``a.b c``)."""
    dot = name.rfind(".")
    if dot < 1:
        return ""
    extension = name[dot + 1 :]
    return extension.lower() if extension.isalnum() and len(extension) <= _LONGEST_EXTENSION else ""


def prefix_end(prefix: str) -> str | None:
    """The least text above all that begin with ``prefix``, in UTF-8 byte order; ``None`` where all are.

    Surrogates are no characters of UTF-8, so what follows U+D7FF is U+E000.
    """
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        prefix = prefix[:-1]
    return None
