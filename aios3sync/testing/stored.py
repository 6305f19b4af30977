"""StoredObject: one object of a :class:`~aios3sync.testing.memory.MemoryStore`."""

from __future__ import annotations

from typing import Final

from aios3sync._dataclass import dataclass, replace
from aios3sync.core.checksums import ObjectChecksum
from aios3sync.core.entries import Restore
from aios3sync.local.checksum import checksum_of
from aios3sync.store.protocol import PutOptions

__all__ = ("StoredObject", "checksum_of_object", "copied")

_KEPT: Final = (
    *("content_type", "content_encoding", "cache_control", "content_disposition", "content_language"),
    *("expires", "metadata"),
)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object, for a test to inspect.

    Attributes:
        body, etag, options, encryption: as it was stored.
        last_modified: seconds since the epoch.
        part_sizes: bytes of each part of a multipart upload.
        version_id: in a bucket with versions.
        restore: of an archived object, see :class:`~aios3sync.core.entries.TargetEntry`.
    """

    body: bytes
    etag: str
    options: PutOptions
    last_modified: float
    encryption: str = ""
    part_sizes: tuple[int, ...] = ()
    version_id: str = ""
    restore: Restore = ""


def copied(source: PutOptions, given: PutOptions | None, *, keep_metadata: bool) -> PutOptions:
    """Return what a copy is stored with: the storage class and the encryption of the source never stay."""
    options = PutOptions() if given is None else given
    tags = options.tags or source.tags
    if given is not None and not keep_metadata:
        return replace(options, tags=tags)
    return replace(options, tags=tags, **{name: getattr(source, name) for name in _KEPT})


def checksum_of_object(stored: StoredObject) -> ObjectChecksum | None:
    """Return the checksum that a multipart upload composes, or that of the body."""
    algorithm = stored.options.checksum
    if not algorithm:
        return None
    start, bodies = 0, []
    for size in stored.part_sizes:
        bodies.append(stored.body[start : start + size])
        start += size
    if not bodies or algorithm == "crc64nvme":  # which is of the whole in any case
        return ObjectChecksum(algorithm, checksum_of(algorithm, stored.body), 0, certain=True)
    digests = b"".join(checksum_of(algorithm, body) for body in bodies)
    return ObjectChecksum(algorithm, checksum_of(algorithm, digests), len(bodies), certain=True)
