"""Shows, exports, imports and forgets the manifest of a pair as a whole.

A manifest in a bucket is copied to this machine, to be read. Export and import use the JSON document of
:mod:`.json_format`, which is held in memory as a whole. Every change of a file holds the lock of the
manifest, so that no run works meanwhile.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

from anyio import to_thread

from aios3sync._dataclass import asdict, dataclass, replace
from aios3sync.core.entries import RecordedEntry
from aios3sync.errors import ManifestError, UsageError
from aios3sync.manifest.files import exists, open_manifest, size_on_disk
from aios3sync.manifest.json_format import dump_document, load_document
from aios3sync.manifest.lock import hold_lock, lock_path
from aios3sync.manifest.protocol import Binding, Manifest, ManifestPlace
from aios3sync.manifest.removal import left_in_bucket, remove_manifest
from aios3sync.manifest.unfinished import uploads_path

__all__ = ("ManifestFacts", "StoredManifest")

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFacts:
    """The facts of a manifest, without its rows.

    Attributes:
        place: path of its file.
        exists: whether there is one.
        binding: the pair.
        complete: whether its rows describe the whole target.
        listed_age_s, synced_age_s: seconds since the last listing and the last run; ``None`` for never.
        rows, size: recorded files and their bytes.
        unsettled: rows whose stat is not trusted yet.
        runs: number of the last run.
        file_size: bytes of the manifest itself.
    """

    place: str
    exists: bool
    binding: Binding
    complete: bool = False
    listed_age_s: float | None = None
    synced_age_s: float | None = None
    rows: int = 0
    size: int = 0
    unsettled: int = 0
    runs: int = 0
    file_size: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as a JSON document."""
        return {"command": "manifest show", **asdict(self)}


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """The manifest of a pair, which may not exist.

    Attributes:
        path: its file, or its address in a bucket.
        binding: the pair.
        warn: receives one line when a file cannot be used.
    """

    path: str
    binding: Binding
    warn: Callable[[str], None]
    _place: ManifestPlace | None = None

    async def describe(self) -> ManifestFacts:
        """Return its facts; a file that cannot be used is reported to ``warn``, and then there are none."""
        async with self._at_hand() as path:
            if not await to_thread.run_sync(exists, path):
                return ManifestFacts(place=self.path, exists=False, binding=self.binding)
            async with self._opened(path, read_only=True) as manifest:
                state, now = await manifest.state(), time.time()
                rows = size = unsettled = 0
                async for page in _pages(manifest):
                    rows += len(page)
                    size += sum(row.size for row in page)
                    unsettled += sum(not row.settled for row in page)
                return ManifestFacts(
                    place=self.path,
                    exists=bool(manifest.place),
                    binding=self.binding,
                    complete=state.complete,
                    listed_age_s=round(now - state.listed_at, 3) if state.listed_at else None,
                    synced_age_s=round(now - state.last_sync, 3) if state.last_sync else None,
                    rows=rows,
                    size=size,
                    unsettled=unsettled,
                    runs=state.run,
                    file_size=await self._file_size(),
                )

    async def _file_size(self) -> int:
        if self._place is not None:
            return await self._place.size()
        return await to_thread.run_sync(size_on_disk, self.path)

    async def rows(self) -> AsyncGenerator[list[RecordedEntry], None]:
        """Yield all rows in key order, page by page."""
        async with self._at_hand() as path:
            if not await to_thread.run_sync(exists, path):
                return
            async with self._opened(path, read_only=True) as manifest, aclosing(_pages(manifest)) as pages:
                async for page in pages:
                    yield page

    async def export(self) -> bytes:
        """Return the manifest as a JSON document.

        Raises:
            ManifestError: there is none.
        """
        async with self._at_hand() as path:
            if not await to_thread.run_sync(exists, path):
                raise ManifestError(
                    f"there is no manifest of this pair (looked for {self.path!r}); sync first"
                )
            async with self._opened(path, read_only=True) as manifest:
                rows = {row.key: row async for page in _pages(manifest) for row in page}
                state = await manifest.state()
        return await to_thread.run_sync(dump_document, rows, state, self.binding, self.binding.source)

    async def replace(self, document: bytes) -> int:
        """Replace it by a JSON document; return the number of its rows.

        Unless the document is bound to this very pair the result is incomplete, so that the next run lists.

        Raises:
            ManifestError: it is no manifest; nothing was changed.
            LockedError: a run of the pair is at work.
            UsageError: it is in a bucket.
        """
        if self._place is not None:
            raise UsageError(
                f"{self.path} is in a bucket, and is written by syncs alone; 'manifest forget' removes it, "
                "and the next sync finds what is there"
            )
        try:
            rows, state, bound = await to_thread.run_sync(load_document, document)
        except ValueError as error:
            raise ManifestError(f"what is imported is not a manifest: {error}") from error
        if bound != self.binding:
            state = replace(state, complete=False, listed_at=0.0, device=-1, mounts=(), listings=())
        async with self._locked(), self._opened(self.path) as manifest:
            await manifest.clear()
            ordered = [rows[key] for key in sorted(rows)]
            for start in range(0, len(ordered), _PAGE):
                await manifest.record(ordered[start : start + _PAGE], ())
            await manifest.save_state(state)
        return len(rows)

    async def forget(self) -> bool:
        """Remove the manifest, so that the next run compares everything; return whether there was one.

        The record of unfinished multipart uploads is removed too, with a warning. A file that is no manifest
        of this pair is not removed: it is set aside, or refused, as in a bucket.

        Raises:
            ManifestError: the file belongs to another program.
            LockedError: a run of the pair is at work.
        """
        if self._place is not None:
            return await self._place.forget()
        there = await to_thread.run_sync(exists, self.path)
        if not there and not await to_thread.run_sync(os.path.exists, uploads_path(self.path)):
            return False
        async with self._locked():
            if there:
                async with self._opened(self.path):
                    pass  # opening it fails if it may not be removed
            unfinished = await to_thread.run_sync(remove_manifest, self.path)
        if unfinished:
            self.warn(left_in_bucket(unfinished))
        return there

    @asynccontextmanager
    async def _at_hand(self) -> AsyncIterator[str]:
        """Give the path of the manifest on this machine."""
        if self._place is None:
            yield self.path
        else:
            async with self._place.copied() as path:
                yield path

    @asynccontextmanager
    async def _opened(self, path: str, *, read_only: bool = False) -> AsyncIterator[Manifest]:
        manifest = await to_thread.run_sync(
            lambda: open_manifest(path, self.binding, self.warn, read_only=read_only)
        )
        try:
            yield manifest
        finally:
            await manifest.close()

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        lock = hold_lock(lock_path(self.path))
        await to_thread.run_sync(lock.__enter__)
        try:
            yield
        finally:
            await to_thread.run_sync(lock.__exit__, None, None, None)


async def _pages(manifest: Manifest) -> AsyncGenerator[list[RecordedEntry], None]:
    after: str | None = None
    while page := await manifest.page(after, _PAGE):
        yield page
        after = page[-1].key
