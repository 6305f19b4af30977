"""Finds out whether an endpoint that does not respond uses HTTP instead of HTTPS, or vice versa."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from aios3sync.errors import UnavailableError

__all__ = ("with_advice",)

_PATIENCE_S: Final = 3.0
_UNANSWERED: Final = frozenset({"NoConnection", "ConnectionLost", "InvalidAnswer"})


async def with_advice(error: UnavailableError, endpoint: str) -> UnavailableError:
    """Return the error, with the right URL if the endpoint uses the other scheme."""
    if error.code not in _UNANSWERED or "://" not in endpoint:
        return error
    scheme, other = ("http", "https") if endpoint.lower().startswith("http:") else ("https", "http")
    if not await _speaks(other, endpoint):
        return error
    url = f"{other}{endpoint[len(scheme) :]}"
    words = "plain HTTP, not HTTPS" if other == "http" else "HTTPS, not plain HTTP"
    return UnavailableError(
        f"{error.message}; it speaks {words}: write --endpoint-url {url}",
        operation=error.operation,
        bucket=error.bucket,
        key=error.key,
        code=error.code,
    )


async def _speaks(scheme: str, endpoint: str) -> bool:
    """Return whether the endpoint responds to one small request of this scheme."""
    parts = urlsplit(endpoint)
    host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    context = None
    if scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent to it
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                if context is not None:
                    return True
                writer.write(b"HEAD / HTTP/1.0\r\n\r\n")
                return await reader.readexactly(5) == b"HTTP/"
            finally:
                writer.transport.abort()
    return False
