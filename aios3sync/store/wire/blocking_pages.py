"""BlockingPages: pages of a listing over one connection, for a run without an event loop."""

from __future__ import annotations

from aios3sync._typing import Final
from aios3sync.store.protocol import ListPage
from aios3sync.store.wire.blocking_connection import BlockingConnection
from aios3sync.store.wire.blocking_endpoint import BlockingEndpoint, NotPlainError
from aios3sync.store.wire.list_xml import list_page
from aios3sync.store.wire.plain_answer import OK
from aios3sync.store.wire.request_builder import RequestBuilder

__all__ = ("BlockingPages",)

_PAGE: Final = 1000


class BlockingPages:
    """The pages of one listing. Every method blocks, for a second per step at most.

    Args:
        endpoint: of the bucket to list.
        payer: ``requester`` where the requester pays, or empty.

    Raises:
        OSError: it cannot be reached.
    """

    def __init__(self, endpoint: BlockingEndpoint, payer: str = "") -> None:
        self._connection = BlockingConnection(endpoint)
        self._requests = RequestBuilder(request_payer=payer)
        self._token: str | None = None

    def ask(self, prefix: str, token: str | None) -> None:
        """Send the request for a page."""
        self._connection.send(self._requests.list_page(prefix, token, "", "", _PAGE))
        self._token = token

    def answer(self) -> ListPage:
        """Wait for the page that was requested.

        Raises:
            NotPlainError: the response is no page.
            OSError: there is none.
        """
        answer = self._connection.receive()
        if answer.status != OK:
            raise NotPlainError("another answer than a success")
        return list_page(answer.body, self._token)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
