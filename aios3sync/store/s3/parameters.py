"""Converts PutOptions to parameters of S3 calls, in the names of the S3 API; pure.

Unset options send nothing. SSE-C keys stay raw bytes here: the transport encodes them.
"""

from __future__ import annotations

import hashlib
import math
from binascii import b2a_base64

from aios3sync._typing import Any, Final
from aios3sync.errors import UsageError
from aios3sync.local.checksum import checksum_of
from aios3sync.store.protocol import Body, PutOptions

__all__ = (
    "MAX_EXPIRES",
    "PRESIGNED_METHODS",
    "base64_text",
    "checksum_member",
    "conditions",
    "copied_part_parameters",
    "copy_parameters",
    "copy_source_parameters",
    "encoded_customer",
    "lifetime",
    "multipart_parameters",
    "part_parameters",
    "payload_checksum",
    "put_parameters",
    "sse_customer",
)

_MEMBERS: Final = (
    ("ContentType", "content_type"),
    ("ContentEncoding", "content_encoding"),
    ("CacheControl", "cache_control"),
    ("ContentDisposition", "content_disposition"),
    ("ContentLanguage", "content_language"),
    ("Expires", "expires"),
    ("StorageClass", "storage_class"),
    ("ServerSideEncryption", "sse"),
    ("SSEKMSKeyId", "sse_kms_key_id"),
    ("ACL", "acl"),
    ("RequestPayer", "request_payer"),
)

# What MetadataDirective decides about
# (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html, x-amz-metadata-directive).
_METADATA: Final = frozenset(member for member, _ in _MEMBERS[:6]) | {"Metadata"}


def multipart_parameters(options: PutOptions) -> dict[str, Any]:
    """Return the parameters of CreateMultipartUpload: all except conditions and the checksum of a body."""
    parameters = _stored(options)
    if options.checksum:
        parameters["ChecksumAlgorithm"] = options.checksum.upper()
    return parameters


def put_parameters(options: PutOptions, body: bytes) -> dict[str, Any]:
    """Return the parameters of PutObject, except bucket, key, body and Content-MD5."""
    return _stored(options) | conditions(options) | payload_checksum(options.checksum, body)


def part_parameters(options: PutOptions, body: Body) -> dict[str, Any]:
    """Return the parameters of UploadPart, except the address of the part, body and Content-MD5."""
    parameters = sse_customer(options.sse_customer_key) | payload_checksum(options.checksum, body)
    if options.request_payer:
        parameters["RequestPayer"] = options.request_payer
    return parameters


def copied_part_parameters(options: PutOptions) -> dict[str, Any]:
    """Return the parameters of UploadPartCopy, except the address of the part and the source."""
    parameters = sse_customer(options.sse_customer_key)
    if options.request_payer:
        parameters["RequestPayer"] = options.request_payer
    return parameters


def copy_source_parameters(etag: str, customer_key: bytes) -> dict[str, Any]:
    """Return the parameters of CopyObject and UploadPartCopy for the source, except its address."""
    parameters = {f"CopySource{name}": value for name, value in sse_customer(customer_key).items()}
    if etag:
        parameters["CopySourceIfMatch"] = etag
    return parameters


def copy_parameters(options: PutOptions | None, *, keep_metadata: bool = False) -> dict[str, Any]:
    """Return the parameters of CopyObject, except source and destination; ``None`` keeps the source's."""
    if options is None:
        return {"MetadataDirective": "COPY"}
    parameters = multipart_parameters(options) | conditions(options)
    if keep_metadata:
        parameters = {name: value for name, value in parameters.items() if name not in _METADATA}
    parameters["MetadataDirective"] = "COPY" if keep_metadata else "REPLACE"
    if options.tags:
        parameters["TaggingDirective"] = "REPLACE"
    return parameters


def conditions(options: PutOptions) -> dict[str, Any]:
    """Return ``If-Match`` and ``If-None-Match``, unquoted: Ceph demands that, all others accept it."""
    parameters = {"IfMatch": options.if_match} if options.if_match else {}
    if options.if_none_match:
        parameters["IfNoneMatch"] = "*"
    return parameters


def sse_customer(key: bytes) -> dict[str, Any]:
    """Return the parameters of a request for an object under SSE-C; none without a key."""
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key} if key else {}


def encoded_customer(key: bytes) -> dict[str, str]:
    """Return the same encoded, for ListParts: the only request whose key botocore does not encode."""
    if not key:
        return {}
    digest = hashlib.md5(key, usedforsecurity=False).digest()
    return {
        "SSECustomerAlgorithm": "AES256",
        "SSECustomerKey": base64_text(key),
        "SSECustomerKeyMD5": base64_text(digest),
    }


def checksum_member(algorithm: str) -> str:
    """Return the name of the checksum parameter, e.g. ``ChecksumCRC64NVME``."""
    return f"Checksum{algorithm.upper()}"


def payload_checksum(algorithm: str, body: Body) -> dict[str, str]:
    """Return the ``x-amz-checksum-*`` parameter of a body; none without an algorithm.

    It is sent as a header that is known before the body: trailers and aws-chunked bodies are refused or
    stored as content by several servers.

    Raises:
        UsageError: the algorithm is unknown or needs a package that is not installed.
    """
    if not algorithm:
        return {}
    return {checksum_member(algorithm): base64_text(checksum_of(algorithm, body))}


def _stored(options: PutOptions) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        member: value for member, name in _MEMBERS if (value := getattr(options, name))
    }
    if options.metadata:
        parameters["Metadata"] = dict(options.metadata)
    if options.tags:
        from urllib.parse import urlencode

        parameters["Tagging"] = urlencode(options.tags)
    return parameters | sse_customer(options.sse_customer_key)


MAX_EXPIRES: Final = 7 * 24 * 3600
"""Seconds; S3 refuses longer ones
(https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, ``X-Amz-Expires``)."""

PRESIGNED_METHODS: Final = ("GET", "HEAD", "PUT", "DELETE")


def lifetime(expires: float, method: str) -> int:
    """Return the whole seconds for which a URL is valid.

    Raises:
        UsageError: less than a second or more than seven days, or a method that cannot be presigned.
    """
    if method not in PRESIGNED_METHODS:
        raise UsageError(f"method: {method!r} cannot be presigned; use {', '.join(PRESIGNED_METHODS)}")
    if not (math.isfinite(expires) and 1 <= expires <= MAX_EXPIRES):
        raise UsageError(f"expires: {expires} is not between 1 second and 7 days ({MAX_EXPIRES} seconds)")
    return int(expires)


def base64_text(data: bytes) -> str:
    """Return bytes as parameters and headers have them; ``base64`` itself would load ``re``."""
    return b2a_base64(data, newline=False).decode("ascii")
