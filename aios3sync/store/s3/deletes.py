"""Deletes keys with any transport: by DeleteObjects, and by DeleteObject where that is impossible."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio
from anyio.abc import TaskGroup

from aios3sync.core.keys import fits_xml
from aios3sync.core.text import printable
from aios3sync.errors import (
    BucketNotFoundError,
    CredentialsError,
    ObjectNotFoundError,
    StoreError,
    UnavailableError,
)
from aios3sync.store.protocol import DeleteError, DeleteItem, ObjectStore
from aios3sync.store.s3.errors import RETRYABLE_CODES, ErrorAnswer, error_from, safe_words

__all__ = ("checked_delete_errors", "delete_each", "delete_error", "delete_keys", "is_not_implemented")

_AT_ONCE: Final = 32
_NOT_IMPLEMENTED: Final = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
"""Google Cloud Storage answers 501 or 400 with NotImplemented; others do not allow POST on a bucket."""


def is_not_implemented(error: StoreError) -> bool:
    """Return whether the endpoint says that it does not support the request at all."""
    return error.code in _NOT_IMPLEMENTED or error.status in (405, 501)


async def delete_keys(
    store: ObjectStore,
    items: Sequence[DeleteItem],
    delete_batch: Callable[[Sequence[DeleteItem]], Awaitable[list[DeleteError]]],
) -> list[DeleteError]:
    """Delete with one ``delete_batch``, and with DeleteObject the keys that XML cannot hold.

    Returns:
        The keys that were not deleted.

    Raises:
        StoreError: of the batch as a whole, or of all single keys.
    """
    batch = [item for item in items if fits_xml(item.key)]
    errors = await delete_batch(batch) if batch else []
    if len(batch) < len(items):
        for item in items:
            if not fits_xml(item.key):
                errors += await _delete_single(store, item)
    return errors


def delete_error(key: str, code: str, message: str) -> DeleteError:
    """Return one ``<Error>`` of a DeleteObjects response."""
    text = safe_words(message) or printable(code) or "refused"
    return DeleteError(key, code, text, code in RETRYABLE_CODES)


def checked_delete_errors(
    errors: Sequence[DeleteError], items: Sequence[DeleteItem], bucket: str
) -> list[DeleteError]:
    """Return the errors of a DeleteObjects response; a missing key counts as deleted.

    Raises:
        StoreError: one is about another key, or about none: then it is unknown which keys are deleted, and a
            key without an error would pass as deleted.
    """
    requested = {item.key for item in items}
    for error in errors:
        if error.key not in requested and error.code != "NoSuchKey":
            text = f"{error.message} (of the key {error.key!r}, which was not asked for)"
            raise error_from("DeleteObjects", bucket, None, ErrorAnswer(error.code, 200, text, {}))
    return [error for error in errors if error.code != "NoSuchKey"]


async def _delete_single(store: ObjectStore, item: DeleteItem) -> list[DeleteError]:
    """Delete one key of a batch with a request of its own; return an error that is about that key alone.

    Raises:
        BucketNotFoundError, CredentialsError: no other key could be deleted either.
    """
    try:
        await store.delete_one(item)
    except (BucketNotFoundError, CredentialsError):
        raise
    except ObjectNotFoundError:
        return []
    except StoreError as error:
        return [DeleteError(item.key, error.code, error.message, error.retryable)]
    return []


async def delete_each(store: ObjectStore, items: Sequence[DeleteItem]) -> list[DeleteError]:
    """Delete keys with one request for each, some at a time; return those that were not deleted.

    Raises:
        StoreError: the endpoint did not respond at all, or no key could be deleted. No further requests are
            sent then.
    """
    left = iter(items)
    failed: list[DeleteError] = []
    hopeless: list[StoreError] = []

    async def work(tasks: TaskGroup) -> None:
        for item in left:
            try:
                await store.delete_one(item)
            except ObjectNotFoundError:
                continue
            except StoreError as error:
                if _concerns_all(error):
                    hopeless.append(error)
                    tasks.cancel_scope.cancel()
                    return
                failed.append(DeleteError(item.key, error.code, error.message, error.retryable))

    async with anyio.create_task_group() as tasks:
        for _ in range(min(_AT_ONCE, len(items))):
            tasks.start_soon(work, tasks)
    if hopeless:
        raise hopeless[0]
    return failed


def _concerns_all(error: StoreError) -> bool:
    """Return whether every other key would fail the same way: no bucket, no credentials, no response."""
    unanswered = isinstance(error, UnavailableError) and not error.status
    return unanswered or isinstance(error, BucketNotFoundError | CredentialsError)
