"""RetryingStore: repeats requests where that is safe, and reads back first where it is not.

Delays are exponential with full jitter
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). A budget shared by all requests
prevents endless requests to a dead endpoint: requests fail fast once most of them fail.

A throttled request (SlowDown, 503, 429) has not failed, it has to wait, and the limits below this wrapper
make that as short as the endpoint allows. It uses no attempts, only time: a request fails once no request at
all has succeeded for a minute of throttling, and once it was itself throttled for five minutes, whatever
happens to others.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import anyio

from aios3sync.core.etag import Proof, is_opaque_encryption, multipart_etag, part_count, proof, same_etag
from aios3sync.errors import (
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
    ThrottledError,
    UnavailableError,
)
from aios3sync.store.observer import RESENDS, Observer
from aios3sync.store.protocol import (
    Body,
    CopySource,
    DeleteError,
    DeleteItem,
    GetResult,
    HeadResult,
    ListedPart,
    ObjectStore,
    PutOptions,
    PutResult,
)
from aios3sync.store.s3.errors import THROTTLED_CODES, is_about_credentials
from aios3sync.store.s3.refusals import name_option
from aios3sync.store.wrappers.base import ForwardingStore, StoreCall
from aios3sync.store.wrappers.metrics import RequestCounts, RetryDetails
from aios3sync.store.wrappers.retry_policy import Backoff, RetryBudget
from aios3sync.store.wrappers.session_state import SessionState

__all__ = ("RetryingStore",)

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
_MOST_RENEWALS: Final = 3
"""Replacements of the credentials after which one request is still sent again."""


class RetryingStore(ForwardingStore):
    """Retries requests that are safe to retry; for all others it reads the result back first.

    Args:
        inner: the wrapped store; each attempt goes through it as a separate request.
        max_attempts: how often one request is sent at most, not counting throttled attempts.
        counts: counts the retries.
        backoff: the delays.
        budget: shared by all requests of this store, and by other stores with the same budget.
        sleep: waits for some seconds; a test injects its own.
        access: of the session, checked before every request and when credentials are refused.
        observer: takes every retry, after it was counted and logged.

    Attributes:
        observer: of the session; ``None`` for no observer.
    """

    def __init__(  # noqa: PLR0913 - resources of a session, all but two with defaults
        self,
        inner: ObjectStore,
        max_attempts: int,
        *,
        counts: RequestCounts | None = None,
        backoff: Backoff | None = None,
        budget: RetryBudget | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        access: SessionState | None = None,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(inner)
        self._max_attempts = max_attempts
        self._counts = counts or RequestCounts()
        self._backoff = backoff or Backoff()
        self._budget = budget or RetryBudget()
        self._sleep = sleep
        self._access = access or SessionState()
        self.observer = observer

    async def call(self, request: StoreCall[T]) -> T:
        """Send, and send again after a temporary failure."""
        return await self._attempts(request.send)

    async def put(
        self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = ""
    ) -> PutResult:
        """Retry; a conditional put that met its own first attempt is no conflict."""
        send = partial(self.inner.put, key, body, options, md5=md5, sha256=sha256)
        if not (options.if_match or options.if_none_match):
            return await self._attempts(send, options)
        maybe_applied = _MaybeApplied()
        try:
            return await self._attempts(send, options, maybe_applied)
        except PreconditionFailedError:
            if not maybe_applied.exists:
                raise
            found = await self._found(key)
            if found is None or not self._is_body(found, md5):
                raise
            return PutResult(found.etag, found.encryption)

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
        """Retry; written out, because many small bodies are read."""
        return await self._attempts(
            partial(
                self.inner.get,
                key,
                start=start,
                length=length,
                if_match=if_match,
                if_none_match=if_none_match,
                version_id=version_id,
            )
        )

    async def create_multipart(self, key: str, options: PutOptions) -> str:
        """Retry; see :data:`REPEATS` for the effect of a lost response."""
        return await self._attempts(partial(self.inner.create_multipart, key, options), options)

    async def put_part(
        self, key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        """Retry: a part replaces itself."""
        send = partial(self.inner.put_part, key, upload_id, number, body, options, md5=md5)
        return await self._attempts(send, options)

    async def copy(
        self,
        source: CopySource,
        key: str,
        options: PutOptions | None = None,
        *,
        keep_metadata: bool = False,
    ) -> PutResult:
        """Retry: the same copy replaces itself."""
        send = partial(self.inner.copy, source, key, options, keep_metadata=keep_metadata)
        return await self._attempts(send, options)

    async def copy_part(
        self, source: CopySource, key: str, upload_id: str, number: int, options: PutOptions
    ) -> PutResult:
        """Retry: a part replaces itself."""
        send = partial(self.inner.copy_part, source, key, upload_id, number, options)
        return await self._attempts(send, options)

    async def complete_multipart(
        self, key: str, upload_id: str, parts: Sequence[ListedPart], options: PutOptions
    ) -> PutResult:
        """Retry; an upload that is gone after a lost response may be the finished object."""
        maybe_applied = _MaybeApplied()
        try:
            return await self._attempts(
                partial(self.inner.complete_multipart, key, upload_id, parts, options), options, maybe_applied
            )
        except (ObjectNotFoundError, PreconditionFailedError):
            if not maybe_applied.exists:
                raise
            found = await self._found(key)
            if found is None or not self._is_joined(found, parts):
                raise
            return PutResult(found.etag, found.encryption)

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        """Retry the request, and then only the keys with temporary failures."""
        failed: list[DeleteError] = []
        pending = list(items)
        tries = _Tries(self._max_attempts, self._budget)
        while True:
            errors = await super().delete_many(pending)
            asked = {item.key for item in pending}
            passing = {error.key for error in errors if error.retryable and error.key in asked}
            pending = [item for item in pending if item.key in passing]
            reason = _reason([error for error in errors if error.key in passing])
            last = not pending or not tries.another(reason)
            failed += [error for error in errors if last or error.key not in passing]
            if last:
                return failed
            await self._wait(tries.number(reason), reason)

    async def _attempts(
        self,
        send: Callable[[], Awaitable[T]],
        options: PutOptions | None = None,
        maybe_applied: _MaybeApplied | None = None,
    ) -> T:
        """Send until it succeeds or fails for good; a refusal names the option that it is about."""
        tries: _Tries | None = None
        access, renewals, resends = self._access, 0, 0
        access.check()
        try:
            while True:
                generation = access.generation
                try:
                    result = await send()
                except StoreError as error:
                    if maybe_applied is not None:
                        maybe_applied.note(error)
                    if (
                        renewals < _MOST_RENEWALS
                        and is_about_credentials(error)
                        and await access.renew(generation)
                    ):
                        renewals += 1
                        self._report(RetryDetails(renewals, 0.0, error))
                    else:
                        tries = tries or _Tries(self._max_attempts, self._budget)
                        if not _may_pass(error) or not tries.another(error):
                            if options is not None:
                                name_option(error, options)
                            raise
                        await self._wait(tries.number(error), error)
                    resends += 1
                    RESENDS.set(resends)
                else:
                    self._budget.earn(retried=tries is not None)
                    return result
        finally:
            if resends:
                RESENDS.set(0)

    async def _wait(self, attempt: int, error: StoreError) -> None:
        delay = self._backoff.delay(attempt, error)
        self._report(RetryDetails(attempt, delay, error))
        await self._sleep(delay)

    def _report(self, retry: RetryDetails) -> None:
        _LOG.debug("retry after attempt %d in %.2f s: %s", retry.attempt, retry.delay, retry.error)
        self._counts.retry(retry)
        if self.observer is not None:
            self.observer.retry(retry)

    async def _found(self, key: str) -> HeadResult | None:
        """Return the facts of the object; ``None`` if it cannot be read: then the first refusal counts."""
        try:
            return await self.head(key)
        except StoreError:
            return None

    def _is_body(self, found: HeadResult, md5: bytes) -> bool:
        """Return whether the object is the body that was sent; where its ETag proves nothing, it is not."""
        return not self._is_opaque(found) and same_etag(found.etag, md5.hex())

    def _is_joined(self, found: HeadResult, parts: Sequence[ListedPart]) -> bool:
        """Return whether the object is made of these parts.

        Under KMS the ETag proves nothing, so the number of parts and the size have to suffice.
        """
        if self._is_opaque(found):
            return part_count(found.etag) == len(parts) and found.size == sum(p.size for p in parts)
        if any(proof(part.etag) is not Proof.MD5 for part in parts):
            return False
        ordered = sorted(parts, key=lambda part: part.number)
        return same_etag(found.etag, multipart_etag(bytes.fromhex(part.etag) for part in ordered))

    def _is_opaque(self, found: HeadResult) -> bool:
        return self.capabilities.opaque_etags or is_opaque_encryption(found.encryption)


class _Tries:
    """The failed attempts of one request, and whether another one is allowed."""

    def __init__(self, most: int, budget: RetryBudget) -> None:
        self._most = most
        self._budget = budget
        self._failures = 0
        self._throttled = 0
        self._deadline = 0.0

    def another(self, error: StoreError) -> bool:
        """Count ``error``; return False if no further attempt is allowed."""
        if isinstance(error, ThrottledError):
            self._deadline = self._deadline or self._budget.deadline()
            self._throttled += 1
            return self._budget.wait_on(self._deadline)
        self._failures += 1
        return self._failures < self._most and self._budget.spend()

    def number(self, error: StoreError) -> int:
        """Return the number of errors of this kind so far."""
        return self._throttled if isinstance(error, ThrottledError) else self._failures


class _MaybeApplied:
    """Whether an earlier attempt of a write may have been carried out although it failed."""

    exists = False

    def note(self, error: StoreError) -> None:
        if _may_pass(error) and not _was_not_carried_out(error):
            self.exists = True


def _reason(errors: Sequence[DeleteError]) -> StoreError:
    """Return one error for those of single keys: throttling takes precedence."""
    throttled = [error for error in errors if error.code in THROTTLED_CODES]
    code = next((error.code for error in throttled or errors), "")
    kind = ThrottledError if throttled else UnavailableError
    return kind("keys were not deleted", operation="DeleteObjects", code=code)


def _may_pass(error: StoreError) -> bool:
    """Return whether the same request may succeed later, such as after an unreadable response."""
    return error.retryable or error.code == "InvalidAnswer"


def _was_not_carried_out(error: StoreError) -> bool:
    return isinstance(error, ThrottledError) or error.code == "NoConnection"
