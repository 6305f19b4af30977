"""All formats of the manifest keep one contract; files that cannot be trusted are set aside or refused."""

from __future__ import annotations

import errno
import json
import os
import socket
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from anyio import to_thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios3sync import LockedError, ManifestError
from aios3sync.core.entries import RecordedEntry
from aios3sync.manifest.files import (
    default_path,
    open_manifest,
    refuse_foreign,
    temporary_manifest,
)
from aios3sync.manifest.lock import hold_lock
from aios3sync.manifest.protocol import Binding, Manifest, ManifestState
from aios3sync.manifest.sqlite import SqliteManifest
from tests.manifest.shards import begin_shards
from tests.threads import assert_closing_waits

PAIR = Binding("/data", "http://s3", "bucket", "p/")
SEED = {
    "version": "1.0",
    "last_sync": "2026-02-06T14:30:00",
    "files": {
        "metadata/index.json": {
            "local_path": "/x/metadata/index.json",
            "size": 2048576,
            "md5": "d41d8cd98f00b204e9800998ecf8427e",
            "uploaded_at": "2026-02-06T14:29:45",
        }
    },
}


async def opened(path: str, pair: Binding, warn: Callable[[str], None], **options: bool) -> Manifest:
    """Opening blocks, so it is done in a thread, here as everywhere."""
    return await to_thread.run_sync(lambda: open_manifest(path, pair, warn, **options))


def row(key: str, **values: Any) -> RecordedEntry:
    return RecordedEntry(key, 1, 2, 3, 4, "0" * 32, "1" * 32)._replace(**values)


@pytest.fixture(params=["sqlite", "json", "shards"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    path = str(tmp_path / f"state.{request.param}")
    if request.param == "shards":
        begin_shards(path, PAIR, ["a/", "k", "k2"])
    return path


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def reopen(path: str, warnings: list[str]) -> Callable[[], Manifest]:
    return lambda: open_manifest(path, PAIR, warnings.append)


@pytest.fixture
async def manifest(reopen: Callable[[], Manifest]) -> AsyncIterator[Manifest]:
    manifest = await to_thread.run_sync(reopen)
    yield manifest
    await manifest.close()


async def test_rows_come_in_key_order_and_in_pages(manifest: Manifest) -> None:
    keys = ["a", "a!b", "a-b", "a/x", "é", "\uffff", "🙂"]
    await manifest.record([row(key) for key in reversed(keys)], [])
    first = await manifest.page(None, 3)
    rest = await manifest.page(first[-1].key, 100)
    assert [entry.key for entry in [*first, *rest]] == sorted(keys, key=lambda key: key.encode())
    assert await manifest.page(rest[-1].key, 10) == []
    assert await manifest.count() == len(keys)


async def test_rows_can_be_written_while_pages_are_read(manifest: Manifest) -> None:
    await manifest.record([row(f"k{n}") for n in range(6)], [])
    first = await manifest.page(None, 3)
    await manifest.record([row("k0", size=9), row("k1", size=9)], ["k4"])
    rest = await manifest.page(first[-1].key, 9)
    assert [entry.key for entry in rest] == ["k3", "k5"]


async def test_everything_survives_closing(
    manifest: Manifest, reopen: Callable[[], Manifest], path: str
) -> None:
    full = row("k", md5="ab" * 16, etag="cd" * 16 + "-2", part_size=5, encoding="gzip", settled=False)
    full = full._replace(uploaded_at=1_700_000_000.5)
    state = ManifestState(True, 10.0, 20.5, 7, 42, ("mnt/",), "ascending", True)
    await manifest.record([full, row("gone")], [])
    await manifest.record([], ["gone"])
    await manifest.save_state(state)
    await manifest.close()
    again = await to_thread.run_sync(reopen)
    assert (await again.get("k"))._replace(run=0) == full._replace(run=0)  # type: ignore[union-attr]
    assert await again.get("gone") is None
    assert await again.state() == state
    assert again.binding == PAIR
    assert stat.S_IMODE(os.stat(again.place).st_mode) == 0o600
    await again.close()


async def test_clearing_forgets_rows_and_state_but_not_the_pair(manifest: Manifest) -> None:
    await manifest.record([row("k")], [])
    await manifest.save_state(ManifestState(complete=True))
    await manifest.clear()
    assert (await manifest.count(), await manifest.state()) == (0, ManifestState())
    assert manifest.binding == PAIR


async def test_a_file_of_another_pair_is_set_aside_and_kept(
    manifest: Manifest, path: str, warnings: list[str]
) -> None:
    await manifest.record([row("k")], [])
    await manifest.close()
    other = await opened(path, Binding("/data", "http://s3", "bucket", "q/"), warnings.append)
    assert await other.count() == 0
    await other.close()
    (aside,) = Path(path).parent.glob("*.set-aside-*")
    assert aside.is_dir() or aside.stat().st_size > 0
    assert "belongs to /data -> s3://bucket/p/" in warnings[0]


@pytest.mark.parametrize(
    "content", [b'{"version": "1.0", "files": {"a": {"si', b'{"version": "9", "files": {}}']
)
async def test_a_json_file_that_is_cut_or_of_another_version_is_set_aside(
    tmp_path: Path, warnings: list[str], content: bytes
) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(content)
    manifest = await opened(str(path), PAIR, warnings.append)
    assert await manifest.count() == 0
    await manifest.close()
    (aside,) = tmp_path.glob("m.json.set-aside-*")
    assert aside.read_bytes() == content
    assert len(warnings) == 1


async def test_a_corrupt_sqlite_file_is_set_aside(tmp_path: Path, warnings: list[str]) -> None:
    path = tmp_path / "m.sqlite"
    path.write_bytes(b"SQLite format 3\x00" + b"garbage" * 1000)
    manifest = await opened(str(path), PAIR, warnings.append)
    assert await manifest.count() == 0
    await manifest.close()
    assert "corrupt" in warnings[0]


async def test_a_newer_sqlite_format_is_set_aside(tmp_path: Path, warnings: list[str]) -> None:
    path = str(tmp_path / "m.sqlite")
    await (await opened(path, PAIR, warnings.append)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    await (await opened(path, PAIR, warnings.append)).close()
    assert "format 99" in warnings[0]


@pytest.mark.parametrize("name", ["photo.jpg", "photo.json"])
def test_a_file_of_another_program_is_an_error_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xff\xd8\xff\xe0 not a manifest")
    with pytest.raises(ManifestError, match="is not a manifest"):
        open_manifest(str(path), PAIR, print)
    assert path.read_bytes() == b"\xff\xd8\xff\xe0 not a manifest"


def test_a_database_of_another_program_is_an_error_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "browser.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")
    connection.close()
    with pytest.raises(ManifestError, match="not a manifest"):
        open_manifest(str(path), PAIR, print)


async def test_the_seeds_file_is_taken_over_as_incomplete(tmp_path: Path, warnings: list[str]) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(SEED | {"complete": True}))
    manifest = await opened(str(path), PAIR, warnings.append)
    (entry,) = await manifest.page(None, 10)
    assert (entry.key, entry.size, entry.md5) == (
        "metadata/index.json",
        2048576,
        "d41d8cd98f00b204e9800998ecf8427e",
    )
    state = await manifest.state()
    assert not state.complete
    assert state.last_sync == 1_770_388_200.0, "a time without a zone is UTC"
    await manifest.close()
    again = json.loads(path.read_text())
    assert again["version"] == "1.0"
    assert again["target"] == {"source": "/data", "endpoint": "http://s3", "bucket": "bucket", "prefix": "p/"}
    assert again["files"]["metadata/index.json"]["size"] == 2048576
    assert warnings == []


async def test_the_json_format_is_the_seeds_with_further_optional_fields(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    manifest = await opened(str(path), PAIR, print)
    await manifest.record([row("a/b", uploaded_at=1_700_000_000.0)], [])
    await manifest.save_state(ManifestState(complete=True, last_sync=1_700_000_001.0))
    document = json.loads(path.read_text())
    assert document["last_sync"] == "2023-11-14T22:13:21Z"
    item = document["files"]["a/b"]
    assert {name: item[name] for name in ("local_path", "size", "md5", "uploaded_at")} == {
        "local_path": "/data/a/b",
        "size": 1,
        "md5": "0" * 32,
        "uploaded_at": "2023-11-14T22:13:20Z",
    }
    await manifest.close()


async def test_saving_json_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.json"
    manifest = await opened(str(path), PAIR, print)
    await manifest.save_state(ManifestState(run=1))
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aios3sync.manifest.json_file.os.fsync", full)
    with pytest.raises(ManifestError, match="No space left"):
        await manifest.save_state(ManifestState(run=2))
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["m.json"]
    monkeypatch.undo()
    await manifest.close()


async def test_a_read_only_manifest_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite"
    empty = await opened(str(path), PAIR, print, read_only=True)
    assert await empty.count() == 0
    await empty.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_temporary_manifest_lives_as_long_as_its_owner() -> None:
    manifest = await to_thread.run_sync(temporary_manifest)
    await manifest.record([row("k")], [])
    assert await manifest.count() == 1
    await manifest.close()


def test_every_pair_has_a_place_of_its_own() -> None:
    pairs = [
        PAIR,
        Binding("/data2", PAIR.endpoint, PAIR.bucket, PAIR.prefix),
        Binding(PAIR.source, "aws", PAIR.bucket, PAIR.prefix),
        Binding(PAIR.source, PAIR.endpoint, "other", PAIR.prefix),
        Binding(PAIR.source, PAIR.endpoint, PAIR.bucket, "q/"),
        Binding(os.fsdecode(b"/data\xff"), PAIR.endpoint, PAIR.bucket, PAIR.prefix),
    ]
    assert len({default_path(pair) for pair in pairs}) == len(pairs)


def test_only_one_holds_the_lock_and_its_end_frees_it(tmp_path: Path) -> None:
    path = str(tmp_path / "m.lock")
    with hold_lock(path), pytest.raises(LockedError, match=r"m\.lock"), hold_lock(path):
        pass
    with hold_lock(path):
        pass


def test_a_file_that_is_no_manifest_is_refused_before_any_file_is_made_next_to_it(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\xff\xd8")
    with pytest.raises(ManifestError, match="is not a manifest"):
        refuse_foreign(str(path))
    with pytest.raises(ManifestError, match="is a directory"):
        refuse_foreign(str(tmp_path))
    refuse_foreign(str(tmp_path / "new.sqlite"))


async def test_headers_are_kept_with_a_row_and_compared_with_its_stat(
    manifest: Manifest, reopen: Callable[[], Manifest]
) -> None:
    rows = [row("a", headers="h1"), row("b", headers="h2"), row("c")]
    await manifest.record(rows, [])
    assert await manifest.page(None, 10) == rows
    kept = {
        allowed: [
            key
            for key, *_, inode in await to_thread.run_sync(manifest.stats_after, "", 10, allowed)
            if inode == 4
        ]
        for allowed in (None, ("h1", ""), ("h2", "h2"))
    }
    assert kept == {None: ["a", "b", "c"], ("h1", ""): ["a", "c"], ("h2", "h2"): ["b"]}
    assert await manifest.lacks_headers()
    await manifest.record([row("c", headers="h1")], [])
    assert not await manifest.lacks_headers()
    await manifest.close()
    again = await to_thread.run_sync(reopen)
    assert [(entry.key, entry.headers) for entry in await again.page(None, 10)] == [
        ("a", "h1"),
        ("b", "h2"),
        ("c", "h1"),
    ]
    await again.close()


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_file_without_the_column_of_headers_is_used_as_it_is(
    tmp_path: Path, warnings: list[str], *, read_only: bool
) -> None:
    path = str(tmp_path / "m.sqlite")
    manifest = await opened(path, PAIR, warnings.append)
    await manifest.record([row("a"), row("b")], [])
    await manifest.close()
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE entries DROP COLUMN headers")
    connection.close()
    older = await opened(path, PAIR, warnings.append, read_only=read_only)
    assert [(entry.key, entry.headers) for entry in await older.page("a", 10)] == [("b", "")]
    assert await to_thread.run_sync(older.stats_after, "", 1, ("h", "")) == [("a", 1, 2, 3, 4)]
    assert await older.get("a") == row("a")
    if not read_only:
        await older.record([row("b", headers="h")], [])
        assert (await older.page("a", 10))[0].headers == "h"
    await older.close()
    assert not warnings


TIMES = st.integers(-(2**63) * 10**9, 2**63 * 10**9)
"""Nanoseconds of every time that ``os.stat`` can return: 64-bit seconds."""
INODES = st.integers(0, 2**64 - 1) | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1])
WIDE_STATS = st.lists(
    st.tuples(st.text("ab/é", min_size=1, max_size=4), st.integers(0, 2**63 - 1), TIMES, TIMES, INODES),
    min_size=1,
    max_size=9,
    unique_by=itemgetter(0),
)


@pytest.mark.parametrize("name", ["m.sqlite", "m.json"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stats=WIDE_STATS)
def test_any_inode_and_any_time_survive_in_both_manifests(
    stats: list[tuple[str, int, int, int, int]], name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = str(tmp_path_factory.mktemp("m") / name)
    expected = [RecordedEntry(*values, "0" * 32, "1" * 32) for values in sorted(stats)]
    # More than one statement writes at once, so that all ways of writing are taken.
    expected += [row(f"\uffff{number:03}", inode=2**64 - number) for number in range(70)]

    async def write_and_read() -> None:
        manifest = await opened(path, PAIR, print)
        await manifest.record(expected, [])
        await manifest.close()
        manifest = await opened(path, PAIR, print)
        assert await manifest.page(None, 1000) == expected
        assert await manifest.get(expected[0].key) == expected[0]
        # Files are compared with these, so that one that did not change is known again.
        known = await to_thread.run_sync(manifest.stats_after, "", 1000)
        assert known == [entry[:5] for entry in expected]
        await manifest.close()

    anyio.run(write_and_read)


async def test_a_manifest_of_an_earlier_version_with_large_inodes_stays_readable(tmp_path: Path) -> None:
    """JSON held 64-bit numbers without a sign as numbers."""
    path = tmp_path / "m.json"
    files = {"a": {"size": 1, "md5": "0" * 32, "inode": 2**64 - 1, "mtime_ns": -5}}
    path.write_text(json.dumps({"version": "1.0", "files": files}))
    manifest = await opened(str(path), PAIR, print)
    (entry,) = await manifest.page(None, 10)
    assert (entry.inode, entry.mtime_ns) == (2**64 - 1, -5)
    await manifest.close()


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=errno.errorcode.get)
def no_flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks."""

    def refuse(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr("aios3sync.manifest.lock.fcntl.flock", refuse)


@pytest.mark.usefixtures("no_flock")
def test_without_flock_still_only_one_holds_the_lock_and_its_end_frees_it(tmp_path: Path) -> None:
    path = str(tmp_path / "m.lock")
    with hold_lock(path), pytest.raises(LockedError, match=r"m\.lock\.held"), hold_lock(path):
        pass
    with hold_lock(path):
        pass
    assert [item.name for item in tmp_path.iterdir()] == ["m.lock"]


@pytest.mark.usefixtures("no_flock")
@pytest.mark.parametrize(
    ("owner", "free"),
    [
        (f"{socket.gethostname()} {2**22 + 1} 5", True),  # above the greatest number of a process
        (f"{socket.gethostname()} {os.getpid()} 1", True),  # the number is used again
        (f"elsewhere {2**22 + 1} 5", False),
        ("", False),
        ("garbage", False),
    ],
    ids=["dead", "reused", "elsewhere", "empty", "garbage"],  # the same in every process of a test run
)
def test_without_flock_the_lock_of_a_dead_process_of_this_machine_is_taken_over(
    tmp_path: Path, owner: str, free: bool
) -> None:
    path = tmp_path / "m.lock"
    (tmp_path / "m.lock.held").write_text(owner)
    if free:
        with hold_lock(str(path)):
            pass
        assert [item.name for item in tmp_path.iterdir()] == ["m.lock"]
    else:
        with pytest.raises(LockedError, match="remove that file"), hold_lock(str(path)):
            pass


def test_a_lock_that_fails_otherwise_is_a_manifest_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("aios3sync.manifest.lock.fcntl.flock", fail)
    with pytest.raises(ManifestError, match=r"m\.lock' cannot be held"), hold_lock(str(tmp_path / "m.lock")):
        pass


async def test_rows_recorded_while_json_is_saved_are_neither_lost_nor_in_its_way(
    tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save takes seconds in a thread of its own, and the run goes on."""
    from aios3sync.manifest import json_format as document

    path = str(tmp_path / "state.json")
    manifest = await opened(path, PAIR, warnings.append)
    await manifest.record([row("a"), row("b"), row("c")], [])
    real, once = document._item, [1]

    def item(entry: RecordedEntry, root: str) -> dict[str, Any]:
        if once:
            once.clear()
            anyio.from_thread.run(manifest.record, [row("new")], ["c"])
        return real(entry, root)

    monkeypatch.setattr(document, "_item", item)
    await manifest.save_state(ManifestState(run=1))
    await manifest.close()
    again = await opened(path, PAIR, warnings.append)
    assert [each.key for each in await again.page(None, 9)] == ["a", "b", "new"]
    await again.close()


async def test_a_save_of_json_that_began_earlier_never_replaces_a_later_one(
    tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run that said that it begins would not have said so (P10)."""
    from aios3sync.manifest import json_file as document

    path = str(tmp_path / "state.json")
    manifest = await opened(path, PAIR, warnings.append)
    real, first, go = document._replace, threading.Event(), threading.Event()

    def replace(place: str, content: bytes) -> None:
        if not first.is_set():
            first.set()
            go.wait(10)
        real(place, content)

    def release() -> None:
        first.wait(10)
        go.wait(0.2)  # long enough for the later save, if it did not wait for its turn
        go.set()

    monkeypatch.setattr(document, "_replace", replace)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(manifest.save_state, ManifestState(run=1, complete=True))
        tasks.start_soon(to_thread.run_sync, release)
        await to_thread.run_sync(first.wait, 10)
        await manifest.save_state(ManifestState(run=1, complete=True).begun())
    saved = json.loads(Path(path).read_text())
    assert saved["complete"] is False
    await manifest.close()


async def test_closing_waits_for_the_thread_that_a_cancelled_task_left_at_work(tmp_path: Path) -> None:
    manifest = await to_thread.run_sync(SqliteManifest.open, str(tmp_path / "m.sqlite"))
    await assert_closing_waits(manifest._run, manifest.close)
