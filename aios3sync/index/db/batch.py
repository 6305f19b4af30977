"""Plan a batch of changes: which rows to insert, update and remove; pure.

It decides which of two changes of a key is the later one, which facts of a known object the index keeps, and
how the sums of the folders change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Final

import orjson

from aios3sync._dataclass import dataclass, field
from aios3sync._namedtuple import NamedTuple
from aios3sync.index.rows import Applied, Change, Facts, Upsert, ancestors

__all__ = ("FACTS", "BatchPlan", "Known", "Sums", "facts_of", "fold", "plan_batch")

FACTS: Final = (
    *("key", "size", "etag", "content_type", "storage_class", "width", "height", "metadata", "thumbnail"),
    *("uploaded_at", "last_modified", "observed", "sequencer"),
)
"""The columns of a row that a change sets, in the order of :class:`Known`."""

_KEY: Final = itemgetter(0)


class Known(NamedTuple):
    """A row or a removal that the index knows: :data:`~aios3sync.index.rows.Facts` with names."""

    key: str
    size: int
    etag: str = ""
    content_type: str = ""
    storage_class: str = ""
    width: int | None = None
    height: int | None = None
    metadata: str | None = None
    thumbnail: str = ""
    uploaded_at: float = 0.0
    last_modified: float = 0.0
    observed: float = 0.0
    sequencer: str = ""

    @property
    def removed(self) -> bool:
        """Whether this is a removal."""
        return self.size < 0


def facts_of(change: Change) -> Facts:
    """Return a change as facts, the form in which it is written."""
    if type(change) is not Upsert:
        return (change.key, -1, "", "", "", None, None, None, "", 0.0, 0.0, change.observed, change.sequencer)
    (*first, metadata, thumbnail, uploaded, modified, _), observed, sequencer = change
    text = None if metadata is None else orjson.dumps(dict(metadata), option=orjson.OPT_SORT_KEYS).decode()
    return (*first, text, thumbnail, uploaded, modified, observed, sequencer)


@dataclass(slots=True)
class Sums:
    """The change of the sums of one folder: below it, and directly in it."""

    objects: int = 0
    size: int = 0
    direct: int = 0
    direct_size: int = 0


@dataclass(slots=True)
class BatchPlan:
    """What to write; each list ascends by key, and a key is in at most one of the first three.

    Attributes:
        inserts: rows that do not exist yet.
        updates: rows that exist.
        removes: rows that exist and are to be deleted, as they are stored.
        tombstones: removals to remember.
        revived: keys whose tombstone is to be deleted.
        applied: how many changes had which effect.
    """

    inserts: list[Facts] = field(default_factory=list)
    updates: list[Known] = field(default_factory=list)
    removes: list[Known] = field(default_factory=list)
    tombstones: list[Known] = field(default_factory=list)
    revived: list[str] = field(default_factory=list)
    applied: Applied = field(default_factory=Applied)


def plan_batch(
    changes: Sequence[Facts], stored: Mapping[str, Known], removals: Mapping[str, Known]
) -> BatchPlan:
    """Return the plan of a batch.

    Args:
        changes: in the order in which they arrived; a key may occur several times.
        stored: the rows of their keys.
        removals: the tombstones of their keys.
    """
    if not stored and not removals and (rows := _all_new(changes)) is not None:
        return BatchPlan(inserts=rows, applied=Applied(inserted=len(rows)))
    now: dict[str, Known] = {}
    effects = [0, 0, 0, 0, 0]  # as in Applied
    for change in map(Known._make, changes):
        key = change.key
        known = now.get(key) or stored.get(key) or removals.get(key)
        if known is not None and not _supersedes(change, known):
            effects[4] += 1
            continue
        after = change if change.removed else _merged(change, known)
        now[key] = after
        effects[_effect(known, after)] += 1
    plan = BatchPlan(applied=Applied(*effects))
    for key in sorted(now):
        _add_to_plan(plan, now[key], stored.get(key), removals.get(key))
    return plan


def _all_new(changes: Sequence[Facts]) -> list[Facts] | None:
    """Return the rows if all are upserts of different keys, as of first uploads and listings; else None."""
    if any(change[1] < 0 for change in changes):
        return None
    rows = sorted(changes, key=_KEY)
    return rows if len(set(map(_KEY, rows))) == len(rows) else None


def _supersedes(change: Known, known: Known) -> bool:
    if change.sequencer and known.sequencer:
        return change.sequencer >= known.sequencer
    return change.observed >= known.observed


def _merged(change: Known, known: Known | None) -> Known:
    """Return the row after an upsert; unknown facts of the same object keep their known values."""
    uploaded = change.uploaded_at or change.last_modified or change.observed
    if known is None or known.removed or not _same_object(change, known):
        return change._replace(uploaded_at=uploaded)
    if not change.uploaded_at and not _modified_since(change, known):
        uploaded = known.uploaded_at
    return Known(
        key=change.key,
        size=change.size,
        etag=change.etag or known.etag,
        content_type=change.content_type or known.content_type,
        storage_class=change.storage_class or known.storage_class,
        width=known.width if change.width is None else change.width,
        height=known.height if change.height is None else change.height,
        metadata=known.metadata if change.metadata is None else change.metadata,
        thumbnail=change.thumbnail or known.thumbnail,
        uploaded_at=uploaded,
        last_modified=change.last_modified or known.last_modified,
        observed=max(change.observed, known.observed),
        sequencer=change.sequencer or known.sequencer,
    )


def _same_object(change: Known, known: Known) -> bool:
    return change.size == known.size and (change.etag == known.etag or not change.etag or not known.etag)


def _modified_since(change: Known, known: Known) -> bool:
    """Whether the times of the endpoint differ, in whole seconds: some report no fractions."""
    return bool(
        change.last_modified and known.last_modified and int(change.last_modified) != int(known.last_modified)
    )


def _effect(known: Known | None, after: Known) -> int:
    """Return the index of the effect in Applied: inserted, updated, deleted or unchanged."""
    if known is None or known.removed:
        return 3 if after.removed else 0
    if after.removed:
        return 2
    return 3 if known[:11] == after[:11] else 1


def _add_to_plan(plan: BatchPlan, after: Known, row: Known | None, removal: Known | None) -> None:
    if after.removed:
        plan.tombstones.append(after)
        if row is not None:
            plan.removes.append(row)
        return
    if removal is not None:
        plan.revived.append(after.key)
    if row is None:
        plan.inserts.append(after)
    elif row != after:
        plan.updates.append(after)


def fold(plan: BatchPlan, stored: Mapping[str, Known]) -> dict[str, Sums]:
    """Return the changes of the sums of all folders around the keys of a plan."""
    direct: dict[str, Sums] = {}
    for row in plan.inserts:
        _count(direct, row[0], 1, row[1])
    for row in plan.removes:
        _count(direct, row[0], -1, -row[1])
    for row in plan.updates:
        if (grown := row.size - stored[row.key].size) != 0:
            _count(direct, row.key, 0, grown)
    sums: dict[str, Sums] = {}
    for folder, own in direct.items():
        for path in ancestors(folder):
            total = sums.setdefault(path, Sums())
            total.objects += own.direct
            total.size += own.direct_size
        sums[folder].direct, sums[folder].direct_size = own.direct, own.direct_size
    return sums


def _count(direct: dict[str, Sums], key: str, objects: int, size: int) -> None:
    folder = key[: key.rfind("/") + 1]
    sums = direct.get(folder)
    if sums is None:
        sums = direct[folder] = Sums()
    sums.direct += objects
    sums.direct_size += size
