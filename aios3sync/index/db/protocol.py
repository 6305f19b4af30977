"""The seam of the object index: what its databases can do, and what may be relied on. Types only, no I/O.

One backend speaks for one named index in one database; its rows are told apart by bucket and full key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from aios3sync.index.rows import (
    Applied,
    Change,
    Facts,
    Folder,
    Group,
    Grouping,
    ObjectRow,
    Order,
    Selection,
    Totals,
)

__all__ = ("EXACT_UP_TO", "IndexBackend", "Position")

EXACT_UP_TO = 100_000
"""Rows of a prefix that is no folder which are counted before a total is given as a lower bound."""

Position = tuple[str | int | float, int]
"""Where a page ended: the value of its last row in the order of the query, and the number of that row."""


@runtime_checkable
class IndexBackend(Protocol):
    """The tables of one index, in one database.

    All methods raise :class:`~aios3sync.index.rows.ObjectIndexError` and nothing else of the database.
    They may be called at once from many tasks; none blocks the event loop. A method that writes is one
    transaction: all of it or nothing, also when the process dies. One that was cancelled may or may not have
    happened.
    """

    @property
    def place(self) -> str:
        """Where it is kept, for messages; without a password."""
        ...

    # Writing

    async def apply(
        self, bucket: str, changes: Sequence[Change], state: Mapping[str, str | None] | None = None
    ) -> Applied:
        """Write a batch, and the state with it, in one transaction.

        Changes may come late, twice, and out of order. Of two changes of one key the later one wins: by
        ``sequencer`` where both have one, by ``observed`` else; of two that are equal in that the one that
        came later. What a removal made known outlasts the row (a tombstone), so an older upsert that comes
        after it is ignored. Several changes of one key in a batch are applied in their order.

        Args:
            bucket: of all the changes.
            changes: at most some ten thousand; memory is that of the batch.
            state: names and values as of :meth:`save_state`.

        Raises:
            ObjectIndexError: the database failed, or a key cannot be held (NUL in PostgreSQL); nothing was
                written.
        """
        ...

    async def apply_facts(
        self, bucket: str, changes: Sequence[Facts], state: Mapping[str, str | None] | None = None
    ) -> Applied:
        """As :meth:`apply`, of changes that already are as they are written: the quick way of a sync."""
        ...

    async def load(
        self,
        bucket: str,
        rows: Sequence[ObjectRow],
        observed: float,
        state: Mapping[str, str | None] | None = None,
    ) -> Applied:
        """Write rows of a listing, all ``observed`` at one time: :meth:`apply` of upserts, the quick way.

        Rows that are new to the index go in by COPY where the database has it. Between :meth:`begin_loading`
        and :meth:`end_loading` the search trees of an empty index are left for later.
        """
        ...

    async def begin_loading(self) -> None:
        """Many rows will come by :meth:`load`. Harmless where nothing follows, or the process dies."""
        ...

    async def end_loading(self) -> None:
        """Build what was left for later; every backend does so when it is opened, too."""
        ...

    async def sweep(
        self, bucket: str, prefix: str, before: float, after: str, limit: int
    ) -> tuple[int, str | None]:
        """Delete rows that were last observed ``before``, the next ``limit`` ones with keys above ``after``.

        Ends a backfill: what its listing did not show is gone. A row is observed again by every change of it
        that is not ignored.

        Returns:
            How many were deleted, and the key to go on after; ``None`` at the end.
        """
        ...

    async def forget_removals(self, before: float) -> int:
        """Drop tombstones that were observed ``before``; events that are older must not come any more."""
        ...

    # Reading

    async def buckets(self) -> list[str]:
        """All buckets that have rows or state, ascending."""
        ...

    async def get(self, bucket: str, keys: Sequence[str]) -> list[ObjectRow]:
        """The rows of those keys that there are, ascending."""
        ...

    async def scan(self, bucket: str, prefix: str, after: str, limit: int) -> list[ObjectRow]:
        """The next rows with keys above ``after``, ascending; for a merge with a listing."""
        ...

    async def page(
        self,
        selection: Selection,
        order: Order,
        limit: int,
        *,
        desc: bool = False,
        after: Position | None = None,
    ) -> tuple[list[ObjectRow], Position | None]:
        """The next rows in an order, and where they end; ``None`` where there are no more.

        Rows of one value are in the order in which they came to the index.
        """
        ...

    async def sample(self, selection: Selection, count: int, seed: int | None = None) -> list[ObjectRow]:
        """Different rows, every set of ``count`` rows as likely as any other; all rows if there are fewer.

        The same seed picks the same rows as long as nothing was written.
        """
        ...

    async def totals(self, selection: Selection) -> Totals:
        """Count and bytes: at once for folders and for prefixes that are empty or end in ``/``.

        For others it counts up to :data:`EXACT_UP_TO` rows.
        """
        ...

    async def folders(self, bucket: str, folder: str) -> list[Folder]:
        """The folders directly in a folder, ascending."""
        ...

    async def search(self, selection: Selection, text: str, after: str, limit: int) -> list[ObjectRow]:
        """Rows whose name contains a text, ASCII letters of either case, ascending by key."""
        ...

    async def histogram(self, selection: Selection, by: Grouping) -> list[Group]:
        """Counts and bytes by group; reads all rows of the selection."""
        ...

    # State

    async def state(self, prefix: str = "") -> dict[str, str]:
        """Names that begin with ``prefix`` and their values."""
        ...

    async def save_state(self, values: Mapping[str, str | None]) -> None:
        """Set values; ``None`` removes one."""
        ...

    async def close(self) -> None:
        """Give back what was opened; doing so twice is harmless."""
        ...
