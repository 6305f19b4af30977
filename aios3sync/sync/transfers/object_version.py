"""ObjectVersion: one version of an object, and its requests; a response for another version is an error."""

from __future__ import annotations

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import same_etag
from aios3sync.errors import PreconditionFailedError
from aios3sync.store.protocol import GetResult, HeadResult, ObjectStore
from aios3sync.sync.stored_checksum import StoredChecksum, head_with_checksum, stored_checksum
from aios3sync.sync.transfers.received import WrongBytesError

__all__ = ("ChangedObjectError", "ObjectVersion")


class ChangedObjectError(Exception):
    """The object is no longer the one that was listed."""


class ObjectVersion(NamedTuple):
    """A version that a listing or a response has shown; some listings show no ETag.

    Attributes:
        store: of its bucket.
        key: the full key.
        entry: the entry that was shown; its key is not used.
    """

    store: ObjectStore
    key: str
    entry: TargetEntry

    async def read(self, start: int, length: int) -> GetResult:
        """Read a range.

        Raises:
            ChangedObjectError: it is another version now.
            WrongBytesError: the response has another number of bytes.
            StoreError: it cannot be read.
        """
        entry = self.entry
        try:
            result = await self.store.get(
                self.key, start=start, length=length, if_match=entry.etag, version_id=entry.version_id
            )
        except PreconditionFailedError:
            raise ChangedObjectError from None
        self._check(result.head, len(result.body), length)
        return result

    async def read_into(self, start: int, buffer: memoryview) -> HeadResult:
        """Fill a buffer with a range; raises as :meth:`read`."""
        entry = self.entry
        try:
            size, head = await self.store.read_into(
                self.key, buffer, start=start, if_match=entry.etag, version_id=entry.version_id
            )
        except PreconditionFailedError:
            raise ChangedObjectError from None
        self._check(head, size, len(buffer))
        return head

    async def head(self) -> HeadResult:
        """Return its facts, by HEAD.

        Raises:
            ChangedObjectError: it is another version now.
            StoreError: the request failed.
        """
        head = await self.store.head(self.key, version_id=self.entry.version_id)
        self._check(head, 0, 0)
        return head

    async def checksum(self) -> StoredChecksum | None:
        """Return the checksum that the endpoint stores; ``None`` where it proves nothing.

        Raises:
            ChangedObjectError: it is another version now.
            StoreError: the request failed.
        """
        head = await head_with_checksum(self.store, self.key, self.entry.version_id)
        self._check(head, 0, 0)
        return await stored_checksum(self.store, self.key, head, self.entry.version_id)

    async def now(self) -> TargetEntry:
        """Return the object as it is now."""
        head = await self.store.head(self.key, version_id=self.entry.version_id)
        return self.entry._replace(
            size=head.size,
            etag=head.etag,
            last_modified=head.last_modified,
            storage_class=head.storage_class,
        )

    def _check(self, head: HeadResult, received: int, length: int) -> None:
        # An endpoint may not know If-Match: what it sent is looked at as well.
        entry = self.entry
        if head.size != entry.size or (entry.etag and not same_etag(entry.etag, head.etag)):
            raise ChangedObjectError
        if received != length:
            raise WrongBytesError(f"{received} bytes came instead of {length}")
