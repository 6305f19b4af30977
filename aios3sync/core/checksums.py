"""Reads the checksums that S3 keeps of an object: ``x-amz-checksum-*``, of the whole or of its parts. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import binascii

from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("ALGORITHMS", "ObjectChecksum", "read_checksum")

ALGORITHMS: Final = {"sha256": 32, "sha1": 20, "crc64nvme": 8, "crc32c": 4, "crc32": 4}
"""Algorithms and the bytes of their digests, the strongest one first."""
_FULL_OBJECT: Final = "FULL_OBJECT"
_COMPOSITE: Final = "COMPOSITE"
_MOST_DIGITS: Final = 5


class ObjectChecksum(NamedTuple):
    """What S3 keeps of the bytes of an object as they are stored.

    Attributes:
        algorithm: one of ALGORITHMS.
        digest: of the whole object; or of the digests of its parts, one after the other.
        parts: how many parts those are; 0 for a digest of the whole.
        certain: the endpoint says that it is of the whole, or of parts. A digest of parts without a word
            about them looks like one of the whole: it proves what is equal to it, and nothing else.
    """

    algorithm: str
    digest: bytes
    parts: int = 0
    certain: bool = False


def read_checksum(values: Mapping[str, str], kind: str = "") -> ObjectChecksum | None:
    """Return the strongest checksum of an answer; ``None`` where there is none that can be read.

    Args:
        values: algorithms in lower case, and their values: base64, with ``-`` and the number of parts after
            a digest of digests.
        kind: ``x-amz-checksum-type`` of the answer.
    """
    for algorithm, size in ALGORITHMS.items():
        text, dash, parts = values.get(algorithm, "").partition("-")
        if dash and not (parts.isascii() and parts.isdecimal() and len(parts) <= _MOST_DIGITS):
            continue
        if kind == (_FULL_OBJECT if dash else _COMPOSITE):
            continue  # it contradicts itself, or does not say of how many parts it is
        try:
            digest = binascii.a2b_base64(text, strict_mode=True)
        except (binascii.Error, ValueError):
            continue
        if len(digest) == size:
            return ObjectChecksum(algorithm, digest, int(parts or 0), bool(dash) or kind == _FULL_OBJECT)
    return None
