"""What tells whether a bucket is still the same: count, bytes, and a fingerprint of every object. Pure.

The fingerprint is the sum, modulo 2**128, of one 128-bit XXH3 hash for each object, over its size, ETag and
key, seeded with the time of its last change in milliseconds. A sum does not depend on the order in which a
listing in parts comes. Any change of any object changes it, but for a chance of one in 2**128; XXH3 is no
cryptographic hash, so this finds accidents and changes, not somebody who builds objects in order to deceive.

It is made for speed, because it is what validating a cache costs beside the listing: half a microsecond an
object, where a hash of the standard library takes twice that.
"""

from __future__ import annotations

from typing import Final

from xxhash import xxh3_128_intdigest

from aios3sync.core.entries import TargetEntry

__all__ = ("HIDDEN", "Fingerprint", "is_hidden")

HIDDEN: Final = (".deltaglider/", ".aios3sync/")
"""Folders, at the top or below any other, in which tools keep files of their own."""

_INNER: Final = tuple(f"/{folder}" for folder in HIDDEN)
_MODULUS: Final = 1 << 128
_SCHEME: Final = "xxh3-128-sum-1"


def is_hidden(key: str) -> bool:
    """Whether a key is a tool's own file, which is in no statistics."""
    return key.startswith(HIDDEN) or any(folder in key for folder in _INNER)


class Fingerprint:
    """Adds up a listing, page by page, in any order.

    Attributes:
        objects, stored_bytes: what was added.
        hidden_objects, hidden_bytes: what was left out because it is a tool's own.
    """

    def __init__(self) -> None:
        self.objects = self.stored_bytes = 0
        self.hidden_objects = self.hidden_bytes = 0
        self._sum = 0

    def add(self, page: list[TargetEntry]) -> list[TargetEntry]:
        """Add one page of full keys and return it without what is hidden."""
        text = _text(page)
        if any(folder in text for folder in HIDDEN):
            everything, page = page, [entry for entry in page if not is_hidden(entry.key)]
            self.hidden_objects += len(everything) - len(page)
            self.hidden_bytes += _size(everything) - _size(page)
            text = _text(page)
        if page:
            rows = text.encode("utf-8", "surrogatepass").split(b"\0")
            if len(rows) != len(page):  # a key that holds what separates the rows
                rows = [_text([entry]).encode("utf-8", "surrogatepass") for entry in page]
            # Half a millisecond is added because the two lanes make the float of a timestamp differently.
            times = [int(entry[3] * 1000 + 0.5) for entry in page]
            self._sum = (self._sum + sum(map(xxh3_128_intdigest, rows, times))) % _MODULUS
            self.objects += len(page)
            self.stored_bytes += _size(page)
        return page

    def text(self) -> str:
        """The fingerprint as it is kept: its scheme, and 32 hex digits."""
        return f"{_SCHEME}:{self._sum:032x}"


def _text(page: list[TargetEntry]) -> str:
    # One string, encoded and cut as a whole: a tenth of a microsecond less for each object.
    return "\0".join([f"{size} {etag} {key}" for key, size, etag, _, _ in page])


def _size(page: list[TargetEntry]) -> int:
    return sum([entry[1] for entry in page])
