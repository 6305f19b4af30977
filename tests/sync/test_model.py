"""Random edits of tree and bucket, random faults: what must hold after every sync, whatever came before."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aios3sync import AioS3SyncError
from aios3sync.concurrency import Stop
from aios3sync.store.protocol import StoreCapabilities
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import Bench, Crash

KEYS = ["a", "a-b", "a!", "d/x", "d/y", "d/e/z", "é", "z.delta"]
key = st.sampled_from(KEYS)
content = st.sampled_from([b"", b"1", b"2", b"longer", b"longest of all"])
seaweed = {"order": lambda name: name.split("/"), "page_size": lambda asked: 3}


class SyncMachine(RuleBasedStateMachine):
    """One pair, many runs."""

    @initialize(unordered=st.booleans())
    def begin(self, unordered: bool) -> None:
        self.patch = pytest.MonkeyPatch()
        self.place = tempfile.TemporaryDirectory()
        self.patch.setenv("XDG_STATE_HOME", f"{self.place.name}/state")
        self.patch.setattr("aios3sync.local.digest.SETTLING_NS", -int(3600e9))
        options: dict[str, Any] = dict(seaweed) if unordered else {}
        memory = MemoryStore(capabilities=StoreCapabilities(sorted_listing=not unordered), **options)
        root = Path(self.place.name) / "source"
        root.mkdir()
        self.bench = Bench(root, memory, FaultyStore(memory))
        self.foreign: set[str] = set()
        self.complete = False

    @rule(key=key, content=content)
    def write(self, key: str, content: bytes) -> None:
        path = self.bench.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    @rule(key=key)
    def remove(self, key: str) -> None:
        (self.bench.root / key).unlink(missing_ok=True)

    @rule(key=key)
    def touch(self, key: str) -> None:
        if (self.bench.root / key).exists():
            os.utime(self.bench.root / key)

    @rule(key=key, content=content)
    def somebody_writes(self, key: str, content: bytes) -> None:
        self.bench.memory.objects[f"p/{key}"] = MemoryStore(objects={"x": content}).objects["x"]
        self.foreign.add(key)

    @rule(key=key)
    def somebody_deletes(self, key: str) -> None:
        self.bench.memory.objects.pop(f"p/{key}", None)

    @rule()
    def lose_manifest(self) -> None:
        for path in Path(self.place.name).glob("state/aios3sync/*"):
            path.unlink()

    @rule(key=key, late=st.booleans(), times=st.integers(1, 4))
    def break_uploads(self, key: str, late: bool, times: int) -> None:
        fault = {"late" if late else "error": unavailable()}
        self.bench.faults.on("put", key=f"p/{key}", times=times, **fault)

    @rule(skip=st.integers(0, 3))
    def break_listing(self, skip: int) -> None:
        self.bench.faults.on("list_page", skip=skip, times=3, error=unavailable())

    @rule(skip=st.integers(0, 4))
    def crash(self, skip: int) -> None:
        self.bench.faults.on("put", skip=skip, error=Crash("crash"))

    def run(self, **options: Any) -> Any:
        self.bench.stop = Stop()
        try:
            return anyio.run(lambda: self.bench.sync(allow_empty_source=True, **options))
        except AioS3SyncError:
            return None
        except Crash:
            return None

    @rule(check=st.sampled_from(["auto", "list", "content"]))
    def sync_and_keep(self, check: str) -> None:
        """Without delete nothing ever disappears."""
        before = set(self.bench.objects())
        self.run(check=check)
        assert before <= set(self.bench.objects())

    @rule()
    def sync_tracked(self) -> None:
        """No object is ever deleted whose ETag we did not record."""
        before = dict(self.bench.memory.objects)
        foreign = {name: before[f"p/{name}"] for name in self.foreign if f"p/{name}" in before}
        self.run(delete="tracked", check="list")
        tree = self.tree()
        for name, stored in foreign.items():
            ours = any(stored.etag == body for body in self.ever)
            if name not in tree and not ours:
                assert f"p/{name}" in self.bench.memory.objects

    @rule()
    def mirror(self) -> None:
        """After a clean mirror run the bucket is the tree, and the next run keeps everything."""
        report = self.run(delete="mirror", max_delete_ratio=1.0)
        if report is None or report.exit_code:
            return
        protected = {name: body for name, body in self.bench.objects().items() if name == "z.delta"}
        assert self.bench.objects() == protected | self.tree()
        self.bench.faults._faults.clear()
        again = self.run(delete="mirror", max_delete_ratio=1.0)
        assert again.uploaded == again.deleted == again.adopted == 0

    def tree(self) -> dict[str, bytes]:
        root = self.bench.root
        return {
            path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
        }

    @property
    def ever(self) -> set[str]:
        """ETags of everything that this tree may ever have held."""
        bodies = (b"", b"1", b"2", b"longer", b"longest of all")
        return {MemoryStore(objects={"x": body}).objects["x"].etag for body in bodies}

    @invariant()
    def converges(self) -> None:
        """No upload is left half done."""
        if hasattr(self, "bench"):
            assert not self.bench.memory._uploads

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.faults._faults.clear()
            report = self.run(delete="mirror", max_delete_ratio=1.0)
            assert report.exit_code == 0
            assert self.tree().items() <= self.bench.objects().items()
            self.place.cleanup()
            self.patch.undo()


TestSync = pytest.mark.slow(SyncMachine.TestCase)
TestSync.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
