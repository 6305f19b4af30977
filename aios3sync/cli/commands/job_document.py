"""Converts the JSON document of a job to options, field by field; starts nothing.

A field is named as in :class:`~aios3sync.options.SyncOptions` and :class:`~aios3sync.options.ConnectOptions`,
in snake_case or camelCase. An error names the field as the document spells it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import orjson

from aios3sync._dataclass import dataclass, field, replace
from aios3sync.cli.commands.catalog_entry import registration_of_document
from aios3sync.cli.commands.job_values import (
    CONVERTERS,
    JobError,
    convert_value,
    flag_value,
    pairs_value,
    text_value,
)
from aios3sync.core.keys import CATALOG_SCHEME, SCHEME, Location, key_problem
from aios3sync.errors import UsageError
from aios3sync.options import ConnectOptions, SyncOptions
from aios3sync.store.protocol import PutOptions

if TYPE_CHECKING:
    from aios3sync.catalog import Registration

__all__ = ("Job", "read_job")

_OF_THE_SOURCE: Final = ("endpoint_url", "profile", "region")
_ALIASES: Final = {"max_workers": "workers", "bwlimit": "bandwidth", "no_sign_request": "anonymous"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The sync that a document describes.

    Attributes:
        source: a directory, ``s3://bucket/prefix``, or keys and the paths of their files.
        target: ``s3://bucket/prefix``, or a directory where the source is a bucket.
        options, connection: of the sync, and of the connection to S3.
        source_connection: of the connection to the source of a copy, ``None`` for the same.
        overrides: content type and metadata of single keys.
        catalog: the entry to add to a catalog.
    """

    source: str | Mapping[str, str]
    target: str
    options: SyncOptions
    connection: ConnectOptions
    source_connection: ConnectOptions | None = None
    overrides: Mapping[str, PutOptions] = field(default_factory=dict)
    catalog: Registration | None = None


def read_job(content: bytes) -> Job:
    """Read a document.

    Raises:
        JobError: it is not JSON, or a field is unknown or invalid.
    """
    spelled, values = _fields(content)
    target, location = _target(values)
    source, overrides = _source(values, location)
    catalog = _catalog(spelled.get("catalog", ""), values.pop("catalog", None))
    if "sync_deletes" in values:
        _replace_sync_deletes(spelled, values)
    elsewhere = {
        name: text_value(spelled[f"source_{name}"], values.pop(f"source_{name}"))
        for name in _OF_THE_SOURCE
        if f"source_{name}" in values
    }
    converted = {name: convert_value(spelled[name], name, value) for name, value in values.items()}
    connection = _make_options(ConnectOptions, converted, spelled)
    return Job(
        source=source,
        target=target,
        options=_make_options(SyncOptions, converted, spelled),
        connection=connection,
        source_connection=_elsewhere(connection, elsewhere) if elsewhere else None,
        overrides=overrides,
        catalog=catalog,
    )


def _elsewhere(connection: ConnectOptions, changes: Mapping[str, Any]) -> ConnectOptions:
    """Return the connection to the source of a copy: that to the target, except for fields of its own."""
    try:
        return replace(connection, **changes)
    except UsageError as error:
        name, _, text = str(error).partition(": ")
        raise JobError(f"source_{name}", text) from None


def _fields(content: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the spelling and the value of each field, by its name in this package."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise JobError("", f"standard input is not a JSON document: {error}") from None
    if not isinstance(document, dict):
        raise JobError("", 'standard input is not a JSON object; give for example {"source": "data", ...}')
    spelled: dict[str, str] = {}
    values: dict[str, Any] = {}
    for spelling, value in document.items():
        name = _snake_case(spelling)
        if name not in _KNOWN:
            raise JobError(spelling, f"unknown field; known are: {', '.join(sorted(_KNOWN))}")
        if name in values:
            raise JobError(spelling, f"given twice, also as {spelled[name]!r}; give it once")
        spelled[name], values[name] = spelling, value
    return spelled, values


def _snake_case(name: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1].lower(), name)
    return _ALIASES.get(snake, snake)


def _replace_sync_deletes(spelled: dict[str, str], values: dict[str, Any]) -> None:
    """Replace ``syncDeletes``, true or false, by ``delete``."""
    spelling = spelled["sync_deletes"]
    if "delete" in values:
        raise JobError(spelling, "means the same as delete; give one of them")
    spelled["delete"] = spelling
    values["delete"] = flag_value(spelling, values.pop("sync_deletes"))


def _target(values: dict[str, Any]) -> tuple[str, Location]:
    """Return the target, and the bucket of the job: of the source where that names one."""
    target = text_value("target", values.pop("target", None))
    source = values.get("source")
    if isinstance(source, str) and source.startswith(CATALOG_SCHEME) and not target.startswith(SCHEME):
        return target, Location("")  # the catalog names it; no keys are given
    if isinstance(source, str) and source.startswith(SCHEME) and not target.startswith(SCHEME):
        return target, _location("source", source)
    return target, _location("target", target)


def _location(name: str, text: str) -> Location:
    try:
        return Location.parse(text)
    except UsageError as error:
        raise JobError(name, str(error)) from None


def _catalog(spelling: str, value: Any) -> Registration | None:
    if value is None:
        return None
    try:
        return registration_of_document(value)
    except UsageError as error:
        name, _, text = str(error).partition(": ")
        if not name.isidentifier():
            raise JobError(spelling, str(error)) from None
        raise JobError(f"{spelling}.{name}", text) from None


def _source(values: dict[str, Any], location: Location) -> tuple[str | dict[str, str], dict[str, PutOptions]]:
    """Return the directory, or the files by their keys, and the overrides of single keys."""
    source, files = values.pop("source", None), values.get("files")
    if isinstance(files, list) and all(isinstance(item, str) for item in files) and source is not None:
        return text_value("source", source), {}  # paths below the directory: an option like any other
    if files is None:
        values.pop("files", None)
        return text_value("source", source), {}
    if source is not None:
        raise JobError("files", "source and a list of files with keys exclude each other; give one of them")
    if not isinstance(files, list):
        raise JobError("files", "must be a list of objects with path and key")
    del values["files"]
    paths: dict[str, str] = {}
    overrides: dict[str, PutOptions] = {}
    for place, item in enumerate(files):
        _add_file(f"files[{place}]", item, location, paths, overrides)
    return paths, overrides


def _add_file(
    place: str,
    item: Any,
    location: Location,
    paths: dict[str, str],
    overrides: dict[str, PutOptions],
) -> None:
    if not isinstance(item, dict):
        raise JobError(place, 'must be an object such as {"path": "/data/1.jpg", "key": "img/1.jpg"}')
    known = {_snake_case(name): value for name, value in item.items()}
    if unknown := known.keys() - {"path", "key", "content_type", "metadata"}:
        raise JobError(
            f"{place}.{min(unknown)}", "unknown field; known are: path, key, content_type, metadata"
        )
    key = text_value(f"{place}.key", known.get("key"))
    if (problem := key_problem(location.prefix + key)) is not None:
        raise JobError(f"{place}.key", problem)
    if key in paths:
        raise JobError(f"{place}.key", f"{key!r} is twice in the list; a key can have one file")
    paths[key] = text_value(f"{place}.path", known.get("path"))
    content_type = known.get("content_type")
    metadata = known.get("metadata")
    if content_type is not None or metadata is not None:
        overrides[key] = _override(place, content_type, metadata)


def _override(place: str, content_type: Any, metadata: Any) -> PutOptions:
    text = "" if content_type is None else text_value(f"{place}.content_type", content_type)
    pairs = {} if metadata is None else pairs_value(f"{place}.metadata", metadata)
    try:
        return PutOptions(content_type=text, metadata=pairs)
    except UsageError as error:
        raise JobError(f"{place}.metadata", str(error)) from None


def _make_options(kind: type[Any], values: Mapping[str, Any], spelled: Mapping[str, str]) -> Any:
    """Make options of the values that are their fields."""
    names = {item.name for item in fields(kind)}
    try:
        return kind(**{name: value for name, value in values.items() if name in names})
    except UsageError as error:
        name, colon, text = str(error).partition(": ")
        if colon and name in names:
            raise JobError(spelled.get(name, name), text) from None
        raise JobError("", str(error)) from None


_KNOWN: Final = frozenset(
    {
        *CONVERTERS,
        *(f"source_{name}" for name in _OF_THE_SOURCE),
        "source",
        "target",
        "sync_deletes",
        "catalog",
    }
)
