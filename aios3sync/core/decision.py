"""Decides what to do with one key, from its three entries. Pure: no I/O, no clock, no logging."""

from __future__ import annotations

from enum import Enum

from aios3sync._dataclass import dataclass, field
from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import TYPE_CHECKING, Final, Literal
from aios3sync.core.actions import (
    Adopt,
    CompareDigest,
    Conflict,
    Delete,
    Forget,
    Keep,
    NeedListing,
    Reason,
    Touch,
    UpdateHeaders,
    Upload,
)
from aios3sync.core.entries import TargetEntry
from aios3sync.core.etag import Proof, part_count, part_size_candidates, proof, same_etag
from aios3sync.core.parts import MAX_COPY_SIZE
from aios3sync.core.policy import STAT_FIELDS, Policy, WantedHeaders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aios3sync.core.actions import Action
    from aios3sync.core.entries import RecordedEntry, SourceEntry

__all__ = (
    "UNKNOWN",
    "Evidence",
    "Knowledge",
    "Stored",
    "Unlisted",
    "decide",
    "decide_absent",
    "has_part_digests",
    "is_recorded",
    "is_recorded_content",
    "needs_head",
    "part_sizes",
    "same_stat",
    "settle",
)

_KEEP: Final = Keep()
_KEEP_OFF: Final = Keep(Reason.OFF)
_KEEP_NOT_OURS: Final = Keep(Reason.NOT_OURS)
_KEEP_PROTECTED: Final = Keep(Reason.PROTECTED)


class Unlisted(Enum):
    """The target side of a run that did not list the target."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unlisted.UNKNOWN

Knowledge = TargetEntry | Literal[Unlisted.UNKNOWN] | None
"""The target side of one key: an object, ``None`` for no object, or UNKNOWN where nothing was listed."""


def decide(
    source: SourceEntry | None, recorded: RecordedEntry | None, target: Knowledge, policy: Policy
) -> Action:
    """Choose what to do with one key.

    ======  ===================  ==========  ==========================================================
    source  recorded             target      action
    ======  ===================  ==========  ==========================================================
    yes     no                   no,         Upload(new)
                                 unknown
    yes     no                   yes         size differs and gzip does not apply: Upload(size);
                                             else CompareDigest with the target
    yes     other encoding       any         Upload(encoding)
    yes     yes                  no          Upload(missing)
    yes     size differs         unknown,    Upload(size)
                                 same ETag
    yes     same stat, settled   unknown,    Keep; with other headers than are asked for: UpdateHeaders,
                                 same ETag   or Upload(headers) where a copy is not wanted or too large;
                                             a row without an MD5 is a CompareDigest before the former
    yes     else                 unknown,    CompareDigest with the recorded MD5
                                 same ETag
    yes     yes                  other ETag  size differs and gzip does not apply: Upload(drifted);
                                             else CompareDigest with the target
    no      yes                  same ETag   Delete if ``tracked`` or ``mirror``, else Keep
    no      yes                  other ETag  ``mirror``: Delete; ``tracked``: Conflict; ``off``: Keep
    no      yes                  unknown     NeedListing if deleting is on, else Keep
    no      yes                  no          Forget
    no      no                   yes         Delete if ``mirror``, else Keep (not ours)
    ======  ===================  ==========  ==========================================================

    No Delete for what is protected. A recorded ETag that is empty is the same as no other, not even an empty
    one. Without ``incremental`` every source file is an Upload(forced); with ``content`` "same stat" is never
    enough, and an Upload of a file with its recorded, settled stat is a CompareDigest first. Keys that are
    unreadable in the source never come here as absent: the caller keeps them.

    Raises:
        ValueError: the key is in none of the three.
    """
    if source is None:
        return decide_absent(recorded, target, policy)
    if not policy.incremental:
        return Upload(source, Reason.FORCED, "", _replaced(recorded, target))
    if recorded is None:
        return _decide_unrecorded(source, target, policy)
    action = _decide_recorded(source, recorded, target, policy)
    if isinstance(action, Upload) and _may_be_silent(source, recorded, policy):
        return CompareDigest(source, recorded, None, action.reason, action.replaces)
    return action


def _replaced(recorded: RecordedEntry | None, target: Knowledge) -> str:
    """Return the ETag of the object that an upload replaces: the listed one, else the recorded one."""
    if target is not None and target is not UNKNOWN:
        return target.etag
    return "" if target is None or recorded is None else recorded.etag


def _decide_recorded(
    source: SourceEntry, recorded: RecordedEntry, target: Knowledge, policy: Policy
) -> Action:
    if recorded.encoding != policy.encoding(source.key):
        return Upload(source, Reason.ENCODING, "", _replaced(recorded, target))
    if target is None:
        return Upload(source, Reason.MISSING)
    if target is not UNKNOWN and not is_recorded(target, recorded):
        if not recorded.encoding and target.size != source.size:
            return Upload(source, Reason.DRIFTED, "", target.etag)
        return CompareDigest(source, recorded, target)
    if source.size != recorded.size:
        return Upload(source, Reason.SIZE, "", recorded.etag)
    if recorded.settled and not policy.content and same_stat(source, recorded, policy):
        asked = policy.headers
        if asked is None or recorded.headers == asked.uniform or not asked.differ(recorded):
            return _KEEP
        action = _with_headers(source, recorded, asked)
        # A copy may have another ETag, and without an MD5 the row would have no digest of the content left.
        if recorded.md5 or isinstance(action, Upload):
            return action
    return CompareDigest(source, recorded, None)


def _with_headers(
    source: SourceEntry, recorded: RecordedEntry, asked: WantedHeaders, md5: str = ""
) -> UpdateHeaders | Upload:
    if asked.copy and source.size <= MAX_COPY_SIZE:
        return UpdateHeaders(source, recorded)
    return Upload(source, Reason.HEADERS, md5, recorded.etag)


def _decide_unrecorded(source: SourceEntry, target: Knowledge, policy: Policy) -> Action:
    if target is None or target is UNKNOWN:
        return Upload(source, Reason.NEW)
    if target.size != source.size and not policy.encoding(source.key):
        return Upload(source, Reason.SIZE, "", target.etag)
    return CompareDigest(source, None, target)


def decide_absent(recorded: RecordedEntry | None, target: Knowledge, policy: Policy) -> Action:
    """Choose what to do with one key that the source does not have; see :func:`decide`."""
    if recorded is None:
        if target is None or target is UNKNOWN:
            raise ValueError("nothing is known of this key")
        if policy.delete != "mirror":
            return _KEEP_NOT_OURS
        return _delete(target, policy, tracked=False)
    if target is None:
        return Forget(recorded.key)
    if policy.delete == "off":
        return _KEEP_OFF
    if target is UNKNOWN:
        return NeedListing(recorded.key)
    if policy.delete == "mirror" or is_recorded(target, recorded):
        return _delete(target, policy, tracked=True)
    return Conflict(target.key, Reason.FOREIGN, forget=True)


def is_recorded(target: TargetEntry, recorded: RecordedEntry) -> bool:
    """Return whether the object is the recorded one: it has the same ETag, which is not empty."""
    return bool(recorded.etag) and (target.etag == recorded.etag or same_etag(target.etag, recorded.etag))


def _delete(target: TargetEntry, policy: Policy, *, tracked: bool) -> Delete | Keep:
    if policy.protection.covers(target.key, target.size, tracked=tracked):
        return _KEEP_PROTECTED
    reason = Reason.TRACKED if tracked else Reason.MIRROR
    return Delete(target.key, target.etag, target.size, tracked, reason)


def same_stat(source: SourceEntry, recorded: RecordedEntry, policy: Policy) -> bool:
    """Return whether the file has the stat that it had at its hashing: equality, never an order of times."""
    if policy.stat_fields == STAT_FIELDS:
        return source[1:5] == recorded[1:5]
    return all(
        source[1 + place] == recorded[1 + place]
        for place, name in enumerate(STAT_FIELDS)
        if name in policy.stat_fields
    )


class Stored(NamedTuple):
    """The result of one HEAD of an object.

    Attributes:
        md5: of its original content, in its metadata, if any.
        encoding: its ``Content-Encoding``.
        opaque: its ETag proves nothing, by its encryption.
        same_bytes: whether the file has the checksum that the endpoint keeps of the stored bytes; ``None``
            where there is none, or none was needed.
    """

    md5: str
    encoding: str = ""
    opaque: bool = False
    same_bytes: bool | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The digests and metadata that settle a CompareDigest.

    Attributes:
        md5: hex digest of the file.
        part_etags: multipart ETag of the file for each part size that fits the target's ETag.
        stored: the result of a HEAD, ``None`` while none was sent.
    """

    md5: str
    part_etags: Mapping[int, str] = field(default_factory=dict)
    stored: Stored | None = None


def needs_head(compare: CompareDigest, evidence: Evidence, policy: Policy) -> bool:
    """Return whether only the object's metadata can settle the comparison, so that one HEAD is worth it."""
    if compare.target is None or evidence.stored is not None or _is_silent(compare, evidence, policy):
        return False
    return _match(compare, evidence, policy) is None


def settle(compare: CompareDigest, evidence: Evidence, policy: Policy) -> Action:
    """Decide a CompareDigest with the evidence: an indeterminate comparison uploads (P13).

    ============================================  ======================================
    file hashed                                   action
    ============================================  ======================================
    MD5 differs, same settled stat (``content``)  Conflict(silent), or Upload if accepted
    an upload was due otherwise                   Upload for that reason
    target's ETag, metadata or checksum equal     Adopt
    target's ETag, metadata or checksum differ    Upload(drifted or content)
    target proves nothing                         Upload(indeterminate)
    recorded MD5 equal, other headers asked for   UpdateHeaders or Upload(headers)
    recorded MD5 equal, same settled stat         Keep
    recorded MD5 equal, else                      Touch
    recorded MD5 differs                          Upload(content)
    ============================================  ======================================

    A row without an MD5 is compared by its ETag, see :func:`is_recorded_content`.

    Metadata counts only where the ETag proves nothing of the original bytes. An ETag that is equal to a
    digest of the file proves it under any encryption and at any endpoint: 128 bits do not agree by chance.
    """
    source, recorded, target = compare.source, compare.recorded, compare.target
    if _is_silent(compare, evidence, policy):
        return Conflict(source.key, Reason.SILENT)
    if compare.otherwise is not None:
        return Upload(source, compare.otherwise, evidence.md5, compare.replaces)
    if target is not None:
        adopted = _match(compare, evidence, policy)
        if adopted is not None:
            return adopted
        return Upload(source, _why_not_adopted(compare, evidence, policy), evidence.md5, target.etag)
    if recorded is None or not is_recorded_content(recorded, evidence):
        return Upload(source, Reason.CONTENT, evidence.md5, _replaced(recorded, UNKNOWN))
    recorded = recorded if recorded.md5 else recorded._replace(md5=evidence.md5)
    if policy.headers is not None and policy.headers.differ(recorded):
        return _with_headers(source, recorded, policy.headers, evidence.md5)
    if not same_stat(source, recorded, policy):
        return Touch(source, recorded)
    return _KEEP if recorded.settled else Touch(source, recorded, Reason.UNSETTLED)


def is_recorded_content(recorded: RecordedEntry, evidence: Evidence) -> bool:
    """Return whether a file has the content of its row.

    A row without an MD5 is of a transfer that the digests of its parts proved: the ETag has them.
    """
    if recorded.md5:
        return recorded.md5 == evidence.md5
    etags = (evidence.md5, *evidence.part_etags.values())
    return not recorded.encoding and any(same_etag(recorded.etag, etag) for etag in etags)


def has_part_digests(recorded: RecordedEntry) -> bool:
    """Return whether the ETag of a row without an MD5 has the digests of the parts of its content.

    Invariant: such an ETag was computed from the file, or from what was received; it is no guess.
    """
    size = recorded.part_size
    if recorded.md5 or recorded.encoding or not size:
        return False
    return part_count(recorded.etag) == max(1, -(-recorded.size // size))


def part_sizes(compare: CompareDigest, *likely: int) -> tuple[int, ...]:
    """Return the sizes of the parts whose digests can settle a comparison.

    Args:
        compare: what is asked.
        likely: part sizes that are the most likely after the recorded one.
    """
    size, target, recorded = compare.source.size, compare.target, compare.recorded
    known = [recorded.part_size] if recorded is not None and recorded.part_size else []
    sizes: tuple[int, ...] = ()
    if target is not None:
        sizes = part_size_candidates(size, part_count(target.etag), *known, *likely)
    if recorded is None or recorded.md5 or recorded.size != size:
        return sizes
    of_row: tuple[int, ...] = (recorded.part_size,)
    if not has_part_digests(recorded):
        of_row = part_size_candidates(size, part_count(recorded.etag), *known, *likely)
    return tuple(dict.fromkeys((*of_row, *sizes)))


def _may_be_silent(source: SourceEntry, recorded: RecordedEntry, policy: Policy) -> bool:
    """Return whether a content other than the recorded one would be a silent change."""
    asked = policy.content and not policy.accept_content
    known = recorded.settled and (bool(recorded.md5) or has_part_digests(recorded))
    return asked and known and same_stat(source, recorded, policy)


def _is_silent(compare: CompareDigest, evidence: Evidence, policy: Policy) -> bool:
    recorded = compare.recorded
    if recorded is None or is_recorded_content(recorded, evidence):
        return False
    if not recorded.md5 and recorded.part_size not in evidence.part_etags:
        return False  # what its ETag is compared with is not known
    return _may_be_silent(compare.source, recorded, policy)


def _match(compare: CompareDigest, evidence: Evidence, policy: Policy) -> Adopt | None:
    """Return the Adopt that the evidence allows, or ``None``."""
    source, target = compare.source, compare.target
    assert target is not None  # noqa: S101 - both callers ask only about targets
    stored, wanted = evidence.stored, policy.encoding(source.key)
    opaque = policy.opaque_etags or (stored is not None and stored.opaque)
    if not wanted and target.size == source.size:
        if same_etag(target.etag, evidence.md5):
            return Adopt(source, target, evidence.md5)
        for part_size, etag in evidence.part_etags.items():
            if same_etag(target.etag, etag):
                return Adopt(source, target, evidence.md5, part_size)
        of_body = proof(target.etag, opaque=opaque) is Proof.MD5
        if of_body and stored is not None and not stored.encoding:
            return None  # the ETag is of these very bytes; metadata that says otherwise came from elsewhere
        if stored is not None and stored.same_bytes and not stored.encoding:
            return Adopt(source, target, evidence.md5)
    if stored is not None and stored.md5 == evidence.md5 and stored.encoding == wanted:
        return Adopt(source, target, evidence.md5, encoding=wanted)
    return None


def _why_not_adopted(compare: CompareDigest, evidence: Evidence, policy: Policy) -> Reason:
    target, stored = compare.target, evidence.stored
    opaque = policy.opaque_etags or (stored is not None and stored.opaque)
    has_md5 = bool(stored and (stored.md5 or stored.same_bytes is False))
    opaque = opaque or bool(policy.encoding(compare.source.key))  # an ETag is of the bytes as stored
    if target is not None and not has_md5 and proof(target.etag, opaque=opaque) is not Proof.MD5:
        return Reason.INDETERMINATE
    return Reason.DRIFTED if compare.recorded is not None else Reason.CONTENT
