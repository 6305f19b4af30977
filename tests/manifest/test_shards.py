"""A manifest of several files is one manifest to its reader; its root document is replaced by one writer."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync._dataclass import replace
from aios3sync.core.entries import RecordedEntry
from aios3sync.errors import ManifestError
from aios3sync.manifest.admin import StoredManifest
from aios3sync.manifest.files import open_manifest, own_files, sound_manifest
from aios3sync.manifest.layer_files import begin_layers, temporary_layers
from aios3sync.manifest.layers import Layer, LayeredManifest
from aios3sync.manifest.lock import hold_lock, lock_path
from aios3sync.manifest.protocol import Binding, Manifest, ManifestState
from aios3sync.manifest.root import ATTEMPTS, RangeLayers, Root, joined_state
from aios3sync.manifest.root_directory import RootDirectory, shards_directory, single_file
from aios3sync.manifest.sharded import MOST_LAYERS, begin_attempt, layers_of
from aios3sync.manifest.sqlite import SqliteManifest
from tests.manifest.shards import begin_shards, row

PAIR = Binding("/data", "http://s3", "bucket", "p/")
COMPLETE = ManifestState(complete=True, listed_at=10.0, last_sync=20.0, run=3)


@pytest.fixture
def no_blocking() -> None:
    """Let the tests look at files themselves; that the manifest does not block is shown by its contract."""


async def opened(path: str, *, read_only: bool = False) -> Manifest:
    return await to_thread.run_sync(lambda: open_manifest(path, PAIR, pytest.fail, read_only=read_only))


async def rows_of(manifest: Manifest) -> list[RecordedEntry]:
    found: list[RecordedEntry] = []
    while page := await manifest.page(found[-1].key if found else None, 3):
        found += page
    return found


# Layers: whatever is written in whatever file, the manifest has what the newest of them says.

KEYS = st.sampled_from(["", "a", "a/", "a/b", "b", "b-", "b/c", "c", "é", "\uffff", "🙂"][1:])
EDGES = st.sampled_from(["", "a/", "b", "b/c", "c", "z"])
CHANGES = st.dictionaries(KEYS, st.one_of(st.none(), st.integers(0, 9)), max_size=8)
"""Key to the size of its row, ``None`` where it is dropped."""


@st.composite
def layer_lists(draw: st.DrawFn) -> list[tuple[str, str, dict[str, int | None]]]:
    """Ranges and changes, the oldest first."""
    layers = []
    for _ in range(draw(st.integers(0, 4))):
        first, end = draw(EDGES), draw(EDGES)
        if end and end <= first:
            first, end = end, first
        layers.append((first, end, draw(CHANGES)))
    return layers


@settings(max_examples=150)
@given(layers=layer_lists(), top=CHANGES, limit=st.integers(1, 4), data=st.data())
def test_the_newest_layer_decides_within_its_range(
    tmp_path_factory: pytest.TempPathFactory,
    layers: list[tuple[str, str, dict[str, int | None]]],
    top: dict[str, int | None],
    limit: int,
    data: st.DataObject,
) -> None:
    tmp_path = tmp_path_factory.mktemp("layers")
    expected: dict[str, int] = {}
    below: list[Layer] = []
    for number, (first, end, changes) in enumerate(layers):
        path = str(tmp_path / f"l-{number}.1.sqlite")
        # A layer is written over a lower one, so that it notes which keys it hides.
        begin_layers(path, PAIR, ManifestState(), [Layer(str(tmp_path / "l-0.1.sqlite"))] if number else [])
        with_layers = LayeredManifest.open(path)
        with_layers.record_now(*_split(changes))
        with_layers.close_now()
        below.insert(0, Layer(path, first, end))
        inside = {key: size for key, size in changes.items() if below[0].key_range.holds(key)}
        _apply(expected, inside, hides=number > 0)
    manifest = temporary_layers(str(tmp_path), PAIR, ManifestState(), below)
    manifest.record_now(*_split(top))
    _apply(expected, top, hides=bool(below))
    keys = sorted(expected)

    found: list[RecordedEntry] = []
    while page := manifest.rows_after(found[-1].key if found else "", limit):
        assert len(page) <= limit
        found += page
    assert [(item.key, item.size) for item in found] == [(key, expected[key]) for key in keys]
    assert [stat[:2] for stat in manifest.stats_after("", 100)] == [(key, expected[key]) for key in keys]
    after, last = data.draw(KEYS), data.draw(KEYS)
    assert [item.key for item in manifest.rows_through(after, last)] == [
        key for key in keys if after < key <= last
    ]
    assert manifest._count() == len(keys)
    assert manifest.has_more_rows(limit) == (len(keys) > limit)
    assert manifest.key_after_now("", limit) == (keys[limit - 1] if len(keys) >= limit else None)
    for key in expected.keys() | {after, last}:
        one = manifest._get(key)
        assert (None if one is None else one.size) == expected.get(key)
    manifest.close_now()


NEAR = st.text(st.sampled_from("\0\x01a\ud7ff\ue000\U0010ffff"), max_size=4)
"""Texts that are next to each other: after each comes the one with a zero."""


@settings(max_examples=100)
@given(
    older=st.sets(NEAR.filter(bool), max_size=6),
    newer=st.sets(NEAR.filter(bool), max_size=6),
    after=NEAR,
    last=NEAR,
)
def test_rows_up_to_a_key_are_those_up_to_it_and_no_others(
    tmp_path_factory: pytest.TempPathFactory, older: set[str], newer: set[str], after: str, last: str
) -> None:
    path = str(tmp_path_factory.mktemp("layers") / "l.1.sqlite")
    begin_layers(path, PAIR, ManifestState(), [])
    below = LayeredManifest.open(path)
    below.record_now([row(key) for key in older], [])
    below.close_now()
    manifest = temporary_layers("", PAIR, ManifestState(), [Layer(path)])
    manifest.record_now([row(key) for key in newer], [])
    expected = [key for key in sorted(older | newer) if after < key <= last]
    assert [item.key for item in manifest.rows_through(after, last)] == expected
    manifest.close_now()


def test_rows_up_to_a_key_are_read_no_further(tmp_path: Path) -> None:
    """A comparison asks batch by batch: rows after the last key would be read again and again."""
    path = str(tmp_path / "l.1.sqlite")
    begin_layers(path, PAIR, ManifestState(), [])
    below = LayeredManifest.open(path)
    below.record_now([row(f"{number:04}") for number in range(3000)], [])
    below.close_now()
    manifest = temporary_layers("", PAIR, ManifestState(), [Layer(path)])
    (file,) = manifest._below.values()
    read: list[int] = []
    rows_within = file.rows_within

    def counted(*arguments: Any, **options: Any) -> list[RecordedEntry]:
        rows = rows_within(*arguments, **options)
        read.append(len(rows))
        return rows

    file.rows_within = counted  # type: ignore[method-assign]
    assert len(manifest.rows_through("0099", "0199")) == 100
    assert sum(read) == 100
    manifest.close_now()


def _split(changes: dict[str, int | None]) -> tuple[list[RecordedEntry], list[str]]:
    rows = [row(key, size=size) for key, size in changes.items() if size is not None]
    return rows, [key for key, size in changes.items() if size is None]


def _apply(expected: dict[str, int], changes: dict[str, int | None], *, hides: bool) -> None:
    for key, size in changes.items():
        if size is not None:
            expected[key] = size
        elif hides:
            expected.pop(key, None)


# One machine reads what several wrote.


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state.sqlite")


ROWS = [row(key) for key in ("a", "a/b", "m", "m/x", "z")]


async def begun(path: str, cuts: list[str]) -> RootDirectory:
    """Make a manifest of several files, in a thread."""
    return await to_thread.run_sync(lambda: begin_shards(path, PAIR, cuts, ROWS, COMPLETE))


async def test_a_run_on_one_machine_reads_and_changes_all_files_as_one(path: str) -> None:
    directory = await begun(path, ["b", "m"])
    before = {file: (Path(directory.path) / file).read_bytes() for file in _layers(directory)}
    manifest = await opened(path)
    assert (await manifest.state(), await rows_of(manifest)) == (COMPLETE, ROWS)
    await manifest.record([row("a", size=9), row("n")], ["m"])
    await manifest.save_state(replace(COMPLETE, run=4))
    await manifest.close()
    again = await opened(path)
    assert [(item.key, item.size) for item in await rows_of(again)] == [
        ("a", 9), ("a/b", 1), ("m/x", 1), ("n", 1), ("z", 1),
    ]  # fmt: skip
    assert (await again.state()).run == 4
    await again.close()
    assert {file: (Path(directory.path) / file).read_bytes() for file in before} == before, "no second writer"


async def test_runs_without_a_change_leave_no_further_file(path: str) -> None:
    directory = await begun(path, ["b"])
    names = _layers(directory)
    for number in range(3):
        manifest = await opened(path)
        await manifest.save_state(replace(COMPLETE, run=10 + number))
        await manifest.close()
    assert _layers(directory) == names
    assert {file for file in os.listdir(directory.path) if ".sqlite" in file} == names
    root = directory.read()
    assert root is not None
    assert root.state.run == 12


async def test_many_runs_with_changes_are_written_into_one_file(path: str) -> None:
    directory = await begun(path, ["b"])
    for number in range(2 * MOST_LAYERS):
        manifest = await opened(path)
        await manifest.record([row(f"n{number:02}")], [])
        await manifest.close()
        assert len(_layers(directory)) <= MOST_LAYERS + 2
    manifest = await opened(path, read_only=True)
    keys = [item.key for item in await rows_of(manifest)]
    assert keys == sorted(
        [*(item.key for item in ROWS), *(f"n{number:02}" for number in range(2 * MOST_LAYERS))]
    )
    await manifest.close()
    left = {file for file in os.listdir(directory.path) if file.endswith(".sqlite")}
    assert left == _layers(directory), "files that nothing names are removed"


def _layers(directory: RootDirectory) -> set[str]:
    root = directory.read()
    assert root is not None
    return root.names()


async def test_reading_alone_writes_nothing(path: str) -> None:
    directory = await begun(path, ["b", "m"])
    before = sorted(os.listdir(directory.path))
    manifest = await opened(path, read_only=True)
    assert (await rows_of(manifest), await manifest.state()) == (ROWS, COMPLETE)
    await manifest.close()
    assert sorted(os.listdir(directory.path)) == before


KILLED = """
import os, signal, sys
from aios3sync.manifest.files import open_manifest
from tests.manifest.test_shards import PAIR, row
manifest = open_manifest({path!r}, PAIR, print)
manifest.record_now([row("k1"), row("k2")], ["a"])
os.kill(os.getpid(), signal.SIGKILL)
"""


def _run(program: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False)


async def test_what_a_killed_run_recorded_is_found_by_the_next(path: str) -> None:
    directory = await begun(path, ["b", "m"])
    killed = await to_thread.run_sync(_run, KILLED.format(path=path))
    assert killed.returncode == -signal.SIGKILL
    manifest = await opened(path)
    assert [item.key for item in await rows_of(manifest)] == ["a/b", "k1", "k2", "m", "m/x", "z"]
    await manifest.close()
    assert len([name for name in _layers(directory) if name.endswith(ATTEMPTS)]) == 1


async def test_what_a_killed_run_left_is_incomplete(path: str) -> None:
    """P10: while a run is at work, and after it was killed, the document claims nothing of its rows."""
    await begun(path, ["b", "m"])
    killed = await to_thread.run_sync(_run, KILLED.format(path=path))
    assert killed.returncode == -signal.SIGKILL
    for read_only in (True, False):
        manifest = await opened(path, read_only=read_only)
        state = await manifest.state()
        assert (state.complete, state.run) == (False, COMPLETE.run + 1)
        await manifest.close()
    manifest = await opened(path)
    await manifest.save_state(replace(COMPLETE, run=4))
    await manifest.close()
    manifest = await opened(path, read_only=True)
    assert await manifest.state() == replace(COMPLETE, run=4), "a run that ends says what its rows rely on"
    await manifest.close()


async def test_a_file_that_a_killed_run_had_only_begun_to_make_hides_nothing(path: str) -> None:
    directory = await begun(path, ["b", "m"])
    killed = await to_thread.run_sync(_run, KILLED.format(path=path))
    assert killed.returncode == -signal.SIGKILL
    (stem,) = (name.removesuffix(ATTEMPTS) for name in _layers(directory) if name.endswith(ATTEMPTS))
    empty, half = directory.next_attempt(stem), directory.next_attempt(stem)
    assert os.path.getsize(empty) == 0
    file = SqliteManifest.open(half)
    file.record_now([row("copied", size=7)], [])
    file.close_now()
    manifest = await opened(path, read_only=True)
    assert {item.key for item in await rows_of(manifest)} >= {item.key for item in ROWS} - {"a"}
    await manifest.close()
    manifest = await opened(path)
    assert [item.key for item in await rows_of(manifest)] == ["a/b", "k1", "k2", "m", "m/x", "z"]
    await manifest.close()


KILLED_IN_THE_MIDDLE = """
import os, signal
from aios3sync.manifest import sharded
from aios3sync.manifest.files import open_manifest
from tests.manifest.test_shards import PAIR, row
whole = sharded.copy_rows
def half(manifest, path):
    whole(manifest, path, "", "b")
    os.kill(os.getpid(), signal.SIGKILL)
sharded.copy_rows = half
manifest = open_manifest({path!r}, PAIR, print)
manifest.record_now([row("last")], [])
manifest.close_now()
"""


async def test_a_run_that_is_killed_while_it_joins_files_leaves_them_as_they_were(path: str) -> None:
    await begun(path, ["b", "m"])
    more = [f"n{number:02}" for number in range(MOST_LAYERS - 2)]
    for key in more:
        manifest = await opened(path)
        await manifest.record([row(key)], [])
        await manifest.close()
    killed = await to_thread.run_sync(_run, KILLED_IN_THE_MIDDLE.format(path=path))
    assert killed.returncode == -signal.SIGKILL
    expected = ["a", "a/b", "last", "m", "m/x", *more, "z"]
    for read_only in (True, False):
        manifest = await opened(path, read_only=read_only)
        found = [item.key for item in await rows_of(manifest)]
        assert found == [key for key in expected if not (read_only and key == "last")]
        await manifest.close()


async def test_a_single_file_that_was_not_closed_is_closed_where_it_is(path: str) -> None:
    """The file from before a cluster ran has no writer any more: it is not copied again and again."""
    program = KILLED.format(path=path)
    assert (await to_thread.run_sync(_run, program)).returncode == -signal.SIGKILL
    directory = RootDirectory(shards_directory(path))
    shards = (RangeLayers("", "", (single_file(directory.path),)),)
    for _ in range(2):
        (layer,) = await to_thread.run_sync(lambda: layers_of(directory, shards))
        assert layer.path == path
        manifest = temporary_layers(directory.path, PAIR, COMPLETE, [layer])
        assert [item.key for item in manifest.rows_after("", 9)] == ["k1", "k2"]
        manifest.close_now()
    assert not os.path.exists(directory.path)


async def test_forgetting_removes_all_files(path: str) -> None:
    directory = await begun(path, ["b"])
    stored = StoredManifest(path, PAIR, pytest.fail)
    facts = await stored.describe()
    assert (facts.exists, facts.rows, facts.complete) == (True, len(ROWS), True)
    assert facts.file_size > 0
    assert await stored.forget()
    assert not os.path.exists(directory.path)
    assert not await stored.forget()


async def test_the_quick_answer_does_not_take_the_file_that_was_there_before(path: str) -> None:
    manifest = await opened(path)
    await manifest.close()
    with sound_manifest(path, PAIR, make=False) as sound:
        assert sound is not None
    await begun(path, ["b"])
    with sound_manifest(path, PAIR, make=False) as sound:
        assert sound is None


async def test_a_damaged_file_is_set_aside_with_all_the_others(path: str) -> None:
    directory = await begun(path, ["b"])
    damaged = Path(directory.path) / "made-1.1.sqlite"
    damaged.write_bytes(damaged.read_bytes()[:1024] + b"x" * 4096)
    warnings: list[str] = []
    manifest = await to_thread.run_sync(lambda: open_manifest(path, PAIR, warnings.append))
    assert await manifest.count() == 0
    await manifest.close()
    assert "set aside" in warnings[0]


def test_the_files_of_a_manifest_below_the_source_are_not_synced(tmp_path: Path) -> None:
    for manifest in (tmp_path / "m.sqlite", tmp_path / "m.sqlite.shards" / "r-1.1.sqlite"):
        (own,) = own_files(str(manifest), str(tmp_path))
        assert own.name.fullmatch("m.sqlite.shards")
        assert own.keys is not None
        assert own.keys.fullmatch("m.sqlite.shards/r-2.1.sqlite-wal")
        assert not own.keys.fullmatch("n.sqlite.shards/r-2.1.sqlite")


async def test_a_damaged_attempt_is_set_aside_and_the_run_goes_on_with_an_empty_one(tmp_path: Path) -> None:
    directory = RootDirectory(str(tmp_path / "m.sqlite.shards"))
    path = begin_attempt(directory, "r-0", PAIR, COMPLETE, [])
    Path(path).write_bytes(Path(path).read_bytes()[:1024] + b"x" * 4096)
    warnings: list[str] = []
    manifest = await to_thread.run_sync(lambda: open_manifest(path, PAIR, warnings.append))
    assert (await rows_of(manifest), await manifest.get("k"), await manifest.count()) == ([], None, 0)
    await manifest.record([row("k")], ["j"])
    assert await rows_of(manifest) == [row("k")]
    assert isinstance(manifest, LayeredManifest)
    assert manifest.written
    await manifest.clear()
    assert (await rows_of(manifest), manifest.written) == ([], False)
    await manifest.close()
    assert "set aside" in warnings[0]


# Attempts: one file for each, with what the one before had recorded.


def test_an_attempt_goes_on_where_the_one_before_was_killed(tmp_path: Path) -> None:
    directory = RootDirectory(str(tmp_path / "d"))
    first = begin_attempt(directory, "r-0", PAIR, COMPLETE, [])
    program = f"""
    import os, signal
    from aios3sync.manifest.layers import LayeredManifest
    from tests.manifest.shards import row
    manifest = LayeredManifest.open({first!r})
    manifest.record_now([row("k")], [])
    os.kill(os.getpid(), signal.SIGKILL)
    """
    _run(textwrap.dedent(program))
    second = begin_attempt(directory, "r-0", PAIR, COMPLETE, [])
    assert second != first
    manifest = LayeredManifest.open(second)
    assert [item.key for item in manifest.rows_after("", 10)] == ["k"]
    assert manifest.state_now() == COMPLETE
    manifest.close_now()


def test_an_attempt_that_was_killed_while_its_file_was_made_counts_for_nothing(tmp_path: Path) -> None:
    """Its file has no layers yet: taken for a whole one, it would hide all that was recorded before."""
    directory = RootDirectory(str(tmp_path / "d"))
    below = Layer(directory.next_attempt("below"))
    begin_layers(below.path, PAIR, COMPLETE, ())
    file = LayeredManifest.open(below.path)
    file.record_now([row("old")], [])
    file.close_now()
    first = LayeredManifest.open(begin_attempt(directory, "r-0", PAIR, COMPLETE, [below]))
    first.record_now([row("new")], [])
    first.close_now()
    directory.next_attempt("r-0")
    half = SqliteManifest.open(directory.next_attempt("r-0"))
    half.record_now([row("copied")], [])
    half.close_now()
    manifest = LayeredManifest.open(begin_attempt(directory, "r-0", PAIR, COMPLETE, [below]))
    assert isinstance(manifest, LayeredManifest)
    assert [item.key for item in manifest.rows_after("", 10)] == ["new", "old"]
    assert (manifest.state_now(), [layer.path for layer in manifest.layers]) == (COMPLETE, [below.path])
    manifest.close_now()


def _attempts(path: str, results: multiprocessing.SimpleQueue[str]) -> None:
    for _ in range(20):
        results.put(RootDirectory(path).next_attempt("r-0"))


def test_no_two_processes_get_the_same_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    processes = [context.Process(target=_attempts, args=(str(tmp_path), results)) for _ in range(3)]
    for process in processes:
        process.start()
    paths = [results.get() for _ in range(60)]
    for process in processes:
        process.join()
    assert len(set(paths)) == 60


# Filesystems without locks.


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS], ids=errno.errorcode.get)
def opened_without_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What SQLite is asked to open where the filesystem has no locks."""
    places: list[str] = []
    real = sqlite3.connect

    def connect(place: str, **options: Any) -> sqlite3.Connection:
        places.append(place)
        connection: sqlite3.Connection = real(place, **options)
        return connection

    def refuse(*_: object) -> None:
        raise OSError(request.param, "no locks")

    monkeypatch.setattr("aios3sync.manifest.lock.fcntl.flock", refuse)
    monkeypatch.setattr("aios3sync.manifest.lock.fcntl.lockf", refuse)
    for module in ("sqlite", "layer_files"):
        monkeypatch.setattr(f"aios3sync.manifest.{module}.sqlite3.connect", connect)
    return places


@pytest.mark.parametrize("locked", [True, False], ids=["run", "dry-run"])
async def test_files_on_a_filesystem_without_locks_are_opened_without_them(
    path: str, opened_without_locks: list[str], *, locked: bool
) -> None:
    """The lock of the whole says it; the files have none. A dry run may be the first that is there."""
    if locked:
        with hold_lock(lock_path(path)):
            pass
    directory = await begun(path, ["b"])
    manifest = await opened(path)
    await manifest.record([row("n")], ["a"])
    await manifest.close()
    first = begin_attempt(directory, "r-0", PAIR, COMPLETE, [])
    begin_attempt(directory, "r-0", PAIR, COMPLETE, [])
    manifest = await opened(first, read_only=True)
    await manifest.close()
    used = [place for place in opened_without_locks if place]
    assert len(used) > 6
    assert [place for place in used if "nolock=1" not in place] == []
    assert {
        name for name in os.listdir(directory.path) if "sqlite" not in name and "root" not in name
    } == set()


# The root document.


def _root(generation: int, *layers: str) -> Root:
    return Root(generation, PAIR, ManifestState(), (RangeLayers("", "", layers),))


def test_of_two_writers_of_one_generation_one_is_told_that_it_was_late(tmp_path: Path) -> None:
    directory = RootDirectory(str(tmp_path / "d"))
    assert directory.read() is None
    assert directory.swap(_root(1, "a"))
    assert not directory.swap(_root(1, "b"))
    root = directory.read()
    assert root is not None
    assert root.names() == {"a"}
    assert [file for file in os.listdir(directory.path) if file.startswith(".")] == []


def test_a_writer_that_stood_still_does_not_take_a_number_that_is_free_again(tmp_path: Path) -> None:
    directory = RootDirectory(str(tmp_path))
    assert directory.swap(_root(1))
    late = directory.read()
    assert late is not None
    for number in range(20):
        directory.update(partial(_with, f"n-{number}"))
    assert not os.path.exists(tmp_path / "root.2.json")
    assert not directory.swap(replace(late, generation=2))
    root = directory.read()
    assert root is not None
    assert len(root.names()) == 20


def _append(path: str, name: str) -> None:
    for number in range(25):
        RootDirectory(path).update(partial(_with, f"{name}-{number}"))


def _with(name: str, root: Root | None) -> Root:
    assert root is not None
    (shard,) = root.shards
    return replace(root, shards=(shard._replace(layers=(name, *shard.layers)),))


def test_no_change_is_lost_when_processes_replace_the_document_at_once(tmp_path: Path) -> None:
    directory = RootDirectory(str(tmp_path))
    assert directory.swap(_root(1))
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_append, args=(directory.path, name)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    root = directory.read()
    assert root is not None
    assert root.generation == 76
    assert root.names() == {f"{name}-{number}" for name in "abc" for number in range(25)}


@pytest.mark.parametrize(
    "shards",
    [
        (),
        (RangeLayers("", "m"),),
        (RangeLayers("a", ""),),
        (RangeLayers("", "m"), RangeLayers("n", "")),
        (RangeLayers("", "m"), RangeLayers("a", "")),
    ],
)
def test_a_document_whose_ranges_leave_keys_out_is_refused(shards: tuple[RangeLayers, ...]) -> None:
    document = Root(1, PAIR, ManifestState(), shards).encoded()
    with pytest.raises(ValueError, match="do not cover all keys once"):
        Root.decoded(document)


@pytest.mark.parametrize("document", [b"", b"{}", b'{"format": 2}', b"[]"])
def test_what_is_no_document_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"format|document|char"):
        Root.decoded(document)


def test_another_layout_names_the_files_again_and_writes_none(path: str) -> None:
    directory = begin_shards(path, PAIR, ["g", "p"], ROWS, COMPLETE)
    root = directory.read()
    assert root is not None
    files = {
        (part.first, part.end): part.layers
        for one in (("", "c"), ("c", "n"), ("n", ""))
        for part in root.part(*one)
    }
    assert files == {
        ("", "c"): ("made-0.1.sqlite",),
        ("c", "g"): ("made-0.1.sqlite",),
        ("g", "n"): ("made-1.1.sqlite",),
        ("n", "p"): ("made-1.1.sqlite",),
        ("p", ""): ("made-2.1.sqlite",),
    }
    for first, end in (("", "c"), ("c", "n"), ("n", "")):
        layers = layers_of(directory, root.part(first, end))
        manifest = temporary_layers(directory.path, PAIR, COMPLETE, layers)
        inside = [item for item in ROWS if first <= item.key and (not end or item.key < end)]
        assert manifest.rows_from(first, end, 10, exclusive=False) == inside
        manifest.close_now()


def test_the_state_of_the_whole_is_that_of_its_parts() -> None:
    one = ManifestState(True, 10.0, 20.0, 4, 7, ("m/",), "ascending")
    two = ManifestState(False, 8.0, 21.0, 4, 9, ("n/",), "", True)
    before = ManifestState(True, 5.0, 6.0, 3, 3, ("m/",), "", False, (("s", 4.0),))
    expected = ManifestState(True, 5.0, 21.0, 4, 3, ("m/", "n/"), "ascending", True, (("s", 4.0),))
    assert joined_state([one, two], before) == expected
    assert joined_state([one, replace(two, order="unordered")], before).order == "unordered"
    assert joined_state([], one) == one


def test_a_filesystem_without_links_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("aios3sync.manifest.root_directory.os.link", refuse)
    with pytest.raises(ManifestError, match=r"no hard links.*--manifest"):
        RootDirectory(str(tmp_path)).swap(_root(1))
    assert os.listdir(tmp_path) == []
