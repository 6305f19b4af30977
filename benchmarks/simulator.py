"""Runs the compiled simulator s3sim, where a path to it is given, and asks it for objects."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aios3sync.testing import Endpoint

__all__ = ("fill_s3sim", "open_s3sim")

_PATIENCE_S: Final = 10.0


def fill_s3sim(endpoint: Endpoint, prefix: str, bucket: str, count: int) -> None:
    """Make it create ``count`` objects of 100 bytes.

    Raises:
        RuntimeError: it did not.
    """
    where = urlsplit(endpoint.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    try:
        connection.request("POST", f"/_s3sim/fill?bucket={bucket}&prefix={prefix}&n={count}&size=100")
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"s3sim did not fill its bucket: {response.status}")
    finally:
        connection.close()


@contextmanager
def open_s3sim(program: Path, options: Sequence[str]) -> Iterator[Endpoint]:
    """Run s3sim, which keeps all objects in memory, until the block ends."""
    port = _free_port()
    process = subprocess.Popen(
        [str(program), "--port", str(port), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _await_s3sim(process, port)
        yield Endpoint(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_s3sim(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/_s3sim/stats")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
        else:
            return
        finally:
            connection.close()
    raise RuntimeError("s3sim did not start")
