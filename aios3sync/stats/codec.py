"""Encodes cached statistics as JSON and decodes them, strictly: a damaged file is an error. Pure."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import get_type_hints

from aios3sync._dataclass import asdict, dataclass, replace
from aios3sync._typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin
from aios3sync.stats.fingerprint import Fingerprint
from aios3sync.stats.model import BucketStats, CacheFacts

__all__ = ("CachedStats", "Validation", "decode_cached", "encode_cached")

_FORMAT: Final = "aios3sync-stats"
_VERSION: Final = 1
_PER_CALL: Final = ("cache", "requests", "elapsed_s")
"""Fields that describe one call and are not cached."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Validation:
    """The totals that a listing must have for cached numbers to be current."""

    object_count: int
    compressed_size: int
    fingerprint: str

    @classmethod
    def of(cls, listed: Fingerprint) -> Validation:
        """Return the totals of a listing."""
        return cls(listed.objects, listed.stored_bytes, listed.text())


@dataclass(frozen=True, slots=True)
class CachedStats:
    """The content of our own cache file.

    Attributes:
        validation: of the listing that the numbers come from.
        stats: the numbers, with an empty ``cache``.
        gzip: extensions whose objects got a HEAD request.
        gzip_found: extensions under which compressed objects were found.
        tool_files: count and bytes of the files of tools that the listing had; not written to the file.
    """

    validation: Validation
    stats: BucketStats
    gzip: tuple[str, ...] = ()
    gzip_found: tuple[str, ...] = ()
    tool_files: tuple[int, int] = (0, 0)


def encode_cached(content: CachedStats) -> bytes:
    """Return the content of the file."""
    stats = asdict(replace(content.stats, cache=CacheFacts(), requests={}, elapsed_s=0.0))
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "computed_at": datetime.fromtimestamp(content.stats.computed_at, UTC).isoformat(),
        "validation": asdict(content.validation),
        "gzip": content.gzip,
        "gzip_found": content.gzip_found,
        "stats": {name: value for name, value in stats.items() if name not in _PER_CALL},
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def decode_cached(body: bytes) -> CachedStats:
    """Read the content of the file.

    Raises:
        ValueError: it is no such file, a damaged one or one of another version; the text says which.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ValueError("it is not of aios3sync")
    if document.get("version") != _VERSION:
        raise ValueError("it is of another version")
    try:
        return CachedStats(
            _read(Validation, document["validation"]),
            _read(BucketStats, document["stats"]),
            _read(tuple[str, ...], document["gzip"]),
            _read(tuple[str, ...], document["gzip_found"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"it is damaged ({type(error).__name__})") from None


@lru_cache(maxsize=64)
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, value: Any) -> Any:
    """Return a value of the annotated type, or raise TypeError, KeyError or ValueError."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _read_fields(kind, value)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _read(next(one for one in arguments if one is not type(None)), value)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(value)
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError(value)
        return tuple(_read(arguments[0], one) for one in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return value  # a whole number is written without a point
    if type(value) is not kind:
        raise TypeError(value)
    return value


def _read_fields(kind: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError(value)
    hints = _hints(kind)
    names = {field.name for field in fields(kind)} - set(_PER_CALL)
    if set(value) != names:
        raise KeyError(names ^ set(value))
    return kind(**{name: _read(hints[name], one) for name, one in value.items()})
