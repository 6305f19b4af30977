"""Estimates from the object index how the keys of a bucket are spread: some random rows, in key order.

Rows are drawn uniformly (:meth:`~aios3sync.index.db.protocol.IndexBackend.sample`), so those of a range are
its share of the objects, but for chance: a range of 256 rows is off by 6 % or so, one of 32 by 18 %.
How many rows are read depends on the number of ranges, and not on how many rows the index has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aios3sync.index.rows import ObjectIndexError, Selection

if TYPE_CHECKING:
    from aios3sync.core.keys import Location
    from aios3sync.distributed.shards import Weight
    from aios3sync.index.db.protocol import IndexBackend

__all__ = ("index_weights",)

_DRAWN_A_SHARD: Final = 256
_LEAST_DRAWN_A_SHARD: Final = 32
_MOST_DRAWN: Final = 65_536
"""Rows that are drawn at most: about 50 MB of memory for a moment."""
_MOST_READ: Final = 131_072
"""Rows of the bucket that are read for them: to draw from a part of a bucket, most others are passed over."""
_SEED: Final = 0
"""The same cut as long as nothing was written."""


async def index_weights(backend: IndexBackend, location: Location, shards: int, least: int) -> list[Weight]:
    """Return about how the objects below a prefix are spread; nothing where the index knows too few.

    A database that fails knows nothing: what feeds the index says so, and the run goes on.

    Args:
        backend: of the index.
        location: the prefix, which is cut off.
        shards: into which the run is to be cut.
        least: objects that the index must know more than.

    Returns:
        Ascending relative keys, each with the number of objects from it up to the next one.
    """
    selection = Selection(location.bucket, location.prefix)
    try:
        objects = (await backend.totals(selection)).objects
        if objects <= least:
            return []
        whole = (await backend.totals(Selection(location.bucket))).objects
        drawn = await backend.sample(selection, _number_of(shards, objects / max(whole, 1)), _SEED)
    except ObjectIndexError:
        return []
    keys = sorted({row.key.removeprefix(location.prefix) for row in drawn} - {""})
    # Of a prefix that is no folder the total may be a lower bound.
    objects = max(objects, len(keys))
    ends = [objects * number // len(keys) for number in range(len(keys) + 1)]
    return [(key, end - begin) for key, begin, end in zip(keys, ends, ends[1:], strict=False)]


def _number_of(shards: int, share: float) -> int:
    """Return how many rows to draw of a part of a bucket, which is this share of it."""
    affordable = max(int(_MOST_READ * share), shards * _LEAST_DRAWN_A_SHARD)
    return min(shards * _DRAWN_A_SHARD, affordable, _MOST_DRAWN)
