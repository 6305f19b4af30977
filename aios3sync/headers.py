"""What an upload sends beside the body: content type, metadata and the caller's headers. No I/O."""

from __future__ import annotations

import hashlib
import io
import mimetypes
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Final

from aios3sync.core.entries import SourceEntry
from aios3sync.core.etag import (
    META_MD5,
    META_MTIME,
    META_ORIGINAL_MD5,
    META_ORIGINAL_SIZE,
    rclone_md5,
    rclone_mtime,
)
from aios3sync.options import SyncOptions
from aios3sync.store.protocol import PutOptions

__all__ = ("DEFAULT_TYPE", "GzipWriter", "HeaderPlan", "compress", "content_type_of", "md5_of")

DEFAULT_TYPE: Final = "application/octet-stream"

# What Python's own table lacks in 3.11, or has as an unregistered or platform dependent name
# (https://www.iana.org/assignments/media-types/media-types.xhtml).
_TYPES: Final = {
    "avif": "image/avif",
    "bz2": "application/x-bzip2",
    "cjs": "text/javascript",
    "flac": "audio/flac",
    "geojson": "application/geo+json",
    "gz": "application/gzip",
    "heic": "image/heic",
    "ipynb": "application/x-ipynb+json",
    "jsonl": "application/jsonl",
    "jsonld": "application/ld+json",
    "jxl": "image/jxl",
    "m4a": "audio/mp4",
    "map": "application/json",
    "md": "text/markdown",
    "mjs": "text/javascript",
    "mkv": "video/x-matroska",
    "ndjson": "application/x-ndjson",
    "npy": "application/octet-stream",
    "npz": "application/zip",
    "onnx": "application/octet-stream",
    "opus": "audio/opus",
    "parquet": "application/vnd.apache.parquet",
    "safetensors": "application/octet-stream",
    "toml": "application/toml",
    "ttf": "font/ttf",
    "wasm": "application/wasm",
    "webm": "video/webm",
    "webmanifest": "application/manifest+json",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xz": "application/x-xz",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "zst": "application/zstd",
}
# The table of the standard library alone: what a machine has installed must not change what is sent.
_STANDARD: Final = mimetypes.MimeTypes(filenames=())


def content_type_of(key: str) -> str:
    """The MIME type by extension; the type of ``x.tar.gz`` is that of the archive's outer coat."""
    _, dot, extension = key.rpartition("/")[2].rpartition(".")
    return _type_of(extension) if dot else DEFAULT_TYPE


@lru_cache(maxsize=1024)
def _type_of(extension: str) -> str:
    extension = extension.lower()
    return _TYPES.get(extension) or _STANDARD.guess_type(f"x.{extension}", strict=True)[0] or DEFAULT_TYPE


# RFC 1952: no time, no name, "maximum compression", unknown system: equal content makes equal headers.
_GZIP_HEADER: Final = struct.pack("<2sBBLBB", b"\x1f\x8b", 8, 0, 0, 2, 255)


def md5_of(body: bytes | memoryview) -> bytes:
    """The 16-byte digest of a body."""
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
        """End the member: the hex MD5 and the bytes of all that was written."""
        self._put(self._deflate.flush())
        self._put(struct.pack("<LL", self._crc, self._read & 0xFFFFFFFF))
        return self._digest.hexdigest(), self._written


def compress(body: bytes) -> bytes:
    """``body`` as one gzip member; :func:`gzip.decompress` reads it."""
    file = io.BytesIO()
    writer = GzipWriter(file)
    writer.write(body)
    writer.finish()
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class HeaderPlan:
    """Makes the :class:`PutOptions` of each upload; what is the same for all is made once.

    ``overrides`` are content types and metadata of single keys, as the runner for other programs takes.
    """

    base: PutOptions
    content_type: str
    guess: bool
    overrides: Mapping[str, PutOptions]

    @classmethod
    def of(cls, options: SyncOptions, overrides: Mapping[str, PutOptions] | None = None) -> HeaderPlan:
        """The plan for a run's options."""
        base = PutOptions(
            cache_control=options.cache_control,
            content_disposition=options.content_disposition,
            content_language=options.content_language,
            expires=options.expires,
            metadata=dict(options.metadata),
            storage_class=options.storage_class,
            sse=options.sse,
            sse_kms_key_id=options.sse_kms_key_id,
            sse_customer_key=options.sse_customer_key,
            acl=options.acl,
            tags=dict(options.tags),
            checksum=options.checksum,
            request_payer="requester" if options.request_payer else "",
        )
        return cls(base, options.content_type, options.guess_content_type, overrides or {})

    def type_of(self, key: str) -> str:
        """The content type of a key that has no overrides; empty where none is sent."""
        return self.content_type or (content_type_of(key) if self.guess else "")

    @property
    def opaque(self) -> bool:
        """Whether the chosen encryption makes ETags that prove nothing."""
        return bool(self.base.sse_customer_key) or self.base.sse.startswith("aws:kms")

    def for_upload(
        self, entry: SourceEntry, *, encoding: str = "", original_md5: str = "", stored_md5: str = ""
    ) -> PutOptions:
        """What to send with one file.

        Args:
            entry: the file as it was read.
            encoding: ``gzip`` or empty.
            original_md5: hex digest of the file, told in our own metadata where the body is compressed.
            stored_md5: hex digest of the body as stored, told as rclone does where the ETag proves nothing.
        """
        override = self.overrides.get(entry.key)
        metadata = {**self.base.metadata, **(override.metadata if override else {})}
        metadata[META_MTIME] = rclone_mtime(entry.mtime_ns)
        if encoding:
            metadata[META_ORIGINAL_MD5] = original_md5
            metadata[META_ORIGINAL_SIZE] = str(entry.size)
        if stored_md5:
            metadata[META_MD5] = rclone_md5(stored_md5)
        content_type = (override.content_type if override else "") or self.type_of(entry.key)
        return _replaced(self.base, content_type, encoding, metadata)


def _replaced(base: PutOptions, content_type: str, encoding: str, metadata: dict[str, str]) -> PutOptions:
    # Spelled out: dataclasses.replace() takes five times as long, once for every file.
    return PutOptions(
        content_type,
        encoding,
        base.cache_control,
        base.content_disposition,
        base.content_language,
        base.expires,
        metadata,
        base.storage_class,
        base.sse,
        base.sse_kms_key_id,
        base.sse_customer_key,
        base.acl,
        base.tags,
        base.checksum,
        base.request_payer,
    )
