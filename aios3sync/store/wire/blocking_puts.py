"""BlockingPuts: stores small objects over one connection, for a run without an event loop."""

from __future__ import annotations

from typing import Final

from aios3sync.core.etag import is_opaque_encryption, same_etag
from aios3sync.options import ConnectOptions
from aios3sync.store.protocol import PutOptions, PutResult
from aios3sync.store.wire.blocking_connection import OK, BlockingConnection, NotPlainError
from aios3sync.store.wire.request_builder import RequestBuilder
from aios3sync.store.wire.responses import put_result

__all__ = ("BlockingPuts",)

_PATIENCE_S: Final = 5.0
"""How long an answer is waited for. A run that takes over stores the object once more, so this is longer than
an endpoint takes that is only slow."""
_REFUSALS: Final = range(300, 500)
"""Status codes of answers that are certain to have changed nothing. After an error of the server (500 and
above) the object may be stored all the same."""


class BlockingPuts:
    """Stores objects one after another. Every method blocks.

    Args:
        options: how to reach S3.
        bucket: of the objects.

    Raises:
        NotPlainError, OSError, UsageError: as :class:`~.blocking_connection.BlockingConnection`.
    """

    def __init__(self, options: ConnectOptions, bucket: str) -> None:
        self._connection = BlockingConnection(options, bucket)
        self._requests = RequestBuilder()

    def put(self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str) -> PutResult | None:
        """Store one object with one PutObject; return ``None`` if it was certainly not stored.

        Raises:
            NotPlainError: the response does not confirm that these bytes were stored; they may be.
            OSError: there is no response.
        """
        self._connection.send(self._requests.put(key, body, options, md5=md5, sha256=sha256), _PATIENCE_S)
        answer = self._connection.receive()
        if answer.status in _REFUSALS:
            return None
        if answer.status != OK or answer.body:
            raise NotPlainError("another answer than a plain success")
        result = put_result(answer)
        if is_opaque_encryption(result.encryption) or not same_etag(result.etag, md5.hex()):
            raise NotPlainError("an ETag that is not the MD5 of the body")
        return result

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
