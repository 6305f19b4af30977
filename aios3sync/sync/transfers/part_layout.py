"""Finds out in which parts the source of a copy was uploaded: a copy in the same parts has the same ETag."""

from __future__ import annotations

from typing import Final

from aios3sync.concurrency import for_each
from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import part_count, part_size_candidates
from aios3sync.core.parts import MAX_PARTS, MIN_PART_SIZE, Part, plan_part_size, plan_parts
from aios3sync.store.protocol import ObjectStore

__all__ = ("part_layout",)

_HEADS_AT_ONCE: Final = 32


async def part_layout(
    store: ObjectStore, key: str, source: TargetEntry, *, wanted: int, largest: int
) -> list[Part]:
    """Return the parts in which an object was uploaded, else parts of our own.

    Args:
        store: of the source.
        key: the full key there.
        source: the object.
        wanted: bytes of a part where the object has no parts, or they cannot be found out.
        largest: most bytes of a part: a layout with larger ones is not used.
    """
    count = part_count(source.etag)
    sizes = await _sizes(store, key, source, count, wanted) if count else []
    if sizes and max(sizes) <= largest and min(sizes[:-1], default=MIN_PART_SIZE) >= MIN_PART_SIZE:
        return _numbered(sizes)
    return list(plan_parts(source.size, plan_part_size(source.size, wanted, MAX_PARTS, largest)))


async def _sizes(store: ObjectStore, key: str, source: TargetEntry, count: int, wanted: int) -> list[int]:
    """Return the sizes of the parts; none where they are not known."""
    size, version_id = source.size, source.version_id
    first = await store.head_part(key, 1, version_id=version_id)
    if first.parts == count and first.size <= size:
        if max(1, -(-size // max(first.size, 1))) == count:
            return _uniform(size, first.size)
        found = await _each(store, key, count, version_id)
        if sum(found) == size:
            return found
    candidates = part_size_candidates(size, count, wanted)
    return _uniform(size, candidates[0]) if candidates else []


async def _each(store: ObjectStore, key: str, count: int, version_id: str) -> list[int]:
    """Request the size of every part, as they are not all of one size."""
    sizes = [0] * count

    async def ask(number: int) -> None:
        sizes[number - 1] = (await store.head_part(key, number, version_id=version_id)).size

    await for_each(range(1, count + 1), ask, limit=_HEADS_AT_ONCE)
    return sizes


def _uniform(size: int, part: int) -> list[int]:
    return [length for _, _, length in plan_parts(size, part)]


def _numbered(sizes: list[int]) -> list[Part]:
    parts, offset = [], 0
    for number, size in enumerate(sizes, 1):
        parts.append(Part(number, offset, size))
        offset += size
    return parts
