"""Estimates the distribution of objects over the keys from a bounded part of an inventory.

Keys are read from row groups that lie far apart, or from whole files where there are none, up to a limit of
bytes. For parts that are not read, the number of rows is known, and often the least and the greatest key:
their rows are spread over the keys that were read between the two. Memory and requests are bounded.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from itertools import islice
from typing import IO, Final, TypeVar

from anyio import to_thread

from aios3sync._dataclass import dataclass, field
from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import for_each
from aios3sync.inventory.fetch import FileFetch, groups_of, read_file
from aios3sync.inventory.files import first_key_of_csv
from aios3sync.inventory.manifest import Inventory, InventoryFile, naming
from aios3sync.inventory.row_groups import RowGroup, wanted_groups
from aios3sync.inventory.span import KeySpan
from aios3sync.local.temporary import drop, temporary_file
from aios3sync.store.protocol import ObjectStore

__all__ = ("KeySample", "Unread", "sample_inventory")

_MOST_FILES: Final = 64
"""Files that are sampled: each costs a request or two."""
_MOST_BYTES: Final = 64 * 2**20
"""Bytes that are read of keys, or of whole files; a second or so. At least one part is always read."""
_AT_ONCE: Final = 8
_HEAD: Final = 64 * 2**10
"""Bytes at the beginning of a file that certainly contain its first line."""
_MOST_GROUPS: Final = 4096
"""Row groups whose bounds are kept."""
_MOST_KEYS: Final = 16_384
"""Keys that are kept; with more of them every second one is dropped."""
_SPREAD: Final = 256
"""Most keys over which the rows of an unread part are spread."""
_LAST: Final = "\U0010ffff"

T = TypeVar("T")
Weight = tuple[str, int]


class Unread(NamedTuple):
    """A part that was not read.

    Attributes:
        rows: approximate number of its rows.
        least, greatest: bounds of its keys; empty where they are not known.
    """

    rows: int
    least: str = ""
    greatest: str = ""


@dataclass(slots=True)
class KeySample:
    """Keys at even distances in the parts that were read, and the unread parts. Pure."""

    _keys: list[str] = field(default_factory=list)
    _step: int = 1
    _skip: int = 0
    _unread: list[Unread] = field(default_factory=list)

    def read(self, keys: Sequence[str]) -> None:
        """Add keys that were read, in any order."""
        self._keys += islice(keys, self._skip, None, self._step)
        self._skip = (self._skip - len(keys)) % self._step
        while len(self._keys) >= 2 * _MOST_KEYS:
            # Those of sorted files stay at even distances from each other.
            if len(self._keys) % 2:
                self._skip += self._step
            del self._keys[1::2]
            self._step *= 2

    def leave(self, part: Unread) -> None:
        """Add a part that was not read."""
        self._unread.append(part)

    def weights(self, prefix: str = "") -> list[Weight]:
        """Return ascending keys, each with the number of objects from it up to the next one.

        Args:
            prefix: of all keys that were read; unread parts may have others.
        """
        keys = sorted(self._keys)
        weights: dict[str, int] = {}
        for key in keys:
            weights[key] = weights.get(key, 0) + self._step
        for part in self._unread:
            if not KeySpan(prefix).may_meet(part.least, part.greatest or _LAST):
                continue
            first = bisect_left(keys, part.least)
            end = bisect_right(keys, part.greatest) if part.greatest else len(keys)
            among = keys[first : max(first, end)]
            among = among[:: max(1, len(among) // _SPREAD)] or [max(part.least, prefix)]
            for number, key in enumerate(among):
                rows = part.rows * (number + 1) // len(among) - part.rows * number // len(among)
                weights[key] = weights.get(key, 0) + rows
        return sorted(weights.items())


async def sample_inventory(store: ObjectStore, inventory: Inventory, prefix: str) -> list[Weight]:
    """Return the distribution of the objects below a prefix, by full keys; see the module's docstring.

    Args:
        store: of the destination bucket.
        inventory: from :func:`~aios3sync.inventory.manifest.open_inventory`.
        prefix: only keys that begin with it count.

    Raises:
        InventoryError: a file is damaged, or does not match the manifest.
        StoreError: a file cannot be fetched.
    """
    files = _at_most(inventory.files, _MOST_FILES)
    sample = KeySample()
    async with AsyncExitStack() as stack:
        fetches = [await stack.enter_async_context(_fetching(store, file)) for file in files]
        if inventory.format == "CSV":
            await _sample_files(sample, store, inventory, fetches, prefix)
        else:
            await _sample_groups(sample, store, inventory, fetches, prefix)
    return sample.weights(prefix)


@asynccontextmanager
async def _fetching(store: ObjectStore, file: InventoryFile) -> AsyncIterator[FileFetch]:
    """Yield a FileFetch for parts of a file, into a temporary file that is removed after the block."""
    local: IO[bytes] = await to_thread.run_sync(temporary_file)
    try:
        yield FileFetch(store, file, local, f"s3://{store.bucket}/{file.key}")
    finally:
        await to_thread.run_sync(drop, local)


async def _sample_groups(
    sample: KeySample, store: ObjectStore, inventory: Inventory, fetches: Sequence[FileFetch], prefix: str
) -> None:
    """Read the keys of row groups that lie far apart; for the others use the facts in the footers."""
    groups: dict[int, list[RowGroup]] = {}

    async def look(place: int) -> None:
        with naming(fetches[place].where):
            found = await groups_of(fetches[place], inventory.format)
        if found is None:
            groups.clear()
            raise _NoGroupsError
        groups[place] = wanted_groups(found, KeySpan(prefix))

    try:
        await for_each(range(len(fetches)), look, _AT_ONCE)
    except _NoGroupsError:
        await _sample_files(sample, store, inventory, fetches, prefix)
        return
    parts = [(fetches[place], group) for place in sorted(groups) for group in groups[place]]
    used = 0
    for fetch, group in _apart_first(_far_apart(_at_most(parts, _MOST_GROUPS))):
        start, end = group.key_range
        if used and used + end - start > _MOST_BYTES:
            sample.leave(Unread(group.rows, *(group.bounds or ("", ""))))
            continue
        used += end - start
        await fetch.range(start, end)
        with naming(fetch.where):
            batches = _keys_of(inventory.format)(fetch.local, group)
            while (keys := await to_thread.run_sync(next, batches, None)) is not None:
                sample.read([key for key in keys if key.startswith(prefix)])


def _apart_first(parts: Sequence[tuple[FileFetch, RowGroup]]) -> list[tuple[FileFetch, RowGroup]]:
    """Return the row groups, first those whose bounds overlap with no earlier one.

    Where each file has keys of all regions, each region is read once in this way.
    """
    first: list[tuple[FileFetch, RowGroup]] = []
    others: list[tuple[FileFetch, RowGroup]] = []
    taken: list[tuple[str, str]] = []
    for part in parts:
        bounds = part[1].bounds or ("", _LAST)
        place = bisect_left(taken, bounds)
        near = taken[max(place - 1, 0) : place + 1]
        if any(least <= bounds[1] and greatest >= bounds[0] for least, greatest in near):
            others.append(part)
        else:
            taken.insert(place, bounds)
            first.append(part)
    return first + others


class _NoGroupsError(Exception):
    """The row groups of a file cannot be found out."""


def _keys_of(form: str) -> Callable[[IO[bytes], RowGroup], Iterator[list[str]]]:
    from aios3sync.inventory.arrow import keys_of_orc, keys_of_parquet

    return keys_of_orc if form == "ORC" else keys_of_parquet


async def _sample_files(
    sample: KeySample, store: ObjectStore, inventory: Inventory, fetches: Sequence[FileFetch], prefix: str
) -> None:
    """Read whole files that lie far apart; of the others only the first key where possible."""
    used = rows = 0
    extents: list[tuple[str, str]] = []
    left: list[FileFetch] = []
    for fetch in _far_apart(fetches):
        if used and used + fetch.file.size > _MOST_BYTES:
            left.append(fetch)
            continue
        used += fetch.file.size
        least = greatest = ""
        async with aclosing(read_file(store, inventory, fetch.file, KeySpan(prefix))) as batches:
            async for batch in batches:
                keys = [entry.key for entry in batch]
                least, greatest = min([least or keys[0], *keys]), max(greatest, *keys)
                rows += len(keys)
                sample.read(keys)
        extents.append((least, greatest))
    firsts = [(await _first_key(fetch, inventory), fetch.file.size * rows // (used or 1)) for fetch in left]
    for part in _unread_files(sorted(firsts), extents):
        sample.leave(part)


async def _first_key(fetch: FileFetch, inventory: Inventory) -> str:
    if inventory.format != "CSV":
        return ""
    await fetch.range(0, min(_HEAD, fetch.file.size))
    with naming(fetch.where):
        return await to_thread.run_sync(first_key_of_csv, fetch.local, inventory.columns)


def _unread_files(files: Sequence[tuple[str, int]], extents: Sequence[tuple[str, str]]) -> Iterator[Unread]:
    """Yield the bounds of unread files, each given by its first key and its number of rows.

    If no file that was read extends beyond the first key of another one, each is assumed to end where the
    next one begins; else the keys of files are assumed to be mixed.
    """
    mixed = any(first < key < last for key, _ in files for first, last in extents)
    begins = sorted({key for key, _ in files} | {first for first, _ in extents if first})
    for key, rows in files:
        if mixed or not key:
            yield Unread(rows)
        else:
            place = bisect_right(begins, key)
            yield Unread(rows, key, begins[place] if place < len(begins) else "")


def _at_most(items: Sequence[T], most: int) -> Sequence[T]:
    """Return the items, or ``most`` of them at even distances."""
    return items[:: -(-len(items) // most) or 1]


def _far_apart(items: Sequence[T]) -> list[T]:
    """Return the items in an order of which every beginning is spread at about even distances."""
    width = max(len(items) - 1, 0).bit_length()
    reversed_bits = (int(f"{number:0{width}b}"[::-1], 2) for number in range(1 << width))
    return [items[number] for number in reversed_bits if number < len(items)]
