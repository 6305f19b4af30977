"""Computes the checksums that S3 stores (``x-amz-checksum-*``), for bytes and open files.

The standard library has neither CRC32C nor CRC64NVME, and a table in Python is slower than any network: they
need the package anycrc (``pip install anycrc``), or awscrt where that is installed.
"""

from __future__ import annotations

import hashlib
import importlib
import zlib
from collections.abc import Callable, Iterable
from functools import cache, partial

from aios3sync._typing import TYPE_CHECKING, Final
from aios3sync.core.digests import Hasher, PartDigests
from aios3sync.errors import UsageError

if TYPE_CHECKING:
    from aios3sync.core.checksums import ObjectChecksum

__all__ = (
    "checksum_of",
    "chunk_checksum",
    "find_crc",
    "hasher_of",
    "is_computable",
    "object_hasher",
)

Data = bytes | bytearray | memoryview
_Crc = Callable[[Data, int], int]
_SIZES: Final = {"crc32": 4, "crc32c": 4, "crc64nvme": 8}
_MODELS: Final = {"crc32c": "CRC32-ISCSI", "crc64nvme": "CRC64-NVME"}


class _CrcHasher:
    def __init__(self, crc: _Crc, size: int) -> None:
        self._crc = crc
        self._size = size
        self._value = 0

    def update(self, data: Data) -> None:
        """Add the next bytes."""
        self._value = self._crc(data, self._value)

    def digest(self) -> bytes:
        """Return the checksum of all bytes so far."""
        return self._value.to_bytes(self._size, "big")


def hasher_of(algorithm: str) -> Hasher:
    """Return a new digest of one of :data:`~aios3sync.core.checksums.ALGORITHMS`.

    Raises:
        UsageError: the algorithm is unknown, or needs a package that is not installed.
    """
    if algorithm == "sha256":
        return hashlib.sha256()
    if algorithm == "sha1":
        return hashlib.sha1(usedforsecurity=False)
    if algorithm not in _SIZES:
        raise UsageError(f"{algorithm!r} is not a checksum of S3")
    crc = zlib.crc32 if algorithm == "crc32" else find_crc(algorithm)
    if crc is None:
        raise UsageError(
            f"checksum {algorithm} needs the package anycrc (pip install anycrc); "
            "sha256, sha1 and crc32 need nothing"
        )
    return _CrcHasher(crc, _SIZES[algorithm])


def is_computable(algorithm: str) -> bool:
    """Return whether a checksum can be computed here."""
    return algorithm not in _MODELS or find_crc(algorithm) is not None


def checksum_of(algorithm: str, data: Data) -> bytes:
    """Return the digest of some bytes; raises as :func:`hasher_of`."""
    hasher = hasher_of(algorithm)
    hasher.update(data)
    return hasher.digest()


class _PartsHasher:
    """The digest of the digests of parts."""

    def __init__(self, algorithm: str, part_size: int) -> None:
        self._algorithm = algorithm
        self._parts = PartDigests(part_size, partial(hasher_of, algorithm))
        self.update = self._parts.update

    def digest(self) -> bytes:
        """Return the digest; it can be called once, after the last bytes."""
        return checksum_of(self._algorithm, b"".join(self._parts.finish()))


def object_hasher(checksum: ObjectChecksum, part_size: int) -> Hasher:
    """Return the object that computes the checksum of an object from its bytes.

    Args:
        checksum: of the object: its algorithm, and whether it is of parts.
        part_size: bytes of each part but the last, for a checksum of parts.
    """
    algorithm = checksum.algorithm
    return _PartsHasher(algorithm, part_size) if checksum.parts else hasher_of(algorithm)


def chunk_checksum(chunks: Iterable[Data], checksum: ObjectChecksum, part_size: int) -> bytes:
    """Return the checksum of an object with these bytes, in pieces; see :func:`object_hasher`."""
    hasher = object_hasher(checksum, part_size)
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.digest()


@cache
def find_crc(algorithm: str) -> _Crc | None:
    """Return the CRC function of a package; ``None`` where neither is installed."""
    try:
        calculate = importlib.import_module("anycrc").Model(_MODELS[algorithm]).calc
    except ImportError:
        pass
    else:
        return lambda data, value: int(calculate(data, value))
    try:
        function = getattr(importlib.import_module("awscrt.checksums"), algorithm)
    except ImportError:
        return None
    return lambda data, value: int(function(bytes(data), value))
