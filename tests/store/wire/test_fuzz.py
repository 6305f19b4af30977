"""Whatever an endpoint sends: a value of the seam or a StoreError, and never anything else."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from aios3sync.core.entries import TargetEntry
from aios3sync.store.s3.errors import InvalidAnswerError
from aios3sync.store.wire import responses, xml_results
from aios3sync.store.wire.http1 import Connection, ExchangeError
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.list_xml import list_page, parsed_entries, plain_entries

if TYPE_CHECKING:
    from collections.abc import Sequence

ENTRY = (
    b"<Contents><Key>a%20b</Key><LastModified>2026-11-02T03:04:05.678Z</LastModified>"
    b"<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>5</Size>"
    b"<StorageClass>STANDARD</StorageClass></Contents>"
)
PAGE = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>%s%s"
    b"<CommonPrefixes><Prefix>p%%2F</Prefix></CommonPrefixes></ListBucketResult>"
) % (ENTRY, ENTRY.replace(b"5", b"7"))
DELETED = (
    b"<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
)
ERROR = b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>r</Region></Error>"

RARE = [
    b"<CopyObjectResult><ETag>&quot;e&quot;</ETag></CopyObjectResult>",
    b"<CompleteMultipartUploadResult><ETag>e-2</ETag></CompleteMultipartUploadResult>",
    b"<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>",
    b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    (
        b"<AccessControlPolicy><AccessControlList><Grant><Grantee><URI>u/AllUsers</URI></Grantee>"
        b"<Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"
    ),
    (
        b"<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker>"
        b"<Part><PartNumber>1</PartNumber><ETag>e</ETag><Size>5</Size></Part></ListPartsResult>"
    ),
    (
        b"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>%41</NextKeyMarker>"
        b"<EncodingType>url</EncodingType><Upload><Key>%41</Key><UploadId>i</UploadId>"
        b"<Initiated>2026-11-02T03:04:05.678Z</Initiated></Upload></ListMultipartUploadsResult>"
    ),
    (
        b"<ListVersionsResult><IsTruncated>false</IsTruncated><Version><Key>k</Key><VersionId>v</VersionId>"
        b"<IsLatest>true</IsLatest><LastModified>2026-11-02T03:04:05.678Z</LastModified><Size>5</Size></Version>"
        b"<DeleteMarker><Key>k</Key><IsLatest>false</IsLatest></DeleteMarker></ListVersionsResult>"
    ),
]


@st.composite
def damaged(draw: st.DrawFn, corpus: Sequence[bytes]) -> bytes:
    """One of the corpus: cut, doubled, reordered, overwritten, or replaced by something else."""
    text = bytearray(draw(st.sampled_from(corpus)))
    for _ in range(draw(st.integers(0, 4))):
        start, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        match draw(st.sampled_from(["cut", "double", "swap", "overwrite", "insert"])):
            case "cut":
                del text[start:end]
            case "double":
                text[end:end] = text[start:end]
            case "swap":
                text = text[end:] + text[start:end] + text[:start]
            case "overwrite":
                text[start:end] = draw(st.binary(max_size=8))
            case _:
                tokens = [b"<", b">", b"&", b"&x;", b"<!DOCTYPE x>", b"<!--", b"\x00", b"<Contents>", b"\xff"]
                text[start:start] = draw(st.sampled_from(tokens))
    return bytes(text)


BODIES = damaged([PAGE, DELETED, ERROR, b""]) | st.binary(max_size=60)
NAMES = [
    *(b"etag", b"content-length", b"content-range", b"last-modified", b"content-encoding", b"date"),
    *(b"x-amz-meta-a", b"retry-after", b"content-type", b"x-amz-server-side-encryption"),
]
VALUES = [b"12", b"bytes 0-1/2", b"Wed, 21 Oct 2026 07:28:00 GMT", b"Mon, 99 Foo 99999 99:99:99"]
HEADERS = st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=30) | st.sampled_from(VALUES))


@given(BODIES)
@settings(max_examples=400)
@example(PAGE)
@example(PAGE + PAGE)
@example(PAGE.replace(ENTRY, ENTRY * 2 + ENTRY[1:] + ENTRY))
@example(b"<!-- " + PAGE + b" -->")
@example(PAGE.replace(ENTRY, b"<!--" + ENTRY + b"-->"))
def test_a_page_is_what_the_parser_says_or_no_page(body: bytes) -> None:
    try:
        page = list_page(body, None)
    except InvalidAnswerError:
        return
    assert all(type(entry) is TargetEntry and entry.key for entry in page.entries)
    _, fields = parsed_entries(body)
    assert len(fields) == len(page.entries)


@given(BODIES)
@settings(max_examples=400)
def test_the_quick_way_reads_what_the_parser_reads(body: bytes) -> None:
    try:
        quick = plain_entries(body)
        parsed = parsed_entries(body)
    except InvalidAnswerError:
        return
    if quick is not None:
        assert quick[1] == parsed[1]
        assert quick[0][:2] == parsed[0][:2]


def test_the_common_form_is_read_by_the_quick_parser() -> None:
    quick = plain_entries(PAGE)
    assert quick is not None
    head, entries = parsed_entries(PAGE)
    assert quick[1] == entries
    assert quick[0][:2] == head[:2]
    assert [entry.key for entry in list_page(PAGE, None).entries] == ["a b", "a b"]
    assert list_page(PAGE, None).prefixes == ["p/"]


@given(st.integers(100, 599), HEADERS, BODIES, st.integers(0, 5), st.none() | st.integers(1, 5))
@settings(max_examples=300)
def test_heads_and_errors(
    status: int, headers: dict[bytes, bytes], body: bytes, start: int, length: int | None
) -> None:
    answer = HttpResponse(status, headers, body)
    facts = responses.error_answer(answer)
    assert facts.code
    assert facts.code.isprintable()
    responses.hidden_error(answer)
    responses.server_time(answer)
    for parse in (
        responses.put_result,
        responses.head_result,
        xml_results.delete_errors,
        lambda whole: responses.get_result(whole, start, length),
    ):
        with suppress(InvalidAnswerError):
            parse(answer)


@given(damaged(RARE), HEADERS)
@settings(max_examples=400)
@example(RARE[-1], {})
def test_rare_answers(body: bytes, headers: dict[bytes, bytes]) -> None:
    answer = HttpResponse(200, headers, body)
    for parse in (
        xml_results.copied,
        xml_results.completed,
        xml_results.upload_id,
        xml_results.granted,
        xml_results.versioning_status,
        xml_results.uploads_page,
        lambda whole: xml_results.parts_page(whole, 0),
        lambda whole: xml_results.version_page(whole, ("k", "v")),
    ):
        with suppress(InvalidAnswerError):
            parse(answer)


ANSWERS = [
    b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "x"\r\n\r\nhello',
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    b"HTTP/1.1 301 Moved\r\nLocation: x\r\nContent-Length: 2\r\n\r\nno",
]


class Line:
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        self.closing = False

    def write(self, data: bytes) -> None:
        return

    def get_extra_info(self, name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing


@given(damaged(ANSWERS), st.lists(st.integers(1, 40), max_size=8), st.booleans(), st.booleans())
@settings(max_examples=400, deadline=None)
@example(ANSWERS[0] * 2, [], False, False)
@example(ANSWERS[1] * 2, [1] * 8, False, True)
def test_the_connection(received: bytes, cuts: list[int], is_head: bool, with_error: bool) -> None:
    async def converse() -> HttpResponse | None:
        gone: list[Any] = []
        connection = Connection(lambda _: None, gone.append)
        line = Line()
        connection.connection_made(line)  # type: ignore[arg-type]
        asking = connection.exchange(b"GET / HTTP/1.1\r\n\r\n", b"", is_head=is_head, max_body=1000)
        waiting = asking.send(None)
        assert waiting is not None
        rest = received
        for size in cuts:
            connection.data_received(rest[:size]) if rest[:size] else None
            rest = rest[size:]
        if rest:
            connection.data_received(rest)
        connection.connection_lost(ConnectionResetError() if with_error else None)
        assert gone == [connection]
        assert not connection.usable
        with suppress(ExchangeError):
            try:
                asking.send(None)
            except StopIteration as finished:
                answer: HttpResponse = finished.value
                return answer
            raise AssertionError("still waiting")
        return None

    answer = asyncio.run(converse())
    if answer is not None:
        assert 200 <= answer.status <= 999
        assert len(answer.body) <= 1000
        assert not (is_head and answer.body)
