"""WireStore: all operations of the store directly on asyncio, with an HTTP/1.1 client of its own.

Modules that read XML are loaded by the first operation that needs them: a run that only puts objects needs
none.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256 as sha256_of
from http import HTTPStatus
from typing import Final

from anyio import to_thread
from anyio.lowlevel import checkpoint

from aios3sync.core.digests import fed
from aios3sync.errors import ObjectNotFoundError
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import (
    CopySource,
    DeleteError,
    DeleteItem,
    GetResult,
    HeadResult,
    ListPage,
    PartHead,
    PutOptions,
    PutResult,
    RangeRead,
    RestoreRequest,
    StoreCapabilities,
    VersionPage,
)
from aios3sync.store.s3.answers import canned_acl
from aios3sync.store.s3.deletes import checked_delete_errors, delete_keys
from aios3sync.store.s3.errors import InvalidAnswerError
from aios3sync.store.s3.marker_paging import MarkerPaging
from aios3sync.store.s3.objects import EMPTY_GET, EMPTY_READ, get_range
from aios3sync.store.s3.parameters import lifetime
from aios3sync.store.wire import responses
from aios3sync.store.wire.multipart import MultipartVerbs
from aios3sync.store.wire.request_builder import RequestBuilder
from aios3sync.store.wire.requests import InvalidRequestError
from aios3sync.store.wire.signing import UrlSigner
from aios3sync.store.wire.sigv4 import moment
from aios3sync.store.wire.transport import WireTransport

__all__ = (
    "WireStore",
    "open_wire",
)

# Hashing more than this takes longer than going to a thread for it.
_HASHED_AT_ONCE: Final = 512 * 1024
_SIGNED_AT_ONCE: Final = 256


class WireStore(MultipartVerbs):
    """One bucket, reached directly; see :class:`~aios3sync.store.wire.bucket_client.BucketClient`."""

    async def put(
        self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = ""
    ) -> PutResult:
        """Store one object with one PutObject."""
        if not sha256 and len(body) <= _HASHED_AT_ONCE:
            sha256 = fed(sha256_of(), body).hexdigest()
        elif not sha256:
            sha256 = (await to_thread.run_sync(sha256_of, body)).hexdigest()
        try:  # not self._valid(): this is the most frequent request by far
            request = self._requests.put(key, body, options, md5=md5, sha256=sha256)
        except InvalidRequestError as error:
            raise self._invalid("PutObject", key, error) from None
        return self._verified(request, await self._ask(request), md5)

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
        """Read an object or a range of it with one GetObject."""

        async def get() -> GetResult:
            with self._valid("GetObject", key):
                request = self._requests.get(key, start, length, if_match, if_none_match, version_id)
            answer = await self._ask(request)
            with self._whole(request):
                return responses.get_result(answer, start, length)

        return await get_range(partial(self.head, key, version_id=version_id), start, length, get, EMPTY_GET)

    async def read_into(
        self, key: str, buffer: memoryview, *, start: int = 0, if_match: str = "", version_id: str = ""
    ) -> RangeRead:
        """Read a range with one GetObject, from the socket into the buffer."""

        async def read() -> RangeRead:
            with self._valid("GetObject", key):
                request = self._requests.get(key, start, len(buffer), if_match, version_id=version_id)
            answer = await self._ask(request, buffer)
            with self._whole(request):
                return responses.range_read(answer, buffer, start)

        return await get_range(
            partial(self.head, key, version_id=version_id), start, len(buffer), read, EMPTY_READ
        )

    async def head(self, key: str, *, version_id: str = "", checksums: bool = False) -> HeadResult:
        """Return the facts of an object with one HeadObject."""
        with self._valid("HeadObject", key):
            request = self._requests.head(key, version_id=version_id, checksums=checksums)
        answer = await self._ask(request)
        with self._whole(request):
            return responses.head_result(answer, checksums=checksums)

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
        """Return one page with one ListObjectsV2, or with one ListObjects if the endpoint knows only that."""

        async def by_token() -> ListPage:
            from aios3sync.store.wire.list_xml import list_page

            with self._valid("ListObjectsV2"):
                request = self._requests.list_page(
                    prefix, token, start_after, delimiter, max_keys, restores=restores
                )
            answer = await self._document(request)
            with self._whole(request):
                return list_page(answer.body, token)

        async def by_marker(marker: str) -> ListPage:
            from aios3sync.store.wire.list_xml import marker_page

            with self._valid("ListObjects"):
                request = self._requests.marker_page(prefix, marker, delimiter, max_keys)
            answer = await self._document(request)
            with self._whole(request):
                return marker_page(answer.body, marker)

        return await MarkerPaging(self.profile).page(token, start_after, by_token, by_marker)

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        """Delete with one DeleteObjects, and with DeleteObject the keys that XML cannot hold."""
        return await delete_keys(self, items, self._delete_batch)

    async def delete_one(self, item: DeleteItem) -> None:
        """Delete one key with one DeleteObject."""
        with self._valid("DeleteObject", item.key):
            request = self._requests.delete_one(item)
        with suppress(ObjectNotFoundError):
            await self._document(request)

    async def copy(
        self,
        source: CopySource,
        key: str,
        options: PutOptions | None = None,
        *,
        keep_metadata: bool = False,
    ) -> PutResult:
        """Copy with one CopyObject."""
        from aios3sync.store.wire.xml_results import copied

        try:  # not self._valid() and self._whole(), which take a tenth of the time of a copy
            request = self._requests.copy(self._bucket, source, key, options, keep_metadata=keep_metadata)
        except InvalidRequestError as error:
            raise self._invalid("CopyObject", key, error) from None
        answer = await self._document(request)
        try:
            return copied(answer)
        except InvalidAnswerError as error:
            raise self._not_whole(request, error) from error

    async def tags(self, key: str, *, version_id: str = "") -> Mapping[str, str]:
        """Return the tags with one GetObjectTagging."""
        from aios3sync.store.wire.xml_results import tag_set

        with self._valid("GetObjectTagging", key):
            request = self._requests.tags(key, version_id)
        answer = await self._document(request)
        with self._whole(request):
            return tag_set(answer)

    async def head_part(self, key: str, number: int, *, version_id: str = "") -> PartHead:
        """Return the facts of one part with one HeadObject."""
        with self._valid("HeadObject", key):
            request = self._requests.head(key, number, version_id=version_id)
        answer = await self._ask(request)
        with self._whole(request):
            return responses.part_head(answer)

    async def restore(self, key: str, request: RestoreRequest) -> bool:
        """Send one RestoreObject: status 202 means that the restore began, 200 that it was done before."""
        with self._valid("RestoreObject", key):
            asked = self._requests.restore(key, request)
        return (await self._document(asked)).status == HTTPStatus.OK

    async def acl(self, key: str) -> str:
        """Return the canned ACL with one GetObjectAcl."""
        from aios3sync.store.wire.xml_results import granted

        with self._valid("GetObjectAcl", key):
            request = self._requests.acl(key)
        answer = await self._document(request)
        with self._whole(request):
            return canned_acl(granted(answer))

    async def versioning(self) -> str:
        """Return the versioning status with one GetBucketVersioning."""
        from aios3sync.store.wire.xml_results import versioning_status

        request = self._requests.versioning()
        answer = await self._document(request)
        with self._whole(request):
            return versioning_status(answer)

    async def list_versions_page(
        self, prefix: str, *, token: tuple[str, str] | None = None, max_keys: int = 1000
    ) -> VersionPage:
        """Return one page with one ListObjectVersions."""
        from aios3sync.store.wire.xml_results import version_page

        with self._valid("ListObjectVersions"):
            request = self._requests.versions_page(prefix, token or ("", ""), max_keys)
        answer = await self._document(request)
        with self._whole(request):
            return version_page(answer, token)

    async def presign(self, key: str, *, expires: float = 3600, method: str = "GET") -> str:
        """Sign a URL locally."""
        return (await self.presign_many([key], expires=expires, method=method))[0]

    async def presign_many(
        self, keys: Sequence[str], *, expires: float = 3600, method: str = "GET"
    ) -> list[str]:
        """Sign URLs locally, some hundred at a time, so that the event loop is not blocked."""
        seconds_valid = lifetime(expires, method)
        route = await self.route("Presign")
        at = moment(int(time.time() + self._transport.skew))
        signer = UrlSigner(
            route.heads.signer, route.address, method, seconds_valid, at, payer=self._requests.payer
        )
        urls: list[str] = []
        for start in range(0, len(keys), _SIGNED_AT_ONCE):
            await checkpoint()
            for key in keys[start : start + _SIGNED_AT_ONCE]:
                try:
                    urls.append(signer.url(key))
                except InvalidRequestError as error:
                    raise self._invalid("Presign", key, error) from None
        return urls

    async def _delete_batch(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        from aios3sync.store.wire.xml_results import delete_errors

        with self._valid("DeleteObjects"):
            request = self._requests.delete_batch(items)
        answer = await self._document(request)
        with self._whole(request):
            errors = delete_errors(answer)
        return checked_delete_errors(errors, items, self._bucket)


async def open_wire(
    transport: WireTransport,
    bucket: str,
    capabilities: StoreCapabilities,
    profile: EndpointProfile | None = None,
    *,
    sse_customer_key: bytes = b"",
    request_payer: str = "",
) -> WireStore:
    """Open a store for a bucket.

    Args:
        transport: connections, credentials and clock.
        bucket: a name, an access-point alias or an ARN.
        capabilities: what the endpoint is known to do by its name; see :func:`capabilities_at`.
        profile: further facts about the endpoint, which may change during the session.
        sse_customer_key: the 32 raw bytes of the SSE-C key for reading (put has its own in its options).
        request_payer: ``requester`` where the requester pays, for all requests without put options.

    Raises:
        WireUnavailableError: only botocore can serve the bucket.
        CredentialsError: there is nothing to sign with.
    """
    route = await transport.route_to(bucket)
    requests = RequestBuilder(sse_customer_key, request_payer)
    return WireStore(transport, route, bucket, capabilities, profile, requests)
