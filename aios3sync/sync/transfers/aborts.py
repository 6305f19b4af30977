"""Aborts multipart uploads; one that cannot be aborted stays in the journal for the next run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio

from aios3sync.errors import StoreError
from aios3sync.manifest.unfinished import UnfinishedUpload, UnfinishedUploads
from aios3sync.store.protocol import ObjectStore

__all__ = ("abort_after_error", "abort_upload")

_GRACE: Final = 5.0
"""Seconds that an abort may take after a cancellation."""


async def abort_upload(
    store: ObjectStore,
    begun: UnfinishedUpload,
    unfinished: UnfinishedUploads,
    warn: Callable[[str], object],
) -> None:
    """Abort an upload. Its own errors are not raised: the reason for the abort matters more.

    Args:
        store: of its bucket.
        begun: the upload.
        unfinished: notes that it has ended.
        warn: takes one line where the upload may remain.
    """
    try:
        await store.abort_multipart(begun.key, begun.upload_id)
    except Exception as error:  # noqa: BLE001 - it stays on record, and the warning says so
        text = error if isinstance(error, StoreError) else type(error).__name__
        warn(f"a multipart upload of {begun.key!r} may be left over: {text}")
    else:
        await unfinished.ended(begun)


async def abort_after_error(
    store: ObjectStore,
    begun: UnfinishedUpload,
    unfinished: UnfinishedUploads,
    warn: Callable[[str], object],
) -> None:
    """Like :func:`abort_upload`, but within some seconds, and also while the task is cancelled."""
    with anyio.move_on_after(_GRACE, shield=True):
        await abort_upload(store, begun, unfinished, warn)
