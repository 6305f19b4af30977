"""JobPool: the common part of the pools of upload and download processes.

Processes are started when that is worth it, and ended when many jobs are returned.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio
from anyio import to_thread

from aios3sync.errors import ThrottledError, UnavailableError
from aios3sync.processes.messages import (
    CANCELLED,
    NOT_UTF8,
    RETURNED,
    ROUTE,
    SLOW_STORAGE,
    UNSENT,
    RouteMessage,
)
from aios3sync.processes.worker import SLOW_DOWN, ProcessJob, WorkerProcess
from aios3sync.store.observer import ObservedRequest, Observer
from aios3sync.store.s3.errors import ETAG_MISMATCH
from aios3sync.store.wire.store import WireStore
from aios3sync.store.wire.tls import TrustedAuthorities
from aios3sync.store.wire.transport import BucketRoute
from aios3sync.store.wrappers.limit import ConcurrencyLimiter
from aios3sync.store.wrappers.metrics import RequestCounts, RetryDetails

__all__ = ("JobPool",)

_LOG: Final = logging.getLogger(__name__)
_JOBS_PER_PROCESS: Final = 2048
"""Jobs that are submitted before a further process is started."""
_MIN_RETURNED: Final = 64
"""Jobs that may be returned before the rate of returned jobs counts."""
_MAX_RETURN_RATE: Final = 0.2
"""The share of returned jobs above which the processes are not used any further."""
_REFUSED: Final = frozenset({400, 401, 403})


class JobPool:
    """The processes of one run that work on jobs of one type.

    Args:
        store: of the bucket; the processes use its route.
        limiter: requests in flight, shared with all other requests of the session.
        counts: takes the requests of the processes.
        most: the largest number of processes.
        program: the module whose ``main`` a process runs.
        operation: the S3 operation of its requests.
        observer: takes the requests and retries; ``None`` for no observer.
    """

    def __init__(  # noqa: PLR0913 - what the session lends, and the kind of the jobs
        self,
        store: WireStore,
        limiter: ConcurrencyLimiter,
        counts: RequestCounts,
        most: int,
        *,
        program: str,
        operation: str,
        observer: Observer | None = None,
    ) -> None:
        self._observer = observer
        self._store = store
        self._limiter = limiter
        self._counts = counts
        self._program = program
        self._operation = operation
        self._most = self._ceiling = most
        self._paused_until_rerouted = False
        self._workers: list[WorkerProcess] = []
        self._starting = anyio.Lock()
        self._setup: list[tuple[object, ...]] = []
        self._route: BucketRoute | None = None
        self._authorities: TrustedAuthorities | None = None
        self._submitted = self._returned = 0

    def _set_up(self, message: tuple[object, ...]) -> None:
        """Send a message to every process, including those that are started later."""
        self._setup.append(message)
        for worker in self._workers:
            worker.send(message)

    async def _submit(
        self, jobs: Sequence[ProcessJob], settle: Callable[[int, tuple[Any, ...]], bool]
    ) -> list[int]:
        """Pass jobs to processes; return the positions of those that were not done.

        Args:
            jobs: of the type of this pool.
            settle: called with the position and the result of each job; returns whether it is done.
        """
        everything = [*range(len(jobs))]
        route = await self._store.route(self._operation)
        if route is not self._route:
            self._route = route
            if self._paused_until_rerouted:
                self._most, self._returned, self._paused_until_rerouted = self._ceiling, 0, False
            for each in self._workers:
                each.send(self._route_message(route))
        worker = await self._least_loaded(route)
        if worker is None:
            return everything
        returned: list[int] = []

        def on_settled(position: int, result: tuple[Any, ...]) -> None:
            if not settle(position, result):
                returned.append(position)

        self._submitted += len(jobs)
        if not await worker.submit(jobs, self._store.transport.skew, on_settled):
            self._submitted -= len(jobs)
            return everything
        return returned

    def _note_result(self, key: str, result: tuple[Any, ...], *, done: bool) -> None:
        """Count the request of a job that was done, or was returned: then this process sends it again."""
        if self._observer is not None:
            self._observe(self._observer, key, result)
        if len(result) != RETURNED:
            self._counts.requests[self._operation] += 1
            if not done:
                self._retry(key, ETAG_MISMATCH, 200)
                self._note_returned("other bytes", refused=False)
            return
        _, status, reason, _ = result
        if status != UNSENT:
            self._counts.requests[self._operation] += 1
            self._retry(key, reason if status else "ConnectionLost", status)
        self._note_returned(reason, refused=status in _REFUSED)

    def _retry(self, key: str, code: str, status: int) -> None:
        facts: dict[str, Any] = {"bucket": self._store.bucket, "key": key, "code": code, "status": status}
        kind = ThrottledError if status in SLOW_DOWN else UnavailableError
        error = kind("a process returned it", operation=self._operation, **facts)
        _LOG.debug("%s s3://%s/%s is sent again: %s", self._operation, self._store.bucket, key, code)
        retry = RetryDetails(1, 0.0, error)
        self._counts.retry(retry)
        if self._observer is not None:
            self._observer.retry(retry)

    def _observe(self, observer: Observer, key: str, result: tuple[Any, ...]) -> None:
        """Report the request of a job to the observer, if one was sent."""
        status, cause, seconds = 200, "", result[-1]
        if len(result) == RETURNED:
            status, cause = result[1], "" if result[1] else "ConnectionLost"
        if status != UNSENT:
            place = (self._operation, self._store.bucket, key)
            observer.request(ObservedRequest(*place, status, cause, seconds))

    def cancel_pending(self) -> None:
        """Have all jobs returned that have not begun."""
        for worker in self._workers:
            worker.cancel_pending()

    async def aclose(self) -> None:
        """End the processes."""
        self._most, self._paused_until_rerouted = 0, False
        workers, self._workers = self._workers, []
        async with anyio.create_task_group() as closing:  # each may take until its grace ends
            for worker in workers:
                closing.start_soon(worker.aclose)

    def _note_returned(self, reason: str, *, refused: bool) -> None:
        """Count a returned job; if many are returned, work is done twice, so no more jobs are submitted.

        Refusals may end once the session knows the right region, clock or credentials: on a new route the
        processes are tried again.
        """
        self._returned += reason not in (NOT_UTF8, CANCELLED)
        many = self._returned > _MIN_RETURNED and self._returned > _MAX_RETURN_RATE * self._submitted
        if self._most and (many or reason == SLOW_STORAGE):
            _LOG.debug("no more files are left to processes of their own: %s", reason)
            self._most = 0
            self._paused_until_rerouted = refused and reason != SLOW_STORAGE
            self.cancel_pending()

    async def _least_loaded(self, route: BucketRoute) -> WorkerProcess | None:
        """Return the process with the fewest jobs; start another one where that is worth it."""
        if len(self._workers) < self._wanted and (not self._workers or not self._starting.locked()):
            async with self._starting:  # while there is no process at all, everyone waits for the first
                if len(self._workers) < self._wanted:
                    await self._start(route)
        alive = [worker for worker in self._workers if worker.alive] if self._most else []
        return min(alive, key=lambda worker: worker.pending, default=None)

    @property
    def _wanted(self) -> int:
        """How many processes are worth it for the jobs so far."""
        return min(self._most, 1 + self._submitted // _JOBS_PER_PROCESS)

    async def _start(self, route: BucketRoute) -> None:
        if route.address.secure and self._authorities is None:
            self._authorities = await to_thread.run_sync(self._store.transport.authorities)
        try:
            worker = await WorkerProcess.start(self._program, self._limiter, self._share)
        except (OSError, RuntimeError) as error:  # the latter where the loop cannot watch children
            _LOG.debug("no files are left to processes of their own: %s", error)
            self._most = 0
            return
        worker.send(self._route_message(self._route or route))
        for message in self._setup:
            worker.send(message)
        self._workers.append(worker)

    def _share(self) -> int:
        """Return how many requests each process may have in flight."""
        return -(-self._limiter.limit // max(1, len(self._workers)))

    def _route_message(self, route: BucketRoute) -> tuple[object, ...]:
        address, signer, limits = route.address, route.heads.signer, self._store.transport.limits
        credentials = signer.credentials
        message = RouteMessage(
            access_key=credentials.access_key,
            secret_key=credentials.secret_key,
            token=credentials.token,
            region=signer.region,
            service=signer.service,
            authority=address.authority,
            root=address.root,
            user_agent=route.heads.user_agent,
            host=address.host,
            port=address.port,
            authorities=(*self._authorities,) if address.secure and self._authorities else None,
            connect=limits.connect,
            read=limits.read,
        )
        return (ROUTE, *message)
