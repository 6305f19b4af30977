"""Reads one object as it was at an earlier time, in a versioned bucket."""

from __future__ import annotations

from collections.abc import Mapping

from aios3sync.listing.as_of import version_at
from aios3sync.store.protocol import GetResult, HeadResult, ObjectStore, PartHead, RangeRead
from aios3sync.store.wrappers.base import ForwardingStore

__all__ = ("ObjectAtStore", "at_time")


class ObjectAtStore(ForwardingStore):
    """A store in which one object has an earlier version; everything else is current.

    Args:
        inner: of its bucket.
        key: of the object.
        version_id: of the version.
    """

    def __init__(self, inner: ObjectStore, key: str, version_id: str) -> None:
        super().__init__(inner)
        self.version_id = version_id
        self._key = key

    def _version(self, key: str, version_id: str) -> str:
        return version_id or (self.version_id if key == self._key else "")

    async def get(
        self,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str = "",
        if_none_match: str = "",
        version_id: str = "",
    ) -> GetResult:
        """Read it."""
        return await self.inner.get(
            key,
            start=start,
            length=length,
            if_match=if_match,
            if_none_match=if_none_match,
            version_id=self._version(key, version_id),
        )

    async def read_into(
        self, key: str, buffer: memoryview, *, start: int = 0, if_match: str = "", version_id: str = ""
    ) -> RangeRead:
        """Read a range of it into a buffer."""
        version_id = self._version(key, version_id)
        return await self.inner.read_into(key, buffer, start=start, if_match=if_match, version_id=version_id)

    async def head(self, key: str, *, version_id: str = "", checksums: bool = False) -> HeadResult:
        """Return its facts."""
        version_id = self._version(key, version_id)
        return await self.inner.head(key, version_id=version_id, checksums=checksums)

    async def head_part(self, key: str, number: int, *, version_id: str = "") -> PartHead:
        """Return the facts of one of its parts."""
        return await self.inner.head_part(key, number, version_id=self._version(key, version_id))

    async def tags(self, key: str, *, version_id: str = "") -> Mapping[str, str]:
        """Return its tags."""
        return await self.inner.tags(key, version_id=self._version(key, version_id))


async def at_time(store: ObjectStore, key: str, moment: float | None) -> ObjectStore:
    """Return a store in which an object is as it was at a time; the store itself where no time is given.

    Raises:
        ObjectNotFoundError: there was none at that time.
        UsageError: the bucket keeps no versions.
        StoreError: they could not be listed.
    """
    if moment is None:
        return store
    return ObjectAtStore(store, key, (await version_at(store, key, moment)).version_id)
