"""Inflates gzip in pieces of bounded size: a body may hold a thousand times its own size. Pure."""

from __future__ import annotations

import zlib
from typing import Any, Final

__all__ = ("Gunzip",)

_PIECE: Final = 1024 * 1024


class Gunzip:
    """Inflates a body that is fed in chunks.

    All members count (RFC 1952, 2.2), and zeros after the last one do not, as for ``gzip -d``.

    Attributes:
        problem: why the body is no gzip, as the rest of a sentence about it; empty while nothing is wrong.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._member: Any = None
        self._members = 0
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body; those before must be read to their end with :meth:`piece`.

        After a problem they are not kept.
        """
        if not self.problem:
            self._rest += chunk

    def piece(self) -> bytes:
        """Return the next piece of the content; empty where more of the body is needed."""
        while self._rest and not self.problem:
            if self._member is None:
                self._rest = self._rest.lstrip(b"\0") if self._members else self._rest
                if not self._rest:
                    break
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            if found := self._inflate():
                return found
        return b""

    def _inflate(self) -> bytes:
        try:
            found: bytes = self._member.decompress(self._rest, _PIECE)
        except zlib.error:
            self.problem = "is not gzip"
            return b""
        if self._member.eof:
            self._rest, self._member = self._member.unused_data, None
            self._members += 1
        else:
            self._rest = self._member.unconsumed_tail
        return found

    def end(self) -> str:
        """Note that the body is complete, and return :attr:`problem`."""
        if not self.problem and self._member is not None:
            self.problem = "breaks off"
        elif not self.problem and not self._members:
            self.problem = "is empty"
        return self.problem
