"""Parses the response for an object that is as the job says; any other one is left to the session. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.etag import bare_etag
from aios3sync.core.metadata import META_ORIGINAL_MD5
from aios3sync.core.mtimes import file_mtime, object_mtime

__all__ = ("FetchedObject", "body_size", "parse_fetched")

_META: Final = b"x-amz-meta-"
_find_headers: Final = re.compile(rb"\r\n([^:\r\n]+):[ \t]*([^\r\n]*)").findall
_find_length: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,19})[ \t]*\r\n", re.IGNORECASE).search


class FetchedObject(NamedTuple):
    """An object with verified bytes; ``reusable``: whether the connection stays open."""

    body: bytes
    mtime_ns: int
    encryption: str
    reusable: bool


def body_size(head: bytes) -> int:
    """Return the number of bytes that follow a head; -1 where it has no plain number for it."""
    found = _find_length(head)
    return -1 if found is None else int(found[1])


def parse_fetched(response: bytes, size: int, etag: str) -> FetchedObject | None:
    """Return the object of a response; ``None`` unless it is the plain one that was requested.

    Args:
        response: head and body.
        size: bytes that the object must have.
        etag: that it must have, and that must equal the MD5 of the body.
    """
    head, _, body = response.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200") or not head.isascii() or len(body) != size:
        return None
    headers = {name.lower(): value.strip() for name, value in _find_headers(head)}
    if b"transfer-encoding" in headers or headers.get(b"content-length") != b"%d" % size:
        return None
    if bare_etag(headers.get(b"etag", b"").decode("ascii")) != etag:
        return None
    if hashlib.md5(body, usedforsecurity=False).hexdigest() != etag:
        return None
    metadata = {
        name[len(_META) :].decode("ascii"): value.decode("ascii")
        for name, value in headers.items()
        if name.startswith(_META)
    }
    if META_ORIGINAL_MD5 in metadata:  # it is compressed, and the session knows how to restore it
        return None
    encryption = headers.get(b"x-amz-server-side-encryption", b"").decode("ascii")
    if headers.get(b"x-amz-server-side-encryption-customer-algorithm"):
        encryption = "SSE-C"
    mtime_ns = object_mtime(metadata)
    if mtime_ns is None:
        mtime_ns = _last_modified(headers.get(b"last-modified", b"").decode("ascii"))
    reusable = headers.get(b"connection", b"").lower() != b"close"
    return FetchedObject(body, mtime_ns, encryption, reusable)


def _last_modified(header: str) -> int:
    """Return the mtime for a file whose object has none in its metadata."""
    from aios3sync.store.s3.http_dates import http_date  # most objects need none of it

    try:
        return file_mtime({}, http_date(header) if header else 0.0)
    except ValueError:
        return 0
