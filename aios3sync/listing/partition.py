"""Decides where a listing can be cut into key ranges that are listed in parallel. Pure.

A range is all keys that begin with one prefix: that is correct on every server, whatever its order. Bounds
within a prefix (``after``, ``until``) are for endpoints that are known to list in UTF-8 byte order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.key_range import KeyRange, just_before

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aios3sync.core.entries import TargetEntry

__all__ = (
    "DELIMITER",
    "KeyDensity",
    "PrefixLevel",
    "PrefixRange",
    "PrefixSet",
    "child_of",
    "narrowed",
    "skip_marker",
    "worth_splitting",
)

DELIMITER: Final = "/"
_LAST: Final = "\U0010ffff"
_RANGE_KEYS: Final = 5000
"""Keys that a range of several CommonPrefixes should have: few requests, and few keys that wait in memory."""
_LEAST_PER_CHILD: Final = 2
"""With fewer keys below a CommonPrefix, finding the CommonPrefixes costs as much as listing all keys."""
_ENOUGH_PAGES: Final = 8
"""Pages that a range of several CommonPrefixes should at least have to be split."""


class PrefixRange(NamedTuple):
    """The keys below ``prefix`` that are greater than ``after`` and not greater than ``until``; full keys.

    Attributes:
        prefix: need not end in the delimiter.
        after, until: empty for no bound.
        names: how many CommonPrefixes the range covers, 0 for the whole listing.
        deep: whether keys without a delimiter after ``prefix`` belong to another range.
    """

    prefix: str
    after: str = ""
    until: str = ""
    names: int = 0
    deep: bool = False

    def below(self, lead: str, names: int, *, deep: bool) -> PrefixRange:
        """Return the keys of this range that begin with ``lead``."""
        after = self.after if self.after.startswith(lead) else ""
        until = self.until if self.until.startswith(lead) else ""
        return PrefixRange(lead, after, until, names, deep)

    def bounds(self, key: str) -> bool:
        """Return whether the key is within ``after`` and ``until``."""
        return self.after < key and (not self.until or key <= self.until)

    def reaches(self, lead: str) -> bool:
        """Return whether keys that begin with ``lead`` can be within ``after`` and ``until``."""
        begun = lead > self.after or self.after.startswith(lead)
        return begun and (not self.until or lead <= self.until)


def narrowed(prefix: str, key_range: KeyRange, *, any_prefix: bool) -> PrefixRange:
    """Return the range to list for a range of keys below a prefix: all of it, and little more.

    Args:
        prefix: of all keys.
        key_range: of keys relative to it.
        any_prefix: whether the endpoint lists prefixes that do not end in the delimiter.
    """
    lead = key_range.common_prefix()
    if not any_prefix:
        lead = lead[: lead.rfind(DELIMITER) + 1]
    after = just_before(prefix + key_range.first) if key_range.first else ""
    until = prefix + key_range.end if key_range.end else ""
    return PrefixRange(prefix + lead, after, until)


def child_of(prefix: str, key: str) -> str:
    """Return the CommonPrefix that ``key`` is rolled up into below ``prefix``; empty for a direct key."""
    cut = key.find(DELIMITER, len(prefix))
    return key[: cut + 1] if cut >= 0 else ""


def skip_marker(prefix: str, after: str) -> str:
    """Return the StartAfter with which a listing with delimiter leaves out the CommonPrefix of ``after``."""
    child = after and child_of(prefix, after)
    return child + _LAST if child else after


class KeyDensity:
    """The average number of keys below a CommonPrefix, from what was listed."""

    def __init__(self, prefix: str, keys: Iterable[str]) -> None:
        children = [child for child in (child_of(prefix, key) for key in keys) if child]
        self.keys = len(children)
        self.children = len(set(children))

    def add(self, keys: int, children: int) -> None:
        """Add the numbers of a listed range."""
        self.keys += keys
        self.children += children

    @property
    def per_child(self) -> float:
        """The average number of keys below a CommonPrefix; 0 where none was seen."""
        return self.keys / self.children if self.children else 0.0

    def children_per_range(self) -> int:
        """Return how many CommonPrefixes one range should cover."""
        return max(1, int(_RANGE_KEYS / self.per_child)) if self.keys else 1


def worth_splitting(key_range: PrefixRange, seen: KeyDensity, pages: int = 1) -> bool:
    """Return whether a range should be split of which some pages, but not the end, were seen.

    Args:
        key_range: the range.
        seen: the density of these pages.
        pages: number of these pages.
    """
    if not seen.children:
        return not key_range.names  # the CommonPrefixes of a whole listing may come later
    if seen.per_child < _LEAST_PER_CHILD:
        return False
    return key_range.names <= 1 or key_range.names * pages / seen.children > _ENOUGH_PAGES


class PrefixSet:
    """The prefixes of the ranges of one level; none of them begins with another."""

    def __init__(self) -> None:
        self._leads: list[str] = []

    def add(self, lead: str) -> None:
        """Add a prefix that overlaps with none of them."""
        self._leads.insert(bisect_left(self._leads, lead), lead)

    def covers(self, name: str) -> bool:
        """Return whether the name begins with one of them."""
        place = bisect_right(self._leads, name)
        return place > 0 and name.startswith(self._leads[place - 1])

    def overlaps(self, lead: str) -> bool:
        """Return whether one of them begins with ``lead``, or ``lead`` with one of them."""
        place = bisect_left(self._leads, lead)
        following = place < len(self._leads) and self._leads[place].startswith(lead)
        return following or self.covers(lead)


class PrefixLevel:
    """The keys and CommonPrefixes directly below the prefix of a range, cut into smaller ranges page by page.

    Args:
        key_range: the range of the level.
        density: of the keys below.
        ordered: whether the pages ascend, and ranges list all keys with their prefix; else ranges of several
            CommonPrefixes leave the direct keys to the level, which may show them at any time.
        groups: whether CommonPrefixes may be merged.
    """

    def __init__(self, key_range: PrefixRange, density: KeyDensity, *, ordered: bool, groups: bool) -> None:
        self.key_range = key_range
        self.density = density
        self._ordered = ordered
        self._groups = groups
        self._taken = PrefixSet()
        self._last = ""

    def is_consistent(self, entries: Iterable[TargetEntry], common_prefixes: Iterable[str]) -> bool:
        """Return whether a page has only direct keys and prefixes: an endpoint may not know delimiters."""
        prefix, cut = self.key_range.prefix, len(self.key_range.prefix)
        return all(DELIMITER not in entry[0][cut:] for entry in entries) and all(
            name.startswith(prefix) and cut < len(name) == name.find(DELIMITER, cut) + 1
            for name in common_prefixes
        )

    def first(self) -> PrefixRange | None:
        """Return the range that begins inside a CommonPrefix, which the listing may then omit."""
        name = child_of(self.key_range.prefix, self.key_range.after) if self.key_range.after else ""
        return self._range(name, 1) if name else None

    def direct(self, entries: list[TargetEntry]) -> list[TargetEntry]:
        """Return those direct keys of a page that no range lists."""
        if self.key_range.deep:
            return []
        if self.key_range.after or self.key_range.until:
            entries = [entry for entry in entries if self.key_range.bounds(entry.key)]
        if not self._ordered:
            return entries
        return [entry for entry in entries if not self._taken.covers(entry.key)]

    def names(self, common_prefixes: Iterable[str]) -> list[str]:
        """Return those CommonPrefixes of a page that no range lists; a server may show one on two pages."""
        reaches, covers = self.key_range.reaches, self._taken.covers
        return sorted({name for name in common_prefixes if reaches(name) and not covers(name)})

    def take(self, names: Sequence[str], place: int) -> tuple[PrefixRange, int]:
        """Return a range for the name at ``place`` and the following names that are merged with it.

        Args:
            names: of one page, ascending; those before ``place`` were taken.
            place: of the first one that was not taken.
        """
        name, most, shortest = names[place], self.density.children_per_range(), len(self.key_range.prefix)
        for length in range(shortest + 1, len(name) if most > 1 and self._groups else 0):
            lead = name[:length]
            # Servers that store files may take a name of dots for a directory.
            if not lead[shortest:].strip(".") or self._last.startswith(lead) or self._taken.overlaps(lead):
                continue
            count = bisect_left(names, lead + _LAST, place) - place
            if 1 < count <= most:
                return self._range(lead, count), count
        return self._range(name, 1), 1

    def page_ended(self, entries: Sequence[TargetEntry]) -> None:
        """Note the last key of a page that was taken completely."""
        if entries:
            self._last = entries[-1].key

    def passed(self, entries: Sequence[TargetEntry], common_prefixes: Sequence[str]) -> bool:
        """Return whether an ascending page shows that everything later is beyond the range."""
        until, shown = self.key_range.until, ([entry.key for entry in entries], list(common_prefixes))
        if not until or any(names != sorted(names) for names in shown):
            return False
        return any(names[-1] > until for names in shown if names)

    def _range(self, lead: str, names: int) -> PrefixRange:
        self._taken.add(lead)
        return self.key_range.below(lead, names, deep=names > 1 and not self._ordered)
