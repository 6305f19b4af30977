"""Deletes that wait for what failed (P5), each item counted once (P9), and memory that stays flat."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

from aios3sync.events import Outcome
from aios3sync.sync import detector
from aios3sync.sync.deferred import DeferredDeletes
from aios3sync.sync.recorder import Recorder
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import Bench

pytestmark = pytest.mark.usefixtures("settle")

Refuse = Callable[..., None]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Let the system refuse to open or to list a place, also to root, who may do everything."""

    def make(bench: Bench, name: str, error: OSError) -> None:
        place = f"{bench.root}/{name}"
        for call in ("open", "scandir"):
            real = getattr(os, call)

            def refusing(path: Any = ".", *args: Any, real: Any = real, **more: Any) -> Any:
                if path == place:
                    raise type(error)(error.errno, error.strerror, place)
                return real(path, *args, **more)

            monkeypatch.setattr(os, call, refusing)

    return make


DENIED, BROKEN = PermissionError(13, "Permission denied"), OSError(5, "Input/output error")


@pytest.mark.parametrize("error", [DENIED, BROKEN], ids=["EACCES", "EIO"])
@pytest.mark.parametrize("delete", ["tracked", "mirror"])
@pytest.mark.parametrize("known", [False, True], ids=["new name", "known name"])
async def test_P5_what_was_moved_and_cannot_be_read_keeps_its_only_copy(
    bench: Bench, refuse: Refuse, error: OSError, delete: Any, known: bool
) -> None:
    bench.tree({"a": "precious", "other": "1", **({"b": "old"} if known else {})})
    await bench.sync()
    (bench.root / "a").rename(bench.root / "b")
    refuse(bench, "b", error)
    report = await bench.sync(delete=delete)
    assert (report.failed, report.withheld, report.deleted, report.exit_code) == (1, 1, 0, 3)
    assert "could not be read" in report.warnings[0]
    assert "--delete-despite-errors" in report.warnings[0]
    assert bench.objects()["a"] == b"precious"
    report = await bench.sync(delete=delete, delete_despite_errors=True)
    assert (report.deleted, report.withheld) == (1, 0)


async def test_P5_a_comparison_that_cannot_read_its_file_withholds_deletes(
    bench: Bench, refuse: Refuse
) -> None:
    bench.tree({"a": "precious", "b": "preciouX", "other": "1"})
    await bench.sync()
    (bench.root / "a").rename(bench.root / "b")  # the size that is recorded: it has to be hashed
    refuse(bench, "b", BROKEN)
    report = await bench.sync(delete="tracked")
    assert (report.failed, report.withheld, report.deleted) == (1, 1, 0)


async def test_P5_a_comparison_whose_request_fails_withholds_deletes(bench: Bench, isolated: Any) -> None:
    bench.tree({"a.txt": "1" * 99, "b": "2"})
    await bench.sync(gzip=("txt",))
    for path in isolated.glob("aios3sync/*"):
        path.unlink()
    (bench.root / "b").unlink()
    bench.faults.on("head", times=-1, error=RuntimeError("?"))
    bench.faults.on("put", times=-1, error=RuntimeError("?"))
    report = await bench.sync(gzip=("txt",), delete="mirror")
    assert (report.failed, report.withheld, report.deleted) == (1, 1, 0)


@pytest.mark.parametrize("delete", ["tracked", "mirror"])
async def test_P5_a_directory_that_was_moved_and_cannot_be_read_keeps_its_only_copies(
    bench: Bench, refuse: Refuse, delete: Any
) -> None:
    bench.tree({"a/x": "precious", "a/y": "too", "other": "1"})
    await bench.sync()
    (bench.root / "a").rename(bench.root / "b")
    refuse(bench, "b/", DENIED)
    refuse(bench, "b", DENIED)
    report = await bench.sync(delete=delete)
    assert (report.failed, report.withheld, report.deleted, report.exit_code) == (1, 2, 0, 3)
    assert "'b'" in report.warnings[0]
    assert set(bench.objects()) == {"a/x", "a/y", "other"}
    (bench.root / "b").rename(bench.root / "c")
    assert (await bench.sync(delete=delete, exclude=("/b/**",))).deleted == 2


async def test_P2_nothing_is_forgotten_under_an_unreadable_path(bench: Bench, refuse: Refuse) -> None:
    """Neither what is gone on both sides, nor what somebody replaced: the next run needs their rows."""
    bench.tree({"a": "1", "closed/gone": "2", "closed/theirs": "3", "gone": "4"})
    await bench.sync()
    del bench.memory.objects["p/closed/gone"]
    del bench.memory.objects["p/gone"]
    bench.memory.objects["p/closed/theirs"] = MemoryStore(objects={"x": b"other"}).objects["x"]
    (bench.root / "gone").unlink()
    refuse(bench, "closed/", DENIED)
    report = await bench.sync(delete="tracked", check="list")
    assert (report.forgotten, report.conflicts, report.failed, report.kept) == (1, 0, 1, 3)


# Each item ends in one state, also where a comparison begins anew.


async def test_P9_a_dry_run_that_compares_twice_counts_each_key_once(bench: Bench) -> None:
    bench.tree({"a": "1", "b": "2", "c": "3", "z": "4"})
    await bench.sync()
    bench.tree({"a": "changed", "new": "5"})
    os.utime(bench.root / "b")
    (bench.root / "z").unlink()  # comes last, and needs a listing
    report = await bench.sync(delete="tracked", dry_run=True)
    assert (report.uploaded, report.touched, report.kept, report.deleted) == (2, 1, 1, 1)
    assert (report.planned, report.uploaded_bytes) == (5, len("changed") + len("5"))


async def test_P9_what_was_compared_and_kept_is_counted_once_when_the_listing_is_out_of_order(
    bench: Bench,
) -> None:
    bench.claim_byte_order()
    bench.tree({f"0{n:03}": "6" for n in range(40)})
    bench.tree({"a/1": "1", "a/2": "2", "a/3": "3", "a-b": "4", "a!b": "5"})
    await bench.sync()
    report = await bench.sync(check="content", list_order="bytes")
    assert (report.planned, report.kept + report.uploaded) == (45, 45)


async def test_P9_a_file_that_vanished_in_a_comparison_is_not_decided_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when the run began: that it is gone is the next run's affair."""
    from aios3sync.sync.transfers import uploads

    bench.tree({"a": "1", "b": "2", "z": "3"})
    await bench.sync()
    bench.tree({"a": "changed"})
    (bench.root / "z").unlink()
    real = uploads._read_files

    def vanish(*given: Any) -> Any:
        (bench.root / "a").unlink(missing_ok=True)
        return real(*given)

    monkeypatch.setattr(uploads, "_read_files", vanish)
    report = await bench.sync(delete="tracked")
    assert (report.checked, report.vanished, report.deleted, report.kept, report.planned) == (
        ("list", 1, 1, 1, 3)
    )
    assert set(bench.objects()) == {"a", "b"}


# What waits is not held in memory.


@pytest.mark.slow
@pytest.mark.parametrize("how", ["withheld", "previewed", "forgotten", "deleted"])
async def test_memory_does_not_grow_with_the_deletes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    count, most = 20_000, [0]
    bench.tree({"a": "1"})
    body = MemoryStore(objects={"x": b"foreign"}).objects["x"]
    bench.memory.objects.update({f"p/f{n:05}": body for n in range(count)})
    recorders: set[Recorder] = set()
    real, real_all = Recorder.add, Recorder.add_all

    def add(self: Recorder, outcome: Outcome) -> None:
        recorders.add(self)
        real(self, outcome)
        most[0] = max(most[0], len(self._pending) + len(self.not_done))

    def add_all(self: Recorder, outcomes: Any) -> None:
        real_all(self, outcomes)
        most[0] = max(most[0], len(self._pending) + len(self.not_done))

    monkeypatch.setattr(Recorder, "add", add)
    monkeypatch.setattr(Recorder, "add_all", add_all)
    options: dict[str, Any] = {"delete": "mirror", "max_delete_ratio": 1.0}
    if how == "withheld":
        report = await bench.sync(**options | {"max_delete": 1})
        assert report.withheld == count
    elif how == "previewed":
        report = await bench.sync(**options, dry_run=True)
        assert report.deleted == count
    elif how == "deleted":
        assert (await bench.sync(**options)).deleted == count
    else:
        bench.tree({f"f{n:05}": "x" for n in range(3000)})
        await bench.sync()
        most[0] = 0
        for n in range(3000):
            (bench.root / f"f{n:05}").unlink()
            del bench.memory.objects[f"p/f{n:05}"]
        assert (await bench.sync(check="list")).forgotten == 3000
    assert most[0] < 13 * 1024  # what may wait, and one batch of each of the workers
    assert all(not recorder.not_done for recorder in recorders)


async def test_memory_does_not_grow_with_names_that_have_another_form(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tree of a Mac has all its names decomposed: their composed forms wait outside of memory (C15)."""
    monkeypatch.setattr(detector, "_MOST_WAITING", 100)
    monkeypatch.setattr("aios3sync.local.walk.BATCH_SIZE", 50)
    noted: list[int] = []
    real = DeferredDeletes.note_names

    async def note(self: DeferredDeletes, names: Any) -> None:
        noted.append(len(names))
        await real(self, names)

    monkeypatch.setattr(DeferredDeletes, "note_names", note)
    names = [f"é{n:04}" for n in range(1000)]
    bench.tree({unicodedata.normalize("NFD", name): "1" for name in names})
    body = MemoryStore(objects={"x": b"foreign"}).objects["x"]
    bench.memory.objects.update({f"p/{unicodedata.normalize('NFC', name)}": body for name in names[::100]})
    bench.memory.objects["p/other"] = body
    report = await bench.sync(delete="mirror")
    assert (report.deleted, report.kept) == (1, 10)
    assert sum(noted) == 1000
    assert max(noted) <= 150
