"""Converts the values of a job's fields, with one converter for each type of value.

The first argument of a converter is the name of the field as the document spells it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, Final

import click

from aios3sync.cli.values import seconds, size
from aios3sync.errors import UsageError
from aios3sync.options import ConnectOptions, SyncOptions

__all__ = (
    "CONVERTERS",
    "JobError",
    "convert_value",
    "flag_value",
    "pairs_value",
    "text_value",
)

_SIZES: Final = frozenset({"copy_part_threshold", "part_size", "multipart_threshold", "memory", "bandwidth"})
_TEXTS: Final = frozenset({"endpoint_url", "profile", "region", "ca_bundle", "receipt", "trash"})
_DELETE: Final = {True: "mirror", False: "off"}


class JobError(UsageError):
    """The document or one of its fields is invalid.

    Args:
        field: the name of the field as the document spells it, empty for the document as a whole.
        error: the reason, and the remedy.
    """

    def __init__(self, field: str, error: str) -> None:
        super().__init__(field, error)
        self.field = field
        self.error = error

    def __str__(self) -> str:
        return self.error


def convert_value(spelling: str, name: str, value: Any) -> Any:
    """Return the value of an option of a job, as its options class accepts it."""
    try:
        return CONVERTERS[name](spelling, value)
    except click.BadParameter as error:
        raise JobError(spelling, error.message) from None


def text_value(spelling: str, value: Any) -> str:
    """Return a text that is not empty."""
    if value is None:
        raise JobError(spelling, "is missing; the job needs it")
    if not isinstance(value, str) or not value or "\0" in value:
        raise JobError(spelling, "must be a text that is not empty")
    return value


def _any_text(spelling: str, value: Any) -> str:
    if not isinstance(value, str):
        raise JobError(spelling, "must be a text")
    return value


def flag_value(spelling: str, value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise JobError(spelling, "must be true or false")
    return value


def _whole(spelling: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise JobError(spelling, "must be a whole number")
    return value


def _number(spelling: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise JobError(spelling, "must be a number")
    return value


def _size(spelling: str, value: Any) -> int:
    return size(value) if isinstance(value, str) else _whole(spelling, value)


def _age(spelling: str, value: Any) -> float:
    return seconds(value) if isinstance(value, str) else _number(spelling, value)


def _texts(spelling: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise JobError(spelling, "must be a list of texts")
    return tuple(value)


def pairs_value(spelling: str, value: Any) -> dict[str, str]:
    """Return an object whose values are texts."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise JobError(spelling, "must be an object whose values are texts")
    return value


def _rules(spelling: str, value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list) or not all(isinstance(rule, list) and len(rule) == 2 for rule in value):
        raise JobError(spelling, 'must be a list of rules such as ["exclude", "*.tmp"]')
    return tuple((_any_text(spelling, kind), _any_text(spelling, pattern)) for kind, pattern in value)


def _manifest(spelling: str, value: Any) -> Any:
    return value if value is False or value is None else text_value(spelling, value)


def _delete(spelling: str, value: Any) -> str:
    return _DELETE[value] if isinstance(value, bool) else _any_text(spelling, value)


def _key(spelling: str, value: Any) -> bytes:
    try:
        key = base64.b64decode(_any_text(spelling, value), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise JobError(spelling, "must be 32 bytes as base64")
    return key


def _converters() -> dict[str, Callable[[str, Any], Any]]:
    """Return the converter of every option: its own, or that of the type of its default."""
    converters = {}
    for item in (*fields(SyncOptions), *fields(ConnectOptions)):
        factory = item.default_factory
        default = item.default if factory is MISSING else factory()
        converters[item.name] = _OWN_CONVERTERS.get(item.name) or _BY_DEFAULT_TYPE[type(default)]
    return converters


_OWN_CONVERTERS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "as_of": _any_text,
    "delete": _delete,
    "manifest": _manifest,
    "max_delete": _whole,
    "metadata_update": _any_text,
    "processes": _whole,
    "max_delete_ratio": _number,
    "max_manifest_age": _age,
    "rules": _rules,
    "files": _texts,
    "source_sse_customer_key": _key,
    "sse_customer_key": _key,
    **dict.fromkeys(_SIZES, _size),
    **dict.fromkeys(_TEXTS, text_value),
}


_BY_DEFAULT_TYPE: Final[dict[type, Callable[[str, Any], Any]]] = {
    bool: flag_value,
    int: _whole,
    float: _number,
    str: _any_text,
    tuple: _texts,
    dict: pairs_value,
}


CONVERTERS: Final = _converters()
