"""An endpoint that refuses while the body is being sent, and hangs up: its refusal is what is reported."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from hashlib import md5
from typing import TYPE_CHECKING, Any

import pytest

from aios3sync.errors import AccessDeniedError
from aios3sync.store.protocol import PutOptions
from aios3sync.testing.http_server import error_body

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = PutOptions()
BODY = bytes(6 * 2**20)
MD5 = md5(BODY).digest()
DOCUMENT = error_body("AccessDenied", "You may not.")
ANSWER = (
    b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: application/xml\r\n"
    + f"Content-Length: {len(DOCUMENT)}\r\n\r\n".encode()
    + DOCUMENT
)


@contextmanager
def refusing_server(reads: int) -> Iterator[str]:
    """Read some bytes of each request, refuse it and hang up, which resets the connection.

    A thread with blocking sockets: what it does is over before the client gets to run.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                left = reads
                while left > 0 and (chunk := connection.recv(min(left, 65536))):
                    left -= len(chunk)
                connection.sendall(ANSWER)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize("reads", [100, 70_000, 2 * 2**20])
async def test_the_refusal_is_reported(opened: Any, reads: int) -> None:
    with refusing_server(reads) as url:
        async with opened(url) as wire:
            for _ in range(5):
                with pytest.raises(AccessDeniedError, match="You may not"):
                    await wire.store.put_part("key", "id", 1, BODY, PLAIN, md5=MD5)
