"""BlockingPages: pages of a listing over one connection, for a run without an event loop.

It serves the everyday case alone: settings and keys of the static tier (see ``sources.py``), no proxy,
answers that say 200. It repeats nothing and follows nothing. Whatever is out of the ordinary is an error, and
then everything is left to :class:`~aios3sync.store.wire.store.WireStore`, which begins anew.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from aios3sync.core.keys import is_directory_bucket
from aios3sync.options import ConnectOptions
from aios3sync.store.protocol import ListPage
from aios3sync.store.s3.addresses import BucketAddress, resolve
from aios3sync.store.s3.aws_files import UnknownSettingsError
from aios3sync.store.s3.redaction import register_credentials
from aios3sync.store.wire.credentials import static_credentials
from aios3sync.store.wire.list_xml import list_page
from aios3sync.store.wire.request_builder import RequestBuilder
from aios3sync.store.wire.requests import MAX_XML
from aios3sync.store.wire.settings import read_settings
from aios3sync.store.wire.signing import USER_AGENT, HeadWriter
from aios3sync.store.wire.sigv4 import Signer, moment

__all__ = ("BlockingPages", "NotPlainError")

_PATIENCE_S: Final = 1.0
"""How long a connection, or bytes of an answer, are waited for; a run shows that it waits."""
_PAGE: Final = 1000
_AT_ONCE: Final = 256 * 1024


class NotPlainError(ValueError):
    """Raised for whatever only a store can deal with, or report."""


class BlockingPages:
    """The pages of one listing. Every method blocks, a second for each step at most.

    Args:
        options: how to reach S3.
        bucket: where to list.
        payer: ``requester`` where the requester pays, or empty.

    Raises:
        NotPlainError: the connection is not an everyday one.
        OSError: it cannot be made.
        UsageError: the URL of the endpoint is none, or holds credentials.
    """

    def __init__(self, options: ConnectOptions, bucket: str, payer: str = "") -> None:
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
        self._requests = RequestBuilder(request_payer=payer)
        self._token: str | None = None
        self._connection = _connected(address, settings.verify)

    def ask(self, prefix: str, token: str | None) -> None:
        """Send the request for a page."""
        request = self._requests.list_page(prefix, token, "", "", _PAGE)
        self._connection.sendall(self._heads.head(request, moment(int(time.time()))))
        self._token = token

    def answer(self) -> ListPage:
        """Wait for the page that was asked for.

        Raises:
            NotPlainError: the answer is no page.
            OSError: there is none.
        """
        answer = _Answer()
        while not answer.ended:
            data = self._connection.recv(_AT_ONCE)
            if not data:
                raise NotPlainError("the connection ended before the answer")
            answer.feed(data)
        return list_page(b"".join(answer.body), self._token)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


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
    """One answer of HTTP while it comes; the parser calls the methods ``on_…``.

    Attributes:
        body: its pieces.
        ended: it is whole.
    """

    def __init__(self) -> None:
        self.body: list[bytes] = []
        self.ended = False
        self._received = 0
        self._parser = HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            NotPlainError: they are not those of a success.
        """
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            raise NotPlainError("the answer is not HTTP, or no success") from None
        if self._received > MAX_XML:
            raise NotPlainError("the answer is too long")

    def on_headers_complete(self) -> None:
        """Look at the status: an error is reported by a store, in its words."""
        if self.ended or self._parser.get_status_code() != 200:
            raise NotPlainError("another answer than one success")

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self.body.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self.ended = True
