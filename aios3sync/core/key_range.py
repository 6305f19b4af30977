"""KeyRange: the keys from one to another, in the order of their UTF-8 bytes. Pure."""

from __future__ import annotations

from bisect import bisect_left

from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    from aios3sync.core.merge import Keyed

    K = TypeVar("K", bound=Keyed)

__all__ = ("EVERYTHING", "KeyRange", "just_before")

_LAST: Final = "\U0010ffff"
_AFTER_SURROGATES: Final = "\ue000"


class KeyRange(NamedTuple):
    """The keys that are not before ``first``, and before ``end``; relative to the prefix of a sync.

    ``str`` is ordered by code points, as UTF-8 is by bytes: see :mod:`aios3sync.core.merge`.

    Attributes:
        first: where the range begins, itself included; empty for the beginning of all keys.
        end: where it ends, itself not included; empty for the end of all keys.
    """

    first: str = ""
    end: str = ""

    @property
    def is_everything(self) -> bool:
        """Whether there is no key outside."""
        return not (self.first or self.end)

    @property
    def after(self) -> str:
        """What to read on from: before ``first`` with hardly any key between, see :func:`just_before`."""
        return just_before(self.first) if self.first else ""

    def holds(self, key: str) -> bool:
        """Return whether a key is in the range."""
        return self.first <= key and (not self.end or key < self.end)

    def may_hold_below(self, prefix: str) -> bool:
        """Return whether a key that begins with the prefix can be in the range."""
        begun = prefix >= self.first or self.first.startswith(prefix)
        return begun and (not self.end or prefix < self.end)

    def common_prefix(self) -> str:
        """Return what all keys of the range begin with; it may be empty."""
        for place, (one, other) in enumerate(zip(self.first, self.end, strict=False)):
            if one != other:
                return self.first[:place]
        return self.first if self.end else ""

    def of_names(self, directory: str, names: Sequence[str]) -> slice:
        """Return which names in a directory are in the range, or lead to what is.

        Args:
            directory: empty, or ending in ``/``.
            names: ascending; those of directories end in ``/``.
        """
        begin, end = 0, len(names)
        if self.first.startswith(directory):
            rest = self.first[len(directory) :]
            begin = bisect_left(names, rest)
            # Only the last name before the bound can be a directory that the bound lies in.
            if begin and names[begin - 1][-1] == "/" and rest.startswith(names[begin - 1]):
                begin -= 1
        if self.end.startswith(directory) and self.end:
            end = bisect_left(names, self.end[len(directory) :])
        return slice(begin, end)

    def clipped(self, entries: list[K]) -> list[K]:
        """Return the entries, ascending by key, that are in the range."""
        if not entries or (self.holds(entries[0].key) and self.holds(entries[-1].key)):
            return entries
        return [entry for entry in entries if self.holds(entry.key)]


EVERYTHING: Final = KeyRange()


def just_before(key: str) -> str:
    """Return a text before the key with hardly any key between them; the key is not empty.

    Listings and manifests are read from after a key, and a range includes its first key. What lies between
    the two has U+10FFFF, which is no character, where the key ends: the caller leaves it out.
    """
    head, last = key[:-1], key[-1]
    if last == "\0":
        return head
    before = "\ud7ff" if last == _AFTER_SURROGATES else chr(ord(last) - 1)
    return head + before + _LAST
