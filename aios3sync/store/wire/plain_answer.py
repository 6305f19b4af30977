"""PlainAnswer: one HTTP response while it is received, in its plain forms; for a run without an event loop.

What endpoints send is plain: a status, headers, and a body with a length or in chunks (RFC 9112). A run reads
any other form, with a parser that takes a tenth of a small sync to load.
"""

from __future__ import annotations

from aios3sync._typing import Final
from aios3sync.store.wire.blocking_endpoint import NotPlainError
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.requests import MAX_XML

__all__ = ("OK", "PlainAnswer")

OK: Final = 200
_LONGEST_HEAD: Final = 64 * 1024
_LONGEST_LINE: Final = 1024
"""Bytes of the line before a chunk."""
_DIGITS: Final = 16
"""Of the length of a body or a chunk."""
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_SINGLE: Final = frozenset({b"connection", b"content-length", b"transfer-encoding"})
"""Headers that say where the response ends, and whether another one follows."""
_TWO_LINES: Final = b"\r\n\r\n"
_LINE: Final = b"\r\n"


class PlainAnswer:
    """One HTTP response while it is received.

    Attributes:
        status: of the response; the body of a refusal is not waited for.
        headers: names in lower case.
        ended: whether it is complete.
        keeps_alive: whether another request may follow on its connection.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.ended = False
        self.keeps_alive = False
        self._data = bytearray()
        self._place = 0  # where the next head, chunk or body begins in the data
        self._length = -1  # of the body; -1 where it comes in chunks
        self._chunks: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take the next bytes; none where the connection has ended.

        Raises:
            NotPlainError: they are not those of a response in a plain form.
        """
        if not data:
            raise NotPlainError("the connection ended before the answer")
        self._data += data
        if len(self._data) > MAX_XML:
            raise NotPlainError("the answer is too long")
        if not self.status:
            self._read_head()
        if self.status == OK and not self.ended:
            if self._length >= 0:
                self._read_body()
            else:
                self._read_chunks()

    def response(self) -> HttpResponse:
        """Return the response."""
        return HttpResponse(self.status, self.headers, b"".join(self._chunks))

    def _read_head(self) -> None:
        end = self._data.find(_TWO_LINES)
        if end < 0:
            if len(self._data) > _LONGEST_HEAD:
                raise NotPlainError("a head that has no end")
            return
        first, *lines = bytes(self._data[:end]).split(_LINE)
        version, _, rest = first.partition(b" ")
        code, _, _ = rest.partition(b" ")
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or len(code) != 3 or not code.isdigit():
            raise NotPlainError("the answer is not HTTP")
        for line in lines:
            self._read_header(line)
        self.status = int(code)
        self._place = end + len(_TWO_LINES)
        if self.status != OK:
            self.ended = True
            return
        self.keeps_alive = (
            version == b"HTTP/1.1" and b"close" not in self.headers.get(b"connection", b"").lower()
        )
        self._read_framing()

    def _read_header(self, line: bytes) -> None:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip() or not {*b"\r\n\0"}.isdisjoint(line):
            raise NotPlainError("a header in an unusual form")
        name = name.lower()
        if name in _SINGLE and name in self.headers:
            raise NotPlainError("two headers that contradict each other")
        self.headers[name] = value.strip(b" \t")

    def _read_framing(self) -> None:
        """Read how the end of the body is found."""
        length, coding = (self.headers.get(name) for name in (b"content-length", b"transfer-encoding"))
        if coding is None and length is not None and length.isdigit() and len(length) <= _DIGITS:
            self._length = int(length)
        elif coding is None or coding.lower() != b"chunked" or length is not None:
            raise NotPlainError("a body without a length")

    def _read_body(self) -> None:
        left = self._place + self._length - len(self._data)
        if left <= 0:
            self._end(self._place + self._length)
            self._chunks.append(bytes(self._data[self._place :]))

    def _read_chunks(self) -> None:
        while (end := self._data.find(_LINE, self._place)) >= 0:
            size = self._chunk_size(bytes(self._data[self._place : end]))
            start = end + len(_LINE)
            following = start + size + len(_LINE)
            if len(self._data) < following:
                return
            if self._data[start + size : following] != _LINE:
                raise NotPlainError("a chunk of another length, or headers after the body")
            if size == 0:
                self._end(following)
                return
            self._chunks.append(bytes(self._data[start : start + size]))
            self._place = following
        if len(self._data) - self._place > _LONGEST_LINE:
            raise NotPlainError("a chunk without a length")

    def _chunk_size(self, line: bytes) -> int:
        digits = line.partition(b";")[0].rstrip(b" \t")
        if not digits or len(digits) > _DIGITS or not _HEX.issuperset(digits):
            raise NotPlainError("a chunk without a length")
        return int(digits, 16)

    def _end(self, place: int) -> None:
        if len(self._data) > place:
            raise NotPlainError("another answer after the one that was asked for")
        self.ended = True
