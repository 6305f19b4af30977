"""The source as the engine sees it: the few questions that it asks, whatever the source is made of.

:class:`~aios3sync.local.tree.LocalTree` is the source on a disk. The target is an
:class:`~aios3sync.store.protocol.ObjectStore`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aios3sync.core.entries import RecordedEntry, SourceEntry
    from aios3sync.core.filters import Filters
    from aios3sync.local.read import Place
    from aios3sync.local.walk import Walk

__all__ = ("Source",)


class Source(Protocol):
    """Where files come from. All methods but :meth:`path` and :meth:`place` block."""

    def check(self) -> None:
        """Look at the source before the run, and remember its identity.

        Raises:
            SourceError: it cannot be used.
        """
        ...

    @property
    def device(self) -> int | None:
        """The identity of what holds the source, remembered across runs; ``None`` if it has none."""
        ...

    def path(self, key: str) -> str:
        """Return the path of the file of a key."""
        ...

    def place(self, key: str) -> Place:
        """Return where the file of a key is, for its reading."""
        ...

    def walk(self, filters: Filters, prefix: str, mounts: frozenset[str] = frozenset()) -> Walk:
        """Return a walk over all visible files in key order."""
        ...

    def is_unchanged(self, row: RecordedEntry) -> bool:
        """Whether the file of a row is still what was sent."""
        ...

    def has_name(self, key: str) -> bool:
        """Whether the source has an entry of this name, visible or not."""
        ...

    def root_problem(self) -> str:
        """Return why the source is not the one of :meth:`check` any more; empty if it is."""
        ...

    def may_be_swapped(self, device: int) -> bool:
        """Whether the source may be another one than that of an earlier run."""
        ...

    def entry(self, key: str) -> SourceEntry | str:
        """Return the file of a key as it is now, or why it is none."""
        ...
