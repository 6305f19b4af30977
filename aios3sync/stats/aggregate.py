"""Counts listed objects by size, age, class, extension and folder, in bounded memory. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from operator import attrgetter
from typing import Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.entries import TargetEntry
from aios3sync.stats.model import Bin, Breakdown, FolderTotals, GroupTotals, Histogram, ListedObject

__all__ = ("FolderAggregate", "ListingAggregate", "TopGroups", "extension_of", "suffix_of")

SHOWN_GROUPS: Final = 100
SHOWN_OBJECTS: Final = 20
SHOWN_CHILDREN: Final = 40
MOST_GROUPS: Final = 2000
"""Groups that are counted; when there are more, the smaller half is merged into ``other``."""
MOST_FOLDERS: Final = 20_000
DEPTH: Final = 4
"""Levels of the tree of folders; fewer where these would be more than :data:`MOST_FOLDERS`."""
_SHOWN_SHARES: Final = 500
"""Below the first level, a folder with less than one part in this many of all bytes is not shown."""
_CANDIDATES: Final = 1000
"""Rows that are collected before they are sorted and cut."""
_LONGEST_EXTENSION: Final = 16
_COMPRESSIONS: Final = frozenset({"br", "bz2", "gz", "lz4", "lzma", "xz", "z", "zst"})

_SIZES: Final = (1, 1_000, 10_000, 100_000, *(10**n for n in range(6, 13)))
_DAY: Final = 86_400
_AGES: Final = (3600, *(days * _DAY for days in (1, 7, 30, 90, 180, 365, 730, 1825)))


_Path = tuple[list[str], int, int]
"""The names of a path, with the objects and bytes that are counted for it."""


class TopGroups:
    """Objects and stored bytes of a bounded number of groups, by name."""

    def __init__(self, most: int = MOST_GROUPS) -> None:
        self.groups: dict[str, list[int]] = {}
        self._most = most
        self._other = [0, 0]
        self._exact = True

    def add(self, name: str, objects: int, size: int) -> None:
        """Add objects to a group."""
        group = self.groups.get(name)
        if group is None:
            if len(self.groups) >= self._most:
                self._merge_small_groups()
            group = self.groups[name] = [0, 0]
        group[0] += objects
        group[1] += size

    def _merge_small_groups(self) -> None:
        """Merge the smaller half into ``other``; a group that appears again later starts at zero."""
        ranked = sorted(self.groups.items(), key=lambda item: (item[1][1], item[1][0]), reverse=True)
        self.groups = dict(ranked[: self._most // 2])
        self._add_to_other(group for _, group in ranked[self._most // 2 :])
        self._exact = False

    def _add_to_other(self, groups: Iterable[list[int]]) -> None:
        for objects, size in groups:
            self._other[0] += objects
            self._other[1] += size

    @property
    def other(self) -> tuple[int, int]:
        """Objects and bytes that are no longer in a group."""
        return self._other[0], self._other[1]

    def breakdown(self) -> Breakdown:
        """Return the largest groups, and all the rest as one."""
        ranked = sorted(self.groups.items(), key=lambda item: (-item[1][1], -item[1][0], item[0]))
        shown = tuple(GroupTotals(name, *group) for name, group in ranked[:SHOWN_GROUPS])
        rest = [group for _, group in ranked[SHOWN_GROUPS:]]
        objects = self._other[0] + sum(group[0] for group in rest)
        size = self._other[1] + sum(group[1] for group in rest)
        return Breakdown(shown, GroupTotals("", objects, size) if objects else None, self._exact)


class _Bins:
    """Counts by ascending edges; the first bin holds what is below the first edge."""

    def __init__(self, edges: tuple[int, ...]) -> None:
        self.edges = edges
        self.objects = [0] * (len(edges) + 1)
        self.sizes = [0] * (len(edges) + 1)

    def histogram(self, unit: str) -> Histogram:
        lows = (0, *self.edges)
        highs = (*self.edges, None)
        counts = zip(lows, highs, self.objects, self.sizes, strict=True)
        return Histogram(unit, tuple(Bin(low, high, objects, size) for low, high, objects, size in counts))


class _TopRows:
    """The rows with the largest values of a field, by key among equals.

    Attributes:
        threshold: rows with a smaller value cannot be among them.
    """

    def __init__(self, field: str) -> None:
        self.threshold = float("-inf")
        self._value = attrgetter(field)
        self._rows: list[TargetEntry] = []

    def offer(self, rows: list[TargetEntry]) -> None:
        self._rows += rows
        if len(self._rows) > _CANDIDATES:
            self._cut()

    def _cut(self) -> None:
        self._rows.sort(key=lambda row: (-self._value(row), row.key))
        del self._rows[SHOWN_OBJECTS:]
        if len(self._rows) == SHOWN_OBJECTS:
            self.threshold = self._value(self._rows[-1])

    def rows(self) -> tuple[ListedObject, ...]:
        self._cut()
        return tuple(
            ListedObject(row.key, row.size, row.last_modified, row.storage_class) for row in self._rows
        )


class ListingAggregate:
    """Adds up pages of a listing, in any order.

    Attributes:
        objects, stored_bytes: of all pages.
        folders: the same by folder.

    Args:
        prefix: of all keys; folders are relative to it.
        now: ages are as of this time, seconds since the epoch.
    """

    def __init__(self, prefix: str, now: float) -> None:
        self.objects = self.stored_bytes = 0
        self._prefix = prefix
        self._now = now
        self._storage = TopGroups()
        self._extensions = TopGroups()
        self.folders = FolderAggregate(prefix)
        self._sizes, self._ages = _Bins(_SIZES), _Bins(_AGES)
        self._largest, self._newest = _TopRows("size"), _TopRows("last_modified")

    def add(self, page: list[TargetEntry]) -> None:
        """Add one page of full keys."""
        self.objects += len(page)
        self.stored_bytes += sum([entry[1] for entry in page])
        self._add_to_bins(page)
        self.folders.add(page)
        storage: dict[str, list[int]] = {}
        extensions: dict[str, list[int]] = {}
        for key, size, _, _, name, _, _ in page:
            for groups, group in ((storage, name or "STANDARD"), (extensions, suffix_of(key))):
                if group in groups:
                    counted = groups[group]
                    counted[0] += 1
                    counted[1] += size
                else:
                    groups[group] = [1, size]
        for totals, groups in ((self._storage, storage), (self._extensions, extensions)):
            for group, (objects, total) in groups.items():
                totals.add(group, objects, total)
        least, since = self._largest.threshold, self._newest.threshold
        self._largest.offer([entry for entry in page if entry[1] >= least])
        self._newest.offer([entry for entry in page if entry[3] >= since])

    def _add_to_bins(self, page: list[TargetEntry]) -> None:
        now = self._now
        sizes, ages = self._sizes, self._ages
        for _, size, _, modified, _, _, _ in page:
            place = bisect_right(_SIZES, size)
            sizes.objects[place] += 1
            sizes.sizes[place] += size
            place = bisect_right(_AGES, now - modified)
            ages.objects[place] += 1
            ages.sizes[place] += size

    def storage_classes(self) -> Breakdown:
        """Return the objects by storage class."""
        return self._storage.breakdown()

    def extensions(self) -> Breakdown:
        """Return the objects by extension."""
        return self._extensions.breakdown()

    def sizes(self) -> Histogram:
        """Return the objects by size, in bytes."""
        return self._sizes.histogram("bytes")

    def ages(self) -> Histogram:
        """Return the objects by age, in seconds."""
        return self._ages.histogram("seconds")

    def largest(self) -> tuple[ListedObject, ...]:
        """Return the largest objects."""
        return self._largest.rows()

    def newest(self) -> tuple[ListedObject, ...]:
        """Return the objects that were changed last."""
        return self._newest.rows()


def suffix_of(key: str) -> str:
    """Return the extension, of compressed files with the one before it: ``csv.gz``, ``tar.xz``."""
    outer = extension_of(key)
    if outer not in _COMPRESSIONS:
        return outer
    inner = extension_of(key[: -len(outer) - 1])
    return outer if not inner or inner.isdigit() else f"{inner}.{outer}"


def extension_of(key: str) -> str:
    """Return the text after the last dot of the name, in lower case; empty where that is no extension."""
    name = key[key.rfind("/") + 1 :]
    dot = name.rfind(".")
    if dot <= 0 or len(name) - dot - 1 > _LONGEST_EXTENSION:
        return ""
    return name[dot + 1 :].lower()


class FolderAggregate:
    """Adds up objects and bytes by folder, down to a depth that shrinks when there are too many folders."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._depth = DEPTH
        self._paths: dict[str, list[int]] = {}
        self._flat: TopGroups | None = None

    def add(self, page: list[TargetEntry]) -> None:
        """Add one page of full keys."""
        cut = len(self._prefix)
        folders: dict[str, list[int]] = {}
        for key, size, _, _, _, _, _ in page:
            folder = key[cut : key.rfind("/") + 1]
            if folder in folders:
                counted = folders[folder]
                counted[0] += 1
                counted[1] += size
            else:
                folders[folder] = [1, size]
        for folder, (objects, size) in folders.items():
            self._put(_truncated(folder, self._depth), objects, size)

    def _put(self, path: str, objects: int, size: int) -> None:
        if self._flat is not None:
            self._flat.add(path, objects, size)
            return
        counted = self._paths.get(path)
        if counted is None:
            counted = self._paths[path] = [0, 0]
        counted[0] += objects
        counted[1] += size
        if len(self._paths) > MOST_FOLDERS:
            self._drop_deepest_level()

    def _drop_deepest_level(self) -> None:
        """Drop the deepest level; where one level is too much already, count only the largest folders."""
        paths, self._paths = self._paths, {}
        if self._depth == 1:
            self._flat = TopGroups(MOST_FOLDERS)
        else:
            self._depth -= 1
        for path, (objects, size) in paths.items():
            self._put(_truncated(path, self._depth), objects, size)

    def top(self) -> Breakdown:
        """Return the folders directly below the prefix; the empty name is that of the objects there."""
        if self._flat is not None:
            return self._flat.breakdown()
        totals = TopGroups(MOST_FOLDERS + 1)
        for path, (objects, size) in self._paths.items():
            totals.add(_truncated(path, 1), objects, size)
        return totals.breakdown()

    def tree(self) -> FolderTotals:
        """Return the folders as a tree, each with its largest children."""
        paths = self._paths if self._flat is None else self._flat.groups
        found = [(path.split("/")[:-1], objects, size) for path, (objects, size) in paths.items()]
        uncounted = self._flat.other if self._flat is not None else (0, 0)
        least = (sum(size for _, _, size in found) + uncounted[1]) / _SHOWN_SHARES
        return _folder("", self._prefix, found, _TreeLevel(0, least, uncounted))


def _truncated(path: str, depth: int) -> str:
    """Return a path that is empty or ends in a slash, cut to ``depth`` levels."""
    if path.count("/") <= depth:
        return path
    return "/".join(path.split("/", depth)[:depth]) + "/"


class _TreeLevel(NamedTuple):
    """One level of the tree: its depth, the bytes that a child needs to be shown, the uncounted rest."""

    depth: int
    least: float
    uncounted: tuple[int, int] = (0, 0)


def _folder(name: str, prefix: str, found: list[_Path], level: _TreeLevel) -> FolderTotals:
    below: dict[str, list[_Path]] = {}
    for item in found:
        if len(item[0]) > level.depth:
            below.setdefault(item[0][level.depth], []).append(item)
    weights = {child: sum(item[2] for item in items) for child, items in below.items()}
    ranked = sorted(below, key=lambda child: (-weights[child], child))[:SHOWN_CHILDREN]
    deeper = _TreeLevel(level.depth + 1, level.least)
    children = tuple(
        _folder(child, f"{prefix}{child}/", below[child], deeper)
        for child in ranked
        if level.depth == 0 or weights[child] > level.least
    )
    objects = level.uncounted[0] + sum(item[1] for item in found)
    size = level.uncounted[1] + sum(item[2] for item in found)
    rest = objects - sum(child.objects for child in children)
    rest_size = size - sum(child.stored_bytes for child in children)
    return FolderTotals(name, prefix, objects, size, children, rest, rest_size)
