"""Decides what a download does with one key, from its three entries. Pure: no I/O, no clock, no logging.

The manifest is that of :mod:`~aios3sync.core.decision`: a row says which object and which file were the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aios3sync.core.actions import (
    Action,
    Adopt,
    CompareDigest,
    Conflict,
    Delete,
    Download,
    Forget,
    Keep,
    Reason,
    Touch,
)
from aios3sync.core.decision import is_recorded, is_recorded_content, same_stat
from aios3sync.core.etag import Proof, proof, same_etag

if TYPE_CHECKING:
    from aios3sync.core.decision import Evidence
    from aios3sync.core.entries import RecordedEntry, SourceEntry, TargetEntry
    from aios3sync.core.policy import Policy

__all__ = ("decide_download", "needs_head_for_download", "settle_download")

_KEEP: Final = Keep()
_KEEP_OFF: Final = Keep(Reason.OFF)
_KEEP_NOT_OURS: Final = Keep(Reason.NOT_OURS)


def decide_download(
    source: TargetEntry | None,
    recorded: RecordedEntry | None,
    file: SourceEntry | None,
    policy: Policy,
) -> Action:
    """Choose what to do with one key of a download.

    ==============  ========  ==================  ====================================================
    object          recorded  file                action
    ==============  ========  ==================  ====================================================
    yes             no        no                  Download(new)
    yes             no        yes                 CompareDigest with the object; Download(size) where
                                                  files may be overwritten and the size differs
    recorded ETag   yes       no                  Download(missing)
    recorded ETag   yes       recorded stat       Keep
    recorded ETag   yes       other stat          CompareDigest, with the recorded MD5
    other ETag      yes       no                  Download(content)
    other ETag      yes       recorded stat       Download(content)
    other ETag      yes       other stat          CompareDigest with the object
    no              yes       recorded stat       Delete if ``tracked`` or ``mirror``, else Keep
    no              yes       other stat          ``mirror``: Delete; ``tracked``: Conflict; else Keep
    no              yes       no                  Forget
    no              no        yes                 Delete if ``mirror``, else Keep (not ours)
    ==============  ========  ==================  ====================================================

    "Recorded stat" is that of a settled row; of an unsettled row any file has another stat. With ``content``
    no stat is enough. Without ``incremental`` every object is a Download(forced) in the place of Keep and of
    Download, while files with another stat than the recorded one are compared all the same: what they hold
    may be nowhere else.

    Raises:
        ValueError: the key is in none of the three.
    """
    if source is None:
        return _decide_absent(recorded, file, policy)
    if file is None:
        return Download(source, _reason_without_file(source, recorded, policy))
    if recorded is None:
        if policy.overwrite and file.size != source.size and not policy.encoding(source.key):
            return Download(source, Reason.SIZE, file, overwrite=True)
        return CompareDigest(file, None, source)
    if not recorded.settled or not same_stat(file, recorded, policy):
        return CompareDigest(file, recorded, source)
    if not is_recorded(source, recorded):
        return Download(source, Reason.CONTENT if policy.incremental else Reason.FORCED, file)
    if not policy.incremental:
        return Download(source, Reason.FORCED, file)
    return CompareDigest(file, recorded, source) if policy.content else _KEEP


def _reason_without_file(source: TargetEntry, recorded: RecordedEntry | None, policy: Policy) -> Reason:
    if not policy.incremental:
        return Reason.FORCED
    if recorded is None:
        return Reason.NEW
    return Reason.MISSING if is_recorded(source, recorded) else Reason.CONTENT


def _decide_absent(recorded: RecordedEntry | None, file: SourceEntry | None, policy: Policy) -> Action:
    if file is None:
        if recorded is None:
            raise ValueError("nothing is known of this key")
        return Forget(recorded.key)
    if recorded is None:
        return _delete(file, recorded, Reason.MIRROR) if policy.delete == "mirror" else _KEEP_NOT_OURS
    if policy.delete == "off":
        return _KEEP_OFF
    as_recorded = same_stat(file, recorded, policy)
    if policy.delete == "mirror" or as_recorded:
        return _delete(file, recorded, Reason.TRACKED)
    return Conflict(file.key, Reason.CHANGED_HERE)


def _delete(file: SourceEntry, recorded: RecordedEntry | None, reason: Reason) -> Delete:
    etag = "" if recorded is None else recorded.etag
    return Delete(file.key, etag, file.size, recorded is not None, reason)


def needs_head_for_download(compare: CompareDigest, evidence: Evidence) -> bool:
    """Return whether only the object's metadata can settle the comparison, so that one HEAD is worth it."""
    if evidence.stored is not None or _is_row(compare, evidence):
        return False
    unchanged = compare.recorded is not None and is_recorded(_object(compare), compare.recorded)
    return not (unchanged and compare.recorded.md5) and _match(compare, evidence) is None  # type: ignore[union-attr]


def settle_download(compare: CompareDigest, evidence: Evidence, policy: Policy) -> Action:
    """Decide a CompareDigest of a download with the evidence.

    =====================================================  ===============================================
    file hashed                                            action
    =====================================================  ===============================================
    recorded ETag, recorded MD5, recorded and settled stat  Keep
    recorded ETag, recorded MD5, else                      Touch
    the object's ETag, metadata or checksum equal          Adopt
    other ETag, recorded MD5                               Download(content)
    recorded ETag, other MD5                               Conflict(changed here)
    the object proves nothing                              Download(indeterminate), compared when it is here
    other ETag, other MD5                                  Conflict(both changed)
    not recorded, differs                                  Conflict(unrecorded)
    =====================================================  ===============================================

    With ``overwrite`` each Conflict is a Download.
    """
    source, recorded, file = _object(compare), compare.recorded, compare.source
    unchanged = recorded is not None and is_recorded(source, recorded)
    adopted = None if unchanged and recorded is not None and recorded.md5 else _match(compare, evidence)
    if recorded is not None and unchanged and (_is_row(compare, evidence) or adopted is not None):
        if not same_stat(file, recorded, policy):
            return Touch(file, recorded if recorded.md5 else recorded._replace(md5=evidence.md5))
        return _KEEP if recorded.settled else Touch(file, recorded, Reason.UNSETTLED)
    if adopted is not None:
        return adopted
    if _is_row(compare, evidence):
        return Download(source, Reason.CONTENT, file)
    if not unchanged and _is_indeterminate(compare, evidence, policy):
        return Download(source, Reason.INDETERMINATE, file, evidence.md5, policy.overwrite)
    if policy.overwrite:
        return Download(source, Reason.CONTENT, file, overwrite=True)
    if recorded is None:
        return Conflict(file.key, Reason.UNRECORDED)
    return Conflict(file.key, Reason.CHANGED_HERE if unchanged else Reason.BOTH_CHANGED)


def _object(compare: CompareDigest) -> TargetEntry:
    assert compare.target is not None  # noqa: S101 - every comparison of a download has an object
    return compare.target


def _is_row(compare: CompareDigest, evidence: Evidence) -> bool:
    """Return whether the file has the content that a sync wrote or sent."""
    recorded = compare.recorded
    return recorded is not None and is_recorded_content(recorded, evidence)


def _match(compare: CompareDigest, evidence: Evidence) -> Adopt | None:
    """Return the Adopt that the evidence allows, or ``None``."""
    file, source, stored = compare.source, _object(compare), evidence.stored
    if source.size == file.size:
        if same_etag(source.etag, evidence.md5):
            return Adopt(file, source, evidence.md5)
        for part_size, etag in evidence.part_etags.items():
            if same_etag(source.etag, etag):
                return Adopt(file, source, evidence.md5, part_size)
        if stored is not None and stored.same_bytes:
            return Adopt(file, source, evidence.md5)
    if stored is None or stored.md5 != evidence.md5:
        return None
    is_plain = not stored.encoding and proof(source.etag, opaque=stored.opaque) is Proof.MD5
    return None if is_plain else Adopt(file, source, evidence.md5, encoding=stored.encoding)


def _is_indeterminate(compare: CompareDigest, evidence: Evidence, policy: Policy) -> bool:
    """Return whether neither the ETag nor metadata tell what the object holds."""
    file, source, stored = compare.source, _object(compare), evidence.stored
    if stored is not None and stored.same_bytes is False:
        return False
    if stored is not None and (stored.md5 or stored.encoding):
        return not stored.md5
    opaque = policy.opaque_etags or (stored is not None and stored.opaque)
    return source.size == file.size and proof(source.etag, opaque=opaque) is not Proof.MD5
