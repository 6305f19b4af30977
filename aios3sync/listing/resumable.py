"""Cuts a listing into prefixes that can be listed one by one, so that a later run can resume it. Only reads.

The folders of the first levels are read with the delimiter until there are enough of them: the keys directly
in them are passed on, and each folder below is a prefix of the plan. Prefixes are correct on every server,
whatever its order. Where a level has very many folders, those that begin alike share one prefix.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aios3sync._dataclass import dataclass, field
from aios3sync.core.entries import TargetEntry
from aios3sync.core.keys import is_directory_bucket
from aios3sync.listing.pages import PageReader
from aios3sync.listing.partition import DELIMITER
from aios3sync.store.protocol import ObjectStore

__all__ = ("PrefixPlan", "ResumableLevel", "Taker", "find_prefixes")

_ENOUGH: Final = 16
"""Prefixes that are enough to list in parallel; with fewer, the next level is read."""
_MOST: Final = 1024
"""Prefixes that are remembered one by one."""
_READ: Final = 64
"""Levels that are read to find prefixes."""

Taker = Callable[[list[TargetEntry]], Awaitable[None]]


@dataclass(slots=True)
class ResumableLevel:
    """How far one folder has been read.

    Attributes:
        prefix: the folder.
        after: the last key that was passed on; empty at the beginning.
        names: the prefixes found below it; one may cover many folders.
        cut: length of the shared beginnings in characters; 0 while each folder has a prefix of its own.
    """

    prefix: str
    after: str = ""
    names: list[str] = field(default_factory=list)
    cut: int = 0

    def add(self, prefixes: Iterable[str]) -> None:
        """Add the CommonPrefixes of a page; if there are too many, those that begin alike share one."""
        names = dict.fromkeys(self.names)
        names.update(dict.fromkeys(map(self._shared_prefix, prefixes)))
        while len(names) > _MOST:
            longest = max(len(name) for name in names) - len(self.prefix)
            self.cut = (self.cut or longest) - 1
            names = dict.fromkeys(map(self._shared_prefix, names))
        self.names = list(names)

    def _shared_prefix(self, name: str) -> str:
        return name[: len(self.prefix) + self.cut] if self.cut else name


@dataclass(slots=True)
class PrefixPlan:
    """The known prefixes, and the folders that are still to be read to find more."""

    waiting: list[ResumableLevel]
    prefixes: list[str] = field(default_factory=list)


async def find_prefixes(
    store: ObjectStore, plan: PrefixPlan, take: Taker, save: Callable[[PrefixPlan], Awaitable[None]]
) -> list[str]:
    """Read levels until there are enough prefixes.

    Args:
        store: of the bucket.
        plan: where to begin or continue; it is updated.
        take: awaited with the entries that are below none of the prefixes, with full keys.
        save: awaited when the entries so far need not be taken again.

    Returns:
        The prefixes of full keys.
    """
    read = 0
    while plan.waiting and read < _READ and len(plan.prefixes) + len(plan.waiting) < _ENOUGH:
        level = plan.waiting[0]
        await _read_level(store, level, take, lambda: save(plan))
        plan.waiting.pop(0)
        if level.cut or is_directory_bucket(store.bucket):  # lists only prefixes that end in the delimiter
            plan.prefixes += level.names
        else:
            plan.waiting += [ResumableLevel(name) for name in level.names]
        read += 1
        await save(plan)
    prefixes = [*plan.prefixes, *(level.prefix for level in plan.waiting)]
    plan.prefixes, plan.waiting = prefixes, []
    await save(plan)
    return prefixes


async def _read_level(
    store: ObjectStore, level: ResumableLevel, take: Taker, save: Callable[[], Awaitable[None]]
) -> None:
    reader = PageReader(store, level.prefix, start_after=level.after, delimiter=DELIMITER)
    # Only in byte order is it certain that what comes after a key is all that is left; S3 Express knows no
    # StartAfter.
    resumable = store.capabilities.sorted_listing and not is_directory_bucket(store.bucket)
    while not reader.ended:
        page = await reader.next()
        if reader.disorder is not None and resumable:
            resumable = False
            if level.after:
                level.after = ""
                reader = PageReader(store, level.prefix, delimiter=DELIMITER)
                continue
        level.add(page.prefixes)
        if page.entries:
            await take(page.entries)
        if resumable and (page.entries or page.prefixes):
            ends = [page.entries[-1].key] if page.entries else []
            level.after = max([*ends, *page.prefixes[-1:]])
            await save()
