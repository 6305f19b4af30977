"""Converts XML responses, except listings of objects, to values of the store protocol; pure.

A response without a required element is not accepted: the page of a proxy must not pass as a success, nor
half of a list as all of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import Element

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.etag import bare_etag
from aios3sync.core.numbers import LARGEST
from aios3sync.store.protocol import (
    DeleteError,
    ListedPart,
    ListedUpload,
    ListedVersion,
    PutResult,
    VersionPage,
)
from aios3sync.store.s3.deletes import delete_error
from aios3sync.store.s3.errors import InvalidAnswerError
from aios3sync.store.s3.markers import NO_WAY_ON
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.list_xml import decoded, is_truncated, timestamp
from aios3sync.store.wire.responses import written
from aios3sync.store.wire.xml_documents import children, document, local_name, named, result, root

__all__ = (
    "PartsPage",
    "UploadsPage",
    "completed",
    "copied",
    "copied_part",
    "delete_errors",
    "granted",
    "parts_page",
    "tag_set",
    "upload_id",
    "uploads_page",
    "version_page",
    "versioning_status",
)


class PartsPage(NamedTuple):
    """One page of ListParts.

    Attributes:
        parts: as listed, each with its checksums by the name of the member (``ChecksumSHA256``).
        marker: the number after which the next page begins, 0 at the end.
    """

    parts: list[tuple[ListedPart, dict[str, str]]]
    marker: int


# The document as AWS and most others write it: parsing its XML takes longer than all else of a copy here.
_plain_copy: Final = re.compile(
    rb"\s*(?:<\?xml [^<>]*\?>)?\s*<CopyObjectResult(?: xmlns=\"[^\"<>&]*\")?>"
    rb"((?:\s*<(\w+)>(?:[ -%'-;=?-~]|&quot;|&#34;)*</\2>)*)\s*</CopyObjectResult>\s*"
).fullmatch
_plain_etag: Final = re.compile(rb"<ETag>(?:\"|&quot;|&#34;)([A-Za-z0-9-]+)(?:\"|&quot;|&#34;)</ETag>").search


class UploadsPage(NamedTuple):
    """One page of ListMultipartUploads; ``markers`` are those of the next page, ``None`` at the end."""

    uploads: list[ListedUpload]
    markers: tuple[str, str] | None


def copied(answer: HttpResponse) -> PutResult:
    """Return the result of CopyObject."""
    plain = _plain_copy(answer.body)
    if plain is not None and plain[1].count(b"<ETag") == 1 and (etag := _plain_etag(plain[1])) is not None:
        return written(answer, etag[1].decode("ascii"))
    return written(answer, _text(result(answer.body, "CopyObjectResult", "ETag"), "ETag"))


def copied_part(answer: HttpResponse) -> PutResult:
    """Return the result of UploadPartCopy; a part has no version."""
    etag = _text(result(answer.body, "CopyPartResult", "ETag"), "ETag")
    return written(answer, etag)._replace(version_id="")


def tag_set(answer: HttpResponse) -> dict[str, str]:
    """Return the tags of an object."""
    tags = named(_child(result(answer.body, "Tagging", "TagSet"), "TagSet"), "Tag")
    return {_member(facts, "Key"): _member(facts, "Value") for facts in map(children, tags)}


def completed(answer: HttpResponse) -> PutResult:
    """Return the result of CompleteMultipartUpload; Ceph leaves its ETag empty."""
    return written(answer, _text(result(answer.body, "CompleteMultipartUploadResult", "ETag"), "ETag"))


def upload_id(answer: HttpResponse) -> str:
    """Return the id of an upload that was created."""
    found = _text(result(answer.body, "InitiateMultipartUploadResult", "UploadId"), "UploadId")
    if not found:
        raise InvalidAnswerError("an empty UploadId")
    return found


def granted(answer: HttpResponse) -> list[tuple[str, str]]:
    """Return the grants of an object: the URI of a group, empty for others, and the permission."""
    element = result(answer.body, "AccessControlPolicy", "AccessControlList")
    grants = named(_child(element, "AccessControlList"), "Grant")
    return [
        (children(_child(grant, "Grantee")).get("URI", ""), _text(grant, "Permission")) for grant in grants
    ]


def versioning_status(answer: HttpResponse) -> str:
    """Return ``Enabled``, ``Suspended`` or nothing.

    Raises:
        InvalidAnswerError: it is no response about versioning. Some servers call it
            GetBucketVersioningResponse; for a bucket that never had versions it is empty.
    """
    element = root(answer.body)
    if "Versioning" not in local_name(element):
        raise InvalidAnswerError("not a VersioningConfiguration")
    return children(element).get("Status", "").strip()


def delete_errors(answer: HttpResponse) -> list[DeleteError]:
    """Return the errors of a DeleteObjects response."""
    if not answer.body and b"html" not in answer.headers.get(b"content-type", b""):
        return []  # quiet mode, and no errors
    errors = map(children, named(document(answer.body, "DeleteResult"), "Error"))
    return [delete_error(*(facts.get(name, "") for name in ("Key", "Code", "Message"))) for facts in errors]


def parts_page(answer: HttpResponse, marker: int) -> PartsPage:
    """Return one page of parts, the response to a request with ``marker``.

    Some servers never say whether there are more, because they list all: a missed part would only be sent
    again.

    Raises:
        InvalidAnswerError: it is no page, or does not lead to the next one.
    """
    element = result(answer.body, "ListPartsResult", "IsTruncated")
    parts = [_part(children(part)) for part in named(element, "Part")]
    facts = children(element)
    if "IsTruncated" not in facts or not is_truncated(facts):
        return PartsPage(parts, 0)
    following = _number(facts, "NextPartNumberMarker")
    if following <= marker:
        raise InvalidAnswerError(NO_WAY_ON)
    return PartsPage(parts, following)


def _part(facts: Mapping[str, str]) -> tuple[ListedPart, dict[str, str]]:
    checksums = {name: text for name, text in facts.items() if name.startswith("Checksum")}
    checksum = next(iter(checksums.values()), "")
    etag = bare_etag(facts.get("ETag", ""))
    return ListedPart(_number(facts, "PartNumber"), etag, _number(facts, "Size"), checksum), checksums


def uploads_page(answer: HttpResponse) -> UploadsPage:
    """Return one page of unfinished uploads.

    Raises:
        InvalidAnswerError: it is no page, or does not lead to the next one.
    """
    element = result(answer.body, "ListMultipartUploadsResult", "IsTruncated")
    facts = children(element)
    encoded = facts.get("EncodingType") == "url"
    uploads = [
        ListedUpload(_name(upload, "Key", encoded), _member(upload, "UploadId"), _time(upload, "Initiated"))
        for upload in map(children, named(element, "Upload"))
    ]
    if not is_truncated(facts):
        return UploadsPage(uploads, None)
    markers = (_marker(facts, "NextKeyMarker", encoded), facts.get("NextUploadIdMarker", ""))
    if not any(markers):
        raise InvalidAnswerError(NO_WAY_ON)
    return UploadsPage(uploads, markers)


def version_page(answer: HttpResponse, token: tuple[str, str] | None) -> VersionPage:
    """Return one page of versions and delete markers, the response to a request with ``token``.

    Raises:
        InvalidAnswerError: it is no page, or does not lead to the next one.
    """
    element = result(answer.body, "ListVersionsResult", "IsTruncated")
    facts = children(element)
    encoded = facts.get("EncodingType") == "url"
    versions = [
        _version(children(child), encoded, is_delete_marker=name == "DeleteMarker")
        for child in element
        if (name := local_name(child)) in ("Version", "DeleteMarker")
    ]
    if not is_truncated(facts):
        return VersionPage(versions, None)
    following = (_marker(facts, "NextKeyMarker", encoded), facts.get("NextVersionIdMarker", ""))
    if not following[0] or following == token:
        raise InvalidAnswerError(NO_WAY_ON)
    return VersionPage(versions, following)


def _version(facts: Mapping[str, str], encoded: bool, *, is_delete_marker: bool) -> ListedVersion:
    latest = _member(facts, "IsLatest").strip()
    if latest not in ("true", "false"):
        raise InvalidAnswerError("no IsLatest")
    return ListedVersion(
        _name(facts, "Key", encoded),
        facts.get("VersionId", "null"),
        _number(facts, "Size") if "Size" in facts else 0,
        _time(facts, "LastModified"),
        latest == "true",
        is_delete_marker=is_delete_marker,
        etag=bare_etag(facts.get("ETag", "")),
        storage_class=facts.get("StorageClass", ""),
    )


def _child(element: Element, name: str) -> Element:
    found = next(named(element, name), None)
    if found is None:
        raise InvalidAnswerError(f"no {name}")
    return found


def _text(element: Element, name: str) -> str:
    return _child(element, name).text or ""


def _member(facts: Mapping[str, str], name: str) -> str:
    if name not in facts:
        raise InvalidAnswerError(f"no {name}")
    return facts[name]


def _number(facts: Mapping[str, str], name: str) -> int:
    text = _member(facts, name).strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST):
        raise InvalidAnswerError(f"a {name} that is none")
    return int(text)


def _name(facts: Mapping[str, str], name: str, encoded: bool) -> str:
    text = _marker(facts, name, encoded)
    if not text:
        raise InvalidAnswerError(f"no {name}")
    return text


def _marker(facts: Mapping[str, str], name: str, encoded: bool) -> str:
    try:
        return decoded(facts.get(name, ""), encoded)
    except ValueError as error:
        raise InvalidAnswerError(f"a {name} that is none") from error


def _time(facts: Mapping[str, str], name: str) -> float:
    """Return seconds since the epoch; 0 where there is no time."""
    text = facts.get(name, "").strip()
    try:
        return timestamp(text, {}) if text else 0.0
    except (ValueError, OverflowError) as error:
        raise InvalidAnswerError(f"a {name} that is no time") from error
