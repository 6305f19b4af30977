"""RestoresStore: a store whose listing shows which archived objects are restored."""

from __future__ import annotations

from typing import Final

from aios3sync.errors import StoreError
from aios3sync.store.protocol import ListPage, ObjectStore
from aios3sync.store.wrappers.base import ForwardingStore

__all__ = ("RestoresStore",)

_REFUSED: Final = frozenset({400, 501})
"""Statuses of an endpoint that does not know the request for restore states, and does not ignore it."""


class RestoresStore(ForwardingStore):
    """A store that requests restore states with each page; that costs a request only if it is refused.

    Args:
        inner: the store that lists.
    """

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self._asks = True

    async def list_page(
        self,
        prefix: str,
        *,
        token: str | None = None,
        start_after: str = "",
        delimiter: str = "",
        max_keys: int = 1000,
        restores: bool = True,
    ) -> ListPage:
        """Return one page."""

        async def page(*, restores: bool) -> ListPage:
            return await self.inner.list_page(
                prefix,
                token=token,
                start_after=start_after,
                delimiter=delimiter,
                max_keys=max_keys,
                restores=restores,
            )

        if not (self._asks and restores):
            return await page(restores=False)
        try:
            return await page(restores=True)
        except StoreError as error:
            if error.retryable or error.status not in _REFUSED:
                raise
        found = await page(restores=False)  # raises where it was something else that was refused
        self._asks = False
        return found
