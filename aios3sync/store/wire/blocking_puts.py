"""BlockingPuts: stores small objects over several connections, for a run without an event loop."""

from __future__ import annotations

import time
from collections.abc import Iterator

from aios3sync._typing import Final
from aios3sync.core.etag import is_opaque_encryption, same_etag
from aios3sync.store.protocol import PutResult, SmallPut
from aios3sync.store.wire.blocking_endpoint import BlockingEndpoint, NotPlainError
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.plain_answer import OK
from aios3sync.store.wire.polled_exchange import PolledExchange
from aios3sync.store.wire.request_builder import RequestBuilder
from aios3sync.store.wire.requests import HttpRequest
from aios3sync.store.wire.responses import put_result

__all__ = ("BlockingPuts",)

_PATIENCE_S: Final = 1.5
"""Seconds after which no further request is begun: a run does the rest, and shows its progress."""
_REFUSALS: Final = range(300, 500)
"""Status codes of answers that are certain to have changed nothing. After an error of the server (500 and
above) the object may be stored all the same."""


class BlockingPuts:
    """Stores objects, several at once. Every method blocks.

    Args:
        endpoint: of the bucket.
        most: requests in flight.

    Raises:
        OSError: it cannot be reached.
    """

    def __init__(self, endpoint: BlockingEndpoint, most: int) -> None:
        self._exchange: PolledExchange[SmallPut] = PolledExchange(endpoint, most)
        self._requests = RequestBuilder()
        self._refused = False

    def put_all(self, puts: Iterator[SmallPut]) -> Iterator[tuple[SmallPut, PutResult | None]]:
        """Store objects, each with one PutObject; yield each when it is stored, in any order.

        After a refusal, and after a while, those in flight are the last ones.

        Args:
            puts: taken one by one, when they can be sent.

        Yields:
            An object and the result, ``None`` where it was certainly not stored.

        Raises:
            NotPlainError: the response to one does not confirm that its bytes were stored; they may be, and
                so may those of others without a result.
            OSError: there is no response; the same.
        """
        for put, response in self._exchange.responses(self._begun(puts)):
            result = _result(put, response)
            self._refused |= result is None
            yield put, result

    def close(self) -> None:
        """Close the connections."""
        self._exchange.close()

    def _begun(self, puts: Iterator[SmallPut]) -> Iterator[tuple[SmallPut, HttpRequest]]:
        ends = time.monotonic() + _PATIENCE_S
        while not self._refused and time.monotonic() < ends:
            put = next(puts, None)
            if put is None:
                return
            key, body, options, md5, sha256 = put
            yield put, self._requests.put(key, body, options, md5=md5, sha256=sha256)


def _result(put: SmallPut, response: HttpResponse) -> PutResult | None:
    if response.status in _REFUSALS:
        return None
    if response.status != OK or response.body:
        raise NotPlainError("another answer than a plain success")
    result = put_result(response)
    if is_opaque_encryption(result.encryption) or not same_etag(result.etag, put.md5.hex()):
        raise NotPlainError("an ETag that is not the MD5 of the body")
    return result
