"""Joins the entries of two sides by key, for a verification."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from aios3sync.core.merge import BatchJoin

__all__ = ("pairs_of",)


async def pairs_of(
    source: AsyncGenerator[Any, None],
    target: AsyncGenerator[Any, None],
    entries: Callable[[int, Any], list[Any]],
) -> AsyncGenerator[tuple[Any, Any], None]:
    """Yield the entries of both sides key by key, ``None`` where a side has none.

    Args:
        source: its batches in key order; it is closed in any case.
        target: the same of the other side.
        entries: returns the entries of a batch, of the source (0) or the target (1).

    Raises:
        OutOfOrderError: a side is not in key order.
    """
    join = BatchJoin("source", "target")
    async with aclosing(source), aclosing(target):
        while not join.finished:
            while (index := join.needs_input()) is not None:
                batch = await anext((source, target)[index], None)
                if batch is None:
                    join.end(index)
                else:
                    join.feed(index, entries(index, batch))
            for row in join.rows():
                yield row
