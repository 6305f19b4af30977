"""Opens the object index that follows a run; if the database cannot be used, that is only a warning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from aios3sync._namedtuple import NamedTuple
from aios3sync.events import Warned

if TYPE_CHECKING:
    from aios3sync.cli.output.view import View
    from aios3sync.index.object_index import ObjectIndex
    from aios3sync.session import Session

__all__ = ("FollowedIndex", "followed_index")


class FollowedIndex(NamedTuple):
    """The index of a run, or the warnings of a run that continues without it."""

    database: ObjectIndex | None = None
    warnings: tuple[str, ...] = ()


@asynccontextmanager
async def followed_index(
    session: Session, url: str | None, view: View, *, request_payer: bool = False
) -> AsyncIterator[FollowedIndex]:
    """Open the index with this URL for one run; if that fails, show a warning.

    Args:
        session: opens it.
        url: of the database; ``None`` or empty for no index.
        view: shows the warning at once.
        request_payer: see :meth:`aios3sync.Session.index`.
    """
    if not url:
        yield FollowedIndex()
        return
    from aios3sync.index.rows import IndexUnavailableError

    async with AsyncExitStack() as stack:
        try:
            opening = session.index(url, request_payer=request_payer)
            found = FollowedIndex(await stack.enter_async_context(opening))
        except IndexUnavailableError as error:
            text = f"{error}; the sync goes on without it, 'aios3sync index reconcile' repairs it"
            found = FollowedIndex(None, (text,))
            view(Warned(text))
        yield found
