"""Uploads through aioboto3 on a slow line: one that moves never times out, one that stopped does."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

import asyncio
import socket
from hashlib import md5
from typing import TYPE_CHECKING, Any

import aioboto3
import pytest
from anyio.lowlevel import checkpoint

from aios3sync.errors import UnavailableError
from aios3sync.options import ConnectOptions
from aios3sync.store.body_progress import watched
from aios3sync.store.boto import BotoStore, open_client
from aios3sync.store.protocol import PutOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 2**20
STEP = MIB // 2
LIMIT = 60.0


class SlowEndpoint:
    """A server with small buffers that takes bytes only when the test says so."""

    def __init__(self) -> None:
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.loop = asyncio.get_running_loop()

    async def accept(self) -> int:
        """Take a head and let the body come; return how much of the body was taken with it."""
        self.connection, _ = await self.loop.sock_accept(self.listener)
        self.connection.setblocking(False)
        received = b""
        while b"\r\n\r\n" not in received:
            received += await self.loop.sock_recv(self.connection, 65536)
        if b"100-continue" in received:
            await self.loop.sock_sendall(self.connection, b"HTTP/1.1 100 Continue\r\n\r\n")
        return len(received.partition(b"\r\n\r\n")[2])

    async def take(self, size: int) -> None:
        while size > 0:
            size -= len(await self.loop.sock_recv(self.connection, size))

    async def answer(self, etag: str) -> None:
        head = f'HTTP/1.1 200 OK\r\nETag: "{etag}"\r\nContent-Length: 0\r\n\r\n'
        await self.loop.sock_sendall(self.connection, head.encode())

    def close(self) -> None:
        self.connection.close()
        self.listener.close()


class Clock:
    """The clock of the running loop, which jumps when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        loop = asyncio.get_running_loop()
        true = loop.time
        monkeypatch.setattr(loop, "time", lambda: true() + self.ahead)

    async def advance(self, seconds: float) -> None:
        self.ahead += seconds
        for _ in range(10):  # what is due runs, and what that wakes
            await checkpoint()


@pytest.fixture
async def endpoint() -> Any:
    slow = SlowEndpoint()
    yield slow
    slow.close()


class Watch:
    def __init__(self) -> None:
        self.left = 0

    def begin(self) -> None:
        self.left = 0

    def sent(self, size: int) -> None:
        self.left += size


def client_for(url: str) -> Any:
    session = aioboto3.Session(
        aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="secret", region_name="eu-central-1"
    )
    return open_client(ConnectOptions(endpoint_url=url, read_timeout=LIMIT), session)


def sizes_to_take(size: int, taken: int) -> Iterator[int]:
    for left in range(size - taken, 0, -STEP):
        yield min(left, STEP)


@pytest.mark.parametrize("size", [MIB, 12 * MIB])
async def test_an_upload_that_moves_never_times_out(
    endpoint: SlowEndpoint, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """The kernel holds megabytes when aiohttp thinks that all is sent; they take minutes to leave."""
    body, watch = bytes(size), Watch()
    digest = md5(body)
    async with client_for(endpoint.url) as client:
        clock, store = Clock(monkeypatch), BotoStore(client, "bkt")
        with watched(watch):
            upload = asyncio.create_task(
                store.put_part("key", "id", 1, body, PutOptions(), md5=digest.digest())
            )
        taken = await endpoint.accept()
        seen = []
        for step in sizes_to_take(size, taken):
            await endpoint.take(step)
            taken += step
            await clock.advance(LIMIT * 0.75)
            assert not upload.done()
            seen.append(watch.left)
            assert taken - STEP <= watch.left <= size, "what has left is counted, not what was handed over"
        await endpoint.answer(digest.hexdigest())
        assert (await upload).etag == digest.hexdigest()
    assert seen == sorted(seen)
    assert len(set(seen)) > size // STEP // 2
    assert watch.left == size


@pytest.mark.parametrize("steps", [1, 20], ids=["in the body", "in its tail"])
async def test_an_upload_that_stopped_times_out(
    endpoint: SlowEndpoint, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    body = bytes(12 * MIB)
    async with client_for(endpoint.url) as client:
        clock, store = Clock(monkeypatch), BotoStore(client, "bkt")
        upload = asyncio.create_task(
            store.put_part("key", "id", 1, body, PutOptions(), md5=md5(body).digest())
        )
        await endpoint.accept()
        for _ in range(steps):
            await endpoint.take(STEP)
            await clock.advance(1.0)
        for _ in range(int(LIMIT * 20)):  # bytes that leave late begin the wait again
            await clock.advance(1.0)
            if upload.done():
                break
        with pytest.raises(UnavailableError, match="no answer in time"):
            await asyncio.wait_for(upload, 5)


async def test_nothing_is_reported_after_the_answer(
    endpoint: SlowEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The body of a request that was answered early is no progress of anything."""
    body, watch = bytes(3 * MIB), Watch()
    async with client_for(endpoint.url) as client:
        clock, store = Clock(monkeypatch), BotoStore(client, "bkt")
        with watched(watch):
            upload = asyncio.create_task(
                store.put_part("key", "id", 1, body, PutOptions(), md5=md5(body).digest())
            )
        await endpoint.accept()
        await endpoint.take(STEP)
        await endpoint.answer(md5(body).hexdigest())
        await upload
        left = watch.left
        for _ in range(5):
            await clock.advance(1.0)
        assert watch.left == left
