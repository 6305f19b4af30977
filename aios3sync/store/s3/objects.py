"""Reads objects with any transport: ranges, including empty ones, and content encodings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from aios3sync._typing import Final, TypeVar
from aios3sync.errors import StoreError
from aios3sync.store.protocol import GetResult, HeadResult, ObjectStore, RangeRead

__all__ = (
    "EMPTY_GET",
    "EMPTY_READ",
    "content_encoding",
    "cut_range",
    "get_into",
    "get_range",
    "range_header",
)

T = TypeVar("T")

EMPTY_GET: Final = partial(GetResult, b"")
"""Makes the result of an empty get from the facts of the object."""
EMPTY_READ: Final = partial(RangeRead, 0)
"""Makes the result of an empty read into a buffer from the facts of the object."""

# Not of HTTPStatus: runs that only list load this module, and none of http.
_RANGE_NOT_SATISFIABLE: Final = 416


def range_header(start: int, length: int | None) -> str:
    """Return the ``Range`` of ``length`` bytes from ``start``; empty where the whole object is wanted."""
    if not start and length is None:
        return ""
    return f"bytes={start}-{'' if length is None else start + length - 1}"


def cut_range(body: bytes, start: int, length: int | None) -> bytes:
    """Return a range of a whole object, which is the response of a server that ignores ranges."""
    return body[start : None if length is None else start + length]


async def get_range(
    head: Callable[[], Awaitable[HeadResult]],
    start: int,
    length: int | None,
    get: Callable[[], Awaitable[T]],
    empty: Callable[[HeadResult], T],
) -> T:
    """Read a range with ``get``, and an empty one without it, with the result of ``empty``.

    HTTP has no header for a range of no bytes, and a range that begins at the end of the object is refused
    with 416, as is an empty object: HeadObject, which ``head`` sends, has the facts of both.

    Raises:
        StoreError: of ``get`` and of ``head``; a 416 where the object is longer than ``start``.
    """
    if length == 0:
        return empty(await head())
    try:
        return await get()
    except StoreError as error:
        if error.status != _RANGE_NOT_SATISFIABLE:
            raise
        facts = await head()
        if start < facts.size:
            raise
        return empty(facts)


async def get_into(
    store: ObjectStore, key: str, buffer: memoryview, start: int, if_match: str, version_id: str
) -> RangeRead:
    """Read a range into a buffer through a body in memory, for transports without a direct way."""
    body, head = await store.get(
        key, start=start, length=len(buffer), if_match=if_match, version_id=version_id
    )
    size = min(len(body), len(buffer))
    buffer[:size] = body[:size]
    return RangeRead(size, head)


def content_encoding(header: str) -> str:
    """Return a ``Content-Encoding`` without ``aws-chunked``, which AWS strips.

    SeaweedFS, Ceph and rclone keep it.
    """
    encodings = (part.strip() for part in header.split(","))
    return ",".join(part for part in encodings if part and part != "aws-chunked")
