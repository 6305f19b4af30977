"""BotoStore: all operations of the store as low-level calls of one aioboto3 client; it never retries."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from anyio.lowlevel import checkpoint

from aios3sync.core.keys import is_directory_bucket
from aios3sync.errors import (
    ObjectNotFoundError,
)
from aios3sync.store.boto.client import capabilities_of
from aios3sync.store.boto.errors import map_errors
from aios3sync.store.boto.observed import ObservedClient
from aios3sync.store.boto.results import (
    advanced,
    canned_acl,
    decoded,
    get_result,
    head_result,
    list_page,
    listed_parts,
    marker_page,
    object_checksum,
    put_result,
    refuse_html,
    seconds,
    version_page,
    whole_answer,
)
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.observer import Observer
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
    PartHead,
    PutOptions,
    PutResult,
    RangeRead,
    RestoreRequest,
    StoreCapabilities,
    VersionPage,
)
from aios3sync.store.s3.deletes import checked_delete_errors, delete_error, delete_keys
from aios3sync.store.s3.endpoint import observed_capabilities
from aios3sync.store.s3.errors import mismatch, other_bytes
from aios3sync.store.s3.marker_paging import MarkerPaging
from aios3sync.store.s3.objects import EMPTY_GET, get_into, get_range, range_header
from aios3sync.store.s3.parameters import (
    checksum_member,
    conditions,
    copied_part_parameters,
    copy_parameters,
    copy_source_parameters,
    encoded_customer,
    lifetime,
    multipart_parameters,
    part_parameters,
    payload_checksum,
    put_parameters,
    sse_customer,
)

__all__ = ("BotoStore",)

_PRESIGNED: Final = {
    "GET": "get_object",
    "HEAD": "head_object",
    "PUT": "put_object",
    "DELETE": "delete_object",
}


_RESTORES: Final = {"OptionalObjectAttributes": ["RestoreStatus"]}


def _version(version_id: str) -> dict[str, str]:
    return {"VersionId": version_id} if version_id else {}


class BotoStore:
    """One bucket through a client that :func:`adopt_client` has prepared.

    Args:
        client: an open aioboto3 S3 client; it belongs to the caller.
        bucket: a bucket name, an access-point alias or an ARN.
        capabilities: what the endpoint can do; ``None`` for those of :func:`capabilities_of`.
        profile: further facts about the endpoint, which may change during the session.
        sse_customer_key: the 32 raw bytes of the SSE-C key for reading (put has its own in its options).
        request_payer: ``requester`` where the requester pays, for all requests without put options.
        observer: takes each request that has ended; ``None`` for no observer.
    """

    def __init__(  # noqa: PLR0913 - what a store has besides its bucket; all with defaults
        self,
        client: Any,
        bucket: str,
        capabilities: StoreCapabilities | None = None,
        *,
        profile: EndpointProfile | None = None,
        sse_customer_key: bytes = b"",
        request_payer: str = "",
        observer: Observer | None = None,
    ) -> None:
        self._client = client if observer is None else ObservedClient(client, observer)
        self._bucket = bucket
        self._capabilities = capabilities or capabilities_of(client, bucket)
        self.profile = profile or EndpointProfile()
        self._customer_key = sse_customer_key
        self._customer = sse_customer(sse_customer_key)
        self._encoded_customer = encoded_customer(sse_customer_key)
        self._payer = {"RequestPayer": request_payer} if request_payer else {}
        self._directory = is_directory_bucket(bucket)
        self._paging = MarkerPaging(self.profile)

    def __repr__(self) -> str:
        return f"BotoStore({self._bucket})"

    @property
    def bucket(self) -> str:
        """The bucket of this store."""
        return self._bucket

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the endpoint is known to do, from its name and its responses."""
        return observed_capabilities(self._capabilities, self.profile)

    async def put(
        self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = ""
    ) -> PutResult:
        """Store one object with one PutObject; botocore signs with a digest of its own."""
        del sha256
        parameters = put_parameters(options, body) | self._digest(body, md5, options.checksum)
        with map_errors("PutObject", self._bucket, key):
            answer = await self._client.put_object(**self._at(key), Body=body, **parameters)
        return self._verified("PutObject", key, answer, md5)

    async def put_part(
        self, key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        """Store one part with one UploadPart."""
        parameters = part_parameters(options, body) | self._digest(body, md5, "of the upload")
        with map_errors("UploadPart", self._bucket, key):
            answer = await self._client.upload_part(
                **self._at(key), UploadId=upload_id, PartNumber=number, Body=bytes(body), **parameters
            )
        sent = parameters.get(checksum_member(options.checksum), "")
        return self._verified("UploadPart", key, answer, md5)._replace(checksum=sent)

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
        conditions = {"IfMatch": if_match, "IfNoneMatch": if_none_match and f'"{if_none_match}"'}
        parameters = {name: value for name, value in conditions.items() if value} | _version(version_id)
        if header := range_header(start, length):
            parameters["Range"] = header

        async def get() -> GetResult:
            with map_errors("GetObject", self._bucket, key):
                answer = await self._client.get_object(**self._reading(key), **parameters)
                async with answer["Body"] as stream:
                    body = await stream.read()
            return get_result(answer, body, start, length)

        return await get_range(partial(self.head, key, version_id=version_id), start, length, get, EMPTY_GET)

    async def read_into(
        self, key: str, buffer: memoryview, *, start: int = 0, if_match: str = "", version_id: str = ""
    ) -> RangeRead:
        """Read a range with :meth:`get`, and copy it."""
        return await get_into(self, key, buffer, start, if_match, version_id)

    async def head(self, key: str, *, version_id: str = "", checksums: bool = False) -> HeadResult:
        """Return the facts of an object with one HeadObject."""
        asked = _version(version_id) | ({"ChecksumMode": "ENABLED"} if checksums else {})
        with map_errors("HeadObject", self._bucket, key):
            answer = await self._client.head_object(**self._reading(key), **asked)
        with whole_answer("HeadObject", self._bucket, key):
            head = head_result(answer, int(answer["ContentLength"]))
            return head._replace(checksum=object_checksum(answer)) if checksums else head

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
        common = {
            "Bucket": self._bucket,
            "Prefix": prefix,
            "MaxKeys": max_keys,
            # Asked for by name, because then botocore leaves the decoding to us.
            "EncodingType": "url",
            **({"Delimiter": delimiter} if delimiter else {}),
            **self._payer,
        }

        async def by_token() -> ListPage:
            places = {"ContinuationToken": token, "StartAfter": start_after}
            asked = _RESTORES if restores else {}
            with map_errors("ListObjectsV2", self._bucket):
                answer = await self._client.list_objects_v2(
                    **common, **asked, **{name: value for name, value in places.items() if value}
                )
            with whole_answer("ListObjectsV2", self._bucket):
                return list_page(answer, token)

        async def by_marker(marker: str) -> ListPage:
            with map_errors("ListObjects", self._bucket):
                answer = await self._client.list_objects(**common, **({"Marker": marker} if marker else {}))
            with whole_answer("ListObjects", self._bucket):
                return marker_page(answer, marker)

        return await self._paging.page(token, start_after, by_token, by_marker)

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        """Delete with one DeleteObjects, and with DeleteObject the keys that XML cannot hold."""
        return await delete_keys(self, items, self._delete_batch)

    async def delete_one(self, item: DeleteItem) -> None:
        """Delete one key with one DeleteObject."""
        condition = {"IfMatch": item.etag} if item.etag else {}
        with suppress(ObjectNotFoundError), map_errors("DeleteObject", self._bucket, item.key):
            await self._client.delete_object(**self._at(item.key), **condition, **self._payer)

    async def copy(
        self,
        source: CopySource,
        key: str,
        options: PutOptions | None = None,
        *,
        keep_metadata: bool = False,
    ) -> PutResult:
        """Copy with one CopyObject."""
        parameters = self._source(source) | copy_parameters(options, keep_metadata=keep_metadata)
        with map_errors("CopyObject", self._bucket, key):
            answer = await self._client.copy_object(**self._at(key), **(self._payer | parameters))
        with whole_answer("CopyObject", self._bucket, key):
            return put_result(answer, answer["CopyObjectResult"]["ETag"])

    async def tags(self, key: str, *, version_id: str = "") -> Mapping[str, str]:
        """Return the tags with one GetObjectTagging."""
        parameters = self._at(key) | self._payer | _version(version_id)
        with map_errors("GetObjectTagging", self._bucket, key):
            answer = await self._client.get_object_tagging(**parameters)
        with whole_answer("GetObjectTagging", self._bucket, key):
            return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    async def head_part(self, key: str, number: int, *, version_id: str = "") -> PartHead:
        """Return the facts of one part with one HeadObject."""
        parameters = self._reading(key) | _version(version_id)
        with map_errors("HeadObject", self._bucket, key):
            answer = await self._client.head_object(**parameters, PartNumber=number)
        with whole_answer("HeadObject", self._bucket, key):
            return PartHead(int(answer["ContentLength"]), answer.get("PartsCount", 0))

    async def restore(self, key: str, request: RestoreRequest) -> bool:
        """Send one RestoreObject: status 202 means that the restore began, 200 that it was done before."""
        days = {"Days": request.days} if request.days else {}
        parameters = self._at(key) | self._payer | _version(request.version_id)
        with map_errors("RestoreObject", self._bucket, key):
            answer = await self._client.restore_object(
                **parameters,
                RestoreRequest=days | {"GlacierJobParameters": {"Tier": request.tier.capitalize()}},
            )
        return bool(answer["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.OK)

    async def acl(self, key: str) -> str:
        """Return the canned ACL with one GetObjectAcl."""
        with map_errors("GetObjectAcl", self._bucket, key):
            answer = await self._client.get_object_acl(**self._at(key), **self._payer)
        with whole_answer("GetObjectAcl", self._bucket, key):
            return canned_acl(answer)

    async def create_multipart(self, key: str, options: PutOptions) -> str:
        """Begin a multipart upload with CreateMultipartUpload."""
        with map_errors("CreateMultipartUpload", self._bucket, key):
            answer = await self._client.create_multipart_upload(
                **self._at(key), **multipart_parameters(options)
            )
        with whole_answer("CreateMultipartUpload", self._bucket, key):
            return str(answer["UploadId"])

    async def copy_part(
        self, source: CopySource, key: str, upload_id: str, number: int, options: PutOptions
    ) -> PutResult:
        """Store one part with one UploadPartCopy."""
        parameters = self._source(source) | copied_part_parameters(options)
        parameters["CopySourceRange"] = range_header(source.start, source.length)
        with map_errors("UploadPartCopy", self._bucket, key):
            answer = await self._client.upload_part_copy(
                **self._at(key),
                UploadId=upload_id,
                PartNumber=number,
                **(self._payer | parameters),
            )
        with whole_answer("UploadPartCopy", self._bucket, key):
            return put_result(answer, answer["CopyPartResult"]["ETag"])

    async def complete_multipart(
        self, key: str, upload_id: str, parts: Sequence[ListedPart], options: PutOptions
    ) -> PutResult:
        """Join the parts with CompleteMultipartUpload; missing checksums are requested by ListParts."""
        listed = await self._listed(key, upload_id, parts, options.checksum)
        payer = {"RequestPayer": options.request_payer} if options.request_payer else {}
        with map_errors("CompleteMultipartUpload", self._bucket, key):
            answer = await self._client.complete_multipart_upload(
                **self._at(key),
                UploadId=upload_id,
                MultipartUpload={"Parts": listed},
                **(conditions(options) | payer | sse_customer(options.sse_customer_key)),
            )
        with whole_answer("CompleteMultipartUpload", self._bucket, key):
            return put_result(answer, answer["ETag"])

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop an upload with AbortMultipartUpload."""
        try:
            with map_errors("AbortMultipartUpload", self._bucket, key):
                await self._client.abort_multipart_upload(**self._at(key), UploadId=upload_id, **self._payer)
        except ObjectNotFoundError:
            return

    async def list_parts(self, key: str, upload_id: str) -> list[ListedPart]:
        """List all parts, with as many ListParts as their pages need."""
        return listed_parts(await self._parts(key, upload_id))

    async def list_multiparts(self, prefix: str) -> list[ListedUpload]:
        """List all unfinished uploads, with as many ListMultipartUploads as their pages need.

        Encoded keys are requested only from AWS: SeaweedFS claims that it encodes them, but does not.
        """
        encoding = {"EncodingType": "url"} if self._capabilities.sorted_listing else {}
        uploads: list[ListedUpload] = []
        markers: dict[str, str] = {}
        while True:
            with map_errors("ListMultipartUploads", self._bucket):
                answer = await self._client.list_multipart_uploads(
                    Bucket=self._bucket, Prefix=prefix, **encoding, **markers, **self._payer
                )
            with whole_answer("ListMultipartUploads", self._bucket):
                uploads += [
                    ListedUpload(decoded(answer, item["Key"]), item["UploadId"], seconds(item, "Initiated"))
                    for item in answer.get("Uploads", ())
                ]
                if not answer["IsTruncated"]:
                    return uploads
                markers = advanced(
                    markers,
                    KeyMarker=decoded(answer, answer.get("NextKeyMarker", "")),
                    UploadIdMarker=answer.get("NextUploadIdMarker", ""),
                )

    async def versioning(self) -> str:
        """Return the versioning status with one GetBucketVersioning."""
        with map_errors("GetBucketVersioning", self._bucket):
            answer = await self._client.get_bucket_versioning(Bucket=self._bucket)
        with whole_answer("GetBucketVersioning", self._bucket):
            refuse_html(answer)
        return str(answer.get("Status", ""))

    async def list_versions_page(
        self, prefix: str, *, token: tuple[str, str] | None = None, max_keys: int = 1000
    ) -> VersionPage:
        """Return one page with one ListObjectVersions."""
        markers = zip(("KeyMarker", "VersionIdMarker"), token or (), strict=False)
        with map_errors("ListObjectVersions", self._bucket):
            answer = await self._client.list_object_versions(
                Bucket=self._bucket,
                Prefix=prefix,
                MaxKeys=max_keys,
                EncodingType="url",  # asked for by name: see list_page
                **{name: marker for name, marker in markers if marker},
                **self._payer,
            )
        with whole_answer("ListObjectVersions", self._bucket):
            return version_page(answer, token)

    async def presign(self, key: str, *, expires: float = 3600, method: str = "GET") -> str:
        """Sign a URL locally."""
        return (await self.presign_many([key], expires=expires, method=method))[0]

    async def presign_many(
        self, keys: Sequence[str], *, expires: float = 3600, method: str = "GET"
    ) -> list[str]:
        """Sign URLs locally, one after another: botocore takes about a millisecond for each."""
        seconds_valid, operation = lifetime(expires, method), _PRESIGNED[method]
        urls = []
        for key in keys:
            await checkpoint()  # botocore's coroutine never waits: the event loop would be blocked
            with map_errors("Presign", self._bucket, key):
                urls.append(
                    await self._client.generate_presigned_url(
                        operation, Params=self._at(key), ExpiresIn=seconds_valid
                    )
                )
        return urls

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": key}

    def _reading(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": key, **self._customer, **self._payer}

    def _source(self, source: CopySource) -> dict[str, Any]:
        """Return the parameters for the source of a copy."""
        customer_key = self._customer_key if source.customer_key is None else source.customer_key
        address = {"Bucket": source.bucket or self._bucket, "Key": source.key} | _version(source.version_id)
        return {"CopySource": address} | copy_source_parameters(source.etag, customer_key)

    def _digest(self, body: Body, md5: bytes, checksum: str) -> dict[str, str]:
        """Return the parameters by which the endpoint verifies the body.

        Directory buckets know no MD5: there a CRC is sent, unless another ``checksum`` is set (that of a part
        has to be the one with which its upload was created).
        """
        if not self._directory:
            return {"ContentMD5": b64encode(md5).decode("ascii")} if md5 else {}
        return {} if checksum else payload_checksum("crc32", body)

    def _verified(self, operation: str, key: str, answer: Mapping[str, Any], md5: bytes) -> PutResult:
        with whole_answer(operation, self._bucket, key):
            result = put_result(answer, answer["ETag"])
        opaque = self._directory or self.capabilities.opaque_etags
        if text := other_bytes(result, md5, opaque=opaque):
            raise mismatch(operation, self._bucket, key, text, result.etag)
        return result

    async def _delete_batch(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        objects = [{"Key": key, "ETag": etag} if etag else {"Key": key} for key, etag in items]
        with map_errors("DeleteObjects", self._bucket):
            answer = await self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}, **self._payer
            )
        with whole_answer("DeleteObjects", self._bucket):
            refuse_html(answer)
        errors = [
            delete_error(*(str(error.get(member, "")) for member in ("Key", "Code", "Message")))
            for error in answer.get("Errors", ())
        ]
        return checked_delete_errors(errors, items, self._bucket)

    async def _listed(
        self, key: str, upload_id: str, parts: Sequence[ListedPart], algorithm: str
    ) -> list[dict[str, Any]]:
        """Return the parts as CompleteMultipartUpload names them, with their checksums."""
        listed: list[dict[str, Any]] = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        if not algorithm:
            return listed
        member = checksum_member(algorithm)
        known = {part.number: part.checksum for part in parts if part.checksum}
        if len(known) < len(parts):
            stored = await self._parts(key, upload_id)
            known = {part["PartNumber"]: part[member] for part in stored if member in part} | known
        return [
            part | {member: known[part["PartNumber"]]} if part["PartNumber"] in known else part
            for part in listed
        ]

    async def _parts(self, key: str, upload_id: str) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        marker: dict[str, int] = {}
        while True:
            with map_errors("ListParts", self._bucket, key):
                answer = await self._client.list_parts(
                    **self._at(key), UploadId=upload_id, **(self._payer | self._encoded_customer | marker)
                )
            with whole_answer("ListParts", self._bucket, key):
                refuse_html(answer)
                parts += answer.get("Parts", ())
                if not answer.get("IsTruncated", False):
                    return parts
                marker = advanced(marker, PartNumberMarker=answer["NextPartNumberMarker"])
