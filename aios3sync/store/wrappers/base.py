"""ForwardingStore: the base class of every wrapper; passes every request on unchanged.

A wrapper overrides :meth:`ForwardingStore.call`, through which every request goes, and single operations only
where they need special treatment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Generic, TypeVar

from aios3sync._namedtuple import NamedTuple
from aios3sync.store.protocol import (
    Body,
    CopySource,
    DeleteError,
    DeleteItem,
    GetResult,
    HeadResult,
    ListedPart,
    ListedUpload,
    ListPage,
    ObjectStore,
    PartHead,
    PutOptions,
    PutResult,
    RangeRead,
    RestoreRequest,
    StoreCapabilities,
    VersionPage,
)

__all__ = ("ForwardingStore", "StoreCall")

T = TypeVar("T")


class StoreCall(NamedTuple, Generic[T]):
    """One request that passes through the wrappers.

    Attributes:
        operation: the S3 operation name, e.g. ``"PutObject"``.
        key: the object key, the prefix of a listing, or ``None``.
        size: bytes of the body in either direction, 0 for requests without one.
        send: sends it; may be called again.
    """

    operation: str
    key: str | None
    size: int
    send: Callable[[], Awaitable[T]]


class ForwardingStore:
    """All operations of :class:`~aios3sync.store.protocol.ObjectStore`, passed on to ``inner``."""

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    async def call(self, request: StoreCall[T]) -> T:
        """Carry out one request."""
        return await request.send()

    @property
    def bucket(self) -> str:
        """The bucket of the wrapped store."""
        return self.inner.bucket

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the endpoint of the wrapped store is known to do."""
        return self.inner.capabilities

    async def put(
        self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = ""
    ) -> PutResult:
        """See :meth:`ObjectStore.put`."""
        send = partial(self.inner.put, key, body, options, md5=md5, sha256=sha256)
        return await self.call(StoreCall("PutObject", key, len(body), send))

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
        """See :meth:`ObjectStore.get`."""
        send = partial(
            self.inner.get,
            key,
            start=start,
            length=length,
            if_match=if_match,
            if_none_match=if_none_match,
            version_id=version_id,
        )
        return await self.call(StoreCall("GetObject", key, 0, send))

    async def read_into(
        self, key: str, buffer: memoryview, *, start: int = 0, if_match: str = "", version_id: str = ""
    ) -> RangeRead:
        """See :meth:`ObjectStore.read_into`."""
        send = partial(
            self.inner.read_into, key, buffer, start=start, if_match=if_match, version_id=version_id
        )
        return await self.call(StoreCall("GetObject", key, len(buffer), send))

    async def head(self, key: str, *, version_id: str = "", checksums: bool = False) -> HeadResult:
        """See :meth:`ObjectStore.head`."""
        send = partial(self.inner.head, key, version_id=version_id, checksums=checksums)
        return await self.call(StoreCall("HeadObject", key, 0, send))

    async def list_page(
        self,
        prefix: str,
        *,
        token: str | None = None,
        start_after: str = "",
        delimiter: str = "",
        max_keys: int = 1000,
        restores: bool = False,
    ) -> ListPage:
        """See :meth:`ObjectStore.list_page`."""
        send = partial(
            self.inner.list_page,
            prefix,
            token=token,
            start_after=start_after,
            delimiter=delimiter,
            max_keys=max_keys,
            restores=restores,
        )
        return await self.call(StoreCall("ListObjectsV2", prefix, 0, send))

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        """See :meth:`ObjectStore.delete_many`."""
        send = partial(self.inner.delete_many, items)
        return await self.call(StoreCall("DeleteObjects", None, 0, send))

    async def delete_one(self, item: DeleteItem) -> None:
        """See :meth:`ObjectStore.delete_one`."""
        await self.call(StoreCall("DeleteObject", item.key, 0, partial(self.inner.delete_one, item)))

    async def copy(
        self,
        source: CopySource,
        key: str,
        options: PutOptions | None = None,
        *,
        keep_metadata: bool = False,
    ) -> PutResult:
        """See :meth:`ObjectStore.copy`."""
        send = partial(self.inner.copy, source, key, options, keep_metadata=keep_metadata)
        return await self.call(StoreCall("CopyObject", key, 0, send))

    async def tags(self, key: str, *, version_id: str = "") -> Mapping[str, str]:
        """See :meth:`ObjectStore.tags`."""
        send = partial(self.inner.tags, key, version_id=version_id)
        return await self.call(StoreCall("GetObjectTagging", key, 0, send))

    async def head_part(self, key: str, number: int, *, version_id: str = "") -> PartHead:
        """See :meth:`ObjectStore.head_part`."""
        send = partial(self.inner.head_part, key, number, version_id=version_id)
        return await self.call(StoreCall("HeadObject", key, 0, send))

    async def restore(self, key: str, request: RestoreRequest) -> bool:
        """See :meth:`ObjectStore.restore`."""
        return await self.call(StoreCall("RestoreObject", key, 0, partial(self.inner.restore, key, request)))

    async def acl(self, key: str) -> str:
        """See :meth:`ObjectStore.acl`."""
        return await self.call(StoreCall("GetObjectAcl", key, 0, partial(self.inner.acl, key)))

    async def create_multipart(self, key: str, options: PutOptions) -> str:
        """See :meth:`ObjectStore.create_multipart`."""
        send = partial(self.inner.create_multipart, key, options)
        return await self.call(StoreCall("CreateMultipartUpload", key, 0, send))

    async def put_part(
        self, key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        """See :meth:`ObjectStore.put_part`."""
        send = partial(self.inner.put_part, key, upload_id, number, body, options, md5=md5)
        return await self.call(StoreCall("UploadPart", key, len(body), send))

    async def copy_part(
        self, source: CopySource, key: str, upload_id: str, number: int, options: PutOptions
    ) -> PutResult:
        """See :meth:`ObjectStore.copy_part`."""
        send = partial(self.inner.copy_part, source, key, upload_id, number, options)
        return await self.call(StoreCall("UploadPartCopy", key, 0, send))

    async def complete_multipart(
        self, key: str, upload_id: str, parts: Sequence[ListedPart], options: PutOptions
    ) -> PutResult:
        """See :meth:`ObjectStore.complete_multipart`."""
        send = partial(self.inner.complete_multipart, key, upload_id, parts, options)
        return await self.call(StoreCall("CompleteMultipartUpload", key, 0, send))

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """See :meth:`ObjectStore.abort_multipart`."""
        send = partial(self.inner.abort_multipart, key, upload_id)
        await self.call(StoreCall("AbortMultipartUpload", key, 0, send))

    async def list_parts(self, key: str, upload_id: str) -> list[ListedPart]:
        """See :meth:`ObjectStore.list_parts`."""
        send = partial(self.inner.list_parts, key, upload_id)
        return await self.call(StoreCall("ListParts", key, 0, send))

    async def list_multiparts(self, prefix: str) -> list[ListedUpload]:
        """See :meth:`ObjectStore.list_multiparts`."""
        send = partial(self.inner.list_multiparts, prefix)
        return await self.call(StoreCall("ListMultipartUploads", prefix, 0, send))

    async def versioning(self) -> str:
        """See :meth:`ObjectStore.versioning`."""
        return await self.call(StoreCall("GetBucketVersioning", None, 0, self.inner.versioning))

    async def list_versions_page(
        self, prefix: str, *, token: tuple[str, str] | None = None, max_keys: int = 1000
    ) -> VersionPage:
        """See :meth:`ObjectStore.list_versions_page`."""
        send = partial(self.inner.list_versions_page, prefix, token=token, max_keys=max_keys)
        return await self.call(StoreCall("ListObjectVersions", prefix, 0, send))

    async def presign(self, key: str, *, expires: float = 3600, method: str = "GET") -> str:
        """See :meth:`ObjectStore.presign`; it is no request, so no wrapper handles it."""
        return await self.inner.presign(key, expires=expires, method=method)

    async def presign_many(
        self, keys: Sequence[str], *, expires: float = 3600, method: str = "GET"
    ) -> list[str]:
        """See :meth:`ObjectStore.presign_many`; no request either."""
        return await self.inner.presign_many(keys, expires=expires, method=method)
