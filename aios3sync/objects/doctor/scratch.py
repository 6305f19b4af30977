"""Scratch: the keys that the probes write, all below one prefix; removes them."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from typing import Any, Final

import anyio

from aios3sync._dataclass import replace
from aios3sync.errors import IntegrityError, StoreError
from aios3sync.listing.pages import PageChecks
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import DeleteItem, ObjectStore, PutOptions, PutResult
from aios3sync.store.s3.deletes import delete_each
from aios3sync.store.s3.errors import ETAG_MISMATCH

__all__ = ("Scratch", "md5_digest")

_REMOVAL_S: Final = 60.0
"""Seconds for the removal, which a signal does not interrupt."""


def md5_digest(body: bytes) -> bytes:
    """Return the 16 bytes of the MD5 of a body."""
    return hashlib.md5(body, usedforsecurity=False).digest()


class Scratch:
    """One prefix of a bucket, which is empty before and after.

    A key counts as written before its request is sent: the response may be lost, or the work cancelled.

    Args:
        once: the store without wrappers: each request is sent once, and nothing replaces it.
        steady: the same with retries, for requests that are not tested.
        profile: what a sync knows of the endpoint; the probes add to it.
        below: the prefix that the user named.
        payer: ``requester`` where the requester pays for writes.

    Attributes:
        prefix: of all keys that are written.
        versioned: whether a response named a version.
    """

    def __init__(
        self, once: ObjectStore, steady: ObjectStore, profile: EndpointProfile, below: str, payer: str = ""
    ) -> None:
        self.once = once
        self.steady = steady
        self.profile = profile
        self.below = below
        self.prefix = f"{below}.aios3sync/doctor-{secrets.token_hex(6)}/"
        self.versioned = False
        self._options = PutOptions(request_payer=payer)
        self._written: set[str] = set()
        self._uploads: set[tuple[str, str]] = set()

    def key(self, name: str) -> str:
        """Return the key of a name, and remember to remove it."""
        key = self.prefix + name
        self._written.add(key)
        return key

    def options(self, **fields: Any) -> PutOptions:
        """Return the options of a write."""
        return replace(self._options, **fields)

    async def put(self, name: str, body: bytes, **fields: Any) -> PutResult:
        """Store an object. An ETag that contradicts the body is part of the result, not an error."""
        key = self.key(name)
        try:
            result = await self.once.put(key, body, self.options(**fields), md5=md5_digest(body))
        except IntegrityError as error:
            if error.code != ETAG_MISMATCH:
                raise
            return PutResult(error.etag)
        self.versioned |= result.version_id not in ("", "null")
        return result

    async def create_multipart(self, name: str, **fields: Any) -> str:
        """Begin an upload, and remember to abort it."""
        key = self.key(name)
        upload_id = await self.once.create_multipart(key, self.options(**fields))
        self._uploads.add((key, upload_id))
        return upload_id

    async def remove(self) -> tuple[str, ...]:
        """Remove all written keys, also during a cancellation; return what is left, a line each."""
        if not self._written:
            return ()
        with anyio.CancelScope(shield=True), anyio.move_on_after(_REMOVAL_S):
            await self._abort_uploads()
            return await self._remove_keys()
        return (f"{self.prefix}: not removed within {_REMOVAL_S:.0f} seconds; remove it yourself",)

    async def _abort_uploads(self) -> None:
        with suppress(StoreError):  # those whose answer was lost; what may be listed differs
            listed = await self.steady.list_multiparts(self.prefix)
            self._uploads |= {
                (each.key, each.upload_id) for each in listed if each.key.startswith(self.prefix)
            }
        for key, upload_id in sorted(self._uploads):
            with suppress(StoreError):  # finished uploads; an unfinished one is listed below
                await self.steady.abort_multipart(key, upload_id)

    async def _remove_keys(self) -> tuple[str, ...]:
        """Delete the keys one by one, as every endpoint supports that, then those that are still listed."""
        try:
            failed = await delete_each(self.steady, [DeleteItem(key) for key in sorted(self._written)])
            reasons = {error.key: error.message for error in failed}
            found = await self._left()
            if found:
                again = await delete_each(self.steady, [DeleteItem(key) for key in found])
                reasons |= {error.key: error.message for error in again}
                found = await self._left()
        except StoreError as error:
            return (f"{self.prefix}: not removed ({error}); remove it yourself",)
        if found is not None:
            reasons = {key: reasons.get(key, "still listed") for key in found}
        left = [
            f"{key}: not removed ({reason}); remove it yourself" for key, reason in sorted(reasons.items())
        ]
        return tuple(left)

    async def listed(
        self, prefix: str, *, page_size: int = 1000, start_after: str = ""
    ) -> tuple[list[str], int]:
        """Return the keys of a listing to its end, and the entries of the largest page.

        Raises:
            ListingError: the listing does not end, or is not of the prefix.
            StoreError: a page could not be read.
        """
        keys: list[str] = []
        largest = 0
        checks = PageChecks(self.steady.bucket, prefix, start_after=start_after)
        while not checks.ended:
            page = await self.steady.list_page(
                prefix,
                token=checks.token,
                start_after="" if checks.token else start_after,
                max_keys=page_size,
            )
            checks.take(page)
            keys += [entry.key for entry in page.entries]
            largest = max(largest, len(page.entries))
        return keys, largest

    async def _left(self) -> list[str] | None:
        """Return the existing keys; ``None`` where they cannot be listed."""
        try:
            return (await self.listed(self.prefix))[0]
        except StoreError:
            return None
