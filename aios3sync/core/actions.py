"""The actions that can be decided for one key, as frozen values. Pure."""

from __future__ import annotations

from enum import StrEnum

from aios3sync._dataclass import dataclass
from aios3sync._typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aios3sync.core.entries import RecordedEntry, SourceEntry, TargetEntry

__all__ = (
    "BY_TARGET",
    "KEPT",
    "UNCOUNTED",
    "Action",
    "Adopt",
    "AdoptCopy",
    "CompareDigest",
    "Conflict",
    "CopyObject",
    "Delete",
    "Download",
    "Forget",
    "Keep",
    "NeedListing",
    "Reason",
    "Touch",
    "UpdateHeaders",
    "Upload",
)


class Reason(StrEnum):
    """Why an action was chosen, in words for reports."""

    NEW = "new"
    SIZE = "size differs"
    CONTENT = "content differs"
    MISSING = "missing in the target"
    DRIFTED = "replaced in the target"
    ENCODING = "encoding changed"
    HEADERS = "other headers are asked for"
    FORCED = "everything was asked for"
    INDETERMINATE = "nothing proves it is the same"
    SAME = "unchanged"
    STAT = "only the stat changed"
    UNSETTLED = "too young to trust its stat"
    EQUAL = "the target holds the same content"
    TRACKED = "uploaded by us, gone from the source"
    MIRROR = "not in the source"
    GONE = "gone on both sides"
    NOT_OURS = "not ours"
    OFF = "deleting is off"
    PROTECTED = "protected"
    FOREIGN = "gone from the source, but replaced in the target since our upload"
    SILENT = "content changed without its stat"
    CHANGED_HERE = "the file was changed since the last sync"
    BOTH_CHANGED = "the file and the object were both changed since the last sync"
    UNRECORDED = "the file differs from the object, and no sync wrote it"


UNCOUNTED: Final = frozenset({Reason.NOT_OURS, Reason.PROTECTED})
"""What is kept for these reasons is no part of the sync, and is not counted."""
BY_TARGET: Final = frozenset(
    {Reason.MISSING, Reason.DRIFTED, Reason.SIZE, Reason.CONTENT, Reason.INDETERMINATE}
)
"""Reasons of a transfer that go by what the target holds, which an inventory may not show as it is now."""
KEPT: Final = "; kept, --on-conflict overwrite replaces it"
"""What follows the reason why a download keeps a file that differs from its object."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing to do."""

    reason: Reason = Reason.SAME


@dataclass(frozen=True, slots=True)
class Upload:
    """Send the file.

    Attributes:
        source: the file as it was seen.
        reason: why.
        md5: its digest (hex) where it was computed on the way to the decision.
        replaces: the ETag of the object that it replaces, as far as that is known; empty for none.
    """

    source: SourceEntry
    reason: Reason
    md5: str = ""
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch the object.

    Attributes:
        source: the object, its key relative to the prefix.
        reason: why.
        replaces: the file that the comparison saw in its place, ``None`` for none. A file of another stat is
            never replaced.
        md5: where it is set, nothing else proves whether the file is the same: what was fetched replaces it
            only if it has another digest, and then only with ``overwrite``; else it is a conflict.
        overwrite: the file may be replaced whatever it holds.
    """

    source: TargetEntry
    reason: Reason
    replaces: SourceEntry | None = None
    md5: str = ""
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class CopyObject:
    """Copy the object from one bucket to the other. ``replaces`` is the ETag that the target has now."""

    source: TargetEntry
    reason: Reason
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class AdoptCopy:
    """The target already holds this object: record it as if we had copied it."""

    source: TargetEntry
    target: TargetEntry
    reason: Reason = Reason.EQUAL


@dataclass(frozen=True, slots=True)
class Touch:
    """Same content, other stat: write the row again, send nothing."""

    source: SourceEntry
    recorded: RecordedEntry
    reason: Reason = Reason.STAT


@dataclass(frozen=True, slots=True)
class UpdateHeaders:
    """The object has this content and other headers than are asked for: copy it onto itself with these.

    ``settled`` says whether the stat of ``source`` can be trusted from now on.
    """

    source: SourceEntry
    recorded: RecordedEntry
    settled: bool = True
    reason: Reason = Reason.HEADERS


@dataclass(frozen=True, slots=True)
class Adopt:
    """The target already holds this content: record it as if we had uploaded it."""

    source: SourceEntry
    target: TargetEntry
    md5: str
    part_size: int = 0
    encoding: str = ""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object. ``tracked`` means that a row of the manifest is dropped with it."""

    key: str
    etag: str
    size: int
    tracked: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop the row: neither side has the key any more."""

    key: str


@dataclass(frozen=True, slots=True)
class CompareDigest:
    """Hash the file and decide again, see :func:`~aios3sync.core.decision.settle`.

    The digest is compared with the object where ``target`` is set, else with the recorded digest. With
    ``otherwise`` the file is uploaded for that reason, unless its content changed without its stat, and then
    replaces the object with the ETag ``replaces``.
    """

    source: SourceEntry
    recorded: RecordedEntry | None
    target: TargetEntry | None
    otherwise: Reason | None = None
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Either choice could lose data: keep both sides and report it. ``forget`` drops the row."""

    key: str
    reason: Reason
    forget: bool = False


@dataclass(frozen=True, slots=True)
class NeedListing:
    """The key is gone from the source; only a listing can show whether its object may be deleted."""

    key: str


Action = (
    Keep
    | Upload
    | Download
    | CopyObject
    | UpdateHeaders
    | Touch
    | Adopt
    | AdoptCopy
    | Delete
    | Forget
    | CompareDigest
    | Conflict
    | NeedListing
)
