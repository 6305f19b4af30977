"""Random edits on both sides, syncs up and down, faults and crashes: what must hold after every run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from aios3sync import AioS3SyncError
from aios3sync.concurrency import Stop
from aios3sync.store.protocol import StoreCapabilities
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import Bench, Crash, body_tree

KEYS = ["a", "a-b", "a!", "d/x", "d/y", "d/e/z", "é"]
key = st.sampled_from(KEYS)
content = st.sampled_from([b"", b"1", b"2", b"longer", b"longest of all"])
seaweed = {"order": lambda name: name.split("/"), "page_size": lambda asked: 3}


class BothWays(RuleBasedStateMachine):
    """One pair, many runs in both directions.

    ``work`` holds what was written here and is nowhere in the bucket.
    """

    @initialize(unordered=st.booleans())
    def begin(self, unordered: bool) -> None:
        self.patch = pytest.MonkeyPatch()
        self.place = tempfile.TemporaryDirectory()
        self.patch.setenv("XDG_STATE_HOME", f"{self.place.name}/state")
        self.patch.setattr("aios3sync.local.digest.SETTLING_NS", -int(3600e9))
        options: dict[str, Any] = dict(seaweed) if unordered else {}
        memory = MemoryStore(capabilities=StoreCapabilities(sorted_listing=not unordered), **options)
        root = Path(self.place.name) / "tree"
        root.mkdir()
        self.bench = Bench(root, memory, FaultyStore(memory))
        self.work: dict[str, bytes] = {}

    @property
    def tree(self) -> dict[str, bytes]:
        return body_tree(self.bench.root)

    @rule(key=key, content=content)
    def write_here(self, key: str, content: bytes) -> None:
        path = self.bench.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.work[key] = content

    @rule(key=key)
    def remove_here(self, key: str) -> None:
        (self.bench.root / key).unlink(missing_ok=True)
        self.work.pop(key, None)

    @rule(key=key)
    def touch_here(self, key: str) -> None:
        if (self.bench.root / key).exists():
            os.utime(self.bench.root / key)

    @rule(key=key, content=content)
    def write_there(self, key: str, content: bytes) -> None:
        self.bench.memory.objects[f"p/{key}"] = MemoryStore(objects={"x": content}).objects["x"]

    @rule(key=key)
    def remove_there(self, key: str) -> None:
        self.bench.memory.objects.pop(f"p/{key}", None)

    @rule()
    def lose_manifest(self) -> None:
        for path in Path(self.place.name).glob("state/aios3sync/*"):
            path.unlink()

    @rule(operation=st.sampled_from(["put", "get", "list_page", "head"]), skip=st.integers(0, 3))
    def break_requests(self, operation: str, skip: int) -> None:
        self.bench.faults.on(operation, skip=skip, times=3, error=unavailable())

    @rule(operation=st.sampled_from(["put", "get"]), skip=st.integers(0, 3))
    def crash(self, operation: str, skip: int) -> None:
        self.bench.faults.on(operation, skip=skip, error=Crash("crash"))

    def run(self, direction: str, **options: Any) -> Any:
        self.bench.stop = Stop()
        options = {"allow_empty_source": True, "max_delete_ratio": 1.0, "fsync": False, **options}
        try:
            report = anyio.run(lambda: self.bench.sync(direction=direction, **options))
        except (AioS3SyncError, Crash):
            report = None
        there = self.bench.objects()
        self.work = {key: body for key, body in self.work.items() if there.get(key) != body}
        return report

    @rule(check=st.sampled_from(["list", "content"]), delete=st.sampled_from(["off", "tracked"]))
    def download_and_keep(self, check: str, delete: str) -> None:
        """What was written here stays, the bucket is not touched, nothing is deleted that was not synced."""
        here, there = self.tree, dict(self.bench.memory.objects)
        self.run("down", check=check, delete=delete)
        after = self.tree
        assert {key: after.get(key) for key in self.work} == self.work
        assert self.bench.memory.objects == there
        gone = here.keys() - after.keys()
        assert not gone if delete == "off" else gone.isdisjoint(there)

    @rule()
    def download_mirror(self) -> None:
        """After a clean mirror run both sides are equal, and neither direction has anything to do."""
        there = dict(self.bench.memory.objects)
        report = self.run("down", delete="mirror", on_conflict="overwrite")
        assert self.bench.memory.objects == there
        self.work = {key: body for key, body in self.work.items() if self.tree.get(key) == body}
        if report is None or report.exit_code:
            return
        assert self.tree == self.bench.objects()
        self.nothing_is_left()

    @rule(check=st.sampled_from(["auto", "list", "content"]), delete=st.sampled_from(["off", "tracked"]))
    def upload(self, check: str, delete: str) -> None:
        """An upload changes no file."""
        here = self.tree
        self.run("up", check=check, delete=delete)
        assert self.tree == here

    @rule()
    def upload_mirror(self) -> None:
        here = self.tree
        report = self.run("up", delete="mirror")
        assert self.tree == here
        if report is None or report.exit_code:
            return
        assert self.tree == self.bench.objects()
        self.nothing_is_left()

    def nothing_is_left(self) -> None:
        self.bench.faults._faults.clear()
        for direction in ("down", "up"):
            again = self.run(direction, delete="mirror")
            assert again.exit_code == 0
            assert again.uploaded == again.downloaded == again.deleted == again.conflicts == 0, direction
            assert not {"GetObject", "PutObject", "DeleteObjects"} & again.requests.keys()

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.faults._faults.clear()
            report = self.run("down", delete="mirror", on_conflict="overwrite")
            assert report.exit_code == 0
            assert self.tree == self.bench.objects()
            assert not list(self.bench.root.rglob(".aios3sync-*"))
            self.place.cleanup()
            self.patch.undo()


TestBothWays = pytest.mark.slow(BothWays.TestCase)
TestBothWays.settings = settings(
    max_examples=20, stateful_step_count=16, deadline=None, suppress_health_check=list(HealthCheck)
)
