"""A sync in shards within one process: the steps of a coordinator, in its order."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio

from aios3sync._dataclass import replace
from aios3sync.concurrency import Stop
from aios3sync.core.key_range import KeyRange
from aios3sync.core.keys import Location
from aios3sync.core.safety import Refusal
from aios3sync.distributed.guards import lookalikes_of, refusal, swapped_tree, waits
from aios3sync.distributed.results import ShardFacts, ShardResult
from aios3sync.distributed.shard_run import (
    compare_shard,
    delete_shard,
    finish_shard,
    survey_shard,
)
from aios3sync.options import SyncOptions
from aios3sync.report import STATES, SyncReport
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import ObjectStore
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.store.wrappers.stack import stack
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.setup import run_sync
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore

COUNTED = (
    *STATES,
    *("scanned", "planned", "uploaded_bytes", "downloaded_bytes", "copied_bytes", "archived_bytes"),
)


async def _at_once(seconds: float) -> None:
    """Backoff without waiting."""


def ranges_at(cuts: Sequence[str]) -> list[KeyRange]:
    """Return the ranges between some keys."""
    bounds = sorted({*cuts} - {""})
    return [KeyRange(*pair) for pair in pairwise(["", *bounds, ""])]


def counts_of(*reports: SyncReport) -> dict[str, int]:
    """Return the sum of all counts of some reports, without those that are 0."""
    return dict(Counter({name: sum(getattr(each, name) for each in reports) for name in COUNTED}) + Counter())


@dataclass
class Total:
    """What a sync in shards did."""

    reports: list[SyncReport] = field(default_factory=list)
    facts: list[ShardFacts] = field(default_factory=list)
    refused: Refusal | None = None
    withheld: int = 0
    reason: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """The sum of the reports, and the deletes that no shard carried out."""
        withheld = {"withheld": self.withheld, "planned": self.withheld}
        return dict(Counter(counts_of(*self.reports)) + Counter(withheld))


@dataclass
class Sharding:
    """One pair of sides, and the state of its syncs: in one run, or in shards.

    Attributes:
        place: of the manifests and the held deletes.
        root: of the directory.
        memory: the bucket; of a copy the target.
        source: of a copy.
    """

    place: Path
    root: Path
    memory: MemoryStore
    source: MemoryStore | None = None
    direction: Any = "up"
    stop: Stop = field(default_factory=Stop)
    profile: EndpointProfile = field(default_factory=lambda: EndpointProfile(etags="md5"))
    counts: RequestCounts = field(default_factory=RequestCounts)
    faults: FaultyStore = field(init=False)
    wrap: Callable[[ObjectStore], ObjectStore] = lambda store: store

    def __post_init__(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        self.faults = FaultyStore(self.memory)

    def request(self, **options: Any) -> SyncRequest:
        """Return the request of the whole."""
        copy: dict[str, Any] = {"source_location": Location("source", "p/")} if self.source else {}
        return SyncRequest(
            root="s3://source/p/" if self.source else str(self.root),
            location=Location.parse("s3://bucket/p"),
            endpoint="http://memory",
            direction=self.direction,
            options=SyncOptions(**options),
            **copy,
        )

    def resources(self) -> Resources:
        """Return what a node lends to one step."""
        target = self._stack(self.memory, lambda _: self.faults)
        source = None if self.source is None else self._stack(self.source, lambda store: store)

        async def open_store() -> ObjectStore:
            return target

        async def open_source_store() -> ObjectStore:
            assert source is not None
            return source

        return Resources(
            open_store=open_store,
            open_source_store=None if source is None else open_source_store,
            copies_on_server=True,
            profile=self.profile,
            memory=ByteSemaphore(2**26),
            workers=8,
            stop=self.stop,
            counts=self.counts,
        )

    def _stack(self, store: MemoryStore, wrap: Callable[[ObjectStore], ObjectStore]) -> ObjectStore:
        return stack(
            store,
            max_attempts=3,
            workers=16,
            counts=self.counts,
            profile=self.profile,
            sleep=_at_once,
            wrap_inner=wrap,
        )

    def shards(self, ranges: Sequence[KeyRange], **options: Any) -> list[SyncRequest]:
        """Return the requests of the shards as another process gets them."""
        requests = []
        for number, key_range in enumerate(ranges):
            request = replace(self.request(**options), key_range=key_range)
            path = self.place / f"{key_range.first.encode().hex()[:40]}-{number}.sqlite"
            chosen = {name: getattr(request.options, name) for name in SyncOptions.__slots__}
            manifest = options.get("manifest", str(path))
            own = replace(request, options=SyncOptions(**chosen | {"manifest": manifest}))
            requests.append(pickle.loads(pickle.dumps(own)))  # noqa: S301 - our own bytes
        return requests

    def held(self, number: int) -> str:
        """Return where a shard holds its deletes."""
        return str(self.place / f"{number}.held")

    async def whole(self, **options: Any) -> SyncReport:
        """Sync in one run."""
        manifest = str(self.place / "whole.sqlite")
        return await run_sync(self.request(**{"manifest": manifest} | options), self.resources())

    async def compare(self, requests: Sequence[SyncRequest]) -> list[ShardResult]:
        """Compare all shards at once, and transfer."""
        results: dict[int, ShardResult] = {}

        async def one(number: int, request: SyncRequest) -> None:
            result = await compare_shard(request, self.resources(), self.held(number))
            assert result.report.balanced, result.report
            results[number] = pickle.loads(pickle.dumps(result))  # noqa: S301 - our own bytes

        async with anyio.create_task_group() as tasks:
            for number, request in enumerate(requests):
                tasks.start_soon(one, number, request)
        return [results[number] for number in range(len(requests))]

    async def sharded(self, ranges: Sequence[KeyRange], **options: Any) -> Total:
        """Sync in shards, as a coordinator has it done."""
        requests, total = self.shards(ranges, **options), Total()
        surveys = [await survey_shard(request, self.resources()) for request in requests]
        total.refused = swapped_tree(surveys, uploads=self.direction == "up")
        if total.refused is not None:
            return total
        results = await self.compare(requests)
        total.reports = [result.report for result in results]
        total.facts = [result.facts for result in results]
        asked = requests[0].options
        total.refused, total.reason = refusal(total.facts, asked), waits(total.facts, asked)
        if total.refused is not None or total.reason:
            total.withheld = sum(each.plan.deletes for each in total.facts)
            return total
        for number, request in enumerate(requests):
            names = lookalikes_of(total.facts)
            report = await delete_shard(request, self.resources(), self.held(number), names)
            assert report.balanced, report
            total.reports.append(report)
        for number, request in enumerate(requests):
            if total.facts[number].to_finish:
                total.reports.append(await finish_shard(request, self.resources(), self.held(number)))
        return total
