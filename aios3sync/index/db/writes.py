"""Write batches, as steps: the rows, their slots in their folders, and the sums of all folders.

A *slot* is the position of a row in its folder; a *place* is the number of the folder and the slot in one
integer. A *number* is the position of a row in its bucket.

Invariants, at the end of every transaction:

* The rows of a folder have the slots 0 to ``direct - 1``, each once, where ``direct`` is a column of the
  folder. So a random slot is a random row, whatever was deleted before: sampling depends on it.
* The rows of a bucket have the numbers 0 to ``objects - 1``, each once, where ``objects`` is that of the top
  folder (the path ``''``).
* ``objects`` and ``size`` of a folder are the sums of all rows below it, ``direct`` and ``direct_size`` those
  of the rows directly in it. A folder without rows below it does not exist, except the top folder.

Within a transaction rows are removed before rows are inserted. :func:`_remove` closes the gaps with the last
rows, and lowers ``direct`` and ``objects`` of the folders in memory; :func:`_placed` continues from there.
No count is read again in between, and the columns change once, at the end (:func:`_grow`).

Every transaction first locks the row of its bucket, before it reads a slot or a count. Each batch changes the
sums of the top folder, so writers of one bucket wait for each other in any case, and writers of different
buckets share no rows: there are no deadlocks. Folders are written in ascending order all the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.index.db.batch import FACTS, BatchPlan, Known, Sums, fold, plan_batch
from aios3sync.index.db.steps import Copy, Dialect, Fetch, Many, Steps
from aios3sync.index.rows import Applied, Facts, extension_of, folder_of, parent_of, prefix_end

__all__ = ("LAST", "SLOTS", "apply", "forget_removals", "save_state", "scope_of", "sweep")

SLOTS: Final = 1 << 32
"""More than the rows of any folder; a place is ``folder * SLOTS + slot``."""
_COLUMNS: Final = ("scope", *FACTS, "folder", "place", "number", "name", "extension")
_FACTS: Final = ", ".join(FACTS)
_SCOPE: Final = "SELECT id FROM scopes WHERE name = $1 AND bucket = $2"
_NEW_SCOPE: Final = "INSERT INTO scopes (name, bucket) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_STORED: Final = f"SELECT {_FACTS}, place, number FROM objects WHERE scope = $1 AND key = ANY($2)"  # noqa: S608
_STORED_BETWEEN: Final = f"""SELECT {_FACTS}, place, number FROM objects
    WHERE scope = $1 AND key >= $2 AND key <= $3 ORDER BY key LIMIT $4"""  # noqa: S608 - constants
_KEYS_PER_ROW: Final = 16
"""Lookups of single keys that take as long as reading one row of a range."""
_REMOVALS: Final = "SELECT key, observed, sequencer FROM removals WHERE scope = $1 AND key = ANY($2)"
_ANY_REMOVAL: Final = "SELECT 1 FROM removals WHERE scope = $1 AND key >= $2 AND key <= $3 LIMIT 1"
_REMEMBER: Final = """INSERT INTO removals (scope, key, observed, sequencer) VALUES ($1, $2, $3, $4)
    ON CONFLICT (scope, key) DO UPDATE SET observed = excluded.observed, sequencer = excluded.sequencer"""
_REVIVE: Final = "DELETE FROM removals WHERE scope = $1 AND key = ANY($2)"
_FOLDERS: Final = "SELECT path, id, direct, objects FROM folders WHERE scope = $1 AND path = ANY($2)"
# Parents are inserted first, so they exist when their children select their number.
_NEW_FOLDER: Final = """INSERT INTO folders (scope, path, parent, objects, size, direct, direct_size)
    SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT),
    (SELECT id FROM folders WHERE scope = $1 AND path = $3), 0, 0, 0, 0"""
_GROW: Final = """UPDATE folders SET objects = objects + $2, size = size + $3, direct = direct + $4,
    direct_size = direct_size + $5 WHERE id = $1"""
_DROP_FOLDERS: Final = (
    "DELETE FROM folders WHERE scope = $1 AND objects = 0 AND path <> '' AND path = ANY($2)"
)
_DELETE: Final = "DELETE FROM objects WHERE scope = $1 AND key = ANY($2)"
_TAIL: Final = "SELECT place, key FROM objects WHERE place >= $1 AND place < $2 ORDER BY place"
_MOVE: Final = "UPDATE objects SET place = $3 WHERE scope = $1 AND key = $2"
_LAST_NUMBERS: Final = "SELECT number, key FROM objects WHERE scope = $1 AND number >= $2 ORDER BY number"
_RENUMBER: Final = "UPDATE objects SET number = $3 WHERE scope = $1 AND key = $2"
_SAVE: Final = """INSERT INTO state (name, item, value) VALUES ($1, $2, $3)
    ON CONFLICT (name, item) DO UPDATE SET value = excluded.value"""
_UNSAVE: Final = "DELETE FROM state WHERE name = $1 AND item = ANY($2)"
_OBSERVE: Final = "UPDATE objects SET observed = $2, sequencer = $3 WHERE scope = $1 AND key = ANY($4)"
_FORGET: Final = """DELETE FROM removals WHERE observed < $2
    AND scope IN (SELECT id FROM scopes WHERE name = $1) RETURNING 1"""
LAST: Final = "\U0010ffff" * 257
"""Above every key, which has at most 1024 bytes; the end of a prefix that has none."""
_SETS: Final = ", ".join(f"{name} = ${number}" for number, name in enumerate(FACTS[1:], 3))
_UPDATE: Final = f"UPDATE objects SET {_SETS} WHERE scope = $1 AND key = $2"  # noqa: S608


Place = tuple[int, int]
"""The place of a row in its folder, and its number in the bucket."""


class _Folder(NamedTuple):
    """A folder: its number, and how many rows are directly in it and below it."""

    number: int
    direct: int
    objects: int


def scope_of(name: str, bucket: str) -> Steps[int]:
    """Return the number of the scope of a bucket; insert it where there is none."""
    found = yield Fetch(_SCOPE, (name, bucket))
    if not found:
        yield Many(_NEW_SCOPE, [(name, bucket)])
        found = yield Fetch(_SCOPE, (name, bucket))
    return int(found[0][0])


def apply(
    name: str, bucket: str, changes: Sequence[Facts], state: Mapping[str, str | None], dialect: Dialect
) -> Steps[Applied]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.apply_facts`."""
    scope = yield from scope_of(name, bucket)
    yield from _lock(scope, dialect)
    keys = sorted({change[0] for change in changes})
    stored, places = yield from _stored(scope, keys)
    removals = yield from _removals(scope, keys)
    plan = plan_batch(changes, stored, removals)
    yield from _write(scope, plan, stored, places)
    if plan.tombstones:
        rows = [(scope, known.key, known.observed, known.sequencer) for known in plan.tombstones]
        yield Many(_REMEMBER, rows)
    if plan.revived:
        yield Fetch(_REVIVE, (scope, plan.revived))
    yield from save_state(name, state)
    return plan.applied


def _stored(scope: int, keys: list[str]) -> Steps[tuple[dict[str, Known], dict[str, Place]]]:
    """Read the rows of ascending keys, and their places."""
    # Few keys of a first sync are known; then one scan of a short range is faster than a lookup of each key.
    few = len(keys) // _KEYS_PER_ROW
    found: Sequence[Sequence[Any]] | None = None
    if few:
        between = yield Fetch(_STORED_BETWEEN, (scope, keys[0], keys[-1], few + 1))
        if len(between) <= few:
            wanted = set(keys)
            found = [row for row in between if row[0] in wanted]
    if found is None and keys:
        found = yield Fetch(_STORED, (scope, keys))
    stored: dict[str, Known] = {}
    places: dict[str, Place] = {}
    for *facts, place, number in found or ():
        stored[facts[0]] = Known(*facts)
        places[facts[0]] = (place, number)
    return stored, places


def _removals(scope: int, keys: list[str]) -> Steps[dict[str, Known]]:
    """Read the tombstones of ascending keys."""
    # There is nearly always none; one lookup of the range shows that.
    if not keys or not (yield Fetch(_ANY_REMOVAL, (scope, keys[0], keys[-1]))):
        return {}
    found = yield Fetch(_REMOVALS, (scope, keys))
    return {key: Known(key, -1, observed=at, sequencer=sequencer) for key, at, sequencer in found}


def _lock(scope: int, dialect: Dialect) -> Steps[None]:
    """Lock a bucket until the transaction ends; SQLite has one writer, so it needs no lock."""
    if dialect.lock:
        yield Fetch(f"SELECT id FROM scopes WHERE id = $1{dialect.lock}", (scope,))  # noqa: S608


def _write(
    scope: int,
    plan: BatchPlan,
    stored: Mapping[str, Known],
    places: Mapping[str, Place],
) -> Steps[None]:
    """Write the rows of a plan, their places, and the sums of their folders."""
    sums = fold(plan, stored)
    folders = yield from _folders(scope, sorted(sums))
    # Removals come first: inserted rows get the slots and numbers after those that are left.
    if plan.removes:
        yield from _remove(scope, plan.removes, places, folders)
    if plan.inserts:
        yield Copy("objects", _COLUMNS, list(_placed(scope, plan.inserts, folders)))
    if plan.updates:
        yield from _update(scope, plan.updates, stored)
    yield from _grow(scope, sums, folders)


def _update(scope: int, updates: Sequence[Known], stored: Mapping[str, Known]) -> Steps[None]:
    """Update rows that exist; their keys, and so their places, do not change."""
    # A listing that shows known objects changes only when they were observed, of many rows at once.
    observed_again: dict[tuple[float, str], list[str]] = defaultdict(list)
    changed: list[tuple[object, ...]] = []
    for row in updates:
        if row[:11] == stored[row.key][:11]:
            observed_again[row.observed, row.sequencer].append(row.key)
        else:
            changed.append((scope, *row))
    for (observed, sequencer), keys in observed_again.items():
        yield Fetch(_OBSERVE, (scope, observed, sequencer, keys))
    if changed:
        yield Many(_UPDATE, changed)


def _folders(scope: int, paths: list[str]) -> Steps[dict[str, _Folder]]:
    """Read the folders of ascending paths; insert those that do not exist."""
    if not paths:
        return {}
    found = {path: _Folder(*facts) for path, *facts in (yield Fetch(_FOLDERS, (scope, paths)))}
    missing = [path for path in paths if path not in found]
    if missing:
        yield Many(_NEW_FOLDER, [(scope, path, parent_of(path) if path else None) for path in missing])
        for path, *facts in (yield Fetch(_FOLDERS, (scope, missing))):
            found[path] = _Folder(*facts)
    return found


def _remove(
    scope: int, removes: Sequence[Known], places: Mapping[str, Place], folders: dict[str, _Folder]
) -> Steps[None]:
    """Delete rows, and move the last rows of their folders into the gaps."""
    removed: dict[str, set[int]] = defaultdict(set)
    for row in removes:
        removed[folder_of(row.key)].add(places[row.key][0])
    moves: list[tuple[int, str, int]] = []
    for folder in sorted(removed):
        number, direct, objects = folders[folder]
        left = direct - len(removed[folder])
        base = number * SLOTS
        # The slots from ``left`` on have to become empty. As many rows as are kept there find a gap below:
        # a removed row is either a gap, or in the tail, where it makes one row less to move.
        tail = yield Fetch(_TAIL, (base + left, base + SLOTS))
        kept = [key for place, key in tail if place not in removed[folder]]
        gaps = sorted(place for place in removed[folder] if place < base + left)
        moves += [(scope, key, gap) for key, gap in zip(kept, gaps, strict=True)]
        folders[folder] = _Folder(number, left, objects)
    renumbered = yield from _renumbered(scope, {places[row.key][1] for row in removes}, folders)
    # Deleted before the others move: a place has at most one row at any time.
    yield Fetch(_DELETE, (scope, [row.key for row in removes]))
    if moves:
        yield Many(_MOVE, moves)
    if renumbered:
        yield Many(_RENUMBER, renumbered)


def _renumbered(
    scope: int, removed: set[int], folders: dict[str, _Folder]
) -> Steps[list[tuple[int, str, int]]]:
    """Return the new numbers of the last rows of a bucket, which fill the gaps of removed rows."""
    top = folders[""]
    left = top.objects - len(removed)
    tail = yield Fetch(_LAST_NUMBERS, (scope, left))
    kept = [key for number, key in tail if number not in removed]
    gaps = sorted(number for number in removed if number < left)
    folders[""] = top._replace(objects=left)
    return [(scope, key, gap) for key, gap in zip(kept, gaps, strict=True)]


def _placed(scope: int, rows: Sequence[Facts], folders: dict[str, _Folder]) -> Iterable[tuple[object, ...]]:
    """Yield new rows with all their columns, each at the next slot of its folder.

    ``rows`` is ascending by key. The rows directly in a folder need not be adjacent (``a/b``, ``a/c/d``,
    ``a/e``), so the next slot of a folder is kept in ``folders``.
    """
    last, number, slot = None, 0, 0
    in_bucket = folders[""].objects
    for key, size, etag, kind, storage, width, height, text, thumbnail, uploaded, modified, at, after in rows:
        cut = key.rfind("/") + 1
        folder, name = key[:cut], key[cut:]
        if folder != last:
            if last is not None:
                folders[last] = folders[last]._replace(direct=slot)
            number, slot, _ = folders[folder]
            last = folder
        yield (
            scope, key, size, etag, kind, storage, width, height, text, thumbnail,
            uploaded or modified or at, modified, at, after,
            number, number * SLOTS + slot, in_bucket, name, extension_of(name),
        )  # fmt: skip
        slot += 1
        in_bucket += 1


def _grow(scope: int, sums: Mapping[str, Sums], folders: Mapping[str, _Folder]) -> Steps[None]:
    """Change the sums of folders, and delete the folders that have become empty."""
    changed = [(path, total) for path, total in sorted(sums.items()) if total != Sums()]
    if not changed:
        return
    rows = [
        (folders[path].number, total.objects, total.size, total.direct, total.direct_size)
        for path, total in changed
    ]
    yield Many(_GROW, rows)
    emptied = [path for path, total in changed if total.objects < 0]
    if emptied:
        yield Fetch(_DROP_FOLDERS, (scope, emptied))


def sweep(  # noqa: PLR0913 - the arguments of the protocol, the name of the index and the dialect
    name: str, bucket: str, prefix: str, before: float, dialect: Dialect, *, after: str, limit: int
) -> Steps[tuple[int, str | None]]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.sweep`."""
    scope = yield from scope_of(name, bucket)
    yield from _lock(scope, dialect)
    comparison, first = (">", after) if after >= prefix else (">=", prefix)
    sql = f"""SELECT key, observed FROM objects WHERE scope = $1 AND key {comparison} $2 AND key < $3
        ORDER BY key LIMIT $4"""  # noqa: S608 - constants
    rows = yield Fetch(sql, (scope, first, prefix_end(prefix) or LAST, limit))
    stale = [key for key, observed in rows if observed < before]
    next_after = str(rows[-1][0]) if len(rows) == limit else None
    if stale:
        stored, places = yield from _stored(scope, stale)
        plan = BatchPlan(removes=[stored[key] for key in stale])
        yield from _write(scope, plan, stored, places)
    return len(stale), next_after


def save_state(name: str, values: Mapping[str, str | None]) -> Steps[None]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.save_state`."""
    kept = [(name, item, value) for item, value in sorted(values.items()) if value is not None]
    if kept:
        yield Many(_SAVE, kept)
    dropped = [item for item, value in sorted(values.items()) if value is None]
    if dropped:
        yield Fetch(_UNSAVE, (name, dropped))


def forget_removals(name: str, before: float) -> Steps[int]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.forget_removals`."""
    return len((yield Fetch(_FORGET, (name, before))))
