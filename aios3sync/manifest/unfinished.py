"""UnfinishedUploads: records multipart uploads that were begun and have not ended, across killed runs.

The record is a journal next to the manifest, with one line for the beginning and one for the end of an
upload, each written at once: so the uploads that a killed process leaves in the bucket are on record. Uploads
that are not on record belong to others, and are never touched.

A run on several machines writes a journal for each attempt at a shard, since two processes may not append to
one file of a shared filesystem (open(2), O_APPEND). All runs of the pair read all of them; a process that
holds the lock of the manifest, while no other one works, joins them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

import anyio
from anyio import to_thread

from aios3sync._namedtuple import NamedTuple
from aios3sync.manifest.lock import SHARDS, UPLOADS, whole_path

__all__ = ("UnfinishedUpload", "UnfinishedUploads", "count_unfinished", "join_journals", "uploads_path")

_MOST: Final = 64 * 1024 * 1024
"""Most bytes of a journal that is read; a longer file is no journal of ours."""


class UnfinishedUpload(NamedTuple):
    """One multipart upload that was begun.

    Attributes:
        key: of the object, in full.
        upload_id: of its parts.
        version: identifies what was sent in which parts; empty where that is not recorded.
    """

    key: str
    upload_id: str
    version: str


class UnfinishedUploads:
    """The unfinished uploads of one pair.

    The lock of the manifest is held, so that no other run of the pair uses them. If the journal cannot be
    read or written, uploads are only not continued after a crash.

    Args:
        manifest_path: of the manifest that was requested, or of the file of a shard; empty for no journal.
        target: the endpoint and the bucket; lines of other targets are ignored.
        holds: returns whether a full key belongs to the run: those of other shards are ignored.
    """

    def __init__(
        self, manifest_path: str, target: str, holds: Callable[[str], bool] = lambda _: True
    ) -> None:
        self._manifest_path = manifest_path
        self._path = uploads_path(manifest_path) if manifest_path else ""
        self._target = target
        self._holds = holds
        self._left: dict[str, UnfinishedUpload] | None = None
        self._reading = anyio.Lock()
        self._there = False

    async def take(self, key: str) -> UnfinishedUpload | None:
        """Return the upload of a key that an earlier run has begun, once."""
        return (await self._earlier()).pop(key, None)

    async def left(self) -> list[UnfinishedUpload]:
        """Return the uploads of earlier runs that were not taken."""
        return list((await self._earlier()).values())

    async def began(self, upload: UnfinishedUpload) -> None:
        """Note that an upload was created."""
        if upload.version:
            await self._append({"target": self._target, **upload._asdict()})

    async def ended(self, upload: UnfinishedUpload) -> None:
        """Note that an upload was completed or aborted."""
        if upload.version:
            await self._append({"target": self._target, "ended": upload.upload_id})

    async def tidy(self) -> None:
        """Remove obsolete lines; call it when the transfers have ended.

        For shards the coordinator does that, when no shard works.
        """
        whole = whole_path(self._manifest_path)
        if self._there and whole == self._manifest_path:
            await to_thread.run_sync(join_journals, whole)

    async def _earlier(self) -> dict[str, UnfinishedUpload]:
        if not self._path:
            return {}
        async with self._reading:
            if self._left is None:
                self._left = await to_thread.run_sync(self._read)
        return self._left

    async def _append(self, line: dict[str, str]) -> None:
        if self._path:
            await self._earlier()  # what is added now is none of an earlier run
            self._there = True
            await to_thread.run_sync(self._write, _line(line))

    def _write(self, line: bytes) -> None:
        with suppress(OSError):  # then this upload is not continued after a crash
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)

    def _read(self) -> dict[str, UnfinishedUpload]:
        """Return the unfinished uploads of the target and the keys."""
        journals = [path for path in _journals(whole_path(self._manifest_path)) if os.path.exists(path)]
        self._there = bool(journals)
        found = _unfinished(journals)
        return {
            upload.key: upload
            for (target, _), upload in found.items()
            if target == self._target and self._holds(upload.key)
        }


def uploads_path(manifest_path: str) -> str:
    """Return the path of the journal of a manifest, or of one of its files."""
    return f"{manifest_path}{UPLOADS}"


def count_unfinished(manifest_path: str) -> int:
    """Return the number of unfinished uploads of all targets. Blocks."""
    return len(_unfinished(_journals(manifest_path)))


def join_journals(manifest_path: str, *, forget: bool = False) -> int:
    """Join all journals of a manifest to one; remove it if nothing is unfinished. Blocks.

    The caller holds the lock of the manifest, and no other process works on the pair.

    Args:
        manifest_path: of the manifest.
        forget: also drop the record of unfinished uploads.

    Returns:
        The number of unfinished uploads of all targets.
    """
    journals = _journals(manifest_path)
    found = _unfinished(journals)
    kept = {} if forget else found
    with suppress(OSError):  # what cannot be written stays in the journals where it is
        if kept and len(journals) > 1:
            _replace(journals[0], kept)
        for path in journals[1:] if kept else journals:
            with suppress(FileNotFoundError):
                os.unlink(path)
    return len(found)


def _replace(path: str, uploads: Mapping[tuple[str, str], UnfinishedUpload]) -> None:
    temporary = f"{path.removesuffix(UPLOADS)}.tmp-{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.writelines(_line({"target": name[0], **upload._asdict()}) for name, upload in uploads.items())
    os.replace(temporary, path)


def _journals(manifest_path: str) -> list[str]:
    """Return the journal of a manifest, and those of its shards; they may be absent."""
    directory = manifest_path + SHARDS
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(UPLOADS))
    except OSError:
        names = []
    return [uploads_path(manifest_path), *(os.path.join(directory, name) for name in names)]


def _unfinished(journals: Iterable[str]) -> dict[tuple[str, str], UnfinishedUpload]:
    """Return the uploads that have not ended, by target and upload id.

    The end of an upload is often in another journal than its beginning.
    """
    begun: dict[tuple[str, str], UnfinishedUpload] = {}
    ended: set[tuple[str, str]] = set()
    for path in journals:
        try:
            with open(path, "rb") as file:
                lines = file.read(_MOST).splitlines()
        except OSError:
            continue
        for line in lines:
            _replay(line, begun, ended)
    return {name: upload for name, upload in begun.items() if name not in ended}


def _replay(line: bytes, begun: dict[tuple[str, str], UnfinishedUpload], ended: set[tuple[str, str]]) -> None:
    """Take one line; the last one may be truncated."""
    import json  # most runs have no journal

    try:
        facts = json.loads(line)
        if "ended" in facts:
            ended.add((facts["target"], facts["ended"]))
            return
        upload = UnfinishedUpload(*(str(facts[name]) for name in UnfinishedUpload._fields))
        begun[facts["target"], upload.upload_id] = upload
    except (ValueError, KeyError, TypeError):
        return


def _line(facts: dict[str, str]) -> bytes:
    """Return a line, which also begins with a line feed, as the previous line may be truncated."""
    import json

    return b"\n%s\n" % json.dumps(facts).encode()
