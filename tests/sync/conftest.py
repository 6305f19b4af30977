"""A source directory, a bucket in memory whose faults can be scripted, and a sync between them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aios3sync.concurrency import Stop
from aios3sync.core.key_range import EVERYTHING
from aios3sync.core.keys import Location
from aios3sync.events import Event, concluded
from aios3sync.options import SyncOptions
from aios3sync.processes.protocol import OffloaderOpener
from aios3sync.report import SyncReport
from aios3sync.store.body_progress import SendWindow, Unlimited
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import ObjectStore, PutOptions, StoreCapabilities
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.store.wrappers.stack import stack
from aios3sync.sync.plans.plan import Plan
from aios3sync.sync.plans.run import apply_plan, make_plan, options_to_apply
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Inspect, Resources
from aios3sync.sync.setup import run_sync
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore
from aios3sync.testing.trees import make_tree

MIB = 1024 * 1024


class Crash(BaseException):
    """What no rule catches: the process is as good as dead."""


async def _at_once(seconds: float) -> None:
    """Backoff without waiting."""


@dataclass
class Bench:
    """One source, one bucket; every sync goes through real retries onto a store with faults."""

    root: Path
    memory: MemoryStore
    faults: FaultyStore
    target: str = "s3://bucket/p"
    events: list[Event] = field(default_factory=list)
    stop: Stop = field(default_factory=Stop)
    on_event: Callable[[Event], object] | None = None
    outcome_sinks: tuple[Any, ...] = ()
    workers: int = 16
    free_slots: Callable[[], int] = lambda: 1_000_000
    window: SendWindow = field(default_factory=Unlimited)
    inspect: Inspect | None = None
    inspected: Callable[[str], bool] = lambda _: True
    open_offloader: OffloaderOpener | None = None
    endpoint: str = "http://memory"
    inventories: ObjectStore | None = None
    profile: EndpointProfile = field(default_factory=lambda: EndpointProfile(etags="md5"))
    runner: Callable[[SyncRequest, Resources], Awaitable[SyncReport]] = run_sync

    def tree(self, tree: dict[str, bytes | str | None], *, age: float = 60.0) -> None:
        """Add files; they look ``age`` seconds old to everything but their ctime."""
        make_tree(self.root, tree, mtime_ns=time.time_ns() - int(age * 1e9))

    def claim_byte_order(self) -> None:
        """Replace the bucket by one that claims to list in byte order, and sorts by path."""
        self.memory = MemoryStore(
            capabilities=StoreCapabilities(sorted_listing=True),
            page_size=lambda _: 2,
            order=lambda key: key.split("/"),
        )
        self.faults.inner = self.memory

    def objects(self) -> dict[str, bytes]:
        """Bodies by key relative to the prefix ``p/``."""
        return {key.removeprefix("p/"): body for key, body in self.memory.bodies().items()}

    def _with_faults(self, inner: ObjectStore) -> ObjectStore:
        assert inner is self.memory
        return self.faults

    async def store(self, objects: dict[str, bytes], **options: Any) -> None:
        """Store objects below the prefix, as another program would."""
        for key, body in objects.items():
            digest = hashlib.md5(body, usedforsecurity=False).digest()
            await self.memory.put(f"p/{key}", body, PutOptions(**options), md5=digest)

    async def download(self, **options: Any) -> SyncReport:
        """Run one sync from the bucket to the directory."""
        return await self.sync(direction="down", **options)

    async def sync(self, target: str | None = None, *, direction: Any = "up", **options: Any) -> SyncReport:
        """Run one sync and check that its report adds up (C4)."""
        key_range = options.pop("key_range", EVERYTHING)
        counts = RequestCounts()
        store = stack(
            self.memory,
            max_attempts=3,
            workers=self.workers,
            counts=counts,
            profile=self.profile,
            sleep=_at_once,
            wrap_inner=self._with_faults,
        )

        async def open_store() -> ObjectStore:
            return store

        async def open_inventories() -> ObjectStore:
            assert self.inventories is not None
            return self.inventories

        request = SyncRequest(
            root=str(self.root),
            location=Location.parse(target or self.target),
            endpoint=self.endpoint,
            direction=direction,
            options=SyncOptions(**options),
            key_range=key_range,
        )
        resources = Resources(
            open_store=open_store,
            open_source_inventory=open_inventories,
            open_target_inventory=open_inventories,
            open_trash_store=open_store,
            profile=self.profile,
            memory=ByteSemaphore(64 * MIB),
            workers=self.workers,
            free_slots=self.free_slots,
            window=self.window,
            open_offloader=self.open_offloader,
            inspect=self.inspect,
            inspected=self.inspected,
            on_event=self.on_event or self.events.append,
            outcome_sinks=self.outcome_sinks,
            stop=self.stop,
            counts=counts,
        )
        report = await concluded(resources.on_event, self.runner(request, resources))
        assert report.balanced, report
        return report

    async def plan(self, **options: Any) -> Plan:
        """Make a plan of one sync."""
        plans: list[Plan] = []

        async def run(request: SyncRequest, resources: Resources) -> SyncReport:
            plan, report = await make_plan(run_sync, request, resources)
            plans.append(plan)
            return report

        await replace(self, runner=run).sync(**options)
        return plans[0]

    async def apply(self, plan: Plan, **secrets: Any) -> SyncReport:
        """Apply a plan; options by name are keys of SSE-C, or ``dry_run``."""
        options = options_to_apply(plan, {}, **secrets)
        chosen = {name: getattr(options, name) for name in SyncOptions.__slots__}
        runner = partial(apply_plan, run_sync, plan)
        return await replace(self, runner=runner).sync(direction=plan.direction, **chosen)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty source and an empty bucket."""
    root = tmp_path / "source"
    root.mkdir()
    memory = MemoryStore()
    return Bench(root, memory, FaultyStore(memory))


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once: their ctime cannot be made older, the rule's window can be shorter."""
    monkeypatch.setattr("aios3sync.local.digest.SETTLING_NS", -int(3600e9))


def same_size_change(path: Path) -> None:
    """Change one byte and put size and mtime back, as a careless tool would."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def body_tree(root: Path) -> dict[str, bytes]:
    """Return the regular files below a directory, by their keys."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
