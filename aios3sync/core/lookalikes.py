"""Finds the keys that other tools may have made of names that are not UTF-8. Pure.

Such a file has no key, so it is not known which object is its own; any that may be must not be deleted (P2).
"""

from __future__ import annotations

from aios3sync._lazy import lazy_pattern
from aios3sync._typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("UndecodableNames",)

_SPELLED: Final = 4
"""Most characters of a key that one undecodable byte becomes, such as ``\\xFF``; it may be none."""
_DROPPED: Final = lazy_pattern(r"[^\x00-\x7f]|[0-9A-Fa-f%\\xX?_=&#;]")
"""Characters of spellings of a byte: other letters, hexadecimal digits, and marks of an escape."""
_ODD: Final = lazy_pattern("([\udc80-\udcff]+|[\x80-\ud7ff\ue000-\U0010ffff]+)")


class UndecodableNames:
    """A set of paths that are not UTF-8, which finds the keys that may be theirs or below them.

    An undecodable byte may become up to four characters: nothing, a replacement character, a Latin-1 letter,
    an escape such as ``%FF``; a run of them may become one character. Other characters that are not ASCII
    stay, or were read as Latin-1 or escaped along with them.

    A key is looked up by its text without all characters of spellings, which is the same for every spelling.
    Only paths that have this text in common with it are compared, each in time proportional to
    the lengths of both: positions that can be reached are kept as a set, nothing is tried twice.
    """

    def __init__(self) -> None:
        self._paths: dict[str, list[tuple[str, ...]]] = {}

    def __bool__(self) -> bool:
        """Return whether there is any such path."""
        return bool(self._paths)

    def __iter__(self) -> Iterator[str]:
        """Yield the paths."""
        return ("".join(parts) for some in self._paths.values() for parts in some)

    def add(self, path: str) -> None:
        """Add a path, with its undecodable bytes as surrogate escapes and without a slash at its end."""
        self._paths.setdefault(_DROPPED.sub("", path), []).append(tuple(filter(None, _ODD.split(path))))

    def covers(self, key: str) -> bool:
        """Return whether the key may be that of such a path, or below it."""
        if not self._paths:
            return False
        common = _DROPPED.sub("", key)
        place = len(common)
        while place >= 0:
            for parts in self._paths.get(common[:place], ()):
                if _is_spelling(parts, key):
                    return True
            place = common.rfind("/", 0, place)
        return False


def _is_spelling(parts: tuple[str, ...], key: str) -> bool:
    """Return whether the key, or a directory above it, is a spelling of the path that ``parts`` make."""
    reached = 1  # bit n: the parts so far end at the n-th character of the key
    for part in parts:
        reached = _after(part, key, reached)
        if not reached:
            return False
    ends = 1 << len(key) | _places(key, "/")
    return bool(reached & ends)


def _after(part: str, key: str, reached: int) -> int:
    if part.isascii():
        return _literal(part, key, reached)
    if "\udc80" <= part[0] <= "\udcff":
        return _gap(_SPELLED * len(part), reached) & ((2 << len(key)) - 1)
    stored = part.encode("utf-8", "surrogatepass")
    latin = reached
    for byte in stored:
        # 0x80 to 0x9f are letters in Windows-1252 and controls in Latin-1.
        latin = _literal(chr(byte), key, latin) if byte >= 0xA0 else (latin & ((1 << len(key)) - 1)) << 1
    escaped = "".join(f"%{byte:02x}" for byte in stored)
    return _literal(part, key, reached) | latin | _literal(escaped, key.lower(), reached)


def _literal(text: str, key: str, reached: int) -> int:
    return (reached & _places(key, text)) << len(text)


def _places(key: str, text: str) -> int:
    """Return where ``text`` begins in the key, as bits."""
    places = 0
    place = key.find(text)
    while place >= 0:
        places |= 1 << place
        place = key.find(text, place + 1)
    return places


def _gap(width: int, reached: int) -> int:
    """Return every place from nothing to ``width`` characters on."""
    step = 1
    while width > 0:
        reached |= reached << min(step, width)
        width -= step
        step *= 2
    return reached
