"""ObjectSource: a bucket below a prefix as the source of copies; every key is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios3sync._dataclass import replace
from aios3sync.core.entries import ScanBatch, TargetEntry
from aios3sync.core.filters import Filters
from aios3sync.errors import UsageError
from aios3sync.sync.bucket_source import BucketSource, BucketWalk
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources

if TYPE_CHECKING:
    from aios3sync.inventory.listing import InventoryListing

__all__ = ("ObjectSource", "ObjectWalk")


class ObjectSource(BucketSource):
    """The source of a copy; it may have a connection of its own."""

    @classmethod
    def of(
        cls, request: SyncRequest, resources: Resources, inventory: InventoryListing | None = None
    ) -> ObjectSource:
        """Return the source of a request.

        Raises:
            UsageError: the resources cannot reach it.
        """
        location, open_store = request.source_location, resources.open_source_store
        if location is None or open_store is None:
            raise UsageError("a sync between two buckets needs a connection to both")
        profile = resources.source_profile or resources.profile
        return cls(
            replace(request, location=location),
            replace(resources, open_store=open_store, profile=profile),
            inventory=inventory,
        )

    def walk(self, filters: Filters, prefix: str, mounts: frozenset[str] = frozenset()) -> ObjectWalk:  # noqa: ARG002
        """Return one pass over what the filters show."""
        return ObjectWalk(self, filters)


class ObjectWalk(BucketWalk):
    """One pass over the objects of a bucket, to be consumed once."""

    async def batch(self, page: list[TargetEntry]) -> ScanBatch[TargetEntry]:
        """Return the visible entries of a page."""
        visible = self._visible
        if self._missing:
            self._missing.difference_update(entry.key for entry in page)
        if visible is None:
            return ScanBatch(page, [])
        return ScanBatch([entry for entry in page if visible(entry.key)], [])
