"""The front of an endpoint: what it forwards, how late, and over which TLS."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks.certificates import make_certificate
from benchmarks.front import open_front

BODY = bytes(range(256)) * 4096 * 8


class Echo(BaseHTTPRequestHandler):
    """Answers a PUT with its body, after a pause if it names one."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def ask(connection: http.client.HTTPConnection, body: bytes) -> bytes:
    connection.request("PUT", "/", body)
    return connection.getresponse().read()


def connect(url: str, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    where = urlsplit(url)
    assert where.hostname is not None
    if where.scheme == "https":
        return http.client.HTTPSConnection(where.hostname, where.port, timeout=60, context=context)
    return http.client.HTTPConnection(where.hostname, where.port, timeout=60)


@pytest.mark.parametrize("latency_ms", [0, 40])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
def test_bytes_arrive_as_they_were_sent(echo: str, tmp_path: Path, latency_ms: int, *, tls: bool) -> None:
    """Also large bodies, and more requests of one connection; each response waits."""
    files = make_certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(files.authority)) if tls else None
    chain, key = (files.chain, files.key) if tls else (None, None)
    with open_front(echo, latency_ms=latency_ms, chain=chain, key=key) as url:
        assert url.startswith("https://127.0.0.1:" if tls else "http://127.0.0.1:")
        connection = connect(url, context)
        assert ask(connection, BODY) == BODY
        began = time.monotonic()
        assert ask(connection, b"small") == b"small"
        assert time.monotonic() - began >= latency_ms / 1000
        connection.close()


def test_the_certificate_is_trusted_by_its_authority_alone(echo: str, tmp_path: Path) -> None:
    """A contender that does not know the authority refuses it."""
    files = make_certificate(tmp_path)
    with open_front(echo, chain=files.chain, key=files.key) as url:
        connection = connect(url, ssl.create_default_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(connection, b"")


def test_a_connection_ends_when_the_endpoint_has_ended_it(tmp_path: Path) -> None:
    """Nothing listens where this front forwards to."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        gone = f"http://127.0.0.1:{server.server_address[1]}"
    with open_front(gone) as url:
        connection = connect(url)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            ask(connection, b"x")


def test_an_endpoint_of_tls_needs_no_front() -> None:
    """It would have to be trusted twice."""
    with pytest.raises(ValueError, match="plain HTTP, not https"), open_front("https://127.0.0.1:1"):
        pass
