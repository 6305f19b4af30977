"""SharedManifest: a manifest as an object: fetched before a run, stored after it by compare-and-swap.

It is for machines without persistent storage, such as the runners of a CI, each with a fresh checkout. A run
that stores it names the ETag that it has read
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html). If another run was first, the
rows of this run are added to the manifest of the other, which is then incomplete: the next run lists the
target, and finds what both have done.

A run on several machines stores a root document instead of the file: see :mod:`.shared_shards`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

import anyio
from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.concurrency import raise_first_error
from aios3sync.errors import ManifestError, StoreError
from aios3sync.manifest.files import open_manifest, storable
from aios3sync.manifest.layer_files import copy_file
from aios3sync.manifest.open_runs import RENEWED_S
from aios3sync.manifest.protocol import Manifest
from aios3sync.manifest.root_directory import shards_directory
from aios3sync.manifest.sqlite import is_sqlite
from aios3sync.objects.manifest_objects import ManifestObject, ShardObjects, pack, unpack
from aios3sync.objects.shared_shards import SharedShards, is_document
from aios3sync.report import SyncReport
from aios3sync.store.protocol import ObjectStore
from aios3sync.sync.request import SyncRequest, with_shared_manifest
from aios3sync.sync.resources import Resources

__all__ = ("SharedManifest", "private_directory", "run_shared", "with_local_manifest")

_JSON: Final = "manifest.json"
_SQLITE: Final = "manifest.sqlite"
_ATTEMPTS: Final = 8
_PAGE: Final = 1000
_GRACE_S: Final = 10.0
"""Seconds to store the manifest of a run that failed or was cancelled."""
_CHANGES: Final = ("uploaded", "downloaded", "copied", "updated", "adopted", "deleted", "forgotten", "failed")

Run = Callable[[SyncRequest, Resources], Awaitable[SyncReport]]
OpenStore = Callable[[str], Awaitable[ObjectStore]]


async def run_shared(
    run: Run, request: SyncRequest, resources: Resources, open_store: OpenStore
) -> SyncReport:
    """Run a sync whose manifest is an object.

    Args:
        run: runs it with a manifest in a file.
        request: its manifest is ``s3://bucket/key``.
        resources: of the session.
        open_store: opens the store of a bucket.

    Raises:
        ManifestError: the object cannot be read, or is no manifest.
        AioS3SyncError: as :func:`~aios3sync.sync.setup.run_sync`.
    """
    request, bucket, key = with_shared_manifest(request)
    async with private_directory() as directory:
        local = with_local_manifest(request, directory.path)
        manifest = SharedManifest(await open_store(bucket), key, local)
        await manifest.fetch()
        resources = replace(resources, before_changes=manifest.begin)
        try:
            with raise_first_error():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(manifest.stay_open)
                    report = await run(local, resources)
                    tasks.cancel_scope.cancel()
        except BaseException:
            if not request.options.dry_run:
                with anyio.move_on_after(_GRACE_S, shield=True):
                    await manifest.store()
            raise
        directory.kept = report.errors_file is not None
        recorded = manifest.began or (resources.receipt is not None and resources.receipt.recorded)
        if request.options.dry_run or not (recorded or _is_new(report)):
            return report
        warning = await manifest.store()
        if resources.counts is not None:
            report = replace(report, requests=dict(resources.counts.requests))
        return replace(report, warnings=(*report.warnings, warning)) if warning else report


def with_local_manifest(request: SyncRequest, directory: str) -> SyncRequest:
    """Return a request whose manifest, which is an object, is a file in a directory while it is worked on."""
    name = _JSON if request.shared_manifest.endswith(".json") else _SQLITE
    return replace(request, options=replace(request.options, manifest=os.path.join(directory, name)))


def _is_new(report: SyncReport) -> bool:
    """Whether a run has learnt more than its manifest; times of equal files do not help other machines."""
    return report.checked != "manifest" or any(getattr(report, state) for state in _CHANGES)


def _packed_copy(path: str) -> bytes:
    """Return the content of a file that a run has open, packed. Blocks.

    Raises:
        sqlite3.Error: it cannot be copied.
    """
    if not is_sqlite(path):  # a document is replaced as a whole
        return pack(path)
    copy = f"{path}.copy"
    try:
        copy_file(path, copy)
        return pack(copy)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(copy)


class SharedManifest:
    """The manifest of one request as an object, and as a file during a run.

    Args:
        store: of its bucket.
        key: in full.
        request: with the path of the file.

    Attributes:
        began: what is in the bucket says that this run is at work.
    """

    def __init__(self, store: ObjectStore, key: str, request: SyncRequest) -> None:
        self._store = store
        self._object = ManifestObject(store, key)
        self._shards_prefix = shards_directory(key) + "/"
        self._request = request
        self._path = str(request.options.manifest)
        self._shards: SharedShards | None = None
        self._run = 0
        self.began = False

    async def fetch(self) -> None:
        """Fetch the object into the file; where there is none, the run creates a manifest.

        Raises:
            ManifestError: it cannot be read, or is no manifest.
        """
        if await self._read(self._path):
            manifest = await self._open(self._path)
            try:
                self._run = (await manifest.state()).run
            finally:
                await manifest.close()

    async def begin(self) -> None:
        """Store that a run changes the target from now on, so that the next one lists if it is killed (P10).

        A manifest that is not there yet says so by that. Where another run was quicker, the end finds that.

        Raises:
            ManifestError: it cannot be stored.
        """
        try:
            if self._shards is not None:
                await self._shards.publish()
            elif self._object.etag:
                content = await to_thread.run_sync(_packed_copy, self._path)
                await self._object.write(content, packed=True)
            else:
                return
        except (StoreError, sqlite3.Error) as error:
            raise ManifestError(f"the manifest {self._object.name} cannot be stored: {error}") from error
        self.began = True

    async def stay_open(self) -> None:
        """Store the sign of life that the file of a run gives once an hour, until cancelled."""
        while True:
            await anyio.sleep(RENEWED_S)
            if self.began and self._shards is not None:
                # The next one may succeed, and the end says what is wrong.
                with anyio.CancelScope(shield=True), suppress(ManifestError):
                    await self.begin()

    async def store(self) -> str:
        """Replace the object that was read by the file, or add its rows to the current object.

        Returns:
            Why that failed, as a warning; empty if it succeeded.
        """
        try:
            for _ in range(_ATTEMPTS):
                if self._shards is not None:
                    return await self._shards.conclude()
                if not await to_thread.run_sync(os.path.exists, self._path):
                    return ""
                content = await to_thread.run_sync(pack, self._path)
                if await self._object.write(content, packed=True):
                    return ""
                await self._merge()
        except (StoreError, ManifestError) as error:
            return f"the manifest was not stored, so the next run has to list: {error}"
        return "the manifest was not stored, as others stored theirs all the time; the next run has to list"

    async def _read(self, path: str) -> bool:
        """Fetch the object into a file, or into the directory of several; return whether there is one."""
        content = await self._object.read()
        if is_document(content):
            directory = shards_directory(path)
            await to_thread.run_sync(partial(os.makedirs, directory, mode=0o700))
            objects = ShardObjects(self._store, self._shards_prefix, directory)
            self._shards = SharedShards(self._object, objects, storable(self._request.binding))
            await self._shards.begin(content)
        elif content:
            await self._unpack(content, path)
        return bool(content)

    async def check(self, content: bytes) -> None:
        """Make sure that content of the object, which is one file, is a manifest of this pair.

        Raises:
            ManifestError: it is none.
        """
        await self._unpack(content, self._path)
        manifest = await self._open(self._path)
        await manifest.close()

    async def _unpack(self, content: bytes, path: str) -> None:
        try:
            await to_thread.run_sync(unpack, content, path)
        except ValueError:
            text = f"{self._object.name} is no manifest that a sync has stored; name another key"
            raise ManifestError(text) from None

    async def _open(self, path: str) -> Manifest:
        """Open a fetched file; one that a run would set aside must not be overwritten in the bucket.

        Raises:
            ManifestError: it is damaged, of a newer version, or of another pair.
        """
        warnings: list[str] = []
        binding = self._request.binding
        manifest = await to_thread.run_sync(lambda: open_manifest(path, binding, warnings.append))
        if warnings:
            await manifest.close()
            name = self._object.name
            raise ManifestError(
                f"{name} is damaged, of a newer version, or belongs to another target; name another key"
            )
        return manifest

    async def _merge(self) -> None:
        """Fetch the current object, and add the rows that this run has written."""
        theirs_path = f"{self._path}.theirs"
        if not await self._read(theirs_path):
            return  # it was removed: ours is stored as a new one
        theirs = await self._open(theirs_path)
        ours = await self._open(self._path)
        try:
            after = ""
            while rows := await ours.page(after, _PAGE):
                await theirs.record([row for row in rows if row.run > self._run], [])
                after = rows[-1].key
            number = max((await ours.state()).run, (await theirs.state()).run)
            await theirs.save_state(replace((await theirs.state()).begun(), run=number))
        finally:
            await ours.close()
            await theirs.close()
        if self._shards is None:
            await to_thread.run_sync(os.replace, theirs_path, self._path)


class _Directory:
    """A private directory of one run.

    Attributes:
        path: absolute.
        kept: whether it stays, because a report names a file in it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.kept = False


@asynccontextmanager
async def private_directory() -> AsyncIterator[_Directory]:
    """Make a directory for one manifest; it is removed at the end, but for what is kept."""
    directory = _Directory(await to_thread.run_sync(lambda: tempfile.mkdtemp(prefix="aios3sync-manifest-")))
    try:
        yield directory
    finally:
        left = shards_directory(_SQLITE) if directory.kept else ""
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(
                lambda: shutil.rmtree(os.path.join(directory.path, left), ignore_errors=True)
            )
