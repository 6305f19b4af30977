"""The interface of the databases of the object index, and its guarantees. Types only, no I/O.

One backend is one named index in one database; a row is identified by bucket and full key.
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
"""Rows of a prefix that is not a folder that are counted before the total becomes a lower bound."""

Position = tuple[str | int | float, int]
"""The end of a page: the value of its last row in the order of the query, and the number of that row."""


@runtime_checkable
class IndexBackend(Protocol):
    """The tables of one index, in one database.

    All methods raise :class:`~aios3sync.index.rows.ObjectIndexError` for every failure of the database. Many
    tasks may call them at once; none blocks the event loop. A method that writes is one transaction: it
    happens completely or not at all, also when the process dies. A cancelled call may have happened or not.
    """

    @property
    def place(self) -> str:
        """The path or URL of the database, for messages; without a password."""
        ...

    # Writing

    async def apply(
        self, bucket: str, changes: Sequence[Change], state: Mapping[str, str | None] | None = None
    ) -> Applied:
        """Write a batch of changes, and state, in one transaction.

        Changes may arrive late, twice, and out of order. Of two changes of one key the later one wins: by
        ``sequencer`` where both have one, else by ``observed``; of equal ones the one that arrived later. A
        removal leaves a tombstone, so an older upsert that arrives after it is ignored. Several changes of
        one key in a batch are applied in their order.

        Args:
            bucket: of all the changes.
            changes: some ten thousand at most; the call holds the whole batch in memory.
            state: names and values as in :meth:`save_state`.

        Raises:
            ObjectIndexError: the database failed, or cannot hold a key (NUL in PostgreSQL); nothing was
                written.
        """
        ...

    async def apply_facts(
        self, bucket: str, changes: Sequence[Facts], state: Mapping[str, str | None] | None = None
    ) -> Applied:
        """Write a batch like :meth:`apply`, of changes that are already facts: the fast path of a sync."""
        ...

    async def load(
        self,
        bucket: str,
        rows: Sequence[ObjectRow],
        observed: float,
        state: Mapping[str, str | None] | None = None,
    ) -> Applied:
        """Write rows of a listing, all ``observed`` at one time: a fast :meth:`apply` of upserts.

        New rows are inserted by COPY where the database has it. Between :meth:`begin_loading` and
        :meth:`end_loading` an empty index has no secondary B-trees.
        """
        ...

    async def begin_loading(self) -> None:
        """Prepare for many calls of :meth:`load`; harmless where none follows, or the process dies."""
        ...

    async def end_loading(self) -> None:
        """Build the deferred B-trees; every backend does this when it is opened, too."""
        ...

    async def sweep(
        self, bucket: str, prefix: str, before: float, after: str, limit: int
    ) -> tuple[int, str | None]:
        """Delete rows last observed ``before`` a time, among the next ``limit`` keys above ``after``.

        The last phase of a backfill: objects that its listing did not show do not exist any more. Every
        change that is not ignored sets when a row was observed.

        Returns:
            How many rows were deleted, and the key to continue after; ``None`` at the end.
        """
        ...

    async def forget_removals(self, before: float) -> int:
        """Delete tombstones observed before ``before``; no older event may arrive after that."""
        ...

    # Reading

    async def buckets(self) -> list[str]:
        """List the buckets that have or had rows, ascending."""
        ...

    async def get(self, bucket: str, keys: Sequence[str]) -> list[ObjectRow]:
        """Return the rows of those keys that exist, ascending."""
        ...

    async def scan(self, bucket: str, prefix: str, after: str, limit: int) -> list[ObjectRow]:
        """Return the next rows with keys above ``after``, ascending; for a merge with a listing."""
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
        """Return the next rows in an order, and the position of their end; ``None`` at the last page.

        Rows of one value are in the order in which they were inserted.
        """
        ...

    async def sample(self, selection: Selection, count: int, seed: int | None = None) -> list[ObjectRow]:
        """Return random rows without repeats, every set of ``count`` equally likely; all if there are fewer.

        The same seed selects the same rows as long as nothing was written.
        """
        ...

    async def totals(self, selection: Selection) -> Totals:
        """Return count and bytes.

        They come from maintained sums for folders and for prefixes that are empty or end in ``/``; for other
        prefixes up to :data:`EXACT_UP_TO` rows are counted.
        """
        ...

    async def folders(self, bucket: str, folder: str) -> list[Folder]:
        """List the folders directly in a folder, ascending."""
        ...

    async def search(self, selection: Selection, text: str, after: str, limit: int) -> list[ObjectRow]:
        """Return rows whose name contains a text, ASCII letters of either case, ascending by key."""
        ...

    async def histogram(self, selection: Selection, by: Grouping) -> list[Group]:
        """Return counts and bytes by group; reads all rows of the selection."""
        ...

    # State

    async def state(self, prefix: str = "") -> dict[str, str]:
        """Return the names that begin with ``prefix``, and their values."""
        ...

    async def save_state(self, values: Mapping[str, str | None]) -> None:
        """Set values; ``None`` deletes one."""
        ...

    async def close(self) -> None:
        """Close the database; a second call does nothing."""
        ...
