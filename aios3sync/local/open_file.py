"""OpenFile: an open file whose stat can be taken again, and which is read at any offset."""

from __future__ import annotations

import os

from aios3sync.core.entries import SourceEntry
from aios3sync.local.digest import ChangedError, entry_of

__all__ = ("OpenFile",)


class OpenFile:
    """One open file. All methods block.

    Args:
        key: its key, for errors and for :meth:`stat`.
        descriptor: open for reading; :meth:`close` closes it.
    """

    __slots__ = ("_descriptor", "_key")

    def __init__(self, key: str, descriptor: int) -> None:
        self._key = key
        self._descriptor = descriptor

    def stat(self) -> SourceEntry:
        """Return the file as it is now."""
        return entry_of(self._key, os.fstat(self._descriptor))

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill the whole buffer with the bytes from an offset.

        Raises:
            OSError: it cannot be read.
            ChangedError: it ends before the buffer is full.
        """
        filled = 0
        while filled < len(buffer):
            count = os.preadv(self._descriptor, [buffer[filled:]], offset + filled)
            if not count:
                raise ChangedError(self._key)
            filled += count

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
