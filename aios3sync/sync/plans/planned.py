"""PlannedAction: one action of a plan, with the facts of its decision. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.actions import CopyObject, Download, UpdateHeaders, Upload
from aios3sync.core.entries import SourceEntry
from aios3sync.core.etag import same_etag

__all__ = ("ACTIONS", "Facts", "PlannedAction", "difference", "planned_action", "planned_delete")

ACTIONS: Final = ("delete", "upload", "download", "copy", "update")
"""The actions of a plan, in the order of their display."""

Facts = Mapping[str, Any]
"""The facts about one side: size, mtime_ns, ctime_ns and inode of a file, or the ETag of an object."""
_new: Final = tuple.__new__
_STAT: Final = ("size", "mtime", "ctime", "inode")


class PlannedAction(NamedTuple):
    """One action that a run would carry out.

    Attributes:
        action: one of :data:`ACTIONS`.
        key: relative to the prefix.
        size: bytes that are sent, fetched, copied or deleted.
        reason: why, as text.
        source: the file or object that it transfers; ``None`` for a delete.
        target: the object or file that it replaces or deletes; ``None`` where there is none, as far as the
            plan knows.
    """

    action: str
    key: str
    size: int
    reason: str
    source: Facts | None
    target: Facts | None


def planned_action(action: Upload | Download | CopyObject | UpdateHeaders) -> PlannedAction:
    """Return the plan's form of an action."""
    key, size, reason = action.source.key, action.source.size, action.reason.value
    match action:
        case Upload(source=file, replaces=etag):
            return PlannedAction("upload", key, size, reason, _file(file), _object(etag))
        case Download(source=there, replaces=file):
            return PlannedAction("download", key, size, reason, _object(there.etag), file and _file(file))
        case CopyObject(source=there, replaces=etag):
            return PlannedAction("copy", key, size, reason, _object(there.etag), _object(etag))
        case UpdateHeaders(source=file, recorded=row):
            return PlannedAction("update", key, size, reason, _file(file), _object(row.etag))


def planned_delete(key: str, size: int, reason: str, etag: str, stat: tuple[int, ...]) -> PlannedAction:
    """Return the plan's form of a delete: of an object by its ETag, of a file by its stat."""
    there = _file(SourceEntry(key, size, *stat)) if stat else {"etag": etag}
    # Half the time of the constructor, which is a function of Python: these may be millions.
    return _new(PlannedAction, ("delete", key, size, reason, None, there))


def _file(entry: SourceEntry) -> Facts:
    return {
        "size": entry.size,
        "mtime_ns": entry.mtime_ns,
        "ctime_ns": entry.ctime_ns,
        "inode": entry.inode,
    }


def _object(etag: str) -> Facts | None:
    return {"etag": etag} if etag else None


def difference(planned: PlannedAction, now: PlannedAction, stat_fields: tuple[str, ...]) -> str:
    """Return how the action of now differs from the planned one; empty if it does not.

    An upload may replace a planned update of headers: it stores the same file with the same headers.

    Args:
        planned: the action of the plan.
        now: the action for the current state of both sides.
        stat_fields: which of size, mtime, ctime and inode make "the same file".
    """
    if planned.action != now.action and (planned.action, now.action) != ("update", "upload"):
        return f"it asks for {_article(now.action)} by now: {now.reason}"
    if not _agree(planned.source, now.source, stat_fields):
        return "the source has changed since"
    if not _agree(planned.target, now.target, stat_fields):
        return "the target has changed since"
    return ""


def _article(action: str) -> str:
    return f"an {action}" if action[0] in "aeiou" else f"a {action}"


def _agree(planned: Facts | None, now: Facts | None, stat_fields: tuple[str, ...]) -> bool:
    if planned is None or now is None:
        return planned is now
    if "etag" in planned or "etag" in now:
        one, other = planned.get("etag"), now.get("etag")
        return one is not None and other is not None and (one == other or same_etag(one, other))
    names = [f"{name}_ns" if name.endswith("time") else name for name in _STAT if name in stat_fields]
    return all(name in planned and planned[name] == now.get(name) for name in names)
