"""Verifies the bytes of an object while they are read, by its ETag or the digests in its metadata. Pure."""

from __future__ import annotations

import hashlib
from typing import Final

from aios3sync.core.content import is_gzip
from aios3sync.core.digests import Hasher, PartDigests
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
from aios3sync.core.metadata import META_MD5, META_ORIGINAL_MD5, recorded_md5
from aios3sync.local.checksum import object_hasher
from aios3sync.store.protocol import HeadResult
from aios3sync.sync.stored_checksum import StoredChecksum

__all__ = ("BodyCheck", "MemberDecoder", "is_compressed_by_us")

_LAYOUTS: Final = 2
"""Part sizes that are tried for a multipart object without a digest of the whole: each costs one more MD5."""


def is_compressed_by_us(head: HeadResult) -> bool:
    """Return whether the object is a file that a sync compressed, so that its original can be restored."""
    return is_gzip(head.content_encoding) and recorded_md5(head.metadata) == head.metadata.get(
        META_ORIGINAL_MD5
    )


class BodyCheck:
    """Digests of a body as it is stored, fed in order.

    =============================  ====================  =========================================
    ETag                           metadata              the bytes are right if
    =============================  ====================  =========================================
    an MD5                         any                   it is theirs, or the metadata's MD5 is
    of parts                       MD5 of the body       it is theirs
    of parts                       none                  a usual part size gives it; else not known
    proves nothing                 MD5 of the body       it is theirs
    proves nothing                 none                  they have the checksum that the endpoint keeps; where
                                                         it keeps none, only the size is compared
    =============================  ====================  =========================================

    Args:
        head: of the object.
        opaque: ETags of the endpoint prove nothing, whatever they look like.
        checksum: that the endpoint stores, where it was requested.
    """

    def __init__(
        self, head: HeadResult, *, opaque: bool = False, checksum: StoredChecksum | None = None
    ) -> None:
        self._checksum = checksum
        self._hashers: list[Hasher] = []
        if checksum is not None:
            self._hashers = [object_hasher(checksum.checksum, size) for size in checksum.part_sizes]
        self._etag = head.etag
        self._size = head.size
        self._kind = proof(head.etag, opaque=opaque or is_opaque_encryption(head.encryption))
        self._claimed = recorded_md5({META_MD5: head.metadata.get(META_MD5, "")})
        self._whole = hashlib.md5(usedforsecurity=False)
        self._seen = 0
        sizes: tuple[int, ...] = ()
        if self._kind is Proof.PARTS and not self._claimed:
            sizes = part_size_candidates(head.size, part_count(head.etag))[:_LAYOUTS]
        self._layouts = [PartDigests(size) for size in sizes]

    def update(self, chunk: bytes) -> None:
        """Add the next bytes."""
        self._seen += len(chunk)
        if self._claimed or self._kind is Proof.MD5:
            self._whole.update(chunk)
        for layout in self._layouts:
            layout.update(chunk)
        for hasher in self._hashers:
            hasher.update(chunk)

    def end(self) -> tuple[str, str]:
        """Return what proved the bytes, and what is wrong with them; at least one of the two is empty.

        The first is ``md5``, ``parts`` or ``checksum``.
        """
        if self._seen != self._size:
            return "", f"{self._seen} bytes came of {self._size}"
        md5 = self._whole.hexdigest()
        if self._kind is Proof.MD5 and same_etag(self._etag, md5):
            return "md5", ""
        if self._claimed:
            return ("md5", "") if md5 == self._claimed else ("", "their MD5 is not that of its metadata")
        if self._kind is Proof.MD5:
            return "", "their MD5 is not its ETag (--etags opaque if the ETags of this endpoint are no MD5s)"
        proved = any(same_etag(multipart_etag(layout.finish()), self._etag) for layout in self._layouts)
        if proved or self._checksum is None:
            return ("parts" if proved else ""), ""
        return self._by_checksum(self._checksum)

    def _by_checksum(self, stored: StoredChecksum) -> tuple[str, str]:
        if any(hasher.digest() == stored.checksum.digest for hasher in self._hashers):
            return "checksum", ""
        algorithm = stored.checksum.algorithm.upper()
        return "", f"their {algorithm} is not that of the object" if stored.certain else ""


class MemberDecoder:
    """Inflates a gzip body in pieces of bounded size, and checks the original; see :class:`BodyCheck`.

    Args:
        head: of the object; :func:`is_compressed_by_us` holds.
    """

    def __init__(self, head: HeadResult) -> None:
        self._md5 = head.metadata[META_ORIGINAL_MD5]
        self._digest = hashlib.md5(usedforsecurity=False)
        self._gunzip = Gunzip()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body; the earlier ones must be read to their end with :meth:`piece`."""
        self._gunzip.feed(chunk)

    def piece(self) -> bytes:
        """Return the next piece of the original; empty where more of the body is needed."""
        found = self._gunzip.piece()
        self._digest.update(found)
        return found

    def end(self) -> str:
        """Return what is wrong with the original, if anything."""
        if problem := self._gunzip.end():
            return f"said to be gzip, the body {problem}"
        right = self._digest.hexdigest() == self._md5
        return "" if right else "the decompressed bytes have another MD5 than the original"
