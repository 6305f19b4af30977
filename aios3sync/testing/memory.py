"""MemoryStore: S3 in a dictionary, verified by the same contract as the real stores; for tests only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import md5 as md5_of
from typing import Any, Final, NoReturn
from urllib.parse import quote

from anyio.lowlevel import checkpoint

from aios3sync._dataclass import dataclass, field, replace
from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import is_opaque_encryption, multipart_etag
from aios3sync.core.parts import MAX_PART_SIZE, MIN_PART_SIZE
from aios3sync.store.protocol import (
    Body,
    CopySource,
    DeleteError,
    DeleteItem,
    GetResult,
    HeadResult,
    ListedPart,
    ListedUpload,
    ListedVersion,
    ListPage,
    PartHead,
    PutOptions,
    PutResult,
    RangeRead,
    RestoreRequest,
    StoreCapabilities,
    VersionPage,
)
from aios3sync.store.s3.errors import ErrorAnswer, error_from
from aios3sync.store.s3.objects import get_into
from aios3sync.store.s3.parameters import lifetime
from aios3sync.testing.stored import StoredObject, checksum_of_object, copied
from aios3sync.testing.versions import VersionHistory

__all__ = ("MemoryStore",)


_MOST_KEYS: Final = 1000
_STATUS: Final = {
    "AccessDenied": 403,
    "BadDigest": 400,
    "EntityTooSmall": 400,
    "InvalidObjectState": 403,
    "InvalidPart": 400,
    "InvalidPartOrder": 400,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "KeyTooLongError": 400,
    "MalformedXML": 400,
    "MetadataTooLarge": 400,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NotModified": 304,
    "ObjectAlreadyInActiveTierError": 403,
    "PreconditionFailed": 412,
    "RestoreAlreadyInProgress": 409,
}
_ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(slots=True)
class _Upload:
    key: str
    options: PutOptions
    initiated: float
    parts: dict[int, tuple[str, bytes]] = field(default_factory=dict)


def _refuse(operation: str, bucket: str, key: str | None, code: str) -> NoReturn:
    raise error_from(operation, bucket, key, ErrorAnswer(code, _STATUS[code], "", {}))


def _byte_order(key: str) -> Any:
    return key.encode("utf-8", "surrogatepass")


class MemoryStore:
    """An :class:`~aios3sync.store.protocol.ObjectStore` that behaves as AWS documents it.

    Args:
        bucket: its name.
        objects: bodies by key at the start.
        capabilities: reported by the store.
        page_size: returns how many entries a page has, given the number requested; to imitate endpoints
            with short or long pages.
        order: sort key of a listing; to imitate endpoints that do not list in byte order
            (``lambda key: key.split("/")`` is SeaweedFS).
        default_encryption: of the bucket, e.g. ``aws:kms``, which makes ETags meaningless.
        min_part_size: bytes of every part but the last.
        clock: seconds since the epoch.
        sse_customer_key: needed to read objects under SSE-C.
        endpoint: the buckets of its endpoint by name, which it joins: copies read from them.

    Attributes:
        objects: the stored objects by key.
        exists: set to False to make the bucket vanish.
        history: set to a :class:`~aios3sync.testing.versions.VersionHistory` to keep versions from now on.
    """

    def __init__(  # noqa: PLR0913 - how endpoints can differ; each has a default
        self,
        bucket: str = "bucket",
        objects: Mapping[str, bytes] | None = None,
        *,
        capabilities: StoreCapabilities | None = None,
        page_size: Callable[[int], int] | None = None,
        order: Callable[[str], Any] = _byte_order,
        default_encryption: str = "",
        min_part_size: int = MIN_PART_SIZE,
        clock: Callable[[], float] = time.time,
        sse_customer_key: bytes = b"",
        endpoint: dict[str, MemoryStore] | None = None,
    ) -> None:
        self._endpoint = {} if endpoint is None else endpoint
        self._endpoint[bucket] = self
        self.objects: dict[str, StoredObject] = {}
        self.exists = True
        self.history: VersionHistory | None = None
        self._bucket = bucket
        self._capabilities = capabilities or StoreCapabilities(True, True)
        self._page_size = page_size or (lambda asked: asked)
        self._order = order
        self._default_encryption = default_encryption
        self._min_part_size = min_part_size
        self._clock = clock
        self._customer_key = sse_customer_key
        self._uploads: dict[str, _Upload] = {}
        self._serial = 0
        for key, body in (objects or {}).items():
            self._store(key, body, PutOptions(), md5_of(body, usedforsecurity=False).hexdigest())

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return self._bucket

    @property
    def capabilities(self) -> StoreCapabilities:
        """The capabilities that the test gave."""
        return self._capabilities

    def bodies(self) -> dict[str, bytes]:
        """Return all bodies by key, in key order."""
        return {key: self.objects[key].body for key in sorted(self.objects)}

    async def put(
        self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = ""
    ) -> PutResult:
        """Store one object; nothing is signed here."""
        del sha256
        await self._begin_request("PutObject", key)
        self._check_body("PutObject", key, body, md5)
        self._check_conditions("PutObject", key, options)
        return self._store(key, bytes(body), options, md5.hex())

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
        """Read one object or a range of it."""
        await self._begin_request("GetObject", key)
        stored = self._readable("GetObject", key, version_id=version_id)
        if if_match and if_match != stored.etag:
            _refuse("GetObject", self._bucket, key, "PreconditionFailed")
        if if_none_match and if_none_match == stored.etag:
            _refuse("GetObject", self._bucket, key, "NotModified")
        end = None if length is None else start + length
        return GetResult(stored.body[start:end], self._head(stored))

    async def read_into(
        self, key: str, buffer: memoryview, *, start: int = 0, if_match: str = "", version_id: str = ""
    ) -> RangeRead:
        """Read a range with :meth:`get`, and copy it."""
        return await get_into(self, key, buffer, start, if_match, version_id)

    async def head(self, key: str, *, version_id: str = "", checksums: bool = False) -> HeadResult:
        """Return size, ETag, metadata and headers of one object."""
        await self._begin_request("HeadObject", key)
        stored = self._stored("HeadObject", key, version_id=version_id)
        head = self._head(stored)
        return head._replace(checksum=checksum_of_object(stored)) if checksums else head

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
        """Return one page; its token is the last key on it, of a CommonPrefix the first key in it."""
        await self._begin_request("ListObjectsV2", None)
        limit = max(1, self._page_size(min(max_keys, _MOST_KEYS)))
        entries: list[TargetEntry] = []
        prefixes: list[str] = []
        last = ""
        for key, group in self._rolled_up(prefix, delimiter, start_after):
            if token and self._order(key) <= self._order(token):
                continue
            if len(entries) + len(prefixes) >= limit:
                return ListPage(entries, prefixes, last)
            if group:
                prefixes.append(group)
            else:
                entries.append(self._entry(key, restores=restores))
            last = key
        return ListPage(entries, prefixes, None)

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        """Delete up to 1000 keys."""
        await self._begin_request("DeleteObjects", None)
        if not 1 <= len(items) <= _MOST_KEYS:
            _refuse("DeleteObjects", self._bucket, None, "MalformedXML")
        return [
            DeleteError(item.key, "PreconditionFailed", "the ETag differs", False)
            for item in items
            if not self._deleted(item)
        ]

    async def delete_one(self, item: DeleteItem) -> None:
        """Delete one key."""
        await self._begin_request("DeleteObject", item.key)
        if not self._deleted(item):
            _refuse("DeleteObject", self._bucket, item.key, "PreconditionFailed")

    def _deleted(self, item: DeleteItem) -> bool:
        """Delete the object unless a condition forbids it."""
        stored = self.objects.get(item.key)
        conditional = item.etag and self._capabilities.conditional_delete
        if stored is not None and conditional and stored.etag != item.etag:
            return False
        self.objects.pop(item.key, None)
        if self.history is not None:
            self.history.add(item.key, None, self._clock())
        return True

    async def copy(
        self,
        source: CopySource,
        key: str,
        options: PutOptions | None = None,
        *,
        keep_metadata: bool = False,
    ) -> PutResult:
        """Copy one object; the copy of a multipart object has a plain ETag."""
        await self._begin_request("CopyObject", key)
        stored = self._source("CopyObject", source)
        if len(stored.body) > MAX_PART_SIZE:
            _refuse("CopyObject", self._bucket, source.key, "InvalidRequest")
        if options is not None:
            self._check_conditions("CopyObject", key, options)
        digest = md5_of(stored.body, usedforsecurity=False).hexdigest()
        options = copied(stored.options, options, keep_metadata=keep_metadata)
        return self._store(key, stored.body, options, digest)

    async def tags(self, key: str, *, version_id: str = "") -> Mapping[str, str]:
        """Return the tags of an object."""
        await self._begin_request("GetObjectTagging", key)
        return dict(self._stored("GetObjectTagging", key, version_id=version_id).options.tags)

    async def restore(self, key: str, request: RestoreRequest) -> bool:
        """Begin to restore an object, which takes until a test says that it is done."""
        await self._begin_request("RestoreObject", key)
        stored = self._stored("RestoreObject", key, version_id=request.version_id)
        if stored.options.storage_class not in _ARCHIVES:
            _refuse("RestoreObject", self._bucket, key, "ObjectAlreadyInActiveTierError")
        if stored.restore == "ongoing":
            _refuse("RestoreObject", self._bucket, key, "RestoreAlreadyInProgress")
        if not stored.restore:
            self._change(key, replace(stored, restore="ongoing"))
        return bool(stored.restore)

    def restored(self, key: str) -> None:
        """End the restore of the latest version of an object: it can be read now."""
        self._change(key, replace(self.objects[key], restore="done"))

    def _change(self, key: str, stored: StoredObject) -> None:
        if self.history is not None and stored.version_id:
            self.history.put(key, stored.version_id, stored)
        if self.objects.get(key, stored).version_id == stored.version_id:
            self.objects[key] = stored

    async def head_part(self, key: str, number: int, *, version_id: str = "") -> PartHead:
        """Return the size of one part of an object."""
        await self._begin_request("HeadObject", key)
        stored = self._stored("HeadObject", key, version_id=version_id)
        sizes = stored.part_sizes or (len(stored.body),)
        if not 1 <= number <= len(sizes):
            _refuse("HeadObject", self._bucket, key, "InvalidRange")
        return PartHead(sizes[number - 1], len(stored.part_sizes))

    async def acl(self, key: str) -> str:
        """Return the canned ACL of the object if it lets others read."""
        await self._begin_request("GetObjectAcl", key)
        acl = self._stored("GetObjectAcl", key).options.acl
        return acl if acl in ("public-read", "public-read-write", "authenticated-read") else ""

    async def create_multipart(self, key: str, options: PutOptions) -> str:
        """Begin a multipart upload."""
        await self._begin_request("CreateMultipartUpload", key)
        self._serial += 1
        upload_id = f"upload-{self._serial}"
        self._uploads[upload_id] = _Upload(key, options, self._clock())
        return upload_id

    async def put_part(
        self, key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        """Store one part."""
        await self._begin_request("UploadPart", key)
        upload = self._upload("UploadPart", key, upload_id)
        md5 = md5 or md5_of(body, usedforsecurity=False).digest()
        self._check_body("UploadPart", key, body, md5)
        encryption = self._encryption(options if options.sse_customer_key else upload.options)
        etag = self._etag(md5.hex(), encryption)
        upload.parts[number] = (etag, bytes(body))
        return PutResult(etag, encryption)

    async def copy_part(
        self, source: CopySource, key: str, upload_id: str, number: int, options: PutOptions
    ) -> PutResult:
        """Store one part of the bytes of an object."""
        await self._begin_request("UploadPartCopy", key)
        stored = self._source("UploadPartCopy", source)
        end = source.start + source.length
        if not source.start < end <= len(stored.body):
            _refuse("UploadPartCopy", self._bucket, source.key, "InvalidRange")
        body = stored.body[source.start : end]
        return await self.put_part(key, upload_id, number, body, options, md5=b"")

    async def complete_multipart(
        self, key: str, upload_id: str, parts: Sequence[ListedPart], options: PutOptions
    ) -> PutResult:
        """Join the parts."""
        operation = "CompleteMultipartUpload"
        await self._begin_request(operation, key)
        upload = self._upload(operation, key, upload_id)
        bodies = self._joined(operation, key, upload, parts)
        self._check_conditions(operation, key, options)
        digests = (md5_of(body, usedforsecurity=False).digest() for body in bodies)
        del self._uploads[upload_id]
        result = self._store(key, b"".join(bodies), upload.options, multipart_etag(digests))
        sizes = tuple(len(body) for body in bodies)
        self._change(key, replace(self.objects[key], part_sizes=sizes))
        return result

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Delete an upload and its parts."""
        await self._begin_request("AbortMultipartUpload", key)
        self._uploads.pop(upload_id, None)

    async def list_parts(self, key: str, upload_id: str) -> list[ListedPart]:
        """Return the parts of an upload, by number."""
        await self._begin_request("ListParts", key)
        parts = self._upload("ListParts", key, upload_id).parts
        return [ListedPart(n, etag, len(body)) for n, (etag, body) in sorted(parts.items())]

    async def list_multiparts(self, prefix: str) -> list[ListedUpload]:
        """Return the unfinished uploads below ``prefix``."""
        await self._begin_request("ListMultipartUploads", None)
        return sorted(
            ListedUpload(upload.key, upload_id, upload.initiated)
            for upload_id, upload in self._uploads.items()
            if upload.key.startswith(prefix)
        )

    async def versioning(self) -> str:
        """Return whether versions are kept."""
        await self.list_page("", max_keys=1)
        return "" if self.history is None else "Enabled"

    async def list_versions_page(
        self, prefix: str, *, token: tuple[str, str] | None = None, max_keys: int = 1000
    ) -> VersionPage:
        """Return a page of all versions; without any, every object is its only version."""
        if self.history is not None:
            await self._begin_request("ListObjectVersions", None)
            listed = list(self.history.listed(prefix, self._order))
            names = [(version.key, version.version_id) for version in listed]
            start = names.index(token) + 1 if token else 0
            more = names[start + max_keys - 1] if len(names) > start + max_keys else None
            return VersionPage(listed[start : start + max_keys], more)
        page = await self.list_page(prefix, start_after=token[0] if token else "", max_keys=max_keys)
        versions = [
            ListedVersion(
                entry.key,
                "null",
                entry.size,
                entry.last_modified,
                is_latest=True,
                etag=entry.etag,
                storage_class=entry.storage_class,
            )
            for entry in page.entries
        ]
        return VersionPage(versions, (versions[-1].key, "null") if page.next_token else None)

    async def presign(self, key: str, *, expires: float = 3600, method: str = "GET") -> str:
        """Return a URL with key, method and lifetime; no server answers it."""
        return (await self.presign_many([key], expires=expires, method=method))[0]

    async def presign_many(
        self, keys: Sequence[str], *, expires: float = 3600, method: str = "GET"
    ) -> list[str]:
        """Return a URL for each key."""
        seconds_valid = lifetime(expires, method)
        await checkpoint()
        origin = f"memory://{self._bucket}"
        return [f"{origin}/{quote(key)}?method={method}&X-Amz-Expires={seconds_valid}" for key in keys]

    async def _begin_request(self, operation: str, key: str | None) -> None:
        await checkpoint()
        if not self.exists:
            _refuse(operation, self._bucket, key, "NoSuchBucket")
        if key is not None and len(key.encode()) > 1024:
            _refuse(operation, self._bucket, key, "KeyTooLongError")

    def _check_body(self, operation: str, key: str, body: Body, md5: bytes) -> None:
        if md5_of(body, usedforsecurity=False).digest() != md5:
            _refuse(operation, self._bucket, key, "BadDigest")

    def _check_conditions(self, operation: str, key: str, options: PutOptions) -> None:
        stored = self.objects.get(key)
        if options.if_none_match and stored is not None:
            _refuse(operation, self._bucket, key, "PreconditionFailed")
        if options.if_match and stored is None:
            _refuse(operation, self._bucket, key, "NoSuchKey")
        if options.if_match and stored is not None and stored.etag != options.if_match:
            _refuse(operation, self._bucket, key, "PreconditionFailed")

    def _encryption(self, options: PutOptions) -> str:
        return "SSE-C" if options.sse_customer_key else options.sse or self._default_encryption

    def _etag(self, digest: str, encryption: str) -> str:
        """Return the digest of the body, or under KMS another one, which looks the same."""
        if not is_opaque_encryption(encryption):
            return digest
        self._serial += 1
        text = f"{encryption} {self._serial}".encode()
        return md5_of(text, usedforsecurity=False).hexdigest() + digest[32:]

    def _store(self, key: str, body: bytes, options: PutOptions, digest: str) -> PutResult:
        metadata = sum(len(name) + len(value) for name, value in options.metadata.items())
        if metadata > 2048:
            _refuse("PutObject", self._bucket, key, "MetadataTooLarge")
        encryption = self._encryption(options)
        etag = self._etag(digest, encryption)
        stored = StoredObject(body, etag, options, self._clock(), encryption)
        if self.history is not None:
            version_id = self.history.add(key, stored, stored.last_modified)
            stored = replace(stored, version_id=version_id)
            self.history.put(key, version_id, stored)
        self.objects[key] = stored
        return PutResult(etag, encryption, stored.version_id)

    def _readable(
        self, operation: str, key: str, customer_key: bytes | None = None, *, version_id: str = ""
    ) -> StoredObject:
        stored = self._stored(operation, key, customer_key, version_id=version_id)
        if stored.options.storage_class in _ARCHIVES and stored.restore != "done":
            _refuse(operation, self._bucket, key, "InvalidObjectState")
        return stored

    def _stored(
        self, operation: str, key: str, customer_key: bytes | None = None, *, version_id: str = ""
    ) -> StoredObject:
        stored = self.objects.get(key)
        if version_id and self.history is not None:
            stored = self.history.get(key, version_id)
        if stored is None:
            _refuse(operation, self._bucket, key, "NoSuchVersion" if version_id else "NoSuchKey")
        given = self._customer_key if customer_key is None else customer_key
        if stored.options.sse_customer_key != given and stored.encryption == "SSE-C":
            _refuse(operation, self._bucket, key, "InvalidRequest")
        return stored

    def _source(self, operation: str, source: CopySource) -> StoredObject:
        """Return what is copied, if it is what was meant."""
        store = self._endpoint.get(source.bucket or self._bucket)
        if store is None or not store.exists:
            _refuse(operation, source.bucket, source.key, "NoSuchBucket")
        customer_key = self._customer_key if source.customer_key is None else source.customer_key
        stored = store._readable(  # noqa: SLF001 - another bucket
            operation, source.key, customer_key, version_id=source.version_id
        )
        if source.etag and stored.etag != source.etag:
            _refuse(operation, store.bucket, source.key, "PreconditionFailed")
        return stored

    def _upload(self, operation: str, key: str, upload_id: str) -> _Upload:
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            _refuse(operation, self._bucket, key, "NoSuchUpload")
        return upload

    def _joined(self, operation: str, key: str, upload: _Upload, parts: Sequence[ListedPart]) -> list[bytes]:
        numbers = [part.number for part in parts]
        if not parts:
            _refuse(operation, self._bucket, key, "MalformedXML")
        if numbers != sorted(set(numbers)):
            _refuse(operation, self._bucket, key, "InvalidPartOrder")
        stored = [upload.parts.get(number, ("", b"")) for number in numbers]
        if [etag for etag, _ in stored] != [part.etag for part in parts]:
            _refuse(operation, self._bucket, key, "InvalidPart")
        bodies = [body for _, body in stored]
        if any(len(body) < self._min_part_size for body in bodies[:-1]):
            _refuse(operation, self._bucket, key, "EntityTooSmall")
        return bodies

    def _head(self, stored: StoredObject) -> HeadResult:
        options = stored.options
        return HeadResult(
            size=len(stored.body),
            etag=stored.etag,
            last_modified=float(int(stored.last_modified)),
            metadata={name.lower(): value for name, value in options.metadata.items()},
            content_type=options.content_type or "binary/octet-stream",
            content_encoding=options.content_encoding,
            encryption=stored.encryption,
            storage_class="" if options.storage_class == "STANDARD" else options.storage_class,
            kms_key_id=options.sse_kms_key_id if is_opaque_encryption(stored.encryption) else "",
            cache_control=options.cache_control,
            content_disposition=options.content_disposition,
            content_language=options.content_language,
            expires=options.expires,
            tag_count=len(options.tags),
            version_id=stored.version_id,
        )

    def _entry(self, key: str, *, restores: bool) -> TargetEntry:
        stored = self.objects[key]
        storage_class = stored.options.storage_class or "STANDARD"
        modified = float(int(stored.last_modified))
        restore = stored.restore if restores else ""
        return TargetEntry(key, len(stored.body), stored.etag, modified, storage_class, "", restore)

    def _rolled_up(self, prefix: str, delimiter: str, start_after: str) -> Iterator[tuple[str, str]]:
        """Yield keys with their CommonPrefix, which may be empty; of each CommonPrefix only the first key."""
        seen: set[str] = set()
        for key in sorted((key for key in self.objects if key.startswith(prefix)), key=self._order):
            if start_after and self._order(key) <= self._order(start_after):
                continue
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            group = key[: cut + len(delimiter)] if cut >= 0 else ""
            if group not in seen:
                yield key, group
            if group:
                seen.add(group)
