"""TreeTarget: a local directory as the target of a download: its walk, and its deletes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence, Set
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from anyio import to_thread
from anyio.abc import ObjectSendStream

from aios3sync._dataclass import replace
from aios3sync.core.entries import ScanBatch, SourceEntry
from aios3sync.core.filters import Filters
from aios3sync.events import Trashed

if TYPE_CHECKING:
    from aios3sync.local.tree import LocalTree
    from aios3sync.local.write import TreeWriter
    from aios3sync.options import SyncOptions
    from aios3sync.sync.deferred import DeferredAction

__all__ = ("TreeTarget", "TreeWalk")

_FILES_OF_A_DELETE: Final = 256


class TreeTarget:
    """A directory as the target.

    Args:
        tree: the directory, which may be missing until :meth:`open_writer`.
        options: how files are written and removed.

    Attributes:
        last_walk: the latest of :meth:`walk`.
    """

    deletes_at_once = _FILES_OF_A_DELETE

    def __init__(self, tree: LocalTree, options: SyncOptions) -> None:
        self._tree = tree
        self._options = options
        self._writer: TreeWriter | None = None
        self.last_walk: TreeWalk | None = None

    @property
    def is_absent(self) -> bool:
        """Whether there is no such directory yet."""
        return self._tree.is_absent

    async def open(self) -> None:
        """Do nothing: :meth:`open_writer` is called before the run."""

    async def folding(self) -> tuple[bool, bool]:
        """Return whether the filesystem treats names as equal that differ by case, and by Unicode form."""
        return await to_thread.run_sync(self._tree.folding)

    async def open_writer(self) -> TreeWriter:
        """Make the directory if it is missing, and return its writer.

        Raises:
            SourceError: it cannot be made or opened.
        """
        self._writer = await to_thread.run_sync(
            lambda: self._tree.writer(fsync=self._options.fsync, trash=self._options.trash)
        )
        return self._writer

    def walk(self, filters: Filters, prefix: str, mounts: frozenset[str] = frozenset()) -> TreeWalk:
        """Return a walk over the files that the filters show; see :meth:`~aios3sync.sync.sides.Source.walk`.

        Where files are named, the whole tree is walked for them: a missing one is no failure here.
        """
        self.last_walk = TreeWalk(self._tree, filters, prefix, mounts)
        return self.last_walk

    async def send_entries(self, out: ObjectSendStream[ScanBatch[SourceEntry]]) -> None:
        """Send all files in key order."""
        await self.walk(Filters(), "").send_batches(out)

    async def entries(self) -> AsyncGenerator[list[SourceEntry], None]:
        """Yield all files in key order."""
        async with aclosing(self.walk(Filters(), "").stream()) as batches:
            async for batch in batches:
                yield batch.entries

    def out_of_reach(self, keys: Sequence[str]) -> Set[str]:
        """Return the keys that a link leads to: their files may be outside of the directory. Blocks."""
        return self._tree.below_links(keys)

    def moved(self) -> Sequence[Trashed]:
        """Return nothing: files in the local trash are not objects."""
        return ()

    async def changed(self, entries: Sequence[DeferredAction]) -> dict[str, str]:  # noqa: ARG002
        """Return nothing: each file is checked once more when it is deleted."""
        return {}

    async def delete(self, entries: Sequence[DeferredAction]) -> dict[str, str]:
        """Remove files that still have the stat that the walk saw, or move them into the trash.

        Returns:
            Why some were not removed, by key.
        """
        writer = self._writer
        assert writer is not None  # noqa: S101 - a run that deletes has opened it
        files = [SourceEntry(entry.key, entry.size, *entry.stat) for entry in entries]
        errors = await to_thread.run_sync(writer.remove_many, files)
        if self._options.delete == "mirror":
            await to_thread.run_sync(writer.remove_empty, [file.key for file in files])
        return {
            file.key: getattr(error, "strerror", None) or str(error)
            for file, error in zip(files, errors, strict=True)
            if error is not None
        }


class TreeWalk:
    """One walk over the target of a download, to be consumed once; a missing directory is empty."""

    def __init__(self, tree: LocalTree, filters: Filters, prefix: str, mounts: frozenset[str]) -> None:
        self._files = filters.files
        self._walk = tree.walk(replace(filters, files=None), prefix, mounts)
        self._is_missing = tree.is_absent

    @property
    def mounts(self) -> Set[str]:
        """Directories that are on another mount than the directory that they are in."""
        return self._walk.mounts

    @property
    def temporaries(self) -> Sequence[str]:
        """The files of unfinished downloads that the walk met."""
        return self._walk.temporaries

    def batches(self) -> Iterator[ScanBatch[SourceEntry]]:
        """Yield the batches in key order. Blocks.

        Raises:
            SourceError: the root itself cannot be read.
        """
        if not self._is_missing:
            yield from self._walk.batches()

    async def stream(self) -> AsyncGenerator[ScanBatch[SourceEntry], None]:
        """Yield :meth:`batches`, each made in a thread.

        Raises:
            SourceError: the root itself cannot be read.
        """
        batches = self.batches()
        while (batch := await to_thread.run_sync(next, batches, None)) is not None:
            if self._files is None:
                yield batch
            else:
                named = [entry for entry in batch.entries if entry.key in self._files]
                yield ScanBatch(named, batch.problems)

    async def send_batches(self, out: ObjectSendStream[ScanBatch[SourceEntry]]) -> None:
        """Send what :meth:`stream` yields."""
        async with aclosing(self.stream()) as batches:
            async for batch in batches:
                await out.send(batch)
