"""Delete orphaned shards, those of a writer that broke off; never one that a document may still name.

A writer stores its shards, and then swaps in the document that names them. So a shard that no document names
is either orphaned or about to be named, and only a swap of our own shows which: a shard that existed before
our swap, and that our document does not name, cannot be named any more. A writer that read the document
before our swap loses its own swap and stores new shards; one that reads it later stores its shards later.
Both hold only where the endpoint honours conditional writes; elsewhere nothing is deleted.

Orphaned shards are kept for a day all the same, by the clock of the endpoint, so that readers are not
disturbed, and a document that is restored byte for byte still finds its shards. While the copy of a corrupt
document exists, shards older than the copy are kept as well: they may belong to it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping
from typing import Final

from aios3sync.errors import StoreError
from aios3sync.listing.pages import PageReader
from aios3sync.store.protocol import DeleteItem, ObjectStore

__all__ = ("ASIDE", "GRACE", "OrphanedShards", "shard_key")

ASIDE: Final = ".corrupt-"
"""The infix of the key of a copy, between the key of the document and the time."""
GRACE: Final = 86_400.0
"""Seconds that an orphaned shard is kept."""
_INTERVAL: Final = 3600.0
"""Seconds between two listings of the shards."""
_BATCH: Final = 1000
_SHARD: Final = re.compile(r"\d{4}-[0-9a-f]{16}\.json\.gz")


def shard_key(folder: str, number: int, token: str) -> str:
    """Return the key of a shard; ``token`` is 16 random hex digits."""
    return f"{folder}{number:04d}-{token}.json.gz"


class OrphanedShards:
    """The orphaned shards in the folder of one document.

    Args:
        store: of the bucket.
        key: of the document.
        folder: of its shards, and of no others, ending in ``/``.
    """

    def __init__(self, store: ObjectStore, key: str, folder: str) -> None:
        self._store = store
        self._key = key
        self._folder = folder
        self._listed_at = -_INTERVAL

    async def seen(self, *, at_once: bool) -> dict[str, float]:
        """List the shards that exist, and when they were stored; call it before the swap.

        Args:
            at_once: list now, not once an hour at most.
        """
        now = time.monotonic()
        if not at_once and now - self._listed_at < _INTERVAL:
            return {}
        self._listed_at = now
        try:
            return await self._times(self._folder)
        except StoreError:
            return {}  # without permission to list, they are left to a writer that has it

    async def drop(self, seen: Mapping[str, float], named: Collection[str]) -> int:
        """Delete the orphaned shards after our swap; return how many.

        Args:
            seen: the result of :meth:`seen` before that swap.
            named: the shards of the document that was replaced, and of the one that was swapped in.
        """
        unnamed = {
            key: stored
            for key, stored in seen.items()
            if key not in named and _SHARD.fullmatch(key, len(self._folder))
        }
        if not unnamed:
            return 0
        try:
            now = (await self._store.head(self._key)).last_modified
            aside = max((await self._times(self._key + ASIDE)).values(), default=0.0)
            old = [DeleteItem(key) for key, stored in unnamed.items() if aside < stored <= now - GRACE]
            return sum([await self._delete(old[at : at + _BATCH]) for at in range(0, len(old), _BATCH)])
        except StoreError:
            return 0  # orphaned shards only take up space

    async def _delete(self, items: list[DeleteItem]) -> int:
        return len(items) - len(await self._store.delete_many(items))

    async def _times(self, prefix: str) -> dict[str, float]:
        reader = PageReader(self._store, prefix)
        times: dict[str, float] = {}
        while not reader.ended:
            times.update((entry.key, entry.last_modified) for entry in (await reader.next()).entries)
        return times
