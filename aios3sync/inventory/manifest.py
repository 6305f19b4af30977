"""Finds the manifest of an S3 Inventory, and reads it.

An inventory shows the past, but not a single moment of it: its rows count as observed when its creation began
(``Inventory.created``), and later events or a listing correct them
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from typing import Any, Final

import orjson

from aios3sync._dataclass import dataclass
from aios3sync._namedtuple import NamedTuple
from aios3sync.errors import ObjectNotFoundError
from aios3sync.inventory.files import InventoryError
from aios3sync.listing.pages import PageReader
from aios3sync.store.protocol import ObjectStore

__all__ = (
    "Inventory",
    "InventoryFile",
    "find_manifest",
    "naming",
    "open_inventory",
    "parse_manifest",
)

_MOST_MANIFEST: Final = 64 * 2**20
_MANIFEST: Final = "manifest.json"
_CHECKSUM: Final = "manifest.checksum"
_RUN: Final = re.compile(r"(?:.*/)?\d{4}-\d\d-\d\dT\d\d-\d\dZ/")
_DIGEST: Final = re.compile(r"[0-9a-f]{32}")


class InventoryFile(NamedTuple):
    """One file of an inventory: its key in the destination bucket, bytes, and MD5 in hexadecimal digits."""

    key: str
    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """The content of a manifest.

    Attributes:
        bucket: of the listed objects.
        created: when its creation began, seconds since the epoch; it does not contain later changes.
        format: ``CSV``, ``Parquet`` or ``ORC``.
        columns: of a CSV file, in their order; empty for the others, whose files name their columns.
        files: the files of the inventory.
    """

    bucket: str
    created: float
    format: str
    columns: tuple[str, ...]
    files: tuple[InventoryFile, ...]


def parse_manifest(content: bytes) -> Inventory:
    """Parse a ``manifest.json``; pure.

    Raises:
        InventoryError: the content is not a manifest, or names a format that is not supported.
    """
    try:
        document = orjson.loads(content)
        facts = {name: _text(document, name) for name in ("sourceBucket", "destinationBucket", "fileFormat")}
        created = int(_text(document, "creationTimestamp")) / 1000
        files = tuple(_file(item) for item in document["files"])
        schema = _text(document, "fileSchema")
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise InventoryError(
            f"not the manifest of an S3 Inventory ({type(error).__name__}: {error})"
        ) from None
    form = facts["fileFormat"]
    if form not in ("CSV", "Parquet", "ORC"):
        raise InventoryError(f"the inventory is in {form!r}; CSV, Parquet and ORC can be read")
    columns = tuple(name.strip() for name in schema.split(",")) if form == "CSV" else ()
    return Inventory(facts["sourceBucket"], created, form, columns, files)


async def find_manifest(store: ObjectStore, path: str) -> str:
    """Return the key of the manifest that ``path`` names: itself, or the newest complete one below it.

    Args:
        store: of the destination bucket.
        path: a key ending in ``manifest.json``, or the prefix ``…/source-bucket/config-ID/``.

    Raises:
        InventoryError: there is none.
        StoreError: they cannot be listed, or the listing may be incomplete.
    """
    if path.endswith(_MANIFEST):
        return path
    prefix = f"{path.rstrip('/')}/" if path else ""
    if _RUN.fullmatch(prefix):
        return prefix + _MANIFEST
    runs: list[str] = []
    reader = PageReader(store, prefix, delimiter="/")
    while not reader.ended:
        runs += filter(_RUN.fullmatch, (await reader.next()).prefixes)
    for run in sorted(runs, reverse=True):
        if await _exists(store, run + _CHECKSUM):
            return run + _MANIFEST
    raise InventoryError(
        f"no complete inventory below s3://{store.bucket}/{prefix}; "
        "give the key of its manifest.json, or the prefix of its configuration"
    )


async def open_inventory(store: ObjectStore, key: str) -> Inventory:
    """Fetch a manifest, verify its checksum, and parse it.

    Args:
        store: of the destination bucket.
        key: of ``manifest.json``.

    Raises:
        InventoryError: the manifest is damaged, or not complete yet.
        StoreError: it cannot be fetched.
    """
    where = f"s3://{store.bucket}/{key}"
    content = (await store.get(key, length=_MOST_MANIFEST + 1)).body
    if len(content) > _MOST_MANIFEST:
        raise InventoryError(f"{where}: a manifest of more than {_MOST_MANIFEST} bytes")
    try:
        checksum = await store.get(key.removesuffix(_MANIFEST) + _CHECKSUM, length=64)
    except ObjectNotFoundError:
        text = f"{where}: no {_CHECKSUM} next to it, so it is not complete yet, or copied without it"
        raise InventoryError(text) from None
    if checksum.body.decode("ascii", "replace").strip().strip('"').lower() != _md5(content):
        raise InventoryError(f"{where}: does not match its {_CHECKSUM}")
    with naming(where):
        return parse_manifest(content)


async def _exists(store: ObjectStore, key: str) -> bool:
    try:
        await store.head(key)
    except ObjectNotFoundError:
        return False
    return True


def _md5(content: bytes) -> str:
    return md5(content, usedforsecurity=False).hexdigest()


def _text(document: Any, name: str) -> str:
    value = document[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is not a text")
    return value


def _file(item: Any) -> InventoryFile:
    size, digest = item["size"], _text(item, "MD5checksum").lower()
    if not isinstance(size, int) or size < 0 or not _DIGEST.fullmatch(digest):
        raise ValueError("files: a size or an MD5checksum that cannot be")
    return InventoryFile(_text(item, "key"), size, digest)


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Add the address of a file to errors."""
    try:
        yield
    except InventoryError as error:
        raise InventoryError(f"{where}: {error}") from error
