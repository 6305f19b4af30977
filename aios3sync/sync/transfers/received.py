"""Decides whether the received bytes are those of the object, and what its file will hold. Pure.

An ETag or metadata that match prove the bytes, whatever else is known: 128 bits do not match by chance. Bytes
are wrong where something contradicts them and nothing confirms them. Where nothing is known (KMS, without
metadata of ours or rclone's, and without a checksum of S3) only their number is checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.etag import (
    Proof,
    is_opaque_encryption,
    multipart_etag,
    part_count,
    part_size_candidates,
    proof,
    same_etag,
)
from aios3sync.core.gunzip import Gunzip
from aios3sync.core.metadata import META_MD5, META_ORIGINAL_MD5, META_ORIGINAL_SIZE, recorded_md5
from aios3sync.core.text import printable
from aios3sync.store.protocol import HeadResult
from aios3sync.sync.stored_checksum import StoredChecksum

__all__ = (
    "Original",
    "ReceivedContent",
    "WrongBytesError",
    "check_checksum",
    "content_of",
    "decompressed",
    "lacks_proof",
    "original_of",
    "plain_mismatch",
    "stored_md5",
)

_MOST_DIGITS: Final = 15


class WrongBytesError(Exception):
    """The received bytes are not those of the object; the message says what contradicts them."""


class Original(NamedTuple):
    """The content of an object that this package compressed: its size in bytes, and its hex MD5."""

    size: int
    md5: str


class ReceivedContent(NamedTuple):
    """The content of the file of an object.

    Attributes:
        body: its bytes.
        md5: their hex digest.
        encoding: ``gzip`` where the object is compressed and the file is not.
        part_size: bytes of a part, where the ETag proved to be that of parts.
        sha256: another hex digest of its bytes, only for a receipt.
    """

    body: bytes
    md5: str
    encoding: str = ""
    part_size: int = 0
    sha256: str = ""


def original_of(head: HeadResult) -> Original | None:
    """Return the original of an object that this package compressed; ``None`` for any other object."""
    md5, size = head.metadata.get(META_ORIGINAL_MD5, ""), head.metadata.get(META_ORIGINAL_SIZE, "")
    if head.content_encoding != "gzip" or recorded_md5({META_ORIGINAL_MD5: md5}) != md5 or not md5:
        return None
    if not (size.isascii() and size.isdecimal() and len(size) <= _MOST_DIGITS):
        return None
    return Original(int(size), md5)


def content_of(
    body: bytes,
    head: HeadResult,
    size: int,
    *,
    decode: bool = True,
    opaque: bool = False,
    checksum: StoredChecksum | None = None,
) -> ReceivedContent:
    """Return the content of the file of a small object.

    Args:
        body: what was received.
        head: the facts of the response.
        size: bytes of the object.
        decode: decompress what this package compressed.
        opaque: ETags of this endpoint prove nothing.
        checksum: that the endpoint stores, where it was requested.

    Raises:
        WrongBytesError: these are not the bytes of the object.
    """
    if len(body) != size:
        raise WrongBytesError(f"{len(body)} bytes came instead of {size}")
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    part_size = 0
    if not same_etag(head.etag, md5):
        part_size = _part_size(body, head.etag)
        if not part_size and (reason := plain_mismatch(md5, head, opaque=opaque)):
            raise WrongBytesError(reason)
        if not part_size and checksum is not None:
            check_checksum(checksum, lambda: iter([memoryview(body)]))
    original = original_of(head) if decode else None
    if original is None:
        return ReceivedContent(body, md5, "", part_size)
    return ReceivedContent(b"".join(decompressed([body], original)), original.md5, "gzip", part_size)


def check_checksum(checksum: StoredChecksum, read: Callable[[], Iterator[memoryview]]) -> bool:
    """Return whether the checksum that the endpoint stores proves the bytes. Blocks.

    Args:
        checksum: of the object.
        read: yields the bytes in pieces.

    Raises:
        WrongBytesError: the checksum is of other bytes.
    """
    same = checksum.is_of(read)
    if same is False:
        raise WrongBytesError(f"their {checksum.checksum.algorithm.upper()} is not that of the object")
    return bool(same)


def _part_size(body: bytes, etag: str) -> int:
    """Return the size of the parts whose digests make the ETag, 0 if there is none."""
    for size in part_size_candidates(len(body), part_count(etag)):
        parts = (body[start : start + size] for start in range(0, max(len(body), 1), size))
        digests = [hashlib.md5(part, usedforsecurity=False).digest() for part in parts]
        if same_etag(etag, multipart_etag(digests)):
            return size
    return 0


def stored_md5(head: HeadResult) -> str:
    """Return the hex MD5 of the body as it is stored, from the metadata; empty where they have none."""
    if original_of(head) is None:
        return recorded_md5(head.metadata)
    return recorded_md5({META_MD5: head.metadata.get(META_MD5, "")})


def lacks_proof(head: HeadResult, *, opaque: bool, decode: bool) -> bool:
    """Return whether neither ETag nor metadata prove anything about the stored or decompressed bytes.

    Args:
        head: the facts of the object.
        opaque: ETags of this endpoint prove nothing.
        decode: whether objects that this package compressed are decompressed, which proves the bytes.
    """
    opaque = opaque or is_opaque_encryption(head.encryption)
    recorded = recorded_md5(head.metadata) if decode else stored_md5(head)
    return proof(head.etag, opaque=opaque) is Proof.NOTHING and not recorded


def plain_mismatch(md5: str, head: HeadResult, *, opaque: bool) -> str:
    """Return what contradicts stored bytes whose ETag is not their MD5; empty where nothing does.

    Args:
        md5: of the bytes as stored.
        head: the facts of the object.
        opaque: ETags of this endpoint prove nothing.
    """
    recorded = stored_md5(head)
    if recorded == md5:
        return ""
    if proof(head.etag, opaque=opaque or is_opaque_encryption(head.encryption)) is Proof.MD5:
        return f"their MD5 is {md5}, the ETag {printable(head.etag)}"
    return f"their MD5 is {md5}, that in the metadata {recorded}" if recorded else ""


def decompressed(chunks: list[bytes] | Iterator[bytes], original: Original) -> Iterator[bytes]:
    """Yield the original content of an object that this package compressed, in pieces; verify it at the end.

    Never more is decompressed than the size in the metadata.

    Raises:
        WrongBytesError: the content is another one.
    """
    digest = hashlib.md5(usedforsecurity=False)
    gunzip = Gunzip()
    size = 0
    for chunk in chunks:
        gunzip.feed(chunk)
        while piece := gunzip.piece():
            size += len(piece)
            if size > original.size:
                raise WrongBytesError(f"decompressed they are more than the {original.size} bytes promised")
            digest.update(piece)
            yield piece
    if problem := gunzip.end():
        raise WrongBytesError(f"said to be gzip, the body {problem}")
    if size != original.size or digest.hexdigest() != original.md5:
        raise WrongBytesError(f"decompressed they are not the content with the MD5 {original.md5}")
