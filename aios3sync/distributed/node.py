"""Node: one process that works on the shards of a run, on an event loop in a thread of its own.

The executor calls the three functions of this module, each in a thread of its own: :func:`run_step` does one
step of one shard, :func:`exchange` takes a message of the coordinator while steps run, :func:`close_node`
ends the node. The connections and the facts about the endpoint are kept from shard to shard.

A coordinator that dies sends no last message: after a minute without one the shards end in an orderly way,
and the node closes by itself.
"""

from __future__ import annotations

import asyncio
import gc
import math
import threading
import time
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from aios3sync._dataclass import replace
from aios3sync.concurrency import Stop, first_error
from aios3sync.core.keys import SCHEME
from aios3sync.distributed.bucket_steps import NodeShards, run_bucket_step
from aios3sync.distributed.event_buffer import EventBuffer
from aios3sync.distributed.leases import Lease, NodeUse
from aios3sync.distributed.messages import (
    AttemptChanges,
    NodeMessage,
    NodeReport,
    NodeSetup,
    ShardOutcome,
    ShardTask,
)
from aios3sync.distributed.steps import ResourcesOf, run_shard_step
from aios3sync.distributed.tokens import look, verify
from aios3sync.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ClusterError,
    LockedError,
    UsageError,
)
from aios3sync.events import discard
from aios3sync.options import ConnectOptions
from aios3sync.processes.available import most_processes
from aios3sync.stores import Stores, resources_of
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.transfers.memory import ByteSemaphore

if TYPE_CHECKING:
    from aios3sync.distributed.change_buffer import ChangeBuffer, ChangeSink

__all__ = ("close_node", "exchange", "run_step")

_RARELY: Final = (50_000, 20, 50)
"""Thresholds of the garbage collector, as of the command line: the objects of a sync form no cycles."""
_ORPHANED_S: Final = 60.0
"""Seconds without a message after which the coordinator counts as gone."""
_FINAL: Final = (UsageError, AccessDeniedError, BucketNotFoundError, LockedError)
"""Errors that would occur on every node."""
_TERMINATED: Final = 15

_nodes: Final[dict[str, Node]] = {}
_opening: Final = threading.Lock()


def run_step(task: ShardTask) -> ShardOutcome:
    """Do one step of a shard and return its outcome. Blocks until then.

    Raises:
        AioS3SyncError: it failed in a way that may not happen on another node.
    """
    node = _node_of(task.setup)
    node.check()
    return node.call(task)


async def exchange(message: NodeMessage) -> NodeReport:
    """Take a message and return a report, without waiting for any work."""
    return await _node_of(message.setup).exchange(message)


def close_node(run: str) -> None:
    """End the node of a run, if there is one: its connections are closed in the background."""
    with _opening:
        node = _nodes.pop(run, None)
    if node is not None:
        node.close()


def _node_of(setup: NodeSetup) -> Node:
    with _opening:
        if setup.run not in _nodes:
            _nodes[setup.run] = Node(setup)
        return _nodes[setup.run]


def _connection(setup: NodeSetup, options: ConnectOptions) -> ConnectOptions:
    """Return the options for this node: upload processes share the cores with its neighbours."""
    return replace(options, processes=most_processes(options, setup.neighbours))


class Node:
    """The work of one process for one run. Its coroutines run on its own loop, other methods anywhere."""

    def __init__(self, setup: NodeSetup) -> None:
        self._setup = setup
        self._loop = _new_loop()
        self._closing = AsyncExitStack()
        self._lease = Lease()
        self._usable = asyncio.Event()
        self._stops: set[Stop] = set()
        self._stopped = 0
        self._events = EventBuffer()
        self._changes = _change_buffer(setup)
        self._heard = time.monotonic()
        self._reported = (time.monotonic(), 0, 0)
        self._ended = asyncio.Event()
        self._checked = False
        connect = _connection(setup, setup.connect)
        self._stores = Stores(connect, self._closing)
        self._shards = NodeShards(self._stores, self._closing)
        self._source: Stores | None = None
        if setup.source_connect is not None:
            self._source = Stores(_connection(setup, setup.source_connect), self._closing)
        self._memory = ByteSemaphore(connect.memory)
        self._thread = threading.Thread(target=self._work, name="aios3sync-node", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Make sure, once, that this process sees what the coordinator sees. Blocks.

        Raises:
            ClusterError: it sees something else.
        """
        if not self._checked:
            sight = look(self._setup.tokens)
            verify(self._setup.tokens, {"": sight}, {"": sight.machine})
            if self._stores.endpoint != self._setup.endpoint:
                raise ClusterError(
                    f"the worker on {sight.machine} would ask {self._stores.endpoint}, and this run is about "
                    f"{self._setup.endpoint}: unset AWS_ENDPOINT_URL there, or give the same to both"
                )
            self._checked = True

    def call(self, task: ShardTask) -> ShardOutcome:
        """Do one step of a shard on the loop of the node, and wait for it. Blocks."""
        return asyncio.run_coroutine_threadsafe(self.run(task), self._loop).result()

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        thresholds = gc.get_threshold()
        gc.set_threshold(*_RARELY)
        try:
            self._loop.run_until_complete(self._live())
        finally:
            gc.set_threshold(*thresholds)
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _live(self) -> None:
        """Keep the connections until the node is closed, or the coordinator is gone and all shards ended."""
        async with self._closing:
            while not self._ended.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), _ORPHANED_S / 10)
                if time.monotonic() - self._heard > _ORPHANED_S and not self._ended.is_set():
                    self._stop(_TERMINATED)
                    if not self._stops:
                        _forget(self._setup.run, self)
                        return
            for access in filter(None, (self._stores, self._source)):
                access.access.close()

    def close(self) -> None:
        """End the loop once its connections are closed."""
        with suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._ended.set)

    async def exchange(self, message: NodeMessage) -> NodeReport:
        """See :func:`exchange`; it is awaited on a loop other than the node's."""
        self._heard = time.monotonic()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._take(message), self._loop))

    async def _take(self, message: NodeMessage) -> NodeReport:
        if message.lease != self._lease:
            self._set_lease(message.lease)
        if message.stop:
            self._stop(message.stop)
        counts, events = self._events.take(message.events)
        changes = [] if self._changes is None else self._changes.take(message.changes)
        return NodeReport(use=self._use(), counts=counts, events=events, changes=changes)

    def _set_lease(self, lease: Lease) -> None:
        self._lease = lease
        if lease.workers:
            self._stores.limiter.resize(lease.workers)
            if self._source is not None:
                self._source.limiter.resize(lease.workers)
        self._stores.limiter.limit_rate(lease.rate)
        if self._stores.bandwidth is not None and 0 < lease.bandwidth < math.inf:
            self._stores.bandwidth.rate = lease.bandwidth
        if lease.is_usable:
            self._usable.set()

    def _use(self) -> NodeUse:
        limiter, line, now = self._stores.limiter, self._stores.bandwidth, time.monotonic()
        before, successes, booked = self._reported
        self._reported = (now, limiter.successes, 0 if line is None else line.booked)
        seconds = max(now - before, 1e-3)
        return NodeUse(
            self._lease.number,
            len(self._stops),
            limiter.in_flight,
            limiter.waiting,
            limiter.limit,
            (self._reported[2] - booked) / seconds,
            (self._reported[1] - successes) / seconds,
            limiter.start_rate,
        )

    def _stop(self, signal: int) -> None:
        self._stopped = signal
        for stop in self._stops:
            stop.request(signal)
        self._usable.set()

    async def run(self, task: ShardTask) -> ShardOutcome:
        """Do one step of a shard on the loop."""
        self._heard = time.monotonic()
        stop = Stop()
        if self._stopped:
            stop.request(self._stopped)
        self._stops.add(stop)
        sink = None if self._changes is None else self._changes.of_attempt(task.request)
        try:
            await self._usable.wait()
            outcome = await self._step(task, partial(self._resources, stop, sink))
            return replace(outcome, changes=self._changes_of(sink))
        except Exception as error:  # noqa: BLE001 - it is raised below, or is the outcome
            cause = error
        finally:
            self._stops.discard(stop)
        failure = sendable(cause)
        if isinstance(failure, _FINAL) or stop.signal:
            return ShardOutcome(number=task.number, error=failure, changes=self._changes_of(sink))
        raise failure

    def _changes_of(self, sink: ChangeSink | None) -> AttemptChanges | None:
        return None if self._changes is None or sink is None else self._changes.ended(sink)

    async def _step(self, task: ShardTask, resources_of: ResourcesOf) -> ShardOutcome:
        place = task.file.directory
        if not place.startswith(SCHEME):
            return await run_shard_step(task, resources_of)
        outcome = await run_bucket_step(task, await self._shards.opened(place), resources_of)
        return replace(outcome, requests=self._shards.new_requests())

    def _resources(
        self, stop: Stop, changes: ChangeSink | None, request: SyncRequest, attempt: int
    ) -> Resources:
        source = None if request.source_location is None else self._source or self._stores
        sink = self._events.of_shard() if self._setup.wants_events else discard
        resources = resources_of(request, self._stores, source, self._memory, sink)
        if self._setup.inspect is not None and self._setup.inspected is not None:
            inspect, inspected = self._setup.inspect, self._setup.inspected
            resources = replace(resources, inspect=inspect, inspected=inspected)
        if changes is not None:
            changes.number = attempt
            resources = replace(resources, outcome_sinks=(changes,))
        return replace(resources, stop=stop, workers=self._setup.connect.workers)


def _change_buffer(setup: NodeSetup) -> ChangeBuffer | None:
    """Return what keeps the changes of a run that an index follows; ``None`` for others."""
    if not setup.follows:
        return None
    from aios3sync.distributed.change_buffer import ChangeBuffer

    return ChangeBuffer()


def sendable(error: Exception) -> Exception:
    """Return an error without its causes.

    A cause may be of a class that cannot be pickled; Dask then sends an exception without a class of ours.
    """
    cause = first_error(error)
    assert isinstance(cause, Exception)  # noqa: S101 - as the group is one of exceptions
    cause.__cause__ = cause.__context__ = None
    return cause.with_traceback(None)


def _forget(run: str, node: Node) -> None:
    with _opening:
        if _nodes.get(run) is node:
            del _nodes[run]


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop()
    return new_event_loop()
