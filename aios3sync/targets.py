"""Brings a listing into key order where the endpoint does not: streams if it can, sorts in a spool if not.

It decides nothing. Which endpoints list in order is known of AWS's own and remembered of others; where it is
not known the listing is read to its end before the first entry is handed on, because a key that comes late
would look like one that is not there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from aios3sync.core.entries import TargetEntry
from aios3sync.listing import list_target
from aios3sync.spool import Spool
from aios3sync.store.protocol import ObjectStore

__all__ = ("ASCENDING", "UNORDERED", "SeenOrder", "target_pages")

ASCENDING: Final = "ascending"
UNORDERED: Final = "unordered"
_IN_MEMORY: Final = 20_000
"""Entries that are sorted in memory before the spool takes over: about 10 MB."""


@dataclass(slots=True)
class SeenOrder:
    """What a listing showed of its order; empty while it has not ended."""

    order: str = ""


async def target_pages(
    store: ObjectStore, prefix: str, spool: Spool, known: str, seen: SeenOrder
) -> AsyncGenerator[list[TargetEntry], None]:
    """Pages of the listing in key order, relative keys.

    Args:
        store: of the target's bucket.
        prefix: of the target.
        spool: takes a long listing whose order is not known.
        known: ``ascending`` streams; the join finds out if that is wrong.
        seen: told the order when the listing has ended.

    Raises:
        StoreError: the listing did not end cleanly.
    """
    async with aclosing(list_target(store, prefix)) as pages:
        if known == ASCENDING:
            async for page in pages:
                yield page
            seen.order = ASCENDING
            return
        async with aclosing(_sorted(pages, spool, seen)) as ordered:
            async for page in ordered:
                yield page


async def _sorted(
    pages: AsyncGenerator[list[TargetEntry], None], spool: Spool, seen: SeenOrder
) -> AsyncGenerator[list[TargetEntry], None]:
    held: list[TargetEntry] = []
    last, order, spooled, count = "", ASCENDING, False, 0
    async for page in pages:
        count += 1
        for entry in page:
            if entry.key <= last:
                order = UNORDERED
            last = entry.key
        held += page
        if len(held) >= _IN_MEMORY:
            await spool.add_listing(held)
            held, spooled = [], True
    # One page proves little, and sorting it again next time costs nothing.
    seen.order = order if count > 1 or order == UNORDERED else ""
    if spooled:
        await spool.add_listing(held)
        async for page in spool.listing():
            yield page
    elif held:
        yield list({entry.key: entry for entry in sorted(held)}.values())
