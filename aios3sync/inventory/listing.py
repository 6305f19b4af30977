"""InventoryListing: the latest S3 Inventory of a bucket, instead of its listing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from aios3sync.core.entries import TargetEntry
from aios3sync.core.inventory_place import InventoryPlace
from aios3sync.errors import UsageError
from aios3sync.inventory.fetch import read_file
from aios3sync.inventory.manifest import Inventory, find_manifest, open_inventory
from aios3sync.inventory.ordered import InventorySorter
from aios3sync.inventory.span import KeySpan
from aios3sync.listing.pages import relative
from aios3sync.store.protocol import ObjectStore

__all__ = ("InventoryListing",)


class InventoryListing:
    """The latest inventory at a place; it is looked up once.

    Args:
        place: where inventories are.
        open_store: opens the store of the bucket that holds them.
        bucket: of the expected objects.

    Attributes:
        created: when its creation began, seconds since the epoch; 0 before it is opened. It does not contain
            later changes.
    """

    def __init__(
        self, place: InventoryPlace, open_store: Callable[[], Awaitable[ObjectStore]], bucket: str
    ) -> None:
        self.created = 0.0
        self._place = place
        self._open_store = open_store
        self._bucket = bucket
        self._inventory: Inventory | None = None

    async def open(self) -> Inventory:
        """Find the inventory, and read its manifest.

        Raises:
            InventoryError: there is none, or it is damaged.
            UsageError: it is of another bucket.
        """
        if self._inventory is None:
            store = await self._open_store()
            key = await find_manifest(store, self._place.path)
            inventory = await open_inventory(store, key)
            if inventory.bucket != self._bucket:
                raise UsageError(
                    f"inventory: s3://{store.bucket}/{key} is of the bucket {inventory.bucket!r}, not "
                    f"{self._bucket!r}"
                )
            self._inventory, self.created = inventory, inventory.created
        return self._inventory

    async def weights(self, prefix: str) -> list[tuple[str, int]]:
        """Return the approximate distribution of the objects below a prefix, from a part of the inventory.

        Args:
            prefix: it is cut off.

        Returns:
            Ascending relative keys, each with the number of objects from it up to the next one.

        Raises:
            InventoryError: a file of the inventory is damaged.
            StoreError: it cannot be read.
        """
        from aios3sync.inventory.sample import sample_inventory

        weights = await sample_inventory(await self._open_store(), await self.open(), prefix)
        return [(key.removeprefix(prefix), objects) for key, objects in weights]

    async def pages(
        self, prefix: str, first: str = "", end: str = ""
    ) -> AsyncGenerator[list[TargetEntry], None]:
        """Yield the objects below a prefix in key order, with relative keys.

        Args:
            prefix: it is cut off; an object whose key equals it is left out.
            first: the first wanted relative key; empty for no bound.
            end: the wanted relative keys are less than this; empty for no bound.

        Raises:
            InventoryError: a file of the inventory is damaged.
            StoreError: it cannot be read.
            TemporarySpaceError: entries are sorted on disk, and the disk is full.
        """
        inventory, store = await self.open(), await self._open_store()
        span = KeySpan(prefix, prefix + first if first else "", prefix + end if end else "")
        async with InventorySorter() as sorter:
            for file in inventory.files:
                async with aclosing(read_file(store, inventory, file, span)) as batches:
                    async for batch in batches:
                        await sorter.add(batch)
            async for page in sorter.pages():
                if wanted := relative(page, prefix):
                    yield wanted
