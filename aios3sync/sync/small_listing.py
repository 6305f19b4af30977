"""Compare source, manifest and a short listing where nothing differs; see ``unchanged.py``, which begins it.

The decisions are those of a run. The first one that is not to keep ends the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from aios3sync._dataclass import dataclass
from aios3sync.core.actions import UNCOUNTED, Keep
from aios3sync.core.decision import decide
from aios3sync.core.entries import RecordedEntry, SourceEntry, TargetEntry
from aios3sync.core.keys import Location
from aios3sync.core.merge import merge_join
from aios3sync.core.policy import Policy
from aios3sync.listing.pages import ASCENDING, PageChecks, relative
from aios3sync.store.protocol import ListPage

__all__ = ("Listed", "Pages", "read_listing", "same_everywhere")


class Pages(Protocol):
    """The pages of a listing, see :class:`~aios3sync.store.wire.blocking_pages.BlockingPages`."""

    def ask(self, prefix: str, token: str | None) -> None:
        """Send the request for a page."""
        ...

    def answer(self) -> ListPage:
        """Wait for the page that was asked for."""
        ...

    def close(self) -> None:
        """End it."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A whole listing in key order.

    Attributes:
        entries: with keys relative to the prefix.
        pages: how many requests it took.
    """

    entries: list[TargetEntry]
    pages: int

    @property
    def order(self) -> str:
        """The order that is remembered: one page alone proves little."""
        return ASCENDING if self.pages > 1 else ""


def read_listing(pages: Pages, location: Location, most: int) -> Listed | None:
    """Return a listing whose first page was asked for.

    ``None`` where it is not in key order, or has more keys than ``most``.

    Raises:
        ListingError: its end is not known to be its end.
    """
    checks = PageChecks(location.bucket, location.prefix)
    entries: list[TargetEntry] = []
    while True:
        page = pages.answer()
        checks.take(page)
        if checks.disorder is not None or checks.keys > most:
            return None
        if not checks.ended:
            pages.ask(location.prefix, checks.token)
        entries += relative(page.entries, location.prefix)
        if checks.ended:
            return Listed(entries, checks.pages)


def same_everywhere(
    source: Sequence[SourceEntry],
    recorded: Sequence[RecordedEntry],
    target: Sequence[TargetEntry],
    policy: Policy,
    visible: Callable[[str], bool] | None,
) -> int | None:
    """Return how many keys are kept as they are, ``None`` where there is anything to do.

    Args:
        source: all visible files.
        recorded: all rows of the manifest.
        target: all objects.
        policy: what decisions depend on.
        visible: the filters, for the keys of the last two; ``None`` if all are visible.

    Raises:
        OutOfOrderError: a stream is not in key order.
    """
    kept = 0
    rows, objects = _visible(recorded, visible), _visible(target, visible)
    for file, row, item in merge_join(source, rows, objects):
        if file is None and row is None and policy.delete != "mirror":
            continue  # an object that this tool did not upload: there is nothing to decide
        action = decide(file, row, item, policy)
        if type(action) is not Keep:
            return None
        kept += action.reason not in UNCOUNTED
    return kept


def _visible(
    entries: Sequence[RecordedEntry] | Sequence[TargetEntry], visible: Callable[[str], bool] | None
) -> Iterator[RecordedEntry | TargetEntry]:
    return (entry for entry in entries if visible is None or visible(entry.key))
