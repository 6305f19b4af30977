"""HTTP requests of S3 operations: method, path, query, headers and body; pure, nothing is signed here.

Options become headers by way of the parameters that both transports share. What many requests have in common
is computed once, as a :class:`HeaderTemplate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import md5

from aios3sync._lazy import lazy_pattern
from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Any, Final
from aios3sync.store.protocol import Body, PutOptions
from aios3sync.store.s3.parameters import base64_text, checksum_member, put_parameters
from aios3sync.store.wire.sigv4 import EMPTY_SHA256, canonical_query

__all__ = (
    "MAX_OBJECT",
    "MAX_XML",
    "HeaderTemplate",
    "HttpRequest",
    "InvalidRequestError",
    "headers_of",
    "http_request",
    "metadata_values",
    "object_path",
    "put_template",
)

_HEADERS: Final[Mapping[str, str]] = {
    "ACL": "x-amz-acl",
    "CacheControl": "cache-control",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "ContentType": "content-type",
    "CopySource": "x-amz-copy-source",
    "CopySourceIfMatch": "x-amz-copy-source-if-match",
    "CopySourceRange": "x-amz-copy-source-range",
    "CopySourceSSECustomerAlgorithm": "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "Expires": "expires",
    "IfMatch": "if-match",
    "IfNoneMatch": "if-none-match",
    "MetadataDirective": "x-amz-metadata-directive",
    "RequestPayer": "x-amz-request-payer",
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
    "TaggingDirective": "x-amz-tagging-directive",
}
_CUSTOMER_KEYS: Final[Mapping[str, str]] = {
    "SSECustomerKey": "x-amz-server-side-encryption-customer-key",
    "CopySourceSSECustomerKey": "x-amz-copy-source-server-side-encryption-customer-key",
}
_TOKEN: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+.^_`|~-")
_CONTROL: Final = frozenset(map(chr, (*range(9), *range(10, 32), 127)))


class InvalidRequestError(ValueError):
    """A request that cannot be encoded; the message says why, without any value."""


class HeaderTemplate:
    """The headers that several requests share: constant ones, and the names of those that vary.

    Args:
        constant: names in lower case, and values.
        varying: names in lower case, sorted; a request has their values in this order.
    """

    __slots__ = ("constant", "signed_block", "varying")

    def __init__(self, constant: Mapping[str, str], varying: Sequence[str]) -> None:
        for name in (*constant, *varying):
            if not name or not _TOKEN.issuperset(name):
                raise InvalidRequestError(f"{name!r} is not the name of a header")
        for name, value in constant.items():
            if not _CONTROL.isdisjoint(value):
                raise InvalidRequestError(f"the value of {name} has control characters")
        self.constant = constant
        self.varying = tuple(varying)
        # Where the signer of one bucket keeps what it worked out of this template.
        self.signed_block: Any = None


def headers_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of parameters in the names of the S3 API."""
    headers = {}
    for member, value in parameters.items():
        if member in _CUSTOMER_KEYS:
            name = _CUSTOMER_KEYS[member]
            headers[name] = base64_text(value)
            digest = md5(value, usedforsecurity=False).digest()
            headers[f"{name}-md5"] = base64_text(digest)
        elif member == "Metadata":
            headers |= {f"x-amz-meta-{name.lower()}": text for name, text in value.items()}
        elif member.startswith("Checksum"):
            headers[f"x-amz-checksum-{member[8:].lower()}"] = value
        else:
            headers[_HEADERS[member]] = value
    return headers


MAX_XML: Final = 32 * 2**20
"""Bytes of the longest XML response: 2,500 keys of 1,024 bytes, each percent-encoded, and as much again."""
MAX_OBJECT: Final = 5 * 2**30
"""Bytes of the longest body of an object: what one PutObject can store."""

_PLAIN_KEY: Final = lazy_pattern(r"[A-Za-z0-9/_.~-]+")


class HttpRequest(NamedTuple):
    """One request, ready to be signed.

    Attributes:
        operation: the S3 operation name.
        key: the object key, or ``None``.
        method: the HTTP method.
        path: below the bucket, percent-encoded; empty for the bucket itself.
        query: canonical.
        template: the headers.
        values: of the varying headers.
        sha256: hex digest of the body.
        body: what is sent.
        idempotent: whether sending it twice has the same effect as sending it once.
        max_answer: bytes of the longest body of a response.
    """

    operation: str
    key: str | None
    method: str
    path: str
    query: str
    template: HeaderTemplate
    values: tuple[str, ...]
    sha256: str
    body: Body
    idempotent: bool
    max_answer: int


def object_path(key: str) -> str:
    """Return the path of a key below its bucket: every byte except ``/`` and the unreserved ones is encoded.

    Raises:
        InvalidRequestError: the key is empty, which would name the bucket, or is not Unicode.
    """
    if _PLAIN_KEY.fullmatch(key):
        return key
    if not key:
        raise InvalidRequestError("the key is empty")
    from urllib.parse import quote  # takes as long to load as a hundred requests to be signed

    try:
        return quote(key, safe="/~")
    except UnicodeEncodeError:
        raise InvalidRequestError("the key is not valid Unicode") from None


def http_request(  # noqa: PLR0913 - the facts of a request; the constructor has more
    operation: str,
    key: str | None,
    method: str,
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    *,
    body: Body = b"",
    sha256: str = EMPTY_SHA256,
    idempotent: bool = True,
    max_answer: int = MAX_XML,
) -> HttpRequest:
    """Return a request with headers of its own.

    Raises:
        InvalidRequestError: it cannot be encoded.
    """
    path = "" if key is None else object_path(key)
    template = HeaderTemplate(headers, ("x-amz-content-sha256",))
    try:
        canonical = canonical_query(query) if query else ""
    except UnicodeEncodeError:
        raise InvalidRequestError("a name in it is not valid Unicode") from None
    return HttpRequest(
        operation, key, method, path, canonical, template, (sha256,), sha256, body, idempotent, max_answer
    )


def put_template(options: PutOptions) -> HeaderTemplate:
    """Return the headers of a put; Content-MD5, checksum, SHA-256 and metadata vary, in this order.

    Raises:
        InvalidRequestError: one of them cannot be a header.
    """
    parameters = put_parameters(options, b"")
    parameters.pop("Metadata", None)
    varying = ["content-md5", "x-amz-content-sha256"]
    if options.checksum:
        parameters.pop(checksum_member(options.checksum))
        varying.insert(1, f"x-amz-checksum-{options.checksum}")
    names = {name.lower() for name in options.metadata}
    varying += [f"x-amz-meta-{name}" for name in sorted(names)]
    return HeaderTemplate(headers_of(parameters), varying)


def metadata_values(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values by name in lower case; of two that differ only in case the last one counts."""
    if len(metadata) == 1:
        return tuple(metadata.values())
    lowered = {name.lower(): value for name, value in metadata.items()}
    return tuple(lowered[name] for name in sorted(lowered))
