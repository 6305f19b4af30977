"""The manifest of runs on a cluster: what shards write is one manifest, whatever runs before and after."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from aios3sync._dataclass import replace
from aios3sync.concurrency import in_thread
from aios3sync.core.key_range import KeyRange
from aios3sync.distributed.manifests import ClusterManifest
from aios3sync.distributed.messages import NodeSetup, ShardTask
from aios3sync.distributed.steps import _begin, _concluded
from aios3sync.errors import ManifestError
from aios3sync.manifest.files import open_manifest
from aios3sync.manifest.layers import LayeredManifest
from aios3sync.manifest.open_runs import SILENT_S
from aios3sync.manifest.protocol import Binding, ManifestState
from aios3sync.manifest.sharded import MOST_LAYERS
from aios3sync.manifest.sqlite import SqliteManifest
from aios3sync.manifest.unfinished import UnfinishedUpload, UnfinishedUploads
from aios3sync.options import ConnectOptions
from aios3sync.report import Failure, SyncReport
from tests.manifest.shards import row

PAIR = Binding("/data", "http://s3", "bucket", "p/")
SETUP: Any = NodeSetup(run="r", connect=ConnectOptions(), endpoint="aws")


def run(
    path: str, name: str, cuts: list[str], keys: list[str], gone: tuple[str, ...] = ()
) -> ClusterManifest:
    """Record keys as the shards of one run do."""
    manifest = ClusterManifest(path, PAIR, name, device=7)
    manifest.begin(pytest.fail)
    manifest.lay_out([KeyRange(*pair) for pair in zip(["", *cuts], [*cuts, ""], strict=True)])
    for number in range(len(cuts) + 1):
        file = manifest.file("compare", number)
        task = ShardTask(setup=SETUP, step="compare", number=number, request=None, file=file)  # type: ignore[arg-type]
        written = _begin(file)
        shard = LayeredManifest.open(written)
        inside = manifest.range_of(number)
        shard.record_now(
            [row(key) for key in keys if inside.holds(key)], [key for key in gone if inside.holds(key)]
        )
        shard.close_now()
        manifest.take("compare", _concluded(task, written, None))
    manifest.conclude(("", 100.0))
    return manifest


def keys_of(path: str) -> list[str]:
    manifest = open_manifest(path, PAIR, pytest.fail, read_only=True)
    assert isinstance(manifest, SqliteManifest)
    found = [item.key for item in manifest.rows_after("", 10_000)]
    manifest.close_now()
    return found


def test_runs_with_other_ranges_go_on_and_their_files_stay_few(tmp_path: Path) -> None:
    path = str(tmp_path / "m.sqlite")
    single = SqliteManifest.open(path)
    single.bind(PAIR)
    single.record_now([row("a0"), row("z0")], ())
    single.close_now()
    expected = {"a0", "z0"}
    for number in range(3 * MOST_LAYERS):
        cuts = [["m"], ["c", "p"], ["k", "q", "x"]][number % 3]
        new = [f"{letter}{number + 1:02}" for letter in "amz"]
        gone = (f"m{number:02}",) if number else ()
        manifest = run(path, f"run{number}", cuts, new, gone)
        expected = (expected | {*new}) - {*gone}
        assert keys_of(path) == sorted(expected)
        root = manifest.directory.read()
        assert root is not None
        assert (root.state.complete, root.state.listed_at, root.state.device) == (True, 100.0, 7)
        files = [file for file in os.listdir(manifest.directory.path) if file.endswith(".sqlite")]
        assert {*files} == {name for name in root.names() if not name.startswith("..")}
        assert len(files) <= 4 * (MOST_LAYERS + 1)
    assert not os.path.exists(path), "its rows are in the files of the shards"


def test_a_run_that_broke_off_leaves_what_it_recorded_and_is_not_trusted(tmp_path: Path) -> None:
    path = str(tmp_path / "m.sqlite")
    run(path, "first", ["m"], ["a", "z"])
    broken = ClusterManifest(path, PAIR, "broken")
    broken.begin(pytest.fail)
    broken.lay_out([KeyRange("", "k"), KeyRange("k", "")])
    shard = LayeredManifest.open(_begin(broken.file("compare", 0)))
    shard.record_now([row("b")], ["a"])
    shard.close_now()
    assert keys_of(path) == ["b", "z"]
    again = ClusterManifest(path, PAIR, "again")
    again.begin(pytest.fail)
    assert not again.root.state.complete
    known = again.known()
    assert [item.key for item in known.rows_after("", 9)] == ["b", "z"]
    known.close_now()


KILLED = """
import os, signal
from tests.distributed.test_manifests import PAIR
from tests.manifest.shards import row
from aios3sync.manifest.files import open_manifest
manifest = open_manifest({path!r}, PAIR, print)
manifest.record_now([row("k")], ["a"])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("sharded", [True, False], ids=["sharded", "single"])
def test_what_a_killed_run_on_one_machine_recorded_is_read(tmp_path: Path, *, sharded: bool) -> None:
    path = str(tmp_path / "m.sqlite")
    if sharded:
        run(path, "first", ["m"], ["a", "z"])
    program = [sys.executable, "-c", KILLED.format(path=path)]
    killed = subprocess.run(program, cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL
    again = ClusterManifest(path, PAIR, "again")
    again.begin(pytest.fail)
    assert not again.root.state.complete
    known = again.known()
    assert [item.key for item in known.rows_after("", 9)] == (["k", "z"] if sharded else ["k"])
    known.close_now()


# Runs at once, on machines whose locks know nothing of each other.


def alone_on(path: str, *keys: str) -> None:
    """Do what a run on one machine does that lists, changes something and ends well."""
    manifest = open_manifest(path, PAIR, pytest.fail)
    assert isinstance(manifest, SqliteManifest)
    manifest.record_now([row(key) for key in keys], [])
    manifest.save_state_now(manifest.state_now().listed("", 200.0))
    manifest.close_now()


def complete(path: str) -> bool:
    manifest = open_manifest(path, PAIR, pytest.fail, read_only=True)
    assert isinstance(manifest, SqliteManifest)
    try:
        return manifest.state_now().complete
    finally:
        manifest.close_now()


def begun(path: str, name: str) -> ClusterManifest:
    """Begin a run, one of whose two shards has recorded something."""
    manifest = ClusterManifest(path, PAIR, name, device=7)
    manifest.begin(pytest.fail)
    manifest.lay_out([KeyRange("", "k"), KeyRange("k", "")])
    shard = LayeredManifest.open(_begin(manifest.file("compare", 0)))
    shard.record_now([row(name)], [])
    shard.close_now()
    return manifest


def test_P10_a_run_within_a_cluster_run_that_is_killed_does_not_make_the_manifest_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The killed one may have changed what the other one had seen, and says nothing of it any more."""
    path = str(tmp_path / "m.sqlite")
    run(path, "first", ["m"], ["a", "z"])
    assert complete(path)
    begun(path, "cluster")
    alone_on(path, "b")
    assert not complete(path)
    assert keys_of(path) == ["a", "b", "cluster", "z"], "of neither anything is lost"
    alone_on(path, "c")
    assert not complete(path), "its nodes may still be at work"
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + SILENT_S + 1)
    assert not complete(path), "until a run lists"
    alone_on(path, "d")
    assert complete(path)
    assert keys_of(path) == ["a", "b", "c", "cluster", "d", "z"]


def test_a_cluster_run_that_others_overlapped_keeps_their_rows_and_lets_the_next_one_list(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "m.sqlite")
    run(path, "first", ["m"], ["a", "z"])
    manifest = begun(path, "cluster")
    alone_on(path, "b")
    other = begun(path, "elsewhere")
    manifest.conclude(("", 300.0))
    assert not complete(path)
    other.conclude(("", 300.0))
    assert not complete(path)
    assert keys_of(path) == ["a", "b", "cluster", "elsewhere", "z"]
    run(path, "next", ["m"], ["c"])
    assert complete(path)
    assert keys_of(path) == ["a", "b", "c", "cluster", "elsewhere", "z"]


@pytest.mark.parametrize("meanwhile", [True, False])
def test_a_cluster_run_gives_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, meanwhile: bool
) -> None:
    path = str(tmp_path / "m.sqlite")
    manifest = begun(path, "cluster")
    if meanwhile:
        alone_on(path, "b")
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 0.9 * SILENT_S)
    manifest.renew()
    monkeypatch.setattr("time.time", lambda: now + 1.8 * SILENT_S)
    alone_on(path, "c")
    assert not complete(path)
    manifest.conclude(("", 300.0))
    assert not complete(path)
    assert keys_of(path) == [*(["b"] if meanwhile else []), "c", "cluster"]


def test_a_sign_of_life_of_a_run_alone_leaves_it_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "m.sqlite")
    manifest = ClusterManifest(path, PAIR, "cluster")
    manifest.begin(pytest.fail)
    manifest.lay_out([KeyRange()])
    manifest.renew()
    shard = _begin(manifest.file("compare", 0))
    task = ShardTask(setup=SETUP, step="compare", number=0, request=None, file=manifest.file("compare", 0))  # type: ignore[arg-type]
    manifest.take("compare", _concluded(task, shard, None))
    manifest.renew()
    manifest.conclude(("", 300.0))
    assert complete(path)


def test_a_run_on_one_machine_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "m.sqlite")
    run(path, "first", ["m"], ["a", "z"])
    monkeypatch.setattr("aios3sync.manifest.sharded.this_process", lambda: "")
    slow = open_manifest(path, PAIR, pytest.fail)
    assert isinstance(slow, SqliteManifest)
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 0.9 * SILENT_S)
    slow.record_now([row("s")], [])
    monkeypatch.setattr("time.time", lambda: now + 1.8 * SILENT_S)
    alone_on(path, "b")
    assert not complete(path)
    slow.save_state_now(slow.state_now().listed("", 400.0))
    slow.close_now()
    assert not complete(path)
    assert keys_of(path) == ["a", "b", "s", "z"]


def test_a_manifest_that_was_removed_meanwhile_is_not_complete(tmp_path: Path) -> None:
    path = str(tmp_path / "m.sqlite")
    manifest = begun(path, "cluster")
    shutil.rmtree(manifest.directory.path)
    manifest.conclude(("", 300.0))
    assert not complete(path)


def test_the_coordinator_only_reads_what_is_there(tmp_path: Path) -> None:
    """A file of its own on top would be one more layer of the document, and would be removed again."""
    path = str(tmp_path / "m.sqlite")
    first = run(path, "first", ["m"], ["a", "z"])
    before = sorted(os.listdir(first.directory.path))
    again = ClusterManifest(path, PAIR, "again")
    again.begin(pytest.fail)
    assert sorted(os.listdir(first.directory.path)) == before
    assert again.root.state.complete
    new = ClusterManifest(str(tmp_path / "new.sqlite"), PAIR, "new")
    new.begin(pytest.fail)
    assert sorted(os.listdir(tmp_path)) == ["m.sqlite.shards", "new.sqlite.shards"]


@pytest.mark.parametrize("sharded", [True, False], ids=["sharded", "single"])
def test_a_manifest_of_another_pair_is_set_aside(tmp_path: Path, *, sharded: bool) -> None:
    path = str(tmp_path / "m.sqlite")
    if sharded:
        run(path, "first", ["m"], ["a", "z"])
    else:
        single = SqliteManifest.open(path)
        single.bind(PAIR)
        single.record_now([row("a")], ())
        single.close_now()
    warnings: list[str] = []
    other = ClusterManifest(path, replace(PAIR, bucket="other"), "other")
    other.begin(warnings.append)
    assert "set aside" in warnings[0]
    known = other.known()
    assert (known.rows_after("", 9), other.root.state) == ([], ManifestState())
    known.close_now()


def test_a_document_is_refused_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "m").write_text('{"version": "1.0", "files": {}}')
    with pytest.raises(ManifestError, match="SQLite files"):
        ClusterManifest(str(tmp_path / "m"), PAIR, "r").begin(pytest.fail)
    assert (tmp_path / "m").read_text() == '{"version": "1.0", "files": {}}'


@pytest.mark.parametrize("end", ["conclude", "killed", "set aside"])
async def test_uploads_that_a_shard_left_unfinished_stay_on_record(tmp_path: Path, end: str) -> None:
    """Whatever becomes of the file whose attempt began them: a later run continues or aborts them."""
    path = str(tmp_path / "m.sqlite")
    upload = UnfinishedUpload("p/k", "id", "v")

    def shard() -> tuple[ClusterManifest, str]:
        manifest = ClusterManifest(path, PAIR, "first")
        manifest.begin(pytest.fail)
        manifest.lay_out([KeyRange()])
        return manifest, _begin(manifest.file("compare", 0))

    manifest, file = await in_thread(shard)
    await UnfinishedUploads(file, "here").began(upload)
    match end:
        case "conclude":
            await in_thread(manifest.conclude, None)
        case "killed":
            await in_thread(run, path, "second", ["m"], ["a", "z"])
        case _:
            warnings: list[str] = []
            other = ClusterManifest(path, replace(PAIR, bucket="other"), "other")
            await in_thread(other.begin, warnings.append)
            assert "set aside" in warnings[0]
    assert await UnfinishedUploads(path, "here").left() == [upload]
    assert [str(one) for one in tmp_path.rglob("*.uploads")] == [f"{path}.uploads"]


def test_a_shard_that_did_not_end_keeps_the_whole_from_being_trusted(tmp_path: Path) -> None:
    path = str(tmp_path / "m.sqlite")
    run(path, "first", ["m"], ["a", "z"])
    stopped = ClusterManifest(path, PAIR, "stopped")
    stopped.begin(pytest.fail)
    stopped.lay_out([KeyRange("", "k"), KeyRange("k", "")])
    stopped.conclude(("", 200.0))
    root = stopped.directory.read()
    assert root is not None
    assert not root.state.complete
    assert keys_of(path) == ["a", "z"]


def test_another_device_of_the_coordinator_forces_a_survey_and_machines_number_theirs(tmp_path: Path) -> None:
    path = str(tmp_path / "m.sqlite")
    run(path, "first", [], ["a"])
    for device, swapped in ((7, False), (8, True), (None, False)):
        manifest = ClusterManifest(path, PAIR, f"d{device}", device=device)
        manifest.begin(pytest.fail)
        manifest.lay_out([KeyRange()])
        assert manifest.may_be_swapped is swapped
        assert manifest.file("compare", 0).state.device == -1
        assert (manifest.file("survey", 0).state.device == -2) is swapped


@pytest.mark.parametrize(("path", "text"), [("", "--manifest"), ("/x/m.json", "SQLite files")])
def test_a_place_that_cannot_be_is_refused(path: str, text: str) -> None:
    with pytest.raises(ManifestError, match=text):
        ClusterManifest(path, PAIR, "r").begin(pytest.fail)


def test_many_failures_are_in_one_file(tmp_path: Path) -> None:
    manifest = ClusterManifest(str(tmp_path / "m.sqlite"), PAIR, "r")
    report = SyncReport(source="", target="", checked="list", errors=(Failure("k", "read", "no"),))
    assert manifest.join_errors([report, report]) is None
    own = tmp_path / "own.jsonl"
    own.write_bytes(b'{"key":"x"}\n{"key":"y"}\n')
    joined = manifest.join_errors([report, replace(report, errors_file=str(own))])
    assert joined is not None
    assert [json.loads(line)["key"] for line in Path(joined).read_text().splitlines()] == ["k", "x", "y"]
