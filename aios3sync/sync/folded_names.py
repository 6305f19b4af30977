"""FoldedNames finds keys that are the same name on a filesystem that ignores case or Unicode form.

The first of them in key order becomes the file; the others are reported, and never written over it. All
names seen are kept on disk, since the order of keys is not that of folded names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from aios3sync.core.local_names import folded, parents
from aios3sync.local.scratch import ScratchDatabase

__all__ = ("FoldedNames",)

_SCHEMA: Final = "CREATE TABLE names (folded TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID;"
_ADD: Final = "INSERT OR IGNORE INTO names VALUES (?, ?)"
_FIND: Final = "SELECT name FROM names WHERE folded = ?"


class FoldedNames:
    """The names of one listing.

    Args:
        case: whether the filesystem ignores upper and lower case.
        form: whether it ignores the normal form of Unicode.
    """

    def __init__(self, *, case: bool, form: bool) -> None:
        self._case = case
        self._form = form
        self._database = ScratchDatabase(_SCHEMA)

    async def others(self, keys: Sequence[str]) -> dict[str, str]:
        """Return which of the next keys have the name of an earlier key or folder, and that earlier name.

        Raises:
            TemporarySpaceError: the disk is full.
        """
        return await self._database.transact(lambda connection: self._others(connection, keys))

    def _others(self, connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        known: set[str] = set()
        for key in keys:
            for path in (*parents(key), key):
                if path in known:
                    continue
                earlier = self._first(connection, path)
                if earlier != path:
                    found[key] = earlier
                    break
                known.add(path)
        return found

    def _first(self, connection: sqlite3.Connection, path: str) -> str:
        """Return the first path with the same folded form: this one, unless another came before."""
        form = folded(path, case=self._case, form=self._form)
        if connection.execute(_ADD, (form, path)).rowcount:
            return path
        (name,) = connection.execute(_FIND, (form,)).fetchone()
        return str(name)

    async def close(self) -> None:
        """Drop the names."""
        await self._database.close()
