"""Copies one object to another key: on the server where that can reach both, else through memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import anyio

from aios3sync._dataclass import replace
from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import first_error, for_each
from aios3sync.core.etag import is_opaque_encryption, part_count, part_size_candidates
from aios3sync.core.parts import MAX_COPY_SIZE, MIB, Part, plan_part_size, plan_parts
from aios3sync.errors import AccessDeniedError, ObjectNotFoundError, StoreError, UsageError
from aios3sync.objects.reader import READ_AHEAD, open_object
from aios3sync.objects.versions import ObjectAtStore
from aios3sync.objects.writer import PART_SIZE, write_object
from aios3sync.store.protocol import CopySource, HeadResult, ListedPart, ObjectStore, PutOptions
from aios3sync.sync.transfers.memory import ByteSemaphore

__all__ = ("CopiedObject", "copy_object")

_ONE_REQUEST: Final = 64 * MIB
"""Objects up to this size that were stored with one request are stored with one again."""
_PARTS_AT_ONCE: Final = 8
_COPIED_PART: Final = 256 * MIB
_ABORT_GRACE: Final = 5.0
"""Seconds that an abort may take after a cancellation."""
_HEADERS: Final = (
    "content_type",
    "content_encoding",
    "cache_control",
    "content_disposition",
    "content_language",
    "expires",
)


class CopiedObject(NamedTuple):
    """A copy: its ETag, its size in bytes, and whether its bytes went through this machine."""

    etag: str
    size: int
    streamed: bool


async def copy_object(  # noqa: PLR0913 - two objects, each a store and a key
    source: ObjectStore,
    source_key: str,
    target: ObjectStore,
    key: str,
    memory: ByteSemaphore,
    *,
    options: PutOptions | None = None,
    version_id: str = "",
    on_bytes: Callable[[int, int], None] = lambda _, __: None,
) -> CopiedObject:
    """Copy one object with its metadata, headers and tags; an object that changes meanwhile is an error.

    Where the server cannot read the source, its bytes pass through bounded memory here, in parts of the
    source's part size where that can be inferred, so that the ETag is the same.

    Args:
        source: store of the object's bucket.
        source_key: its key.
        target: store of the copy's bucket, which may be the same.
        key: of the copy.
        memory: bounds the bytes of the parts in memory.
        version_id: of the source, which may be an earlier one; empty for the latest.
        options: how the copy is stored; its headers and metadata take precedence over those of the source.
        on_bytes: called with the bytes of each part, and the size of the whole.

    Raises:
        StoreError: a request failed.
        UsageError: both are the same object.
    """
    within = source.bucket == target.bucket
    if within and source_key == key and not version_id:
        raise UsageError(f"source and target are the same object, s3://{source.bucket}/{key}")
    if version_id:
        source = ObjectAtStore(source, source_key, version_id)
    head = await source.head(source_key)
    found = CopySource(source_key, "" if within else source.bucket, head.etag, version_id=version_id)
    copy = _Copy(source, found, target, key, options or PutOptions(), head)
    try:
        etag = await (copy.at_once() if head.size <= MAX_COPY_SIZE else copy.in_parts())
    except (AccessDeniedError, ObjectNotFoundError):
        if within:
            raise
        return await copy.streamed(memory, on_bytes)
    on_bytes(head.size, head.size)
    return CopiedObject(etag, head.size, streamed=False)


class _Copy:
    """One copy, made in one of three ways."""

    def __init__(
        self,
        source: ObjectStore,
        found: CopySource,
        target: ObjectStore,
        key: str,
        options: PutOptions,
        head: HeadResult,
    ) -> None:
        self._source = source
        self._found = found
        self._target = target
        self._key = key
        self._options = options
        self._head = head

    async def at_once(self) -> str:
        """Copy with one request; return the ETag."""
        asked = self._options
        if asked.metadata or any(getattr(asked, name) for name in _HEADERS):
            result = await self._target.copy(self._found, self._key, self._kept(self._head))
        else:
            result = await self._target.copy(self._found, self._key, asked, keep_metadata=True)
        return result.etag

    async def in_parts(self) -> str:
        """Copy a larger object part by part, on the server; return the ETag."""
        options = await self._with_tags(self._kept(self._head))
        upload_id = await self._target.create_multipart(self._key, options)
        stored: list[ListedPart] = []

        async def copy_part(part: Part) -> None:
            place = self._found._replace(start=part.offset, length=part.length)
            result = await self._target.copy_part(place, self._key, upload_id, part.number, options)
            stored.append(ListedPart(part.number, result.etag, part.length, result.checksum))

        try:
            parts = plan_parts(self._head.size, _part_size(self._head, _COPIED_PART))
            await for_each(parts, copy_part, _PARTS_AT_ONCE)
            result = await self._target.complete_multipart(self._key, upload_id, sorted(stored), options)
        except BaseException as error:  # noqa: BLE001 - cancellation too must leave no parts
            with anyio.move_on_after(_ABORT_GRACE, shield=True), suppress(StoreError):
                await self._target.abort_multipart(self._key, upload_id)
            raise first_error(error) from None
        return result.etag

    async def streamed(self, memory: ByteSemaphore, on_bytes: Callable[[int, int], None]) -> CopiedObject:
        """Read the object and write it."""
        ahead = min(READ_AHEAD, memory.total // 4)
        async with open_object(self._source, self._found.key, memory=ahead, decode=False) as reader:
            head = reader.head
            written = await write_object(
                self._target,
                self._key,
                reader,
                await self._with_tags(self._kept(head)),
                memory,
                part_size=_layout(head),
                on_sent=lambda sent: on_bytes(sent, head.size),
            )
        return CopiedObject(written.etag, written.size, streamed=True)

    def _kept(self, head: HeadResult) -> PutOptions:
        """Return the options, with the headers and the metadata of the source where none are given."""
        asked = self._options
        kept: dict[str, Any] = {name: getattr(asked, name) or getattr(head, name) for name in _HEADERS}
        return replace(asked, metadata={**head.metadata, **asked.metadata}, **kept)

    async def _with_tags(self, options: PutOptions) -> PutOptions:
        if options.tags or not self._head.tag_count:
            return options
        return replace(options, tags=dict(await self._source.tags(self._found.key)))


def _part_size(head: HeadResult, wanted: int) -> int:
    """Return the part size of the source, as far as it can be inferred."""
    parts = 0 if is_opaque_encryption(head.encryption) else part_count(head.etag)
    candidates = part_size_candidates(head.size, parts)
    return candidates[0] if candidates else plan_part_size(head.size, wanted)


def _layout(head: HeadResult) -> Callable[[int], int]:
    """Return the sizes of the parts that are sent, by their numbers."""
    if not part_count(head.etag) and head.size <= _ONE_REQUEST:
        return lambda _: head.size + 1
    size = _part_size(head, PART_SIZE)
    return lambda _: size
