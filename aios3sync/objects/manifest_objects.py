"""The objects of a manifest: the document, which is replaced by compare-and-swap, and the files of shards.

Files are packed with gzip. Objects in ``KEY.shards/`` have the same names as the files of such a manifest in
a directory (:mod:`aios3sync.manifest.root_directory`), and one writer each. They are removed only once they
are old: a working run may name them in its next document, or may be about to read them.
"""

from __future__ import annotations

import os
import secrets
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import md5
from typing import Final

import anyio
from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync.concurrency import for_each
from aios3sync.errors import ManifestError, ObjectNotFoundError, PreconditionFailedError, StoreError
from aios3sync.listing.pages import PageReader
from aios3sync.manifest.root import ATTEMPTS, attempt_of
from aios3sync.store.protocol import DeleteError, DeleteItem, ObjectStore, PutOptions

__all__ = ("ManifestObject", "ShardObjects", "pack", "unpack")

_PACKED: Final = PutOptions(content_type="application/gzip")
_DOCUMENT: Final = PutOptions(content_type="application/json")
_GZIP: Final = 31
"""The window bits with which zlib writes and reads the gzip format."""
_AT_ONCE: Final = 4
"""Files that are read at once, each as a whole in memory."""
_BATCH: Final = 1000
_KEPT_S: Final = 24 * 3600.0
"""Age in seconds from which a file that no document names is removed."""


class ManifestObject:
    """The object of a manifest; it is replaced only if it is still the one that was last read or written.

    Args:
        store: of its bucket.
        key: in full.

    Attributes:
        etag: of the object that was last read or written; empty where there is none.
    """

    def __init__(self, store: ObjectStore, key: str) -> None:
        self.etag = ""
        self._store = store
        self._key = key

    @property
    def name(self) -> str:
        """Its address, for messages."""
        return f"s3://{self._store.bucket}/{self._key}"

    async def read(self) -> bytes:
        """Return its content; empty where there is no object.

        Raises:
            ManifestError: it cannot be read.
        """
        try:
            found = await self._store.get(self._key)
        except ObjectNotFoundError:
            self.etag = ""
            return b""
        except StoreError as error:
            raise ManifestError(f"the manifest cannot be read: {error}") from error
        self.etag = found.head.etag
        return found.body

    async def write(self, content: bytes, *, packed: bool = False) -> bool:
        """Replace it; return False if another writer was first.

        Args:
            content: the new one.
            packed: whether it is a packed file, not a document.

        Raises:
            StoreError: it cannot be written.
        """
        options = _PACKED if packed else _DOCUMENT
        options = replace(options, if_match=self.etag, if_none_match=not self.etag)
        digest = md5(content, usedforsecurity=False).digest()
        try:
            self.etag = (await self._store.put(self._key, content, options, md5=digest)).etag
        except PreconditionFailedError:
            return False
        except ObjectNotFoundError:  # AWS says so of an object that was to be replaced and is gone
            return False
        return True

    async def remove(self) -> None:
        """Remove it, unless another one has replaced it since it was read or written.

        Raises:
            StoreError: it cannot be removed.
        """
        written = self.etag
        await self.read()
        if not self.etag or self.etag != written:
            return
        conditional = self._store.capabilities.conditional_delete
        with suppress(PreconditionFailedError):  # another one was quicker
            await self._store.delete_one(DeleteItem(self._key, written if conditional else ""))


class ShardObjects:
    """The files of the shards of a manifest, as objects and in a directory.

    Args:
        store: of their bucket.
        prefix: of their keys, in full.
        directory: of the local files; it exists.
    """

    def __init__(self, store: ObjectStore, prefix: str, directory: str) -> None:
        self.directory = directory
        self._store = store
        self._prefix = prefix
        self._fetching: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    def path(self, name: str) -> str:
        """Return the path of a file in the directory."""
        return os.path.join(self.directory, name)

    async def listed(self, beginning: str = "") -> dict[str, float]:
        """Return the names with a prefix, each with the time of its last change.

        Raises:
            StoreError: they cannot be listed.
        """
        found: dict[str, float] = {}
        reader = PageReader(self._store, self._prefix + beginning)
        while not reader.ended:
            for entry in (await reader.next()).entries:
                found[entry.key.removeprefix(self._prefix)] = entry.last_modified
        return found

    async def fetch(self, names: Iterable[str]) -> set[str]:
        """Fetch files that are missing in the directory; return the names without an object.

        A name that ends in :data:`~aios3sync.manifest.root.ATTEMPTS` means the latest attempt; there may be
        none.

        Raises:
            ManifestError: one cannot be read.
        """
        wanted = {*names}
        attempts = {name for name in wanted if name.endswith(ATTEMPTS)}
        missing: set[str] = set()

        async def fetch_one(name: str) -> None:
            if not await self._fetch_one(name):
                missing.add(name)

        try:
            latest = await self._latest(attempts) if attempts else []
            await for_each([*(wanted - attempts), *latest], fetch_one, _AT_ONCE)
        except (StoreError, OSError) as error:
            raise ManifestError(f"the manifest cannot be read: {error}") from error
        return missing

    async def _latest(self, attempts: set[str]) -> list[str]:
        stems = {name.removesuffix(ATTEMPTS) for name in attempts}
        beginning = f"{min(stems)}." if len(stems) == 1 else ""
        latest: dict[str, int] = {}
        for stem, number in filter(None, map(attempt_of, await self.listed(beginning))):
            if stem in stems:
                latest[stem] = max(number, latest.get(stem, 0))
        return [f"{stem}.{number}.sqlite" for stem, number in latest.items()]

    async def _fetch_one(self, name: str) -> bool:
        path = self.path(name)
        async with self._fetching[name]:
            if await to_thread.run_sync(os.path.exists, path):
                return True
            try:
                found = await self._store.get(self._prefix + name)
            except ObjectNotFoundError:
                return False
            await to_thread.run_sync(self._unpack_as, name, found.body)
            return True

    def _unpack_as(self, name: str, content: bytes) -> None:
        temporary = self.path(f".{name}.{secrets.token_hex(4)}")
        try:
            unpack(content, temporary)
        except ValueError:
            address = f"s3://{self._store.bucket}/{self._prefix}{name}"
            raise ManifestError(
                f"{address} is damaged; remove the manifest, and the next run lists"
            ) from None
        os.replace(temporary, self.path(name))

    async def upload(self, name: str, path: str = "") -> None:
        """Store a file under a name that no other writer uses.

        Args:
            name: of the object.
            path: of the file, if it is not in the directory.

        Raises:
            StoreError: it cannot be stored.
        """
        await self._put(name, path or self.path(name), _PACKED)

    async def upload_attempt(self, stem: str, number: int, path: str) -> int:
        """Store a file as a new attempt at a layer; return the number of the attempt.

        Raises:
            StoreError: it cannot be stored.
        """
        while True:
            try:
                await self._put(f"{stem}.{number}.sqlite", path, replace(_PACKED, if_none_match=True))
            except PreconditionFailedError:
                number += 1
            else:
                return number

    async def _put(self, name: str, path: str, options: PutOptions) -> None:
        content = await to_thread.run_sync(pack, path)
        digest = md5(content, usedforsecurity=False).digest()
        await self._store.put(self._prefix + name, content, options, md5=digest)

    async def sweep(self, named: set[str], own: str = "") -> None:
        """Remove the files that no document names and that are old.

        Args:
            named: the names in the document.
            own: prefix of the names of this run: no other run reads its held deletes and errors, which are
                removed at any age. A layer stays, because a run that began meanwhile may read it.

        Raises:
            StoreError: they cannot be listed or removed.
        """
        now = time.time()
        left = [
            name
            for name, changed in (await self.listed()).items()
            if _is_unnamed(name, named)
            and ((own and name.startswith(own) and not _is_layer(name)) or now - changed > _KEPT_S)
        ]
        await self._remove(left)

    async def remove(self, named: set[str]) -> None:
        """Remove the files that a document has named, with all that goes with them, and no others.

        Raises:
            StoreError: they cannot be listed, or not be removed.
            ManifestError: one of them cannot be removed.
        """
        failed = await self._remove([name for name in await self.listed() if _goes_with(name, named)])
        if failed:
            raise ManifestError(
                f"s3://{self._store.bucket}/{failed[0].key} cannot be removed: {failed[0].message}"
            )

    async def _remove(self, names: Sequence[str]) -> list[DeleteError]:
        failed: list[DeleteError] = []
        for start in range(0, len(names), _BATCH):
            items = [DeleteItem(self._prefix + name) for name in names[start : start + _BATCH]]
            failed += await self._store.delete_many(items)
        return failed


def _goes_with(name: str, named: set[str]) -> bool:
    """Whether a file is a layer that is named, or goes with one."""
    stem, end, _ = name.partition(".sqlite")
    found = attempt_of(stem + end)
    return found is not None and bool({stem + end, f"{found[0]}{ATTEMPTS}"} & named)


def _is_unnamed(name: str, named: set[str]) -> bool:
    """Whether a file is a layer that is not named, or belongs to one; other files are not ours."""
    stem, end, rest = name.partition(".sqlite")
    found = attempt_of(stem + end)
    return found is not None and (bool(rest) or not {name, f"{found[0]}{ATTEMPTS}"} & named)


def _is_layer(name: str) -> bool:
    return name.endswith(".sqlite")


def pack(path: str) -> bytes:
    """Return the content of a file, packed. Blocks.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
        return packer.compress(file.read()) + packer.flush()


def unpack(content: bytes, path: str) -> None:
    """Write the result of :func:`pack` to a file. Blocks.

    Raises:
        ValueError: it is no packed file.
        OSError: the file cannot be written.
    """
    try:
        unpacked = zlib.decompress(content, _GZIP)
    except zlib.error as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error
    with open(path, "wb") as file:
        file.write(unpacked)
