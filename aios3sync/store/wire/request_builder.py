"""RequestBuilder: the requests of objects, listings and the bucket itself; pure, nothing is signed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import md5 as md5_of
from hashlib import sha256 as sha256_of
from operator import attrgetter

from aios3sync._lazy import lazy_pattern
from aios3sync._typing import Any, Final
from aios3sync.store.protocol import CopySource, DeleteItem, PutOptions, RestoreRequest
from aios3sync.store.s3.objects import range_header
from aios3sync.store.s3.parameters import (
    base64_text,
    copy_parameters,
    copy_source_parameters,
    payload_checksum,
    sse_customer,
)
from aios3sync.store.wire.requests import (
    MAX_OBJECT,
    MAX_XML,
    HeaderTemplate,
    HttpRequest,
    InvalidRequestError,
    headers_of,
    http_request,
    metadata_values,
    object_path,
    put_template,
)
from aios3sync.store.wire.sigv4 import EMPTY_SHA256
from aios3sync.store.wire.xml_bodies import delete_body, restore_body

__all__ = ("RequestBuilder",)

# Everything of PutOptions that is the same for many objects; metadata go along as their names.
_COMMON: Final = attrgetter(
    *("content_type", "content_encoding", "cache_control", "content_disposition", "content_language"),
    *("expires", "storage_class", "sse", "sse_kms_key_id", "sse_customer_key", "acl", "checksum"),
    "request_payer",
)
_OF_COPY: Final = ("x-amz-content-sha256", "x-amz-copy-source", "x-amz-copy-source-if-match")
_MOST_TEMPLATES: Final = 512
_RESTORES: Final = {"x-amz-optional-object-attributes": "RestoreStatus"}
_SMALL_OBJECT: Final = 16 * 2**20
# Access points are named by ARN, and their objects below "/object/"
# (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html, x-amz-copy-source).
_ACCESS_POINT: Final = lazy_pattern(
    r"arn:aws[^:]*:(?:s3|s3-object-lambda):[a-z0-9-]*:[0-9]{12}:accesspoint[/:][A-Za-z0-9.-]{1,63}"
    r"|arn:aws[^:]*:s3-outposts:[a-z0-9-]+:[0-9]{12}:outpost[/:][A-Za-z0-9-]{1,63}"
    r"[/:]accesspoint[/:][A-Za-z0-9-]{1,63}"
)


class RequestBuilder:
    """Builds the requests of one bucket.

    Args:
        sse_customer_key: the SSE-C key for reading, or empty.
        request_payer: ``requester`` where the requester pays, for requests without put options.

    Attributes:
        payer: who pays, or empty.
        paid: the payer as parameters of a request.
        reading: parameters of requests that read objects.
    """

    def __init__(self, sse_customer_key: bytes = b"", request_payer: str = "") -> None:
        self.payer = request_payer
        self.paid: dict[str, Any] = {"RequestPayer": request_payer} if request_payer else {}
        self._customer_key = sse_customer_key
        self.reading = sse_customer(sse_customer_key) | self.paid
        self._templates: dict[tuple[Any, ...], HeaderTemplate] = {}
        self._of_version: HeaderTemplate | None = None

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
        values: tuple[str, ...] = (base64_text(md5), sha256)
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

    def get(
        self,
        key: str,
        start: int,
        length: int | None,
        if_match: str = "",
        if_none_match: str = "",
        version_id: str = "",
    ) -> HttpRequest:
        """GetObject, optionally of a range."""
        span = range_header(start, length)
        # Whoever asks for a range has room for that; what ignores ranges may send small objects as a whole.
        most = MAX_OBJECT if length is None else max(length, _SMALL_OBJECT)
        if (
            span and _is_plain_etag(if_match) and not (if_none_match or version_id)
        ):  # every object of a download
            template, values = self._of_version, (if_match, span, EMPTY_SHA256)
            if template is None:
                names = ("if-match", "range", "x-amz-content-sha256")
                template = self._of_version = HeaderTemplate(headers_of(self.reading), names)
            path = object_path(key)
            return HttpRequest(
                "GetObject", key, "GET", path, "", template, values, EMPTY_SHA256, b"", True, most
            )
        headers = headers_of(self.reading)
        if span:
            headers["range"] = span
        if if_match:
            headers["if-match"] = if_match
        if if_none_match:
            headers["if-none-match"] = f'"{if_none_match}"'
        return http_request("GetObject", key, "GET", _version_query(version_id), headers, max_answer=most)

    def head(self, key: str, part: int = 0, *, version_id: str = "", checksums: bool = False) -> HttpRequest:
        """HeadObject, optionally of one part."""
        query = [*_version_query(version_id), *([("partNumber", str(part))] if part else [])]
        asked = {"ChecksumMode": "ENABLED"} if checksums else {}
        return http_request("HeadObject", key, "HEAD", query, headers_of(self.reading | asked))

    def list_page(
        self,
        prefix: str,
        token: str | None,
        start_after: str,
        delimiter: str,
        size: int,
        *,
        restores: bool = False,
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
        return self._listing("ListObjectsV2", prefix, parameters, restores=restores)

    def marker_page(self, prefix: str, marker: str, delimiter: str, size: int) -> HttpRequest:
        """ListObjects."""
        parameters = {
            "delimiter": delimiter,
            "encoding-type": "url",
            "marker": marker,
            "max-keys": str(size),
        }
        return self._listing("ListObjects", prefix, parameters)

    def _listing(
        self,
        operation: str,
        prefix: str,
        parameters: Mapping[str, str | None],
        resource: str = "",
        *,
        restores: bool = False,
    ) -> HttpRequest:
        query = [("prefix", prefix), *((name, value) for name, value in parameters.items() if value)]
        if resource:
            query.append((resource, ""))
        headers = headers_of(self.paid) | (_RESTORES if restores else {})
        return http_request(operation, None, "GET", query, headers)

    def delete_batch(self, items: Sequence[DeleteItem]) -> HttpRequest:
        """DeleteObjects."""
        body = delete_body(items)
        headers = headers_of(self.paid)
        headers["content-md5"] = base64_text(md5_of(body, usedforsecurity=False).digest())
        headers["content-type"] = "application/xml"
        digest = sha256_of(body).hexdigest()
        return http_request(
            "DeleteObjects", None, "POST", [("delete", "")], headers, body=body, sha256=digest
        )

    def delete_one(self, item: DeleteItem) -> HttpRequest:
        """DeleteObject."""
        headers = headers_of(self.paid)
        if item.etag:
            headers["if-match"] = item.etag
        return http_request("DeleteObject", item.key, "DELETE", (), headers)

    def source(self, bucket: str, source: CopySource) -> dict[str, Any]:
        """Return the parameters for the source of a copy to ``bucket``."""
        customer_key = self._customer_key if source.customer_key is None else source.customer_key
        address = _copy_source(source.bucket or bucket, source.key, source.version_id)
        return {"CopySource": address} | copy_source_parameters(source.etag, customer_key)

    def copy(
        self, bucket: str, source: CopySource, key: str, options: PutOptions | None, *, keep_metadata: bool
    ) -> HttpRequest:
        """CopyObject to ``bucket``."""
        stored = partial(copy_parameters, options, keep_metadata=keep_metadata)
        conditional = options is not None and (bool(options.if_match) or options.if_none_match)
        customer_key = self._customer_key if source.customer_key is None else source.customer_key
        if conditional or customer_key or not _is_plain_etag(source.etag):
            headers = headers_of(self.paid | self.source(bucket, source) | stored())
            return http_request("CopyObject", key, "PUT", (), headers, idempotent=not conditional)
        # Every object of a sync between buckets: the same headers, but for what names the source.
        common: tuple[Any, ...] = ("copy", keep_metadata)
        if options is not None:
            common += (_COMMON(options), tuple(options.metadata.items()), tuple(options.tags.items()))
        template = self._templates.get(common)
        if template is None:
            template = HeaderTemplate(headers_of(self.paid | stored()), _OF_COPY)
            self._remember(common, template)
        address = _copy_source(source.bucket or bucket, source.key, source.version_id)
        values, path = (EMPTY_SHA256, address, source.etag), object_path(key)
        return HttpRequest(
            "CopyObject", key, "PUT", path, "", template, values, EMPTY_SHA256, b"", True, MAX_XML
        )

    def tags(self, key: str, version_id: str) -> HttpRequest:
        """GetObjectTagging."""
        query = [("tagging", ""), *_version_query(version_id)]
        return http_request("GetObjectTagging", key, "GET", query, headers_of(self.paid))

    def restore(self, key: str, request: RestoreRequest) -> HttpRequest:
        """RestoreObject."""
        query, body = [("restore", ""), *_version_query(request.version_id)], restore_body(request)
        digest = sha256_of(body).hexdigest()
        return http_request(
            "RestoreObject", key, "POST", query, headers_of(self.paid), body=body, sha256=digest
        )

    def acl(self, key: str) -> HttpRequest:
        """GetObjectAcl."""
        return http_request("GetObjectAcl", key, "GET", [("acl", "")], headers_of(self.paid))

    def versioning(self) -> HttpRequest:
        """GetBucketVersioning."""
        return http_request("GetBucketVersioning", None, "GET", [("versioning", "")], {})

    def versions_page(self, prefix: str, markers: tuple[str, str], size: int) -> HttpRequest:
        """ListObjectVersions; ``markers`` are the previous page's last key and version id, or empty."""
        parameters = {
            "encoding-type": "url",
            "key-marker": markers[0],
            "max-keys": str(size),
            "version-id-marker": markers[1],
        }
        return self._listing("ListObjectVersions", prefix, parameters, "versions")

    def _remember(self, common: tuple[Any, ...], template: HeaderTemplate) -> None:
        if len(self._templates) >= _MOST_TEMPLATES:
            self._templates.clear()
        self._templates[common] = template


def _is_plain_etag(etag: str) -> bool:
    return etag.isascii() and etag.replace("-", "").isalnum()


def _version_query(version_id: str) -> list[tuple[str, str]]:
    return [("versionId", version_id)] if version_id else []


def _copy_source(bucket: str, key: str, version_id: str) -> str:
    """Return the address of an object, or of one version of it, as a header names it."""
    from urllib.parse import quote

    try:
        name = quote(bucket)
    except UnicodeEncodeError:
        raise InvalidRequestError("the bucket of the source is not valid Unicode") from None
    version = f"?versionId={quote(version_id, safe='')}" if version_id else ""
    return f"{name}/{'object/' if _ACCESS_POINT.fullmatch(bucket) else ''}{object_path(key)}{version}"
