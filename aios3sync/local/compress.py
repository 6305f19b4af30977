"""One deterministic gzip member: equal content makes equal bytes, whenever and wherever it is compressed."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from typing import IO, Final

__all__ = ("GzipWriter", "compress", "md5_of")

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
