"""Converts the values of option fields to the types of the fields, as on the command line, or refuses them.

The types are declared in the dataclasses alone. :func:`conform` reads them there, so a new field is checked
without further code.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from operator import index
from types import NoneType, UnionType

from aios3sync._dataclass import defaults_of
from aios3sync._lazy import lazy_pattern
from aios3sync._typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from aios3sync.errors import UsageError

__all__ = (
    "FilePath",
    "Moment",
    "Seconds",
    "Size",
    "Texts",
    "conform",
    "parse_moment",
    "parse_seconds",
    "parse_size",
)

_SIZE: Final = lazy_pattern(r"(?i)(\d{1,15}(?:\.\d{1,9})?)\s*([kmgt]?)(i?b?)")
_WHOLE: Final = lazy_pattern(r"[+-]?\d{1,18}")
_DURATION: Final = lazy_pattern(r"(\d{1,12}(?:\.\d{1,6})?)\s*([smhd]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_size(text: str) -> int:
    """Read a size such as ``16M``, ``16MiB``, ``1.5g`` or ``1048576`` into bytes (powers of 1024).

    Raises:
        UsageError: the text is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a size; write for example 16M or 1048576")
    power = " kmgt".index(match[2].lower() or " ")
    return int(float(match[1]) * 1024**power)


def parse_seconds(text: str) -> float:
    """Read a duration such as ``24h``, ``30m``, ``2d`` or a number of seconds.

    Raises:
        UsageError: the text is not a duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a duration; write for example 24h, 30m or 3600")
    return float(match[1]) * _SECONDS[match[2]]


def parse_moment(text: str) -> float:
    """Read a time into seconds since the epoch: ISO 8601 with a time zone, or a duration ``ago``.

    Raises:
        UsageError: the text is neither, or has no time zone.
    """
    duration, ago, rest = text.strip().partition(" ago")
    if ago and not rest:
        return time.time() - parse_seconds(duration)
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"{text!r} is not a time; write for example 2026-11-30T12:00:00Z or '2h ago'"
        ) from None
    if moment.tzinfo is None:
        raise UsageError(f"{text!r} has no time zone; write for example {moment.isoformat()}Z for UTC")
    return moment.timestamp()


def _parse_int(text: str) -> int:
    if not _WHOLE.fullmatch(text.strip()):
        raise UsageError(f"{text!r} is not a whole number")
    return int(text)


def _parse_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a number") from None


Size = Annotated[int, parse_size]
"""Bytes, also as text with a unit."""
Seconds = Annotated[float, parse_seconds]
"""A duration, also as text with a unit."""
Moment = Annotated[float, parse_moment]
"""A time in seconds since the epoch, also as text."""
FilePath = Annotated[str, os.fspath]
"""A path, also as :class:`os.PathLike`."""
Texts = list[str] | tuple[str, ...] | set[str] | frozenset[str]
"""What a caller may give for ``tuple[str, ...]``; one text is none of these."""

_NAMES: Final = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}


class _UnfitError(Exception):
    """Raised when a value does not fit the type of its field; the text says what it must be."""


def conform(options: Any) -> None:
    """Convert every field of a frozen dataclass to its type, or refuse it.

    Text is read as on the command line where the field is a number, a size or a duration; lists and sets
    become tuples. Nothing else is converted: True is no number, and one text is no list of texts.

    Raises:
        UsageError: a value does not fit; the message begins with the name of the field.
    """
    kind: Any = type(options)
    for name, default in defaults_of(kind).items():
        value = getattr(options, name)
        if value is default:
            continue  # it fits, and reading a type takes longer than all else here
        try:
            fitting = _fitted(value, _hint(kind, name))
        except (_UnfitError, UsageError) as error:
            raise UsageError(f"{name}: {error}") from None
        if fitting is not value:
            object.__setattr__(options, name, fitting)


@cache
def _hint(kind: type, name: str) -> Any:
    """Return the type of one field; ``typing.get_type_hints`` takes 3 ms to read those of all."""
    return eval(kind.__annotations__[name], vars(sys.modules[kind.__module__]))  # noqa: S307 - our own text


def _fitted(value: Any, hint: Any) -> Any:
    origin = get_origin(hint)
    if origin is Annotated:
        return _annotated(value, *get_args(hint)[:2])
    if origin in (Union, UnionType):
        return _one_of(value, get_args(hint))
    if origin is Literal:
        if not any(value is choice or (type(value) is str and value == choice) for choice in get_args(hint)):
            choices = ", ".join(str(choice) or "unset" for choice in get_args(hint))
            raise _UnfitError(f"{_shown(value)} is not one of {choices}")
        return value
    if origin is tuple:
        return _items(value, get_args(hint)[0])
    if origin is not None:  # a mapping of texts
        return _pairs(value)
    return _plain(value, hint)


def _annotated(value: Any, base: Any, read: Callable[[Any], Any]) -> Any:
    if base is str:
        return read(value) if isinstance(value, os.PathLike) else _plain(value, str)
    return read(value) if isinstance(value, str) else _plain(value, base)


def _one_of(value: Any, hints: tuple[Any, ...]) -> Any:
    if value is None and NoneType in hints:
        return None
    unfit: Exception = _UnfitError("")
    for hint in hints:
        if hint is NoneType:
            continue
        try:
            return _fitted(value, hint)
        except (_UnfitError, UsageError) as error:
            unfit = unfit if str(unfit) else error
    raise unfit


def _plain(value: Any, kind: type) -> Any:
    if kind is bytes:
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        raise _UnfitError(f"give bytes, not {type(value).__name__}")  # it may be a key: it is not shown
    if isinstance(value, bool) or kind is bool:
        return _checked(value, kind)
    if kind is int:
        return _parse_int(value) if isinstance(value, str) else _whole(value)
    if kind is float:
        return _parse_float(value) if isinstance(value, str) else _number(value)
    return _checked(value, kind)


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind and (kind is not str or not isinstance(value, str)):
        raise _UnfitError(f"{_shown(value)} is not {_NAMES[kind]}")
    return value


def _whole(value: Any) -> int:
    try:
        return value if type(value) is int else index(value)
    except TypeError:
        raise _UnfitError(f"{_shown(value)} is not a whole number") from None


def _number(value: Any) -> float:
    if isinstance(value, int | float):
        return value
    try:
        return float(index(value))
    except TypeError:
        raise _UnfitError(f"{_shown(value)} is not a number") from None


def _items(value: Any, hint: Any) -> tuple[Any, ...]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        what = "one text" if isinstance(value, str | bytes) else type(value).__name__
        raise _UnfitError(f"{_shown(value)} is {what}, give a list")
    items = tuple(sorted(value, key=str)) if isinstance(value, set | frozenset) else tuple(value)
    if hint is str and set(map(type, items)) <= {str}:  # a list of files may be long
        return value if isinstance(value, tuple) else items
    return tuple(_fitted(item, hint) for item in items)


def _pairs(value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise _UnfitError(f"{_shown(value)} is {type(value).__name__}, give names and texts")
    for name, text in value.items():
        if not (isinstance(name, str) and isinstance(text, str)):
            raise _UnfitError(f"{_shown(name)} is given {_shown(text)}; names and values are texts")
    return value


def _shown(value: Any) -> str:
    return f"{value!r:.100} ({type(value).__name__})" if not isinstance(value, str) else repr(value)
