"""Writes XML bodies of requests: the keys of DeleteObjects, the parts of CompleteMultipartUpload; pure."""

from __future__ import annotations

from collections.abc import Iterable

from aios3sync._lazy import lazy_pattern
from aios3sync._typing import Final
from aios3sync.store.protocol import DeleteItem, ListedPart, RestoreRequest
from aios3sync.store.s3.parameters import checksum_member
from aios3sync.store.wire.requests import InvalidRequestError

__all__ = ("complete_body", "delete_body", "restore_body")

_NAMESPACE: Final = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_MARKUP: Final = lazy_pattern("[&<>\r\n\t]")
# Line ends and tabs as references, else a parser reads them as other white space: another key.
_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;", "\n": "&#xA;", "\t": "&#x9;"}
)


def delete_body(items: Iterable[DeleteItem]) -> bytes:
    """Return the body of DeleteObjects, which requests that only errors are returned."""
    return _encoded(f"<Delete {_NAMESPACE}>{''.join(map(_deleted, items))}<Quiet>true</Quiet></Delete>")


def complete_body(parts: Iterable[ListedPart], algorithm: str) -> bytes:
    """Return the body of CompleteMultipartUpload.

    Args:
        parts: in the order of the object.
        algorithm: of the checksums that the parts were sent with; empty for none.
    """
    member = checksum_member(algorithm) if algorithm else ""
    listed = "".join(_part(part, member) for part in parts)
    return _encoded(f"<CompleteMultipartUpload {_NAMESPACE}>{listed}</CompleteMultipartUpload>")


def restore_body(request: RestoreRequest) -> bytes:
    """Return the body of RestoreObject."""
    days = f"<Days>{request.days}</Days>" if request.days else ""
    tier = f"<GlacierJobParameters><Tier>{request.tier.capitalize()}</Tier></GlacierJobParameters>"
    return _encoded(f"<RestoreRequest {_NAMESPACE}>{days}{tier}</RestoreRequest>")


def _deleted(item: DeleteItem) -> str:
    key = _escaped(item.key)
    if not item.etag:
        return f"<Object><Key>{key}</Key></Object>"
    return f"<Object><Key>{key}</Key><ETag>{_escaped(item.etag)}</ETag></Object>"


def _part(part: ListedPart, member: str) -> str:
    checksum = f"<{member}>{_escaped(part.checksum)}</{member}>" if member and part.checksum else ""
    return f"<Part><PartNumber>{part.number}</PartNumber><ETag>{_escaped(part.etag)}</ETag>{checksum}</Part>"


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES) if _MARKUP.search(text) else text


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidRequestError("a name in it is not valid Unicode") from None
