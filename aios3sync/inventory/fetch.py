"""Fetch the files of an S3 Inventory in ranges into temporary files, and read them in batches.

Memory does not grow with the size of the files. A file that is fetched whole must have the MD5 of the
manifest; for one that is fetched in part, each range has the ETag of the first as its condition.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from hashlib import md5
from itertools import chain
from typing import IO, Final

from anyio import to_thread

from aios3sync.core.entries import TargetEntry
from aios3sync.errors import ObjectNotFoundError
from aios3sync.inventory.files import InventoryError, batches_of_csv
from aios3sync.inventory.manifest import Inventory, InventoryFile, naming
from aios3sync.inventory.orc_tail import FIRST_LOOK, tail_length
from aios3sync.inventory.row_groups import RowGroup, joined_ranges, wanted_groups
from aios3sync.inventory.span import ALL_KEYS, KeySpan
from aios3sync.local.temporary import drop, temporary_file, temporary_space
from aios3sync.store.protocol import ObjectStore

__all__ = ("FileFetch", "groups_of", "read_file", "read_inventory")

_RANGE: Final = 8 * 2**20
_WORTH_A_LOOK: Final = 4 * 2**20
"""A smaller file is fetched whole: the ranges of its footer and rows would take longer."""
_FOOTER: Final = 256 * 2**10
"""Bytes of the end of a Parquet or ORC file that are fetched first; most footers are shorter."""
_TRAILER: Final = 8
"""A Parquet file ends in the length of its footer, four bytes, and ``PAR1``."""

Batches = Callable[[IO[bytes]], Iterator[list[TargetEntry]]]


async def read_inventory(
    store: ObjectStore, inventory: Inventory, *, prefix: str = "", first: int = 0
) -> AsyncGenerator[tuple[int, list[TargetEntry]], None]:
    """Yield the current objects in batches, each with the number of its file.

    When the number of a batch is greater than that of the previous batch, all objects of the earlier files
    have been yielded: an interrupted load passes the number as ``first``. Keys are full keys, in the order of
    the files; across files there is no order.

    Args:
        store: of the destination bucket.
        inventory: from :func:`~aios3sync.inventory.manifest.open_inventory`.
        prefix: only keys that begin with it are yielded.
        first: the number of the first file to read, from 0.

    Raises:
        InventoryError: a file is damaged, or does not match the manifest.
        StoreError: a file cannot be fetched.
    """
    span = KeySpan(prefix)
    for number, file in enumerate(inventory.files[first:], first):
        async with aclosing(read_file(store, inventory, file, span)) as batches:
            async for batch in batches:
                yield number, batch


async def read_file(
    store: ObjectStore, inventory: Inventory, file: InventoryFile, span: KeySpan = ALL_KEYS
) -> AsyncGenerator[list[TargetEntry], None]:
    """Yield the wanted current objects of one file.

    Raises:
        InventoryError, StoreError: see :func:`read_inventory`.
    """
    where = f"s3://{store.bucket}/{file.key}"
    local: IO[bytes] = await to_thread.run_sync(temporary_file)
    fetch = FileFetch(store, file, local, where)
    try:
        with naming(where):
            groups = None
            if span != ALL_KEYS and file.size > _WORTH_A_LOOK:
                groups = await groups_of(fetch, inventory.format)
        wanted = wanted_groups(groups or [], span)
        if groups is None or len(wanted) == len(groups):
            await fetch.whole()
        else:
            for start, end in joined_ranges(chain.from_iterable(group.ranges for group in wanted)):
                await fetch.range(start, end)
        with naming(where):
            batches = await to_thread.run_sync(_batches(inventory, span), local)
            while (batch := await to_thread.run_sync(next, batches, None)) is not None:
                yield batch
    finally:
        await to_thread.run_sync(drop, local)


async def groups_of(fetch: FileFetch, form: str) -> list[RowGroup] | None:
    """Fetch the footer of a file, and return its row groups; ``None`` where they cannot be found out.

    Args:
        fetch: of the file.
        form: format of the inventory.

    Raises:
        InventoryError: the file is damaged.
        StoreError: it cannot be fetched.
    """
    if form == "CSV":
        return None
    from aios3sync.inventory.arrow import groups_of_orc, groups_of_parquet

    size = fetch.file.size
    start = max(0, size - _FOOTER)
    await fetch.range(start, size)
    length = await to_thread.run_sync(_footer_length, fetch.local, size, form)
    if size - length < start:
        await fetch.range(max(0, size - length), start)
    if form == "ORC":
        return await to_thread.run_sync(groups_of_orc, fetch.local)
    return await to_thread.run_sync(groups_of_parquet, fetch.local)


def _footer_length(local: IO[bytes], size: int, form: str) -> int:
    if form == "ORC":
        local.seek(max(0, size - FIRST_LOOK))
        try:
            return tail_length(local.read())
        except ValueError as error:
            raise InventoryError(f"no ORC of an inventory ({error})") from None
    local.seek(size - _TRAILER)
    return int.from_bytes(local.read(4), "little") + _TRAILER


def _batches(inventory: Inventory, span: KeySpan) -> Batches:
    if inventory.format == "CSV":
        return partial(batches_of_csv, columns=inventory.columns, bucket=inventory.bucket, span=span)
    from aios3sync.inventory.arrow import batches_of_orc, batches_of_parquet

    read = batches_of_parquet if inventory.format == "Parquet" else batches_of_orc
    return partial(read, bucket=inventory.bucket, span=span)


class FileFetch:
    """Copies one object, or parts of it, to the same offsets of a local file.

    Args:
        store: of the destination bucket.
        file: of the inventory.
        local: empty.
        where: the address of the object, for errors.
    """

    def __init__(self, store: ObjectStore, file: InventoryFile, local: IO[bytes], where: str) -> None:
        self.file = file
        self.local = local
        self._store = store
        self.where = where
        self._etag = ""

    async def whole(self) -> None:
        """Copy the object, and check its MD5.

        Raises:
            InventoryError: it is not what the manifest says.
        """
        digest = md5(usedforsecurity=False)
        await self.range(0, self.file.size, digest.update)
        if digest.hexdigest() != self.file.md5:
            raise InventoryError(f"{self.where}: its MD5 is not that of the manifest")
        await to_thread.run_sync(self.local.seek, 0)

    async def range(self, at: int, end: int, update: Callable[[bytes], object] = lambda _: None) -> None:
        """Copy some bytes; each request has the ETag of the first as its condition.

        Args:
            at: of the first byte.
            end: after the last one.
            update: called with the bytes.
        """
        file = self.file
        while at < end:
            try:
                body, head = await self._store.get(
                    file.key, start=at, length=min(_RANGE, end - at), if_match=self._etag
                )
            except ObjectNotFoundError:
                # Happens where the prefix of the destination ends in a slash: the manifest joins two slashes.
                text = f"{self.where}: named by the manifest, and not there; was it deleted or moved?"
                raise InventoryError(text) from None
            if head.size != file.size:
                raise InventoryError(f"{self.where}: {head.size} bytes, the manifest says {file.size}")
            await to_thread.run_sync(self._write, at, body, update)
            at, self._etag = at + len(body), head.etag

    def _write(self, at: int, body: bytes, update: Callable[[bytes], object]) -> None:
        update(body)
        with temporary_space():
            self.local.seek(at)
            self.local.write(body)
