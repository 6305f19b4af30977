"""VersionHistory: the versions of the objects of a :class:`~aios3sync.testing.memory.MemoryStore`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from aios3sync._namedtuple import NamedTuple
from aios3sync.store.protocol import ListedVersion

if TYPE_CHECKING:
    from aios3sync.testing.stored import StoredObject

__all__ = ("VersionHistory",)


class _Version(NamedTuple):
    version_id: str
    stored: StoredObject | None
    written: float


class VersionHistory:
    """All versions of a bucket, as of the moment when it began to keep them."""

    def __init__(self) -> None:
        self._versions: dict[str, list[_Version]] = {}
        self._serial = 0

    def add(self, key: str, stored: StoredObject | None, written: float) -> str:
        """Keep a new version, or a delete marker where nothing is stored; return its id."""
        self._serial += 1
        version_id = f"v{self._serial}"
        self._versions.setdefault(key, []).append(_Version(version_id, stored, written))
        return version_id

    def get(self, key: str, version_id: str) -> StoredObject | None:
        """Return one version."""
        found = (each.stored for each in self._versions.get(key, ()) if each.version_id == version_id)
        return next(found, None)

    def put(self, key: str, version_id: str, stored: StoredObject) -> None:
        """Change one version in place."""
        versions = self._versions[key]
        at = next(n for n, each in enumerate(versions) if each.version_id == version_id)
        versions[at] = versions[at]._replace(stored=stored)

    def listed(self, prefix: str, order: Callable[[str], Any]) -> Iterator[ListedVersion]:
        """Yield the versions below a prefix: by key, the newest first."""
        for key in sorted((key for key in self._versions if key.startswith(prefix)), key=order):
            versions = self._versions[key]
            for version in reversed(versions):
                yield _listed(key, version, is_latest=version is versions[-1])


def _listed(key: str, version: _Version, *, is_latest: bool) -> ListedVersion:
    stored, modified = version.stored, float(int(version.written))
    if stored is None:
        return ListedVersion(key, version.version_id, 0, modified, is_latest, is_delete_marker=True)
    return ListedVersion(
        key,
        version.version_id,
        len(stored.body),
        modified,
        is_latest,
        etag=stored.etag,
        storage_class=stored.options.storage_class or "STANDARD",
    )
