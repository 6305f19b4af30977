"""Renames: holds new files that may be renamed ones, until it is known which recorded files are gone.

A comparison meets keys in their order, so that a new name may come long before the old one is missed. New
files wait here until the comparison has ended; then those with the size and the digest of a row whose file is
gone are copied on the server: its MD5, or the digests of its parts. Memory for both is bounded: beyond that a
renamed file is uploaded like any new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aios3sync.core.actions import Reason, Upload
from aios3sync.core.decision import has_part_digests
from aios3sync.core.entries import RecordedEntry
from aios3sync.core.parts import MAX_COPY_SIZE

__all__ = ("Renames",)

_MOST_ROWS: Final = 200_000
_MOST_HELD: Final = 100_000


class Renames:
    """The new and the missing files of one comparison. No I/O."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[str, RecordedEntry]] = {}
        self._count = 0
        self._held: list[Upload] = []
        self._copied: set[str] = set()

    @property
    def copied(self) -> int:
        """How many of the objects whose files are gone have a copy under a new name."""
        return len(self._copied)

    def note_copied(self, row: RecordedEntry) -> None:
        """Note that the object of a row was copied to the new name of its file."""
        self._copied.add(row.key)

    def restart(self) -> None:
        """Forget everything: the comparison begins again."""
        self._rows.clear()
        self._count = 0
        self._held.clear()

    def gone(self, row: RecordedEntry) -> None:
        """Take a row whose file is no longer in the source, and whose object will be deleted."""
        if not (row.etag and 0 < row.size <= MAX_COPY_SIZE) or self._count >= _MOST_ROWS:
            return
        digest = row.etag.lower() if has_part_digests(row) else row.md5
        if digest:
            self._count += 1
            self._rows.setdefault(row.size, {}).setdefault(digest, row)

    def hold(self, uploads: Sequence[Upload]) -> list[Upload]:
        """Hold the uploads that may be renamed files; return the others."""
        go_on: list[Upload] = []
        for upload in uploads:
            new = upload.reason is Reason.NEW and upload.source.size > 0
            (self._held if new and len(self._held) < _MOST_HELD else go_on).append(upload)
        return go_on

    def release(self) -> list[Upload]:
        """Return all that was held, when the comparison has ended."""
        held, self._held = self._held, []
        return held

    def may_be(self, upload: Upload) -> bool:
        """Whether a file is new and has the size of a file that is gone."""
        return upload.reason is Reason.NEW and upload.source.size in self._rows

    def part_sizes(self, size: int) -> tuple[int, ...]:
        """Return the part sizes of the rows of this size whose digests are those of their parts."""
        rows = self._rows.get(size, {}).values()
        return tuple(dict.fromkeys(row.part_size for row in rows if has_part_digests(row)))

    def find(self, size: int, *digests: str) -> RecordedEntry | None:
        """Return the row of a file that is gone and had the content with any of these digests."""
        rows = self._rows.get(size, {})
        return next((rows[digest] for digest in digests if digest in rows), None)
