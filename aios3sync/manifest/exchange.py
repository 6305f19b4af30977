"""Shows, exports, imports and forgets the manifest of a pair as a whole. It asks S3 nothing.

What is exported is the JSON document of :mod:`aios3sync.manifest.document`, which is also what is read; it is
in memory as a whole. What changes a manifest holds its lock, so that no run is at work meanwhile.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from anyio import to_thread

from aios3sync.core.entries import RecordedEntry
from aios3sync.errors import ManifestError
from aios3sync.lock import hold_lock
from aios3sync.manifest.document import dump_document, load_document
from aios3sync.manifest.opening import local_files, lock_path, open_manifest
from aios3sync.manifest.protocol import Binding, Manifest

__all__ = ("ManifestFacts", "describe", "export_document", "forget", "import_document", "rows_of")

_PAGE: Final = 1000
Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFacts:
    """What a manifest knows, without its rows.

    Attributes:
        place: its file.
        exists: whether there is one.
        binding: the pair.
        complete: it tells the target's state.
        listed_age_s, synced_age_s: seconds since the last listing and the last run, ``None`` for never.
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
        """The facts as a JSON document."""
        return {"command": "manifest show", **asdict(self)}


async def describe(path: str, binding: Binding, warn: Warn) -> ManifestFacts:
    """What the manifest of a pair knows; one that cannot be used is told to ``warn`` and is none."""
    if not await to_thread.run_sync(os.path.exists, path):
        return ManifestFacts(place=path, exists=False, binding=binding)
    async with _opened(path, binding, warn, read_only=True) as manifest:
        state, now = await manifest.state(), time.time()
        rows = size = unsettled = 0
        async for page in rows_of(manifest):
            rows += len(page)
            size += sum(row.size for row in page)
            unsettled += sum(not row.settled for row in page)
        return ManifestFacts(
            place=path,
            exists=bool(manifest.place),
            binding=binding,
            complete=state.complete,
            listed_age_s=round(now - state.listed_at, 3) if state.listed_at else None,
            synced_age_s=round(now - state.last_sync, 3) if state.last_sync else None,
            rows=rows,
            size=size,
            unsettled=unsettled,
            runs=state.run,
            file_size=await to_thread.run_sync(os.path.getsize, path),
        )


async def rows_of(manifest: Manifest) -> AsyncGenerator[list[RecordedEntry], None]:
    """All rows, page by page."""
    after: str | None = None
    while page := await manifest.page(after, _PAGE):
        yield page
        after = page[-1].key


async def export_document(path: str, binding: Binding, warn: Warn) -> bytes:
    """The manifest of a pair as a JSON document.

    Raises:
        ManifestError: there is none.
    """
    if not await to_thread.run_sync(os.path.exists, path):
        raise ManifestError(f"there is no manifest of this pair (looked for {path!r}); sync first")
    async with _opened(path, binding, warn, read_only=True) as manifest:
        rows = {row.key: row async for page in rows_of(manifest) for row in page}
        state = await manifest.state()
    return await to_thread.run_sync(dump_document, rows, state, binding, binding.source)


async def import_document(path: str, binding: Binding, content: bytes, warn: Warn) -> int:
    """Replace the manifest of a pair by a document; how many rows it has.

    Unless the document is bound to this very pair the result is incomplete, so that the next run lists.

    Raises:
        ManifestError: the content is no such document.
        LockedError: a run of the pair is at work.
    """
    try:
        rows, state, bound = await to_thread.run_sync(load_document, content)
    except ValueError as error:
        raise ManifestError(f"what is imported is not a manifest: {error}") from error
    if bound != binding:
        state = replace(state, complete=False, listed_at=0.0, device=-1, mounts=())
    async with _locked(path), _opened(path, binding, warn) as manifest:
        await manifest.clear()
        ordered = [rows[key] for key in sorted(rows)]
        for start in range(0, len(ordered), _PAGE):
            await manifest.record(ordered[start : start + _PAGE], ())
        await manifest.save_state(state)
    return len(rows)


async def forget(path: str, binding: Binding, warn: Warn) -> bool:
    """Drop the manifest of a pair, so that the next run compares anew; whether there was one.

    What is no manifest of this pair is not removed: it is set aside, or refused.

    Raises:
        ManifestError: the file is somebody else's.
        LockedError: a run of the pair is at work.
    """
    if not await to_thread.run_sync(os.path.exists, path):
        return False
    async with _locked(path):
        async with _opened(path, binding, warn):
            pass  # opening it is what tells whether it may go
        await to_thread.run_sync(_remove, path)
    return True


def _remove(path: str) -> None:
    for file in local_files(path):
        if file != lock_path(path):  # a lock that is removed can be held twice
            with suppress(FileNotFoundError):
                os.unlink(file)


@asynccontextmanager
async def _opened(
    path: str, binding: Binding, warn: Warn, *, read_only: bool = False
) -> AsyncIterator[Manifest]:
    manifest = await to_thread.run_sync(lambda: open_manifest(path, binding, warn, read_only=read_only))
    try:
        yield manifest
    finally:
        await manifest.close()


@asynccontextmanager
async def _locked(path: str) -> AsyncIterator[None]:
    lock = hold_lock(lock_path(path))
    await to_thread.run_sync(lock.__enter__)
    try:
        yield
    finally:
        await to_thread.run_sync(lock.__exit__, None, None, None)
