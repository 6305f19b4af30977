"""``Session.open_reader`` over HTTP: cut connections are repeated for their range, changes are noticed."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from hashlib import md5
from typing import TYPE_CHECKING

import pytest

from aios3sync import ObjectReader, PreconditionFailedError, UnavailableError, UsageError, connect
from aios3sync.objects.reader import range_size_for
from aios3sync.testing.http_server import CannedServer, canned_server, error_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MEMORY = 1024 * 1024
RANGE = range_size_for(MEMORY)
BODY = os.urandom(2 * RANGE)
ETAG = f'"{md5(BODY, usedforsecurity=False).hexdigest()}"'


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testsecret")


@asynccontextmanager
async def opened(server: CannedServer) -> AsyncIterator[ObjectReader]:
    async with (
        connect(endpoint_url=server.url, region="us-east-1", memory=MEMORY, max_attempts=3) as session,
        session.open_reader("s3://bucket/a key") as reader,
    ):
        yield reader


def answer(server: CannedServer, start: int, *, cut: bool = False) -> None:
    body = BODY[start : start + RANGE]
    server.will(
        206,
        body[:1000] if cut else body,
        {
            "Content-Length": str(len(body)),
            "Content-Range": f"bytes {start}-{start + RANGE - 1}/{len(BODY)}",
            "ETag": ETAG,
        },
        close=cut,
    )


async def test_a_cut_connection_costs_its_range_alone() -> None:
    async with canned_server() as server:
        answer(server, 0)
        answer(server, RANGE, cut=True)
        answer(server, RANGE)
        async with opened(server) as reader:
            chunks = [chunk async for chunk in reader]
    assert b"".join(chunks) == BODY
    assert reader.verified == "md5"
    last = f"bytes={RANGE}-{2 * RANGE - 1}"
    assert [each.headers["range"] for each in server.requests] == [f"bytes=0-{RANGE - 1}", last, last]
    assert [each.headers.get("if-match") for each in server.requests] == [None, *2 * [ETAG.strip('"')]]


async def test_a_connection_that_is_cut_every_time_is_an_error() -> None:
    async with canned_server() as server:
        answer(server, 0)
        for _ in range(3):
            answer(server, RANGE, cut=True)
        async with opened(server) as reader:
            with pytest.raises(UnavailableError):
                await reader.read()


async def test_an_object_that_was_replaced_is_an_error() -> None:
    async with canned_server() as server:
        answer(server, 0)
        server.will(412, error_body("PreconditionFailed"))
        async with opened(server) as reader:
            with pytest.raises(PreconditionFailedError, match="replaced or deleted while it was read"):
                await reader.read()


async def test_a_url_without_a_key_is_refused() -> None:
    async with connect(endpoint_url="http://127.0.0.1:9") as session:
        with pytest.raises(UsageError, match="names no object"):
            async with session.open_reader("s3://bucket"):
                pytest.fail("it was opened")
