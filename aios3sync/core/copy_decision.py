"""Decides what a sync from bucket to bucket does with one key, from its three entries. Pure.

A row of such a pair describes the object that was copied: its size, its time of change, and in the place of
the MD5 its ETag. With it, objects whose ETags cannot be equal are not copied again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aios3sync.core.actions import Action, AdoptCopy, CopyObject, Keep, Reason
from aios3sync.core.decision import decide_absent, is_recorded
from aios3sync.core.etag import Proof, proof, same_etag

if TYPE_CHECKING:
    from aios3sync.core.entries import RecordedEntry, TargetEntry
    from aios3sync.core.policy import Policy

__all__ = ("decide_copy",)

_KEEP: Final = Keep()


def decide_copy(
    source: TargetEntry | None,
    recorded: RecordedEntry | None,
    target: TargetEntry | None,
    policy: Policy,
) -> Action:
    """Choose what to do with one key; both sides were listed.

    ======  =======================  ===================  ================================================
    source  recorded                 target               action
    ======  =======================  ===================  ================================================
    yes     any                      no                   CopyObject(new); if it is recorded, of (missing)
    yes     with both present ETags  yes                  Keep
    yes     else                     same size and ETag,  AdoptCopy
                                     which proves it
    yes     else                     other size           CopyObject(size)
    yes     the ETag of the source   another ETag         CopyObject(drifted)
    yes     else                     another ETag         CopyObject(content); if not both ETags are those
                                                          of whole bodies, of (indeterminate)
    no      any                      any                  as in :func:`~aios3sync.core.decision.decide`
    ======  =======================  ===================  ================================================

    Without ``incremental`` every object is a CopyObject(forced). Two ETags that are equal prove equal content
    even if they are of parts: they are digests of digests.

    Raises:
        ValueError: the key is in none of the three.
    """
    if source is None:
        return decide_absent(recorded, target, policy)
    if target is None:
        return CopyObject(source, _reason_without_target(recorded, policy))
    if not policy.incremental:
        return CopyObject(source, Reason.FORCED, target.etag)
    from_here = recorded is not None and _is_copied(source, recorded)
    if recorded is not None and from_here and is_recorded(target, recorded):
        return _KEEP
    if source.size != target.size:
        return CopyObject(source, Reason.SIZE, target.etag)
    if proof(source.etag, opaque=policy.opaque_etags) is not Proof.NOTHING and same_etag(
        source.etag, target.etag
    ):
        return AdoptCopy(source, target)
    return CopyObject(source, Reason.DRIFTED if from_here else _why(source, target, policy), target.etag)


def _reason_without_target(recorded: RecordedEntry | None, policy: Policy) -> Reason:
    if not policy.incremental:
        return Reason.FORCED
    return Reason.NEW if recorded is None else Reason.MISSING


def _is_copied(source: TargetEntry, recorded: RecordedEntry) -> bool:
    """Return whether the row is of this very object of the source."""
    known = bool(recorded.md5) and recorded.size == source.size
    return known and same_etag(recorded.md5, source.etag)


def _why(source: TargetEntry, target: TargetEntry, policy: Policy) -> Reason:
    kinds = {proof(entry.etag, opaque=policy.opaque_etags) for entry in (source, target)}
    return Reason.CONTENT if kinds == {Proof.MD5} else Reason.INDETERMINATE
