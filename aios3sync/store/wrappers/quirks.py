"""QuirksStore: observes in responses how its endpoint differs from AWS, and adapts its requests.

The first response shows whether ETags are MD5s. If a response contradicts what was sent, the object is
checked: if it is stored as it was sent, ETags prove nothing; if not, or if it cannot be checked, the upload
has failed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import anyio

from aios3sync.core.etag import Proof, is_opaque_encryption, proof, same_etag
from aios3sync.errors import IntegrityError, StoreError
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import (
    Body,
    DeleteError,
    DeleteItem,
    GetResult,
    ObjectStore,
    PutOptions,
    PutResult,
)
from aios3sync.store.s3.deletes import delete_each, is_not_implemented
from aios3sync.store.s3.errors import ETAG_MISMATCH
from aios3sync.store.wrappers.base import ForwardingStore

__all__ = ("QuirksStore",)

_LOG: Final = logging.getLogger(__name__)
_RANGE: Final = 8 * 1024 * 1024
_MD5_DIGITS: Final = 32
_WAY_OUT: Final = "If the ETags of this endpoint are no MD5s, give --etags opaque"


class QuirksStore(ForwardingStore):
    """Sends requests as S3 documents them, or as the endpoint needs them according to ``profile``.

    It is placed below the retries and above the limit: each replacement of a request has a slot of its own,
    and temporary failures are retried.

    Args:
        inner: the wrapped store.
        profile: what is known of the endpoint; updated by observations.
    """

    def __init__(self, inner: ObjectStore, profile: EndpointProfile) -> None:
        super().__init__(inner)
        self._profile = profile
        self._settling = anyio.Lock()
        self._parts_are_md5 = False

    async def put(
        self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = ""
    ) -> PutResult:
        """Store, and settle a response that contradicts what was sent."""
        try:
            result = await self.inner.put(key, body, options, md5=md5, sha256=sha256)
        except IntegrityError as error:
            if error.code != ETAG_MISMATCH or self._profile.certain_md5:
                raise
            return await self._result_of_mismatch(key, body, md5, error)
        if self._profile.etags == "unknown" or len(result.etag) != _MD5_DIGITS:
            self._observe_etag(result, md5)
        return result

    async def get(
        self,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str = "",
        if_none_match: str = "",
        version_id: str = "",
    ) -> GetResult:
        """Read; nothing is adapted."""
        return await self.inner.get(
            key,
            start=start,
            length=length,
            if_match=if_match,
            if_none_match=if_none_match,
            version_id=version_id,
        )

    async def put_part(
        self, key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        """Store a part. A part cannot be checked: a contradiction is passed on in the result.

        Where no part had an ETag that is its MD5, the caller settles it with the finished object; see
        :mod:`aios3sync.sync.transfers.multipart`.
        """
        try:
            result = await self.inner.put_part(key, upload_id, number, body, options, md5=md5)
        except IntegrityError as error:
            if error.code != ETAG_MISMATCH or self._profile.certain_md5 or self._parts_are_md5:
                raise
            return PutResult(error.etag)
        self._parts_are_md5 |= same_etag(result.etag, md5.hex())
        self._observe_etag(result, md5)
        return result

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        """Delete with DeleteObjects, or if that is not supported with one DeleteObject for each key."""
        if self._profile.batch_delete:
            try:
                return await self.inner.delete_many(items)
            except StoreError as error:
                if not is_not_implemented(error):
                    raise
                self._record("batch_delete", False)
        return await delete_each(self.inner, items)

    def _observe_etag(self, result: PutResult, md5: bytes) -> None:
        """Observe the kind of ETags in a response without a contradiction."""
        if is_opaque_encryption(result.encryption):
            return
        if proof(result.etag) is Proof.NOTHING:
            self._record("etags", "opaque")
        elif self._profile.etags == "unknown" and same_etag(result.etag, md5.hex()):
            self._record("etags", "md5")

    async def _result_of_mismatch(
        self, key: str, body: bytes, md5: bytes, error: IntegrityError
    ) -> PutResult:
        """Return the result of a put whose response has an ETag that is not the MD5 of ``body``.

        Raises:
            IntegrityError: other bytes were stored, or the object cannot be read.
        """
        async with self._settling:  # of many that are in flight the first one settles it for all
            if self._profile.etags == "opaque":
                return PutResult(error.etag)
            try:
                head = await self.inner.head(key)
                the_answer_alone = same_etag(head.etag, md5.hex())
                if not (the_answer_alone or (head.size == len(body) and await self._holds(key, body))):
                    raise error
            except StoreError as unread:
                if unread is error:
                    raise
                error.message += f"; the object cannot be looked at ({unread}). {_WAY_OUT}"
                raise error from unread
            if not the_answer_alone:
                self._record("etags", "opaque")
            return PutResult(head.etag, head.encryption)

    async def _holds(self, key: str, body: bytes) -> bool:
        """Return whether the object has these bytes; size and metadata would not show a changed bit."""
        for start in range(0, max(1, len(body)), _RANGE):
            piece = body[start : start + _RANGE]
            if (await self.inner.get(key, start=start, length=len(piece))).body != piece:
                return False
        return True

    def _record(self, fact: str, value: object) -> None:
        profile = self._profile
        if getattr(profile, fact) == value:
            return
        profile.record(fact, value)
        if getattr(profile, fact) == value:  # what the user gave stays
            _LOG.info("%s: %s", profile.endpoint, "; ".join(profile.described()))
