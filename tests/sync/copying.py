"""Two buckets in memory, of one endpoint or of two, and a sync between them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aios3sync.concurrency import Stop
from aios3sync.core.keys import Location
from aios3sync.events import Event, concluded
from aios3sync.options import SyncOptions
from aios3sync.report import SyncReport
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import ListedPart, ObjectStore, PutOptions
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.store.wrappers.stack import stack
from aios3sync.sync.copy_options import check_copy_options
from aios3sync.sync.explain import Explanation, run_explain
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.setup import run_sync
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.sync.verify import run_verify
from aios3sync.sync.verify_report import VerifyReport
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore

MIB = 1024 * 1024
PLAIN = PutOptions()


async def _at_once(seconds: float) -> None:
    """Backoff without waiting."""


def md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


@dataclass
class CopyBench:
    """The buckets ``source`` and ``target``; objects are below ``a/`` and ``b/``; ``trash`` is near."""

    place: Path
    apart: bool = False
    source: MemoryStore = field(init=False)
    target: MemoryStore = field(init=False)
    trash: MemoryStore = field(init=False)
    reads: FaultyStore = field(init=False)
    writes: FaultyStore = field(init=False)
    moves: FaultyStore = field(init=False)
    events: list[Event] = field(default_factory=list)
    stop: Stop = field(default_factory=Stop)
    outcome_sinks: tuple[Any, ...] = ()
    memory: int = 64 * MIB
    etags: Literal["unknown", "md5", "opaque"] = "md5"
    inventories: ObjectStore | None = None

    def __post_init__(self) -> None:
        endpoint: dict[str, MemoryStore] = {}
        self.source = MemoryStore("source", endpoint=None if self.apart else endpoint)
        self.target = MemoryStore("target", endpoint=endpoint)
        self.trash = MemoryStore("trash", endpoint=endpoint)
        self.reads, self.writes = FaultyStore(self.source), FaultyStore(self.target)
        self.moves = FaultyStore(self.trash)

    async def put(self, objects: dict[str, bytes], **options: Any) -> None:
        """Store objects in the source."""
        for key, body in objects.items():
            await self.source.put(f"a/{key}", body, PutOptions(**options), md5=md5(body))

    async def put_parts(self, key: str, *bodies: bytes, **options: Any) -> None:
        """Store an object in the source that is uploaded in parts."""
        upload = await self.source.create_multipart(f"a/{key}", PutOptions(**options))
        parts = []
        for number, body in enumerate(bodies, 1):
            done = await self.source.put_part(f"a/{key}", upload, number, body, PLAIN, md5=md5(body))
            parts.append(ListedPart(number, done.etag, len(body)))
        await self.source.complete_multipart(f"a/{key}", upload, parts, PLAIN)

    def copies(self) -> dict[str, bytes]:
        """Bodies in the target by key relative to its prefix."""
        return {key.removeprefix("b/"): body for key, body in self.target.bodies().items()}

    def requests(self) -> dict[str, int]:
        """Requests to both buckets since the last call."""
        counts = dict(self.reads.calls + self.writes.calls)
        self.reads.calls.clear()
        self.writes.calls.clear()
        return counts

    def _store(self, store: MemoryStore, faults: FaultyStore, counts: RequestCounts) -> ObjectStore:
        return stack(
            store,
            max_attempts=3,
            workers=16,
            counts=counts,
            sleep=_at_once,
            profile=EndpointProfile(etags=self.etags),
            wrap_inner=lambda _: faults,
        )

    async def sync(self, **options: Any) -> SyncReport:
        """Run one sync and check that its report adds up."""
        request, resources = self._run(**options)
        report = await concluded(resources.on_event, run_sync(request, resources))
        assert report.balanced, report
        return report

    async def verify(self, **options: Any) -> VerifyReport:
        """Compare the content of both buckets."""
        return await run_verify(*self._run(**options))

    async def explain(self, key: str, **options: Any) -> Explanation:
        """Explain one key."""
        return await run_explain(*self._run(**options), key)

    def _run(self, **options: Any) -> tuple[SyncRequest, Resources]:
        counts = RequestCounts()
        target = self._store(self.target, self.writes, counts)
        source = self._store(self.source, self.reads, counts)
        trash = self._store(self.trash, self.moves, counts)

        async def open_target() -> ObjectStore:
            return target

        async def open_source() -> ObjectStore:
            return source

        async def open_inventories() -> ObjectStore:
            assert self.inventories is not None
            return self.inventories

        async def open_trash() -> ObjectStore:
            return trash

        chosen = SyncOptions(**({"manifest": str(self.place / "pair.sqlite")} | options))
        check_copy_options(chosen)
        request = SyncRequest(
            root="s3://source/a/@http://source",
            location=Location.parse("s3://target/b"),
            endpoint="http://memory",
            direction="copy",
            source_location=Location.parse("s3://source/a"),
            options=chosen,
        )
        resources = Resources(
            open_store=open_target,
            open_source_store=open_source,
            open_source_inventory=open_inventories,
            open_target_inventory=open_inventories,
            open_trash_store=open_trash,
            copies_on_server=not self.apart,
            profile=EndpointProfile(etags=self.etags),
            source_profile=EndpointProfile(etags=self.etags),
            memory=ByteSemaphore(self.memory),
            workers=16,
            on_event=self.events.append,
            outcome_sinks=self.outcome_sinks,
            stop=self.stop,
            counts=counts,
        )
        return request, resources
