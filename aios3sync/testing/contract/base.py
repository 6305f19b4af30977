"""What endpoints may do otherwise, each with a name, and what all parts of the contract share."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import md5
from typing import ClassVar, Final

from aios3sync.store.protocol import ObjectStore, PutOptions, PutResult

__all__ = ("PLAIN", "Deviations", "put", "put_all")

PLAIN: Final = PutOptions()


async def put(store: ObjectStore, key: str, body: bytes, options: PutOptions = PLAIN) -> PutResult:
    """Put with the right digest."""
    return await store.put(key, body, options, md5=md5(body, usedforsecurity=False).digest())


async def put_all(store: ObjectStore, *keys: str) -> None:
    """Put objects whose bodies are their keys."""
    for key in keys:
        await put(store, key, key.encode())


class Deviations:
    """What the endpoint of a subclass does otherwise than AWS; the defaults are AWS.

    Attributes:
        cannot_hold: keys that it changes, refuses or hides, each with the reason.
        sorted_listing: lists in UTF-8 byte order.
        refuses_wrong_md5: a body that does not fit its Content-MD5 is not stored.
        conditional_put: honours If-Match and If-None-Match.
        conditional_multipart: honours them on CompleteMultipartUpload.
        conditional_copy: copies only an object that has the ETag which was asked for.
        conditional_delete: honours an ETag in DeleteObjects.
        refuses_long_keys: answers an error to a key over 1024 bytes.
        refuses_small_parts: answers EntityTooSmall to parts under 5 MiB.
        forgets_replaced_parts: ListParts shows a part that was sent twice once.
        tells_initiated: ListMultipartUploads says when an upload began.
        knows_no_aborted_upload: answers NoSuchUpload to the completion of an aborted one, and no 500.
        keeps_acls: stores a canned ACL and tells it.
        encrypts: echoes ``AES256``.
        serves_urls: presigned addresses can be asked over HTTP.
        groups_with_start_after: a CommonPrefix still shows when start_after lies inside it.
    """

    cannot_hold: ClassVar[Mapping[str, str]] = {}
    sorted_listing: ClassVar[bool] = True
    refuses_wrong_md5: ClassVar[bool] = True
    conditional_put: ClassVar[bool] = True
    conditional_multipart: ClassVar[bool] = True
    conditional_copy: ClassVar[bool] = True
    conditional_delete: ClassVar[bool] = True
    refuses_long_keys: ClassVar[bool] = True
    refuses_small_parts: ClassVar[bool] = True
    forgets_replaced_parts: ClassVar[bool] = True
    tells_initiated: ClassVar[bool] = True
    knows_no_aborted_upload: ClassVar[bool] = True
    keeps_acls: ClassVar[bool] = True
    encrypts: ClassVar[bool] = True
    serves_urls: ClassVar[bool] = True
    groups_with_start_after: ClassVar[bool] = True

    def holdable(self, *keys: str) -> list[str]:
        """Those of ``keys`` that the endpoint can hold."""
        return [key for key in keys if key not in self.cannot_hold]
