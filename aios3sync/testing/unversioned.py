"""What a bucket that never had versions answers about them; part of MemoryStore, for tests only."""

from __future__ import annotations

from typing import Protocol

from aios3sync.store.protocol import ListedVersion, ListPage, VersionPage

__all__ = ("Unversioned",)


class _Listing(Protocol):
    async def list_page(self, prefix: str, *, start_after: str = "", max_keys: int = 1000) -> ListPage: ...


class Unversioned:
    """The verbs about versions, for a store that lists in byte order."""

    async def versioning(self: _Listing) -> str:
        """There are no versions."""
        await self.list_page("", max_keys=1)
        return ""

    async def list_versions_page(
        self: _Listing, prefix: str, *, token: tuple[str, str] | None = None, max_keys: int = 1000
    ) -> VersionPage:
        """Every object as its only version."""
        page = await self.list_page(prefix, start_after=token[0] if token else "", max_keys=max_keys)
        versions = [
            ListedVersion(entry.key, "null", entry.size, entry.last_modified, is_latest=True)
            for entry in page.entries
        ]
        return VersionPage(versions, (versions[-1].key, "null") if page.next_token else None)
