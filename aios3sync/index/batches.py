"""What a batch of changes does to the rows that are there; pure: it decides, and others write.

Which of two changes of a key is the later one, what an index keeps of an object it already knows, and how
the sums of the folders move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final, NamedTuple

import orjson

from aios3sync.index.paths import ancestors
from aios3sync.index.rows import Applied, Change, ObjectRow, Removal, Upsert

__all__ = ("FACTS", "BatchPlan", "Known", "Sums", "fold", "metadata_text", "plan_batch")

FACTS: Final = (
    *("key", "size", "etag", "content_type", "storage_class", "width", "height", "metadata", "thumbnail"),
    *("uploaded_at", "last_modified", "observed", "sequencer"),
)
"""The columns of a row that changes bring, in the order of :class:`Known`."""

_KEY: Final = itemgetter(0)

Facts = tuple[Any, ...]
"""The values of a :class:`Known` as a plain tuple: made in half the time, and no work for the collector."""


class Known(NamedTuple):
    """What the index knows of a key: a row, or a removal.

    A removal has the ``size`` -1, and of its other facts only the last two count. The fields are those of
    :class:`~aios3sync.index.rows.ObjectRow` and of its change; ``metadata`` is JSON.
    """

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


@dataclass(slots=True)
class Sums:
    """How the numbers of one folder move: below it, and directly in it."""

    objects: int = 0
    size: int = 0
    direct: int = 0
    direct_size: int = 0


@dataclass(slots=True)
class BatchPlan:
    """What to write, each list ascending by key; a key is in one of the first three at most.

    Attributes:
        inserts: rows that were not there; plain tuples in the order of :class:`Known`.
        updates: rows that were.
        removes: rows that were and go; as they are stored.
        tombstones: removals to remember.
        revived: keys whose removal is not to be remembered any more.
        applied: the count of each change's fate.
    """

    inserts: list[Facts] = field(default_factory=list)
    updates: list[Known] = field(default_factory=list)
    removes: list[Known] = field(default_factory=list)
    tombstones: list[Known] = field(default_factory=list)
    revived: list[str] = field(default_factory=list)
    applied: Applied = field(default_factory=Applied)


def plan_batch(
    changes: Sequence[Change], stored: Mapping[str, Known], removals: Mapping[str, Known]
) -> BatchPlan:
    """Decide a batch.

    Args:
        changes: in the order in which they came; a key may come several times.
        stored: the rows of their keys.
        removals: what is remembered of their keys.
    """
    if not stored and not removals and (rows := _all_new(changes)) is not None:
        return BatchPlan(inserts=rows, applied=Applied(inserted=len(rows)))
    now: dict[str, Known] = {}
    fates = [0, 0, 0, 0, 0]  # as in Applied
    for change in changes:
        key = change.key
        known = now.get(key) or stored.get(key) or removals.get(key)
        if known is not None and not _supersedes(change, known):
            fates[4] += 1
            continue
        after = _after(change, known)
        now[key] = after
        fates[_fate(known, after)] += 1
    plan = BatchPlan(applied=Applied(*fates))
    for key in sorted(now):
        _sort_in(plan, now[key], stored.get(key), removals.get(key))
    return plan


def _supersedes(change: Change, known: Known) -> bool:
    if change.sequencer and known.sequencer:
        return change.sequencer >= known.sequencer
    return change.observed >= known.observed


def _after(change: Change, known: Known | None) -> Known:
    if isinstance(change, Removal):
        return Known(change.key, -1, observed=change.observed, sequencer=change.sequencer)
    return _merged(change, None if known is None or known.removed else known)


def _merged(change: Upsert, known: Known | None) -> Known:
    """The row of an upsert; what it does not tell of the same object stays as it is known."""
    row, observed = change.row, change.observed
    if known is None or not _same_object(row, known):
        return Known._make(_facts(change))
    uploaded = row.uploaded_at or row.last_modified or observed
    if not row.uploaded_at and not _modified_since(row, known):
        uploaded = known.uploaded_at
    return Known(
        key=row.key,
        size=row.size,
        etag=row.etag or known.etag,
        content_type=row.content_type or known.content_type,
        storage_class=row.storage_class or known.storage_class,
        width=known.width if row.width is None else row.width,
        height=known.height if row.height is None else row.height,
        metadata=known.metadata if row.metadata is None else metadata_text(row.metadata),
        thumbnail=row.thumbnail or known.thumbnail,
        uploaded_at=uploaded,
        last_modified=row.last_modified or known.last_modified,
        observed=max(observed, known.observed),
        sequencer=change.sequencer or known.sequencer,
    )


def _facts(change: Upsert) -> Facts:
    """The row of an object of which nothing was known."""
    (key, size, etag, kind, storage, width, height, metadata, thumbnail, uploaded, modified, _), at, seq = (
        change
    )
    text = None if metadata is None else metadata_text(metadata)
    came = uploaded or modified or at
    return (key, size, etag, kind, storage, width, height, text, thumbnail, came, modified, at, seq)


def _all_new(changes: Sequence[Change]) -> list[Facts] | None:
    """The rows where all changes are upserts of different keys, as of first uploads and listings."""
    if set(map(type, changes)) != {Upsert}:
        return None
    rows = sorted(map(_facts, changes), key=_KEY)  # type: ignore[arg-type]
    return rows if len(set(map(_KEY, rows))) == len(rows) else None


def _same_object(row: ObjectRow, known: Known) -> bool:
    return row.size == known.size and (row.etag == known.etag or not row.etag or not known.etag)


def _modified_since(row: ObjectRow, known: Known) -> bool:
    """Whether the endpoint's times differ; some tell whole seconds only."""
    return bool(
        row.last_modified and known.last_modified and int(row.last_modified) != int(known.last_modified)
    )


def _fate(known: Known | None, after: Known) -> int:
    """The place in Applied: inserted, updated, deleted, unchanged."""
    if known is None or known.removed:
        return 3 if after.removed else 0
    if after.removed:
        return 2
    return 3 if known[:11] == after[:11] else 1


def _sort_in(plan: BatchPlan, after: Known, row: Known | None, removal: Known | None) -> None:
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


def metadata_text(metadata: Mapping[str, str]) -> str:
    """User metadata as JSON, names ascending."""
    return orjson.dumps(dict(metadata), option=orjson.OPT_SORT_KEYS).decode()


def fold(plan: BatchPlan, stored: Mapping[str, Known]) -> dict[str, Sums]:
    """How the numbers of the folders move, for every folder that a written key stands in or below."""
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
