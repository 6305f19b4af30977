"""Random edits of two buckets, syncs between them, faults and crashes: what must hold after every run."""

from __future__ import annotations

import tempfile
from collections import defaultdict
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
from aios3sync.testing.faulty import unavailable
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import Crash
from tests.sync.copying import CopyBench

KEYS = ["a", "a-b", "a!", "d/x", "d/y", "d/", "..", "é", "z.delta"]
key = st.sampled_from(KEYS)
content = st.sampled_from([b"", b"1", b"2", b"longer", b"longest of all"])
parts = st.sampled_from([(b"abc", b"de"), (b"abc", b"abc", b"d"), (b"xyz", b"xy")])
operations = ["copy", "copy_part", "put", "put_part", "create_multipart", "complete_multipart", "list_page"]
READS = ["list_page", "head", "get"]


class Copies(RuleBasedStateMachine):
    """One pair of buckets, many runs.

    ``synced`` holds the bodies that a run left on both sides under a key: what a tracked delete may delete.
    """

    @initialize(unordered=st.booleans(), apart=st.booleans())
    def begin(self, unordered: bool, apart: bool) -> None:
        self.patch = pytest.MonkeyPatch()
        for module in ("aios3sync.options", "aios3sync.sync.transfers.part_layout"):
            self.patch.setattr(f"{module}.MIN_PART_SIZE", 1)  # so that bodies of some bytes have parts
        self.place = tempfile.TemporaryDirectory()
        self.patch.setenv("XDG_STATE_HOME", f"{self.place.name}/state")
        self.bench = CopyBench(Path(self.place.name), apart=apart)
        for store in (self.bench.source, self.bench.target, self.bench.trash):
            store._min_part_size = 1
            if unordered:
                store._capabilities = StoreCapabilities()
                store._order = lambda name: name.split("/")
                store._page_size = lambda _: 3
        self.synced: defaultdict[str, set[bytes]] = defaultdict(set)

    @property
    def here(self) -> dict[str, bytes]:
        return {key.removeprefix("a/"): body for key, body in self.bench.source.bodies().items()}

    @property
    def there(self) -> dict[str, bytes]:
        return self.bench.copies()

    @rule(key=key, content=content)
    def write(self, key: str, content: bytes) -> None:
        anyio.run(lambda: self.bench.put({key: content}, metadata={"m": str(len(content))}))

    @rule(key=key, bodies=parts)
    def write_in_parts(self, key: str, bodies: tuple[bytes, ...]) -> None:
        anyio.run(lambda: self.bench.put_parts(key, *bodies))

    @rule(key=key)
    def remove(self, key: str) -> None:
        self.bench.source.objects.pop(f"a/{key}", None)

    @rule(key=key, content=content)
    def somebody_writes(self, key: str, content: bytes) -> None:
        self.bench.target.objects[f"b/{key}"] = MemoryStore(objects={"x": content}).objects["x"]

    @rule(key=key)
    def somebody_deletes(self, key: str) -> None:
        self.bench.target.objects.pop(f"b/{key}", None)

    @rule()
    def lose_manifest(self) -> None:
        for path in Path(self.place.name).glob("pair.sqlite*"):
            path.unlink()

    @rule(operation=st.sampled_from(operations), skip=st.integers(0, 3), late=st.booleans())
    def break_writes(self, operation: str, skip: int, late: bool) -> None:
        fault = {"late" if late else "error": unavailable()}
        self.bench.writes.on(operation, skip=skip, times=3, **fault)

    @rule(
        operation=st.sampled_from(["head", "copy", "copy_part"]), skip=st.integers(0, 3), late=st.booleans()
    )
    def break_moves(self, operation: str, skip: int, late: bool) -> None:
        fault = {"late" if late else "error": unavailable()}
        self.bench.moves.on(operation, skip=skip, times=3, **fault)

    @rule(operation=st.sampled_from(READS), skip=st.integers(0, 3))
    def break_reads(self, operation: str, skip: int) -> None:
        self.bench.reads.on(operation, skip=skip, times=3, error=unavailable())

    @rule(operation=st.sampled_from([*operations, "delete_many"]), skip=st.integers(0, 3))
    def crash(self, operation: str, skip: int) -> None:
        self.bench.writes.on(operation, skip=skip, error=Crash("crash"))

    def run(self, **options: Any) -> Any:
        """Run once; whatever becomes of it, the source is as it was, and no object is half there."""
        self.bench.stop = Stop()
        here, before = dict(self.bench.source.objects), self.there
        chosen = {"allow_empty_source": True, "max_delete_ratio": 1.0, "copy_part_threshold": 4, **options}
        try:
            report = anyio.run(lambda: self.bench.sync(**chosen))
        except (AioS3SyncError, Crash):
            report = None
        assert self.bench.source.objects == here
        after = self.there
        for key, body in after.items():
            assert body in (before.get(key), self.here.get(key)), "an object is the old one or the new one"
            if body == self.here.get(key):
                self.synced[key].add(body)
        return report

    @rule(incremental=st.booleans())
    def copy_and_keep(self, incremental: bool) -> None:
        """Without delete nothing ever disappears."""
        before = set(self.there)
        self.run(incremental=incremental)
        assert before <= set(self.there)

    @rule()
    def copy_tracked(self) -> None:
        """Nothing is deleted but what a run left on both sides, and what the source has not any more."""
        before, synced = self.there, {key: set(bodies) for key, bodies in self.synced.items()}
        self.run(delete="tracked")
        for key in before.keys() - self.there.keys():
            assert key not in self.here
            assert before[key] in synced.get(key, ())

    @rule(most=st.integers(0, 1))
    def copy_with_a_limit(self, most: int) -> None:
        """The limit of deletes is one of the whole plan."""
        before = set(self.there)
        planned = len(before - set(self.here) - {"z.delta", "d/"})
        self.run(delete="mirror", max_delete=most)
        gone = before - set(self.there)
        assert len(gone) <= most
        if planned > most:
            assert not gone

    @rule(trash=st.booleans())
    def mirror(self, trash: bool) -> None:
        """After a clean mirror run both sides are equal, and the next run has nothing to do."""
        before, here = self.there, self.here
        report = self.run(delete="mirror", trash="s3://trash/t" if trash else None)
        if trash:
            kept = self.bench.trash.bodies()
            for key in before.keys() - self.there.keys():
                names = [f"t/{key}", *(f"t/{key}.{number}" for number in range(1, 30))]
                assert before[key] in [kept.get(name) for name in names], "deleted, and not in the trash"
        assert before.keys() - self.there.keys() <= before.keys() - here.keys()
        if report is None or report.exit_code:
            return
        self.assert_equal()
        self.bench.reads._faults.clear()
        self.bench.writes._faults.clear()
        self.bench.moves._faults.clear()
        again = self.run(delete="mirror")
        assert again.exit_code == again.copied == again.deleted == again.adopted == 0
        assert again.requests.keys() == {"ListObjectsV2"}

    def assert_equal(self) -> None:
        """Both sides are equal, but for what belongs to other tools."""
        protected = {key: body for key, body in self.there.items() if key in ("z.delta", "d/")}
        assert self.there == protected | self.here

    @invariant()
    def no_upload_is_left_half_done(self) -> None:
        """Where the response to CreateMultipartUpload is lost, an upload without parts may be left."""
        if hasattr(self, "bench"):
            assert not [upload for upload in self.bench.target._uploads.values() if upload.parts]

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.reads._faults.clear()
            self.bench.writes._faults.clear()
            report = self.run(delete="mirror")
            assert report.exit_code == 0
            self.assert_equal()
            self.place.cleanup()
            self.patch.undo()


TestCopies = pytest.mark.slow(Copies.TestCase)
TestCopies.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
