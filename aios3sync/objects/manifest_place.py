"""The manifest of a pair that is in a bucket, to be shown and forgotten: see :mod:`.shared_manifest`."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from anyio import to_thread

from aios3sync.core.keys import parse_address
from aios3sync.core.text import duration
from aios3sync.errors import LockedError, ManifestError
from aios3sync.listing.pages import PageReader
from aios3sync.manifest.files import storable
from aios3sync.manifest.lock import has_ended
from aios3sync.manifest.protocol import ManifestState
from aios3sync.manifest.root import RangeLayers, Root
from aios3sync.manifest.root_directory import shards_directory
from aios3sync.objects.manifest_objects import ManifestObject, ShardObjects
from aios3sync.objects.shared_manifest import SharedManifest, private_directory, with_local_manifest
from aios3sync.objects.shared_shards import SharedShards, is_document
from aios3sync.store.protocol import ObjectStore
from aios3sync.sync.request import SyncRequest

__all__ = ("BucketPlace",)

_ATTEMPTS: Final = 8


class BucketPlace:
    """See :class:`~aios3sync.manifest.protocol.ManifestPlace`.

    Args:
        request: of the pair; it knows the object of its manifest.
        open_store: opens the store of a bucket.
    """

    def __init__(self, request: SyncRequest, open_store: Callable[[str], Awaitable[ObjectStore]]) -> None:
        self._request = request
        self._bucket, self._key = parse_address(request.shared_manifest)
        self._open_store = open_store
        self._shards_prefix = f"{shards_directory(self._key)}/"

    @asynccontextmanager
    async def copied(self) -> AsyncIterator[str]:
        """Read it into a directory that lasts as long as the block."""
        store = await self._open_store(self._bucket)
        async with private_directory() as directory:
            local = with_local_manifest(self._request, directory.path)
            await SharedManifest(store, self._key, local).fetch()
            yield str(local.options.manifest)

    async def size(self) -> int:
        """Return the bytes of its objects."""
        reader, found = PageReader(await self._open_store(self._bucket), self._key), 0
        while not reader.ended:
            found += sum(
                entry.size
                for entry in (await reader.next()).entries
                if entry.key == self._key or entry.key.startswith(self._shards_prefix)
            )
        return found

    async def forget(self) -> bool:
        """Remove the object, and the files that it names, and nothing else.

        It is replaced first by a document that names nothing, if it still is what was read: so a run that
        begins meanwhile reads no file that is about to be removed, and one that ends is not overwritten.

        Raises:
            LockedError: a run is at work with it.
            ManifestError: it is no manifest of this pair, or changes all the time.
            StoreError: it cannot be read or removed.
        """
        store = await self._open_store(self._bucket)
        manifest = ManifestObject(store, self._key)
        async with private_directory() as directory:
            for number in range(_ATTEMPTS):
                content = await manifest.read()
                if not content:
                    return False
                place = os.path.join(directory.path, str(number))
                root = await self._checked(store, manifest, content, place)
                if await manifest.write(self._nothing(root.generation + 1).encoded()):
                    await ShardObjects(store, self._shards_prefix, place).remove(root.names())
                    await manifest.remove()
                    return True
        raise ManifestError(f"{manifest.name} cannot be removed: others stored theirs all the time")

    async def _checked(
        self, store: ObjectStore, manifest: ManifestObject, content: bytes, place: str
    ) -> Root:
        """Return the document, or one for a file; make sure that it is of this pair, and at rest."""
        if not is_document(content):
            await to_thread.run_sync(os.mkdir, place)
            await SharedManifest(store, self._key, with_local_manifest(self._request, place)).check(content)
            return self._nothing(0)
        objects = ShardObjects(store, self._shards_prefix, place)
        root = await SharedShards(manifest, objects, storable(self._request.binding)).root(content)
        now = time.time()
        alive = [run for run in root.open_runs if not await to_thread.run_sync(run.is_dead, now, has_ended)]
        if alive:
            silent = duration(max(now - max(run.seen for run in alive), 0.0))
            raise LockedError(
                f"a run is at work with {manifest.name}, or was killed: its last sign of life was {silent} "
                "ago; wait for its end, or until a day after that"
            )
        return root

    def _nothing(self, generation: int) -> Root:
        """Return a document without any file."""
        binding = storable(self._request.binding)
        return Root(generation, binding, ManifestState(), (RangeLayers("", "", ()),))
