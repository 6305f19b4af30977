"""Counts hits and misses of each cache in a small local file: the bucket is not written for a hit. Blocks.

These are statistics about statistics: where the file cannot be used, nothing is counted and nobody is told
but the debug log.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing

from aios3sync.local.state import state_directory

__all__ = ("count_call", "counted")

_LOG = logging.getLogger(__name__)
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS calls (endpoint TEXT, bucket TEXT, path TEXT, hits INTEGER, misses INTEGER, "
    "PRIMARY KEY (endpoint, bucket, path))"
)
_COUNT = (
    "INSERT INTO calls VALUES (?, ?, ?, ?, ?) ON CONFLICT (endpoint, bucket, path) "
    "DO UPDATE SET hits = hits + excluded.hits, misses = misses + excluded.misses"
)
_READ = "SELECT hits, misses FROM calls WHERE endpoint = ? AND bucket = ? AND path = ?"


def count_call(endpoint: str, bucket: str, path: str, *, hit: bool | None) -> tuple[int, int]:
    """Count one call and return hits and misses so far; ``None`` counts nothing."""
    here = (int(hit), int(not hit)) if hit is not None else (0, 0)
    directory = state_directory()
    if directory is None:
        return here
    place = os.path.join(directory, "stats.sqlite")
    try:
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        with closing(sqlite3.connect(place, timeout=1.0, isolation_level=None)) as database:
            # A lost count is no loss: no fsync, which would cost more than a small listing.
            database.execute("PRAGMA synchronous = OFF")
            database.execute(_SCHEMA)
            if hit is not None:
                database.execute(_COUNT, (endpoint, bucket, path, int(hit), int(not hit)))
            row = database.execute(_READ, (endpoint, bucket, path)).fetchone()
    except (OSError, sqlite3.Error) as error:
        _LOG.debug("hits and misses are not counted: %s", error)
        return here
    return (row[0], row[1]) if row else (0, 0)


def counted(endpoint: str, bucket: str, path: str) -> tuple[int, int]:
    """Hits and misses so far."""
    return count_call(endpoint, bucket, path, hit=None)
