"""BlockingConnection: one connection to the endpoint of a bucket, for a run without an event loop.

Only for the common case: settings and credentials of the static tier (see ``sources.py``), no proxy, one
request after another. It neither repeats requests nor follows redirects. Anything unusual is an error, and
then :class:`~aios3sync.store.wire.store.WireStore` does everything from the beginning.
"""

from __future__ import annotations

import os
import socket
import time
from functools import partial
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from aios3sync.core.keys import is_directory_bucket
from aios3sync.options import ConnectOptions
from aios3sync.store.s3.addresses import BucketAddress, resolve
from aios3sync.store.s3.aws_files import UnknownSettingsError
from aios3sync.store.s3.redaction import register_credentials
from aios3sync.store.wire.credentials import static_credentials
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.requests import MAX_XML, HttpRequest
from aios3sync.store.wire.settings import read_settings
from aios3sync.store.wire.signing import USER_AGENT, HeadWriter
from aios3sync.store.wire.sigv4 import Signer, moment

__all__ = ("OK", "BlockingConnection", "NotPlainError")

_PATIENCE_S: Final = 1.0
"""Seconds to wait for a connection or for bytes of a response; a run would show that it waits."""
_AT_ONCE: Final = 256 * 1024
OK: Final = 200


class NotPlainError(ValueError):
    """The case is not the common one: only a store can handle or report it."""


class BlockingConnection:
    """One connection. Every method blocks, in each of its steps at most for the given patience.

    Args:
        options: how to reach S3.
        bucket: of the requests.

    Raises:
        NotPlainError: the connection is not a common one.
        OSError: it cannot be made.
        UsageError: the URL of the endpoint is invalid, or holds credentials.
    """

    def __init__(self, options: ConnectOptions, bucket: str) -> None:
        if options.anonymous or options.lane == "boto" or is_directory_bucket(bucket):
            raise NotPlainError("requests that only other transports send")
        try:
            settings = read_settings(options, os.environ)
            keys = static_credentials(options, settings, os.environ).current()
        except UnknownSettingsError as error:
            raise NotPlainError(str(error)) from None
        address = resolve(bucket, settings.endpoint)
        if address is None or settings.proxies:
            raise NotPlainError("an address that is not certain, or a proxy")
        register_credentials(keys.access_key, keys.secret_key, keys.token)
        signer = Signer(keys, address.region, address.service)
        self._heads = HeadWriter(signer, address.authority, address.root, USER_AGENT)
        self._connect = partial(_connected, address, settings.verify)
        self._socket = self._connect()
        self._ended = False

    def send(self, request: HttpRequest, patience_s: float = _PATIENCE_S) -> None:
        """Send a request, on a new connection if the endpoint has closed the last one.

        Args:
            request: what to send.
            patience_s: seconds that each step waits, including those of the response.

        Raises:
            OSError: it cannot be sent.
        """
        if self._ended:
            self._socket.close()
            self._socket = self._connect()
        self._socket.settimeout(patience_s)
        self._socket.sendall(self._heads.head(request, moment(int(time.time()))) + bytes(request.body))

    def receive(self) -> HttpResponse:
        """Wait for the response to the request that was sent.

        Raises:
            NotPlainError: the response is not HTTP, or is incomplete.
            OSError: there is none.
        """
        answer = _Answer()
        while not answer.ended:
            data = self._socket.recv(_AT_ONCE)
            if not data:
                raise NotPlainError("the connection ended before the answer")
            answer.feed(data)
        self._ended = not answer.keeps_alive
        return HttpResponse(answer.status, answer.headers, b"".join(answer.body))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def _connected(address: BucketAddress, verify: bool | str) -> socket.socket:
    host = address.host.encode("ascii")  # a text would be encoded by IDNA, which takes a millisecond to load
    connection = socket.create_connection((host, address.port), _PATIENCE_S)  # type: ignore[arg-type]
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not address.secure:
            return connection
        from aios3sync.store.wire.tls import client_context

        return client_context(verify).wrap_socket(connection, server_hostname=address.host)
    except BaseException:
        connection.close()
        raise


class _Answer:
    """One HTTP response while it is received; the parser calls the methods ``on_…``.

    Attributes:
        status: of the response; the body of a refusal is not waited for.
        headers: names in lower case.
        body: its pieces.
        ended: whether it is complete.
        keeps_alive: whether another request may follow on its connection.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body: list[bytes] = []
        self.ended = False
        self.keeps_alive = False
        self._received = 0
        self._parser = HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            NotPlainError: they are not those of a response.
        """
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            raise NotPlainError("the answer is not HTTP, or there is another one after it") from None
        if self._received > MAX_XML:
            raise NotPlainError("the answer is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Check the status: a refusal is left to a store, which reports it."""
        if self.ended:
            raise NotPlainError("another answer after the one that was asked for")
        self.status = self._parser.get_status_code()
        self.ended = self.status != OK

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self.body.append(body)

    def on_message_complete(self) -> None:
        """The response is complete."""
        self.keeps_alive = self._parser.should_keep_alive()
        self.ended = True
