"""Hidden storage, which no plain listing shows: multipart uploads and noncurrent versions. Reads only.

The other numbers need neither. Where an endpoint does not offer one of them, or does not allow it, that
number is unknown and its note says why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import anyio

from aios3sync._dataclass import dataclass
from aios3sync.concurrency import raise_first_error
from aios3sync.core.tool_files import is_tool_file
from aios3sync.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CredentialsError,
    ObjectNotFoundError,
    StoreError,
)
from aios3sync.stats.model import Mode, Number, UploadTotals, VersionTotals, exact, unknown
from aios3sync.store.protocol import ListedUpload, ObjectStore

__all__ = ("HiddenStorage", "count_hidden_storage", "uncounted_storage")

_MOST_UPLOADS: Final = {"quick": 100, "sampled": 100, "detailed": 10_000}
_AT_ONCE: Final = 16
_NORMAL: Final = 1.96
_NOT_OFFERED: Final = frozenset({"NotImplemented", "MethodNotAllowed", "405", "501"})


@dataclass(frozen=True, slots=True)
class HiddenStorage:
    """The totals, and a sentence for each problem; ``complete`` as far as the mode promises it."""

    uploads: UploadTotals
    versions: VersionTotals
    warnings: tuple[str, ...] = ()
    complete: bool = True


async def count_hidden_storage(store: ObjectStore, prefix: str, mode: Mode) -> HiddenStorage:
    """Count uploads in every mode, versions in the mode ``detailed``."""
    warnings: list[str] = []
    complete = True
    try:
        uploads = await _uploads(store, prefix, _MOST_UPLOADS[mode])
    except StoreError as error:
        reason = _reason(error, "multipart uploads")
        uploads = UploadTotals(unknown(reason), unknown(reason))
        complete = _is_known_gap(error, mode, warnings, reason)
    if mode != "detailed":
        note = "only the mode 'detailed' counts versions"
        return HiddenStorage(uploads, _unknown_versions(note), tuple(warnings), complete)
    try:
        versions = await _versions(store, prefix)
    except StoreError as error:
        reason = _reason(error, "versions")
        versions = _unknown_versions(reason)
        complete = _is_known_gap(error, mode, warnings, reason) and complete
    return HiddenStorage(uploads, versions, tuple(warnings), complete)


def uncounted_storage(note: str) -> HiddenStorage:
    """Return totals that are unknown because nothing was listed; the note says why."""
    return HiddenStorage(UploadTotals(unknown(note), unknown(note)), _unknown_versions(note))


def _reason(error: StoreError, what: str) -> str:
    """Return why something cannot be counted; an error that stops everything else too is raised."""
    if isinstance(error, BucketNotFoundError | CredentialsError):
        raise error
    if error.code in _NOT_OFFERED:
        return f"the endpoint does not list {what}"
    if isinstance(error, AccessDeniedError):
        return f"listing {what} is not allowed"
    return f"{what} could not be listed: {error}"


def _is_known_gap(error: StoreError, mode: Mode, warnings: list[str], reason: str) -> bool:
    """Return whether the numbers are complete without it; if not, add the reason to the warnings."""
    if error.code in _NOT_OFFERED or (mode != "detailed" and isinstance(error, AccessDeniedError)):
        return True
    warnings.append(reason)
    return False


def _unknown_versions(note: str) -> VersionTotals:
    return VersionTotals(unknown(note), unknown(note), unknown(note))


async def _uploads(store: ObjectStore, prefix: str, most: int) -> UploadTotals:
    uploads = [upload for upload in await store.list_multiparts(prefix) if not is_tool_file(upload.key)]
    # Evenly spread over the list, so that all ages and folders are in the sample.
    step = max(1, math.ceil(len(uploads) / most))
    sizes = await _upload_sizes(store, uploads[::step])
    begun = [upload.initiated for upload in uploads if upload.initiated > 0]
    return UploadTotals(exact(len(uploads)), _extrapolated(sizes, len(uploads)), min(begun, default=None))


async def _upload_sizes(store: ObjectStore, uploads: Sequence[ListedUpload]) -> list[int]:
    """Return the bytes of the parts of each upload; an upload that ended meanwhile has none."""
    sizes: list[int] = []
    remaining = iter(uploads)

    async def work() -> None:
        for upload in remaining:
            try:
                parts = await store.list_parts(upload.key, upload.upload_id)
            except ObjectNotFoundError:
                parts = []
            sizes.append(sum(part.size for part in parts))

    with raise_first_error():
        async with anyio.create_task_group() as tasks:
            for _ in range(min(_AT_ONCE, len(uploads))):
                tasks.start_soon(work)
    return sizes


def _extrapolated(sizes: list[int], count: int) -> Number:
    """Return the sum, or an estimate of it where only a part of the uploads was asked."""
    asked = len(sizes)
    if asked == count:
        return exact(sum(sizes))
    mean = sum(sizes) / asked
    variance = sum((size - mean) ** 2 for size in sizes) / max(asked - 1, 1)
    half = _NORMAL * count * math.sqrt(variance / asked * (1 - asked / count))
    return Number(
        round(mean * count),
        "sampled",
        max(sum(sizes), mean * count - half),
        mean * count + half,
        asked / count,
        f"{asked} of {count} uploads were asked for their parts",
    )


async def _versions(store: ObjectStore, prefix: str) -> VersionTotals:
    if not await store.versioning():
        return VersionTotals(exact(0), exact(0), exact(0))
    versions = size = markers = 0
    token: tuple[str, str] | None = None
    while True:
        page = await store.list_versions_page(prefix, token=token)
        for version in page.versions:
            if is_tool_file(version.key):
                continue
            if version.is_delete_marker:
                markers += 1
            elif not version.is_latest:
                versions += 1
                size += version.size
        token = page.next_token
        if token is None:
            return VersionTotals(exact(versions), exact(size), exact(markers))
