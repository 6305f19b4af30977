"""Copies one object to another key: on the server where one request can do it, else through memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from aios3sync.core.etag import is_opaque_encryption, part_count, part_size_candidates
from aios3sync.core.parts import MAX_COPY_SIZE, MIB, plan_part_size
from aios3sync.errors import UsageError
from aios3sync.objects.reader import READ_AHEAD, open_object
from aios3sync.objects.writer import PART_SIZE, write_object
from aios3sync.store.protocol import HeadResult, ObjectStore, PutOptions
from aios3sync.sync.transfers.memory import ByteSemaphore

__all__ = ("CopiedObject", "copy_object")

_ONE_REQUEST: Final = 64 * MIB
"""Objects up to this that were stored with one request are stored so again."""


class CopiedObject(NamedTuple):
    """A copy: its ETag, its size in bytes, and whether its bytes came through here."""

    etag: str
    size: int
    streamed: bool


async def copy_object(
    source: ObjectStore,
    source_key: str,
    target: ObjectStore,
    key: str,
    memory: ByteSemaphore,
    *,
    on_bytes: Callable[[int, int], None] = lambda _, __: None,
) -> CopiedObject:
    """Copy one object with its metadata; an object that changes meanwhile is an error.

    Between two buckets, and above 5 GiB, its bytes pass through here in bounded memory, in parts of the
    source's size where that can be inferred, so that the ETag is the same.

    Args:
        source: store of the bucket that the object is in.
        source_key: its key.
        target: store of the bucket that the copy goes to, maybe the same.
        key: of the copy.
        memory: bounds the bytes of the parts in memory.
        on_bytes: called with the bytes of each part, and the size of the whole.

    Raises:
        StoreError: a request failed.
        UsageError: both are the same object.
    """
    same_bucket = source.bucket == target.bucket
    if same_bucket and source_key == key:
        raise UsageError(f"source and target are the same object, s3://{source.bucket}/{key}")
    head = await source.head(source_key)
    if same_bucket and head.size <= MAX_COPY_SIZE:
        result = await target.copy(source_key, key, source_etag=head.etag)
        on_bytes(head.size, head.size)
        return CopiedObject(result.etag, head.size, streamed=False)
    ahead = min(READ_AHEAD, memory.total // 4)
    async with open_object(source, source_key, memory=ahead, decode=False) as reader:
        head = reader.head
        written = await write_object(
            target,
            key,
            reader,
            _kept(head),
            memory,
            part_size=_layout(head),
            on_sent=lambda sent: on_bytes(sent, head.size),
        )
    return CopiedObject(written.etag, written.size, streamed=True)


def _kept(head: HeadResult) -> PutOptions:
    """Return the headers of the source that a response to GET has."""
    return PutOptions(
        content_type=head.content_type,
        content_encoding=head.content_encoding,
        metadata=head.metadata,
    )


def _layout(head: HeadResult) -> Callable[[int], int]:
    """Return the sizes of the parts: those of the source, as far as they can be inferred."""
    parts = 0 if is_opaque_encryption(head.encryption) else part_count(head.etag)
    candidates = part_size_candidates(head.size, parts)
    if not parts and head.size <= _ONE_REQUEST:
        return lambda _: head.size + 1
    size = candidates[0] if candidates else plan_part_size(head.size, PART_SIZE)
    return lambda _: size
