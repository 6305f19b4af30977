"""Composes the wrappers of a store, in the only order that works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.observer import Observer
from aios3sync.store.protocol import ObjectStore
from aios3sync.store.wrappers.bandwidth import BandwidthLimit, BandwidthStore
from aios3sync.store.wrappers.limit import ConcurrencyLimiter, LimitingStore
from aios3sync.store.wrappers.metrics import CountingStore, RequestCounts
from aios3sync.store.wrappers.quirks import QuirksStore
from aios3sync.store.wrappers.retry import RetryingStore
from aios3sync.store.wrappers.retry_policy import RetryBudget
from aios3sync.store.wrappers.session_state import SessionState

__all__ = ("stack",)


def stack(  # noqa: PLR0913 - what the stores of one session share, all but two with defaults
    store: ObjectStore,
    *,
    max_attempts: int,
    workers: int,
    counts: RequestCounts | None = None,
    limiter: ConcurrencyLimiter | None = None,
    bandwidth: BandwidthLimit | None = None,
    budget: RetryBudget | None = None,
    profile: EndpointProfile | None = None,
    access: SessionState | None = None,
    observer: Observer | None = None,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    wrap_inner: Callable[[ObjectStore], ObjectStore] | None = None,
) -> ObjectStore:
    """Wrap ``store``, from the inside out: counting, limiting, bandwidth, quirks, retrying.

    Args:
        store: sends the requests.
        max_attempts: how often one request is sent at most.
        workers: ceiling of requests in flight, where no ``limiter`` is given.
        counts: counts the requests; a new one if none is given.
        limiter: requests in flight, shared by all stores of a session.
        bandwidth: the line that all stores of a session share, ``None`` for no limit.
        budget: the retries that all stores of a session share.
        profile: what is known of the endpoint; a new one if none is given.
        access: of the session, checked before every request and when credentials are refused.
        observer: takes every retry, and is that of the listings of the store.
        sleep: waits before a retry; a test injects its own.
        wrap_inner: wraps ``store`` below all the others, for the faults of tests.
    """
    if wrap_inner is not None:
        store = wrap_inner(store)
    counts = counts or RequestCounts()
    # Innermost, so that every attempt counts and nothing that only waits does.
    wrapped: ObjectStore = CountingStore(store, counts)
    # Around single attempts: a slot is held while a request is in flight, and the limit learns from the
    # outcome of each attempt.
    wrapped = LimitingStore(wrapped, limiter or ConcurrencyLimiter(workers))
    # Outside the limit, so that a body which waits for the line holds no slot; inside the retries, because
    # a body that is sent twice uses the line twice.
    if bandwidth is not None:
        wrapped = BandwidthStore(wrapped, bandwidth)
    # Outside the limit, because what replaces a request are requests of their own; inside the retries, which
    # ask again for single keys of a batch whichever way these are deleted.
    wrapped = QuirksStore(wrapped, profile or EndpointProfile())
    # Outermost, so that a retry which sleeps holds no slot either, and asks for one again like any other.
    return RetryingStore(
        wrapped, max_attempts, counts=counts, budget=budget, access=access, observer=observer, sleep=sleep
    )
