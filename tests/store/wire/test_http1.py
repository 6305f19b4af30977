"""Connections and their pool, against servers that do what no sane server does."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from anyio import BrokenResourceError, EndOfStream, Event, create_task_group, fail_after, move_on_after, sleep
from anyio.lowlevel import checkpoint

from aios3sync.store.body_progress import watched
from aios3sync.store.wire.http1 import MAX_HEAD, ExchangeError
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.pool import Limits, Origin, Pool
from aios3sync.testing.http_server import canned_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from anyio.abc import SocketStream

HEAD = b"GET /k HTTP/1.1\r\nhost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def pool_at(
    port: int, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, **limits: Any
) -> AsyncIterator[Pool]:
    pool = Pool(Origin(host, port, tls), Limits(**({"connections": 4} | limits)))
    try:
        yield pool
    finally:
        await pool.aclose()
    assert_empty(pool)


def assert_empty(pool: Pool) -> None:
    """No socket, no half-counted connection, no waiting request."""
    assert (pool._open, pool._idle, pool._opening, list(pool._waiting)) == (set(), [], 0, [])


async def ask(pool: Pool, head: bytes = HEAD, body: bytes = b"", **how: Any) -> HttpResponse:
    usual: dict[str, Any] = {"idempotent": True, "is_head": False, "max_body": 2**20}
    return await pool.exchange(head, body, **(usual | how))


async def request_of(stream: SocketStream) -> bytes:
    """The next head; tests send no bodies unless they say so."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += await stream.receive()
    return received


async def drained(stream: SocketStream) -> None:
    try:
        while True:
            await stream.receive()
    except (BrokenResourceError, EndOfStream):
        return


def saying(*answers: bytes, close: bool = True) -> Callable[[SocketStream], Any]:
    """Answers each request of a connection with the next bytes, then closes, or waits to be closed."""

    async def serve(stream: SocketStream) -> None:
        for answer in answers:
            await request_of(stream)
            await stream.send(answer)
        if not close:
            await drained(stream)

    return serve


@pytest.mark.parametrize(
    ("answer", "body", "reusable"),
    [
        (OK, b"ok", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", b"ok", True),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nETag: no\r\n\r\n",
            b"ok",
            True,
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nETag: a\r\n\r\n" + OK, b"ok", True),
        (OK + OK, b"ok", False),
        (OK + b"H", b"ok", False),
    ],
)
async def test_answers(raw_server: Any, answer: bytes, body: bytes, *, reusable: bool) -> None:
    async with raw_server(saying(answer, answer, close=False)) as port, pool_at(port) as pool:
        result = await ask(pool)
        assert (result.body, b"etag" in result.headers) == (body, False)
        assert bool(pool._idle) == reusable
        assert (await ask(pool)).body == body


async def test_an_answer_may_come_byte_by_byte(raw_server: Any) -> None:
    async def serve(stream: SocketStream) -> None:
        await request_of(stream)
        for byte in OK:
            await stream.send(bytes([byte]))
            await checkpoint()

    async with raw_server(serve) as port, pool_at(port) as pool:
        assert (await ask(pool)).body == b"ok"


async def test_a_body_without_length_ends_with_the_connection(raw_server: Any) -> None:
    whole = b"HTTP/1.1 200 OK\r\nETag: e\r\n\r\nall of it"
    async with raw_server(saying(whole)) as port, pool_at(port) as pool:
        answer = await ask(pool)
        assert (answer.status, answer.body, answer.headers) == (200, b"all of it", {b"etag": b"e"})


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"",
    ],
)
async def test_a_cut_answer_is_never_a_short_one(raw_server: Any, answer: bytes) -> None:
    async with raw_server(saying(answer)) as port, pool_at(port) as pool:
        with pytest.raises(ExchangeError, match="broke") as caught:
            await ask(pool)
        assert caught.value.code == "ConnectionLost"
        assert caught.value.unanswered == (not answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"\x00\xff" * 100,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 banana OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
    ],
)
async def test_a_malformed_answer_costs_its_own_connection_alone(raw_server: Any, answer: bytes) -> None:
    calls = 0

    async def serve(stream: SocketStream) -> None:
        nonlocal calls
        calls += 1
        await saying(OK if calls == 1 else answer, OK, close=False)(stream)

    async with raw_server(serve) as port, pool_at(port) as pool:
        await ask(pool)
        (healthy,) = pool._idle
        pool._idle.clear()
        with pytest.raises(ExchangeError) as caught:
            await ask(pool)
        assert caught.value.code == "InvalidAnswer"
        pool._idle.append(healthy)
        assert (await ask(pool)).body == b"ok"


def endless(start: bytes, piece: bytes) -> Callable[[SocketStream], Any]:
    async def serve(stream: SocketStream) -> None:
        await request_of(stream)
        await stream.send(start)
        try:
            while True:
                await stream.send(piece)
        except BrokenResourceError:
            return

    return serve


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 50_000),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 300_000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"y" * 300_000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 50_000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"y" * 4096 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"y" * 300_000),
    ],
    ids=["headers", "value", "continues", "extension", "trailers", "chunks", "body"],
)
async def test_an_endless_answer_ends_early(raw_server: Any, start: bytes, piece: bytes) -> None:
    async with raw_server(endless(start, piece)) as port, pool_at(port) as pool:
        with pytest.raises(ExchangeError, match="too long") as caught:
            await ask(pool)
        assert caught.value.code == "InvalidAnswer"


async def test_a_long_head_is_measured_before_it_is_read(raw_server: Any) -> None:
    for size, fits in ((MAX_HEAD - 100, True), (MAX_HEAD, False)):
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: " + b"y" * size + b"\r\n\r\nok"
        async with raw_server(saying(answer)) as port, pool_at(port) as pool:
            if fits:
                assert (await ask(pool)).body == b"ok"
            else:
                with pytest.raises(ExchangeError, match="too long"):
                    await ask(pool)


@pytest.mark.parametrize("length", [b"", b"Content-Length: 0\r\n", b"Content-Length: 7\r\n"])
async def test_the_answer_of_a_head_has_no_body(raw_server: Any, length: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + length + b"\r\n"
    async with raw_server(saying(answer, answer, OK, close=False)) as port, pool_at(port) as pool:
        for _ in range(2):
            result = await ask(pool, HEAD.replace(b"GET", b"HEAD"), is_head=True)
            assert (result.status, result.body) == (200, b"")
        assert (await ask(pool)).body == b"ok"


async def test_the_connection_of_a_head_with_a_body_is_not_used_again(raw_server: Any) -> None:
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nbody"
    async with raw_server(saying(answer, OK, close=False)) as port, pool_at(port) as pool:
        assert (await ask(pool, is_head=True)).status == 404
        await checkpoint()
        assert pool._idle == []


async def test_connections_are_kept_and_the_last_one_is_used_first(raw_server: Any) -> None:
    served: list[int] = []

    async def serve(stream: SocketStream) -> None:
        mine = len(served)
        while await request_of(stream):
            served.append(mine)
            await stream.send(OK)

    async with raw_server(serve) as port, pool_at(port) as pool:
        async with create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask, pool)
        kept = list(pool._idle)
        assert len(kept) == 3
        for _ in range(5):
            await ask(pool)
        assert [connection.requests for connection in pool._idle] == [1, 1, 6]
        assert pool._idle == kept


async def test_an_early_answer_stops_the_body(raw_server: Any) -> None:
    async def serve(stream: SocketStream) -> None:
        await request_of(stream)
        await stream.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await drained(stream)

    async with raw_server(serve) as port, pool_at(port) as pool:
        with fail_after(240):
            answer = await ask(pool, body=bytes(200 * 2**20))
        assert (answer.status, answer.body) == (403, b"no")
        assert pool._idle == []


async def test_an_early_answer_is_read_while_the_body_is_not(raw_server: Any) -> None:
    done = Event()

    async def serve(stream: SocketStream) -> None:
        await request_of(stream)
        await sleep(0.05)
        await stream.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await done.wait()

    async with raw_server(serve) as port, pool_at(port) as pool:
        with fail_after(240):
            assert (await ask(pool, body=bytes(50 * 2**20))).status == 403
        done.set()


async def test_a_large_body_waits_for_the_line(raw_server: Any) -> None:
    body = bytes(range(256)) * 4096 * 16
    received = bytearray()

    async def serve(stream: SocketStream) -> None:
        await sleep(0.05)
        while len(received) < len(HEAD) + len(body):
            received.extend(await stream.receive())
        await stream.send(OK)
        await drained(stream)

    async with raw_server(serve) as port, pool_at(port) as pool:
        most = 0
        async with create_task_group() as group:

            async def watch() -> None:
                nonlocal most
                while True:
                    for connection in pool._open:
                        transport = connection._transport
                        most = max(most, transport.get_write_buffer_size() if transport else 0)
                    await sleep(0.001)

            group.start_soon(watch)
            assert (await ask(pool, body=body)).body == b"ok"
            group.cancel_scope.cancel()
        assert 0 < most < 2**20
        assert bytes(received) == HEAD + body
        assert len(pool._idle) == 1


async def test_a_connection_that_was_closed_while_idle_is_no_failure(raw_server: Any) -> None:
    async with raw_server(saying(OK)) as port, pool_at(port) as pool:
        for _ in range(5):
            assert (await ask(pool)).body == b"ok"


def closing_second(counted: list[int]) -> Callable[[SocketStream], Any]:
    """Reads a second request of a connection, and closes without a byte."""

    async def serve(stream: SocketStream) -> None:
        counted.append(0)
        await request_of(stream)
        await stream.send(OK)
        await request_of(stream)

    return serve


async def test_a_request_that_may_repeat_goes_again_once(raw_server: Any) -> None:
    connections: list[int] = []
    async with raw_server(closing_second(connections)) as port, pool_at(port) as pool:
        assert [(await ask(pool)).body for _ in range(3)] == [b"ok"] * 3
        assert len(connections) == 3


async def test_a_request_that_may_not_repeat_is_an_error(raw_server: Any) -> None:
    connections: list[int] = []
    async with raw_server(closing_second(connections)) as port, pool_at(port) as pool:
        await ask(pool)
        with pytest.raises(ExchangeError) as caught:
            await ask(pool, idempotent=False)
        assert (caught.value.code, len(connections)) == ("ConnectionLost", 1)


async def test_a_new_connection_that_is_closed_is_an_error(raw_server: Any) -> None:
    connections = 0

    async def serve(stream: SocketStream) -> None:
        nonlocal connections
        connections += 1
        await request_of(stream)

    async with raw_server(serve) as port, pool_at(port) as pool:
        with pytest.raises(ExchangeError):
            await ask(pool)
        assert connections == 1


async def test_the_second_try_gets_its_place_in_a_full_pool(raw_server: Any) -> None:
    connections: list[int] = []
    async with raw_server(closing_second(connections)) as port, pool_at(port, connections=1) as pool:
        assert [(await ask(pool)).body for _ in range(4)] == [b"ok"] * 4


@pytest.mark.parametrize("limits", [{"read": 0.1}, {"read": 9.0, "total": 0.1}])
async def test_a_silent_endpoint_times_out(raw_server: Any, limits: dict[str, Any]) -> None:
    async def serve(stream: SocketStream) -> None:
        await request_of(stream)
        if "total" in limits:
            for byte in OK * 10:
                await stream.send(bytes([byte]))
                await sleep(0.02)
        await drained(stream)

    async with raw_server(serve) as port, pool_at(port, idle=0.2, **limits) as pool:
        began = time.monotonic()
        with pytest.raises(ExchangeError, match="no answer in time") as caught:
            await ask(pool)
        assert caught.value.code == "Timeout"
        assert time.monotonic() - began > 0.09


async def test_a_slow_endpoint_that_moves_is_waited_for(raw_server: Any) -> None:
    """A byte every 45 seconds of the pool's clock, where silence may last 60."""

    async def serve(stream: SocketStream) -> None:
        await request_of(stream)
        (connection,) = pool._open
        for byte in OK:
            pass_seconds(pool, 45)
            await stream.send(bytes([byte]))
            while connection.quiet and connection.busy:
                await checkpoint()

    async with raw_server(serve) as port, pool_at(port, read=60.0) as pool:
        assert (await ask(pool)).body == b"ok"


async def test_an_unused_connection_is_closed_after_a_while(raw_server: Any) -> None:
    closed = Event()

    async def serve(stream: SocketStream) -> None:
        await saying(OK, close=False)(stream)
        closed.set()

    async with raw_server(serve) as port, pool_at(port, idle=0.05) as pool:
        await ask(pool)
        with fail_after(240):
            await closed.wait()
            while pool._timer is not None:  # it runs once more, and finds nothing
                await checkpoint()
        assert_empty(pool)


async def test_a_handshake_that_does_not_come_times_out(raw_server: Any) -> None:
    context = ssl.create_default_context()
    async with raw_server(drained) as port, pool_at(port, tls=context, connect=0.1) as pool:
        with pytest.raises(ExchangeError, match="no connection in time") as caught:
            await ask(pool)
        assert caught.value.code == "NoConnection"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_refused_connection(unused_tcp_port: int, host: str) -> None:
    async with pool_at(unused_tcp_port, host=host) as pool:
        with pytest.raises(ExchangeError, match="cannot reach the endpoint") as caught:
            await ask(pool)
        assert caught.value.code == "NoConnection"


async def test_a_name_without_address() -> None:
    async with pool_at(80, host="does-not-exist.invalid") as pool:
        with pytest.raises(ExchangeError, match="cannot reach the endpoint") as caught:
            await ask(pool)
        assert caught.value.code == "NoConnection"


async def test_names_are_looked_up(raw_server: Any) -> None:
    async with (
        raw_server(saying(OK, OK, close=False)) as port,
        pool_at(port, host="localhost", connections=8) as pool,
        create_task_group() as group,
    ):
        for _ in range(5):
            group.start_soon(ask, pool)


async def test_the_next_address_is_tried(raw_server: Any) -> None:
    async with raw_server(saying(OK, close=False)) as port, pool_at(port) as pool:
        pool._names._found = ["127.0.0.2", "127.0.0.1"]
        pool._names._until = float("inf")
        pool._names._origin = Origin("two.example", port, None)
        for _ in range(2):
            assert (await ask(pool)).body == b"ok"
            pool._idle.pop().abort()


async def test_more_requests_than_connections_take_turns(raw_server: Any) -> None:
    most = open_now = 0

    async def serve(stream: SocketStream) -> None:
        nonlocal most, open_now
        open_now += 1
        most = max(most, open_now)
        try:
            while await request_of(stream):
                await stream.send(OK)
        finally:
            open_now -= 1

    async with raw_server(serve) as port, pool_at(port, connections=2) as pool:
        async with create_task_group() as group:
            for _ in range(50):
                group.start_soon(ask, pool)
        assert most == 2
        assert len(pool._idle) == 2


@pytest.mark.parametrize("moment", ["connecting", "handshake", "sending", "reading", "waiting"])
async def test_cancellation_leaves_nothing_behind(raw_server: Any, moment: str) -> None:
    reached = Event()
    gone = Event()

    async def serve(stream: SocketStream) -> None:
        if moment == "handshake":
            reached.set()
        elif moment != "sending":
            await request_of(stream)
        reached.set()
        await (sleep(0.2) if moment == "sending" else drained(stream))
        gone.set()

    before = asyncio.all_tasks()
    tls = ssl.create_default_context() if moment == "handshake" else None
    async with raw_server(serve) as port, pool_at(port, tls=tls, connections=1) as pool:
        async with create_task_group() as group:
            body = bytes(64 * 2**20) if moment == "sending" else b""
            group.start_soon(lambda: ask(pool, body=body))
            if moment == "connecting":
                await checkpoint()
            else:
                await reached.wait()
                await checkpoint()
            if moment == "waiting":
                with move_on_after(0.05):
                    await ask(pool)
                assert len(pool._open) == 1
                assert list(pool._waiting) == []
            group.cancel_scope.cancel()
        if moment != "connecting":
            with fail_after(240):
                await gone.wait()
        while pool._open:  # the loop closes the socket in its next turn
            await checkpoint()
        assert_empty(pool)
    await sleep(0.01)
    assert asyncio.all_tasks() <= before


async def test_a_turn_that_is_not_taken_goes_to_the_next(raw_server: Any) -> None:
    release = Event()

    async def serve(stream: SocketStream) -> None:
        await request_of(stream)
        await release.wait()
        await stream.send(OK)
        await saying(OK, close=False)(stream)

    async with raw_server(serve) as port, pool_at(port, connections=1) as pool:
        async with create_task_group() as group:
            group.start_soon(ask, pool)
            while not pool._open:
                await checkpoint()
            impatient = await group.start(_cancellable, pool)
            group.start_soon(ask, pool)
            while len(pool._waiting) < 2:
                await checkpoint()
            # Both in one turn of the loop: the turn is given to one who is about to leave.
            pool._wake()
            impatient.cancel()
            release.set()
        assert list(pool._waiting) == []


async def _cancellable(pool: Pool, *, task_status: Any) -> None:
    from anyio import CancelScope

    with CancelScope() as scope:
        task_status.started(scope)
        await ask(pool)


async def test_closing_ends_what_is_under_way(raw_server: Any) -> None:
    async def serve(stream: SocketStream) -> None:
        await drained(stream)

    failures: list[str] = []

    async def failing(pool: Pool) -> None:
        with pytest.raises(ExchangeError) as caught:
            await ask(pool)
        failures.append(caught.value.code)

    async with raw_server(serve) as port, pool_at(port, connections=1) as pool:
        async with create_task_group() as group:
            for _ in range(3):
                group.start_soon(failing, pool)
            while not (len(pool._waiting) == 2 and any(each.busy for each in pool._open)):
                await checkpoint()
            await pool.aclose()
        assert sorted(failures) == ["ConnectionLost", "NoConnection", "NoConnection"]
        with pytest.raises(ExchangeError, match="closed"):
            await ask(pool)


async def test_tls_is_verified(authority: Any) -> None:
    trusting = ssl.create_default_context(cafile=authority.bundle)
    careless = ssl.create_default_context()
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    for server_tls, client_tls, trusted in [
        (authority.server, trusting, True),
        (authority.server, ssl.create_default_context(), False),
        (authority.stranger, trusting, False),
        (authority.stranger, careless, True),
    ]:
        async with canned_server(server_tls) as server:
            port = int(server.url.rpartition(":")[2])
            async with pool_at(port, tls=client_tls) as pool:
                if trusted:
                    assert (await ask(pool)).status == 200
                    assert (await ask(pool, body=b"x" * 10)).status in (200, 400)
                    continue
                with pytest.raises(ExchangeError, match="not trusted") as caught:
                    await ask(pool)
                assert caught.value.code == "Certificate"
                assert server.requests == []


async def test_a_large_body_over_tls(authority: Any) -> None:
    body = bytes(range(256)) * 4096 * 4
    head = b"PUT /k HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with canned_server(authority.server) as server:
        context = ssl.create_default_context(cafile=authority.bundle)
        async with pool_at(int(server.url.rpartition(":")[2]), tls=context) as pool:
            assert (await ask(pool, head, body)).status == 200
            assert server.requests[0].body == body
            assert len(pool._idle) == 1


class Watch:
    """Counts what a transport reports of a body."""

    def __init__(self) -> None:
        self.attempts = self.left = 0

    def begin(self) -> None:
        self.attempts, self.left = self.attempts + 1, 0

    def sent(self, size: int) -> None:
        self.left += size


class SlowReader:
    """A server on a socket with small buffers that takes bytes only when the test says so."""

    def __init__(self) -> None:
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.listener.setblocking(False)
        self.port: int = self.listener.getsockname()[1]
        self.taken = 0

    async def accept(self) -> None:
        self.connection, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        self.connection.setblocking(False)

    async def take(self, size: int) -> None:
        while size:
            chunk = await asyncio.get_running_loop().sock_recv(self.connection, size)
            size -= len(chunk)
            self.taken += len(chunk)

    async def answer(self) -> None:
        await asyncio.get_running_loop().sock_sendall(self.connection, OK)

    def close(self) -> None:
        self.connection.close()
        self.listener.close()


@pytest.fixture
def slow() -> Iterator[SlowReader]:
    reader = SlowReader()
    yield reader
    reader.close()


PUT = b"PUT /k HTTP/1.1\r\n\r\n"
BODY_SIZE = 6 * 2**20
STEP = 512 * 1024


async def step(pool: Pool, slow: SlowReader) -> None:
    """The server takes some more, and the kernel acknowledges it."""
    await slow.take(STEP)
    (connection,) = pool._open
    while connection._left < slow.taken - len(PUT):
        await checkpoint()
        connection.look()


def pass_seconds(pool: Pool, seconds: int) -> None:
    """Seconds of the pool's clock, in which nothing happens."""
    for _ in range(seconds):
        pool._sweep()


@pytest.mark.parametrize("moving", [True, False])
async def test_an_upload_that_moves_never_times_out_and_a_silent_one_does(
    slow: SlowReader, *, moving: bool
) -> None:
    """Time-outs are about silence: six minutes pass, where a request and a silence may take one."""
    async with pool_at(slow.port, read=60.0, total=60.0) as pool:
        upload = asyncio.create_task(ask(pool, PUT, bytes(BODY_SIZE)))
        await slow.accept()
        for _ in range(8):
            await step(pool, slow)
            pass_seconds(pool, 45)
        assert not upload.done()
        if moving:
            await slow.take(BODY_SIZE + len(PUT) - slow.taken)
            await slow.answer()
            assert (await upload).status == 200
        else:
            pass_seconds(pool, 62)
            with pytest.raises(ExchangeError, match="no answer in time"):
                await upload


async def test_bytes_are_counted_as_they_leave_not_when_they_arrived(slow: SlowReader) -> None:
    watch = Watch()
    async with pool_at(slow.port) as pool:
        with watched(watch):
            upload = asyncio.create_task(ask(pool, PUT, bytes(BODY_SIZE)))
        await slow.accept()
        seen = []
        for _ in range(8):
            await step(pool, slow)
            seen.append(watch.left)
            assert slow.taken - len(PUT) <= watch.left < BODY_SIZE, "what waits in this machine has not left"
        assert seen == sorted(set(seen)), "with each step more had left"
        assert not upload.done()
        await slow.take(BODY_SIZE + len(PUT) - slow.taken)
        await slow.answer()
        await upload
    assert watch.attempts == 1


async def test_small_bodies_are_not_watched(raw_server: Any) -> None:
    watch = Watch()
    async with raw_server(saying(OK)) as port, pool_at(port) as pool:
        with watched(watch):
            await ask(pool, PUT, b"x")
    assert (watch.attempts, watch.left) == (0, 0)


@pytest.mark.parametrize("announced", [True, False])
async def test_only_an_announced_end_of_tls_ends_a_body(authority: Any, *, announced: bool) -> None:
    """A body without length ends with the connection, which anyone on the line can cut."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        await writer.drain()
        if announced:
            writer.close()
        else:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=authority.server)
    context = ssl.create_default_context(cafile=authority.bundle)
    async with server, pool_at(server.sockets[0].getsockname()[1], tls=context) as pool:
        if announced:
            assert (await ask(pool)).body == b"all of it"
        else:
            with pytest.raises(ExchangeError, match="broke"):
                await ask(pool)


async def test_a_connection_that_ends_in_the_handshake_is_no_connection(
    raw_server: Any, authority: Any
) -> None:
    async def serve(stream: SocketStream) -> None:
        await stream.receive()

    context = ssl.create_default_context(cafile=authority.bundle)
    async with raw_server(serve) as port, pool_at(port, tls=context) as pool:
        with pytest.raises(ExchangeError, match="cannot reach") as caught:
            await ask(pool)
        assert caught.value.code == "NoConnection"


async def test_a_silent_handshake_times_out(raw_server: Any, authority: Any) -> None:
    context = ssl.create_default_context(cafile=authority.bundle)
    async with raw_server(drained) as port, pool_at(port, tls=context, connect=0.1) as pool:
        with pytest.raises(ExchangeError, match="no connection in time"):
            await ask(pool)
