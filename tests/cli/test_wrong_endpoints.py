"""Endpoints that are nearly right: the error says which URL to write."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.conftest import Bucket, CommandLine


@pytest.fixture
def tls_port(tmp_path: Path) -> Iterator[int]:
    """A port that speaks TLS and closes whatever else comes."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run([openssl, *words.split()], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError), context.wrap_socket(connection, server_side=True) as wrapped:
                wrapped.recv(100)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize("lane", ["wire", "boto"])
def test_https_on_a_port_of_http(cli: CommandLine, bucket: Bucket, lane: str) -> None:
    right = bucket.endpoint.url
    wrong = right.replace("http://", "https://")
    ended = cli("ls", bucket.url(), "--lane", lane, "--endpoint-url", wrong)
    assert ended.code == 1
    assert ended.error.endswith(f"; it speaks plain HTTP, not HTTPS: write --endpoint-url {right}")


@pytest.mark.parametrize("lane", ["wire", "boto"])
def test_http_on_a_port_of_https(cli: CommandLine, tls_port: int, lane: str) -> None:
    ended = cli("ls", "s3://bucket", "--lane", lane, "--endpoint-url", f"http://127.0.0.1:{tls_port}")
    assert ended.code == 1
    wanted = f"; it speaks HTTPS, not plain HTTP: write --endpoint-url https://127.0.0.1:{tls_port}"
    assert ended.error.endswith(wanted)


def test_a_port_that_nothing_listens_on_gets_no_such_advice(
    cli: CommandLine, free_tcp_port_factory: Callable[[], int]
) -> None:
    ended = cli("ls", "s3://bucket", "--endpoint-url", f"https://127.0.0.1:{free_tcp_port_factory()}")
    assert ended.code == 1
    assert "it speaks" not in ended.error


def test_a_bucket_in_the_url(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    """Nothing is written: the keys would be wrong."""
    wrong = f"{bucket.endpoint.url}/{bucket.name}"
    for arguments in (["sync", str(tree), bucket.url("p")], ["ls", bucket.url()], ["rm", bucket.url("x")]):
        ended = cli(*arguments, "--endpoint-url", wrong)
        assert ended.code == 2
        assert ended.error.endswith(f"--endpoint-url {bucket.endpoint.url}")
    cli.environment["AWS_ENDPOINT_URL"] = f"https://{bucket.name}.s3.eu-central-1.amazonaws.com"
    ended = cli("ls", bucket.url())
    assert (ended.code, "--endpoint-url https://s3.eu-central-1" in ended.error) == (2, True)
    assert bucket.keys() == set()
