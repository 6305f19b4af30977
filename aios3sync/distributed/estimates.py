"""Estimates how the work of a sync is spread over its keys, from what is known or is cheap to find out.

The first of these that knows enough keys is used:

1. The rows of the manifest: both sides as the last run left them, even if they were not listed for long.
2. An inventory that replaces a listing: all of one side, and the run relies on it.
3. The object index: it needs no request, but may have seen only some of the objects.
4. Some directories are read, or some pages of the bucket are listed, level by level, until there are enough
   places to cut at.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from anyio import to_thread

from aios3sync.core.text import escape_undecodable
from aios3sync.distributed.shards import Weight
from aios3sync.listing.pages import PageReader
from aios3sync.manifest.layers import LayeredManifest
from aios3sync.store.protocol import ObjectStore
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.sides import inventories_of

if TYPE_CHECKING:
    from aios3sync.index.db.protocol import IndexBackend

__all__ = (
    "directory_weights",
    "inventory_weights",
    "listing_weights",
    "recorded_weights",
    "weights_of",
)

_STEP: Final = 64
"""Rows, or names of one directory, that form one weight."""
_MOST_WEIGHTS: Final = 8192
_PLACES_A_SHARD: Final = 32
"""Places to cut at for each shard: more would cost more time than a better balance saves."""
_MOST_ENTRIES: Final = 200_000
"""Names that are read of a tree: about a second on a local disk."""
_MOST_PAGES: Final = 64
_UNSEEN: Final = 1000
"""The assumed work of a directory or prefix that was not read."""


async def weights_of(
    request: SyncRequest,
    resources: Resources,
    known: LayeredManifest | None,
    count: int,
    index: IndexBackend | None = None,
) -> list[Weight]:
    """Return the weights for a cut into ``count`` shards.

    Args:
        request: the sync.
        resources: of the session that begins it.
        known: the rows of the manifest, ``None`` where there are none.
        count: of shards.
        index: the object index that follows the run; ``None`` for none.

    Raises:
        InventoryError: an inventory is damaged.
        StoreError: a bucket cannot be listed, or an inventory cannot be read.
    """
    if count <= 1:
        return []
    if known is not None and await to_thread.run_sync(known.has_more_rows, count * _PLACES_A_SHARD):
        return await to_thread.run_sync(recorded_weights, known)
    if weights := await inventory_weights(request, resources, count * _PLACES_A_SHARD):
        return weights
    if index is not None and (weights := await _indexed_weights(request, resources, index, count)):
        return weights
    if request.direction == "up":
        return await to_thread.run_sync(directory_weights, request.root, count * _PLACES_A_SHARD)
    location, opening = request.location, resources.open_store
    if request.source_location is not None and resources.open_source_store is not None:
        location, opening = request.source_location, resources.open_source_store
    return await listing_weights(await opening(), location.prefix, count * _PLACES_A_SHARD)


async def inventory_weights(request: SyncRequest, resources: Resources, places: int) -> list[Weight]:
    """Return the weights of the first inventory, source before target, that has enough objects; else none.

    The source comes first: a target with few objects does not show what it will contain.
    """
    source, target = inventories_of(request, resources)
    source_location = request.location if request.direction == "down" else request.source_location
    for inventory, location in ((source, source_location), (target, request.location)):
        if inventory is None or location is None:
            continue
        weights = await inventory.weights(location.prefix)
        if sum(objects for _, objects in weights) > places:
            return weights
    return []


async def _indexed_weights(
    request: SyncRequest, resources: Resources, index: IndexBackend, count: int
) -> list[Weight]:
    """Return the weights of the first side that the index knows; the source of a copy comes first.

    A bucket at another endpoint may have the same name as one in the index, but other objects.
    """
    from aios3sync.distributed.index_weights import index_weights

    source = request.source_location if resources.source_profile is None else None
    for location in filter(None, (source, request.location)):
        if weights := await index_weights(index, location, count, count * _PLACES_A_SHARD):
            return weights
    return []


def recorded_weights(known: LayeredManifest) -> list[Weight]:
    """Return one weight for every few rows, or for every few hundred where there are many. Blocks."""
    weights: list[Weight] = []
    after, step = "", _STEP
    while (key := known.key_after_now(after, step)) is not None:
        weights.append((after, step))
        after = key
        if len(weights) == _MOST_WEIGHTS:
            step *= 2
            weights = [(place, step) for place, _ in weights[::2]]
    return weights


def directory_weights(root: str, places: int) -> list[Weight]:
    """Return the weights of the directories of a tree, with a guess for those that were not read. Blocks.

    A directory that cannot be read has no weight; the sync reports the error.
    """
    weights: dict[str, int] = {}
    level, seen = [""], 0
    while level:
        below: list[str] = []
        for directory in level:
            if seen >= _MOST_ENTRIES:
                weights[directory] = weights.get(directory, 0) + _UNSEEN
                continue
            files, directories = _names_in(root, directory)
            seen += len(files) + len(directories)
            for place in range(0, len(files), _STEP):
                key = directory + files[place]
                weights[key] = weights.get(key, 0) + len(files[place : place + _STEP])
            below += [f"{directory}{name}/" for name in directories]
        if len(weights) + len(below) >= places:
            guess = max(_UNSEEN, seen // max(len(weights), 1))
            for directory in below:
                weights[directory] = weights.get(directory, 0) + guess
            below = []
        level = below
    return sorted(weights.items())


def _names_in(root: str, directory: str) -> tuple[list[str], list[str]]:
    files: list[str] = []
    directories: list[str] = []
    try:
        with os.scandir(os.path.join(root, directory)) as found:
            for entry in found:
                if escape_undecodable(entry.name) == entry.name:
                    (directories if entry.is_dir() else files).append(entry.name)
    except OSError:
        return [], []
    return sorted(files), sorted(directories)


async def listing_weights(store: ObjectStore, prefix: str, places: int) -> list[Weight]:
    """Return the weights of the prefixes of a bucket, from some pages of listings with a delimiter.

    Raises:
        StoreError: it cannot be listed.
    """
    weights: dict[str, int] = {}
    level, pages = [""], 0
    while level:
        below: list[str] = []
        for place in level:
            if pages >= _MOST_PAGES:
                weights[place] = weights.get(place, 0) + _UNSEEN
                continue
            reader = PageReader(store, prefix + place, delimiter="/")
            last = place
            while not reader.ended and pages < _MOST_PAGES:
                page = await reader.next()
                pages += 1
                keys = [entry.key.removeprefix(prefix) for entry in page.entries]
                found = [common.removeprefix(prefix) for common in page.prefixes]
                _add(weights, keys)
                below += found
                last = max([last, *keys, *found])
            if not reader.ended:
                _add(weights, [last], _UNSEEN)
        if len(weights) + len(below) >= places:
            _add(weights, below, _UNSEEN)
            below = []
        level = below
    return sorted(weights.items())


def _add(weights: dict[str, int], keys: Iterable[str], work: int = 1) -> None:
    for key in keys:
        weights[key] = weights.get(key, 0) + work
