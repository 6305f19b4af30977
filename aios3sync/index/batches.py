"""What a batch of changes does to the rows that are there; pure: it decides, and others write.

Which of two changes of a key is the later one, what an index keeps of an object it already knows, and how
the sums of the folders move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from aios3sync.index.paths import ancestors
from aios3sync.index.rows import Applied, Change, ObjectRow, Removal, Upsert

__all__ = ("FACTS", "BatchPlan", "Known", "Sums", "fold", "metadata_text", "plan_batch")

FACTS: Final = (
    *("key", "size", "etag", "content_type", "storage_class", "width", "height", "metadata", "thumbnail"),
    *("uploaded_at", "last_modified", "observed", "sequencer"),
)
"""The columns of a row that changes bring, in the order of :class:`Known`."""

_new = tuple.__new__


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
        inserts: rows that were not there.
        updates: rows that were.
        removes: rows that were and go; as they are stored.
        tombstones: removals to remember.
        revived: keys whose removal is not to be remembered any more.
        applied: the count of each change's fate.
    """

    inserts: list[Known] = field(default_factory=list)
    updates: list[Known] = field(default_factory=list)
    removes: list[Known] = field(default_factory=list)
    tombstones: list[Known] = field(default_factory=list)
    revived: list[str] = field(default_factory=list)
    applied: Applied = field(default_factory=Applied)


def plan_batch(
    changes: Iterable[Change], stored: Mapping[str, Known], removals: Mapping[str, Known]
) -> BatchPlan:
    """Decide a batch.

    Args:
        changes: in the order in which they came; a key may come several times.
        stored: the rows of their keys.
        removals: what is remembered of their keys.
    """
    now: dict[str, Known] = {}
    fates = [0, 0, 0, 0, 0]  # as in Applied
    for change in changes:
        key = change.row.key if type(change) is Upsert else change.key  # half of the time of the property
        known = now.get(key) or stored.get(key) or removals.get(key)
        if known is None and type(change) is Upsert:
            now[key] = _fresh(change)
            fates[0] += 1
            continue
        if known is not None and not _supersedes(change, known):
            fates[4] += 1
            continue
        after = _after(change, known)
        now[key] = after
        fates[_fate(known, after)] += 1
    plan = BatchPlan(applied=Applied(*fates))
    if fates[0] == sum(fates) and not stored:
        plan.inserts = [now[key] for key in sorted(now)]  # what a first listing is made of
        plan.revived = sorted(removals.keys() & now.keys())
        return plan
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
        return _fresh(change)
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
        metadata=known.metadata if row.metadata is None else metadata_text(row),
        thumbnail=row.thumbnail or known.thumbnail,
        uploaded_at=uploaded,
        last_modified=row.last_modified or known.last_modified,
        observed=max(observed, known.observed),
        sequencer=change.sequencer or known.sequencer,
    )


def _fresh(change: Upsert) -> Known:
    """The row of an object of which nothing was known; without the constructor, which takes twice as long."""
    row, observed, sequencer = change
    key, size, etag, kind, storage, width, height, metadata, thumbnail, uploaded, modified, _ = row
    text = None if metadata is None else metadata_text(row)
    moments = (uploaded or modified or observed, modified, observed, sequencer)
    return _new(Known, (key, size, etag, kind, storage, width, height, text, thumbnail, *moments))


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


def metadata_text(row: ObjectRow) -> str | None:
    """The metadata of a row as JSON, names ascending."""
    if row.metadata is None:
        return None
    return orjson.dumps(dict(row.metadata), option=orjson.OPT_SORT_KEYS).decode()


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
