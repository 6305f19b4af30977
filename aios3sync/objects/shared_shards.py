"""SharedShards: a manifest of several files in a bucket: mirrored locally, published by compare-and-swap.

The object of the manifest is then its root document (:mod:`aios3sync.manifest.root`). A run reads and writes
the mirror like a directory on a shared filesystem; changes that another run has published meanwhile are
merged when this one publishes. There is no lock: the state of such a document says that the next run has to
list.
"""

from __future__ import annotations

import os
import re
import uuid
from typing import Final

from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.concurrency import for_each
from aios3sync.errors import ManifestError, StoreError
from aios3sync.manifest.files import open_kept
from aios3sync.manifest.protocol import Binding, ManifestState
from aios3sync.manifest.root import RangeLayers, Root, merged
from aios3sync.manifest.root_directory import RootDirectory
from aios3sync.objects.manifest_objects import ManifestObject, ShardObjects, unpack

__all__ = ("SharedShards", "is_document")

_ATTEMPTS: Final = 8
_AT_ONCE: Final = 4
_NAME: Final = re.compile(r"[\w-]+\.(?:\*|\d{1,9}\.sqlite)", re.ASCII)
"""The file names that runs use. A manipulated document must not lead out of the mirror by other names."""


def is_document(content: bytes) -> bool:
    """Whether the object of a manifest is a root document, not a packed file."""
    return content.startswith(b"{")


class SharedShards:
    """The files of one manifest.

    Args:
        manifest: its object, as it was read.
        objects: its other files; their directory is the mirror.
        binding: the pair.
    """

    def __init__(self, manifest: ManifestObject, objects: ShardObjects, binding: Binding) -> None:
        self._manifest = manifest
        self._objects = objects
        self._binding = binding
        self._mirror = RootDirectory(objects.directory)
        self._stored: set[str] = set()
        # What this run made of the document last, and what is in the bucket, with what others made of it.
        self._ours = self._theirs = self._empty

    @property
    def _empty(self) -> Root:
        return Root(0, self._binding, ManifestState(), (RangeLayers("", "", ()),))

    async def begin(self, content: bytes) -> None:
        """Fill the mirror with the manifest whose object was read.

        A missing file is left out, and then the run has to list.

        Args:
            content: of the object; empty where there is none.

        Raises:
            ManifestError: it cannot be read, or is of another pair.
        """
        self._ours = self._theirs = root = await self.root(content)
        adopted = await to_thread.run_sync(self._not_stored, root)
        missing = await self._objects.fetch(root.names())
        self._stored = root.names() - missing - {*adopted}
        if root.generation == 0:
            return
        if missing:
            shards = (
                shard._replace(layers=tuple(name for name in shard.layers if name not in missing))
                for shard in root.shards
            )
            root = replace(root, state=root.state.begun(), shards=tuple(shards))
        await to_thread.run_sync(self._mirror.update, lambda _: root)

    async def root(self, content: bytes) -> Root:
        """Return the document of the object, which may be a single file.

        Raises:
            ManifestError: it cannot be used.
        """
        if not content:
            return self._empty
        try:
            root = Root.decoded(content) if is_document(content) else await self._adopted(content)
        except ValueError as error:
            raise self._unusable(str(error)) from error
        if root.binding != self._binding:
            raise self._unusable("it belongs to another target")
        for name in root.names():
            if not _NAME.fullmatch(str(name)):  # it is what JSON says
                raise self._unusable(f"it names {name!r}, which is no file of a manifest")
        return root

    async def _adopted(self, content: bytes) -> Root:
        """Adopt a manifest of one file as the only file of a document; it is stored together with that.

        Raises:
            ValueError: it is damaged, or of a newer version.
        """
        name = f"{uuid.uuid4().hex}.1.sqlite"
        path = self._objects.path(name)
        await to_thread.run_sync(unpack, content, path)
        binding, state = await to_thread.run_sync(open_kept, path)
        if binding is None:
            raise ValueError("it names no target")
        return Root(1, binding, state, (RangeLayers("", "", (name,)),))

    def _unusable(self, reason: str) -> ManifestError:
        return ManifestError(f"{self._manifest.name} cannot be used: {reason}; name another key")

    async def publish(self) -> None:
        """Store the document of the mirror, and those of its files that are not stored yet.

        Raises:
            ManifestError: the current document cannot be used, or other runs were first every time.
            StoreError: it cannot be stored.
        """
        ours = await to_thread.run_sync(self._mirror.read)
        if ours is None:
            return
        for _ in range(_ATTEMPTS):
            wanted = ours if self._theirs == self._ours else merged(self._ours, ours, self._theirs)
            wanted = replace(wanted, generation=self._theirs.generation + 1, history=ours.history)
            await self._upload(wanted)
            if await self._manifest.write(wanted.encoded()):
                # Where nothing was merged, both are the same from now on.
                alone = self._theirs == self._ours
                self._ours, self._theirs = (wanted, wanted) if alone else (ours, wanted)
                return
            self._theirs = await self.root(await self._manifest.read())
        raise ManifestError("others stored theirs all the time")

    async def _upload(self, root: Root) -> None:
        """Store the files of a document that exist only locally."""
        new = await to_thread.run_sync(self._not_stored, root)
        await for_each(new, self._objects.upload, _AT_ONCE)
        self._stored.update(new)

    def _not_stored(self, root: Root) -> list[str]:
        return [name for name in root.names() - self._stored if os.path.exists(self._objects.path(name))]

    async def conclude(self, own: str = "") -> str:
        """Publish the mirror of the run, and remove files that are no longer needed.

        Args:
            own: see :meth:`~aios3sync.objects.manifest_objects.ShardObjects.sweep`.

        Returns:
            Why the manifest could not be stored, as a warning; empty if it was.
        """
        try:
            await self.publish()
        except (StoreError, ManifestError) as error:
            return f"the manifest was not stored, so the next run has to list: {error}"
        try:
            await self._objects.sweep(self._theirs.names(), own)
        except StoreError as error:
            return f"files of the manifest that nothing needs could not be removed: {error}"
        return ""
