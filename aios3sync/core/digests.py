"""Digests of bodies in memory, taken so that threads do not wait for one another; pure."""

from __future__ import annotations

from typing import Final, Protocol

__all__ = ("Digest", "fed")

# hashlib gives the interpreter away while it takes more than this at once.
_UNSHARED: Final = 2047
_SMALL: Final = 16 * 1024


class Digest(Protocol):
    """What :mod:`hashlib` makes."""

    def update(self, body: bytes | memoryview, /) -> None:
        """Take more bytes."""
        ...

    def digest(self) -> bytes:
        """The digest of all that was taken."""
        ...

    def hexdigest(self) -> str:
        """The same in hexadecimal."""
        ...


def fed(algorithm: Digest, body: bytes) -> Digest:
    """Feed ``body`` to a new digest; a small one without letting another thread run in between.

    For a body of a few KiB the two hand-overs of the interpreter cost more than its digest does
    (https://docs.python.org/3/library/hashlib.html: it is released above 2,047 bytes).
    """
    if len(body) > _SMALL:
        algorithm.update(body)
        return algorithm
    view = memoryview(body)
    for start in range(0, len(body), _UNSHARED):
        algorithm.update(view[start : start + _UNSHARED])
    return algorithm
