"""UnfinishedUploads: which multipart uploads were begun and have not ended, across runs that were killed.

It is a journal next to the manifest, with one line when an upload was created and one when it ended, each
written at once: a process that is killed leaves the uploads on record that it leaves in the bucket. Uploads
that are not on record are those of others, and are never touched.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

import anyio
from anyio import to_thread

from aios3sync._namedtuple import NamedTuple

__all__ = ("UnfinishedUpload", "UnfinishedUploads")

_MOST: Final = 64 * 1024 * 1024
"""Bytes of a journal that is read; a longer one is no journal of ours."""


class UnfinishedUpload(NamedTuple):
    """One multipart upload that was begun.

    Attributes:
        key: of the object, in full.
        upload_id: of its parts.
        version: says what was sent in which parts; empty where that is not recorded.
    """

    key: str
    upload_id: str
    version: str


class UnfinishedUploads:
    """The unfinished uploads of one pair.

    The lock of the manifest is held, so that no other run of the pair uses them. Where the journal cannot be
    read or written, uploads are not continued after a crash, and nothing else is different.

    Args:
        path: of the journal; empty for none.
        target: the endpoint and the bucket; lines of another one are left alone.
    """

    def __init__(self, path: str, target: str) -> None:
        self._path = path
        self._target = target
        self._left: dict[str, UnfinishedUpload] | None = None
        self._reading = anyio.Lock()
        self._written = False

    async def take(self, key: str) -> UnfinishedUpload | None:
        """Return the upload of a key that an earlier run has begun, once."""
        return (await self._earlier()).pop(key, None)

    async def left(self) -> list[UnfinishedUpload]:
        """Return the uploads of earlier runs that nothing has taken."""
        return list((await self._earlier()).values())

    async def began(self, upload: UnfinishedUpload) -> None:
        """Note that an upload was created."""
        if upload.version:
            await self._append({"target": self._target, **upload._asdict()})

    async def ended(self, upload: UnfinishedUpload) -> None:
        """Note that an upload is an object now, or was aborted."""
        if upload.version:
            await self._append({"target": self._target, "ended": upload.upload_id})

    async def tidy(self) -> None:
        """Remove the journal if nothing is unfinished; call it when the transfers have ended."""
        if self._written:
            await to_thread.run_sync(self._read)

    async def _earlier(self) -> dict[str, UnfinishedUpload]:
        if not self._path:
            return {}
        async with self._reading:
            if self._left is None:
                self._left = await to_thread.run_sync(self._read)
        return self._left

    async def _append(self, line: dict[str, str]) -> None:
        if self._path:
            import json

            await self._earlier()  # what is added now is none of an earlier run
            self._written = True
            await to_thread.run_sync(self._write, b"\n%s\n" % json.dumps(line).encode())

    def _write(self, line: bytes) -> None:
        """Add a line, which begins with a line feed as well: the line before it may be cut off."""
        with suppress(OSError):  # then this upload is not continued after a crash
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)

    def _read(self) -> dict[str, UnfinishedUpload]:
        """Return what is unfinished, and remove the journal if nothing of any target is."""
        open_uploads: dict[tuple[str, str], UnfinishedUpload] = {}
        try:
            with open(self._path, "rb") as file:
                lines = file.read(_MOST).splitlines()
        except OSError:
            return {}
        for line in lines:
            _replay(line, open_uploads)
        if not open_uploads:
            with suppress(OSError):
                os.unlink(self._path)
        return {copy.key: copy for (target, _), copy in open_uploads.items() if target == self._target}


def _replay(line: bytes, open_uploads: dict[tuple[str, str], UnfinishedUpload]) -> None:
    """Apply one line; the last one may be cut off."""
    import json  # most runs have no journal

    try:
        facts = json.loads(line)
        if "ended" in facts:
            open_uploads.pop((facts["target"], facts["ended"]), None)
            return
        copy = UnfinishedUpload(*(str(facts[name]) for name in UnfinishedUpload._fields))
        open_uploads[facts["target"], copy.upload_id] = copy
    except (ValueError, KeyError, TypeError):
        return
