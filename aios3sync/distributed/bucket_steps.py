"""The steps of a shard whose manifest is in a bucket: files are fetched before a step, and stored after it.

A node works on the files in a directory of its own. The file that a step writes is stored several times a
minute, under a name that no other attempt has: if the node dies, the step is repeated from the last stored
file.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import anyio
from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.concurrency import raise_first_error
from aios3sync.core.keys import parse_address
from aios3sync.distributed.messages import ShardOutcome, ShardTask
from aios3sync.distributed.results import ShardResult
from aios3sync.distributed.steps import ResourcesOf, run_shard_step
from aios3sync.errors import ManifestError, StoreError
from aios3sync.manifest.layer_files import copy_file
from aios3sync.manifest.root import ATTEMPTS, attempt_of
from aios3sync.manifest.root_directory import shards_directory
from aios3sync.objects.manifest_objects import ShardObjects, pack, unpack
from aios3sync.report import SyncReport
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.stores import Stores

__all__ = ("NodeShards", "run_bucket_step")

_INTERVAL_S: Final = 20.0
"""Seconds between two uploads of the file that a step writes: work after the last one may be repeated."""
_SHARE: Final = 0.1
"""The largest share of a step's time that storing its file may take."""
_GRACE_S: Final = 10.0
"""Seconds to store the file of a step that failed."""
_FAILURES: Final = (StoreError, OSError, sqlite3.Error)
_HELD: Final = ".held"
_ERRORS: Final = ".errors"


class NodeShards:
    """The files of the manifest of one run on one node.

    Args:
        stores: of the node.
        closing: removes the directory of the node.
    """

    def __init__(self, stores: Stores, closing: AsyncExitStack) -> None:
        self._stores = stores
        self._closing = closing
        self._counts = RequestCounts()
        self._reported: Counter[str] = Counter()
        self._objects: ShardObjects | None = None
        self._opening = asyncio.Lock()

    async def opened(self, place: str) -> ShardObjects:
        """Return the files of a run, which has one place."""
        async with self._opening:
            if self._objects is None:
                bucket, prefix = parse_address(place)
                directory = await to_thread.run_sync(_new_directory)
                self._closing.callback(shutil.rmtree, directory, ignore_errors=True)
                shards = shards_directory(os.path.join(directory, "manifest.sqlite"))
                await to_thread.run_sync(os.mkdir, shards)
                store = await self._stores.opener(bucket, self._counts)()
                self._objects = ShardObjects(store, prefix, shards)
            return self._objects

    def new_requests(self) -> Counter[str]:
        """Return the requests since the last call."""
        new = self._counts.requests - self._reported
        self._reported = Counter(self._counts.requests)
        return new


def _new_directory() -> str:
    return tempfile.mkdtemp(prefix="aios3sync-manifest-")


async def run_bucket_step(task: ShardTask, objects: ShardObjects, resources_of: ResourcesOf) -> ShardOutcome:
    """Do one step of a shard.

    Args:
        task: the step, with the names of its files.
        objects: the files of the manifest, and the directory of this node.
        resources_of: returns the resources for the run of a request.

    Returns:
        The outcome, with names instead of paths.

    Raises:
        ManifestError: a file cannot be read or stored.
        AioS3SyncError: the step failed.
    """
    await _fetch(task, objects)
    attempt = _Attempt(task, objects)
    # The layers keep their names: another node may go on with the file that names them.
    file = replace(task.file, directory=objects.directory)
    held = objects.path(task.held) if task.held else ""
    outcome = await run_shard_step(replace(task, file=file, held=held), resources_of, attempt.stored)
    try:
        return await attempt.conclude(outcome)
    except (StoreError, OSError) as error:
        raise ManifestError(f"the manifest of a shard cannot be stored: {error}") from error


async def _fetch(task: ShardTask, objects: ShardObjects) -> None:
    """Read the files that a step needs into the directory of this node."""
    names = {layer.path for layer in task.file.layers}
    if task.held and not task.held_content:
        names.add(task.held)
    elif task.held:
        await to_thread.run_sync(unpack, task.held_content, objects.path(task.held))
    missing = await objects.fetch({*names, task.file.name + ATTEMPTS})
    if missing:
        raise ManifestError(f"files of the manifest are gone since this run began: {min(missing)}")


class _Attempt:
    """The files of one attempt at a step, here and in the bucket.

    Args:
        task: the step.
        objects: where the files are.
    """

    def __init__(self, task: ShardTask, objects: ShardObjects) -> None:
        self._stem = task.file.name
        self._objects = objects
        self._writes = task.step != "survey" and not task.request.options.dry_run
        self._number = 0
        self._seen: tuple[int, ...] = ()

    @asynccontextmanager
    async def stored(self, path: str) -> AsyncIterator[None]:
        """Store the file of the manifest at intervals during the block, and once more if the block fails."""
        if not self._writes:
            yield
            return
        self._seen = await to_thread.run_sync(_state_of, path)
        try:
            with raise_first_error():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._keep_storing, path)
                    yield
                    tasks.cancel_scope.cancel()
        except BaseException:
            with anyio.move_on_after(_GRACE_S, shield=True), suppress(*_FAILURES):
                await self._store_changed(path)
            raise

    async def _keep_storing(self, path: str) -> None:
        took = 0.0
        while True:
            await anyio.sleep(max(_INTERVAL_S, took / _SHARE))
            began = time.monotonic()
            # The next time it may be possible, and the end of the step says what is wrong.
            with suppress(*_FAILURES):
                await self._store_changed(path)
            took = time.monotonic() - began

    async def _store_changed(self, path: str) -> None:
        """Store a copy of the open file if it has changed."""
        now = await to_thread.run_sync(_state_of, path)
        if now == self._seen:
            return
        copy = f"{path}.{secrets.token_hex(4)}"
        try:
            await to_thread.run_sync(copy_file, path, copy)
            await self._upload(path, copy)
        finally:
            with suppress(OSError), anyio.CancelScope(shield=True):
                await to_thread.run_sync(os.unlink, copy)
        self._seen = now

    async def _upload(self, path: str, content: str) -> None:
        if self._number:
            await self._objects.upload(self._name, content)
        else:
            await self._upload_first(path, content)

    async def _upload_first(self, path: str, content: str) -> None:
        found = attempt_of(os.path.basename(path))
        assert found is not None  # noqa: S101 - as begin_attempt() has named it
        number = self._number or found[1]
        self._number = await self._objects.upload_attempt(self._stem, number, content)

    @property
    def _name(self) -> str:
        return f"{self._stem}.{self._number}.sqlite"

    async def conclude(self, outcome: ShardOutcome) -> ShardOutcome:
        """Store the files of the step; return the outcome with their names.

        Raises:
            StoreError: it cannot be stored.
            OSError: it cannot be read.
        """
        if not _needs_held(outcome):
            outcome = replace(outcome, held="")
        if not self._writes:
            content = await to_thread.run_sync(pack, outcome.held) if outcome.held else b""
            outcome = replace(outcome, held=os.path.basename(outcome.held), held_content=content)
            return _with_errors_file(outcome, None)  # nobody else can read it
        errors = _errors_file(outcome)
        if outcome.written or outcome.held or errors:
            # Under a name of its own: a request that was given up may still replace what was stored before.
            self._number += bool(self._number)
            await self._upload_first(outcome.path, outcome.path)
        held = outcome.held and f"{self._name}{_HELD}"
        if held:
            await self._objects.upload(held, outcome.held)
        if errors:
            await self._objects.upload(f"{self._name}{_ERRORS}", errors)
            outcome = _with_errors_file(outcome, f"{self._name}{_ERRORS}")
        return replace(outcome, path=self._name, held=held)


def _needs_held(outcome: ShardOutcome) -> bool:
    """Whether a later step reads the held deletes, or has something to finish."""
    value = outcome.value
    return isinstance(value, ShardResult) and (value.facts.plan.deletes > 0 or value.facts.to_finish)


def _errors_file(outcome: ShardOutcome) -> str | None:
    report = outcome.value.report if isinstance(outcome.value, ShardResult) else outcome.value
    return report.errors_file if isinstance(report, SyncReport) else None


def _with_errors_file(outcome: ShardOutcome, name: str | None) -> ShardOutcome:
    value = outcome.value
    if isinstance(value, ShardResult):
        value = replace(value, report=replace(value.report, errors_file=name))
    elif isinstance(value, SyncReport):
        value = replace(value, errors_file=name)
    return replace(outcome, value=value)


def _state_of(path: str) -> tuple[int, ...]:
    """Return a value that changes with the file. Blocks."""
    found: list[int] = []
    for file in (path, f"{path}-wal"):
        with suppress(FileNotFoundError):
            stat = os.stat(file)
            found += (stat.st_size, stat.st_mtime_ns)
    return tuple(found)
