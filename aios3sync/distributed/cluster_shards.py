"""The coordinator's local mirror of the manifest of a run on a cluster, whose files are in a bucket."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

import anyio
from anyio import to_thread

from aios3sync._dataclass import dataclass, field, replace
from aios3sync.core.keys import SCHEME
from aios3sync.errors import ManifestError, StoreError
from aios3sync.manifest.files import storable
from aios3sync.manifest.root_directory import shards_directory
from aios3sync.objects.manifest_objects import ManifestObject, ShardObjects
from aios3sync.objects.shared_shards import SharedShards
from aios3sync.report import SyncReport
from aios3sync.store.protocol import ObjectStore
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.sync.request import SyncRequest, with_shared_manifest

__all__ = ("ClusterShards", "OpenStore")

_GRACE_S: Final = 60.0
"""Seconds to store the document at the end; a cancelled run waits as long."""

OpenStore = Callable[[str, RequestCounts], Awaitable[ObjectStore]]


@dataclass(slots=True)
class ClusterShards:
    """The files of the manifest of one run.

    Attributes:
        request: the run, with the address of its object.
        path: of the manifest in the mirror; absolute.
        counts: the requests of the coordinator for it.
    """

    request: SyncRequest
    path: str
    _objects: ShardObjects
    _shards: SharedShards
    counts: RequestCounts = field(default_factory=RequestCounts)

    @classmethod
    async def opened(
        cls, request: SyncRequest, open_store: OpenStore, stack: AsyncExitStack
    ) -> ClusterShards:
        """Read the manifest of a run into a mirror, which exists as long as the stack.

        Raises:
            UsageError: the address is invalid.
            ManifestError: it cannot be read, or is of another pair.
        """
        request, bucket, key = with_shared_manifest(request)
        if key.endswith(".json"):
            raise ManifestError(
                f"the manifest {request.shared_manifest}: a cluster keeps it in SQLite; name another key"
            )
        counts = RequestCounts()
        path = os.path.join(await _mirror(stack), "manifest.sqlite")
        directory = shards_directory(path)
        await to_thread.run_sync(os.mkdir, directory)
        store = await open_store(bucket, counts)
        manifest = ManifestObject(store, key)
        objects = ShardObjects(store, f"{shards_directory(key)}/", directory)
        shards = SharedShards(manifest, objects, storable(request.binding))
        await shards.begin(await manifest.read())
        return cls(request, path, objects, shards, counts)

    @property
    def place(self) -> str:
        """The address of the files of shards."""
        return f"{SCHEME}{shards_directory(self.request.shared_manifest.removeprefix(SCHEME))}/"

    def refuse(self, warning: str) -> None:
        """Refuse a file that would be set aside if it were local: it must not be overwritten in the bucket.

        Raises:
            ManifestError: always.
        """
        raise ManifestError(f"{self.request.shared_manifest} cannot be used; name another key: {warning}")

    async def publish(self) -> None:
        """Store the document before the first node begins, so that the files of nodes are found.

        Raises:
            ManifestError: it cannot be stored.
        """
        try:
            await self._shards.publish()
        except StoreError as error:
            raise ManifestError(f"{self.request.shared_manifest} cannot be stored: {error}") from error

    async def conclude(self, run: str) -> str:
        """Store the files of the run, and remove those that are no longer needed.

        Args:
            run: the random name of the run.

        Returns:
            What went wrong, as a warning; empty if nothing did.
        """
        with anyio.move_on_after(_GRACE_S):
            return await self._shards.conclude(f"{run}-")
        return f"the manifest was not stored within {_GRACE_S:.0f} seconds, so the next run has to list"

    async def with_errors(self, reports: Sequence[SyncReport]) -> list[SyncReport]:
        """Return the reports, with their error files fetched into the mirror; nodes have stored these.

        A file that cannot be read is left out: the report has its first errors.
        """
        names = {report.errors_file for report in reports if report.errors_file}
        try:
            missing = await self._objects.fetch(names)
        except ManifestError:
            missing = names
        return [
            replace(report, errors_file=_path(self._objects, report.errors_file, missing))
            for report in reports
        ]


def _path(objects: ShardObjects, name: str | None, missing: set[str]) -> str | None:
    return None if name is None or name in missing else objects.path(name)


async def _mirror(stack: AsyncExitStack) -> str:
    """Make a private directory that exists as long as the stack."""
    directory = await to_thread.run_sync(lambda: tempfile.mkdtemp(prefix="aios3sync-manifest-"))

    async def remove() -> None:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lambda: shutil.rmtree(directory, ignore_errors=True))

    stack.push_async_callback(remove)
    return directory
