"""HttpResponse: one HTTP response as a value; its readers need no connection."""

from __future__ import annotations

__all__ = ("HttpResponse",)


class HttpResponse:
    """One response: header names are lower case, values and body are bytes.

    ``placed`` bytes of a body are in the buffer that was passed with the request; ``body`` is empty then.
    """

    __slots__ = ("body", "headers", "placed", "status")

    def __init__(self, status: int, headers: dict[bytes, bytes], body: bytes, placed: int = 0) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.placed = placed
