"""Decides whether an object holds a file's content: by its ETag and metadata, or by its bytes. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from aios3sync.core.etag import Proof, multipart_etag, part_count, proof
from aios3sync.core.gunzip import Gunzip
from aios3sync.core.metadata import META_ORIGINAL_MD5, recorded_md5

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("BodyDigest", "has_content", "is_gzip")

_GZIP: Final = frozenset({"gzip", "x-gzip"})


def is_gzip(encoding: str) -> bool:
    """Return whether a ``Content-Encoding`` is gzip (RFC 9110, 8.4.1.3: any case, ``x-gzip`` as well)."""
    return encoding.strip().lower() in _GZIP


def has_content(
    md5: str, etag: str, metadata: Mapping[str, str], *, gzip: bool = False, opaque: bool = False
) -> bool | None:
    """Return whether an object has the content with a digest; ``None`` where only its bytes can show it.

    Where the ETag is known to be the digest of the body, metadata never makes an object equal against it: it
    may have been kept from an earlier body. Such a contradiction is settled by the bytes.

    ===============================  =======================  ================================
    ETag                             metadata's digest        answer
    ===============================  =======================  ================================
    of the body, equal               any                      yes
    of the body, other               of the file              ``None``
    of the body, other               other or none            no
    proves nothing                   of the file              yes
    proves nothing                   other                    no
    proves nothing                   none                     ``None``
    of the compressed body or        ours, of the original    as ours says
    nothing
    of the compressed body, not      any that describes       ``None``
    what the metadata says           bodies as stored
    nothing, or as metadata says     of the file              yes: the file is stored as it is
    nothing, or as metadata says     other or none            ``None``
    ===============================  =======================  ================================

    Args:
        md5: hex digest of the file.
        etag: of the object, without quotes.
        metadata: of the object.
        gzip: its ``Content-Encoding`` says so, which may be wrong: the last four rows.
        opaque: its ETag proves nothing whatever it looks like.
    """
    claimed = recorded_md5(metadata)
    if gzip:
        if claimed and claimed == metadata.get(META_ORIGINAL_MD5):
            return claimed == md5
        return True if claimed == md5 and _is_of_body(etag, claimed, opaque=opaque) is not False else None
    of_body = _is_of_body(etag, md5, opaque=opaque)
    if of_body is None:
        return claimed == md5 if claimed else None
    return of_body or (None if claimed == md5 else False)


def _is_of_body(etag: str, md5: str, *, opaque: bool) -> bool | None:
    """Return whether the ETag is that of a body with this digest; ``None`` where that is not known."""
    kind, etag = proof(etag, opaque=opaque), etag.lower()
    if kind is Proof.MD5:
        return etag == md5
    if kind is Proof.PARTS and part_count(etag) == 1:  # the same for every part size
        return etag == multipart_etag([bytes.fromhex(md5)])
    return None


class BodyDigest:
    """MD5 of a body as it is stored, and of its content where it is gzip; it is fed piece by piece.

    Args:
        gzip: also inflate, see :class:`~aios3sync.core.gunzip.Gunzip`.
        most: bytes of the expected content; a body that inflates to more is not inflated further.

    Attributes:
        problem: why the body is not the gzip that it should be, or empty; final after :meth:`end`.
    """

    def __init__(self, *, gzip: bool, most: int) -> None:
        self.problem = ""
        self._most = most
        self._stored = hashlib.md5(usedforsecurity=False)
        self._original = hashlib.md5(usedforsecurity=False)
        self._size = 0
        self._gunzip = Gunzip() if gzip else None

    def update(self, data: bytes) -> None:
        """Add the next bytes of the body."""
        self._stored.update(data)
        if self._gunzip is None or self._size > self._most:
            return
        self._gunzip.feed(data)
        while self._size <= self._most and (piece := self._gunzip.piece()):
            self._original.update(piece)
            self._size += len(piece)
        self.problem = self._gunzip.problem

    def end(self) -> None:
        """Note that the body is complete."""
        if self._gunzip is not None and self._size <= self._most:
            self.problem = self._gunzip.end()

    def holds(self, md5: str) -> bool:
        """Return whether this is the digest of the body, or of its inflated content."""
        if self._stored.hexdigest() == md5:
            return True
        inflated = self._gunzip is not None and not self.problem and self._size <= self._most
        return inflated and self._original.hexdigest() == md5
