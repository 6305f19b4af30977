"""RestoresStore: a store whose listing tells which archived objects are restored."""

from __future__ import annotations

from aios3sync.store.protocol import ListPage
from aios3sync.store.wrappers.base import ForwardingStore

__all__ = ("RestoresStore",)


class RestoresStore(ForwardingStore):
    """A store that asks for this with each page; it costs no request."""

    async def list_page(
        self,
        prefix: str,
        *,
        token: str | None = None,
        start_after: str = "",
        delimiter: str = "",
        max_keys: int = 1000,
        restores: bool = True,  # noqa: ARG002 - that is what it is for
    ) -> ListPage:
        """Get one page."""
        return await self.inner.list_page(
            prefix,
            token=token,
            start_after=start_after,
            delimiter=delimiter,
            max_keys=max_keys,
            restores=True,
        )
