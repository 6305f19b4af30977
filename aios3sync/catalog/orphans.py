"""Deletes shards that a writer left behind when it broke off; never one that somebody may still name.

A writer stores its shards and then swaps the document that names them. So a shard without a name is either
left over or about to get one, and only a swap of our own tells which: a shard that was there before it, and
that our document does not name, can be named by nobody any more. Whoever read the document before that swap
loses the race for it and stores new shards; whoever reads it later stores them later. Both hold only where
the endpoint honours conditional writes; elsewhere nothing is swept.

They are kept for a day all the same, by the endpoint's own clock, so that no reader is disturbed and a
document that comes back byte by byte does no harm. And while a corrupt document is set aside, what is older
than that copy stays too: it may be the rest of it.
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
"""Between the key of a document and the time, in the key of its copy."""
GRACE: Final = 86_400.0
"""Seconds that a shard without a name is kept."""
_EVERY: Final = 3600.0
_BATCH: Final = 1000
_SHARD: Final = re.compile(r"\d{4}-[0-9a-f]{16}\.json\.gz")


def shard_key(folder: str, number: int, token: str) -> str:
    """The key of a shard; ``token`` is 16 hex digits of dice."""
    return f"{folder}{number:04d}-{token}.json.gz"


class OrphanedShards:
    """What was left behind in the folder of one document.

    Args:
        store: of the bucket.
        key: of the document.
        folder: of its shards, and of nobody else's, ending in ``/``.
    """

    def __init__(self, store: ObjectStore, key: str, folder: str) -> None:
        self._store = store
        self._key = key
        self._folder = folder
        self._looked = -_EVERY

    async def seen(self, *, at_once: bool) -> dict[str, float]:
        """The shards that are there, and when they were stored; to be asked before the swap.

        Args:
            at_once: look now, not once an hour at most.
        """
        now = time.monotonic()
        if not at_once and now - self._looked < _EVERY:
            return {}
        self._looked = now
        try:
            return await self._times(self._folder)
        except StoreError:
            return {}  # who may not list leaves them to one who may

    async def drop(self, seen: Mapping[str, float], named: Collection[str]) -> int:
        """Delete those which the document does not name since our swap, and tell how many.

        Args:
            seen: what :meth:`seen` told before that swap.
            named: the shards of the document that was swapped in.
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
            return 0  # what is left over only takes room

    async def _delete(self, items: list[DeleteItem]) -> int:
        return len(items) - len(await self._store.delete_many(items))

    async def _times(self, prefix: str) -> dict[str, float]:
        reader = PageReader(self._store, prefix)
        times: dict[str, float] = {}
        while not reader.ended:
            times.update((entry.key, entry.last_modified) for entry in (await reader.next()).entries)
        return times
