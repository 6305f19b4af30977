"""Reads and computes ETags. Pure.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html (what an ETag is).
"""

from __future__ import annotations

import hashlib
from enum import Enum

from aios3sync._lazy import lazy_pattern
from aios3sync._typing import TYPE_CHECKING, Final
from aios3sync.core.parts import GIB, MAX_PART_SIZE, MIB, MIN_PART_SIZE, inferred_part_size

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = (
    "Proof",
    "bare_etag",
    "is_inferable",
    "is_opaque_encryption",
    "multipart_etag",
    "part_count",
    "part_size_candidates",
    "proof",
    "same_etag",
)

_PLAIN = lazy_pattern(r"[0-9a-fA-F]{32}")
_PARTS = lazy_pattern(r"[0-9a-fA-F]{32}-([1-9][0-9]{0,4})")

# Part sizes that the usual tools use: aws and boto3 8 MiB, rclone and s3cmd 5 and 15 MiB, s5cmd 50 MiB,
# this package 16 MiB, and the round numbers that people set by hand.
_USUAL_PART_SIZES: Final = (
    *(n * MIB for n in (5, 6, 8, 10, 15, 16, 20, 25, 32, 50, 64, 100, 128, 200, 256, 500, 512)),
    *(GIB, 5 * GIB),
)
_INFERRED: Final = 2
"""Candidates that every reader tries; see ``objects/verification.py``."""


class Proof(Enum):
    """What an ETag proves about the bytes of its object."""

    MD5 = "md5 of the body"
    PARTS = "md5 of the parts' md5s"
    NOTHING = "nothing"


def bare_etag(text: str) -> str:
    """Return an ETag as this package keeps it: without quotes, white space and the ``W/`` of a weak one.

    Proxies that compress answers make ETags weak (RFC 9110, 8.8.1). The case of letters is kept, because an
    endpoint may compare an ETag that it receives byte by byte.
    """
    return text.strip().removeprefix("W/").strip('"')


def same_etag(one: str, other: str) -> bool:
    """Return whether two ETags are the same; hexadecimal digits may be upper case (Alibaba OSS)."""
    return one == other or one.lower() == other.lower()


def proof(etag: str, *, opaque: bool = False) -> Proof:
    """Return what ``etag`` (without quotes) proves: nothing where it is ``opaque`` by encryption."""
    if opaque:
        return Proof.NOTHING
    if _PLAIN.fullmatch(etag):
        return Proof.MD5
    return Proof.PARTS if _PARTS.fullmatch(etag) else Proof.NOTHING


def is_opaque_encryption(encryption: str) -> bool:
    """Return whether objects with this ``x-amz-server-side-encryption`` have ETags that prove nothing."""
    return encryption not in ("", "AES256")


def part_count(etag: str) -> int:
    """Return the N of a ``hex-N`` ETag, 0 for any other."""
    match = _PARTS.fullmatch(etag)
    return int(match[1]) if match else 0


def part_size_candidates(size: int, parts: int, *known: int) -> tuple[int, ...]:
    """Return the part sizes that cut ``size`` bytes into ``parts``: first the known, then the usual ones.

    Args:
        size: bytes of the object.
        parts: the N of its ETag.
        known: part sizes that are the most likely, such as the recorded or the configured one.
    """
    if not parts:
        return ()
    wanted = [*known, *_USUAL_PART_SIZES, inferred_part_size(size, parts)]
    if parts == 1:
        wanted.append(max(size, 1))
    fitting = (n for n in wanted if 0 < n <= MAX_PART_SIZE and max(1, -(-size // n)) == parts)
    return tuple(dict.fromkeys(n for n in fitting if n >= MIN_PART_SIZE or parts == 1))


def is_inferable(size: int, part_size: int) -> bool:
    """Return whether any reader infers the part size of an object from its size and its ETag.

    Readers that compute the digests while the bytes come try no more than the first few candidates. One part
    has the same ETag whatever the part size.

    Args:
        size: bytes of the object.
        part_size: bytes of each of its parts but the last.
    """
    parts = max(1, -(-size // part_size))
    return parts == 1 or part_size in part_size_candidates(size, parts)[:_INFERRED]


def multipart_etag(digests: Iterable[bytes]) -> str:
    """Return the ETag of a multipart object whose parts have these MD5 digests (16 bytes each)."""
    parts = list(digests)
    return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"
