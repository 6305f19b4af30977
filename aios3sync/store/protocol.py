"""ObjectStore: the protocol of the requests that the rest of the package sends to S3, and its guarantees.

Only types: no I/O. One store is for one bucket. Keys are opaque strings, passed to the endpoint as they are
and never normalised. ETags are returned without quotes; an ``aws-chunked`` content encoding is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aios3sync._dataclass import dataclass, field
from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Protocol, runtime_checkable
from aios3sync.core.checksums import ObjectChecksum
from aios3sync.core.entries import TargetEntry
from aios3sync.errors import UsageError

__all__ = (
    "Body",
    "CopySource",
    "DeleteError",
    "DeleteItem",
    "GetResult",
    "HeadResult",
    "ListPage",
    "ListedPart",
    "ListedUpload",
    "ListedVersion",
    "ObjectStore",
    "PartHead",
    "PutOptions",
    "PutResult",
    "RangeRead",
    "RestoreRequest",
    "SmallPut",
    "StoreCapabilities",
    "VersionPage",
)

Body = bytes | memoryview
"""The bytes of a part; a store does not keep them, so their memory can be reused."""


@dataclass(frozen=True, slots=True)
class StoreCapabilities:
    """What an endpoint is known to do; nothing is inferred from missing evidence.

    Attributes:
        sorted_listing: ListObjectsV2 comes in UTF-8 byte order of the keys (AWS's own general purpose
            buckets; SeaweedFS sorts per directory, S3 Express does not sort).
        opaque_etags: ETags are not digests, although they may look like it: the user said so, or an object
            proved it that was stored as it was sent under an ETag that is not its digest.
        conditional_delete: whether an ETag in DeleteObjects is honoured (AWS; moto and rclone ignore it).
    """

    sorted_listing: bool = False
    conditional_delete: bool = False
    opaque_etags: bool = False


@dataclass(frozen=True, slots=True)
class PutOptions:
    """The headers that an upload may send with the body; one that is unset is not sent.

    Attributes:
        content_type: MIME type; empty lets the endpoint choose.
        content_encoding, cache_control, content_disposition, content_language: HTTP headers.
        expires: an HTTP date, sent as it is.
        metadata: user metadata, names without ``x-amz-meta-``; ASCII only, 2 KiB at most
            (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html).
        storage_class: e.g. ``STANDARD_IA``.
        sse: ``AES256`` or ``aws:kms`` or ``aws:kms:dsse``.
        sse_kms_key_id: the key for ``aws:kms``; empty means the account's default key.
        sse_customer_key: the 32 raw bytes of an SSE-C key; never shown in ``repr``.
        acl: a canned ACL.
        tags: object tags.
        checksum: ``crc32c``, ``crc64nvme``, ``sha256`` or ``sha1`` or ``crc32`` to add an
            ``x-amz-checksum-*`` header; empty sends none.
        request_payer: ``requester`` where the requester pays.
        if_match: overwrite only the object with this ETag.
        if_none_match: create only (``If-None-Match: *``).
    """

    content_type: str = ""
    content_encoding: str = ""
    cache_control: str = ""
    content_disposition: str = ""
    content_language: str = ""
    expires: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = ""
    sse: str = ""
    sse_kms_key_id: str = ""
    sse_customer_key: bytes = field(default=b"", repr=False)
    acl: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    checksum: str = ""
    request_payer: str = ""
    if_match: str = ""
    if_none_match: bool = False

    def __post_init__(self) -> None:
        for name, value in self.metadata.items():
            if not (name.isascii() and value.isascii() and value.isprintable()):
                raise UsageError(
                    f"metadata {name!r}: only printable ASCII can be sent as a header; "
                    "encode the value (for example percent-encoding) first"
                )
        if self.sse_customer_key and len(self.sse_customer_key) != 32:
            raise UsageError("an SSE-C key has exactly 32 bytes")


class PutResult(NamedTuple):
    """The result of a write.

    Attributes:
        etag: without quotes; never empty for a put or a part, for which every endpoint returns one.
        encryption: ``x-amz-server-side-encryption`` of the response, ``SSE-C`` for customer keys, or empty.
        version_id: in versioned buckets, else empty.
        checksum: of a part, as it was sent (base64), if :attr:`PutOptions.checksum` names one.
    """

    etag: str
    encryption: str = ""
    version_id: str = ""
    checksum: str = ""


class SmallPut(NamedTuple):
    """An object that is stored with one request.

    Attributes:
        key: full.
        body: its bytes.
        options: its headers.
        md5, sha256: digests of the body, the second one in hexadecimal.
    """

    key: str
    body: bytes
    options: PutOptions
    md5: bytes
    sha256: str


class HeadResult(NamedTuple):
    """The facts of one object, as HeadObject returns them.

    Attributes:
        size: bytes as stored.
        etag: without quotes.
        last_modified: seconds since the epoch, whole seconds.
        metadata: user metadata, names in lower case without ``x-amz-meta-``.
        content_type, content_encoding: as stored, empty where unset.
        encryption: as in :class:`PutResult`.
        storage_class: empty means STANDARD.
        kms_key_id: the key of an encryption with KMS, else empty.
        cache_control, content_disposition, content_language: as stored, empty where unset.
        expires: the HTTP date as it is stored.
        tag_count: how many tags the object has; also 0 where the endpoint does not say.
        checksum: of the stored bytes, where the endpoint stores and returns one; only
            :meth:`ObjectStore.head` requests it.
        version_id: in versioned buckets, else empty.
    """

    size: int
    etag: str
    last_modified: float
    metadata: Mapping[str, str]
    content_type: str = ""
    content_encoding: str = ""
    encryption: str = ""
    storage_class: str = ""
    kms_key_id: str = ""
    cache_control: str = ""
    content_disposition: str = ""
    content_language: str = ""
    expires: str = ""
    tag_count: int = 0
    checksum: ObjectChecksum | None = None
    version_id: str = ""


class PartHead(NamedTuple):
    """The facts of one part of a finished object.

    Attributes:
        size: bytes of the part; bytes of the whole object where it has no parts, or where the endpoint does
            not know them.
        parts: the number of parts in which the object was uploaded; 0 where the endpoint does not say.
    """

    size: int
    parts: int


class GetResult(NamedTuple):
    """A whole object or one range of it: the body, and the facts of the object from the response.

    ``head.size`` is the size of the whole object, also for a range.
    """

    body: bytes
    head: HeadResult


class RangeRead(NamedTuple):
    """The result of a range that was read into a buffer: its bytes, and facts as in :class:`GetResult`."""

    size: int
    head: HeadResult


class ListPage(NamedTuple):
    """One page of ListObjectsV2.

    Attributes:
        entries: full keys, in the order of the endpoint; any number, even none.
        prefixes: CommonPrefixes, where a delimiter was given.
        next_token: the opaque token of the next page, or ``None`` at the end. A truncated page without a
            token raises ListingError instead of ending the listing.
    """

    entries: list[TargetEntry]
    prefixes: list[str]
    next_token: str | None


class CopySource(NamedTuple):
    """The source of a copy.

    Attributes:
        key: of the object.
        bucket: of the source, on the same endpoint; empty for the bucket of the copy.
        etag: only an object that has this ETag is copied; empty for any.
        customer_key: its SSE-C key, empty for none; ``None`` for the key with which the store itself reads.
        start, length: which bytes become a part.
        version_id: one of its versions; empty for the latest one.
    """

    key: str
    bucket: str = ""
    etag: str = ""
    customer_key: bytes | None = None
    start: int = 0
    length: int = 0
    version_id: str = ""


class DeleteItem(NamedTuple):
    """One key of a batch delete; with ``etag`` the delete is conditional where that is supported."""

    key: str
    etag: str = ""


class DeleteError(NamedTuple):
    """One key that a batch delete did not delete."""

    key: str
    code: str
    message: str
    retryable: bool


class ListedPart(NamedTuple):
    """One part of an unfinished multipart upload.

    Attributes:
        number: from 1.
        etag: without quotes.
        size: bytes.
        checksum: base64; to complete an upload that was created with a checksum, those of its parts must be
            repeated. Where it is empty it is requested, but not every endpoint can return it.
    """

    number: int
    etag: str
    size: int
    checksum: str = ""


class ListedUpload(NamedTuple):
    """One unfinished multipart upload; ``initiated`` in seconds since the epoch."""

    key: str
    upload_id: str
    initiated: float


class ListedVersion(NamedTuple):
    """One version of an object, or one delete marker.

    Attributes:
        key, size, last_modified: as in a listing; a delete marker has no bytes.
        version_id: ``null`` for what was written without versioning.
        is_latest: whether a request without a version gets this one.
        etag, storage_class: as in a listing; a delete marker has neither.
    """

    key: str
    version_id: str
    size: int
    last_modified: float
    is_latest: bool
    is_delete_marker: bool = False
    etag: str = ""
    storage_class: str = ""


class RestoreRequest(NamedTuple):
    """The restore of an archived object.

    See https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html.

    Attributes:
        tier: ``standard``, ``bulk`` or ``expedited``.
        days: how long the copy stays; 0 sends no number, as INTELLIGENT_TIERING requires: its objects move
            back.
        version_id: one of its versions; empty for the latest one.
    """

    tier: str
    days: int = 0
    version_id: str = ""


class VersionPage(NamedTuple):
    """One page of ListObjectVersions; ``next_token`` is ``None`` at the end, and opaque otherwise."""

    versions: list[ListedVersion]
    next_token: tuple[str, str] | None


@runtime_checkable
class ObjectStore(Protocol):
    """The operations on one bucket.

    All methods raise subclasses of :class:`~aios3sync.errors.StoreError`, and no exceptions of the transport.
    Cancelling any of them leaves no running task and no open connection; a write that is cancelled may or may
    not have happened. "Retry-safe" below says whether a wrapper may send the request again when the response
    was lost.
    """

    @property
    def bucket(self) -> str:
        """The bucket of this store."""
        ...

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the endpoint is known to do."""
        ...

    async def put(
        self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = ""
    ) -> PutResult:
        """Store one object: all of it or nothing (an overwrite keeps the old object until it is done).

        ``md5`` is the 16-byte digest of ``body``, sent as Content-MD5 and compared with the returned ETag
        where possible; ``sha256`` its hex digest where the caller has it. Retry-safe unless conditional: a
        repeated request may meet its own first attempt, so read the object back. Raises IntegrityError on a
        wrong ETag, PreconditionFailedError, BucketNotFoundError.
        """
        ...

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
        """Read one object, or ``length`` bytes of it from ``start``. Retry-safe.

        It is the latest version, or the one with ``version_id``. A short response is an UnavailableError,
        never a short body; only at the end of the object is a body shorter than ``length``. With
        ``if_none_match``, an object that still has this ETag is not read: NotModifiedError (RFC 9110,
        13.1.2). Raises ObjectNotFoundError, PreconditionFailedError.
        """
        ...

    async def read_into(
        self, key: str, buffer: memoryview, *, start: int = 0, if_match: str = "", version_id: str = ""
    ) -> RangeRead:
        """Read ``len(buffer)`` bytes of an object from ``start`` into a buffer, as :meth:`get`. Retry-safe.

        For large ranges: a transport that is able to reads from the socket into the buffer, without a copy.
        After a failed attempt the content of the buffer is undefined.
        """
        ...

    async def head(self, key: str, *, version_id: str = "", checksums: bool = False) -> HeadResult:
        """Return the facts of one object, of its latest version or another one. Retry-safe.

        With ``checksums`` the checksum that the endpoint stores is requested. Raises ObjectNotFoundError.
        """
        ...

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
        """Return one page of a listing. Retry-safe. Raises ListingError, BucketNotFoundError.

        Order is that of the endpoint (see StoreCapabilities); pages can be short, long or empty. With
        ``restores`` the page says which archived objects are restored.
        """
        ...

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        """Delete up to 1000 keys; a missing key counts as deleted. Not atomic. Retry-safe.

        Returns the keys that were not deleted, all of them from ``items``; raises only if the request as a
        whole failed. Keys that XML 1.0 cannot hold are deleted one by one.
        """
        ...

    async def delete_one(self, item: DeleteItem) -> None:
        """Delete one key with a request of its own; a missing key counts as deleted. Retry-safe.

        Raises BucketNotFoundError, AccessDeniedError, PreconditionFailedError.
        """
        ...

    async def copy(
        self,
        source: CopySource,
        key: str,
        options: PutOptions | None = None,
        *,
        keep_metadata: bool = False,
    ) -> PutResult:
        """Copy an object of at most 5 GiB on the server. Atomic and retry-safe.

        Args:
            source: the object, which is copied as a whole.
            key: of the copy, in this bucket.
            options: they replace metadata and content headers, and say how the copy is stored; ``None`` keeps
                the headers, and stores by the defaults of the bucket. Tags are replaced only by ``options``
                that have some.
            keep_metadata: metadata and content headers are those of the source; of ``options``, storage
                class, encryption, ACL, tags, checksum, payer and conditions apply.

        Raises ObjectNotFoundError, also where the source bucket does not exist, PreconditionFailedError.
        """
        ...

    async def tags(self, key: str, *, version_id: str = "") -> Mapping[str, str]:
        """Return the tags of an object. Retry-safe. Raises ObjectNotFoundError, AccessDeniedError."""
        ...

    async def head_part(self, key: str, number: int, *, version_id: str = "") -> PartHead:
        """Return the size of part ``number`` of a finished object. Retry-safe.

        Raises ObjectNotFoundError.
        """
        ...

    async def restore(self, key: str, request: RestoreRequest) -> bool:
        """Request a readable copy of an archived object; return whether there is one already.

        Retry-safe. Raises ObjectNotFoundError, AccessDeniedError; and StoreError with the code
        ``RestoreAlreadyInProgress`` where it was requested before, ``ObjectAlreadyInActiveTierError`` where
        the object can be read as it is, ``GlacierExpeditedRetrievalNotAvailable`` where the tier has no
        capacity.
        """
        ...

    async def acl(self, key: str) -> str:
        """Return the canned ACL that admits the same readers as the ACL of an object. Retry-safe.

        ``public-read-write``, ``public-read``, ``authenticated-read``, or empty for an object that only its
        owner and single accounts may read (which no canned ACL can name). What a bucket policy allows is not
        part of it. Raises ObjectNotFoundError, AccessDeniedError.
        """
        ...

    async def create_multipart(self, key: str, options: PutOptions) -> str:
        """Begin an upload and return its id. Retry-safe; a lost response leaves an upload without parts."""
        ...

    async def put_part(
        self, key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        """Store part ``number`` (1 to 10,000), replacing an earlier one. Retry-safe.

        Of ``options`` SSE-C, request payer and checksum apply. ``md5`` is the 16-byte digest of ``body``,
        sent as Content-MD5, which buckets with Object Lock demand; an empty digest is neither sent nor
        compared.
        """
        ...

    async def copy_part(
        self, source: CopySource, key: str, upload_id: str, number: int, options: PutOptions
    ) -> PutResult:
        """Store a range of an object as a part, on the server. Retry-safe.

        ``options`` apply as for :meth:`put_part`, except the checksum, which the server computes. Raises
        ObjectNotFoundError, PreconditionFailedError.
        """
        ...

    async def complete_multipart(
        self, key: str, upload_id: str, parts: Sequence[ListedPart], options: PutOptions
    ) -> PutResult:
        """Join the parts to one object, atomically. Not retry-safe by itself.

        A repeated call may see ObjectNotFoundError (NoSuchUpload) although the first one worked: read the
        object back. A 200 response with an error body raises. The ETag may be empty (Ceph): HEAD it then.
        """
        ...

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Abort an upload and drop its parts; a missing upload is no error. Retry-safe."""
        ...

    async def list_parts(self, key: str, upload_id: str) -> list[ListedPart]:
        """List all parts stored so far, by number. Retry-safe. Raises ObjectNotFoundError.

        A number that the endpoint lists with several ETags (SeaweedFS keeps replaced parts) is left out:
        which one it would use is unknown, so the part has to be sent again.
        """
        ...

    async def list_multiparts(self, prefix: str) -> list[ListedUpload]:
        """List all unfinished uploads below ``prefix``, in any order. Retry-safe."""
        ...

    async def versioning(self) -> str:
        """Return ``Enabled``, ``Suspended``, or empty where the bucket never had versions. Retry-safe."""
        ...

    async def list_versions_page(
        self, prefix: str, *, token: tuple[str, str] | None = None, max_keys: int = 1000
    ) -> VersionPage:
        """Return one page of all versions below ``prefix``. Retry-safe. Raises ListingError.

        The versions of a key follow each other, the newest one first, also from page to page; the order of a
        version and a delete marker of the same second is not always known. Keys come in the order of the
        endpoint.

        In a bucket without versions, every object is listed as its only version.
        """
        ...

    async def presign(self, key: str, *, expires: float = 3600, method: str = "GET") -> str:
        """Return one URL; see :meth:`presign_many`."""
        ...

    async def presign_many(
        self, keys: Sequence[str], *, expires: float = 3600, method: str = "GET"
    ) -> list[str]:
        """Return URLs by which anyone may use ``method`` on the objects for ``expires`` seconds, in order.

        They are computed locally: no request is sent, and objects need not exist. A URL that was signed with
        temporary credentials expires with their token, however long ``expires`` is. Objects under SSE-C need
        the headers of their key as well. Clients resolve ``.`` and ``..`` as parts of a path before they send
        a request, so keys with these cannot be read by URL.

        Raises UsageError where ``expires`` is not between one second and seven days, or ``method`` is not
        one of GET, HEAD, PUT and DELETE; CredentialsError where there is nothing to sign with.
        """
        ...
