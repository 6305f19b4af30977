"""Ranged reads of a download: their requests, and answers of another range than was asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aios3sync.errors import StoreError
from aios3sync.store.boto import results
from aios3sync.store.protocol import HeadResult
from aios3sync.store.s3.errors import InvalidAnswerError
from aios3sync.store.wire import responses
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.request_builder import RequestBuilder
from aios3sync.store.wire.requests import MAX_OBJECT, InvalidRequestError
from aios3sync.store.wire.signing import HeadWriter
from aios3sync.store.wire.sigv4 import Credentials, Signer, moment
from aios3sync.store.wire.store import WireStore
from aios3sync.testing.http_server import canned_server, error_body

ETAG = "d41d8cd98f00b204e9800998ecf8427e-12"


def head_of(builder: RequestBuilder, etag: str, start: int, length: int | None) -> bytes:
    writer = HeadWriter(Signer(Credentials("key", "secret"), "r"), "host", "/b/", "agent")
    return writer.head(builder.get("a key", start, length, etag), moment(1_700_000_000))


def test_requests_of_one_version_are_those_of_any_other_read(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = RequestBuilder(b"k" * 32, "requester")
    heads = [head_of(builder, ETAG, start, 100) for start in (0, 100)]
    monkeypatch.setattr("aios3sync.store.wire.request_builder._is_plain_etag", lambda _: False)
    assert heads == [head_of(builder, ETAG, start, 100) for start in (0, 100)]
    assert b"if-match:" + ETAG.encode() in heads[0]
    assert b"range:bytes=100-199" in heads[1]


def test_an_etag_cannot_add_headers() -> None:
    with pytest.raises(InvalidRequestError):
        RequestBuilder().get("key", 0, 5, "e\r\nx-amz-acl: public-read")


def test_an_answer_is_bounded_by_the_range() -> None:
    builder = RequestBuilder()
    assert builder.get("key", 0, 100 * 2**20, ETAG).max_answer == 100 * 2**20
    assert builder.get("key", 0, 5, ETAG).max_answer == 16 * 2**20
    assert builder.get("key", 0, None).max_answer == MAX_OBJECT


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("bytes 0-4/100", b"01234"),
        ("bytes 11-15/100", b"12345"),
        ("bytes 10-15/100", b"012345"),
        ("bytes */100", b""),
        ("10-14/100", b"01234"),
    ],
)
def test_another_range_is_refused(header: str, body: bytes) -> None:
    facts = {b"content-range": header.encode(), b"etag": b'"e"', b"content-length": b"5"}
    with pytest.raises(InvalidAnswerError):
        responses.get_result(HttpResponse(206, facts, body), 10, 5)


@pytest.mark.parametrize(("header", "body"), [("bytes 0-4/100", b"01234"), ("bytes 10-15/100", b"012345")])
def test_another_range_is_refused_by_botocore_too(header: str, body: bytes) -> None:
    with pytest.raises(ValueError, match="another range"):
        results.get_result({"ContentRange": header}, body, 10, 5)


def test_the_range_that_was_asked_for_is_taken() -> None:
    facts = {b"content-range": b"bytes 10-14/100", b"etag": b'"e"'}
    body, head = responses.get_result(HttpResponse(206, facts, b"01234"), 10, 5)
    assert (body, head.size, head.etag) == (b"01234", 100, "e")


@pytest.mark.parametrize(
    ("header", "body", "expected", "size"),
    [
        ("bytes 4-8/11", b"o wor", b"o wor", 11),  # rclone serve s3: the range, with a 200
        ("", b"hello world", b"o wor", 11),
        ("bytes 0-10/11", b"hello world", b"o wor", 11),
        ("bytes 4-8/11", b"hello world", b"o wor", 11),  # the header says one thing, the length the other
        ("nonsense", b"hello world", b"o wor", 11),
    ],
)
def test_a_range_with_status_200_is_what_its_length_says(
    header: str, body: bytes, expected: bytes, size: int
) -> None:
    facts = {b"etag": b'"e"'} | ({b"content-range": header.encode()} if header else {})
    result = responses.get_result(HttpResponse(200, facts, body), 4, 5)
    assert (result.body, result.head.size) == (expected, size)


async def get(store: WireStore, start: int) -> HeadResult:
    body, head = await store.get("key", start=start, length=5)
    assert body == b""
    return head


async def read_into(store: WireStore, start: int) -> HeadResult:
    size, head = await store.read_into("key", memoryview(bytearray(5)), start=start)
    assert size == 0
    return head


@pytest.mark.parametrize("read", [get, read_into])
async def test_a_refused_range_is_not_asked_for_again(
    opened: Callable[..., Any], read: Callable[[WireStore, int], Awaitable[HeadResult]]
) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        for start in (10, 1000):
            server.will(status=416, body=error_body("InvalidRange"))
            server.will(headers={"Content-Length": "10", "ETag": '"e"'})
            head = await read(wire.store, start)
            assert (head.size, head.etag) == (10, "e")
        server.will(status=416, body=error_body("InvalidRange"))
        server.will(headers={"Content-Length": "10", "ETag": '"e"'})
        with pytest.raises(StoreError) as refused:
            await read(wire.store, 9)
        assert refused.value.status == 416
        assert [request.method for request in server.requests] == ["GET", "HEAD"] * 3


async def test_a_range_of_no_bytes_is_a_head(opened: Callable[..., Any]) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        server.will(headers={"Content-Length": "10", "ETag": '"e"'})
        placed, head = await wire.store.read_into("key", memoryview(bytearray()), start=3)
        assert (placed, head.size) == (0, 10)
        assert [request.method for request in server.requests] == ["HEAD"]
