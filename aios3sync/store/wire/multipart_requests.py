"""Builds the requests of multipart uploads, as :class:`RequestBuilder` does those of objects; pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256 as sha256_of
from typing import Any

from aios3sync.store.protocol import Body, ListedPart, PutOptions
from aios3sync.store.s3.parameters import (
    conditions,
    copied_part_parameters,
    multipart_parameters,
    part_parameters,
    sse_customer,
)
from aios3sync.store.wire.requests import HttpRequest, headers_of, http_request
from aios3sync.store.wire.xml_bodies import complete_body

__all__ = (
    "abort_upload",
    "complete_upload",
    "copy_part",
    "create_upload",
    "list_parts",
    "list_uploads",
    "put_part",
)

Parameters = Mapping[str, Any]
"""Parameters of a request in the names of the S3 API, shared by all requests of a store."""


def create_upload(key: str, options: PutOptions) -> HttpRequest:
    """CreateMultipartUpload."""
    headers = headers_of(multipart_parameters(options))
    return http_request("CreateMultipartUpload", key, "POST", [("uploads", "")], headers, idempotent=False)


def put_part(  # noqa: PLR0913 - what a part is, and its digests
    key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes, sha256: str
) -> HttpRequest:
    """UploadPart."""
    headers = headers_of(part_parameters(options, body))
    if md5:
        headers["content-md5"] = b64encode(md5).decode("ascii")
    query = [("uploadId", upload_id), ("partNumber", str(number))]
    return http_request("UploadPart", key, "PUT", query, headers, body=body, sha256=sha256)


def copy_part(key: str, upload_id: str, number: int, source: Parameters, options: PutOptions) -> HttpRequest:
    """UploadPartCopy of the source of these parameters."""
    headers = headers_of({**source, **copied_part_parameters(options)})
    query = [("uploadId", upload_id), ("partNumber", str(number))]
    return http_request("UploadPartCopy", key, "PUT", query, headers)


def complete_upload(
    key: str, upload_id: str, parts: Iterable[ListedPart], options: PutOptions
) -> HttpRequest:
    """CompleteMultipartUpload."""
    body = complete_body(parts, options.checksum)
    payer = {"RequestPayer": options.request_payer} if options.request_payer else {}
    headers = headers_of(conditions(options) | payer | sse_customer(options.sse_customer_key))
    return http_request(
        "CompleteMultipartUpload",
        key,
        "POST",
        [("uploadId", upload_id)],
        headers,
        body=body,
        sha256=sha256_of(body).hexdigest(),
        idempotent=False,
    )


def abort_upload(key: str, upload_id: str, payer: Parameters) -> HttpRequest:
    """AbortMultipartUpload."""
    query = [("uploadId", upload_id)]
    return http_request("AbortMultipartUpload", key, "DELETE", query, headers_of(payer))


def list_parts(key: str, upload_id: str, marker: int, reading: Parameters) -> HttpRequest:
    """ListParts; ``marker`` is the number of the last part of the previous page, 0 for the first page."""
    query = [("uploadId", upload_id)]
    if marker:
        query.append(("part-number-marker", str(marker)))
    return http_request("ListParts", key, "GET", query, headers_of(reading))


def list_uploads(prefix: str, markers: tuple[str, str], payer: Parameters, *, encoded: bool) -> HttpRequest:
    """ListMultipartUploads after the upload of key and id ``markers``; ``encoded`` requests encoded keys."""
    query = [("uploads", ""), ("prefix", prefix)]
    query += [pair for pair in zip(("key-marker", "upload-id-marker"), markers, strict=True) if pair[1]]
    if encoded:
        query.append(("encoding-type", "url"))
    return http_request("ListMultipartUploads", None, "GET", query, headers_of(payer))
