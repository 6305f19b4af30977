"""Parse the bodies of queued messages into events of objects; pure. Every invalid body raises one error type.

S3 notifications reach a queue in three ways: directly from S3, through an SNS topic (in an envelope, or bare
with raw delivery), and through EventBridge. Keys are form-encoded in the first two, where ``+`` is a space
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html), and raw in the
third (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import orjson

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.etag import bare_etag
from aios3sync.errors import AioS3SyncError

__all__ = ("EventKind", "Notification", "NotificationError", "ObjectEvent", "parse_notification", "sequence")

_DEEPEST: Final = 4
"""Envelopes around a notification at most; EventBridge to SNS to SQS has one."""
_MOST_DIGITS: Final = 64
_HEXADECIMAL: Final = re.compile(rf"[0-9a-fA-F]{{1,{_MOST_DIGITS}}}")
_MOST_BYTES: Final = 2**63 - 1
_REMOVALS: Final = {
    "ObjectRemoved:Delete": False,
    "ObjectRemoved:DeleteMarkerCreated": True,
    "LifecycleExpiration:Delete": False,
    "LifecycleExpiration:DeleteMarkerCreated": True,
}
"""Removals, and whether they created a delete marker, so that the key is removed whatever the version."""


class NotificationError(AioS3SyncError):
    """Raised when a body is not an S3 notification; the message is one line and repeats none of the body."""


class EventKind(Enum):
    """The effect of an event on a key.

    ``VERSION_REMOVED``: one version was deleted permanently. The event does not say whether it was the
    current one, nor which one is current now: that takes a HEAD request.
    """

    CREATED = "created"
    REMOVED = "removed"
    VERSION_REMOVED = "version removed"


class ObjectEvent(NamedTuple):
    """One event of one object.

    Attributes:
        kind: the effect on the key.
        bucket: of the object.
        key: the full key, decoded.
        sequencer: as returned by :func:`sequence`, so that texts sort in the order of the events; empty where
            the endpoint sent none.
        time: seconds since the epoch.
        size: bytes; ``None`` where the event has none (removals have none).
        etag: without quotes, empty where the event has none.
        version_id: in versioned buckets, else empty.
    """

    kind: EventKind
    bucket: str
    key: str
    sequencer: str
    time: float
    size: int | None = None
    etag: str = ""
    version_id: str = ""

    def supersedes(self, other: ObjectEvent) -> bool:
        """Whether this is the later event of the two, or the same one; both are of one key."""
        if self.sequencer and other.sequencer:
            return self.sequencer >= other.sequencer
        return self.time >= other.time


class Notification(NamedTuple):
    """The content of one message: its events of objects, and the counts of all other kinds of events."""

    events: tuple[ObjectEvent, ...]
    ignored: Mapping[str, int]


def sequence(sequencer: str) -> str:
    """Return a sequencer as text that sorts in the order of the events of a key, padded on the left.

    Raises:
        NotificationError: it is not a hexadecimal number.
    """
    if not sequencer:
        return ""
    if not _HEXADECIMAL.fullmatch(sequencer):
        raise NotificationError("the sequencer is not a hexadecimal number")
    return sequencer.lower().rjust(_MOST_DIGITS, "0")


def parse_notification(body: str | bytes) -> Notification:
    """Read one message body.

    Raises:
        NotificationError: it is not a notification of S3 as AWS documents them.
    """
    document = _document(body)
    for _ in range(_DEEPEST):
        if document.get("Type") != "Notification" or "Message" not in document:
            break
        document = _document(_text(document, "Message"))
    else:
        raise NotificationError("a notification in too many envelopes")
    if document.get("Event") == "s3:TestEvent":
        return Notification((), {"s3:TestEvent": 1})
    if "Records" in document:
        return _records(document["Records"])
    if document.get("source") == "aws.s3" and "detail-type" in document:
        return _bridged(document)
    raise NotificationError("no notification of S3: neither Records nor an event of EventBridge")


def _records(records: Any) -> Notification:
    if not isinstance(records, list) or not records:
        raise NotificationError("Records is not a list of records")
    events: list[ObjectEvent] = []
    ignored: Counter[str] = Counter()
    for record in records:
        fields = _fields(record, "a record")
        name = _text(fields, "eventName").removeprefix("s3:")
        if not name.startswith("ObjectCreated:") and name not in _REMOVALS:
            ignored[_kind(name)] += 1
            continue
        place = _fields(fields.get("s3"), "s3")
        thing = _fields(place.get("object"), "object")
        version = _text(thing, "versionId", "")
        kind = _removal(_REMOVALS[name], version) if name in _REMOVALS else EventKind.CREATED
        key = _decoded(_text(thing, "key"))
        events.append(_event(kind, place, thing, key, _text(fields, "eventTime"), ("eTag", version)))
    return Notification(tuple(events), ignored)


def _bridged(document: Mapping[str, Any]) -> Notification:
    name = _text(document, "detail-type")
    detail = _fields(document.get("detail"), "detail")
    if name not in ("Object Created", "Object Deleted"):
        return Notification((), {_kind(name): 1})
    thing = _fields(detail.get("object"), "object")
    version = _text(thing, "version-id", "")
    if name == "Object Created":
        kind = EventKind.CREATED
    else:
        kind = _removal(_text(detail, "deletion-type", "") == "Delete Marker Created", version)
    event = _event(kind, detail, thing, _text(thing, "key"), _text(document, "time"), ("etag", version))
    return Notification((event,), {})


def _removal(marked: bool, version: str) -> EventKind:
    return EventKind.REMOVED if marked or not version else EventKind.VERSION_REMOVED


def _event(
    kind: EventKind,
    place: Mapping[str, Any],
    thing: Mapping[str, Any],
    key: str,
    time: str,
    differing: tuple[str, str],
) -> ObjectEvent:
    """Return one event; ``differing`` is the name of the ETag field and the version, which vary by format."""
    etag, version = differing
    bucket = _text(_fields(place.get("bucket"), "bucket"), "name")
    if not key or not bucket:
        raise NotificationError("an event without the name of its object or bucket")
    created = kind is EventKind.CREATED
    return ObjectEvent(
        kind=kind,
        bucket=bucket,
        key=key,
        sequencer=sequence(_text(thing, "sequencer", "")),
        time=_seconds(time),
        size=_size(thing.get("size")) if created else None,
        etag=bare_etag(_text(thing, etag, "")) if created else "",
        version_id=version,
    )


def _document(body: str | bytes) -> Mapping[str, Any]:
    try:
        return _fields(orjson.loads(body), "the body")
    except orjson.JSONDecodeError:
        raise NotificationError("the body is not JSON") from None


def _fields(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise NotificationError(f"{name} is not an object with fields")
    return value


def _text(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise NotificationError(f"{name} is missing, or not a text")
    return value


def _size(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_BYTES:
        raise NotificationError("size is not a number of bytes")
    return value


def _decoded(key: str) -> str:
    try:
        return unquote_to_bytes(key.replace("+", " ")).decode()
    except UnicodeError:
        raise NotificationError("the key is not UTF-8") from None


def _seconds(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise NotificationError("the time of an event is not in ISO 8601") from None


def _kind(name: str) -> str:
    """Return the kind of an event that is only counted; unprintable or long names are ``unknown``."""
    return name if len(name) <= 64 and name.isascii() and name.isprintable() else "unknown"
