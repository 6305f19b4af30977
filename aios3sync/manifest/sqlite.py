"""The default manifest: one SQLite file. Only threads block, never the event loop.

Rows are read in keyset pages, each a short transaction, so that the write-ahead log can be checkpointed
while a run reads. WAL is used only on local filesystems, as SQLite demands (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import os
import sqlite3
from _thread import allocate_lock  # threading takes half a millisecond to load
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain

from aios3sync._dataclass import defaults_of
from aios3sync._typing import Any, Final, TypeVar
from aios3sync.concurrency import in_thread
from aios3sync.core.entries import RecordedEntry
from aios3sync.core.numbers import from_sqlite, to_sqlite
from aios3sync.errors import DamagedManifestError, ManifestError, TemporarySpaceError
from aios3sync.local.temporary import no_space
from aios3sync.manifest.json_text import read_json, write_json
from aios3sync.manifest.lock import has_record_locks
from aios3sync.manifest.protocol import Binding, ManifestState, Stat

__all__ = ("APPLICATION_ID", "SqliteManifest", "connect", "is_sqlite")

APPLICATION_ID: Final = 0x61333373  # "a33s"
SCHEMA_VERSION: Final = 1
_MAGIC: Final = b"SQLite format 3\x00"
_NETWORK_FILESYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "lustre"}
)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER, md5 TEXT,
    etag TEXT, part_size INTEGER, encoding TEXT, settled INTEGER, uploaded_at REAL, run INTEGER,
    headers TEXT NOT NULL DEFAULT '', sha256 TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""
_TABLES: Final = frozenset({"entries", "state"})
# Columns that came later. An older version of this package reads and writes a file that has them: it names
# the columns that it knows, and the others get their default.
_LATER: Final = dict.fromkeys(("headers", "sha256"), "TEXT NOT NULL DEFAULT ''")
_COLUMNS: Final = ", ".join(RecordedEntry._fields)
_ROW: Final = f"({', '.join('?' * len(RecordedEntry._fields))})"
_INSERT: Final = f"INSERT OR REPLACE INTO entries ({_COLUMNS}) VALUES {_ROW}"  # noqa: S608
# sqlite3 releases the interpreter lock at every step of a statement, so one step writes many rows. Below
# 1,000 parameters, the most that an old SQLite takes.
_GROUP: Final = 64
_INSERT_GROUP: Final = _INSERT + f", {_ROW}" * (_GROUP - 1)
_PAGE: Final = f"SELECT {_COLUMNS} FROM entries WHERE key > ? ORDER BY key LIMIT ?"  # noqa: S608
_THROUGH: Final = f"SELECT {_COLUMNS} FROM entries WHERE key > ? AND key <= ? ORDER BY key"  # noqa: S608
_STAT: Final = """SELECT key, size, mtime_ns, ctime_ns,
    CASE WHEN settled AND encoding = '' {} THEN inode ELSE -1 END """
_STATS: Final = _STAT + "FROM entries WHERE key > ? ORDER BY key LIMIT ?"
_HEADERS: Final = "AND headers IN (?, ?)"
_ALL_STATS: Final = _STATS.format("")
_STATS_WITH_HEADERS: Final = _STATS.format(_HEADERS)
_WITHOUT_HEADERS: Final = "SELECT 1 FROM entries WHERE headers = '' LIMIT 1"
# Rows within bounds, for files of which only a range counts. A blob is greater than every text.
_WITHIN: Final = "FROM entries WHERE key {} ? AND key < ? ORDER BY key LIMIT ?"
_NO_END: Final = b""
_KEY_AFTER: Final = "SELECT key FROM entries WHERE key > ? ORDER BY key LIMIT 1 OFFSET ?"
_GET: Final = f"SELECT {_COLUMNS} FROM entries WHERE key = ?"  # noqa: S608

# The types of a sound row, column by column. A number that SQLite's columns cannot hold is bytes.
_NUMBER: Final = frozenset({int, bytes})
_TEXT: Final = frozenset({str})
_KINDS: Final = {
    "key": _TEXT,
    **dict.fromkeys(("size", "mtime_ns", "ctime_ns", "inode"), _NUMBER),
    **dict.fromkeys(("md5", "etag", "encoding", "headers", "sha256"), _TEXT),
    **dict.fromkeys(("part_size", "settled", "run"), frozenset({int})),
    "uploaded_at": frozenset({float}),
}
_ROW_KINDS: Final = tuple(_KINDS[name] for name in RecordedEntry._fields)
# Result codes (https://www.sqlite.org/rescode.html) for damage of the file's content, not its surroundings.
# Our statements are right, so ERROR ("no such column") means a damaged schema.
_DAMAGE: Final = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

T = TypeVar("T")
_row: Final[Callable[[Any], RecordedEntry]] = partial(tuple.__new__, RecordedEntry)
"""Takes a third of the time of ``_make``, which is written in Python."""


def is_sqlite(path: str) -> bool:
    """Return whether the file begins like those of SQLite; an empty one counts, as SQLite begins so."""
    with open(path, "rb") as file:
        head = file.read(len(_MAGIC))
    return head in (_MAGIC, b"")


class SqliteManifest:
    """See :class:`~aios3sync.manifest.protocol.Manifest`."""

    def __init__(self, connection: sqlite3.Connection, place: str) -> None:
        """Blocks."""
        self._connection = connection
        self._lock = allocate_lock()
        self._place = place
        self._wide = False  # whether a row is known whose numbers only bytes can hold
        self._binding = self._read_binding()

    @classmethod
    def open(cls, path: str, *, read_only: bool = False) -> SqliteManifest:
        """Open or create the file (mode 0600). Blocks. An empty path keeps it in a private temporary file.

        Raises:
            ManifestError: it cannot be created or read, or is the database of another program.
            ValueError: it is corrupt or of a newer version; the message says why.
        """
        try:
            connection = connect(path, read_only=read_only)
        except (sqlite3.OperationalError, OSError) as error:
            raise ManifestError(f"the manifest {path!r} cannot be opened: {error}") from error
        try:
            _prepare(connection, path, read_only=read_only)
            return cls(connection, path)
        except sqlite3.Error as error:
            connection.close()
            if _is_damage(error):
                raise ValueError(f"it is corrupt: {error}") from error
            raise ManifestError(f"the manifest {path!r} cannot be opened: {error}") from error
        except BaseException:
            connection.close()
            raise

    @property
    def place(self) -> str:
        """The path, empty for a temporary one."""
        return self._place

    @property
    def binding(self) -> Binding | None:
        """The pair that the file is bound to."""
        return self._binding

    def bind(self, binding: Binding) -> None:
        """Bind a new file to its pair. Blocks."""
        with self._lock, self._connection:
            self._write_state("binding", binding.as_document())
        self._binding = binding

    async def state(self) -> ManifestState:
        """Return the state as last saved."""
        return await in_thread(self.state_now)

    def state_now(self) -> ManifestState:
        """Return the state as last saved. Blocks."""

        def work() -> ManifestState:
            try:
                return ManifestState.of(self._read_state("state") or {})
            except (TypeError, ValueError) as error:
                raise DamagedManifestError(f"its state cannot be read: {error}", self._place) from error

        return self._locked(work)

    async def save_state(self, state: ManifestState) -> None:
        """Replace the state."""
        await in_thread(self.save_state_now, state)

    def save_state_now(self, state: ManifestState) -> None:
        """Do the same. Blocks."""

        def work() -> None:
            with self._connection:
                self._write_state("state", {name: getattr(state, name) for name in defaults_of(type(state))})

        self._locked(work)

    def _read_binding(self) -> Binding | None:
        try:
            stored = self._read_state("binding")
            return None if stored is None else Binding(**stored)
        except TypeError as error:
            raise ValueError("it does not say which pair it belongs to") from error

    def _read_state(self, name: str) -> dict[str, Any] | None:
        row = self._connection.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if row is None else dict(read_json(row[0]))

    def _write_state(self, name: str, value: Mapping[str, Any]) -> None:
        text = write_json(value)
        self._connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, text))

    async def page(self, after: str | None, limit: int) -> list[RecordedEntry]:
        """Return rows greater than ``after``."""
        return await in_thread(self.rows_after, after or "", limit)

    def rows_after(self, after: str, limit: int) -> list[RecordedEntry]:
        """Return rows greater than ``after``."""
        return self._rows(_PAGE, (after, limit))

    def rows_through(self, after: str, last: str) -> list[RecordedEntry]:
        """Return rows greater than ``after``, up to ``last``."""
        return self._rows(_THROUGH, (after, last))

    def stats_after(self, after: str, limit: int, headers: tuple[str, str] | None = None) -> list[Stat]:
        """Return stats of rows greater than ``after``."""
        sql = _ALL_STATS if headers is None else _STATS_WITH_HEADERS
        arguments = (*(headers or ()), after, limit)
        return self._stats(sql, arguments)

    def stats_within(
        self, low: str, end: str, limit: int, headers: tuple[str, str] | None = None, *, exclusive: bool
    ) -> list[Stat]:
        """Return the same of the rows of :meth:`rows_within`. Blocks."""
        sql = _STAT.format("" if headers is None else _HEADERS) + _within(exclusive)
        return self._stats(sql, (*(headers or ()), low, end or _NO_END, limit))

    def _stats(self, sql: str, arguments: tuple[object, ...]) -> list[Stat]:
        found: list[Stat] = self.select(sql, arguments)
        # Rows with bytes equal no file, so they are read as a whole at first, and then the bytes are noticed.
        return list(map(_decoded, found)) if self._wide else found

    def rows_within(self, low: str, end: str, limit: int, *, exclusive: bool) -> list[RecordedEntry]:
        """Return up to ``limit`` rows from ``low``, or greater than it, that are less than ``end``. Blocks.

        Args:
            low: the least key.
            end: exclusive; empty for no end.
            limit: the most rows, -1 for all.
            exclusive: whether the rows must be greater than ``low``.
        """
        return self._rows(f"SELECT {_COLUMNS} {_within(exclusive)}", (low, end or _NO_END, limit))

    def keys_within(self, low: str, end: str, limit: int, *, exclusive: bool) -> list[tuple[str]]:
        """Return the keys of the same rows, each in a tuple. Blocks."""
        return self.select(f"SELECT key {_within(exclusive)}", (low, end or _NO_END, limit))

    def select(self, sql: str, arguments: tuple[object, ...] = ()) -> list[Any]:
        """Return the rows of a query. Blocks."""
        return self._locked(lambda: self._connection.execute(sql, arguments).fetchall())

    def _rows(self, sql: str, arguments: tuple[object, ...]) -> list[RecordedEntry]:
        return self._locked(lambda: self._sound(self._connection.execute(sql, arguments).fetchall()))

    def _sound(self, found: list[Any]) -> list[RecordedEntry]:
        """Return the rows, or raise DamagedManifestError if their types are not those of written rows."""
        wide = False
        for column, expected in zip(zip(*found, strict=True), _ROW_KINDS, strict=False):
            kinds = {*map(type, column)}
            wide = wide or bytes in kinds
            if not kinds <= expected:
                raise DamagedManifestError("a row holds what was never written", self._place)
        self._wide = self._wide or wide
        try:
            return list(map(_row, map(_decoded, found) if wide else found))
        except ValueError as error:
            raise DamagedManifestError(f"a row holds no number: {error}", self._place) from error

    async def key_after(self, after: str, rows: int) -> str | None:
        """Return the key ``rows`` rows after another one."""
        row = await self._run(lambda: self._connection.execute(_KEY_AFTER, (after, rows - 1)).fetchone())
        return None if row is None else str(row[0])

    def has_more_rows(self, rows: int) -> bool:
        """Whether there are more than ``rows`` rows. Blocks."""
        found = self._locked(lambda: self._connection.execute(_KEY_AFTER, ("", rows)).fetchone())
        return found is not None

    async def get(self, key: str) -> RecordedEntry | None:
        """Return one row."""
        rows = await in_thread(self._rows, _GET, (key,))
        return rows[0] if rows else None

    async def count(self) -> int:
        """Return how many rows there are."""
        row = await self._run(lambda: self._connection.execute("SELECT count(*) FROM entries").fetchone())
        return int(row[0])

    async def lacks_headers(self) -> bool:
        """Return whether there is a row without a record of its headers."""
        return await self._run(lambda: self._connection.execute(_WITHOUT_HEADERS).fetchone()) is not None

    async def record(self, rows: Sequence[RecordedEntry], gone: Sequence[str]) -> None:
        """Write and drop rows in one transaction."""
        await in_thread(self.record_now, rows, gone)

    def record_now(
        self, rows: Sequence[RecordedEntry], gone: Sequence[str], counts: Mapping[str, Any] | None = None
    ) -> None:
        """Write and drop rows, and replace the counts if there are any, in one transaction. Blocks."""

        def work() -> None:
            try:
                self._write(rows, gone, counts)
            except OverflowError:  # sqlite3 refuses such a number before anything of its statement is done
                self._write(list(map(_encoded, rows)), gone, counts)

        self._locked(work)

    def counts_now(self) -> dict[str, Any]:
        """Return the counts that were recorded last; empty for none. Blocks."""
        return self._locked(lambda: self._read_state("counts")) or {}

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in one transaction. Blocks."""

        def whole() -> T:
            with self._connection:
                return work(self._connection)

        return self._locked(whole)

    def _write(
        self, rows: Sequence[RecordedEntry], gone: Sequence[str], counts: Mapping[str, Any] | None
    ) -> None:
        with self._connection:
            self._change(rows, gone)
            if counts is not None:
                self._write_state("counts", counts)

    def _change(self, rows: Sequence[RecordedEntry], gone: Sequence[str]) -> None:
        """Write and drop rows; the caller holds the transaction."""
        whole = len(rows) - len(rows) % _GROUP
        for start in range(0, whole, _GROUP):
            group = rows[start : start + _GROUP]
            self._connection.execute(_INSERT_GROUP, tuple(chain.from_iterable(group)))
        self._connection.executemany(_INSERT, rows[whole:])
        self._connection.executemany("DELETE FROM entries WHERE key = ?", ((key,) for key in gone))

    async def clear(self) -> None:
        """Drop all rows and the state; the binding stays."""

        def work() -> None:
            with self._connection:
                self._clear()

        await self._run(work)

    def _clear(self) -> None:
        """Drop all rows and the state; the caller holds the transaction."""
        self._connection.execute("DELETE FROM entries")
        self._connection.execute("DELETE FROM state WHERE name IN ('state', 'counts')")

    def close_now(self) -> None:
        """Close the file. Blocks.

        It waits for the thread of a cancelled task, if there is one: SQLite would crash if it was closed
        meanwhile.
        """
        with self._lock:
            self._connection.close()

    async def close(self) -> None:
        """Close the file."""
        await in_thread(self.close_now)

    async def _run(self, work: Callable[[], T]) -> T:
        return await in_thread(partial(self._locked, work))

    def _locked(self, work: Callable[[], T]) -> T:
        with self._lock:
            try:
                return work()
            except sqlite3.Error as error:
                if _is_damage(error):
                    raise DamagedManifestError(str(error), self._place) from error
                raise _failed(self._place, error) from error


def _within(exclusive: bool) -> str:
    return _WITHIN.format(">" if exclusive else ">=")


def _failed(place: str, error: sqlite3.Error) -> ManifestError | TemporarySpaceError:
    """Return the error for an environmental failure; a manifest without a place is a temporary file."""
    return ManifestError(f"the manifest {place!r} failed: {error}") if place else no_space(error)


def _is_damage(error: sqlite3.Error) -> bool:
    """Return whether the error is about damaged content of the file."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # of the sqlite3 module itself: a text that is not UTF-8
        return isinstance(error, sqlite3.OperationalError) and "UTF-8" in str(error)
    return code & 0xFF in _DAMAGE or code == sqlite3.SQLITE_IOERR_SHORT_READ


def _encoded(row: RecordedEntry) -> RecordedEntry:
    return _row((row.key, *map(to_sqlite, row[1:5]), *row[5:]))


def _decoded(row: Any) -> Any:
    """Return a row, or its first five fields, with bytes converted to numbers."""
    return (row[0], *map(from_sqlite, row[1:5]), *row[5:])


def connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """Connect to the file of a manifest, in a mode that its file system allows. Blocks.

    Args:
        path: created if missing; empty for a private temporary file.
        read_only: create and write nothing.

    Raises:
        OSError: it cannot be made.
        sqlite3.Error: it cannot be opened.
    """
    if not path:
        return sqlite3.connect(path, check_same_thread=False)
    if not read_only:
        os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    # Without locks SQLite would wait for ever for its own; the lock next to the manifest keeps others away.
    facts = {"mode=ro": read_only, "nolock=1": not has_record_locks(path)}
    query = "&".join(fact for fact, wanted in facts.items() if wanted)
    if not query:
        return sqlite3.connect(os.path.abspath(path), check_same_thread=False)
    from urllib.parse import quote_from_bytes  # few manifests need it

    uri = f"file://{quote_from_bytes(os.fsencode(os.path.abspath(path)))}?{query}"
    return sqlite3.connect(uri, uri=True, check_same_thread=False)


def _prepare(connection: sqlite3.Connection, path: str, *, read_only: bool) -> None:
    connection.execute("PRAGMA cell_size_check = ON")  # damage is found where a page is read, not later
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and application != APPLICATION_ID:
        raise ManifestError(f"{path!r} is an SQLite database, but not a manifest; name another file")
    if version > SCHEMA_VERSION:
        raise ValueError(f"it has format {version}, this package reads {SCHEMA_VERSION}")
    if tables and not tables >= _TABLES:
        raise ValueError("it is corrupt: a table is missing")
    if read_only:
        _show_later_columns(connection)
        return
    wal = _is_local(path) and has_record_locks(path)
    connection.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}")
    connection.execute("PRAGMA synchronous = NORMAL")
    if not tables or version != SCHEMA_VERSION:  # else it would be written, and synced, to no purpose
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.executescript(_SCHEMA)
    for name in _missing(connection):
        connection.execute(f"ALTER TABLE entries ADD COLUMN {name} {_LATER[name]}")


def _missing(connection: sqlite3.Connection) -> list[str]:
    """Return the newer columns that a file of an older version lacks."""
    known = {name for _, name, *_ in connection.execute("PRAGMA main.table_info(entries)")}
    return [name for name in _LATER if known and name not in known]


def _show_later_columns(connection: sqlite3.Connection) -> None:
    """Make a file that must not be changed appear to have all columns: a temporary view hides its table."""
    if missing := _missing(connection):
        columns = ", ".join(f"'' AS {name}" for name in missing)
        connection.execute(f"CREATE TEMP VIEW entries AS SELECT *, {columns} FROM main.entries")  # noqa: S608


def _is_local(path: str) -> bool:
    """Return whether the filesystem of ``path`` supports memory shared between processes, as WAL needs."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            mounts = file.read().split("\n")[:-1]
    except OSError:
        return True
    real = os.path.realpath(path or "/")
    best, kind = "", ""
    for line in mounts:
        _, place, filesystem, *_ = line.split(" ")
        inside = real == place or real.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):
            best, kind = place, filesystem
    return kind not in _NETWORK_FILESYSTEMS
