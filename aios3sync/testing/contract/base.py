"""The named deviations of endpoints from AWS, and helpers for all parts of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import md5
from typing import ClassVar, Final

from aios3sync.store.protocol import ObjectStore, PutOptions, PutResult

__all__ = ("PLAIN", "Deviations", "put", "put_all")

PLAIN: Final = PutOptions()


async def put(store: ObjectStore, key: str, body: bytes, options: PutOptions = PLAIN) -> PutResult:
    """Put an object with the right digest."""
    return await store.put(key, body, options, md5=md5(body, usedforsecurity=False).digest())


async def put_all(store: ObjectStore, *keys: str) -> None:
    """Put objects whose bodies are their keys."""
    for key in keys:
        await put(store, key, key.encode())


class Deviations:
    """The deviations of an endpoint from AWS; the defaults are those of AWS.

    Attributes:
        cannot_hold: keys that it changes, refuses or hides, each with the reason.
        sorted_listing: lists in UTF-8 byte order.
        refuses_wrong_md5: a body that does not fit its Content-MD5 is not stored.
        conditional_put: honours If-Match and If-None-Match.
        atomic_conditions: of two writers with the same condition at the same moment one fails.
        conditional_multipart: honours them on CompleteMultipartUpload.
        conditional_copy: copies an object only if it has the requested ETag.
        conditional_copy_part: copies parts only of an object that has the requested ETag.
        copied_parts_are_md5: the ETag of a copied part is its MD5, as that of one that was sent.
        knows_parts: returns the sizes of the parts of a finished object.
        conditional_delete: honours an ETag in DeleteObjects.
        refuses_long_keys: returns an error for a key over 1024 bytes.
        refuses_small_parts: returns EntityTooSmall for parts under 5 MiB.
        forgets_replaced_parts: ListParts shows a part that was sent twice once.
        reports_initiated: ListMultipartUploads has the time when an upload began.
        forgets_aborted_uploads: returns NoSuchUpload, not a 500, for the completion of an aborted upload.
        keeps_acls: stores a canned ACL and returns it.
        encrypts: returns ``AES256``.
        restores: restores archived objects.
        keeps_checksums: HeadObject returns the checksum that an object was sent with.
        serves_urls: presigned URLs can be fetched over HTTP.
        groups_with_start_after: a CommonPrefix still shows when start_after lies inside it.
    """

    cannot_hold: ClassVar[Mapping[str, str]] = {}
    sorted_listing: ClassVar[bool] = True
    refuses_wrong_md5: ClassVar[bool] = True
    conditional_put: ClassVar[bool] = True
    atomic_conditions: ClassVar[bool] = True
    conditional_multipart: ClassVar[bool] = True
    conditional_copy: ClassVar[bool] = True
    conditional_copy_part: ClassVar[bool] = True
    copied_parts_are_md5: ClassVar[bool] = True
    knows_parts: ClassVar[bool] = True
    conditional_delete: ClassVar[bool] = True
    refuses_long_keys: ClassVar[bool] = True
    refuses_small_parts: ClassVar[bool] = True
    forgets_replaced_parts: ClassVar[bool] = True
    reports_initiated: ClassVar[bool] = True
    forgets_aborted_uploads: ClassVar[bool] = True
    keeps_acls: ClassVar[bool] = True
    encrypts: ClassVar[bool] = True
    restores: ClassVar[bool] = True
    keeps_checksums: ClassVar[bool] = True
    serves_urls: ClassVar[bool] = True
    groups_with_start_after: ClassVar[bool] = True

    def holdable(self, *keys: str) -> list[str]:
        """Return those of ``keys`` that the endpoint can hold."""
        return [key for key in keys if key not in self.cannot_hold]
