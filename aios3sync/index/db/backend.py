"""The base of both databases: every method of the protocol as one transaction of steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar

from aios3sync.core.keys import key_problem
from aios3sync.index.db import queries, sampling, writes
from aios3sync.index.db.batch import facts_of
from aios3sync.index.db.protocol import Position
from aios3sync.index.db.steps import Dialect, Steps
from aios3sync.index.rows import (
    Applied,
    Change,
    Facts,
    Folder,
    Group,
    Grouping,
    ObjectIndexError,
    ObjectRow,
    Order,
    Selection,
    Totals,
    Upsert,
)

__all__ = ("StepsBackend",)

T = TypeVar("T")


class StepsBackend(ABC):
    """See :class:`~aios3sync.index.db.protocol.IndexBackend`; a subclass runs the steps in its database.

    Args:
        name: of the index; several may be in one database.
        dialect: of the database.
    """

    def __init__(self, name: str, dialect: Dialect) -> None:
        self._name = name
        self._dialect = dialect

    @abstractmethod
    async def _read(self, steps: Steps[T]) -> T:
        """Run steps on one snapshot."""

    @abstractmethod
    async def _write(self, steps: Steps[T]) -> T:
        """Run steps in one transaction."""

    def _check(self, changes: Sequence[Facts]) -> None:
        """Refuse changes that the database cannot hold."""
        for change in changes:
            if (problem := key_problem(change[0])) is not None:
                raise ObjectIndexError(f"the index cannot hold {change[0]!r}: it {problem}")

    # Writing

    async def apply(
        self, bucket: str, changes: Sequence[Change], state: Mapping[str, str | None] | None = None
    ) -> Applied:
        """See the protocol."""
        return await self.apply_facts(bucket, list(map(facts_of, changes)), state)

    async def apply_facts(
        self, bucket: str, changes: Sequence[Facts], state: Mapping[str, str | None] | None = None
    ) -> Applied:
        """See the protocol."""
        self._check(changes)
        return await self._write(writes.apply(self._name, bucket, changes, state or {}, self._dialect))

    async def load(
        self,
        bucket: str,
        rows: Sequence[ObjectRow],
        observed: float,
        state: Mapping[str, str | None] | None = None,
    ) -> Applied:
        """See the protocol."""
        return await self.apply(bucket, [Upsert(row, observed) for row in rows], state)

    async def sweep(
        self, bucket: str, prefix: str, before: float, after: str, limit: int
    ) -> tuple[int, str | None]:
        """See the protocol."""
        steps = writes.sweep(self._name, bucket, prefix, before, self._dialect, after=after, limit=limit)
        return await self._write(steps)

    async def forget_removals(self, before: float) -> int:
        """See the protocol."""
        return await self._write(writes.forget_removals(self._name, before))

    async def save_state(self, values: Mapping[str, str | None]) -> None:
        """See the protocol."""
        await self._write(writes.save_state(self._name, values))

    # Reading

    async def buckets(self) -> list[str]:
        """See the protocol."""
        return await self._read(queries.buckets(self._name))

    async def get(self, bucket: str, keys: Sequence[str]) -> list[ObjectRow]:
        """See the protocol."""
        return await self._read(queries.get(self._name, bucket, keys))

    async def scan(self, bucket: str, prefix: str, after: str, limit: int) -> list[ObjectRow]:
        """See the protocol."""
        return await self._read(queries.scan(self._name, bucket, prefix, after, limit))

    async def page(
        self,
        selection: Selection,
        order: Order,
        limit: int,
        *,
        desc: bool = False,
        after: Position | None = None,
    ) -> tuple[list[ObjectRow], Position | None]:
        """See the protocol."""
        steps = queries.page(self._name, selection, order, limit, self._dialect, desc=desc, after=after)
        return await self._read(steps)

    async def sample(self, selection: Selection, count: int, seed: int | None = None) -> list[ObjectRow]:
        """See the protocol."""
        return await self._read(sampling.sample(self._name, selection, count, seed))

    async def totals(self, selection: Selection) -> Totals:
        """See the protocol."""
        return await self._read(queries.totals(self._name, selection))

    async def folders(self, bucket: str, folder: str) -> list[Folder]:
        """See the protocol."""
        return await self._read(queries.folders(self._name, bucket, folder))

    async def search(self, selection: Selection, text: str, after: str, limit: int) -> list[ObjectRow]:
        """See the protocol."""
        return await self._read(queries.search(self._name, selection, text, after, limit, self._dialect))

    async def histogram(self, selection: Selection, by: Grouping) -> list[Group]:
        """See the protocol."""
        return await self._read(queries.histogram(self._name, selection, by, self._dialect))

    async def state(self, prefix: str = "") -> dict[str, str]:
        """See the protocol."""
        return await self._read(queries.state(self._name, prefix))
