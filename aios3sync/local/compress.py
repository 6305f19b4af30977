"""Writes one deterministic gzip member: equal content gives equal bytes, at any time and on any machine."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import threading
import zlib
from typing import IO, Final

from aios3sync.local.digest import CHUNK, ChangedError, FileDigest, digest_file, entry_of, open_regular
from aios3sync.local.read import Place
from aios3sync.local.temporary import temporary_space

__all__ = ("GzipWriter", "compress", "compress_file", "md5_of")

# RFC 1952: no time, no name, "maximum compression", unknown system: equal content makes equal headers.
_GZIP_HEADER: Final = struct.pack("<2sBBLBB", b"\x1f\x8b", 8, 0, 0, 2, 255)


def md5_of(body: bytes | memoryview) -> bytes:
    """Return the 16-byte digest of a body."""
    return hashlib.md5(body, usedforsecurity=False).digest()


class GzipWriter:
    """Writes one gzip member to ``file``, chunk by chunk, and digests what it writes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._digest = hashlib.md5(usedforsecurity=False)
        self._crc = self._read = self._written = 0
        self._put(_GZIP_HEADER)

    def _put(self, content: bytes) -> None:
        self._digest.update(content)
        self._written += self._file.write(content)

    def write(self, chunk: bytes) -> None:
        """Compress one more chunk."""
        self._crc = zlib.crc32(chunk, self._crc)
        self._read += len(chunk)
        self._put(self._deflate.compress(chunk))

    def finish(self) -> tuple[str, int]:
        """End the member; return the hex MD5 and the number of all bytes that were written."""
        self._put(self._deflate.flush())
        self._put(struct.pack("<LL", self._crc, self._read & 0xFFFFFFFF))
        return self._digest.hexdigest(), self._written


def compress(body: bytes) -> bytes:
    """Return ``body`` as one gzip member; :func:`gzip.decompress` reads it."""
    file = io.BytesIO()
    writer = GzipWriter(file)
    writer.write(body)
    writer.finish()
    return file.getvalue()


def compress_file(
    place: Place, key: str, copy: IO[bytes], stop: threading.Event, *, by_mtime: bool
) -> tuple[FileDigest, str, int]:
    """Compress a file into ``copy``; return the digest of the file, and the MD5 and the size of the copy.

    Args:
        place: of the file.
        key: its name in errors and in the digest.
        copy: a temporary file, empty.
        stop: ends it between two chunks when it is set.
        by_mtime: see :func:`~aios3sync.local.digest.is_settled`.

    Raises:
        OSError: the file cannot be read.
        ChangedError: it changed while it was read, or ``stop`` was set.
        TemporarySpaceError: the copy cannot be written.
    """
    digest = digest_file(place, key, stop, by_mtime=by_mtime)
    with temporary_space():
        writer = GzipWriter(copy)
    with open_regular(place) as descriptor:
        while not stop.is_set() and (chunk := os.read(descriptor, CHUNK)):
            with temporary_space():
                writer.write(chunk)
        if stop.is_set() or entry_of(key, os.fstat(descriptor)) != digest.entry:
            raise ChangedError(key)
    with temporary_space():
        stored_md5, size = writer.finish()
        copy.flush()
    return digest, stored_md5, size
