"""Small files are sent as a run sends them, in less time; all else is left to a run."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aios3sync._dataclass import defaults_of
from aios3sync.concurrency import in_thread
from aios3sync.core.entries import RecordedEntry
from aios3sync.options import SyncOptions
from aios3sync.report import SyncReport
from aios3sync.store.protocol import DeleteItem, ObjectStore, PutResult, SmallPut
from aios3sync.sync import small_run
from aios3sync.sync.request import SyncRequest, manifest_path
from aios3sync.sync.small_changes import _LARGEST
from aios3sync.sync.small_run import run_small
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import Bench, Crash, same_size_change
from tests.sync.test_unchanged import comparable, request_of
from tests.sync.test_unchanged_listing import StorePages

FILES: dict[str, bytes | str | None] = {
    "a": "1",
    "b/c.txt": "22",
    "b/d.log": "333",
    "b/e.bin": b"\xff\x00",
    "é x": "",
    "z": "z",
}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no slow source."""
    monkeypatch.setattr("aios3sync.sync.small_run._PATIENCE_S", 600)


@dataclass
class StorePuts:
    """Puts into a store, called from a thread without an event loop."""

    store: ObjectStore
    before: Callable[[int], PutResult | None] = lambda _: PutResult("")
    after: Callable[[int], object] = lambda _: None
    keys: list[str] = field(default_factory=list)
    closed: int = 0

    def put_all(self, puts: Iterator[SmallPut]) -> Iterator[tuple[SmallPut, PutResult | None]]:
        for put in puts:
            if self.before(len(self.keys)) is None:
                yield put, None
                return
            assert put.sha256 == hashlib.sha256(put.body).hexdigest()
            self.keys.append(put.key)
            storing = self.store.put(put.key, put.body, put.options, md5=put.md5, sha256=put.sha256)
            result = asyncio.run(storing)
            self.after(len(self.keys))
            yield put, result

    def close(self) -> None:
        self.closed += 1


async def small(bench: Bench, puts: StorePuts | None = None, **options: Any) -> SyncReport | None:
    puts = puts or StorePuts(bench.memory)
    pages = StorePages(bench.memory)
    return await in_thread(lambda: run_small(request_of(bench, **options), lambda: pages, lambda: puts))


async def rows(bench: Bench, **options: Any) -> list[Any]:
    """The rows of the manifest, without when they were written."""
    path = await in_thread(manifest_path, request_of(bench, **options))
    with sqlite3.connect(path) as manifest:
        manifest.row_factory = sqlite3.Row
        found = [dict(row) for row in manifest.execute("SELECT * FROM entries ORDER BY key")]
    assert all(row.pop("uploaded_at") > 0 for row in found)
    return found


async def state(bench: Bench, **options: Any) -> dict[str, Any]:
    path = await in_thread(manifest_path, request_of(bench, **options))
    with sqlite3.connect(path) as manifest:
        (text,) = manifest.execute("SELECT value FROM state WHERE name = 'state'").fetchone()
    saved: dict[str, Any] = json.loads(text)
    for moment in ("listed_at", "last_sync"):
        saved[moment] = saved[moment] > 0
    saved["listings"] = [scope for scope, _ in saved["listings"]]
    return saved


async def objects(bench: Bench) -> dict[str, Any]:
    """The objects, each with all that HeadObject says of it."""
    found = {}
    for key, body in bench.memory.bodies().items():
        head = await bench.memory.head(key)
        found[key] = (body, head._replace(last_modified=0.0, version_id=""))
    return found


@pytest.fixture
def twin(bench: Bench) -> Bench:
    """The same source with another bucket, for a run to compare with."""
    memory = MemoryStore()
    return Bench(bench.root, memory, FaultyStore(memory), endpoint="http://twin")


def _four(root: Path) -> None:
    (root / "a").write_text("one")
    (root / "b/c.txt").write_text("23")
    (root / "m").mkdir()
    (root / "m/new.html").write_text("<p>é")
    os.utime(root / "z", (5, 5))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new file": lambda root: (root / "new.json").write_text("{}"),
    "a new file that is empty": lambda root: (root / "b/new").write_bytes(b""),
    "a text that is not UTF-8": lambda root: (root / "b/c.txt").write_bytes(b"\xe9"),
    "another size": lambda root: (root / "a").write_text("xyz"),
    "the same size": lambda root: (root / "z").write_text("y"),
    "the same size and time": lambda root: same_size_change(root / "a"),
    "another time": lambda root: os.utime(root / "é x", (1, 1)),
    "an odd name": lambda root: (root / "ü+%20 ?#&<>'\"~").write_text("odd"),
    "the largest": lambda root: (root / "a").write_bytes(os.urandom(_LARGEST)),
    "a file that is gone": lambda root: (root / "b/d.log").unlink(),
    "the last one gone, another changed": lambda root: (root / "z").rename(root / "a"),
    "four of all kinds": _four,
}
SETTLING = {"settled": -int(3600e9), "not settled": int(3600e9)}


@pytest.mark.parametrize("settling", SETTLING)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"exclude": ("*.log",)},
        {"exclude": ("*.none",)},
        {"gitignore": True},
        {"symlinks": "inside"},
        {"check": "list"},
        {"check": "list", "exclude": ("*.log",)},
        {"delete": "mirror"},
    ],
    ids=str,
)
async def test_it_does_what_a_run_does(
    bench: Bench,
    twin: Bench,
    change: str,
    options: dict[str, Any],
    settling: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Report, objects, rows and state; and the next run finds nothing to send."""
    monkeypatch.setattr("aios3sync.local.digest.SETTLING_NS", -int(3600e9))
    bench.tree(FILES)
    for each in (bench, twin):
        await each.sync(**options)
    CHANGES[change](bench.root)
    monkeypatch.setattr("aios3sync.local.digest.SETTLING_NS", SETTLING[settling])
    whole = await twin.sync(**options)
    found = await small(bench, **options)
    if options.get("delete") == "mirror" and "gone" in change:
        assert found is None
        return
    assert found is not None
    assert comparable(found) == comparable(whole)
    assert await objects(bench) == await objects(twin)
    assert await rows(bench, **options) == await rows(twin, **options)
    assert await state(bench, **options) == await state(twin, **options)
    again = await bench.sync(**{**options, "check": "auto", "delete": "off"})
    assert (again.uploaded, again.checked) == (0, "manifest")


@pytest.mark.usefixtures("settle")
async def test_what_rules_hide_is_not_counted(bench: Bench, twin: Bench) -> None:
    bench.tree(FILES)
    for each in (bench, twin):
        await each.sync()
    (bench.root / "b/c.txt").write_text("new")
    found, whole = await small(bench, exclude=("*.log",)), await twin.sync(exclude=("*.log",))
    assert found is not None
    assert comparable(found) == comparable(whole)
    assert (found.uploaded, found.kept) == (1, 4)


async def test_a_row_that_may_not_be_trusted_is_compared(
    bench: Bench, twin: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs in the same second: the second one reads the file again."""
    monkeypatch.setattr("aios3sync.local.digest.SETTLING_NS", int(3600e9))
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    await twin.sync()
    for settling in SETTLING.values():
        monkeypatch.setattr("aios3sync.local.digest.SETTLING_NS", settling)
        found, whole = await small(bench), await twin.sync()
        assert comparable(found) == comparable(whole)
        assert await rows(bench) == await rows(twin)
        assert (await state(bench))["complete"]


@pytest.mark.usefixtures("settle")
async def test_what_was_sent_is_told_when_it_is_recorded(bench: Bench) -> None:
    bench.tree(FILES)
    await bench.sync()
    (bench.root / "a").write_text("new")
    sent: list[tuple[str, str]] = []

    def on_upload(row: RecordedEntry, reason: str) -> None:
        with sqlite3.connect(manifest_path(request_of(bench))) as manifest:
            assert manifest.execute("SELECT etag FROM entries WHERE key = 'a'").fetchone() == (row.etag,)
        sent.append((row.key, reason))

    request, puts = request_of(bench), StorePuts(bench.memory)
    assert await in_thread(lambda: run_small(request, None, lambda: puts, on_upload)) is not None
    assert sent == [("a", "size differs")]
    assert puts.closed == 1


async def untouched(bench: Bench, **options: Any) -> None:
    """Assert that a run is needed, and that nothing was asked or written before."""
    before = await rows(bench), await state(bench)
    puts = StorePuts(bench.memory)
    assert await small(bench, puts, **options) is None
    assert not puts.keys
    assert (await rows(bench), await state(bench)) == before


def _many(root: Path) -> None:
    for number in range(8):
        (root / f"new{number}").write_text("x")


def _much(root: Path) -> None:
    for number in range(3):
        (root / f"new{number}").write_bytes(bytes(50))


LEFT: dict[str, tuple[Callable[[Path], object], dict[str, Any]]] = {
    "too many": (_many, {}),
    "too many, with a listing": (_many, {"check": "list"}),
    "too much": (_much, {}),
    "too large": (lambda root: (root / "new").write_bytes(b"x" * (_LARGEST + 1)), {}),
    "a delete": (lambda root: (root / "a").unlink(), {"delete": "tracked"}),
    "a link that leads nowhere": (lambda root: (root / "link").symlink_to("nowhere"), {}),
    "a forced run": (lambda root: (root / "a").write_text("x"), {"incremental": False}),
    "a dry run": (lambda root: (root / "a").write_text("x"), {"dry_run": True}),
    "what is published last": (lambda root: (root / "a").write_text("x"), {"last": ("*",)}),
    "renames": (lambda root: (root / "a").rename(root / "y"), {"track_renames": True}),
    "a checksum": (lambda root: (root / "a").write_text("x"), {"checksum": "crc32c"}),
    "gzip": (lambda root: (root / "b/c.txt").write_text("x"), {"gzip": ("txt",)}),
    "content": (lambda root: (root / "a").write_text("x"), {"check": "content"}),
}


@pytest.mark.usefixtures("settle")
@pytest.mark.parametrize("case", LEFT)
async def test_what_it_does_not_do_is_left_to_a_run(
    bench: Bench, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.sync.small_changes.MOST_FILES", 7)
    monkeypatch.setattr("aios3sync.sync.small_changes.MOST_BYTES", 149 if "too much" in case else 10**9)
    bench.tree(FILES)
    await bench.sync()
    change, options = LEFT[case]
    change(bench.root)
    await untouched(bench, **options)


def test_an_option_that_it_does_not_know_is_left_to_a_run() -> None:
    """Also one that does not exist yet: what does not bear on sending is named, all else is refused."""
    defaults = dict(defaults_of(SyncOptions))
    assert small_run._sends_plainly(SyncOptions())
    for name in defaults.keys() - small_run._NOT_OF_SENDING:
        options: Any = SimpleNamespace(**{**defaults, name: object()})
        assert not small_run._sends_plainly(options), name


@pytest.mark.usefixtures("settle")
async def test_a_bucket_that_encrypts_is_left_to_a_run(bench: Bench) -> None:
    bench.tree(FILES)
    await bench.sync(sse="aws:kms")
    assert (await state(bench))["opaque_etags"]
    (bench.root / "a").write_text("new")
    await untouched(bench)


def _refused(*_: object) -> None:
    raise PermissionError


@pytest.mark.usefixtures("settle")
@pytest.mark.parametrize(
    "read", [_refused, lambda *_: None], ids=["a file that cannot be read", "one that changed after the walk"]
)
async def test_a_file_that_is_not_as_it_was_walked_is_left_to_a_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, read: Callable[..., None]
) -> None:
    bench.tree(FILES)
    await bench.sync()
    (bench.root / "a").write_text("new")
    monkeypatch.setattr("aios3sync.local.root.TreeRoot.read_now", read)
    await untouched(bench)


OF_OTHERS: dict[str, Callable[[Bench], Any]] = {
    "drifted": lambda bench: bench.store({"a": b"xyz"}),
    "of one size": lambda bench: bench.store({"a": b"x"}),
    "equal to a new file": lambda bench: bench.store({"new": b"new"}),
    "of another size than a new file": lambda bench: bench.store({"new": b"none"}),
    "gone": lambda bench: bench.memory.delete_many([DeleteItem("p/a")]),
    "foreign": lambda bench: bench.store({"theirs": b"x"}),
}


@pytest.mark.usefixtures("settle")
@pytest.mark.parametrize("case", OF_OTHERS)
async def test_what_others_did_to_the_target_is_decided_as_a_run_does(
    bench: Bench, twin: Bench, case: str
) -> None:
    """Where an object has to be looked at, or is not the recorded one, only a run can tell."""
    bench.tree(FILES)
    for each in (bench, twin):
        await each.sync()
    (bench.root / "new").write_text("new")
    for each in (bench, twin):
        await OF_OTHERS[case](each)
    whole = await twin.sync(check="list")
    found = await small(bench, check="list")
    assert (found is None) == (case == "of one size")
    if found is not None:
        assert comparable(found) == comparable(whole)
        assert await objects(bench) == await objects(twin)
        assert await rows(bench) == await rows(twin)
        assert await state(bench) == await state(twin)


# A first sync, and one whose manifest is lost: nothing is recorded of what the target may hold.


def _held(*keys: str) -> dict[str, bytes]:
    return {
        key: body.encode() if isinstance(body, str) else body or b""
        for key, body in FILES.items()
        if key in keys
    }


HELD: dict[str, dict[str, bytes]] = {
    "nothing": {},
    "everything": _held(*FILES),
    "a part": _held("a", "é x"),
    "another size": {"a": b"other"},
    "other objects": {"theirs": b"x", "b": b"no folder"},
}


@pytest.mark.usefixtures("settle")
@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"exclude": ("*.log",)},
        {"check": "list"},
        {"no_list": True},
        {"delete": "mirror", "max_delete": 9},
    ],
    ids=str,
)
async def test_a_first_sync_does_what_a_run_does(
    bench: Bench, twin: Bench, held: str, options: dict[str, Any]
) -> None:
    bench.tree(FILES)
    for each in (bench, twin):
        await each.store(HELD[held])
    whole = await twin.sync(**options)
    found = await small(bench, **options)
    if "delete" in options and held == "other objects":
        assert found is None
        return
    assert found is not None
    assert comparable(found) == comparable(whole)
    assert await objects(bench) == await objects(twin)
    assert await rows(bench) == await rows(twin)
    # One page proves no order of a longer listing; a run of a store that documents it knows it.
    assert {**await state(bench), "order": ""} == {**await state(twin), "order": ""}
    again = await bench.sync(**{**options, "check": "auto", "delete": "off", "no_list": False})
    assert (again.uploaded, again.checked) == (0, "list" if "no_list" in options else "manifest")


@pytest.mark.usefixtures("settle")
@pytest.mark.parametrize("body", [b"2", b"\xff\x00\x00"], ids=["the same size", "another size"])
async def test_a_first_sync_that_has_to_look_at_an_object_is_left_to_a_run(bench: Bench, body: bytes) -> None:
    """Only its metadata can show whether it has the content of the file under an ETag that is no MD5."""
    bench.tree({"a": "1", "b": body})
    await bench.store({"a": b"x"})
    assert await small(bench) is None
    assert await rows(bench) == []
    report = await bench.sync()
    assert report.uploaded == 2
    assert (await bench.sync()).uploaded == 0


@pytest.mark.usefixtures("settle")
async def test_a_first_sync_of_no_source_leaves_nothing_behind(bench: Bench) -> None:
    bench.root.rmdir()
    assert await small(bench) is None
    assert not os.path.exists(await in_thread(manifest_path, request_of(bench)))


# What may go wrong while files are sent. A run takes over at once, and both sides are the same after it.


def _unreachable(_: int) -> PutResult | None:
    raise OSError


def _crash(_: int) -> PutResult | None:
    raise Crash


@pytest.fixture
async def changed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A pair of which two files have changed."""
    monkeypatch.setattr("aios3sync.local.digest.SETTLING_NS", -int(3600e9))
    bench.tree(FILES)
    await bench.sync()
    (bench.root / "a").write_text("changed")
    (bench.root / "z").write_text("changed too")
    return bench


async def converges(bench: Bench, *, listing: bool) -> None:
    """A run brings both sides together."""
    report = await bench.sync()
    assert report.exit_code == 0
    assert report.checked == ("list" if listing else "manifest")
    assert bench.objects() == {
        path.relative_to(bench.root).as_posix(): path.read_bytes()
        for path in bench.root.rglob("*")
        if path.is_file()
    }
    assert (await bench.sync()).uploaded == 0


async def test_a_refused_file_leaves_the_manifest_as_it_was(changed: Bench) -> None:
    """Nothing is stored for certain, so that the run that reports the refusal needs no listing."""
    before = await rows(changed), await state(changed)
    assert await small(changed, StorePuts(changed.memory, before=lambda _: None)) is None
    assert (await rows(changed), await state(changed)) == before
    await converges(changed, listing=False)


async def test_where_the_second_file_is_refused_the_first_is_recorded(changed: Bench) -> None:
    """A run takes over, lists, and sends the rest alone."""
    before = await rows(changed)
    puts = StorePuts(changed.memory, before=lambda sent: None if sent else PutResult(""))
    assert await small(changed, puts) is None
    assert puts.keys == ["p/a"]
    differing = [row["key"] for row, old in zip(await rows(changed), before, strict=True) if row != old]
    assert differing == ["a"]
    assert not (await state(changed))["complete"]
    await converges(changed, listing=True)


async def test_what_takes_too_long_is_ended_by_a_run(changed: Bench) -> None:
    """What was sent until then is recorded, and shown as sent."""
    sent: list[str] = []

    class SlowPuts(StorePuts):
        def put_all(self, puts: Iterator[SmallPut]) -> Iterator[tuple[SmallPut, PutResult | None]]:
            yield from super().put_all(islice(puts, 1))

    request, slow = request_of(changed), SlowPuts(changed.memory)
    report = await in_thread(
        lambda: run_small(request, None, lambda: slow, lambda row, _: sent.append(row.key))
    )
    assert report is None
    assert sent == ["a"]
    assert not (await state(changed))["complete"]
    report = await changed.sync()
    assert (report.checked, report.uploaded, report.kept) == ("list", 1, len(FILES) - 1)
    assert changed.objects()["z"] == b"changed too"


async def test_where_an_answer_is_missing_the_next_run_lists(changed: Bench) -> None:
    assert await small(changed, StorePuts(changed.memory, before=_unreachable)) is None
    assert not (await state(changed))["complete"]
    await converges(changed, listing=True)


async def test_an_error_later_leaves_what_was_proved(changed: Bench) -> None:
    puts = StorePuts(changed.memory, before=lambda sent: _unreachable(sent) if sent else PutResult(""))
    assert await small(changed, puts) is None
    assert {row["run"] for row in await rows(changed) if row["key"] == "a"} == {2}
    assert not (await state(changed))["complete"]
    await converges(changed, listing=True)


@pytest.mark.parametrize("sent", [0, 1, 2])
async def test_a_process_that_ends_in_the_middle_loses_nothing(changed: Bench, sent: int) -> None:
    """P10: whatever was stored by then, the next run lists."""
    puts = StorePuts(
        changed.memory,
        before=lambda done: _crash(done) if done == sent else PutResult(""),
        after=lambda done: _crash(done) if done == sent else None,
    )
    with pytest.raises(Crash):
        await small(changed, puts)
    assert not (await state(changed))["complete"]
    await converges(changed, listing=True)


async def test_a_file_that_changes_while_it_is_sent_is_not_recorded(changed: Bench) -> None:
    """P8."""
    before = await rows(changed)
    path = changed.root / "a"
    puts = StorePuts(changed.memory, after=lambda _: path.write_text("changed again"))
    assert await small(changed, puts) is None
    differing = [row["key"] for row, old in zip(await rows(changed), before, strict=True) if row != old]
    assert differing == ["z"]
    await converges(changed, listing=True)


async def test_a_place_that_cannot_be_reached_costs_nothing(changed: Bench) -> None:
    """No connection, nothing begun: the run that reports it needs no listing either."""

    def refused() -> StorePuts:
        raise ConnectionRefusedError

    before = await state(changed)
    request: SyncRequest = request_of(changed)
    assert await in_thread(lambda: run_small(request, None, refused)) is None
    assert await state(changed) == before
