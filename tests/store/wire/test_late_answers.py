"""A proxy takes bodies at once and delivers them slowly: no answer is given up; on a virtual clock."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from hashlib import md5
from typing import TYPE_CHECKING, Any

import pytest
from anyio.lowlevel import checkpoint

from aios3sync.errors import UnavailableError
from aios3sync.store.protocol import PutOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MIB = 2**20
BODY = bytes(MIB)
MD5 = md5(BODY)
LIMIT = 60.0
ANSWER = f'HTTP/1.1 200 OK\r\nETag: "{MD5.hexdigest()}"\r\nContent-Length: 0\r\n\r\n'.encode()


class Proxy:
    """Takes each body as fast as it comes; answers one when the test says so, in the order of arrival."""

    def __init__(self) -> None:
        self.taken = 0
        self.waiting: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        self.arrived = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"100-continue" in head:
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await reader.readexactly(MIB)
                self.taken += 1
                self.waiting.put_nowait(writer)
                self.arrived.set()
        writer.close()

    async def has_taken(self, number: int) -> None:
        while self.taken < number:
            self.arrived.clear()
            await self.arrived.wait()

    def answer(self) -> None:
        self.waiting.get_nowait().write(ANSWER)


@asynccontextmanager
async def proxy_at() -> AsyncIterator[tuple[Proxy, str]]:
    proxy = Proxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        yield proxy, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


class Clock:
    """The clock of the running loop, which jumps when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        loop = asyncio.get_running_loop()
        true = loop.time
        monkeypatch.setattr(loop, "time", lambda: true() + self.ahead)

    async def advance(self, seconds: int) -> None:
        for _ in range(seconds):
            self.ahead += 1.0
            for _ in range(5):  # what is due runs, and what that wakes
                await checkpoint()


def upload(wire: Any, transport: str, number: int) -> asyncio.Task[Any]:
    store = wire.boto if transport == "boto" else wire.store
    part = store.put_part("key", "id", number, BODY, PutOptions(), md5=MD5.digest())
    return asyncio.create_task(part)


@pytest.mark.parametrize("transport", ["wire", "boto"])
async def test_what_still_arrives_is_not_given_up(
    opened: Any, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    """Twelve bodies, of which one is answered every half minute: the last waits six minutes."""
    async with proxy_at() as (proxy, url), opened(url, read_timeout=LIMIT) as wire:
        clock = Clock(monkeypatch)
        uploads = [upload(wire, transport, number) for number in range(1, 13)]
        await proxy.has_taken(12)
        for answered in range(1, 13):
            await clock.advance(30)
            assert sum(one.done() for one in uploads) == answered - 1
            proxy.answer()
            await asyncio.wait([one for one in uploads if not one.done()], return_when="FIRST_COMPLETED")
        await asyncio.gather(*uploads)
        assert proxy.taken == 12


@pytest.mark.parametrize("transport", ["wire", "boto"])
async def test_an_endpoint_that_falls_silent_is_given_up_in_time(
    opened: Any, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    """At a MiB in four seconds the second body is due four seconds later: it gets those and the limit."""
    async with proxy_at() as (proxy, url), opened(url, read_timeout=LIMIT) as wire:
        clock = Clock(monkeypatch)
        first = upload(wire, transport, 1)
        await proxy.has_taken(1)
        await clock.advance(4)
        proxy.answer()
        await first
        second = upload(wire, transport, 2)
        await proxy.has_taken(2)
        await clock.advance(int(LIMIT) + 2)
        assert not second.done()
        await clock.advance(8)
        with pytest.raises(UnavailableError, match="no answer in time"):
            await asyncio.wait_for(second, 5)
