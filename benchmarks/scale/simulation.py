"""A sync on many nodes in slices of time: the real cut, leases and limiter, and a modelled S3.

S3 is modelled as its documentation describes it: each partition of the key space takes a number of writes a
second and refuses the rest; one that is asked for more for half an hour is split in two. Nodes take the next
shard when they are done with one. A node that dies is missed after a while; its shard begins again elsewhere,
where what was done is found by comparing it.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from aios3sync.distributed.leases import LeaseTable, NodeUse
from aios3sync.distributed.shards import cut, spread
from benchmarks.scale.limiter import SLICE_S, NodeLimiter
from benchmarks.scale.world import World

__all__ = ("Outcome", "Scenario", "simulate")

WRITES_A_SECOND = 3_500
"""Of one partition: https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"""
LATENCY_S = 0.1
"""Of a small object, as the same page has it: 100 to 200 ms."""
SPLIT_AFTER_S = 1_800.0
"""Partitions are split while requests go on; it takes 30 to 60 minutes
(https://repost.aws/knowledge-center/s3-object-key-naming-pattern, a comment of AWS)."""
NODE_A_SECOND = 10_600.0
"""Small files of one node: 94 microseconds of CPU each, see benchmarks/RESULTS.md."""
COMPARED_A_SECOND = 200_000.0
"""Objects of one node that are listed and compared: 5 microseconds each, see benchmarks/RESULTS.md."""
MISSED_AFTER_S = 300.0
"""A scheduler of Dask gives a worker up after so long without a sign (distributed.scheduler.worker-ttl)."""
_RENEW = 5
"""Slices from one renewal of the leases to the next."""
_SAMPLE_S = 20.0
_LONGEST_S = 10 * 86_400.0


@dataclass(frozen=True)
class Scenario:
    """What is simulated.

    Attributes:
        name: of it, for people.
        nodes: how many.
        shards_a_node: shards for each of them.
        partitions: of the bucket at the start.
        workers: requests in flight, all nodes together.
        key_order: hand the shards out in key order, not spread over the key space.
        slow: files a second of one of the nodes, 0 where none is slower than the others.
        dies_at: share of the work at which one of the nodes dies, 0 for never.
        seed: of the random numbers.
    """

    name: str = ""
    nodes: int = 128
    shards_a_node: int = 4
    partitions: int = 64
    workers: int = 10_000
    key_order: bool = False
    slow: float = 0.0
    dies_at: float = 0.0
    seed: int = 1


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        seconds: from start to end.
        shards: keys of each shard, in truth.
        uploaded: keys that were uploaded; each once.
        refused: requests that were answered with SlowDown.
        compared: keys that were compared again, because their node had died.
        accepted_rates, refused_rates: requests a second, a pair of time and rate for each sample.
        idle_from: when each node had no more work; of a dead one, when it died.
        partitions: at the end.
        events: what happened when.
    """

    scenario: Scenario
    seconds: float = 0.0
    shards: list[int] = field(default_factory=list)
    uploaded: int = 0
    refused: float = 0.0
    compared: int = 0
    accepted_rates: list[tuple[float, float]] = field(default_factory=list)
    refused_rates: list[tuple[float, float]] = field(default_factory=list)
    idle_from: list[float] = field(default_factory=list)
    partitions: int = 0
    events: list[tuple[float, str]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Uploads a second over the whole run."""
        return self.uploaded / self.seconds

    @property
    def imbalance(self) -> float:
        """How much heavier the heaviest shard is than an equal share."""
        return max(self.shards) * len(self.shards) / sum(self.shards)


@dataclass
class _Shard:
    """The places of a shard that are left, and how many of them are to be compared before the next upload."""

    place: int
    end: int
    begin: int = 0
    to_compare: float = 0.0


class _Node:
    """One node: its shard, its limiter and its share of a request that was not whole."""

    __slots__ = ("alive", "capacity", "idle_from", "limiter", "rest", "shard", "use", "wanted")

    def __init__(self, capacity: float) -> None:
        self.alive = True
        self.capacity = capacity
        self.idle_from = math.nan
        self.limiter = NodeLimiter(LATENCY_S)
        self.rest = 0.0
        self.shard: _Shard | None = None
        self.use = 0.0
        self.wanted = 0.0


class _Bucket:
    """The partitions of a bucket, by the places of their first keys; each saves up what one second allows."""

    def __init__(self, keys: int, partitions: int) -> None:
        self.keys = keys
        self.starts = [keys * number // partitions for number in range(partitions)]
        self._hot_for = [0.0] * partitions
        self._saved = [float(WRITES_A_SECOND)] * partitions

    def of(self, place: int) -> int:
        """Return the number of the partition that a place is in."""
        return bisect_right(self.starts, place) - 1

    def accepted_shares(self, asked: Sequence[float]) -> list[float]:
        """Return which share of what it is asked for in a slice each partition accepts."""
        shares = []
        for number, requests in enumerate(asked):
            saved = min(self._saved[number] + WRITES_A_SECOND * SLICE_S, float(WRITES_A_SECOND))
            accepted = min(requests, saved)
            self._saved[number] = saved - accepted
            shares.append(accepted / requests if requests else 1.0)
        return shares

    def split_hot(self, asked: Sequence[float]) -> int:
        """Note what each partition was asked for in a slice; split those that were too busy for too long."""
        limit = 0.9 * WRITES_A_SECOND * SLICE_S
        hot = self._hot_for
        for number, requests in enumerate(asked):
            hot[number] = hot[number] + SLICE_S if requests >= limit else max(0.0, hot[number] - SLICE_S)
        split = [number for number, seconds in enumerate(hot) if seconds >= SPLIT_AFTER_S]
        for number in reversed(split):
            end = self.starts[number + 1] if number + 1 < len(self.starts) else self.keys
            self.starts.insert(number + 1, (self.starts[number] + end) // 2)
            hot[number : number + 1] = [0.0, 0.0]
            self._saved.insert(number, self._saved[number])
        return len(split)


def simulate(world: World, scenario: Scenario) -> Outcome:
    """Run a scenario to its end; the same for the same arguments."""
    return _Simulation(world, scenario).run()


class _Simulation:
    def __init__(self, world: World, scenario: Scenario) -> None:
        numbers = random.Random(scenario.seed)  # noqa: S311 - the same each time
        ranges = cut(world.weights(), scenario.nodes * scenario.shards_a_node)
        places = [world.places(keys) for keys in ranges]
        self._queue = deque(_Shard(first, end, first) for first, end in _in_order(places, scenario))
        self._outcome = Outcome(scenario, shards=[end - first for first, end in places])
        self._scenario = scenario
        self._keys = world.keys
        self._bucket = _Bucket(world.keys, scenario.partitions)
        self._nodes = [_Node(NODE_A_SECOND * numbers.uniform(0.8, 1.0)) for _ in range(scenario.nodes)]
        if scenario.slow:
            self._nodes[-1].capacity = scenario.slow
        self._leases = LeaseTable(scenario.workers)
        self._names = [f"{number}" for number in range(scenario.nodes)]
        self._missed: list[tuple[float, _Shard]] = []
        self._sample = [0.0, 0.0]

    def run(self) -> Outcome:
        """Go on slice by slice until every key is there."""
        outcome, slices, now = self._outcome, 0, 0.0
        while outcome.uploaded < self._keys:
            now = slices * SLICE_S
            if now > _LONGEST_S:
                raise RuntimeError(f"{outcome.uploaded} of {self._keys} keys after {now:.0f} s: no end")
            if slices % _RENEW == 0:
                self._renew()
            self._hand_out(now)
            self._send(now)
            self._die(now)
            slices += 1
            if slices % round(_SAMPLE_S / SLICE_S) == 0:
                self._take_sample(now)
        outcome.seconds = now + SLICE_S
        self._take_sample(now)
        outcome.idle_from = [
            outcome.seconds if math.isnan(node.idle_from) else node.idle_from for node in self._nodes
        ]
        outcome.partitions = len(self._bucket.starts)
        return outcome

    def _renew(self) -> None:
        """Divide the limits anew, as the coordinator does once a second."""
        names = [name for name, node in zip(self._names, self._nodes, strict=True) if node.alive]
        nodes = [node for node in self._nodes if node.alive]
        self._leases.keep(names)
        for name, lease in self._leases.renew().items():
            node = self._nodes[int(name)]
            node.limiter.resize(lease.workers, lease.rate)
            busy = node.shard is not None
            use = NodeUse(
                number=lease.number,
                active=int(busy or bool(self._queue)),
                in_flight=round(node.wanted / SLICE_S * LATENCY_S) if busy else 0,
                limit=node.limiter.limit,
                rate=node.use / (_RENEW * SLICE_S),
                learnt=node.limiter.learnt,
            )
            self._leases.report(name, use)
        for node in nodes:
            node.use = 0.0

    def _hand_out(self, now: float) -> None:
        for missed, shard in self._missed[:]:
            if now >= missed:
                self._missed.remove((missed, shard))
                self._queue.append(shard)
                self._outcome.events.append((now, "its shard begins again"))
        for node in self._nodes:
            if node.alive and node.shard is None:
                if self._queue:
                    node.shard, node.idle_from = self._queue.popleft(), math.nan
                elif math.isnan(node.idle_from):
                    node.idle_from = now

    def _send(self, now: float) -> None:
        """Let each node send what its limiter allows, and S3 accept what its partitions allow."""
        bucket = self._bucket
        asked = [0.0] * len(bucket.starts)
        busy: list[tuple[_Node, _Shard, int]] = []
        for node in self._nodes:
            shard = node.shard
            if shard is None or not node.alive:
                continue
            if shard.to_compare > 0:
                shard.to_compare -= COMPARED_A_SECOND * SLICE_S
                continue
            wanted = min(
                node.limiter.wanted(now), node.capacity * SLICE_S, shard.end - shard.place - node.rest
            )
            node.wanted = max(wanted, 0.0)
            partition = bucket.of(shard.place)
            asked[partition] += node.wanted
            busy.append((node, shard, partition))
        shares = bucket.accepted_shares(asked)
        for node, shard, partition in busy:
            accepted = node.wanted * shares[partition]
            node.limiter.ended(now, accepted, node.wanted - accepted)
            self._advance(node, shard, accepted, node.wanted - accepted)
        if split := bucket.split_hot(asked):
            self._outcome.events.append((now, f"{split} partitions split"))

    def _advance(self, node: _Node, shard: _Shard, accepted: float, refused: float) -> None:
        whole = math.floor(accepted + node.rest + 1e-9)
        node.rest = max(accepted + node.rest - whole, 0.0)
        node.use += accepted
        shard.place += whole
        self._outcome.uploaded += whole
        self._outcome.refused += refused
        self._sample[0] += whole
        self._sample[1] += refused
        if shard.place >= shard.end:
            node.shard, node.rest = None, 0.0

    def _die(self, now: float) -> None:
        scenario = self._scenario
        if not scenario.dies_at or self._outcome.uploaded < scenario.dies_at * self._keys:
            return
        node = self._nodes[0]
        if not node.alive:
            return
        node.alive, node.idle_from = False, now
        self._outcome.events.append((now, "a node dies"))
        if (shard := node.shard) is not None:
            shard.to_compare = float(shard.place - shard.begin)
            self._outcome.compared += shard.place - shard.begin
            self._missed.append((now + MISSED_AFTER_S, shard))

    def _take_sample(self, now: float) -> None:
        accepted, refused = self._sample
        self._outcome.accepted_rates.append((now, accepted / _SAMPLE_S))
        self._outcome.refused_rates.append((now, refused / _SAMPLE_S))
        self._sample = [0.0, 0.0]


def _in_order(places: Sequence[tuple[int, int]], scenario: Scenario) -> list[tuple[int, int]]:
    """Return the shards in the order in which they are handed out."""
    return list(places) if scenario.key_order else spread(places, scenario.nodes)
