"""A front of an endpoint that adds TLS and latency: forwards bytes, each response some time later.

It looks into no request. A script of its own process group, so that its work is in no contender's figures,
though it shares the cores with them: ``front.py HOST PORT LATENCY_MS PROCESSES [CHAIN KEY]`` writes the port
that it listens on, and runs until it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

__all__ = ("open_front",)

_HOST = "127.0.0.1"
_BACKLOG = 1024


@contextmanager
def open_front(
    url: str, *, latency_ms: int = 0, chain: Path | None = None, key: Path | None = None
) -> Iterator[str]:
    """Run a front of the endpoint at ``url``, which is plain HTTP, and yield the URL of the front.

    Raises:
        RuntimeError: it did not start.
    """
    where = urlsplit(url)
    if where.scheme != "http":
        raise ValueError(f"a front needs an endpoint of plain HTTP, not {where.scheme}")
    words = [where.hostname or _HOST, str(where.port or 80), str(latency_ms), str(os.cpu_count() or 1)]
    files = [str(path) for path in (chain, key) if path is not None]
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, *words, *files],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError("the front of the endpoint did not start")
        yield f"{'https' if files else 'http'}://{_HOST}:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()


class _End(asyncio.Protocol):
    """One end of a forwarded connection; what it receives goes to ``other``, ``delay_s`` later."""

    def __init__(self, delay_s: float) -> None:
        self.other: _End | None = None
        self.transport: asyncio.Transport | None = None
        self._delay_s = delay_s
        self._waiting: deque[bytes] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # those of uvloop have no base class

    def data_received(self, data: bytes) -> None:
        self._forward(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as the base class has it
        self._forward(b"")

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def _forward(self, data: bytes) -> None:
        """Hand data on, or, if there is none, the end of the connection."""
        self._waiting.append(data)
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._send_oldest)
        else:
            self._send_oldest()

    def _send_oldest(self) -> None:
        # The queue keeps the order of the data; timers of the same instant need not.
        data = self._waiting.popleft()
        if self.other is None or self.other.transport is None:
            return
        if data:
            self.other.transport.write(data)
        else:
            self.other.transport.close()


class _Accepted(_End):
    """The end of a contender: it connects to the endpoint, and keeps what it receives before that."""

    def __init__(self, host: str, port: int, delay_s: float) -> None:
        super().__init__(0.0)
        self._place = (host, port)
        self._response_delay_s = delay_s
        self._connecting: asyncio.Task[None] | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        assert self.transport is not None
        answering = _End(self._response_delay_s)
        answering.other = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: answering, *self._place)
        except OSError:
            self.transport.abort()
            return
        self.other = answering
        for data in self._early:
            self._forward(data)
        self.transport.resume_reading()

    def _forward(self, data: bytes) -> None:
        # A loop may deliver what it has received before it was told to pause.
        if self.other is None:
            self._early.append(data)
        else:
            super()._forward(data)


async def _serve(listening: socket.socket, words: list[str]) -> None:
    host, port, latency_ms, _, *files = words
    context = None
    if files:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files[0], files[1])
    server = await asyncio.get_running_loop().create_server(
        lambda: _Accepted(host, int(port), int(latency_ms) / 1000),
        sock=listening,
        ssl=context,
        backlog=_BACKLOG,
    )
    await server.serve_forever()


def _main(words: list[str]) -> None:
    listening = socket.create_server((_HOST, 0), backlog=_BACKLOG)
    for _ in range(int(words[3]) - 1):
        if os.fork() == 0:
            break
    else:
        print(listening.getsockname()[1], flush=True)
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(listening, words))
    else:
        uvloop.run(_serve(listening, words))


if __name__ == "__main__":
    _main(sys.argv[1:])
