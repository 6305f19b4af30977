"""A bucket in memory whose faults can be scripted, a directory, and the transfer stage between them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from aios3sync.concurrency import Stop
from aios3sync.core.actions import Download, Reason
from aios3sync.core.entries import SourceEntry, TargetEntry
from aios3sync.core.keys import Location
from aios3sync.core.policy import Policy
from aios3sync.events import Downloaded, Event, Outcome
from aios3sync.local.digest import entry_of
from aios3sync.local.write import TreeWriter
from aios3sync.options import SyncOptions
from aios3sync.processes.protocol import DownloaderOpener
from aios3sync.report import ReportBuilder
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import ObjectStore, PutOptions
from aios3sync.store.wrappers.stack import stack
from aios3sync.sync.directions import direction_of
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.run import Run
from aios3sync.sync.transfers.downloads import download_stage, preview_downloads
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore

MIB = 2**20


class Outcomes(list[Outcome]):
    """Takes the place of the recorder."""

    async def begin(self) -> None:
        """Record nothing."""

    async def catch_up(self) -> None:
        """Wait for nothing."""

    def add(self, outcome: Outcome) -> None:
        """Take one outcome."""
        self.append(outcome)

    def add_all(self, outcomes: Sequence[Outcome]) -> None:
        """Take several."""
        self.extend(outcomes)


async def _at_once(seconds: float) -> None:
    """Backoff without waiting."""


@dataclass
class DownloadBench:
    """One bucket with the prefix ``p/``, one directory."""

    root: Path
    memory: MemoryStore = field(default_factory=lambda: MemoryStore(min_part_size=1))
    events: list[Event] = field(default_factory=list)
    outcomes: Outcomes = field(default_factory=Outcomes)
    budget: ByteSemaphore = field(default_factory=lambda: ByteSemaphore(64 * MIB))
    workers: int = 16
    run: Run | None = None
    open_downloader: DownloaderOpener | None = None
    stop: Stop = field(default_factory=Stop)
    profile: EndpointProfile = field(default_factory=lambda: EndpointProfile(etags="md5"))

    def __post_init__(self) -> None:
        self.faults = FaultyStore(self.memory)

    async def put(self, key: str, body: bytes, part_size: int = 0, **options: Any) -> TargetEntry:
        """Store an object, in parts where a part size is given; return it as a listing shows it."""
        asked, full_key = PutOptions(**options), f"p/{key}"
        if part_size:
            upload = await self.memory.create_multipart(full_key, asked)
            parts = []
            for number, start in enumerate(range(0, len(body), part_size), 1):
                part = body[start : start + part_size]
                result = await self.memory.put_part(full_key, upload, number, part, asked, md5=b"")
                parts.append(_listed(number, result.etag, len(part)))
            await self.memory.complete_multipart(full_key, upload, parts, asked)
        else:
            await self.memory.put(full_key, body, asked, md5=_md5(body))
        stored = self.memory.objects[full_key]
        return TargetEntry(key, len(body), stored.etag, stored.last_modified)

    def seen(self, key: str) -> SourceEntry:
        """Return a file as a walk sees it."""
        return entry_of(key, (self.root / key).stat(follow_symlinks=False))

    async def fetch(
        self, *downloads: Download | TargetEntry, preview: bool = False, **options: Any
    ) -> list[Outcome]:
        """Run the stage once; return the outcomes, and check that each download has exactly one."""
        store = stack(
            self.memory, max_attempts=3, workers=16, sleep=_at_once, wrap_inner=lambda _: self.faults
        )

        async def open_store() -> ObjectStore:
            return store

        request = SyncRequest(
            root=str(self.root),
            location=Location.parse("s3://bucket/p/"),
            endpoint="http://memory",
            options=SyncOptions(**options),
            direction="down",
        )
        resources = Resources(
            open_store=open_store,
            memory=self.budget,
            workers=self.workers,
            on_event=self.events.append,
            open_downloader=self.open_downloader,
            stop=self.stop,
            profile=self.profile,
        )
        writer = TreeWriter(str(self.root), fsync=False)
        await to_thread.run_sync(writer.open)
        self.outcomes = Outcomes()
        nothing: Any = None
        recorder: Any = self.outcomes
        self.run = Run(
            request=request,
            resources=resources,
            direction=direction_of("down"),
            source=nothing,
            files=nothing,
            target=nothing,
            walked=nothing,
            listing=nothing,
            policy=Policy(),
            number=1,
            recorder=recorder,
            builder=ReportBuilder(),
            started_ns=time.time_ns(),
            tree_writer=writer,
        )
        wanted = [item if isinstance(item, Download) else Download(item, Reason.NEW) for item in downloads]
        send, receive = anyio.create_memory_object_stream[list[Download]](1)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(preview_downloads if preview else download_stage, self.run, receive)
                async with send:
                    for start in range(0, len(wanted), 500):
                        await send.send(wanted[start : start + 500])
        finally:
            writer.close()
            assert self.budget.in_use == 0
        if self.stop.signal:  # the run counts what is left at its end
            return list(self.outcomes)
        ended = Counter(_key(outcome) for outcome in self.outcomes)
        assert ended == Counter(download.source.key for download in wanted)
        return list(self.outcomes)

    def files(self) -> dict[str, bytes]:
        """Return all files of the directory, temporary ones too."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }


def _key(outcome: Any) -> str:
    key: str = outcome.row.key if hasattr(outcome, "row") else outcome.key
    return key


def _md5(body: bytes) -> bytes:
    import hashlib

    return hashlib.md5(body, usedforsecurity=False).digest()


def _listed(number: int, etag: str, size: int) -> Any:
    from aios3sync.store.protocol import ListedPart

    return ListedPart(number, etag, size)


def written(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the keys that were downloaded, sorted."""
    return sorted(outcome.row.key for outcome in outcomes if isinstance(outcome, Downloaded))
