"""Many requests at once without an event loop: how many connections, and how many bytes in flight."""

from __future__ import annotations

import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aios3sync.options import ConnectOptions
from aios3sync.store.protocol import PutOptions, PutResult, SmallPut
from aios3sync.store.wire.blocking_endpoint import BlockingEndpoint
from aios3sync.store.wire.blocking_puts import BlockingPuts

EXCHANGE = "aios3sync.store.wire.polled_exchange"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain keys of the environment, and time for a busy machine."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr("aios3sync.store.wire.blocking_puts._PATIENCE_S", 600)
    monkeypatch.setattr("aios3sync.store.wire.blocking_endpoint._PATIENCE_S", 600)
    monkeypatch.setattr(f"{EXCHANGE}._SILENCE_S", 600)
    monkeypatch.setattr(f"{EXCHANGE}._HARDLY_S", 600)


@dataclass
class Server:
    """An endpoint that holds each request until ``releases`` says so of what is in flight.

    Attributes:
        releases: takes the number of requests that wait for their responses.
        waiting: the bodies in flight.
        most: the most of them that were in flight, and their most bytes.
        stored: all bodies by path.
        connections: that were made.
    """

    releases: Callable[[int], bool] = lambda _: True
    waiting: list[bytes] = field(default_factory=list)
    most: tuple[int, int] = (0, 0)
    stored: dict[str, bytes] = field(default_factory=dict)
    connections: int = 0
    status: int = 200
    changed: threading.Condition = field(default_factory=threading.Condition)
    url: str = ""

    def hold(self, path: str, body: bytes) -> None:
        """Wait until the request may be answered."""
        with self.changed:
            self.stored[path] = body
            self.waiting.append(body)
            self.most = (
                max(self.most[0], len(self.waiting)),
                max(self.most[1], sum(map(len, self.waiting))),
            )
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.releases(len(self.waiting)), 600)
            self.waiting.remove(body)


@contextmanager
def served(server: Server, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Run it until the block ends."""

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            server.connections += 1

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            server.hold(self.path, body)
            self.send_response(server.status)
            self.send_header("ETag", f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    class Listening(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: Any) -> None:
            """A client has closed its connection."""

        def get_request(self) -> tuple[Any, Any]:
            connection, address = super().get_request()
            if tls is None:
                return connection, address
            return tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    with Listening(("127.0.0.1", 0), Answering) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            scheme = "https" if tls else "http"
            server.url = f"{scheme}://127.0.0.1:{listening.server_port}"
            yield server
        finally:
            listening.shutdown()
            thread.join()


def small_put(number: int, size: int) -> SmallPut:
    body = f"{number:05}".encode() * (size // 5)
    md5 = hashlib.md5(body, usedforsecurity=False).digest()
    return SmallPut(f"p/{number}", body, PutOptions(), md5, hashlib.sha256(body).hexdigest())


def put_all(
    server: Server, count: int, most: int, size: int = 5, **options: Any
) -> dict[str, PutResult | None]:
    endpoint = BlockingEndpoint(ConnectOptions(endpoint_url=server.url, **options), "bkt")
    with closing(BlockingPuts(endpoint, most)) as puts:
        found = puts.put_all(small_put(number, size) for number in range(count))
        return {put.key: result for put, result in found}


def expected(count: int, size: int = 5) -> dict[str, PutResult]:
    return {put.key: PutResult(put.md5.hex()) for put in (small_put(n, size) for n in range(count))}


def test_more_connections_are_opened_while_none_is_ready() -> None:
    """The server responds to none before 30 requests wait: far more than are opened at first."""
    started = threading.Event()

    def releases(waiting: int) -> bool:
        if waiting >= 30:
            started.set()
        return started.is_set()

    with served(Server(releases)) as server:
        assert put_all(server, 50, 30) == expected(50)
    assert (server.most[0], server.connections) == (30, 30)
    assert len(server.stored) == 50


def test_no_more_connections_are_opened_than_are_allowed() -> None:
    with served(Server(lambda waiting: waiting == 3 or len(server.stored) > 6)) as server:
        assert put_all(server, 9, 3) == expected(9)
    assert (server.most[0], server.connections) == (3, 3)


def test_an_endpoint_that_is_quick_needs_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{EXCHANGE}._PAUSE_MS", 600_000)
    with served(Server()) as server:
        assert put_all(server, 100, 64) == expected(100)
    assert server.connections <= 4


def test_bytes_in_flight_are_few_until_responses_come_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """At first two bodies; each quick response allows one more."""
    monkeypatch.setattr(f"{EXCHANGE}._FIRST_BYTES", 2000)
    monkeypatch.setattr(f"{EXCHANGE}._MOST_BYTES", 6000)
    wanted = iter([2, 3, 4, 5, 6])
    now = [next(wanted)]

    def releases(waiting: int) -> bool:
        if waiting < now[0] and len(server.stored) < 30:
            return False
        now[0] = next(wanted, 6)
        return True

    with served(Server(releases)) as server:
        assert put_all(server, 30, 64, 1000) == expected(30, 1000)
    assert server.most[1] <= 6000


def test_bytes_in_flight_stay_few_on_a_slow_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only bodies that come hardly later than the quickest one allow more."""
    monkeypatch.setattr(f"{EXCHANGE}._FIRST_BYTES", 2000)
    monkeypatch.setattr(f"{EXCHANGE}._HARDLY_S", 0)
    with served(Server()) as server:
        assert put_all(server, 30, 64, 1000) == expected(30, 1000)
    assert server.most[1] <= 2000


def test_a_body_larger_than_what_may_be_in_flight_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{EXCHANGE}._FIRST_BYTES", 10)
    monkeypatch.setattr(f"{EXCHANGE}._MOST_BYTES", 10)
    with served(Server()) as server:
        assert put_all(server, 5, 64, 1000) == expected(5, 1000)
    assert server.most == (1, 1000)


@pytest.mark.parametrize("encrypted", [False, True])
def test_bodies_that_no_buffer_holds_are_sent_in_pieces(authority: Any, *, encrypted: bool) -> None:
    size = 4 * 2**20
    with served(Server(), authority.server if encrypted else None) as server:
        assert put_all(server, 6, 4, size, ca_bundle=str(authority.bundle)) == expected(6, size)
    assert sorted(server.stored.values()) == sorted(small_put(number, size).body for number in range(6))


def test_many_connections_over_tls(authority: Any) -> None:
    with served(Server(lambda waiting: waiting == 8 or len(server.stored) > 24), authority.server) as server:
        assert put_all(server, 32, 8, ca_bundle=str(authority.bundle)) == expected(32)
    assert server.connections == 8


def test_a_server_that_is_not_trusted_gets_no_request(authority: Any) -> None:
    with served(Server(), authority.server) as server:
        with pytest.raises(OSError, match="certificate"):
            put_all(server, 3, 3)
        assert not server.stored


def test_after_a_refusal_no_further_request_is_begun() -> None:
    """Those in flight are waited for."""
    with served(Server(lambda waiting: waiting == 4 or len(server.stored) > 4, status=403)) as server:
        results = put_all(server, 50, 4)
    assert results == dict.fromkeys(results)
    assert 4 <= len(server.stored) <= 8


def test_after_a_while_no_further_request_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios3sync.store.wire.blocking_puts._PATIENCE_S", 0)
    with served(Server()) as server:
        assert put_all(server, 50, 4) == {}


def test_an_endpoint_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{EXCHANGE}._SILENCE_S", 0.1)
    with served(Server(lambda _: ended.is_set())) as server:
        ended = threading.Event()
        with pytest.raises(TimeoutError):
            put_all(server, 3, 3)
        with server.changed:
            ended.set()
            server.changed.notify_all()


def test_nothing_to_store_is_no_request(tmp_path: Path) -> None:
    with served(Server()) as server:
        assert put_all(server, 0, 3) == {}
    assert not server.stored
