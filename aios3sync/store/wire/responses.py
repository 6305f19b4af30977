"""Convert HTTP responses to the values of the store protocol: headers, errors and refusals; pure.

A response that S3 would not send raises InvalidAnswerError and nothing else: the login page of a proxy must
not pass as a success.
"""

from __future__ import annotations

from collections.abc import Mapping

from aios3sync._lazy import lazy_pattern
from aios3sync._typing import Final
from aios3sync.core.checksums import ALGORITHMS, ObjectChecksum, read_checksum
from aios3sync.core.etag import bare_etag
from aios3sync.core.text import printable
from aios3sync.store.protocol import GetResult, HeadResult, PartHead, PutResult, RangeRead
from aios3sync.store.s3.endpoint import is_aws_host
from aios3sync.store.s3.errors import ErrorAnswer, InvalidAnswerError, with_limit
from aios3sync.store.s3.http_dates import http_date
from aios3sync.store.s3.objects import content_encoding, cut_range
from aios3sync.store.wire.http_response import HttpResponse

__all__ = (
    "clock_skew",
    "error_answer",
    "get_result",
    "head_result",
    "hidden_error",
    "part_head",
    "put_result",
    "range_read",
    "region_from_refusal",
    "server_time",
    "text_headers",
    "written",
)


_META: Final = b"x-amz-meta-"
_CUSTOMER: Final = b"x-amz-server-side-encryption-customer-algorithm"
_CHECKSUMS: Final = tuple((f"x-amz-checksum-{name}".encode(), name) for name in ALGORITHMS)
_LONGEST_CODE: Final = 100
_FIRST_BYTE: Final = lazy_pattern(rb"\s*bytes\s+([0-9]{1,19})-")
_RANGE: Final = lazy_pattern(rb"\s*bytes\s+([0-9]{1,19})-([0-9]{1,19})/")
_PARTIAL: Final = 206


def put_result(answer: HttpResponse) -> PutResult:
    """Return the result of a PutObject or UploadPart."""
    etag = answer.headers.get(b"etag")
    if not etag:
        raise InvalidAnswerError("no ETag")
    return written(answer, _text(etag))


def written(answer: HttpResponse, etag: str) -> PutResult:
    """Return the result of a write whose response has ``etag``."""
    headers = answer.headers
    return PutResult(bare_etag(etag), _encryption(headers), _text(headers.get(b"x-amz-version-id", b"")))


def head_result(answer: HttpResponse, *, checksums: bool = False) -> HeadResult:
    """Return the facts of an object, from HeadObject; with its checksum, if that was requested."""
    headers = answer.headers
    head = _head(headers, _number(headers.get(b"content-length", b"")))
    return head._replace(checksum=_checksum(headers)) if checksums else head


def part_head(answer: HttpResponse) -> PartHead:
    """Return the facts of a part, from HeadObject."""
    headers = answer.headers
    return PartHead(
        _number(headers.get(b"content-length", b"")), _count(headers.get(b"x-amz-mp-parts-count", b""))
    )


def get_result(answer: HttpResponse, start: int, length: int | None) -> GetResult:
    """Return a body with its facts; where a server ignores ranges, the range is cut out of the whole object.

    Raises:
        InvalidAnswerError: it is another range than was requested.
    """
    body = answer.body
    size = _size_of_ranged(answer, start)
    if size is not None:
        if length is not None and len(body) > length:
            raise InvalidAnswerError("another range than was asked for")
        return GetResult(body, _head(answer.headers, size))
    size = len(body)
    return GetResult(cut_range(body, start, length), _head(answer.headers, size))


def range_read(answer: HttpResponse, buffer: memoryview, start: int) -> RangeRead:
    """Return the result of a range; it is copied to the buffer where it was not placed there.

    Raises:
        InvalidAnswerError: it is another range than was requested.
    """
    if not answer.placed:
        body, head = get_result(answer, start, len(buffer))
        buffer[: len(body)] = body
        return RangeRead(len(body), head)
    size = _size_of_ranged(answer, start)
    if size is None:
        raise InvalidAnswerError("a range that is not named")
    return RangeRead(answer.placed, _head(answer.headers, size))


def _size_of_ranged(answer: HttpResponse, start: int) -> int | None:
    """Return the size of the object whose range was sent; ``None`` where the whole object was sent.

    Raises:
        InvalidAnswerError: the range starts somewhere else.
    """
    content_range = answer.headers.get(b"content-range", b"")
    if not content_range:
        return None
    first = _FIRST_BYTE.match(content_range)
    if answer.status != _PARTIAL:
        # It has no meaning then (RFC 9110, 14.4), but rclone serve s3 sends a range with it and a 200.
        named = _RANGE.match(content_range)
        if named is None or int(named[1]) != start or int(named[2]) - start + 1 != len(answer.body):
            return None
    elif first is None or int(first[1]) != start:
        raise InvalidAnswerError("another range than was asked for")
    return _number(content_range.rpartition(b"/")[2])


def _head(headers: Mapping[bytes, bytes], size: int) -> HeadResult:
    return HeadResult(
        size=size,
        etag=bare_etag(_text(headers.get(b"etag", b""))),
        last_modified=_seconds(headers.get(b"last-modified", b"")),
        metadata={
            _text(name[len(_META) :]): _text(value)
            for name, value in headers.items()
            if name.startswith(_META)
        },
        content_type=_text(headers.get(b"content-type", b"")),
        content_encoding=content_encoding(_text(headers.get(b"content-encoding", b""))),
        encryption=_encryption(headers),
        storage_class=_text(headers.get(b"x-amz-storage-class", b"")),
        kms_key_id=_text(headers.get(b"x-amz-server-side-encryption-aws-kms-key-id", b"")),
        cache_control=_text(headers.get(b"cache-control", b"")),
        content_disposition=_text(headers.get(b"content-disposition", b"")),
        content_language=_text(headers.get(b"content-language", b"")),
        expires=_text(headers.get(b"expires", b"")),
        tag_count=_count(headers.get(b"x-amz-tagging-count", b"")),
        version_id=_text(headers.get(b"x-amz-version-id", b"")),
    )


def _checksum(headers: Mapping[bytes, bytes]) -> ObjectChecksum | None:
    values = {
        algorithm: _text(value) for name, algorithm in _CHECKSUMS if (value := headers.get(name)) is not None
    }
    return read_checksum(values, _text(headers.get(b"x-amz-checksum-type", b""))) if values else None


def _encryption(headers: Mapping[bytes, bytes]) -> str:
    if headers.get(_CUSTOMER):
        return "SSE-C"
    return _text(headers.get(b"x-amz-server-side-encryption", b""))


def _text(value: bytes) -> str:
    """Return a header value as text: UTF-8 where it is not ASCII; other bytes are kept one by one."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _number(value: bytes) -> int:
    if not (value.isdigit() and len(value) < 20):
        raise InvalidAnswerError("no size")
    return int(value)


def _count(value: bytes) -> int:
    """Return a number that not every endpoint sends; 0 where there is none."""
    return _number(value) if value else 0


def text_headers(answer: HttpResponse) -> dict[str, str]:
    """Return the headers of a response as text."""
    return {_text(name): _text(value) for name, value in answer.headers.items()}


def server_time(answer: HttpResponse) -> float:
    """Return the endpoint's clock in seconds since the epoch; 0 where the response has none."""
    return _seconds(answer.headers.get(b"date", b""))


def _seconds(value: bytes) -> float:
    """Return the seconds since the epoch; 0 where there is no date."""
    try:
        return http_date(_text(value)) if value else 0.0
    except ValueError:
        return 0.0


# Errors


def error_answer(answer: HttpResponse) -> ErrorAnswer:
    """Return the facts of a refused request; without a readable error document its status decides."""
    status = answer.status
    facts = _error_facts(answer.body)
    code = printable(facts.get("Code", "").strip())[:_LONGEST_CODE]
    message = with_limit(facts.get("Message", ""), facts.get("MaxSizeAllowed", ""))
    if not code:
        code, message = str(status), _phrase(status)
    return ErrorAnswer(code, status, message, text_headers(answer), facts.get("Region", ""))


def _phrase(status: int) -> str:
    from http import HTTPStatus  # a run without errors has no phrase

    return HTTPStatus(status).phrase if status in {*HTTPStatus} else ""


def _error_facts(body: bytes) -> dict[str, str]:
    if not body:
        return {}
    from aios3sync.store.wire.xml_documents import children, document  # a run without errors has no XML

    try:
        return children(document(body, "Error"))
    except InvalidAnswerError:
        return {}


def hidden_error(answer: HttpResponse) -> ErrorAnswer | None:
    """Return the error in the body of a response with status 200; it counts as a failure of the server."""
    if b"<Error" not in answer.body:
        return None
    from aios3sync.store.wire.xml_documents import document

    try:
        document(answer.body, "Error")
    except InvalidAnswerError:
        return None
    return error_answer(answer)._replace(status=500)


_MISDIRECTED: Final = (301, 302, 307, 308, 400)
_NAME: Final = lazy_pattern(r"[a-z0-9-]{2,64}")
_IN_HOST: Final = lazy_pattern(r"(?<=s3[.-])(?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d{1,2})\.amazonaws\.com")
# S3 itself allows 15 minutes.
_TOLERATED: Final = 60.0


def region_from_refusal(status: int, refusal: ErrorAnswer) -> str:
    """Return the region to which a misdirected request belongs; empty where the refusal names none.

    No host is ever taken from a response: only the name of a region, for one of AWS's own hosts.
    """
    if status not in _MISDIRECTED:
        return ""
    region = refusal.region or refusal.headers.get("x-amz-bucket-region", "")
    if not region:
        from urllib.parse import urlsplit

        host = urlsplit(refusal.headers.get("location", "")).hostname or ""
        found = _IN_HOST.search(host) if is_aws_host(host) else None
        region = found[1] if found else ""
    return region if _NAME.fullmatch(region) else ""


def clock_skew(answer: HttpResponse, refusal: ErrorAnswer, now: float, skew: float) -> float:
    """Return the seconds that the endpoint's clock is ahead; ``skew`` where the refusal has other reasons.

    The refusal of a HEAD has no code, only the time of the endpoint.
    """
    if refusal.code not in ("RequestTimeTooSkewed", "403"):
        return skew
    there = server_time(answer)
    if not there or abs(there - now - skew) <= _TOLERATED:
        return skew
    return there - now
