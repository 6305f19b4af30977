"""Leases divide the limits of a run among its nodes, again and again while shards run. Pure: no clock.

The coordinator owns the numbers: requests in flight (``--workers``), bytes a second (``--bwlimit``), and the
requests that may start in a second, once a node has received SlowDown. Each node keeps to its lease, and
reports the number of the lease and how much of it is in use. What one node does not use is given to nodes
that use their whole lease.

Invariant: the leases in force never add up to more than the whole, whatever messages are in flight. A lease
grows only by what is free; what another node has to give up is free only once that node has reported the
smaller lease, and no more requests in flight than it allows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from aios3sync._dataclass import dataclass, field
from aios3sync._namedtuple import NamedTuple

__all__ = ("Lease", "LeaseTable", "NodeUse", "divided")

_BUSY: Final = 0.75
"""A node that uses more of its lease than this could use more than the lease."""
_LEAST_SHARE: Final = 20.0
"""Each node gets at least an equal share of the bandwidth divided by this: its bodies do not wait long."""
_HEADROOM: Final = 1.25
"""A node that does not use its lease gets this many times what it uses."""


class Lease(NamedTuple):
    """What one node may use; at first nothing, so the node waits.

    Attributes:
        number: counts the leases of a node.
        workers: requests in flight.
        bandwidth: bytes of bodies in a second; infinite where there is no limit.
        rate: requests that may start in a second; infinite where no node has received SlowDown.
    """

    number: int = 0
    workers: int = 0
    bandwidth: float = 0.0
    rate: float = math.inf

    @property
    def is_usable(self) -> bool:
        """Whether the node may begin."""
        return self.workers > 0 and self.bandwidth > 0


class NodeUse(NamedTuple):
    """What one node uses, according to a report.

    Attributes:
        number: of the lease that it has.
        active: shards that it works on.
        in_flight, waiting: requests that are in flight, and that wait for a slot.
        limit: how many requests in flight the node has found to be useful; no more than its lease.
        bandwidth: bytes a second since the report before.
        rate: requests a second that succeeded since then.
        learnt: the rate that it has learnt from refusals; infinite where there were none for a while.
    """

    number: int = 0
    active: int = 0
    in_flight: int = 0
    waiting: int = 0
    limit: int = 0
    bandwidth: float = 0.0
    rate: float = 0.0
    learnt: float = math.inf


def divided(total: float, demands: Sequence[float], least: float = 0.0) -> list[float]:
    """Return the max-min fair shares: each gets its demand, or an equal part of what the others leave.

    Args:
        total: never exceeded, unless ``least`` for each adds up to more.
        demands: infinite for as much as possible.
        least: for each, whatever its demand.
    """
    shares = [0.0] * len(demands)
    left, number = total, len(demands)
    for place in sorted(range(len(demands)), key=lambda place: demands[place]):
        demand = max(demands[place], least)
        shares[place] = min(demand, max(left / number, least))
        left -= shares[place]
        number -= 1
    return shares


@dataclass(slots=True)
class _Node:
    """One node: the lease that was sent last, the leases that may be in force, and its use."""

    sent: Lease
    in_force: list[Lease]
    use: NodeUse = field(default_factory=NodeUse)

    def held_workers(self) -> int:
        """Return the most requests that it may have in flight now."""
        return max(self.use.in_flight, *(lease.workers for lease in self.in_force))


class LeaseTable:
    """The leases of all nodes of a run.

    Args:
        workers: requests in flight, all nodes together.
        bandwidth: bytes a second, all nodes together; infinite for no limit.
    """

    def __init__(self, workers: int, bandwidth: float = math.inf) -> None:
        self._workers = workers
        self._bandwidth = bandwidth
        self._nodes: dict[str, _Node] = {}

    def keep(self, names: Sequence[str]) -> None:
        """Add new nodes, and drop those that are not named."""
        for name in set(self._nodes).difference(names):
            del self._nodes[name]
        for name in names:
            self._nodes.setdefault(name, _Node(Lease(), [Lease()]))

    def report(self, name: str, use: NodeUse) -> None:
        """Take the report of a node."""
        if (node := self._nodes.get(name)) is not None:
            node.use = use
            node.in_force = [lease for lease in node.in_force if lease.number >= use.number] or [node.sent]

    def renew(self) -> dict[str, Lease]:
        """Return the lease of every node; one that differs from the last is to be sent at once."""
        nodes = list(self._nodes.values())
        workers = self._new_workers(nodes)
        bandwidths = self._new_bandwidths(nodes)
        rates = _rates(nodes)
        for node, slots, bandwidth, rate in zip(nodes, workers, bandwidths, rates, strict=True):
            lease = Lease(node.sent.number, slots, bandwidth, rate)
            if lease != node.sent:
                node.sent = lease._replace(number=node.sent.number + 1)
                node.in_force.append(node.sent)
        return {name: node.sent for name, node in self._nodes.items()}

    def _new_workers(self, nodes: Sequence[_Node]) -> list[int]:
        demands = [_demand_of(node, node.use.in_flight + node.use.waiting, node.use.limit) for node in nodes]
        wanted = [int(share) for share in _all_divided(self._workers, demands, 1.0)]
        spare = self._workers - sum(wanted)
        for place in range(len(wanted)):  # what rounding left
            if place < spare:
                wanted[place] += 1
        held = [node.held_workers() for node in nodes]
        return [int(share) for share in _granted(self._workers, held, wanted)]

    def _new_bandwidths(self, nodes: Sequence[_Node]) -> list[float]:
        if math.isinf(self._bandwidth):
            return [math.inf] * len(nodes)
        demands = [_demand_of(node, node.use.bandwidth, node.sent.bandwidth) for node in nodes]
        least = self._bandwidth / (_LEAST_SHARE * max(len(nodes), 1))
        held = [max(lease.bandwidth for lease in node.in_force) for node in nodes]
        return _granted(self._bandwidth, held, _all_divided(self._bandwidth, demands, least))


def _all_divided(total: float, demands: Sequence[float], least: float) -> list[float]:
    """Return fair shares that add up to the total: what no node demands is divided as well."""
    shares = divided(total, demands, least)
    spare = max(total - sum(shares), 0.0) / max(len(shares), 1)
    return [share + spare for share in shares]


def _granted(total: float, held: Sequence[float], wanted: Sequence[float]) -> list[float]:
    """Return what each node gets: a smaller lease at once, a larger one as far as something is free."""
    free = total - sum(held)
    granted = []
    for now, want in zip(held, wanted, strict=True):
        more = min(max(want - now, 0.0), max(free, 0.0))
        free -= more
        granted.append(min(want, now) + more)
    return granted


def _demand_of(node: _Node, used: float, lease: float) -> float:
    """Return how much a node could use: infinite if it uses its lease, else a little more than it uses."""
    if not node.use.active:
        return 0.0
    return math.inf if used >= _BUSY * lease or node.use.number < node.sent.number else used * _HEADROOM + 1.0


def _rates(nodes: Sequence[_Node]) -> list[float]:
    """Return the rates: the learnt rates, and what the other nodes reach, divided among all active nodes."""
    if all(math.isinf(node.use.learnt) for node in nodes):
        return [math.inf] * len(nodes)
    reached = [node.use.rate if math.isinf(node.use.learnt) else node.use.learnt for node in nodes]
    total = max(sum(reached), float(len(nodes)))
    return _all_divided(total, [_demand_of(node, node.use.rate, node.sent.rate) for node in nodes], 1.0)
