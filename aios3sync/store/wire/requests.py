"""HTTP requests of S3 operations: method, path, query, headers and body; pure, nothing is signed here.

Options become headers by way of the parameters that both lanes share. What many requests have in common
is worked out once, as a :class:`HeaderTemplate`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import md5
from hashlib import md5 as md5_of
from hashlib import sha256 as sha256_of
from operator import attrgetter
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from aios3sync.store.protocol import Body, DeleteItem, PutOptions
from aios3sync.store.s3.objects import range_header
from aios3sync.store.s3.parameters import (
    checksum_member,
    part_parameters,
    payload_checksum,
    put_parameters,
    sse_customer,
)
from aios3sync.store.wire.sigv4 import EMPTY_SHA256, canonical_query

__all__ = (
    "MAX_OBJECT",
    "MAX_XML",
    "HeaderTemplate",
    "HttpRequest",
    "InvalidRequestError",
    "RequestBuilder",
    "headers_of",
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
    "Expires": "expires",
    "IfMatch": "if-match",
    "IfNoneMatch": "if-none-match",
    "RequestPayer": "x-amz-request-payer",
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
}
_CUSTOMER_KEY: Final = "x-amz-server-side-encryption-customer-key"
_TOKEN: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+").fullmatch
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f]").search


class InvalidRequestError(ValueError):
    """A request that cannot be written down; the text says why, without any value."""


class HeaderTemplate:
    """The headers that a number of requests share: constant ones, and the names of those that vary.

    Args:
        constant: names in lower case, and values.
        varying: names in lower case, sorted; a request brings their values in this order.
    """

    __slots__ = ("constant", "signed_block", "varying")

    def __init__(self, constant: Mapping[str, str], varying: Sequence[str]) -> None:
        for name in (*constant, *varying):
            if not _TOKEN(name):
                raise InvalidRequestError(f"{name!r} is not the name of a header")
        for name, value in constant.items():
            if _CONTROL(value):
                raise InvalidRequestError(f"the value of {name} has control characters")
        self.constant = constant
        self.varying = tuple(varying)
        # Where the signer of one bucket keeps what it worked out of this template.
        self.signed_block: Any = None


def headers_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Parameters in the names of the S3 API as headers."""
    headers = {}
    for member, value in parameters.items():
        if member == "SSECustomerKey":
            headers[_CUSTOMER_KEY] = b64encode(value).decode("ascii")
            digest = md5(value, usedforsecurity=False).digest()
            headers[f"{_CUSTOMER_KEY}-md5"] = b64encode(digest).decode("ascii")
        elif member.startswith("Checksum"):
            headers[f"x-amz-checksum-{member[8:].lower()}"] = value
        else:
            headers[_HEADERS[member]] = value
    return headers


MAX_XML: Final = 32 * 2**20
"""Bytes of the longest XML answer: 2,500 keys of 1,024 bytes, each percent-encoded, and as much again."""
MAX_OBJECT: Final = 5 * 2**30
"""Bytes of the longest body of an object: what one PutObject can store."""

# Everything of PutOptions that is the same for many objects; metadata go along as their names.
_COMMON: Final = attrgetter(
    *("content_type", "content_encoding", "cache_control", "content_disposition", "content_language"),
    *("expires", "storage_class", "sse", "sse_kms_key_id", "sse_customer_key", "acl", "checksum"),
    "request_payer",
)
_MOST_TEMPLATES: Final = 512

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9/_.~-]+").fullmatch
_MARKUP: Final = re.compile("[&<>\r\n\t]").search
# Line ends and tabs as references, else a parser reads them as other white space: another key.
_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;", "\n": "&#xA;", "\t": "&#x9;"}
)
_DELETE: Final = '<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'


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
        idempotent: whether sending it twice is the same as sending it once.
        max_answer: bytes of the longest body of an answer.
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


class RequestBuilder:
    """Builds the requests of one bucket.

    Args:
        sse_customer_key: the SSE-C key for reading, or empty.
        request_payer: ``requester`` where the requester pays, for requests without put options.
    """

    def __init__(self, sse_customer_key: bytes = b"", request_payer: str = "") -> None:
        self.payer = request_payer
        self._payer = {"RequestPayer": request_payer} if request_payer else {}
        self._reading = sse_customer(sse_customer_key) | self._payer
        self._templates: dict[tuple[Any, ...], HeaderTemplate] = {}

    def put(self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str) -> HttpRequest:
        """PutObject."""
        metadata = options.metadata
        common = (_COMMON(options), tuple(metadata), tuple(options.tags.items()))
        template = self._templates.get(common)
        conditional = bool(options.if_match) or options.if_none_match
        if template is None or conditional:
            template = put_template(options)
            if not conditional:
                self._remember(common, template)
        values: tuple[str, ...] = (b64encode(md5).decode("ascii"), sha256)
        if options.checksum:
            (checksum,) = payload_checksum(options.checksum, body).values()
            values = (values[0], checksum, sha256)
        if metadata:
            values += metadata_values(metadata)
        return HttpRequest(
            "PutObject",
            key,
            "PUT",
            object_path(key),
            "",
            template,
            values,
            sha256,
            body,
            not conditional,
            MAX_XML,
        )

    def put_part(
        self,
        key: str,
        upload: tuple[str, int],
        body: Body,
        options: PutOptions,
        *,
        md5: bytes,
        sha256: str,
    ) -> HttpRequest:
        """UploadPart; ``upload`` is its id and the number of the part."""
        headers = headers_of(part_parameters(options, body))
        if md5:
            headers["content-md5"] = b64encode(md5).decode("ascii")
        query = canonical_query([("uploadId", upload[0]), ("partNumber", str(upload[1]))])
        return _request("UploadPart", key, "PUT", query, headers, body=body, sha256=sha256)

    def get(
        self, key: str, start: int, length: int | None, if_match: str = "", if_none_match: str = ""
    ) -> HttpRequest:
        """GetObject, of a range where one is asked for."""
        headers = headers_of(self._reading)
        if span := range_header(start, length):
            headers["range"] = span
        if if_match:
            headers["if-match"] = if_match
        if if_none_match:
            headers["if-none-match"] = f'"{if_none_match}"'
        return _request("GetObject", key, "GET", "", headers, max_answer=MAX_OBJECT)

    def head(self, key: str) -> HttpRequest:
        """HeadObject."""
        return _request("HeadObject", key, "HEAD", "", headers_of(self._reading))

    def list_page(
        self, prefix: str, token: str | None, start_after: str, delimiter: str, size: int
    ) -> HttpRequest:
        """ListObjectsV2."""
        parameters = {
            "continuation-token": token,
            "delimiter": delimiter,
            "encoding-type": "url",
            "list-type": "2",
            "max-keys": str(size),
            "start-after": start_after,
        }
        return self._listing("ListObjectsV2", prefix, parameters)

    def marker_page(self, prefix: str, marker: str, delimiter: str, size: int) -> HttpRequest:
        """ListObjects."""
        parameters = {
            "delimiter": delimiter,
            "encoding-type": "url",
            "marker": marker,
            "max-keys": str(size),
        }
        return self._listing("ListObjects", prefix, parameters)

    def _listing(self, operation: str, prefix: str, parameters: Mapping[str, str | None]) -> HttpRequest:
        query = [("prefix", prefix), *((name, value) for name, value in parameters.items() if value)]
        return _request(operation, None, "GET", canonical_query(query), headers_of(self._payer))

    def delete_batch(self, items: Sequence[DeleteItem]) -> HttpRequest:
        """DeleteObjects."""
        body = f"{_DELETE}{''.join(map(_delete_entry, items))}<Quiet>true</Quiet></Delete>".encode()
        headers = headers_of(self._payer)
        headers["content-md5"] = b64encode(md5_of(body, usedforsecurity=False).digest()).decode("ascii")
        headers["content-type"] = "application/xml"
        digest = sha256_of(body).hexdigest()
        return _request("DeleteObjects", None, "POST", "delete=", headers, body=body, sha256=digest)

    def delete_one(self, item: DeleteItem) -> HttpRequest:
        """DeleteObject."""
        headers = headers_of(self._payer)
        if item.etag:
            headers["if-match"] = item.etag
        return _request("DeleteObject", item.key, "DELETE", "", headers)

    def _remember(self, common: tuple[Any, ...], template: HeaderTemplate) -> None:
        if len(self._templates) >= _MOST_TEMPLATES:
            self._templates.clear()
        self._templates[common] = template


def object_path(key: str) -> str:
    """The path of a key below its bucket: every byte but ``/`` and the unreserved ones encoded.

    Raises:
        InvalidRequestError: the key is empty, which would name the bucket, or is not Unicode.
    """
    if _PLAIN_KEY(key):
        return key
    if not key:
        raise InvalidRequestError("the key is empty")
    try:
        return quote(key, safe="/~")
    except UnicodeEncodeError:
        raise InvalidRequestError("the key is not valid Unicode") from None


def _request(  # noqa: PLR0913 - the facts of a request; the constructor has more
    operation: str,
    key: str | None,
    method: str,
    query: str,
    headers: dict[str, str],
    *,
    body: Body = b"",
    sha256: str = EMPTY_SHA256,
    max_answer: int = MAX_XML,
) -> HttpRequest:
    path = "" if key is None else object_path(key)
    template = HeaderTemplate(headers, ("x-amz-content-sha256",))
    return HttpRequest(
        operation, key, method, path, query, template, (sha256,), sha256, body, True, max_answer
    )


def put_template(options: PutOptions) -> HeaderTemplate:
    """The headers of a put, of which Content-MD5, checksum, SHA-256 and metadata vary, in this order.

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
    """Return the values by name in lower case; of two that differ in case the last one counts."""
    if len(metadata) == 1:
        return tuple(metadata.values())
    lowered = {name.lower(): value for name, value in metadata.items()}
    return tuple(lowered[name] for name in sorted(lowered))


def _delete_entry(item: DeleteItem) -> str:
    key = _escaped(item.key)
    if not item.etag:
        return f"<Object><Key>{key}</Key></Object>"
    return f"<Object><Key>{key}</Key><ETag>{_escaped(item.etag)}</ETag></Object>"


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES) if _MARKUP(text) else text
