"""Plans the parts of a multipart upload; sizes are in bytes. Pure.

Limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

from aios3sync._lazy import lazy_pattern
from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import TYPE_CHECKING, Final
from aios3sync.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = (
    "GIB",
    "MAX_COPY_SIZE",
    "MAX_OBJECT_SIZE",
    "MAX_PARTS",
    "MAX_PART_SIZE",
    "MAX_STREAM_SIZE",
    "MIB",
    "MIN_PART_SIZE",
    "Part",
    "growing_part_size",
    "inferred_part_size",
    "max_part_size_from_refusal",
    "max_parts_from_refusal",
    "plan_part_size",
    "plan_parts",
    "remaining",
)

MIB: Final = 1024**2
GIB: Final = 1024**3
MAX_PARTS: Final = 10_000
MAX_COPY_SIZE: Final = 5 * GIB
"""Of one CopyObject: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""
MIN_PART_SIZE: Final = 5 * MIB
MAX_PART_SIZE: Final = 5 * GIB
MAX_OBJECT_SIZE: Final = MAX_PARTS * MAX_PART_SIZE
"""48.8 TiB: ten thousand parts of 5 GiB."""
MAX_STREAM_SIZE: Final = 5 * 1024 * GIB
"""What the parts of an object of unknown length can hold together."""


class Part(NamedTuple):
    """One part: its number (from 1), where it starts and how many bytes it has."""

    number: int
    offset: int
    length: int


def plan_part_size(size: int, wanted: int, most: int = MAX_PARTS, largest: int = MAX_PART_SIZE) -> int:
    """Return the part size for ``size`` bytes: ``wanted``, or more if that makes more than ``most`` parts.

    A grown part size is a whole number of MiB, so that it can be inferred from the ETag later. ``largest`` is
    the limit of one endpoint. Where ``most`` such parts do not hold the object, it is not obeyed: the
    endpoint may have changed, and else says itself what it refuses.

    Raises:
        UsageError: no part size is large enough.
    """
    if size > most * MAX_PART_SIZE:
        raise UsageError(f"{size} bytes are more than S3 can hold in one object ({most * MAX_PART_SIZE})")
    least = -(-size // most)
    if least > largest:
        largest = MAX_PART_SIZE
    if least <= min(wanted, largest):
        return min(wanted, largest)
    return min(-(-least // MIB) * MIB, largest)


def growing_part_size(number: int, first: int, most: int = MAX_PARTS, largest: int = MAX_PART_SIZE) -> int:
    """Return the size of one part of an object whose length is not known: so that all hold 5 TiB together.

    The first tenth of the parts have the size ``first``, so that the layout of most objects can be inferred
    from their ETags; after it the sizes grow evenly, in whole MiB.

    Args:
        number: of the part, from 1.
        first: bytes of the first part.
        most: parts of an object.
        largest: the limit of the endpoint for one part; where it is not enough, fewer bytes fit.
    """
    steady = most // 10
    growing = most - steady
    rest = max(0, MAX_STREAM_SIZE - most * first)
    added = -(-2 * rest * max(0, number - steady) // (growing * (growing + 1)))
    return max(min(first, largest), min(first + -(-added // MIB) * MIB, largest))


def inferred_part_size(size: int, parts: int) -> int:
    """Return the part size that :func:`plan_part_size` raised, from the size and the number of parts.

    A size that was rounded up to whole MiB is less than 1 MiB above ``size / limit``, and the number of parts
    that it makes is not above the limit; so it is the least such size that is not below ``size / parts``.
    """
    least = -(-size // parts)
    return -(-least // MIB) * MIB


_MOST_IN_WORDS = lazy_pattern(
    r"(?i)between 1 and (\d{1,5})\b|(?:maximum|max|limit|at most|up to|exceeds?|more than)\D{0,40}(\d{1,5})\b"
)


def max_parts_from_refusal(message: str, stored: int, refused: int) -> tuple[int, bool]:
    """Return how many parts an endpoint that refused one accepts (0: not known), and whether it said so.

    Args:
        message: of its error, perhaps with the limit in words.
        stored: the highest number of a part that it stored.
        refused: the number of the refused part, or one more than the parts of an object that it refused.
    """
    for match in _MOST_IN_WORDS.finditer(message):
        said = int(match[1] or match[2])
        if stored <= said < refused:
            return said, said > 0
    return (stored, False) if 0 < stored < refused else (0, False)


_SIZE_IN_WORDS = lazy_pattern(
    r"(?i)(?:maximum|max|limit|at most|up to|exceeds?|larger than|more than)\D{0,40}?"
    r"(\d{1,15})\s?(?:([kmg])(i?)b?|bytes?)?\b(?!\s*parts)"
)
_THOUSANDS = {"k": 1, "m": 2, "g": 3}


def max_part_size_from_refusal(message: str, refused: int, least: int) -> int:
    """Return how large the parts may be at an endpoint that refused one, 0 if no size is left to try.

    Without a size in its words it is the smallest that can be tried: there is one more attempt, and it stores
    the file if any can. A unit counts as the smaller of its two meanings.

    Args:
        message: of its error, perhaps with the limit in words.
        refused: bytes of the refused part.
        least: the smallest part size with which the object has no more parts than allowed.
    """
    least = max(least, MIN_PART_SIZE)
    for match in _SIZE_IN_WORDS.finditer(message.replace(",", "")):
        unit, binary = (match[2] or "").lower(), match[3]
        said = int(match[1])
        for _ in range(_THOUSANDS.get(unit, 0)):
            said *= 1024 if binary else 1000
        if least <= said < refused:
            return said
    return least if least < refused else 0


def plan_parts(size: int, part_size: int) -> Iterator[Part]:
    """Yield the parts that cover ``[0, size)`` without gap or overlap; an empty object has one empty part."""
    if size == 0:
        yield Part(1, 0, 0)
    for number, offset in enumerate(range(0, size, part_size), start=1):
        yield Part(number, offset, min(part_size, size - offset))


def remaining(planned: Iterable[Part], stored: Iterable[int]) -> list[Part]:
    """Return the planned parts whose numbers are not among the stored ones."""
    done = frozenset(stored)
    return [part for part in planned if part.number not in done]
