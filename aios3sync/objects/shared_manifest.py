"""A manifest that is an object: fetched before a run, stored after it by compare-and-swap.

It serves machines that keep nothing, such as the runners of a CI, each with a fresh checkout. Whoever stores
it names the ETag that it has read (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
Where another run was quicker, the rows of this run are added to the other one's manifest, which is then
incomplete: the next run lists the target, and finds what either of them has done.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import md5
from typing import Final

import anyio
from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.core.keys import parse_object
from aios3sync.errors import ManifestError, ObjectNotFoundError, PreconditionFailedError, StoreError
from aios3sync.manifest.files import open_manifest
from aios3sync.manifest.protocol import Manifest
from aios3sync.report import SyncReport
from aios3sync.store.protocol import ObjectStore, PutOptions
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources

__all__ = ("SharedManifest", "run_shared")

_ATTEMPTS: Final = 8
_PAGE: Final = 1000
_GRACE_S: Final = 10.0
"""Seconds to store the manifest of a run that failed or was cancelled."""
_OPTIONS: Final = PutOptions(content_type="application/gzip")
_GZIP: Final = 31
"""The window bits with which zlib writes and reads the gzip format."""
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
    bucket, key = parse_object(str(request.options.manifest))
    async with _directory() as directory:
        place = os.path.join(directory.path, "manifest.json" if key.endswith(".json") else "manifest.sqlite")
        local = replace(request, options=replace(request.options, manifest=place), shares_manifest=True)
        manifest = SharedManifest(await open_store(bucket), key, local)
        await manifest.fetch()
        try:
            report = await run(local, resources)
        except BaseException:
            if not request.options.dry_run:
                with anyio.move_on_after(_GRACE_S, shield=True):
                    await manifest.store()
            raise
        directory.kept = report.errors_file is not None
        recorded = resources.receipt is not None and resources.receipt.recorded
        if request.options.dry_run or not (recorded or _is_new(report)):
            return report
        warning = await manifest.store()
        if resources.counts is not None:
            report = replace(report, requests=dict(resources.counts.requests))
        return replace(report, warnings=(*report.warnings, warning)) if warning else report


def _is_new(report: SyncReport) -> bool:
    """Whether a run knows more than its manifest said; other times of equal files are of no use elsewhere."""
    return report.checked != "manifest" or any(getattr(report, state) for state in _CHANGES)


class SharedManifest:
    """The manifest of one request as an object, and as a file while a run lasts.

    Args:
        store: of its bucket.
        key: in full.
        request: with the path of the file.
    """

    def __init__(self, store: ObjectStore, key: str, request: SyncRequest) -> None:
        self._store = store
        self._key = key
        self._request = request
        self._path = str(request.options.manifest)
        self._etag = ""
        self._run = 0

    async def fetch(self) -> None:
        """Read the object into the file; where there is none, the run begins a manifest.

        Raises:
            ManifestError: it cannot be read, or is no manifest.
        """
        self._etag = await self._read(self._path)
        if self._etag:
            manifest = await self._open(self._path)
            try:
                self._run = (await manifest.state()).run
            finally:
                await manifest.close()

    async def store(self) -> str:
        """Store the file in the place of the object that was read, or add its rows to what is there now.

        Returns:
            Why it could not be stored, as a warning; empty where it was.
        """
        try:
            for _ in range(_ATTEMPTS):
                if not await to_thread.run_sync(os.path.exists, self._path):
                    return ""
                try:
                    await self._write()
                except PreconditionFailedError:
                    await self._merge()
                else:
                    return ""
        except (StoreError, ManifestError) as error:
            return f"the manifest was not stored, so the next run has to list: {error}"
        return "the manifest was not stored, as others stored theirs all the time; the next run has to list"

    async def _read(self, path: str) -> str:
        try:
            found = await self._store.get(self._key)
        except ObjectNotFoundError:
            return ""
        except StoreError as error:
            raise ManifestError(f"the manifest cannot be read: {error}") from error
        try:
            content = await to_thread.run_sync(zlib.decompress, found.body, _GZIP)
        except zlib.error:
            text = f"{self._name} is no manifest that a sync has stored; name another key"
            raise ManifestError(text) from None
        await to_thread.run_sync(_write_file, path, content)
        return found.head.etag

    async def _write(self) -> None:
        content = await to_thread.run_sync(_packed, self._path)
        options = replace(_OPTIONS, if_match=self._etag, if_none_match=not self._etag)
        digest = md5(content, usedforsecurity=False).digest()
        self._etag = (await self._store.put(self._key, content, options, md5=digest)).etag

    @property
    def _name(self) -> str:
        return f"s3://{self._store.bucket}/{self._key}"

    async def _open(self, path: str) -> Manifest:
        """Open a file that was read; what a run would set aside here must not be stored over in the bucket.

        Raises:
            ManifestError: it is damaged, of a newer version, or of another pair.
        """
        warnings: list[str] = []
        binding = self._request.binding
        manifest = await to_thread.run_sync(lambda: open_manifest(path, binding, warnings.append))
        if warnings:
            await manifest.close()
            raise ManifestError(
                f"{self._name} is damaged, of a newer version, or belongs to another target; name another key"
            )
        return manifest

    async def _merge(self) -> None:
        """Take the object that is there now, and add the rows that this run has written."""
        theirs_path = f"{self._path}.theirs"
        self._etag = await self._read(theirs_path)
        if not self._etag:
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
        await to_thread.run_sync(os.replace, theirs_path, self._path)


class _Directory:
    """A private directory of one run.

    Attributes:
        path: absolute.
        kept: it stays, for what it holds is named in a report.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.kept = False


@asynccontextmanager
async def _directory() -> AsyncIterator[_Directory]:
    directory = _Directory(await to_thread.run_sync(lambda: tempfile.mkdtemp(prefix="aios3sync-manifest-")))
    try:
        yield directory
    finally:
        if not directory.kept:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(lambda: shutil.rmtree(directory.path, ignore_errors=True))


def _write_file(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _packed(path: str) -> bytes:
    with open(path, "rb") as file:
        packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
        return packer.compress(file.read()) + packer.flush()
