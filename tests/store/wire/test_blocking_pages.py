"""Pages over a plain connection: those of a store; whatever is out of the ordinary is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aios3sync.concurrency import in_thread
from aios3sync.options import ConnectOptions
from aios3sync.store.protocol import ListPage
from aios3sync.store.wire.blocking_endpoint import BlockingEndpoint, NotPlainError
from aios3sync.store.wire.blocking_pages import BlockingPages
from aios3sync.testing.http_server import canned_server, error_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.store.wire.conftest import Authority

ENTRY = (
    "<Contents><Key>{}</Key><LastModified>2026-11-02T03:04:05.678Z</LastModified>"
    '<ETag>"0cc175b9c0f1b6a831c399e269772661"</ETag><Size>1</Size></Contents>'
)
"""As AWS writes it."""


def document(*keys: str, token: str = "") -> bytes:
    """One page of ListObjectsV2."""
    entries = "".join(map(ENTRY.format, keys))
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    truncated = "true" if token else "false"
    return (
        f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>"
        f"{more}{entries}</ListBucketResult>"
    ).encode()


def keys_of(page: ListPage) -> list[str]:
    return [entry.key for entry in page.entries]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain keys of the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def one_page(options: ConnectOptions) -> ListPage:
    pages = BlockingPages(BlockingEndpoint(options, "bkt"))
    try:
        pages.ask("p/", None)
        return pages.answer()
    finally:
        pages.close()


async def test_a_page_is_that_of_a_store(opened: Callable[..., Any]) -> None:
    """The same request but for its moment and its user agent, and the same page."""
    async with canned_server() as server, opened(server.url) as connected:
        server.judge = lambda _: (200, document("p/a", "p/b%2B%C3%A9", token="t"))
        whole = await connected.store.list_page("p/")
        options = ConnectOptions(endpoint_url=server.url, region="eu-central-1")
        page = await in_thread(one_page, options)
        first, second = server.requests
    assert page == whole
    assert keys_of(page) == ["p/a", "p/b+é"]
    assert page.next_token == "t"
    assert second.path == first.path
    assert second.headers.keys() == first.headers.keys()


async def test_pages_follow_on_one_connection() -> None:
    def both(options: ConnectOptions) -> list[ListPage]:
        pages = BlockingPages(BlockingEndpoint(options, "bkt"), "requester")
        found = []
        for token in (None, "t"):
            pages.ask("p/", token)
            found.append(pages.answer())
        pages.close()
        return found

    async with canned_server() as server:
        server.will(200, document("p/a", token="t"))
        server.will(200, document("p/b"))
        found = await in_thread(both, ConnectOptions(endpoint_url=server.url))
        first, second = server.requests
    assert [keys_of(page) for page in found] == [["p/a"], ["p/b"]]
    assert "continuation-token" not in first.path
    assert "continuation-token=t" in second.path
    assert first.headers["x-amz-request-payer"] == "requester"


async def test_an_answer_in_chunks() -> None:
    body = document("p/a")
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"
    async with canned_server() as server:
        server.will(200, chunks, {"Content-Length": "", "Transfer-Encoding": "chunked"})
        page = await in_thread(one_page, ConnectOptions(endpoint_url=server.url))
    assert keys_of(page) == ["p/a"]


ODD: dict[str, dict[str, Any]] = {
    "a refusal": {"status": 403, "body": error_body("AccessDenied")},
    "a redirect": {"status": 301, "body": error_body("PermanentRedirect")},
    "too busy": {"status": 503, "body": error_body("SlowDown")},
    "an error in a success": {"body": error_body("InternalError")},
    "a page without its end": {"body": b"<ListBucketResult></ListBucketResult>"},
    "a truncated page without a token": {
        "body": b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
    },
    "no XML": {"body": b"<html>"},
    "no body": {"body": b""},
    "a part of a body": {"body": b"<ListBucketResult>", "headers": {"Content-Length": "100"}, "close": True},
    "a body without a length": {"body": document("p/a"), "headers": {"Content-Length": ""}, "close": True},
    "another answer after it": {"body": document() + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
    "no answer": {"drop": True},
    "an answer that never comes": {"hang": True},
}


@pytest.mark.parametrize("case", ODD)
async def test_an_odd_answer_is_an_error(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios3sync.store.wire.blocking_connection._PATIENCE_S", 0.3)
    script = dict(ODD[case])
    if case == "another answer after it":
        script["headers"] = {"Content-Length": str(len(document()))}
    async with canned_server() as server:
        server.will(**script)
        with pytest.raises((OSError, ValueError)):
            await in_thread(one_page, ConnectOptions(endpoint_url=server.url))


async def test_an_endless_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios3sync.store.wire.plain_answer.MAX_XML", 100)
    async with canned_server() as server:
        server.will(200, document("p/a"))
        with pytest.raises(NotPlainError, match="too long"):
            await in_thread(one_page, ConnectOptions(endpoint_url=server.url))


@pytest.mark.parametrize(
    ("options", "variables", "bucket"),
    [
        ({"anonymous": True}, {}, "bkt"),
        ({"lane": "boto"}, {}, "bkt"),
        ({}, {"AWS_ACCESS_KEY_ID": ""}, "bkt"),
        ({}, {"AWS_ROLE_ARN": "arn:aws:iam::1:role/r"}, "bkt"),
        ({}, {"AWS_NEW_SETTING": "1"}, "bkt"),
        ({}, {"HTTP_PROXY": "http://proxy:1"}, "bkt"),
        ({"region": "eu-central-1"}, {}, "bkt--euc1-az1--x-s3"),
        ({"region": "eu-central-1"}, {}, "arn:aws:s3:eu-central-1:123456789012:accesspoint/a"),
    ],
    ids=str,
)
def test_what_is_not_plain_opens_no_connection(
    options: dict[str, Any], variables: dict[str, str], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr("socket.create_connection", connect)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if "region" not in options:
        options = {**options, "endpoint_url": "http://127.0.0.1:9"}
    with pytest.raises(NotPlainError):
        BlockingPages(BlockingEndpoint(ConnectOptions(**options), bucket))


async def test_a_certificate_is_checked(authority: Authority) -> None:
    async with canned_server(authority.server) as server:
        server.judge = lambda _: (200, document("p/a"))
        trusting = ConnectOptions(endpoint_url=server.url, ca_bundle=str(authority.bundle))
        assert keys_of(await in_thread(one_page, trusting)) == ["p/a"]
        with pytest.raises(OSError, match=r"(?i)certificate"):
            await in_thread(one_page, ConnectOptions(endpoint_url=server.url))


def test_an_endpoint_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match="refused"):
        one_page(ConnectOptions(endpoint_url="http://127.0.0.1:1"))
