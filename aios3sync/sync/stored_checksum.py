"""The checksum that S3 stores with an object, as proof of its bytes where ETag and metadata prove nothing.

It is requested by HEAD. A checksum of parts is of use where their size is known or likely.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.checksums import ObjectChecksum
from aios3sync.core.entries import SourceEntry
from aios3sync.core.etag import Proof, is_opaque_encryption, part_size_candidates, proof
from aios3sync.core.metadata import recorded_md5
from aios3sync.errors import AccessDeniedError, StoreError
from aios3sync.local.checksum import chunk_checksum, is_computable
from aios3sync.local.digest import ChangedError
from aios3sync.store.protocol import HeadResult, ObjectStore

if TYPE_CHECKING:
    from aios3sync.sync.sides import Files

__all__ = (
    "StoredChecksum",
    "file_has_checksum",
    "head_with_checksum",
    "is_proved_otherwise",
    "stored_checksum",
)

_CHUNK: Final = 1024 * 1024
_MOST_GUESSES: Final = 2
"""Part sizes that are tried where the size is not known: for each, all bytes are read once more."""


class StoredChecksum(NamedTuple):
    """A checksum that can be compared.

    Attributes:
        checksum: as the endpoint stores it.
        part_sizes: likely sizes of a part in bytes; 0 for a checksum of the whole object.
        certain: whether another checksum proves other bytes.
    """

    checksum: ObjectChecksum
    part_sizes: tuple[int, ...]
    certain: bool

    def is_of(self, read: Callable[[], Iterator[memoryview]]) -> bool | None:
        """Return whether some bytes have this checksum; ``None`` where that is not known. Blocks.

        Args:
            read: yields the bytes in pieces, each time that it is called.
        """
        for part_size in self.part_sizes:
            if chunk_checksum(read(), self.checksum, part_size) == self.checksum.digest:
                return True
        return False if self.certain else None


def is_proved_otherwise(head: HeadResult, *, opaque: bool) -> bool:
    """Return whether ETag or metadata prove the stored bytes of an object.

    Args:
        head: its facts.
        opaque: ETags of this endpoint prove nothing.
    """
    opaque = opaque or is_opaque_encryption(head.encryption)
    return bool(recorded_md5(head.metadata)) or proof(head.etag, opaque=opaque) is Proof.MD5


async def head_with_checksum(store: ObjectStore, key: str, version_id: str = "") -> HeadResult:
    """Return the facts of an object with its checksum, or without it where a permission for it is missing.

    The checksum of an object under KMS needs ``kms:Decrypt``; the rest of a HEAD does not.

    Raises:
        StoreError: the request failed.
    """
    try:
        return await store.head(key, version_id=version_id, checksums=True)
    except AccessDeniedError:
        return await store.head(key, version_id=version_id)


async def stored_checksum(
    store: ObjectStore, key: str, head: HeadResult, version_id: str = ""
) -> StoredChecksum | None:
    """Return the checksum of an object if it can be compared here, else ``None``.

    Args:
        store: of its bucket.
        key: the full key.
        head: its facts, from :func:`head_with_checksum`.
        version_id: of the version; empty for the latest one.
    """
    checksum = head.checksum
    if checksum is None or not is_computable(checksum.algorithm):
        return None
    if not checksum.parts:
        # Of one part there is no digest of digests, so that of a whole is one.
        return StoredChecksum(checksum, (0,), checksum.certain or "-" not in head.etag)
    try:
        first = await store.head_part(key, 1, version_id=version_id)
    except StoreError:
        first = None
    if first is not None and first.parts == checksum.parts and first.size:
        known = -(-head.size // first.size) == checksum.parts
        return StoredChecksum(checksum, (first.size,) if known else (), known)
    sizes = part_size_candidates(head.size, checksum.parts)[:_MOST_GUESSES]
    return StoredChecksum(checksum, sizes, certain=False)


def file_has_checksum(
    files: Files, file: SourceEntry, stored: StoredChecksum, stop: threading.Event
) -> bool | None:
    """Return whether a file has a checksum; ``None`` where that is not known. Blocks.

    Raises:
        OSError: it cannot be read.
        ChangedError: it is no longer the file that was compared, or ``stop`` was set.
    """
    content = files.open(file.key)
    try:

        def read() -> Iterator[memoryview]:
            buffer = memoryview(bytearray(min(_CHUNK, file.size)))
            for offset in range(0, file.size, _CHUNK):
                if stop.is_set():
                    raise ChangedError(file.key)
                piece = buffer[: min(_CHUNK, file.size - offset)]
                content.read_into(offset, piece)
                yield piece

        same = stored.is_of(read)
        if content.stat() != file:
            raise ChangedError(file.key)
    finally:
        content.close()
    return same
