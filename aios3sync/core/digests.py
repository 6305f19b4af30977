"""Digests of bodies in memory, and of the parts of a stream. Pure; threads do not wait for one another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from aios3sync._typing import Any, Final, Protocol

__all__ = ("Digest", "Hasher", "PartDigests", "fed", "new_md5")

# hashlib releases the interpreter lock for more bytes than this.
_UNSHARED: Final = 2047
_SMALL: Final = 16 * 1024


class Hasher(Protocol):
    """What is fed piece by piece, and has a digest at the end."""

    def update(self, data: Any, /) -> None:
        """Add the next bytes."""
        ...

    def digest(self) -> bytes:
        """Return the digest of all bytes so far."""
        ...


class Digest(Hasher, Protocol):
    """A hash object of :mod:`hashlib`."""

    def hexdigest(self) -> str:
        """Return the digest in hexadecimal."""
        ...


def fed(algorithm: Digest, body: bytes) -> Digest:
    """Feed ``body`` to a new digest; a small one without letting another thread run in between.

    For a body of a few KiB, releasing and acquiring the interpreter lock costs more than the digest
    (https://docs.python.org/3/library/hashlib.html: it is released above 2,047 bytes).
    """
    if len(body) > _SMALL:
        algorithm.update(body)
        return algorithm
    view = memoryview(body)
    for start in range(0, len(body), _UNSHARED):
        algorithm.update(view[start : start + _UNSHARED])
    return algorithm


def new_md5() -> Digest:
    """Return a new MD5, for what S3 proves with it: no secret depends on it."""
    return hashlib.md5(usedforsecurity=False)


class PartDigests:
    """Cuts a stream of chunks at part borders, and has the digest of each part.

    Args:
        size: bytes of each part but the last.
        new_hasher: makes the hasher of a part.

    Attributes:
        size: see above.
        digests: of the parts so far.
    """

    def __init__(self, size: int, new_hasher: Callable[[], Hasher] = new_md5) -> None:
        self.size = size
        self.digests: list[bytes] = []
        self._new_hasher = new_hasher
        self._current = new_hasher()
        self._filled = 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Add the next bytes."""
        rest = memoryview(chunk)
        while rest:
            piece = rest[: self.size - self._filled]
            self._current.update(piece)
            self._filled += len(piece)
            rest = rest[len(piece) :]
            if self._filled == self.size:
                self._end_part()

    def _end_part(self) -> None:
        self.digests.append(self._current.digest())
        self._current = self._new_hasher()
        self._filled = 0

    def finish(self) -> list[bytes]:
        """Return the digests, at least one; called once, at the end."""
        if self._filled or not self.digests:
            self._end_part()
        return self.digests
