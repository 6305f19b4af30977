"""What backfill and reconcile tell while they work: frozen events. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ("IndexProgress", "IndexSink", "unheard")


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How far the work has come.

    Attributes:
        phase: ``list``, ``sweep`` or ``build``.
        listed: objects of the listing that were taken in so far, those of an earlier attempt included.
        written: rows that this changed.
        parts, parts_done: of the listing; 0 while they are not known.
    """

    phase: str
    listed: int = 0
    written: int = 0
    parts: int = 0
    parts_done: int = 0


class IndexSink(Protocol):
    """Takes progress; called on the event loop, must not block."""

    def __call__(self, event: IndexProgress, /) -> object:
        """Take one event."""
        ...


def unheard(event: IndexProgress, /) -> None:
    """The sink for callers who do not listen."""
