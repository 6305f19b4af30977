"""Deletes one object, which must exist: a delete of S3 also succeeds where there is no object."""

from __future__ import annotations

from aios3sync.errors import AccessDeniedError, ObjectNotFoundError
from aios3sync.store.protocol import DeleteItem, ObjectStore

__all__ = ("remove_object",)


async def remove_object(store: ObjectStore, key: str, *, dry_run: bool = False) -> None:
    """Delete one object; with ``dry_run`` only check that it exists.

    Credentials that may not read do not prevent the delete: the object is then assumed to exist.

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
    """Check that an object exists. A HEAD does not say whether the key or the bucket is missing; a GET does.

    Raises:
        StoreError: it does not exist, or that cannot be found out.
    """
    try:
        await store.head(key)
    except ObjectNotFoundError:
        await store.get(key, length=1)
