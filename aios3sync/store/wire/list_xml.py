"""Parses pages of both versions of ListObjects; pure, and fast, as a page has 1,000 keys.

A page consists mostly of entries, and nearly every server writes them in the same plain form. One regular
expression reads that form, in a third of the time of an XML parser; a page in any other form goes through the
parser as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from aios3sync._typing import Final
from aios3sync.core.entries import Restore, TargetEntry
from aios3sync.core.etag import bare_etag
from aios3sync.core.numbers import LARGEST
from aios3sync.store.protocol import ListPage
from aios3sync.store.s3.errors import InvalidAnswerError
from aios3sync.store.s3.markers import NoTokenError, next_marker
from aios3sync.store.wire.page_head import PageHead, read_head

__all__ = (
    "decoded",
    "is_truncated",
    "list_page",
    "marker_page",
    "parsed_entries",
    "plain_entries",
    "timestamp",
)

_ROOT: Final = "ListBucketResult"
_ISO_LENGTHS: Final = (len("2026-11-02T03:04:05Z"), len("2026-11-02T03:04:05.678Z"))
_new: Final = tuple.__new__
_LONGEST: Final = 18
"""Digits that always fit into a 64-bit number."""

# Key, LastModified, ETag as bare_etag() has it, Size, StorageClass and RestoreStatus, as they are written.
_Fields = tuple[str, str, str, str, str, str]

# Text without references, without line ends that a parser would change, without what XML cannot hold.
_TEXT: Final = r"[^<&\x00-\x08\x0b-\x1f]*"
_QUOTE: Final = r"(?:&quot;|&#34;|\")?"
_CONTENTS: Final = re.compile(
    "<Contents>(?:"
    f"<Key>({_TEXT})</Key>"
    f"|<LastModified>({_TEXT})</LastModified>"
    rf"|<ETag>(?:W/)?{_QUOTE}([^<&\"\x00-\x1f]*){_QUOTE}</ETag>"
    "|<Size>([0-9]{1,19})</Size>"
    f"|<StorageClass>({_TEXT})</StorageClass>"
    "|<RestoreStatus>((?:"
    f"<IsRestoreInProgress>{_TEXT}</IsRestoreInProgress>|<RestoreExpiryDate>{_TEXT}</RestoreExpiryDate>"
    ")*)</RestoreStatus>"
    f"|<Owner>(?:<ID>{_TEXT}</ID>|<DisplayName>{_TEXT}</DisplayName>)*</Owner>"
    f"|<ChecksumAlgorithm>{_TEXT}</ChecksumAlgorithm>"
    f"|<ChecksumType>{_TEXT}</ChecksumType>"
    f"|<Type>{_TEXT}</Type>"
    ")*</Contents>"
)
_BEGIN: Final = "<Contents>"
_END: Final = "</Contents>"


def list_page(body: bytes, token: str | None) -> ListPage:
    """Return one page of ListObjectsV2, the response to a request with ``token``.

    Raises:
        InvalidAnswerError: it is no page, or does not say whether it is the last one.
        NoTokenError: it is not the last one, but does not say where the next one begins.
    """
    page, facts = _page(body)
    if not is_truncated(facts):
        return page
    following = facts.get("NextContinuationToken", "")
    if not following or following == token:
        raise NoTokenError
    return page._replace(next_token=following)


def marker_page(body: bytes, marker: str) -> ListPage:
    """Return one page of ListObjects, the response to ``marker``; raises as :func:`list_page`."""
    page, facts = _page(body)
    if not is_truncated(facts):
        return page
    try:
        reported = decoded(facts.get("NextMarker", ""), facts.get("EncodingType") == "url")
    except ValueError as error:
        raise InvalidAnswerError("a marker that is none") from error
    return page._replace(next_token=next_marker(page.entries, page.prefixes, reported, marker))


def _page(body: bytes) -> tuple[ListPage, dict[str, str]]:
    """Return the entries of a page and its own fields."""
    head, fields = plain_entries(body) or parsed_entries(body)
    facts = head.facts
    encoded = facts.get("EncodingType") == "url"
    try:
        entries = _entries(fields, encoded)
        prefixes = [decoded(prefix, encoded) for prefix in head.prefixes]
    except (ValueError, OverflowError) as error:
        raise InvalidAnswerError("an entry that is not one") from error
    return ListPage(entries, prefixes, None), facts


def is_truncated(facts: Mapping[str, str]) -> bool:
    """Return whether a page is not the last one; raises InvalidAnswerError where it does not say so."""
    said = facts.get("IsTruncated", "").strip()
    if said not in ("true", "false"):
        raise InvalidAnswerError("no IsTruncated")
    return said == "true"


def plain_entries(body: bytes) -> tuple[PageHead, list[_Fields]] | None:
    """Return the fields of the page itself, and the entries; ``None`` where some are not in the plain form.

    Nothing is skipped: an entry has one begin and one end, so if there are no more of either than entries,
    and each end but the last is followed by a begin, the entries have nothing between them. The rest without
    them has to be a complete document.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    if "<!" in text:
        return None
    start, end = text.find(_BEGIN), text.rfind(_END) + len(_END)
    if start < 0:
        head = read_head(text, _ROOT)
        return None if head.contents else (head, [])
    if end <= start:
        return None
    fields: list[_Fields] = _CONTENTS.findall(text, start, end)
    count = len(fields)
    if (text.count(_BEGIN), text.count(_END), text.count(_END + _BEGIN)) != (count, count, count - 1):
        return None
    head = read_head(f"{text[:start]}<Contents/>{text[end:]}", _ROOT)
    return (head, fields) if head.contents == 1 else None


def parsed_entries(body: bytes) -> tuple[PageHead, list[_Fields]]:
    """Return the fields of the page and its entries, in any form of XML."""
    from aios3sync.store.wire.xml_documents import children, document  # few pages have another form

    root = document(body, _ROOT)
    space = root.tag.removesuffix(_ROOT)
    names = [f"{space}{name}" for name in ("Key", "LastModified", "ETag", "Size", "StorageClass")]
    key, modified, etag, size, storage = names
    fields = []
    for element in root:
        if element.tag == f"{space}Contents":
            text = element.findtext
            etag_text = bare_etag(text(etag, ""))
            status = element.find(f"{space}RestoreStatus")
            restore = "" if status is None else "".join(f"<{n}>{t}" for n, t in children(status).items())
            fields.append(
                (text(key, ""), text(modified, ""), etag_text, text(size, ""), text(storage, ""), restore)
            )
    prefixes = [
        prefix.text or ""
        for group in root.iterfind(f"{space}CommonPrefixes")
        for prefix in group.iterfind(f"{space}Prefix")
    ]
    return PageHead(children(root), prefixes, len(fields)), fields


def _entries(fields: Iterable[_Fields], encoded: bool) -> list[TargetEntry]:
    minutes: dict[str, float] = {"": 0.0}
    entries = []
    for key, modified, etag, size, storage, restore in fields:
        if not (key and size.isascii() and size.isdigit()):
            raise InvalidAnswerError("an entry without key or size")
        if len(size) > _LONGEST and int(size) > LARGEST:
            raise InvalidAnswerError("an entry of a size that no object has")
        if encoded and ("%" in key or "+" in key):
            key = decoded(key, encoded=True)
        moment = timestamp(modified, minutes) if modified else 0.0
        # Half the time of the constructor, which is a function of Python.
        status = _restore_of(restore) if restore else ""
        entries.append(_new(TargetEntry, (key, int(size), etag, moment, storage, "", status)))
    return entries


def _restore_of(status: str) -> Restore:
    """Return the restore status from the elements of a RestoreStatus."""
    if "<IsRestoreInProgress>true" in status:
        return "ongoing"
    return "done" if "<RestoreExpiryDate>" in status else ""


def decoded(text: str, encoded: bool) -> str:
    """Return a key decoded; servers encode only where they say so, and most write a space as ``+``."""
    if not encoded or ("%" not in text and "+" not in text):
        return text
    from urllib.parse import unquote_plus  # most keys are written as they are

    return unquote_plus(text, errors="strict")


def timestamp(text: str, minutes: dict[str, float]) -> float:
    """Return seconds since the epoch; the last minute is cached, as objects are often written together."""
    if len(text) in _ISO_LENGTHS and text[16] == ":" and text[-1] == "Z":
        begin = minutes.get(text[:16])
        if begin is None:
            begin = minutes[text[:16]] = datetime.fromisoformat(f"{text[:16]}Z").timestamp()
        return begin + float(text[17:-1])
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
