"""What a connection of a process reads, and which responses say "stored"."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.processes.connection import (
    ConnectionLostError,
    StoredResponse,
    WorkerConnection,
    parse_stored,
    status_of,
)

PLAIN = (b"HTTP/1.1 200 OK", b'ETag: "abc"', b"Content-Length: 0")


def head(*lines: bytes) -> bytes:
    return b"\r\n".join([*lines, b"", b""])


def test_a_stored_object() -> None:
    assert parse_stored(head(*PLAIN)) == StoredResponse("abc", "", "", True)
    more = (b"x-amz-server-side-encryption: AES256", b"X-Amz-Version-Id: v.1", b"Date: today")
    assert parse_stored(head(*PLAIN, *more)) == StoredResponse("abc", "AES256", "v.1", True)
    assert parse_stored(head(*PLAIN, b"Connection: Close")) == StoredResponse("abc", "", "", False)
    assert parse_stored(head(b"HTTP/1.1 200", b"etag:abc", b"content-length:0")) == StoredResponse(
        "abc", "", "", True
    )


@pytest.mark.parametrize(
    "response",
    [
        head(b"HTTP/1.1 503 Slow Down", *PLAIN[1:]),
        head(b"HTTP/1.1 100 Continue"),
        head(b"HTTP/1.1 100 Continue") + head(*PLAIN),
        head(b"HTTP/1.0 200 OK", *PLAIN[1:]),
        head(*PLAIN[:2]),
        head(PLAIN[0], PLAIN[2]),
        head(PLAIN[0], b'ETag: ""', PLAIN[2]),
        head(*PLAIN[:2], b"Content-Length: 5") + b"<Err>",
        head(*PLAIN[:2], b"Transfer-Encoding: chunked"),
        head(*PLAIN, b"Transfer-Encoding: chunked"),
        head(PLAIN[0], b"ETag: \xff", PLAIN[2]),
        head(*PLAIN)[:-1],
        b"",
        b"\r\n\r\n",
    ],
)
def test_every_other_response_is_left_to_the_session(response: bytes) -> None:
    assert parse_stored(response) is None


@given(st.binary(max_size=300))
def test_no_response_breaks_the_parser(noise: bytes) -> None:
    assert parse_stored(noise) is None
    parse_stored(head(*PLAIN, noise))
    status_of(noise)


@given(st.sampled_from([200, 301, 404, 503]), st.binary(max_size=20))
def test_the_status_of_a_response(status: int, rest: bytes) -> None:
    assert status_of(f"HTTP/1.1 {status} ".encode() + rest) == status
    assert status_of(b"nonsense") == status_of(b"HTTP/1.1 abc") == 0


# The connection itself

Read = Callable[[WorkerConnection], bytes]

BODY = b"body"
RESPONSE = head(b"HTTP/1.1 200 OK", b"Content-Length: 4") + BODY


def read_stored(connection: WorkerConnection) -> bytes:
    return connection.read()


def read_fetched(connection: WorkerConnection) -> bytes:
    return connection.read_with_body(len(BODY))


READS = pytest.mark.parametrize(
    ("read", "response"), [(read_stored, head(*PLAIN)), (read_fetched, RESPONSE)], ids=["put", "get"]
)


@pytest.fixture
def ends() -> Iterator[tuple[WorkerConnection, socket.socket]]:
    """A connection, and the socket of its endpoint."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield WorkerConnection(ours), theirs


@READS
def test_a_response_in_pieces(
    ends: tuple[WorkerConnection, socket.socket], read: Read, response: bytes
) -> None:
    connection, endpoint = ends
    assert connection.request("job", b"request")
    for cut in range(len(response)):
        assert read(connection) == b""
        endpoint.sendall(response[cut : cut + 1])
    assert read(connection) == response


@READS
def test_a_response_before_the_request_is_whole_is_refused(
    ends: tuple[WorkerConnection, socket.socket], read: Read, response: bytes
) -> None:
    connection, endpoint = ends
    assert not connection.request("job", bytes(8 * 2**20))
    endpoint.sendall(response)
    with pytest.raises(ConnectionLostError) as lost:
        read(connection)
    assert not lost.value.stale


@READS
def test_a_connection_that_was_closed_while_idle_is_stale(
    ends: tuple[WorkerConnection, socket.socket], read: Read, response: bytes
) -> None:
    connection, endpoint = ends
    assert connection.request("job", b"request")
    endpoint.sendall(response)
    assert read(connection) == response
    assert connection.request("next", b"request")
    endpoint.recv(100)
    endpoint.close()
    with pytest.raises(ConnectionLostError) as lost:
        read(connection)
    assert lost.value.stale


@READS
def test_a_response_that_no_request_asked_for_is_refused(
    ends: tuple[WorkerConnection, socket.socket], read: Read, response: bytes
) -> None:
    connection, endpoint = ends
    endpoint.sendall(response)
    with pytest.raises(ConnectionLostError) as lost:
        read(connection)
    assert not lost.value.stale
