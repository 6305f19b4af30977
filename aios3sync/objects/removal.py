"""Deletes one object that must be there: a delete of S3 succeeds whether there was anything or not."""

from __future__ import annotations

from aios3sync.errors import AccessDeniedError, ObjectNotFoundError
from aios3sync.store.protocol import DeleteItem, ObjectStore

__all__ = ("remove_object",)


async def remove_object(store: ObjectStore, key: str, *, dry_run: bool = False) -> None:
    """Delete one object; with ``dry_run`` only look whether it is there.

    Credentials that may not read are no reason not to delete: the object is then taken to be there.

    Raises:
        ObjectNotFoundError: there is no such object.
        BucketNotFoundError: there is no such bucket.
        StoreError: it could not be deleted.
    """
    try:
        await _check_presence(store, key)
    except AccessDeniedError:
        pass
    except ObjectNotFoundError:
        raise ObjectNotFoundError(
            "there is no such object; --recursive deletes what is below a prefix",
            operation="HeadObject",
            bucket=store.bucket,
            key=key,
        ) from None
    if not dry_run:
        await store.delete_one(DeleteItem(key))


async def _check_presence(store: ObjectStore, key: str) -> None:
    """Look whether an object is there. The response to HEAD does not say what is missing; that to GET does.

    Raises:
        StoreError: it is not, or that cannot be known.
    """
    try:
        await store.head(key)
    except ObjectNotFoundError:
        await store.get(key, length=1)
