"""Puts over a plain connection: those of a store; what is not certain is an error."""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from aios3sync.concurrency import in_thread
from aios3sync.options import ConnectOptions
from aios3sync.store.protocol import PutOptions, PutResult, SmallPut
from aios3sync.store.wire.blocking_endpoint import BlockingEndpoint
from aios3sync.store.wire.blocking_puts import BlockingPuts
from aios3sync.testing.http_server import canned_server, error_body

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = b"content"
MD5 = hashlib.md5(BODY, usedforsecurity=False).digest()
ETAG = {"ETag": f'"{MD5.hex()}"'}
OPTIONS = PutOptions("text/plain", metadata={"mtime": "1.5"})


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain keys of the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def put(options: ConnectOptions, *names: str) -> list[PutResult | None]:
    puts = BlockingPuts(BlockingEndpoint(options, "bkt"), 1)
    sha256 = hashlib.sha256(BODY).hexdigest()
    with closing(puts):
        return [
            found for _, found in puts.put_all(SmallPut(name, BODY, OPTIONS, MD5, sha256) for name in names)
        ]


async def test_a_put_is_that_of_a_store(opened: Callable[..., Any]) -> None:
    """The same request but for its moment and its user agent, and the same result."""
    async with canned_server() as server, opened(server.url) as connected:
        for _ in range(2):
            server.will(200, b"", {**ETAG, "x-amz-version-id": "v"})
        whole = await connected.store.put("p/é +", BODY, OPTIONS, md5=MD5)
        options = ConnectOptions(endpoint_url=server.url, region="eu-central-1")
        (result,) = await in_thread(put, options, "p/é +")
        first, second = server.requests
    assert result == whole
    assert (second.method, second.path, second.body) == (first.method, first.path, first.body)
    differing = {"authorization", "x-amz-date", "user-agent"}
    assert {name: value for name, value in second.headers.items() if name not in differing} == {
        name: value for name, value in first.headers.items() if name not in differing
    }
    assert second.headers.keys() == first.headers.keys()


async def test_puts_follow_on_one_connection() -> None:
    async with canned_server() as server:
        results = await in_thread(put, ConnectOptions(endpoint_url=server.url), "a", "b")
        assert server.connections == 1
    assert results == [PutResult(MD5.hex()), PutResult(MD5.hex())]


async def test_an_endpoint_that_ends_its_connections_gets_new_ones() -> None:
    async with canned_server() as server:
        for _ in range(2):
            server.will(200, b"", {**ETAG, "Connection": "close"}, close=True)
        results = await in_thread(put, ConnectOptions(endpoint_url=server.url), "a", "b")
        assert server.connections == 2
    assert results == [PutResult(MD5.hex()), PutResult(MD5.hex())]


@pytest.mark.parametrize("status", [301, 307, 400, 403, 404, 412])
async def test_a_refusal_is_certain(status: int) -> None:
    async with canned_server() as server:
        server.will(status, error_body("AccessDenied"))
        assert await in_thread(put, ConnectOptions(endpoint_url=server.url), "a") == [None]


UNCERTAIN: dict[str, dict[str, Any]] = {
    "too busy": {"status": 503, "body": error_body("SlowDown")},
    "an error of the server": {"status": 500, "body": error_body("InternalError")},
    "an error in a success": {"status": 200, "body": error_body("InternalError"), "headers": ETAG},
    "no ETag": {"status": 200},
    "another ETag": {"status": 200, "headers": {"ETag": '"0cc175b9c0f1b6a831c399e269772661"'}},
    "an ETag of parts": {"status": 200, "headers": {"ETag": f'"{MD5.hex()}-1"'}},
    "encryption whose ETags prove nothing": {
        "status": 200,
        "headers": {**ETAG, "x-amz-server-side-encryption": "aws:kms"},
    },
    "another success": {"status": 204, "headers": ETAG},
    "no HTTP": {"status": 200, "body": b"", "headers": {"Content-Length": "x"}},
    "no answer": {"drop": True},
    "an answer that never comes": {"hang": True},
}


@pytest.mark.parametrize("case", UNCERTAIN)
async def test_what_is_not_certain_is_an_error(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios3sync.store.wire.polled_exchange._SILENCE_S", 0.3)
    async with canned_server() as server:
        server.will(**UNCERTAIN[case])
        with pytest.raises((OSError, ValueError)):
            await in_thread(put, ConnectOptions(endpoint_url=server.url), "a")
