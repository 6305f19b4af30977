"""The couriers of one run: started when they are worth it, given up when they are of no use."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import anyio
from anyio import to_thread

from aios3sync.processes.messages import (
    KIND,
    OTHER_CHARSET,
    RECALLED,
    ROUTE,
    SLOW,
    UNSENT,
    HeaderTemplateMessage,
    RouteMessage,
    Told,
    Undone,
)
from aios3sync.processes.protocol import Delivered, UploadJob, UploadResult
from aios3sync.processes.worker import WorkerProcess
from aios3sync.store.protocol import PutOptions, PutResult
from aios3sync.store.s3.errors import other_bytes
from aios3sync.store.wire.requests import InvalidRequestError, metadata_values, put_shape
from aios3sync.store.wire.store import WireStore
from aios3sync.store.wire.tls import Trust
from aios3sync.store.wire.transport import BucketRoute
from aios3sync.store.wrappers.limit import ConcurrencyLimiter
from aios3sync.store.wrappers.metrics import RequestCounts

__all__ = ("ProcessPool",)

_LOG: Final = logging.getLogger(__name__)
_WORTH: Final = 2048
"""Parcels that one courier gets before a further one is started."""
_PATIENCE: Final = 64
"""Parcels that may come back before it is asked whether couriers are of any use."""
_USELESS: Final = 0.2
_REFUSED: Final = frozenset({400, 401, 403})


class ProcessPool:
    """Sends small files in processes of their own.

    Args:
        store: of the bucket; tells how it is reached.
        limiter: requests in flight, shared with everything else.
        counts: where their requests are counted.
        most: how many processes.
    """

    def __init__(
        self, store: WireStore, limiter: ConcurrencyLimiter, counts: RequestCounts, most: int
    ) -> None:
        self._store = store
        self._limiter = limiter
        self._counts = counts
        self._most = self._ceiling = most
        self._until_rerouted = False
        self._links: list[WorkerProcess] = []
        self._starting = anyio.Lock()
        self._kinds: list[HeaderTemplateMessage] = []
        self._route: BucketRoute | None = None
        self._trust: Trust | None = None
        self._handed = self._back = 0

    def kind(
        self, options: PutOptions, mtime_name: str, *, md5_name: str = "", utf8: bool = False
    ) -> int | None:
        """See :meth:`~aios3sync.processes.protocol.Offloader.kind`."""
        if options.checksum or options.if_match or options.if_none_match:
            return None
        try:
            shape = put_shape(options)
        except InvalidRequestError:
            return None  # the usual way says of which file, and why
        names = sorted({name.lower() for name in options.metadata})
        mtime, md5 = names.index(mtime_name), names.index(md5_name) if md5_name else -1
        number = len(self._kinds)
        constant = dict(shape.constant)
        values = metadata_values(options.metadata)
        kind = HeaderTemplateMessage(number, constant, shape.varying, values, mtime, md5, utf8)
        self._kinds.append(kind)
        for link in self._links:
            link.tell((KIND, *kind))
        return number

    async def deliver(self, jobs: Sequence[UploadJob], delivered: Delivered) -> list[int]:
        """See :meth:`~aios3sync.processes.protocol.Offloader.deliver`."""
        everything = [*range(len(jobs))]
        route = await self._store.route("PutObject")
        if route is not self._route:
            self._route = route
            if self._until_rerouted:
                self._most, self._back, self._until_rerouted = self._ceiling, 0, False
            for each in self._links:
                each.tell(self._route_message(route))
        link = await self._link(route)
        if link is None:
            return everything
        back: list[int] = []

        def settle(place: int, told: Told | Undone) -> None:
            if not self._arrived(jobs[place], told, place, delivered):
                back.append(place)

        self._handed += len(jobs)
        if not await link.hand_over(jobs, self._store.lane.skew, settle):
            self._handed -= len(jobs)
            return everything
        return back

    def cancel_pending(self) -> None:
        """See :meth:`~aios3sync.processes.protocol.Offloader.cancel_pending`."""
        for link in self._links:
            link.cancel_pending()

    async def aclose(self) -> None:
        """End the processes."""
        self._most, self._until_rerouted = 0, False
        links, self._links = self._links, []
        async with anyio.create_task_group() as closing:  # each may have to be waited for
            for link in links:
                closing.start_soon(link.aclose)

    def _arrived(self, job: UploadJob, told: Told | Undone, place: int, delivered: Delivered) -> bool:
        """Count a job, and hand its receipt on if it is stored as it was sent."""
        if len(told) == 6:
            _, md5, started, etag, encryption, version = told
            result = PutResult(etag, encryption, version)
            self._counts.requests["PutObject"] += 1
            self._counts.bytes_sent += job.size
            if not other_bytes(result, md5, opaque=self._store.capabilities.opaque_etags):
                delivered(place, UploadResult(md5, started, result))
                return True
            status, reason, sent = 200, "other bytes", True
        else:
            _, status, reason = told
            sent = status != UNSENT
            self._counts.requests["PutObject"] += sent
        self._counts.retries += sent
        self._came_back(reason, refused=status in _REFUSED)
        return False

    def _came_back(self, reason: str, *, refused: bool) -> None:
        """Where many come back, everything is done twice: no more are handed over.

        What is refused may be so until the session has learnt how to ask, and with which credentials: another
        route is tried again.
        """
        self._back += reason not in (OTHER_CHARSET, RECALLED)
        many = self._back > _PATIENCE and self._back > _USELESS * self._handed
        if self._most and (many or reason == SLOW):
            _LOG.debug("no more files are sent by processes of their own: %s", reason)
            self._most = 0
            self._until_rerouted = refused and reason != SLOW
            self.cancel_pending()

    async def _link(self, route: BucketRoute) -> WorkerProcess | None:
        """The courier that has least to do; a new one where that is worth it."""
        if len(self._links) < self._wanted and (not self._links or not self._starting.locked()):
            async with self._starting:  # who has none to go to yet waits for the first
                if len(self._links) < self._wanted:
                    await self._start(route)
        alive = [link for link in self._links if link.alive] if self._most else []
        return min(alive, key=lambda link: link.load, default=None)

    @property
    def _wanted(self) -> int:
        return min(self._most, 1 + self._handed // _WORTH)

    async def _start(self, route: BucketRoute) -> None:
        if route.address.secure and self._trust is None:
            self._trust = await to_thread.run_sync(self._store.lane.trust)
        try:
            link = await WorkerProcess.start(self._limiter, self._share)
        except (OSError, RuntimeError) as error:  # the latter where the loop cannot watch children
            _LOG.debug("files are not sent by processes of their own: %s", error)
            self._most = 0
            return
        link.tell(self._route_message(self._route or route))
        for kind in self._kinds:
            link.tell((KIND, *kind))
        self._links.append(link)

    def _share(self) -> int:
        """How many requests each courier may have under way."""
        return -(-self._limiter.limit // max(1, len(self._links)))

    def _route_message(self, route: BucketRoute) -> tuple[object, ...]:
        address, signer, limits = route.address, route.heads.signer, self._store.lane.limits
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
            trust=(*self._trust,) if address.secure and self._trust else None,
            connect=limits.connect,
            read=limits.read,
        )
        return (ROUTE, *message)
