"""Ranges read from the socket into a buffer: no byte is lost, doubled, or taken from what follows."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
from anyio import Event, create_task_group
from anyio.lowlevel import checkpoint

from aios3sync.store.s3.errors import InvalidAnswerError
from aios3sync.store.wire import responses
from aios3sync.store.wire.http1 import ExchangeError
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.pool import Limits, Origin, Pool

if TYPE_CHECKING:
    from anyio.abc import SocketStream

SIZE = 3 * 1024 * 1024 + 5
BODY = (bytes(range(256)) * (SIZE // 256 + 1))[:SIZE]
HEAD = b"GET /k HTTP/1.1\r\nhost: h\r\n\r\n"
PARTIAL = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-%d/%d\r\n" % (SIZE - 1, SIZE)
FRAMED = PARTIAL + b"Content-Length: %d\r\n" % SIZE


async def request_of(stream: SocketStream) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += await stream.receive()


async def read(pool: Pool, buffer: memoryview, **how: Any) -> HttpResponse:
    usual: dict[str, Any] = {"idempotent": True, "is_head": False, "max_body": SIZE}
    return await pool.exchange(HEAD, b"", **(usual | how), into=buffer)


class Answering:
    """A server that sends the same pieces for every request of a connection."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.connections = 0

    async def __call__(self, stream: SocketStream) -> None:
        self.connections += 1
        while True:
            await request_of(stream)
            for piece in self.pieces:
                await stream.send(piece)
                await checkpoint()


@pytest.mark.parametrize(
    "pieces",
    [
        (FRAMED + b"\r\n" + BODY,),
        (FRAMED + b"\r\n", BODY),
        (FRAMED + b"\r\n" + BODY[:100], BODY[100:-1], BODY[-1:]),
        (FRAMED[:30], FRAMED[30:] + b"\r\n", BODY[:1], BODY[1:70_000], BODY[70_000:]),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + FRAMED + b"\r\n", BODY),
    ],
)
async def test_a_body_is_placed_and_the_connection_used_again(
    raw_server: Any, pieces: tuple[bytes, ...]
) -> None:
    server = Answering(*pieces)
    async with raw_server(server) as port:
        pool = Pool(Origin("127.0.0.1", port, None), Limits(4))
        for _ in range(3):
            buffer = bytearray(SIZE)
            answer = await read(pool, memoryview(buffer))
            assert (answer.status, answer.body, answer.placed) == (206, b"", SIZE)
            assert buffer == BODY
        assert server.connections == 1
        await pool.aclose()


@pytest.mark.parametrize(
    ("head", "framed"),
    [
        (PARTIAL + b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, BODY)),
        (FRAMED.replace(b"206 Partial Content", b"200 OK") + b"\r\n", BODY),
        (PARTIAL + b"Content-Length: %d\r\n\r\n" % (SIZE - 1), BODY[:-1]),
    ],
)
async def test_any_other_body_is_parsed(raw_server: Any, head: bytes, framed: bytes) -> None:
    async with raw_server(Answering(head, framed)) as port:
        pool = Pool(Origin("127.0.0.1", port, None), Limits(4))
        buffer = bytearray(SIZE)
        answer = await read(pool, memoryview(buffer))
        assert answer.placed == 0
        assert answer.body in (BODY, BODY[:-1])
        assert buffer == bytes(SIZE)
        await pool.aclose()


@pytest.mark.parametrize(
    ("head", "after"), [(b"Connection: close\r\n\r\n", b""), (b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n")]
)
async def test_a_connection_that_ends_or_says_more_is_not_used_again(
    raw_server: Any, head: bytes, after: bytes
) -> None:
    server = Answering(FRAMED + head, BODY + after)
    async with raw_server(server) as port:
        pool = Pool(Origin("127.0.0.1", port, None), Limits(4))
        buffer = bytearray(SIZE)
        for number in (1, 2):
            await read(pool, memoryview(buffer))
            assert buffer == BODY
            while pool._open:  # what follows is met by the next read of the loop
                await checkpoint()
            assert server.connections == number
        await pool.aclose()


async def test_a_body_that_breaks_off_is_an_error(raw_server: Any) -> None:
    async def serve(stream: SocketStream) -> None:
        await request_of(stream)
        await stream.send(FRAMED + b"\r\n" + BODY[:-1])

    async with raw_server(serve) as port:
        pool = Pool(Origin("127.0.0.1", port, None), Limits(4))
        with pytest.raises(ExchangeError, match="broke") as caught:
            await read(pool, memoryview(bytearray(SIZE)))
        assert caught.value.code == "ConnectionLost"
        await pool.aclose()


async def test_a_silent_body_times_out(raw_server: Any) -> None:
    async def serve(stream: SocketStream) -> None:
        await request_of(stream)
        await stream.send(FRAMED + b"\r\n" + BODY[:-1])
        await stream.receive()

    async with raw_server(serve) as port:
        pool = Pool(Origin("127.0.0.1", port, None), Limits(4, read=0.05))
        with pytest.raises(ExchangeError, match="in time"):
            await read(pool, memoryview(bytearray(SIZE)))
        await pool.aclose()


async def test_nothing_is_written_after_a_cancellation(raw_server: Any) -> None:
    half = SIZE // 2
    go_on, reached = Event(), Event()

    async def serve(stream: SocketStream) -> None:
        await request_of(stream)
        await stream.send(FRAMED + b"\r\n" + BODY[:half])
        reached.set()
        await go_on.wait()
        await stream.send(BODY[half:])

    async with raw_server(serve) as port:
        pool = Pool(Origin("127.0.0.1", port, None), Limits(4))
        buffer = bytearray(SIZE)
        async with create_task_group() as group:
            group.start_soon(read, pool, memoryview(buffer))
            await reached.wait()
            while not buffer[half - 1]:
                await checkpoint()
            group.cancel_scope.cancel()
        buffer[:] = bytes(SIZE)
        go_on.set()
        while pool._open:
            await checkpoint()
        assert buffer == bytes(SIZE)
        await pool.aclose()


async def test_a_body_over_tls(raw_server: Any, authority: Any) -> None:
    from anyio.streams.tls import TLSStream

    async def serve(stream: SocketStream) -> None:
        encrypted = await TLSStream.wrap(stream, server_side=True, ssl_context=authority.server)
        for _ in range(2):
            received = b""
            while b"\r\n\r\n" not in received:
                received += await encrypted.receive()
            await encrypted.send(FRAMED + b"\r\n" + BODY)
        await encrypted.receive()

    context = ssl.create_default_context(cafile=authority.bundle)
    async with raw_server(serve) as port:
        pool = Pool(Origin("127.0.0.1", port, context), Limits(4))
        for _ in range(2):
            buffer = bytearray(SIZE)
            assert (await read(pool, memoryview(buffer))).placed == SIZE
            assert buffer == BODY
            assert len(pool._open) == 1
        await pool.aclose()


@pytest.mark.parametrize("header", ["bytes 0-4/100", "10-14/100", "bytes */100"])
def test_another_range_is_refused(header: str) -> None:
    answer = HttpResponse(206, {b"content-range": header.encode(), b"etag": b'"e"'}, b"", placed=5)
    with pytest.raises(InvalidAnswerError):
        responses.range_read(answer, memoryview(bytearray(5)), 10)


def test_the_facts_of_a_placed_range_are_those_of_its_head() -> None:
    facts = {b"content-range": b"bytes 10-14/100", b"etag": b'"e"', b"content-length": b"5"}
    size, head = responses.range_read(HttpResponse(206, facts, b"", 5), memoryview(bytearray(5)), 10)
    assert (size, head.size, head.etag) == (5, 100, "e")


def test_a_whole_object_in_answer_to_a_range_is_cut() -> None:
    buffer = bytearray(3)
    size, head = responses.range_read(
        HttpResponse(200, {b"etag": b'"e"'}, b"0123456789"), memoryview(buffer), 4
    )
    assert (size, bytes(buffer), head.size) == (3, b"456", 10)
