"""BlockingEndpoint: the endpoint of a bucket and what signs its requests, for a run without an event loop.

Only for the common case: settings and credentials of the static tier (see ``sources.py``), no proxy. Anything
unusual is an error, and then :class:`~aios3sync.store.wire.store.WireStore` does everything from the
beginning.
"""

from __future__ import annotations

import os
import socket
import time

from aios3sync._typing import TYPE_CHECKING, Any, Final
from aios3sync.core.keys import is_directory_bucket
from aios3sync.options import ConnectOptions
from aios3sync.store.s3.addresses import resolve
from aios3sync.store.s3.aws_files import UnknownSettingsError
from aios3sync.store.s3.redaction import register_credentials
from aios3sync.store.wire.credentials import static_credentials
from aios3sync.store.wire.requests import HttpRequest
from aios3sync.store.wire.settings import read_settings
from aios3sync.store.wire.signing import USER_AGENT, HeadWriter
from aios3sync.store.wire.sigv4 import Signer, moment

if TYPE_CHECKING:
    import ssl

__all__ = ("BlockingEndpoint", "NotPlainError")

_PATIENCE_S: Final = 1.0
"""Seconds to wait for a connection; a run would show that it waits."""


class NotPlainError(ValueError):
    """The case is not the common one: only a store can handle or report it."""


class BlockingEndpoint:
    """The endpoint of one bucket.

    Args:
        options: how to reach S3.
        bucket: of the requests.

    Attributes:
        host: its name.
        secure: whether connections are encrypted.

    Raises:
        NotPlainError: the connection is not a common one.
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
        self._port = address.port
        self._verify = settings.verify
        self._context: ssl.SSLContext | None = None
        self.host = address.host
        self.secure = address.secure

    def message(self, request: HttpRequest) -> bytes:
        """Return a request as the bytes that are sent, signed now."""
        return self._heads.head(request, moment(int(time.time()))) + bytes(request.body)

    def connected(self) -> socket.socket:
        """Return a new connection without encryption; blocks.

        Raises:
            OSError: it cannot be made.
        """
        host: Any = self.host.encode("ascii")  # a text would be encoded by IDNA, which takes a millisecond
        connection = socket.create_connection((host, self._port), _PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def encrypted(self, connection: socket.socket, *, shake: bool) -> socket.socket:
        """Return an established connection as the endpoint wants it: over TLS where it is secure.

        Args:
            connection: without encryption; closed after an error.
            shake: whether to do the handshake, which blocks.

        Raises:
            OSError: the handshake failed.
            WireUnavailableError: the bundle of authorities cannot be read.
        """
        if not self.secure:
            return connection
        try:
            if self._context is None:
                from aios3sync.store.wire.tls import client_context

                self._context = client_context(self._verify)
            return self._context.wrap_socket(
                connection, server_hostname=self.host, do_handshake_on_connect=shake
            )
        except BaseException:
            connection.close()
            raise
