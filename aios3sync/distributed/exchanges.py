"""Exchanges messages with the nodes of a run: sends leases and stops, receives their use and their events."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Final

import anyio

from aios3sync.concurrency import Stop
from aios3sync.distributed.change_intake import ChangeIntake
from aios3sync.distributed.event_buffer import decoded
from aios3sync.distributed.leases import LeaseTable
from aios3sync.distributed.messages import Executor, NodeMessage, NodeReport, NodeSetup
from aios3sync.distributed.node import close_node, exchange
from aios3sync.errors import ClusterError
from aios3sync.events import EndpointKnown, Event, EventSink, NodesReported, Warned

__all__ = ("Exchanges",)

_INTERVAL_S: Final = 0.5
_NODES_S: Final = 2.0
"""Seconds after which the nodes of the cluster are requested again."""
_EVENTS: Final = 5000
"""Events of single keys that all nodes together may send between two exchanges; the others become counts."""
_LEAST_EVENTS: Final = 20
_ENDING: Final = 15
"""The signal for shards that still run when their coordinator ends."""


class Exchanges:
    """The exchanges of one run, several a second.

    Args:
        executor: carries them.
        setup: of the run.
        sink: takes the events.
        halt: what stops the run.
        workers: requests in flight, all nodes together.
        bandwidth: bytes a second, all nodes together; infinite for no limit.
        intake: takes the changes for the object index, where one follows the run.

    Attributes:
        nodes: that are there, as of the last look.
        lost: a node was there that is not any more.
    """

    def __init__(  # noqa: PLR0913 - the last two have defaults
        self,
        executor: Executor,
        setup: NodeSetup,
        sink: EventSink,
        halt: Stop,
        *,
        workers: int,
        bandwidth: float = math.inf,
        intake: ChangeIntake | None = None,
    ) -> None:
        self._executor = executor
        self._setup = setup
        self._sink = sink
        self._stop = halt
        self._workers = workers
        self._leases = LeaseTable(workers, bandwidth)
        self._said: set[Event] = set()
        self._most: int = max(getattr(sink, "single_events", _EVENTS), 0)
        self._looked = -math.inf
        self._wake, self._closed = anyio.Event(), anyio.Event()
        self._closing = False
        self._intake = intake
        self.nodes: Mapping[str, str] = {}
        self.lost = False

    async def run(self) -> None:
        """Exchange messages until :meth:`close`; run it as a task.

        An exchange is never cancelled halfway, because a node reports each count only once.
        """
        while not self._closing:
            await self.once()
            with anyio.move_on_after(_INTERVAL_S):
                await self._wake.wait()
                self._wake = anyio.Event()
        self._closed.set()

    def wake(self) -> None:
        """Exchange the next message now."""
        self._wake.set()

    async def close(self) -> None:
        """End :meth:`run`, which must have begun, and wait for its end."""
        self._closing = True
        self.wake()
        await self._closed.wait()

    async def end(self) -> None:
        """Stop all shards that still run, and close the nodes."""
        while await self.once(ending=True):  # noqa: ASYNC110 - the nodes are on other machines
            await anyio.sleep(_INTERVAL_S)
        await self._executor.ask(close_node, dict.fromkeys(self.nodes, self._setup.run))

    async def once(self, *, ending: bool = False) -> int:
        """Exchange one message with every connected node.

        Args:
            ending: request that running shards stop.

        Returns:
            How many shards the nodes work on.

        Raises:
            ClusterError: there are more nodes than requests may be in flight.
        """
        now = time.monotonic()
        if now - self._looked >= _NODES_S or ending:
            self._looked = now
            before, self.nodes = self.nodes, await self._executor.nodes()
            self.lost |= not before.keys() <= self.nodes.keys()
        nodes = self.nodes
        if len(nodes) > self._workers:
            raise ClusterError(
                f"{self._workers} requests may be in flight, and there are {len(nodes)} nodes; say --workers "
                f"{len(nodes)} or more, which counts for all of them together"
            )
        self._leases.keep(list(nodes))
        room = min(max(_EVENTS // max(len(nodes), 1), _LEAST_EVENTS), self._most)
        changes = 0 if self._intake is None else self._intake.room // max(len(nodes), 1)
        messages = {
            name: NodeMessage(
                setup=self._setup,
                lease=lease,
                stop=self._stop.signal or ending * _ENDING,
                events=room,
                changes=changes,
            )
            for name, lease in self._leases.renew().items()
        }
        reports = await self._executor.ask(exchange, messages)
        counts: dict[str, int] = {}
        for name, report in reports.items():
            self._leases.report(name, report.use)
            self._take_events(report)
            for counter, number in report.counts.items():
                counts[counter] = counts.get(counter, 0) + number
        self._sink(NodesReported(len(nodes), counts))
        if self._intake is not None:
            await self._intake.take([sent for report in reports.values() for sent in report.changes])
        return sum(report.use.active for report in reports.values())

    def _take_events(self, report: NodeReport) -> None:
        for kind, fields in report.events:
            event = decoded(kind, fields)
            if isinstance(event, Warned | EndpointKnown):  # each shard says so by itself
                if event in self._said:
                    continue
                self._said.add(event)
            self._sink(event)
