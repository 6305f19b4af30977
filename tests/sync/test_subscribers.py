"""Subscribers of a run: the first is attached first and finishes last, also around an error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from aios3sync.core.keys import Location
from aios3sync.errors import SourceError
from aios3sync.options import SyncOptions
from aios3sync.report import SyncReport
from aios3sync.store.protocol import ObjectStore
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.subscribers import run_subscribed
from aios3sync.sync.transfers.memory import ByteSemaphore
from tests.sync.conftest import MIB, Bench


class Recording:
    """A subscriber that notes what is called, and warns at the end."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self._name = name
        self._calls = calls

    @asynccontextmanager
    async def attached(self, request: SyncRequest, resources: Resources) -> AsyncIterator[Resources]:
        """Note both ends of the context."""
        assert request.location.bucket == "bucket"
        self._calls.append(f"{self._name} attached")
        try:
            yield resources
        finally:
            self._calls.append(f"{self._name} detached")

    async def outcomes(self, batch: Sequence[Any]) -> None:
        """Note the keys."""
        self._calls.append(f"{self._name} {[outcome.row.key for outcome in batch]}")

    async def finish(self, report: SyncReport) -> SyncReport:
        """Add a warning."""
        self._calls.append(f"{self._name} finished")
        return replace(report, warnings=(*report.warnings, self._name))


async def run(bench: Bench, calls: list[str]) -> SyncReport:
    """Run a sync with two subscribers."""

    async def open_store() -> ObjectStore:
        return bench.memory

    request = SyncRequest(
        root=str(bench.root),
        location=Location.parse(bench.target),
        endpoint=bench.endpoint,
        options=SyncOptions(),
    )
    resources = Resources(open_store=open_store, memory=ByteSemaphore(MIB), workers=4)
    return await run_subscribed(request, resources, [Recording("outer", calls), Recording("inner", calls)])


async def test_the_first_subscriber_finishes_last(bench: Bench) -> None:
    bench.tree({"a": "1"})
    calls: list[str] = []
    report = await run(bench, calls)
    assert report.warnings[-2:] == ("inner", "outer")
    assert calls == [
        "outer attached",
        "inner attached",
        "outer ['a']",
        "inner ['a']",
        "inner detached",
        "inner finished",
        "outer detached",
        "outer finished",
    ]


async def test_no_subscriber_finishes_a_run_that_failed(bench: Bench) -> None:
    bench.root.rmdir()
    calls: list[str] = []
    with pytest.raises(SourceError):
        await run(bench, calls)
    assert calls == ["outer attached", "inner attached", "inner detached", "outer detached"]
