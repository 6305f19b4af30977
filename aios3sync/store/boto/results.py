"""Converts parsed responses of botocore to the values of the store protocol; pure, without guessing.

A listing without a required element is not trusted: otherwise the login page of a proxy, or half a response,
would be parsed as an empty listing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import unquote_plus

from aios3sync.core.checksums import ALGORITHMS, ObjectChecksum, read_checksum
from aios3sync.core.entries import Restore, TargetEntry
from aios3sync.core.etag import bare_etag
from aios3sync.core.numbers import LARGEST
from aios3sync.core.text import printable
from aios3sync.errors import ListingError, UnavailableError
from aios3sync.store.protocol import (
    GetResult,
    HeadResult,
    ListedPart,
    ListedVersion,
    ListPage,
    PutResult,
    VersionPage,
)
from aios3sync.store.s3.answers import canned_acl as acl_of_grants
from aios3sync.store.s3.answers import distinct_parts
from aios3sync.store.s3.errors import subject
from aios3sync.store.s3.marker_paging import NO_TOKEN
from aios3sync.store.s3.markers import NO_WAY_ON, NoTokenError, next_marker
from aios3sync.store.s3.objects import content_encoding, cut_range
from aios3sync.store.s3.parameters import checksum_member

__all__ = (
    "advanced",
    "canned_acl",
    "decoded",
    "get_result",
    "head_result",
    "list_page",
    "listed_parts",
    "marker_page",
    "object_checksum",
    "put_result",
    "refuse_html",
    "seconds",
    "version_page",
    "whole_answer",
)

Answer = Mapping[str, Any]
_CHECKSUMS: Final = tuple((name, checksum_member(name)) for name in ALGORITHMS)
Marker = TypeVar("Marker", str, int)


def seconds(answer: Answer, member: str) -> float:
    """Return a timestamp as seconds since the epoch; 0 where there is none."""
    moment = answer.get(member)
    return float(moment.timestamp()) if moment else 0.0


def _encryption(answer: Answer) -> str:
    if answer.get("SSECustomerAlgorithm"):
        return "SSE-C"
    return str(answer.get("ServerSideEncryption", ""))


def put_result(answer: Answer, etag: str) -> PutResult:
    """Return the result of a write."""
    return PutResult(bare_etag(etag), _encryption(answer), answer.get("VersionId", ""))


def head_result(answer: Answer, size: int) -> HeadResult:
    """Return the facts of an object of ``size`` bytes, from HeadObject or GetObject."""
    return HeadResult(
        size=size,
        etag=bare_etag(answer.get("ETag", "")),
        last_modified=seconds(answer, "LastModified"),
        metadata=dict(answer.get("Metadata", {})),
        content_type=answer.get("ContentType", ""),
        content_encoding=content_encoding(answer.get("ContentEncoding", "")),
        encryption=_encryption(answer),
        storage_class=answer.get("StorageClass", ""),
        kms_key_id=answer.get("SSEKMSKeyId", ""),
        cache_control=answer.get("CacheControl", ""),
        content_disposition=answer.get("ContentDisposition", ""),
        content_language=answer.get("ContentLanguage", ""),
        expires=answer.get("ExpiresString", ""),
        tag_count=answer.get("TagCount", 0),
        version_id=answer.get("VersionId", ""),
    )


def object_checksum(answer: Answer) -> ObjectChecksum | None:
    """Return the checksum in the response of HeadObject, if it has one."""
    values = {name: text for name, member in _CHECKSUMS if (text := answer.get(member)) is not None}
    return read_checksum(values, answer.get("ChecksumType", "")) if values else None


def _restore(item: Answer) -> Restore:
    status = item.get("RestoreStatus", {})
    if status.get("IsRestoreInProgress"):
        return "ongoing"
    return "done" if "RestoreExpiryDate" in status else ""


def canned_acl(answer: Answer) -> str:
    """Return the canned ACL that grants the same to the groups of S3; empty where it grants them nothing."""
    return acl_of_grants((grant["Grantee"].get("URI", ""), grant["Permission"]) for grant in answer["Grants"])


def get_result(answer: Answer, body: bytes, start: int, length: int | None) -> GetResult:
    """Return a body with its facts; where a server ignores ranges, the range is cut out of the whole object.

    Raises:
        ValueError: it is another range than was requested.
    """
    content_range = answer.get("ContentRange", "")
    if content_range:
        first = content_range.strip().removeprefix("bytes").partition("-")[0]
        if int(first) != start or (length is not None and len(body) > length):
            raise ValueError("another range than was asked for")
        return GetResult(body, head_result(answer, int(content_range.rpartition("/")[2])))
    size = len(body)
    return GetResult(cut_range(body, start, length), head_result(answer, size))


@contextmanager
def whole_answer(operation: str, bucket: str, key: str | None = None) -> Iterator[None]:
    """Refuse a response without a required element, or a listing with keys that are not UTF-8."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        what = "the answer is not a whole answer of S3"
        message = f"{subject(operation, bucket, key)}: {what} ({printable(repr(error))})"
        kind = ListingError if operation.startswith("List") else UnavailableError
        code = NO_TOKEN if isinstance(error, NoTokenError) else "InvalidAnswer"
        raise kind(message, operation=operation, bucket=bucket, key=key, code=code, status=200) from error


def refuse_html(answer: Answer) -> None:
    """Raise ValueError for the page of a proxy, where the response of S3 has no required element."""
    if "html" in answer["ResponseMetadata"]["HTTPHeaders"].get("content-type", ""):
        raise ValueError("a web page")


def decoded(answer: Answer, text: str) -> str:
    """Return a key decoded; servers encode only where they say so, and most write a space as ``+``."""
    if answer.get("EncodingType") != "url":
        return text
    return unquote_plus(text, errors="strict")


def _object_size(size: int) -> int:
    """Return the bytes of an object; raises ValueError for an impossible or too large number."""
    if not 0 <= size <= LARGEST:
        raise ValueError(f"a size of {size} bytes")
    return size


def list_page(answer: Answer, token: str | None) -> ListPage:
    """Return one page of ListObjectsV2.

    Raises:
        ValueError: it does not say whether it is the last one.
        NoTokenError: it is not the last one, but does not say where the next one begins.
    """
    page = _page(answer)
    if not answer["IsTruncated"]:
        return page
    following = answer.get("NextContinuationToken", "")
    if not following or following == token:
        raise NoTokenError
    return page._replace(next_token=following)


def marker_page(answer: Answer, marker: str) -> ListPage:
    """Return one page of ListObjects, the response to ``marker``; raises as :func:`list_page`."""
    page = _page(answer)
    if not answer["IsTruncated"]:
        return page
    reported = decoded(answer, answer.get("NextMarker", ""))
    return page._replace(next_token=next_marker(page.entries, page.prefixes, reported, marker))


def _page(answer: Answer) -> ListPage:
    encoded = answer.get("EncodingType") == "url"
    entries = [
        TargetEntry(
            unquote_plus(item["Key"], errors="strict") if encoded else item["Key"],
            _object_size(item["Size"]),
            bare_etag(item.get("ETag", "")),
            item["LastModified"].timestamp() if "LastModified" in item else 0.0,
            item.get("StorageClass", ""),
            restore=_restore(item),
        )
        for item in answer.get("Contents", ())
    ]
    prefixes = [decoded(answer, item["Prefix"]) for item in answer.get("CommonPrefixes", ())]
    return ListPage(entries, prefixes, None)


def version_page(answer: Answer, token: tuple[str, str] | None) -> VersionPage:
    """Return one page of versions and delete markers; raises ValueError if the next page is unknown.

    botocore keeps the two separate: they are merged by key and time.
    """
    versions = [
        ListedVersion(
            decoded(answer, item["Key"]),
            item.get("VersionId", "null"),
            item.get("Size", 0),
            seconds(item, "LastModified"),
            bool(item["IsLatest"]),
            is_delete_marker=member == "DeleteMarkers",
            etag=bare_etag(item.get("ETag", "")),
            storage_class=item.get("StorageClass", ""),
        )
        for member in ("Versions", "DeleteMarkers")
        for item in answer.get(member, ())
    ]
    if answer.get("DeleteMarkers"):
        versions.sort(key=lambda version: (version.key, not version.is_latest, -version.last_modified))
    if not answer["IsTruncated"]:
        return VersionPage(versions, None)
    following = (decoded(answer, answer.get("NextKeyMarker", "")), answer.get("NextVersionIdMarker", ""))
    if not following[0] or following == token:
        raise ValueError(NO_WAY_ON)
    return VersionPage(versions, following)


def listed_parts(stored: Iterable[Answer]) -> list[ListedPart]:
    """Return parts by number, without those that are listed with several ETags, of which one is wrong."""
    return distinct_parts(
        ListedPart(
            part["PartNumber"],
            bare_etag(part.get("ETag", "")),
            part["Size"],
            next((part[name] for name in part if name.startswith("Checksum")), ""),
        )
        for part in stored
    )


def advanced(previous: Mapping[str, Marker], **markers: Marker) -> dict[str, Marker]:
    """Return the markers of the next page; raises ValueError if they do not advance."""
    following = {name: marker for name, marker in markers.items() if marker}
    if not following or following == dict(previous):
        raise ValueError(NO_WAY_ON)
    return following
