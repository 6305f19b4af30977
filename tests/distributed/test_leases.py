"""Leases divide the limits of a run: all of it is used, and never more than all, whatever is on its way."""

from __future__ import annotations

import asyncio
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.distributed.leases import Lease, LeaseTable, NodeUse, divided
from aios3sync.errors import ThrottledError
from aios3sync.store.wrappers.bandwidth import BandwidthLimit
from aios3sync.store.wrappers.limit import ConcurrencyLimiter

DEMANDS = st.lists(st.one_of(st.just(math.inf), st.floats(0, 500)), min_size=1, max_size=8)


@given(total=st.floats(8, 1000), demands=DEMANDS)
def test_shares_are_fair(total: float, demands: list[float]) -> None:
    """No share is above its demand or the total; who gets less than its demand has no less than any other."""
    shares = divided(total, demands, 1.0)
    assert sum(shares) <= total * (1 + 1e-9)
    assert all(1.0 <= share <= max(demand, 1.0) + 1e-9 for share, demand in zip(shares, demands, strict=True))
    unmet = [share for share, demand in zip(shares, demands, strict=True) if share < demand - 1e-6]
    assert all(share >= max(shares) - 1e-6 for share in unmet)
    if unmet:
        assert sum(shares) == pytest.approx(total)


class Node:
    """A node that takes leases and reports late, and uses what it likes of what it has."""

    def __init__(self) -> None:
        self.lease = Lease()
        self.in_flight = 0
        self.active = 1
        self.wants = 1000

    def take(self, lease: Lease, rng: random.Random) -> NodeUse:
        self.lease = lease
        if self.in_flight < lease.workers:
            self.in_flight = min(lease.workers, self.wants)
        else:  # what is in flight ends by and by
            self.in_flight -= rng.randint(0, self.in_flight - lease.workers)
        used = min(self.lease.bandwidth, float(self.wants))
        return NodeUse(lease.number, self.active, self.in_flight, limit=max(lease.workers, 1), bandwidth=used)


@settings(max_examples=200)
@given(seed=st.integers(0, 10**9))
def test_the_nodes_together_never_have_more_than_all_there_is(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    workers, bandwidth = rng.randint(8, 300), rng.choice([math.inf, 1000.0])
    table = LeaseTable(workers, bandwidth)
    nodes: dict[str, Node] = {}
    for step in range(40):
        if step == 0 or rng.random() < 0.1:
            nodes.setdefault(f"n{rng.randint(0, 7)}", Node())
        elif len(nodes) > 1 and rng.random() < 0.05:
            nodes.pop(rng.choice(sorted(nodes)))  # it died: nothing of it is in flight any more
        for node in nodes.values():
            node.wants = rng.choice([0, 1, 5, 1000])
            node.active = int(node.wants > 0)
        table.keep(sorted(nodes))
        leases = table.renew()
        for name in sorted(nodes, key=lambda _: rng.random()):
            if rng.random() < 0.7:  # else the message is lost, or late
                use = nodes[name].take(leases[name], rng)
                if rng.random() < 0.9:
                    table.report(name, use)
            assert sum(max(node.lease.workers, node.in_flight) for node in nodes.values()) <= workers
            assert sum(node.lease.bandwidth for node in nodes.values()) <= bandwidth * (1 + 1e-9)


@pytest.mark.parametrize("idle", [0, 1])
def test_what_one_node_does_not_use_goes_to_the_others(idle: int) -> None:
    table = LeaseTable(100, 1000.0)
    nodes = {"a": Node(), "b": Node()}
    rng = random.Random(1)  # noqa: S311
    nodes["b"].wants, nodes["b"].active = idle, idle
    table.keep(list(nodes))
    for _ in range(6):
        for name, lease in table.renew().items():
            table.report(name, nodes[name].take(lease, rng))
    assert nodes["a"].lease.workers >= 95
    assert nodes["b"].lease.workers >= 1
    assert nodes["a"].lease.bandwidth >= 900
    nodes["b"].wants = 1000
    nodes["b"].active = 1
    for _ in range(50):
        for name, lease in table.renew().items():
            table.report(name, nodes[name].take(lease, rng))
    assert [node.lease.workers for node in nodes.values()] == [50, 50]
    assert [node.lease.bandwidth for node in nodes.values()] == pytest.approx([500.0, 500.0])


def test_the_lease_of_a_node_that_is_gone_is_free_at_once() -> None:
    table = LeaseTable(100)
    table.keep(["a", "b"])
    for name, lease in table.renew().items():
        table.report(name, NodeUse(lease.number, 1, lease.workers))
    table.keep(["b"])
    assert table.renew()["b"].workers == 100


def test_what_one_node_was_taught_by_refusals_is_shared() -> None:
    """Two nodes reach 300 a second each; one was refused, and has learnt 200: together they keep to 500."""
    table = LeaseTable(100)
    table.keep(["a", "b"])
    for name, lease in table.renew().items():
        table.report(
            name,
            NodeUse(lease.number, 1, lease.workers, rate=300.0, learnt=200.0 if name == "a" else math.inf),
        )
    leases = table.renew()
    assert {name: lease.rate for name, lease in leases.items()} == {"a": 250.0, "b": 250.0}
    for name, lease in leases.items():
        table.report(name, NodeUse(lease.number, 1, lease.workers, 5, lease.workers, 0.0, 250.0, math.inf))
    assert all(math.isinf(lease.rate) for lease in table.renew().values()), "no refusals for long"


# What a node does with its lease.


async def test_a_limiter_takes_another_ceiling_while_requests_wait() -> None:
    limiter = ConcurrencyLimiter(8, first=8)
    slots = [await limiter.acquire() for _ in range(8)]
    limiter.resize(2)
    waiting = [asyncio.ensure_future(limiter.acquire()) for _ in range(4)]
    for slot in slots[:6]:
        limiter.release(slot, None)
    await asyncio.sleep(0)
    assert (limiter.limit, limiter.in_flight, limiter.waiting) == (2, 2, 4)
    limiter.release(slots[6], None)
    await asyncio.sleep(0)
    assert (limiter.in_flight, limiter.waiting) == (2, 3)
    limiter.resize(100)
    limiter.release(slots[7], None)
    for _ in range(200):  # a higher ceiling is tried: the limit grows again
        if not waiting:
            break
        limiter.release(await waiting.pop(0), None)
    assert limiter.successes == 12
    assert limiter.ceiling == 100
    with pytest.raises(ValueError, match="at least one"):
        limiter.resize(0)


@given(
    ceilings=st.lists(st.integers(1, 300), min_size=1, max_size=6), outcomes=st.randoms(use_true_random=False)
)
async def test_a_limiter_never_lets_out_more_than_its_ceiling(
    ceilings: list[int], outcomes: random.Random
) -> None:
    now = 100.0
    with pytest.MonkeyPatch.context() as patch:  # with the real clock the outcomes would depend on it
        patch.setattr(asyncio.get_running_loop(), "time", lambda: now)
        limiter = ConcurrencyLimiter(256)
        for ceiling in ceilings:
            limiter.resize(ceiling)
            for _ in range(30):
                now += 0.01
                slots = [slot for _ in range(ceiling + 5) if (slot := limiter.try_acquire()) is not None]
                assert len(slots) <= ceiling
                assert 1 <= limiter.limit <= limiter.ceiling == ceiling
                for slot in slots:
                    limiter.release(slot, ThrottledError("slow down") if outcomes.random() < 0.02 else None)


async def test_a_limiter_keeps_to_a_rate_that_others_have_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = ConcurrencyLimiter(1000, first=1000)
    now = 100.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    limiter.limit_rate(100.0)
    assert limiter.start_rate == math.inf, "it has learnt nothing itself"
    started = 0
    for _ in range(100):
        now += 0.01
        limiter._timer = None
        while limiter._may_start():
            started += 1
    assert 98 <= started <= 104
    limiter.limit_rate(math.inf)
    assert limiter.try_acquire() is not None


async def test_a_line_takes_another_rate() -> None:
    now, slept = 0.0, []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    line = BandwidthLimit(100.0, clock=lambda: now, sleep=sleep)
    await line.book(100)
    line.rate = 1000.0
    await line.book(1000)
    await line.book(1)
    assert slept == [1.0, 2.0]
    assert line.booked == 1101
