"""The tables of the index, as numbered migrations; text only.

Both databases have the same tables. Text is compared by its bytes: SQLite does so by default, PostgreSQL with
the collation "C", whatever the locale of its database. A released migration is never edited: a change of the
tables is a further migration.
"""

from __future__ import annotations

from typing import Final

from aios3sync.index.rows import ObjectIndexError

__all__ = ("DEFERRED", "POSTGRES_STEPS", "SQLITE_STEPS", "create_index", "drop_index", "refuse_newer")

_TABLES: Final = """
CREATE TABLE scopes (
    id {identity}, name {text} NOT NULL, bucket {text} NOT NULL, UNIQUE (name, bucket)
);
CREATE TABLE folders (
    id {identity}, scope BIGINT NOT NULL REFERENCES scopes (id), path {text} NOT NULL, parent BIGINT,
    objects BIGINT NOT NULL, size BIGINT NOT NULL, direct BIGINT NOT NULL, direct_size BIGINT NOT NULL,
    UNIQUE (scope, path)
);
CREATE INDEX folders_children ON folders (parent, path);
CREATE TABLE objects (
    id {row_identity}, scope BIGINT NOT NULL, key {text} NOT NULL, size BIGINT NOT NULL, etag TEXT NOT NULL,
    content_type TEXT NOT NULL, storage_class TEXT NOT NULL, width INTEGER, height INTEGER, metadata {json},
    thumbnail {text} NOT NULL, uploaded_at DOUBLE PRECISION NOT NULL, last_modified DOUBLE PRECISION NOT NULL,
    observed DOUBLE PRECISION NOT NULL, sequencer {text} NOT NULL, folder BIGINT NOT NULL,
    place BIGINT NOT NULL, number BIGINT NOT NULL, name {text} NOT NULL, extension {text} NOT NULL,
    {primary_key}
);
CREATE TABLE removals (
    scope BIGINT NOT NULL, key {text} NOT NULL, observed DOUBLE PRECISION NOT NULL, sequencer {text} NOT NULL,
    PRIMARY KEY (scope, key)
){clustered};
CREATE TABLE state (
    name {text} NOT NULL, item {text} NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name, item)
){clustered};
"""

DEFERRED: Final = {
    "objects_place": "place",
    "objects_folder_name": "folder, name",
    "objects_folder_size": "folder, size{id}",
    "objects_folder_uploaded": "folder, uploaded_at{id}",
    "objects_name": "scope, name, id, folder",
    "objects_number": "scope, number",
    "objects_size": "scope, size, id, folder",
    "objects_uploaded": "scope, uploaded_at, id, folder",
}
"""B-trees that are built after many rows have been loaded; SQLite appends ``id`` to every B-tree by itself.

Those of a whole bucket include the folder, so that rows of other folders are skipped without reading them.
"""

SQLITE_STEPS: Final = (
    _TABLES.format(
        identity="INTEGER PRIMARY KEY",
        row_identity="INTEGER PRIMARY KEY",
        text="TEXT",
        json="TEXT",
        primary_key="UNIQUE (scope, key)",
        clustered=" WITHOUT ROWID",
    ),
)
POSTGRES_STEPS: Final = (
    _TABLES.format(
        identity="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        row_identity="BIGINT GENERATED ALWAYS AS IDENTITY",
        text='TEXT COLLATE "C"',
        json="JSON",
        primary_key="PRIMARY KEY (scope, key)",
        clustered="",
    ),
)


def create_index(name: str, *, with_id: bool) -> str:
    """Return the statement that builds a B-tree of :data:`DEFERRED`."""
    columns = DEFERRED[name].format(id=", id" if with_id else "")
    return f"CREATE INDEX IF NOT EXISTS {name} ON objects ({columns})"


def drop_index(name: str) -> str:
    """Return the statement that drops a B-tree of :data:`DEFERRED`."""
    return f"DROP INDEX IF EXISTS {name}"


def refuse_newer(place: str, version: int, known: int) -> None:
    """Raise where a later version of this package has created the tables."""
    if version > known:
        raise ObjectIndexError(
            f"the index {place!r} has version {version}, this package knows {known}; "
            "upgrade aios3sync, or name another database"
        )
