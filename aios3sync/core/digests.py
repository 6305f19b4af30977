"""Digests of bodies in memory, computed so that threads do not wait for one another. Pure."""

from __future__ import annotations

from typing import Final, Protocol

__all__ = ("Digest", "fed")

# hashlib releases the interpreter lock for more bytes than this.
_UNSHARED: Final = 2047
_SMALL: Final = 16 * 1024


class Digest(Protocol):
    """A hash object of :mod:`hashlib`."""

    def update(self, body: bytes | memoryview, /) -> None:
        """Add bytes."""
        ...

    def digest(self) -> bytes:
        """Return the digest of all bytes so far."""
        ...

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
