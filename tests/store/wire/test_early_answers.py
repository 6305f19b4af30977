"""An endpoint that refuses while the body is being sent, and hangs up: its refusal is what is reported."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING, Any

import pytest

from aios3sync.errors import AccessDeniedError, StoreError, ThrottledError
from aios3sync.store.protocol import PutOptions
from aios3sync.store.wire import http1
from aios3sync.testing.http_server import error_body

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

PLAIN = PutOptions()
BODY = bytes(6 * 2**20)
MD5 = md5(BODY).digest()
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def answer(status: bytes, code: str) -> bytes:
    document = error_body(code, "You may not.")
    head = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(document)) + document


DENIED = answer(b"403 Forbidden", "AccessDenied")


@dataclass
class Refusing:
    url: str = ""
    hung_up: threading.Event = field(default_factory=threading.Event)


@contextmanager
def refusing_server(
    reads: int, said: bytes = DENIED, tls: ssl.SSLContext | None = None
) -> Iterator[Refusing]:
    """Read some bytes of each request, refuse it and hang up, which resets the connection.

    A thread with blocking sockets: what it does is over before the client gets to run.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    server = Refusing(f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}")

    def refuse(connection: socket.socket) -> None:
        # A kernel that waits for more to send would drop the answer with the rest.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with tls.wrap_socket(connection, server_side=True) if tls else connection as stream:
            head = stream.recv(65536)
            if b"100-continue" in head:
                stream.sendall(CONTINUE)
            left = reads - len(head)
            while left > 0 and (chunk := stream.recv(min(left, 65536))):
                left -= len(chunk)
            stream.sendall(said)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                refuse(connection)
            server.hung_up.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("reads", [100, 70_000, 2 * 2**20])
async def test_the_refusal_is_reported(opened: Any, authority: Any, reads: int, *, tls: bool) -> None:
    with refusing_server(reads, tls=authority.server if tls else None) as server:
        async with opened(server.url, ca_bundle=str(authority.bundle)) as wire:
            for _ in range(10):
                with pytest.raises(AccessDeniedError, match="You may not"):
                    await wire.store.put_part("key", "id", 1, BODY, PLAIN, md5=MD5)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("size", [20_000, 65_000, 900_000])
async def test_the_refusal_of_a_small_body_is_reported(
    opened: Any, authority: Any, size: int, *, tls: bool
) -> None:
    body = bytes(size)
    with refusing_server(100, tls=authority.server if tls else None) as server:
        async with opened(server.url, ca_bundle=str(authority.bundle)) as wire:
            for _ in range(10):
                with pytest.raises(AccessDeniedError, match="You may not"):
                    await wire.store.put("key", body, PLAIN, md5=md5(body).digest())


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        (answer(b"503 Slow Down", "SlowDown"), ThrottledError, "SlowDown"),
        (answer(b"400 Bad Request", "EntityTooLarge"), StoreError, "EntityTooLarge"),
    ],
)
async def test_every_early_answer_is_reported(
    opened: Any, authority: Any, said: bytes, kind: type[StoreError], code: str, *, tls: bool
) -> None:
    with refusing_server(70_000, said, authority.server if tls else None) as server:
        async with opened(server.url, ca_bundle=str(authority.bundle)) as wire:
            for _ in range(5):
                with pytest.raises(kind) as caught:
                    await wire.store.put_part("key", "id", 1, BODY, PLAIN, md5=MD5)
                assert caught.value.code == code


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_write_that_fails_before_the_refusal_was_read_is_no_lost_connection(
    opened: Any, authority: Any, monkeypatch: pytest.MonkeyPatch, *, tls: bool
) -> None:
    """The worst order, made certain: refused, hung up, and only then the loop runs again, to write."""
    if type(asyncio.get_running_loop()).__module__.startswith("uvloop"):
        pytest.skip("uvloop writes when the task waits: there is no moment in between")
    with refusing_server(70_000, tls=authority.server if tls else None) as server:

        def blocked(_: http1.Connection) -> None:
            while not server.hung_up.is_set():
                pass

        monkeypatch.setattr(http1.Connection, "look", blocked)
        monkeypatch.setattr(http1, "is_readable", lambda _: False)
        async with opened(server.url, ca_bundle=str(authority.bundle)) as wire:
            with pytest.raises(AccessDeniedError, match="You may not"):
                await wire.store.put_part("key", "id", 1, BODY, PLAIN, md5=MD5)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_half_a_refusal_is_none(opened: Any, authority: Any, *, tls: bool) -> None:
    with refusing_server(70_000, DENIED[:-5], authority.server if tls else None) as server:
        async with opened(server.url, ca_bundle=str(authority.bundle)) as wire:
            with pytest.raises(StoreError) as caught:
                await wire.store.put_part("key", "id", 1, BODY, PLAIN, md5=MD5)
            assert caught.value.code == "ConnectionLost"


@pytest.mark.parametrize("reads", [100, 70_000, 2 * 2**20])
async def test_the_refusal_is_reported_by_aiohttp(opened: Any, reads: int) -> None:
    """The answer that is there when a write fails would be lost in asyncio's transport."""
    with refusing_server(reads) as server:
        async with opened(server.url) as wire:
            for _ in range(30):
                with pytest.raises(AccessDeniedError, match="You may not"):
                    await wire.boto.put_part("key", "id", 1, BODY, PLAIN, md5=MD5)
