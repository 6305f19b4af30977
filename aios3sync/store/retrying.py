"""RetryingStore: sends requests again where that is safe, and looks first where it is not.

Delays are exponential with full jitter
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). A budget shared by all requests
keeps a dead endpoint from being asked for ever: it fails fast once most requests fail.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import anyio

from aios3sync.core.etag import Proof, is_opaque_encryption, multipart_etag, part_count, proof
from aios3sync.errors import (
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
    ThrottledError,
    UnavailableError,
)
from aios3sync.store.answers import THROTTLED_CODES
from aios3sync.store.counting import RequestCounts
from aios3sync.store.forwarding import ForwardingStore, Request
from aios3sync.store.protocol import (
    DeleteError,
    DeleteItem,
    HeadResult,
    ListedPart,
    ObjectStore,
    PutOptions,
    PutResult,
)

__all__ = ("Backoff", "RetryBudget", "RetryingStore")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a request is sent again, in seconds.

    Attributes:
        base: the most to wait before the first retry; doubles with each further one.
        throttled_base: the same after the endpoint asked for fewer requests.
        cap: the most to wait at all, unless the endpoint asks for more.
        longest_wish: the most that a ``Retry-After`` is honoured.
        uniform: draws a number between two; a test injects its own.
    """

    base: float = 0.1
    throttled_base: float = 1.0
    cap: float = 20.0
    longest_wish: float = 60.0
    uniform: Callable[[float, float], float] = random.uniform

    def delay(self, attempt: int, error: StoreError) -> float:
        """Seconds to wait after ``attempt`` (from 1) failed with ``error``, which may hold a wish."""
        base = self.throttled_base if isinstance(error, ThrottledError) else self.base
        drawn = self.uniform(0.0, min(self.cap, base * 2.0 ** (attempt - 1)))
        wish = error.retry_after
        return drawn if wish is None else min(wish, self.longest_wish) + drawn


class RetryBudget:
    """Tokens that retries cost and successes earn back, as in the AWS SDKs.

    A retry after SlowDown costs nothing: that endpoint is alive, and the limit of requests in flight slows
    us down.

    Args:
        capacity: tokens at the start and at most.
        cost: tokens of one retry.
    """

    def __init__(self, capacity: int = 500, cost: int = 5) -> None:
        self.capacity = capacity
        self.cost = cost
        self.tokens = capacity

    def spend(self, error: StoreError) -> bool:
        """Pay for one retry after ``error``; False when the budget is empty."""
        if isinstance(error, ThrottledError):
            return True
        if self.tokens < self.cost:
            return False
        self.tokens -= self.cost
        return True

    def earn(self, retried: bool) -> None:
        """A request succeeded: what its last retry cost comes back, or one token."""
        self.tokens = min(self.capacity, self.tokens + (self.cost if retried else 1))


class RetryingStore(ForwardingStore):
    """Retries what is safe to retry; everything else it reads back before it judges.

    Args:
        inner: the store to ask; each attempt goes through it as a request of its own.
        max_attempts: how often one request is sent at most.
        counts: where retries are counted.
        backoff: the delays.
        budget: shared by all requests of this store, and by other stores that are given the same.
        sleep: waits for some seconds; a test injects its own.
    """

    def __init__(
        self,
        inner: ObjectStore,
        max_attempts: int,
        *,
        counts: RequestCounts | None = None,
        backoff: Backoff | None = None,
        budget: RetryBudget | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        super().__init__(inner)
        self._max_attempts = max_attempts
        self._counts = counts or RequestCounts()
        self._backoff = backoff or Backoff()
        self._budget = budget or RetryBudget()
        self._sleep = sleep

    async def call(self, request: Request[T]) -> T:
        """Send, and send again after a failure that may pass."""
        return await self._attempts(request.send, _may_pass)

    async def create_multipart(self, key: str, options: PutOptions) -> str:
        """Retry only what certainly was not carried out: a lost answer may have left an upload."""
        return await self._attempts(partial(self.inner.create_multipart, key, options), _was_not_carried_out)

    async def put(self, key: str, body: bytes, options: PutOptions, *, md5: bytes) -> PutResult:
        """Retry; a conditional put that met its own first attempt is no conflict."""
        if not (options.if_match or options.if_none_match):
            return await super().put(key, body, options, md5=md5)
        doubt = _Doubt()
        try:
            return await self._attempts(
                partial(self.inner.put, key, body, options, md5=md5), _may_pass, doubt
            )
        except PreconditionFailedError:
            if not doubt.exists:
                raise
            found = await self._found(key)
            if found is None or not _is_body(found, md5):
                raise
            return PutResult(found.etag, found.encryption)

    async def complete_multipart(
        self, key: str, upload_id: str, parts: Sequence[ListedPart], options: PutOptions
    ) -> PutResult:
        """Retry; an upload that is gone after a lost answer may be the finished object."""
        doubt = _Doubt()
        try:
            return await self._attempts(
                partial(self.inner.complete_multipart, key, upload_id, parts, options),
                _may_pass,
                doubt,
            )
        except (ObjectNotFoundError, PreconditionFailedError):
            if not doubt.exists:
                raise
            found = await self._found(key)
            if found is None or not _is_joined(found, parts):
                raise
            return PutResult(found.etag, found.encryption)

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        """Retry the request, and after it the keys whose failure may pass, and only those."""
        failed: list[DeleteError] = []
        pending = list(items)
        for attempt in range(1, self._max_attempts + 1):
            errors = await super().delete_many(pending)
            asked = {item.key for item in pending}
            passing = {error.key for error in errors if error.retryable and error.key in asked}
            pending = [item for item in pending if item.key in passing]
            reason = _reason([error for error in errors if error.key in passing])
            last = not pending or attempt == self._max_attempts or not self._budget.spend(reason)
            failed += [error for error in errors if last or error.key not in passing]
            if last:
                break
            await self._wait(attempt, reason)
        return failed

    async def _attempts(
        self,
        send: Callable[[], Awaitable[T]],
        may_repeat: Callable[[StoreError], bool],
        doubt: _Doubt | None = None,
    ) -> T:
        attempt = 1
        while True:
            try:
                result = await send()
            except StoreError as error:
                if doubt is not None:
                    doubt.learn(error)
                if attempt >= self._max_attempts or not may_repeat(error):
                    raise
                if not self._budget.spend(error):
                    raise
                await self._wait(attempt, error)
            else:
                self._budget.earn(retried=attempt > 1)
                return result
            attempt += 1

    async def _wait(self, attempt: int, error: StoreError) -> None:
        self._counts.retries += 1
        await self._sleep(self._backoff.delay(attempt, error))

    async def _found(self, key: str) -> HeadResult | None:
        try:
            return await self.head(key)
        except ObjectNotFoundError:
            return None


class _Doubt:
    """Whether an earlier attempt of a write may have been carried out although it failed."""

    exists = False

    def learn(self, error: StoreError) -> None:
        if _may_pass(error) and not _was_not_carried_out(error):
            self.exists = True


def _reason(errors: Sequence[DeleteError]) -> StoreError:
    """The one error that stands for those of single keys: to be throttled outweighs the others."""
    throttled = any(error.code in THROTTLED_CODES for error in errors)
    return (ThrottledError if throttled else UnavailableError)("keys were not deleted")


def _may_pass(error: StoreError) -> bool:
    return error.retryable


def _was_not_carried_out(error: StoreError) -> bool:
    return isinstance(error, ThrottledError) or error.code == "NoConnection"


def _is_body(found: HeadResult, md5: bytes) -> bool:
    """Whether the object is the body that was sent; where its ETag proves nothing, it is not."""
    opaque = is_opaque_encryption(found.encryption)
    return proof(found.etag, opaque=opaque) is Proof.MD5 and found.etag == md5.hex()


def _is_joined(found: HeadResult, parts: Sequence[ListedPart]) -> bool:
    """Whether the object is made of these parts.

    Under KMS the ETag proves nothing, so that the number of parts and the size have to do.
    """
    if is_opaque_encryption(found.encryption):
        return part_count(found.etag) == len(parts) and found.size == sum(p.size for p in parts)
    if any(proof(part.etag) is not Proof.MD5 for part in parts):
        return False
    ordered = sorted(parts, key=lambda part: part.number)
    return found.etag == multipart_etag(bytes.fromhex(part.etag) for part in ordered)
