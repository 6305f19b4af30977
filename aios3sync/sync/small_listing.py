"""Read the short listing of a small run, page by page; called by ``small_run.py``."""

from __future__ import annotations

import time

from aios3sync._dataclass import dataclass
from aios3sync._typing import Final, Protocol
from aios3sync.core.entries import TargetEntry
from aios3sync.core.keys import Location
from aios3sync.listing.pages import ASCENDING, PageChecks, relative
from aios3sync.store.protocol import ListPage

__all__ = ("Listed", "Pages", "read_listing")

_FEW_PAGES: Final = 8
"""Pages that are read one after the other however long each takes."""
_SLOW_PAGE_S: Final = 0.02
"""Mean seconds of a page above which a run, which requests several at once, is faster."""


class Pages(Protocol):
    """The pages of a listing, see :class:`~aios3sync.store.wire.blocking_pages.BlockingPages`."""

    def ask(self, prefix: str, token: str | None) -> None:
        """Send the request for a page."""
        ...

    def answer(self) -> ListPage:
        """Wait for the page that was requested."""
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
        """The order to remember: one page alone proves little."""
        return ASCENDING if self.pages > 1 else ""


def read_listing(pages: Pages, location: Location, most: int) -> Listed | None:
    """Return a listing whose first page was requested.

    ``None`` where it is not in key order, has more keys than ``most``, or has many pages that each take long:
    a run requests several at once.

    Raises:
        ListingError: it may be incomplete.
    """
    checks = PageChecks(location.bucket, location.prefix)
    entries: list[TargetEntry] = []
    began = time.monotonic()
    while True:
        if checks.pages >= _FEW_PAGES and time.monotonic() - began > checks.pages * _SLOW_PAGE_S:
            return None
        page = pages.answer()
        checks.take(page)
        if checks.disorder is not None or checks.keys > most:
            return None
        if not checks.ended:
            pages.ask(location.prefix, checks.token)
        entries += relative(page.entries, location.prefix)
        if checks.ended:
            return Listed(entries, checks.pages)
