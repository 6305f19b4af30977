"""The upload processes of one run: started when they are worth it, given up when many jobs are returned."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import anyio
from anyio import to_thread

from aios3sync.processes.messages import (
    CANCELLED,
    HEADER_TEMPLATE,
    NOT_UTF8,
    ROUTE,
    SLOW_STORAGE,
    UNSENT,
    HeaderTemplateMessage,
    ReturnedJob,
    RouteMessage,
    StoredJob,
)
from aios3sync.processes.protocol import OnStored, UploadJob, UploadResult
from aios3sync.processes.worker import WorkerProcess
from aios3sync.store.protocol import PutOptions, PutResult
from aios3sync.store.s3.errors import other_bytes
from aios3sync.store.wire.requests import InvalidRequestError, metadata_values, put_template
from aios3sync.store.wire.store import WireStore
from aios3sync.store.wire.tls import TrustedAuthorities
from aios3sync.store.wire.transport import BucketRoute
from aios3sync.store.wrappers.limit import ConcurrencyLimiter
from aios3sync.store.wrappers.metrics import RequestCounts

__all__ = ("ProcessPool",)

_LOG: Final = logging.getLogger(__name__)
_JOBS_PER_PROCESS: Final = 2048
"""Jobs that are submitted before a further process is started."""
_MIN_RETURNED: Final = 64
"""Jobs that may be returned before the rate of returned jobs counts."""
_MAX_RETURN_RATE: Final = 0.2
"""The share of returned jobs, above which the processes are given up."""
_REFUSED: Final = frozenset({400, 401, 403})


class ProcessPool:
    """Sends small files in upload processes: an :class:`~aios3sync.processes.protocol.Offloader`.

    Args:
        store: of the bucket; its route is that of the processes.
        limiter: requests in flight, shared with all other requests of the session.
        counts: where the requests of the processes are counted.
        most: how many processes.
    """

    def __init__(
        self, store: WireStore, limiter: ConcurrencyLimiter, counts: RequestCounts, most: int
    ) -> None:
        self._store = store
        self._limiter = limiter
        self._counts = counts
        self._most = self._ceiling = most
        self._paused_until_rerouted = False
        self._workers: list[WorkerProcess] = []
        self._starting = anyio.Lock()
        self._templates: list[HeaderTemplateMessage] = []
        self._route: BucketRoute | None = None
        self._authorities: TrustedAuthorities | None = None
        self._submitted = self._returned = 0

    def header_template(
        self, options: PutOptions, mtime_name: str, *, md5_name: str = "", utf8: bool = False
    ) -> int | None:
        """See :meth:`~aios3sync.processes.protocol.Offloader.header_template`."""
        if options.checksum or options.if_match or options.if_none_match:
            return None
        try:
            shared = put_template(options)
        except InvalidRequestError:
            return None  # this process sends the file, and reports which one and why
        names = sorted({name.lower() for name in options.metadata})
        mtime, md5 = names.index(mtime_name), names.index(md5_name) if md5_name else -1
        number = len(self._templates)
        constant = dict(shared.constant)
        values = metadata_values(options.metadata)
        template = HeaderTemplateMessage(number, constant, shared.varying, values, mtime, md5, utf8)
        self._templates.append(template)
        for worker in self._workers:
            worker.send((HEADER_TEMPLATE, *template))
        return number

    async def upload(self, jobs: Sequence[UploadJob], on_stored: OnStored) -> list[int]:
        """See :meth:`~aios3sync.processes.protocol.Offloader.upload`."""
        everything = [*range(len(jobs))]
        route = await self._store.route("PutObject")
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

        def settle(position: int, result: StoredJob | ReturnedJob) -> None:
            if not self._settle(jobs[position], result, position, on_stored):
                returned.append(position)

        self._submitted += len(jobs)
        if not await worker.submit(jobs, self._store.transport.skew, settle):
            self._submitted -= len(jobs)
            return everything
        return returned

    def cancel_pending(self) -> None:
        """See :meth:`~aios3sync.processes.protocol.Offloader.cancel_pending`."""
        for worker in self._workers:
            worker.cancel_pending()

    async def aclose(self) -> None:
        """End the processes."""
        self._most, self._paused_until_rerouted = 0, False
        workers, self._workers = self._workers, []
        async with anyio.create_task_group() as closing:  # each may take until its grace ends
            for worker in workers:
                closing.start_soon(worker.aclose)

    def _settle(
        self, job: UploadJob, result: StoredJob | ReturnedJob, position: int, on_stored: OnStored
    ) -> bool:
        """Count a job, and report it if its object is stored as it was sent; return whether it is."""
        if len(result) == 6:
            _, md5, started_ns, etag, encryption, version = result
            put = PutResult(etag, encryption, version)
            self._counts.requests["PutObject"] += 1
            self._counts.bytes_sent += job.size
            if not other_bytes(put, md5, opaque=self._store.capabilities.opaque_etags):
                on_stored(position, UploadResult(md5, started_ns, put))
                return True
            status, reason, sent = 200, "other bytes", True
        else:
            _, status, reason = result
            sent = status != UNSENT
            self._counts.requests["PutObject"] += sent
        self._counts.retries += sent
        self._note_returned(reason, refused=status in _REFUSED)
        return False

    def _note_returned(self, reason: str, *, refused: bool) -> None:
        """Count a returned job; where many are returned all work is done twice, and no more are submitted.

        A refusal may end once the session knows the right region, clock or credentials: on another route the
        processes are tried again.
        """
        self._returned += reason not in (NOT_UTF8, CANCELLED)
        many = self._returned > _MIN_RETURNED and self._returned > _MAX_RETURN_RATE * self._submitted
        if self._most and (many or reason == SLOW_STORAGE):
            _LOG.debug("no more files are sent by processes of their own: %s", reason)
            self._most = 0
            self._paused_until_rerouted = refused and reason != SLOW_STORAGE
            self.cancel_pending()

    async def _least_loaded(self, route: BucketRoute) -> WorkerProcess | None:
        """Return the process that holds the fewest jobs; start one more where that is worth it."""
        if len(self._workers) < self._wanted and (not self._workers or not self._starting.locked()):
            async with self._starting:  # while there is no process at all, everyone waits for the first
                if len(self._workers) < self._wanted:
                    await self._start(route)
        alive = [worker for worker in self._workers if worker.alive] if self._most else []
        return min(alive, key=lambda worker: worker.pending, default=None)

    @property
    def _wanted(self) -> int:
        """How many processes the jobs so far are worth."""
        return min(self._most, 1 + self._submitted // _JOBS_PER_PROCESS)

    async def _start(self, route: BucketRoute) -> None:
        if route.address.secure and self._authorities is None:
            self._authorities = await to_thread.run_sync(self._store.transport.authorities)
        try:
            worker = await WorkerProcess.start(self._limiter, self._share)
        except (OSError, RuntimeError) as error:  # the latter where the loop cannot watch children
            _LOG.debug("files are not sent by processes of their own: %s", error)
            self._most = 0
            return
        worker.send(self._route_message(self._route or route))
        for template in self._templates:
            worker.send((HEADER_TEMPLATE, *template))
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
            user_agent=address.user_agent,
            host=address.host,
            port=address.port,
            authorities=(*self._authorities,) if address.secure and self._authorities else None,
            connect=limits.connect,
            read=limits.read,
        )
        return (ROUTE, *message)
