"""Select, page and count rows, as steps; nothing is written.

A page in the order of a value is read from the B-tree of that value where the selection is a folder or a
whole bucket. A prefix between the two has no B-tree of its own: a small one is read completely and sorted,
one with few folders is merged from their B-trees, and for a large one the B-tree of the bucket is read until
the page is full.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import orjson

from aios3sync.index.db.protocol import EXACT_UP_TO, Position
from aios3sync.index.db.steps import Dialect, Fetch, Steps
from aios3sync.index.db.writes import LAST
from aios3sync.index.rows import (
    Folder,
    Group,
    Grouping,
    ObjectRow,
    Order,
    Selection,
    Totals,
    folder_of,
    prefix_end,
)

__all__ = (
    "COLUMNS",
    "buckets",
    "folders",
    "get",
    "histogram",
    "page",
    "row_of",
    "scan",
    "search",
    "state",
    "totals",
)

COLUMNS: Final = ", ".join(ObjectRow._fields[:11])
_COUNT: Final = 11
_FEW: Final = 4_000
"""Rows up to which a selection is read completely and sorted."""
_FEW_FOLDERS: Final = 400
_SCOPE: Final = "SELECT id FROM scopes WHERE name = $1 AND bucket = $2"
_BUCKETS: Final = "SELECT bucket FROM scopes WHERE name = $1 ORDER BY bucket"
_FOLDER: Final = "SELECT id, objects, size, direct, direct_size FROM folders WHERE scope = $1 AND path = $2"
_CHILDREN: Final = """SELECT path, objects, size, direct, direct_size FROM folders
    WHERE parent = (SELECT id FROM folders WHERE scope = $1 AND path = $2) ORDER BY path"""
_CHILD_SUMS: Final = """SELECT coalesce(sum(objects), 0), coalesce(sum(size), 0) FROM folders
    WHERE parent = $1 AND path >= $2 AND path < $3"""
_NAMED: Final = """SELECT count(*), coalesce(sum(size), 0) FROM (SELECT size FROM objects
    WHERE folder = $1 AND name >= $2 AND name < $3 LIMIT $4) AS named"""
_COUNT_BELOW: Final = """SELECT count(*) FROM (SELECT 1 FROM folders
    WHERE scope = $1 AND path >= $2 AND path < $3 AND direct > 0 LIMIT $4) AS below"""
_BELOW: Final = (
    "SELECT id AS number FROM folders WHERE scope = $1 AND path >= $2 AND path < $3 AND direct > 0"
)
_STATE: Final = "SELECT item, value FROM state WHERE name = $1 AND item >= $2 AND item < $3 ORDER BY item"
_SIZES: Final = (0, *(2**power for power in range(51)))


def row_of(values: Sequence[Any], bucket: str) -> ObjectRow:
    """Return the row of a record whose first columns are :data:`COLUMNS`."""
    row = ObjectRow._make((*values[:_COUNT], bucket))
    return row if values[7] is None else row._replace(metadata=orjson.loads(values[7]))


def above(prefix: str, after: str) -> tuple[str, str]:
    """Return the lower bound of the keys of a prefix above ``after``; one, as SQLite uses only one."""
    return (">", after) if after >= prefix else (">=", prefix)


def _rows(found: Sequence[Sequence[Any]], bucket: str) -> list[ObjectRow]:
    return [row_of(values, bucket) for values in found]


def scope_number(name: str, bucket: str) -> Steps[int | None]:
    """Return the number of the scope of a bucket, ``None`` where there is none."""
    found = yield Fetch(_SCOPE, (name, bucket))
    return int(found[0][0]) if found else None


def buckets(name: str) -> Steps[list[str]]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.buckets`."""
    return [str(row[0]) for row in (yield Fetch(_BUCKETS, (name,)))]


def get(name: str, bucket: str, keys: Sequence[str]) -> Steps[list[ObjectRow]]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.get`."""
    if not keys or (scope := (yield from scope_number(name, bucket))) is None:
        return []
    sql = f"SELECT {COLUMNS} FROM objects WHERE scope = $1 AND key = ANY($2) ORDER BY key"  # noqa: S608
    return _rows((yield Fetch(sql, (scope, sorted(set(keys))))), bucket)


def scan(name: str, bucket: str, prefix: str, after: str, limit: int) -> Steps[list[ObjectRow]]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.scan`."""
    if (scope := (yield from scope_number(name, bucket))) is None:
        return []
    comparison, first = above(prefix, after)
    sql = f"""SELECT {COLUMNS} FROM objects WHERE scope = $1 AND key {comparison} $2 AND key < $3
        ORDER BY key LIMIT $4"""  # noqa: S608 - constants
    return _rows((yield Fetch(sql, (scope, first, prefix_end(prefix) or LAST, limit))), bucket)


# Pages


def page(  # noqa: PLR0913 - the arguments of the protocol, the name of the index and the dialect
    name: str,
    selection: Selection,
    order: Order,
    limit: int,
    dialect: Dialect,
    *,
    desc: bool,
    after: Position | None,
) -> Steps[tuple[list[ObjectRow], Position | None]]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.page`."""
    if (scope := (yield from scope_number(name, selection.bucket))) is None:
        return [], None
    if order == "key":
        found = yield from _by_key(scope, selection, limit + 1, desc=desc, after=after)
    elif selection.folder is not None:
        found = yield from _by_value(_in_folder(scope, selection.folder), order, limit + 1, desc, after)
    else:
        found = yield from _below(scope, selection.prefix, order, limit + 1, dialect, desc=desc, after=after)
    rows = _rows(found[:limit], selection.bucket)
    if len(found) <= limit or not rows:
        return rows, None
    last = found[limit - 1]
    return rows, (last[0], 0) if order == "key" else (last[12], last[11])


def _by_key(
    scope: int, selection: Selection, limit: int, *, desc: bool, after: Position | None
) -> Steps[Sequence[Sequence[Any]]]:
    direction, comparison = ("DESC", "<") if desc else ("ASC", ">")
    if selection.folder is not None:
        # In a folder the order of keys is that of names, which is the order of the folder's B-tree.
        edge = LAST if desc else ""
        last = edge if after is None else str(after[0])[len(selection.folder) :]
        comparison = f"{comparison}=" if after is None else comparison
        sql = f"""SELECT {COLUMNS} FROM objects WHERE folder = (SELECT id FROM folders WHERE scope = $1
            AND path = $2) AND name {comparison} $3 ORDER BY name {direction} LIMIT $4"""  # noqa: S608 - constants
        return (yield Fetch(sql, (scope, selection.folder, last, limit)))
    first, end, low = selection.prefix, prefix_end(selection.prefix) or LAST, ">="
    if desc:
        end = end if after is None else min(end, str(after[0]))
    elif after is not None:
        low, first = above(first, str(after[0]))
    sql = f"""SELECT {COLUMNS} FROM objects WHERE scope = $1 AND key {low} $2 AND key < $3
        ORDER BY key {direction} LIMIT $4"""  # noqa: S608 - constants
    return (yield Fetch(sql, (scope, first, end, limit)))


class _Where:
    """A condition and its arguments."""

    def __init__(self, sql: str, *arguments: Any) -> None:
        self.sql = sql
        self.arguments = arguments


def _in_folder(scope: int, folder: str) -> _Where:
    return _Where("folder = (SELECT id FROM folders WHERE scope = $1 AND path = $2)", scope, folder)


def _by_value(
    where: _Where, order: Order, limit: int, desc: bool, after: Position | None
) -> Steps[Sequence[Sequence[Any]]]:
    """Return the next rows of a condition, ordered by a column and then by id."""
    direction, comparison = ("DESC", "<") if desc else ("ASC", ">")
    arguments = list(where.arguments)
    condition = where.sql
    if after is not None:
        condition += f" AND ({order}, id) {comparison} (${len(arguments) + 1}, ${len(arguments) + 2})"
        arguments += after
    sql = f"""SELECT {COLUMNS}, id, {order} FROM objects WHERE {condition}
        ORDER BY {order} {direction}, id {direction} LIMIT ${len(arguments) + 1}"""  # noqa: S608 - constants
    return (yield Fetch(sql, (*arguments, limit)))


def _below(  # noqa: PLR0913 - the arguments of a page
    scope: int, prefix: str, order: Order, limit: int, dialect: Dialect, *, desc: bool, after: Position | None
) -> Steps[Sequence[Sequence[Any]]]:
    """Return a page of a prefix, which has no B-tree of its own: see the module."""
    whole = _Where("scope = $1", scope)
    if not prefix:
        return (yield from _by_value(whole, order, limit, desc, after))
    end = prefix_end(prefix) or LAST
    small = _Where("scope = $1 AND key >= $2 AND key < $3", scope, prefix, end)
    objects = (yield from _objects(scope, prefix, _FEW)).objects
    if prefix.endswith("/"):
        ((many,),) = yield Fetch(_COUNT_BELOW, (scope, prefix, end, _FEW_FOLDERS + 1))
        if many <= _FEW_FOLDERS and many * limit <= objects:
            return (yield from _merged_folders((scope, prefix, end), order, limit, desc, after, dialect))
    if objects <= _FEW:
        return (yield from _sorted(small, order, limit, desc, after))
    if prefix.endswith("/"):
        return (yield from _filtered_bucket((scope, prefix, end), order, limit, desc, after))
    return (yield from _by_value(small, order, limit, desc, after))


def _filtered_bucket(
    bounds: tuple[int, str, str], order: Order, limit: int, desc: bool, after: Position | None
) -> Steps[Sequence[Sequence[Any]]]:
    """Return the next rows of the bucket whose folder is below a prefix, from the B-tree of the bucket.

    ``IS TRUE`` keeps the databases from planning a join: the folders are read once, then looked up.
    """
    direction, comparison = ("DESC", "<") if desc else ("ASC", ">")
    after_position = f"AND ({order}, id) {comparison} ($4, $5)" if after is not None else ""
    arguments: tuple[Any, ...] = (*bounds, *(after or ()), limit)
    ordered = f"ORDER BY {order} {direction}, id {direction} LIMIT ${len(arguments)}"
    found = f"""SELECT id, {order} FROM objects
        WHERE scope = $1 AND (folder IN ({_BELOW})) IS TRUE {after_position} {ordered}"""  # noqa: S608 - constants
    sql = f"""SELECT {COLUMNS}, id, {order} FROM objects
        WHERE scope = $1 AND (id, {order}) IN ({found}) {ordered}"""  # noqa: S608 - constants
    return (yield Fetch(sql, arguments))


def _sorted(
    where: _Where, order: Order, limit: int, desc: bool, after: Position | None
) -> Steps[Sequence[Sequence[Any]]]:
    """Return the next rows like :func:`_by_value`, of a small selection: all are read, then sorted."""
    sql = f"SELECT {COLUMNS}, id, {order} FROM objects WHERE {where.sql} ORDER BY key"  # noqa: S608
    found = [row for row in (yield Fetch(sql, where.arguments)) if after is None or _past(row, after, desc)]
    return sorted(found, key=lambda row: (row[12], row[11]), reverse=desc)[:limit]


def _past(row: Sequence[Any], after: Position, desc: bool) -> bool:
    here: tuple[Any, int] = (row[12], row[11])
    return here < after if desc else here > after


def _merged_folders(
    bounds: tuple[int, str, str],
    order: Order,
    limit: int,
    desc: bool,
    after: Position | None,
    dialect: Dialect,
) -> Steps[Sequence[Sequence[Any]]]:
    """Return the next rows of a prefix: the first of the next rows of each folder below it."""
    direction, comparison = ("DESC", "<") if desc else ("ASC", ">")
    after_position = f"AND ({order}, id) {comparison} ($4, $5)" if after is not None else ""
    arguments: tuple[Any, ...] = (*bounds, *(after or ()), limit)
    ordered = f"ORDER BY {order} {direction}, id {direction} LIMIT ${len(arguments)}"
    if dialect.lateral:
        source = f"""LATERAL (SELECT {COLUMNS}, id, {order} AS value FROM objects
            WHERE folder = f.number {after_position} {ordered}) AS rows"""  # noqa: S608 - constants
        columns, condition = "rows.*", "TRUE"
        ordered = f"ORDER BY value {direction}, id {direction} LIMIT ${len(arguments)}"
    else:
        source, columns = "objects", f"{COLUMNS}, id, {order}"
        condition = f"id IN (SELECT id FROM objects WHERE folder = f.number {after_position} {ordered})"  # noqa: S608
    sql = f"SELECT {columns} FROM ({_BELOW}) AS f CROSS JOIN {source} WHERE {condition} {ordered}"  # noqa: S608
    return (yield Fetch(sql, (*arguments,)))


# Sums


def totals(name: str, selection: Selection) -> Steps[Totals]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.totals`."""
    if (scope := (yield from scope_number(name, selection.bucket))) is None:
        return Totals(0, 0)
    if selection.folder is not None:
        found = yield Fetch(_FOLDER, (scope, selection.folder))
        return Totals(int(found[0][3]), int(found[0][4])) if found else Totals(0, 0)
    return (yield from _objects(scope, selection.prefix, EXACT_UP_TO))


def _objects(scope: int, prefix: str, most: int) -> Steps[Totals]:
    """Return the sums of a prefix: those of the folders that it covers, and of counted rows."""
    folder = folder_of(prefix)
    found = yield Fetch(_FOLDER, (scope, folder))
    if not found:
        return Totals(0, 0)
    number, objects, size, *_ = map(int, found[0])
    if prefix == folder:
        return Totals(objects, size)
    end = prefix_end(prefix) or LAST
    ((below, below_size),) = yield Fetch(_CHILD_SUMS, (number, prefix, end))
    cut = len(folder)
    ((named, named_size),) = yield Fetch(_NAMED, (number, prefix[cut:], end[cut:] or LAST, most + 1))
    exact = named <= most
    return Totals(int(below + named) - (not exact), int(below_size + named_size), exact)


def folders(name: str, bucket: str, folder: str) -> Steps[list[Folder]]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.folders`."""
    if (scope := (yield from scope_number(name, bucket))) is None:
        return []
    return [Folder(*values) for values in (yield Fetch(_CHILDREN, (scope, folder)))]


# Searching


def _selected(scope: int, selection: Selection, after: str = "") -> _Where:
    """Return the condition of the rows of a selection with keys above ``after``."""
    if selection.folder is not None:
        where = _in_folder(scope, selection.folder)
        return _Where(f"{where.sql} AND key > $3", *where.arguments, after)
    comparison, first = above(selection.prefix, after)
    end = prefix_end(selection.prefix) or LAST
    return _Where(f"scope = $1 AND key {comparison} $2 AND key < $3", scope, first, end)


def search(
    name: str, selection: Selection, text: str, after: str, limit: int, dialect: Dialect
) -> Steps[list[ObjectRow]]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.search`; no pattern that would need escaping."""
    if (scope := (yield from scope_number(name, selection.bucket))) is None:
        return []
    where = _selected(scope, selection, after)
    sql = f"""SELECT {COLUMNS} FROM objects WHERE {where.sql}
        AND {dialect.contains}(lower(name), $4) > 0 ORDER BY key LIMIT $5"""  # noqa: S608 - constants
    wanted = "".join(letter.lower() if letter.isascii() else letter for letter in text)
    return _rows((yield Fetch(sql, (*where.arguments, wanted, limit))), selection.bucket)


def histogram(name: str, selection: Selection, by: Grouping, dialect: Dialect) -> Steps[list[Group]]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.histogram`."""
    if (scope := (yield from scope_number(name, selection.bucket))) is None:
        return []
    label = {"extension": "extension", "size": _size_label(), "month": dialect.month}[by]
    where = _selected(scope, selection)
    sql = f"""SELECT {label} AS label, count(*), sum(size) FROM objects WHERE {where.sql}
        GROUP BY 1"""  # noqa: S608 - constants
    groups = [
        Group(str(label), int(objects), int(size))
        for label, objects, size in (yield Fetch(sql, where.arguments))
    ]
    if by == "extension":
        return sorted(groups, key=lambda group: (-group.objects, group.label))
    return sorted(groups, key=lambda group: (len(group.label), group.label))


def _size_label() -> str:
    """Return the expression of the lower end of the range that a size is in."""
    steps = [f"WHEN size < {high} THEN {low}" for low, high in pairwise(_SIZES)]
    return f"CASE {' '.join(steps)} ELSE {_SIZES[-1]} END"


def state(name: str, prefix: str) -> Steps[dict[str, str]]:
    """See :meth:`aios3sync.index.db.protocol.IndexBackend.state`."""
    found = yield Fetch(_STATE, (name, prefix, prefix_end(prefix) or LAST))
    return {str(item): str(value) for item, value in found}
