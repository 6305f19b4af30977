"""ManifestRange: the rows of one key range of a manifest, as the run of a shard reads them."""

from __future__ import annotations

from collections.abc import Sequence

from aios3sync.concurrency import in_thread
from aios3sync.core.entries import RecordedEntry
from aios3sync.core.key_range import KeyRange
from aios3sync.manifest.protocol import Binding, Manifest, ManifestState, Stat

__all__ = ("ManifestRange",)


class ManifestRange:
    """See :class:`~aios3sync.manifest.protocol.Manifest`; state and writes are those of the whole manifest.

    Args:
        manifest: the whole manifest.
        key_range: the rows to read.
    """

    def __init__(self, manifest: Manifest, key_range: KeyRange) -> None:
        self._whole = manifest
        self._range = key_range
        self._begin = key_range.after

    @property
    def place(self) -> str:
        """The path, for messages; empty for a temporary manifest."""
        return self._whole.place

    @property
    def binding(self) -> Binding | None:
        """The pair it belongs to, ``None`` where the file names none."""
        return self._whole.binding

    async def state(self) -> ManifestState:
        """Return the state as last saved."""
        return await self._whole.state()

    async def save_state(self, state: ManifestState) -> None:
        """Replace the state."""
        await self._whole.save_state(state)

    async def page(self, after: str | None, limit: int) -> list[RecordedEntry]:
        """Return up to ``limit`` rows of the range with keys greater than ``after``, ascending."""
        return await in_thread(self.rows_after, after or "", limit)

    def rows_after(self, after: str, limit: int) -> list[RecordedEntry]:
        """Return the same as :meth:`page`. Blocks."""
        after = self._after(after)
        while rows := self._whole.rows_after(after, limit):
            if held := self._range.clipped(rows):
                return held
            if not self._goes_on(rows[-1].key):
                break
            after = rows[-1].key
        return []

    def rows_through(self, after: str, last: str) -> list[RecordedEntry]:
        """Return all rows of the range with keys after ``after``, up to and including ``last``. Blocks."""
        return self._range.clipped(self._whole.rows_through(self._after(after), last))

    def stats_after(self, after: str, limit: int, headers: tuple[str, str] | None = None) -> list[Stat]:
        """Return the stats of up to ``limit`` rows of the range. Blocks.

        They may be fewer than the rows: then they match no batch, and the rows are compared one by one.
        """
        stats = self._whole.stats_after(self._after(after), limit, headers)
        if not stats or (self._range.holds(stats[0][0]) and self._range.holds(stats[-1][0])):
            return stats
        return [stat for stat in stats if self._range.holds(stat[0])]

    async def key_after(self, after: str, rows: int) -> str | None:
        """Return the key ``rows`` rows after ``after``, ``None`` where the range has fewer."""
        key = await self._whole.key_after(self._after(after), rows)
        return key if key is not None and self._range.holds(key) else None

    async def get(self, key: str) -> RecordedEntry | None:
        """Return one row."""
        return await self._whole.get(key)

    async def count(self) -> int:
        """Return how many rows the whole manifest has."""
        return await self._whole.count()

    async def lacks_headers(self) -> bool:
        """Return whether the whole manifest has a row without a record of its headers."""
        return await self._whole.lacks_headers()

    async def record(self, rows: Sequence[RecordedEntry], gone: Sequence[str]) -> None:
        """Write and drop rows, all or nothing."""
        await self._whole.record(rows, gone)

    async def clear(self) -> None:
        """Drop all rows and the state of the whole manifest."""
        await self._whole.clear()

    async def close(self) -> None:
        """Close the file; idempotent."""
        await self._whole.close()

    def _after(self, after: str) -> str:
        return max(after, self._begin)

    def _goes_on(self, key: str) -> bool:
        """Whether rows of the range can follow a key that is outside of it."""
        return key < self._range.first
