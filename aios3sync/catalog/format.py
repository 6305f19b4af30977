"""Serialize and parse the documents of the catalog: JSON, gzip, and a head with shards if large; pure.

A document is one JSON object with one member an entry. Up to 5 MB it is written as HG-Localization writes it.
A larger one is divided by a hash of the keys into shards, gzipped JSON objects that are never overwritten; it
then has one member, ``SHARDS``, which names them. To HG-Localization that is an unknown member, which it
keeps when it adds an entry next to it; our next change moves such entries into the shards. It does not see
the entries in the shards.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from aios3sync._dataclass import dataclass, field
from aios3sync._namedtuple import NamedTuple

__all__ = (
    "LARGEST_PLAIN",
    "SHARDS",
    "CorruptError",
    "Head",
    "Shard",
    "ShardRef",
    "head_document",
    "read_head",
    "read_shard",
    "shard_count",
    "shard_of",
    "written",
    "written_shard",
)

LARGEST_PLAIN: Final = 5_000_000
"""Bytes of the largest document that is written in one piece."""
SHARDS: Final = "aios3sync:shards"
_SHARD_BYTES: Final = 1_000_000
_MOST_SHARDS: Final = 4096
_MOST_BYTES: Final = 1 << 30
"""Bytes of an unpacked document at most: a decompression bomb is not a catalog."""


class CorruptError(ValueError):
    """Raised when bytes are not a document of the catalog; the message says why."""


class ShardRef(NamedTuple):
    """One shard: its number, its key, and how many entries it holds."""

    number: int
    key: str
    entries: int


class Shard(NamedTuple):
    """The content of a shard: its entries, and its bytes as stored and unpacked."""

    entries: dict[str, Any]
    stored: int
    plain: int


@dataclass(frozen=True, slots=True)
class Head:
    """The content of a document, without that of its shards.

    Attributes:
        entries: that are in the document itself, raw.
        shards: that it names.
        count: the number of shards into which the keys are hashed; 0 where there are none.
        gzip: whether it is compressed.
    """

    entries: dict[str, Any] = field(default_factory=dict)
    shards: tuple[ShardRef, ...] = ()
    count: int = 0
    gzip: bool = False


def read_head(body: bytes) -> Head:
    """Parse a document.

    Raises:
        CorruptError: the bytes are not a document of the catalog.
    """
    gzip = body[:2] == b"\x1f\x8b"
    entries = _object(body)
    if SHARDS not in entries:
        return Head(entries, gzip=gzip)
    shards = entries.pop(SHARDS)
    try:
        refs = tuple(
            ShardRef(int(one["number"]), str(one["key"]), int(one["entries"])) for one in shards["shards"]
        )
        count = int(shards["count"])
    except (TypeError, KeyError, ValueError) as error:
        raise CorruptError(f"its member {SHARDS!r} does not name shards") from error
    if not 0 < count <= _MOST_SHARDS or any(not 0 <= ref.number < count for ref in refs):
        raise CorruptError(f"its member {SHARDS!r} names shards that cannot be")
    return Head(entries, refs, count, gzip)


def read_shard(body: bytes) -> Shard:
    """Parse a shard; raises CorruptError."""
    plain = _unpacked(body) if body[:2] == b"\x1f\x8b" else body
    return Shard(_object(plain), len(body), len(plain))


def _object(body: bytes) -> dict[str, Any]:
    if body[:2] == b"\x1f\x8b":
        body = _unpacked(body)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"it is not JSON ({str(error)[:100]})") from error
    if not isinstance(document, dict):
        raise CorruptError(f"it is not a JSON object, but {type(document).__name__}")
    return document


def _unpacked(body: bytes) -> bytes:
    unpack = zlib.decompressobj(wbits=31)
    try:
        text = unpack.decompress(body, _MOST_BYTES)
    except zlib.error as error:
        raise CorruptError(f"its gzip is damaged ({error})") from error
    if not unpack.eof:
        raise CorruptError("its gzip is cut short or too large")
    return text


def written(entries: Mapping[str, Any], *, gzip: bool = False, blanks: int = 0) -> bytes:
    """Serialize a document without shards, as HG-Localization does; blanks at its end change its ETag."""
    body = json.dumps(entries, indent=2).encode("ascii") + b" " * blanks
    return _packed(body) if gzip else body


def written_shard(entries: Mapping[str, Any]) -> bytes:
    """Serialize a shard: compact, gzipped."""
    return _packed(json.dumps(entries, separators=(",", ":")).encode("ascii"))


def _packed(body: bytes) -> bytes:
    pack = zlib.compressobj(6, wbits=31)
    return pack.compress(body) + pack.flush()


def shard_count(size: int) -> int:
    """Return the number of shards of a document of this size: a power of two."""
    return min(_MOST_SHARDS, 1 << (size // _SHARD_BYTES).bit_length())


def shard_of(key: str, count: int) -> int:
    """Return the number of the shard of an entry."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % count


def head_document(shards: tuple[ShardRef, ...], count: int, token: str) -> bytes:
    """Serialize a document that names shards; ``token`` makes it differ from others that name the same."""
    named = {"count": count, "token": token, "shards": [ref._asdict() for ref in sorted(shards)]}
    return json.dumps({SHARDS: named}, indent=2).encode("ascii")
