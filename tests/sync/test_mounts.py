"""P3: what was mounted in the source and is not now is unknown; what a run did not see stays as it was."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.filters import Filters
from aios3sync.local.mounts import mount_of, mount_points
from aios3sync.local.walk import Walk, check_root
from aios3sync.manifest.protocol import ManifestState
from tests.sync.conftest import Bench

FILES = 10


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Real paths that the system calls mount points, all of the same device, as bind mounts are."""
    points = {"/"}
    monkeypatch.setattr("aios3sync.local.mounts.mount_points", lambda: frozenset(points))
    return points


class Disk:
    """A directory that holds files while it is mounted, in the source or below a link of the source."""

    def __init__(self, bench: Bench, points: set[str], tmp_path: Path, kind: str) -> None:
        self._points = points
        self._root = bench.root
        self.place = bench.root / "mnt" if kind == "directory" else tmp_path / "media" / "disk"
        self.place.mkdir(parents=True)
        (bench.root / "a").write_text("1")
        if kind == "link":
            (bench.root / "mnt").symlink_to(self.place)
        if kind == "link below":
            (self.place / "sub").mkdir()
            (bench.root / "mnt").symlink_to(self.place / "sub")
        self._files = bench.root / "mnt"

    def mount(self) -> None:
        for number in range(FILES):
            (self._files / f"{number}").write_text("x")
        self._points.add(os.path.realpath(self.place))

    def unmount(self) -> None:
        self._points.discard(os.path.realpath(self.place))
        for number in range(FILES):
            (self._files / f"{number}").unlink()


KINDS = ("directory", "link", "link below")


@pytest.fixture(params=KINDS)
def disk(request: pytest.FixtureRequest, bench: Bench, mounted: set[str], tmp_path: Path) -> Disk:
    return Disk(bench, mounted, tmp_path, request.param)


async def assert_nothing_is_deleted(bench: Bench) -> None:
    for delete in ("mirror", "tracked", "mirror"):
        report = await bench.sync(delete=delete)
        assert (report.deleted, report.failed) == (0, 1), delete
        assert "not mounted" in report.errors[0].error
    assert len(bench.objects()) == FILES + 1


BETWEEN: dict[str, dict[str, Any]] = {
    "nothing": {},
    "excluded": {"exclude": ("mnt/*",)},
    "another rule": {"exclude": ("*",), "include": ("a",)},
    "files from": {"files": ("a",)},
    "files from below": {"files": ("mnt/3",)},
    "links skipped": {"symlinks": "skip"},
    "listed": {"exclude": ("mnt/*",), "check": "list"},
    "mirrored": {"exclude": ("mnt/*",), "delete": "mirror"},
    "new file": {"files": ("new",)},
    "dry": {"dry_run": True, "exclude": ("mnt/*",)},
}


@pytest.mark.parametrize("name", BETWEEN)
async def test_a_mount_is_remembered_whatever_filters_or_lists_a_later_run_had(
    bench: Bench, disk: Disk, name: str
) -> None:
    disk.mount()
    await bench.sync()
    if name == "new file":
        (bench.root / "new").write_text("2")
    await bench.sync(**BETWEEN[name])
    (bench.root / "new").unlink(missing_ok=True)
    bench.memory.objects.pop("p/new", None)
    disk.unmount()
    await assert_nothing_is_deleted(bench)


@pytest.mark.parametrize(
    "options", [{"include": ("mnt/*",)}, {"files": (*(f"mnt/{n}" for n in range(FILES)), "a")}]
)
async def test_a_mount_that_only_a_filtered_or_named_run_has_seen_is_remembered(
    bench: Bench, disk: Disk, options: dict[str, Any]
) -> None:
    disk.mount()
    assert (await bench.sync(**options)).uploaded == FILES + 1
    disk.unmount()
    await assert_nothing_is_deleted(bench)


async def test_a_mount_that_only_an_interrupted_run_has_seen_is_remembered(bench: Bench, disk: Disk) -> None:
    disk.mount()
    taken: list[object] = []

    def stop_late(event: object) -> None:
        taken.append(event)
        if sum(type(each).__name__ == "ObjectUploaded" for each in taken) == FILES + 1:
            bench.stop.request(2)

    bench.on_event = stop_late
    report = await bench.sync()
    assert report.exit_code == 130
    bench.on_event = None
    bench.stop = type(bench.stop)()
    disk.unmount()
    await assert_nothing_is_deleted(bench)


async def test_named_files_below_an_absent_mount_are_unknown(bench: Bench, disk: Disk) -> None:
    """What lies below the mount point now is not what was there: it must not replace it."""
    disk.mount()
    await bench.sync()
    disk.unmount()
    (bench.root / "mnt" / "3").write_text("of the directory below the mount")
    report = await bench.sync(files=("mnt/3", "mnt/4"), delete="mirror")
    assert (report.uploaded, report.deleted, report.failed) == (0, 0, 1)
    assert bench.objects()["mnt/3"] == b"x"


async def test_a_mount_that_goes_away_during_the_walk_is_unknown(
    bench: Bench, disk: Disk, mounted: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.mount()
    await bench.sync()
    disk.unmount()
    answers = [frozenset({*mounted, os.path.realpath(disk.place)}), frozenset(mounted)]
    monkeypatch.setattr("aios3sync.local.mounts.mount_points", lambda: answers.pop(0))
    report = await bench.sync(delete="mirror")
    assert (report.deleted, report.failed) == (0, 1)


async def test_a_mount_directory_that_is_gone_is_unknown_unless_filters_hide_it(
    bench: Bench, mounted: set[str], tmp_path: Path
) -> None:
    disk = Disk(bench, mounted, tmp_path, "directory")
    disk.mount()
    await bench.sync()
    disk.unmount()
    (bench.root / "mnt").rmdir()
    hidden = await bench.sync(exclude=("mnt/*",), delete="mirror")
    assert (hidden.deleted, hidden.failed) == (0, 0)
    await assert_nothing_is_deleted(bench)


async def test_a_run_that_saw_a_part_leaves_the_knowledge_of_the_whole_as_it_was(bench: Bench) -> None:
    bench.tree({"a/1": "1", "b/1": "1"})
    part: dict[str, Any] = {"exclude": ("b/*",)}
    await bench.sync(**part)
    assert "ListObjectsV2" not in (await bench.sync(**part)).requests, "what it saw it knows"
    first = await bench.sync()
    assert "ListObjectsV2" in first.requests, "what no run has seen is not known"
    for options in ({}, part, {"files": ("a/1",)}, {"gitignore": True}, {"symlinks": "skip"}):
        again = await bench.sync(**options)
        assert "ListObjectsV2" not in again.requests, "what the whole run saw is known to all"


async def test_a_part_that_is_listed_makes_the_whole_no_younger(bench: Bench) -> None:
    bench.tree({"a/1": "1", "b/1": "1"})
    await bench.sync()
    await bench.sync(exclude=("b/*",), check="list", max_manifest_age=0.0)
    report = await bench.sync(max_manifest_age=3600.0)
    assert report.knowledge_age_s is not None
    del bench.memory.objects["p/b/1"]
    assert (await bench.sync(exclude=("b/*",), check="list")).uploaded == 0
    assert (await bench.sync(max_manifest_age=0.0)).uploaded == 1


async def test_a_part_of_another_tree_does_not_take_the_place_of_the_recorded_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device is judged by a run that sees the whole."""
    from aios3sync.local import root as local_root

    bench.tree({f"a/{number}": "x" for number in range(20)})
    await bench.sync()
    shutil.rmtree(bench.root / "a")
    bench.tree({"b/1": "1"})
    real = check_root

    def moved(root: str) -> os.stat_result:
        found = real(root)
        values = list(found)
        values[2] = found.st_dev + 1
        return os.stat_result(values, {"st_dev": found.st_dev + 1})

    monkeypatch.setattr(local_root, "check_root", moved)
    await bench.sync(exclude=("a/*",))
    report = await bench.sync(delete="tracked")
    assert report.refused is not None
    assert report.refused["guard"] == "swapped-source"


SCOPES = st.sampled_from(["", "s", "t"])


@given(st.lists(st.tuples(SCOPES, st.booleans(), st.booleans()), max_size=12))
def test_what_is_known_of_a_scope_comes_from_a_listing_of_it_or_of_the_whole(
    runs: list[tuple[str, bool, bool]],
) -> None:
    """After an uncertain run nothing is known; else a scope knows its own listing, or the whole's."""
    state, latest = ManifestState(), dict.fromkeys(("", "s", "t"), 0.0)
    for when, (scope, listed, certain) in enumerate(runs, start=1):
        if not certain:
            state, latest = state.begun(), dict.fromkeys(latest, 0.0)
        elif listed:
            state = state.listed(scope, float(when))
            latest[scope] = float(when)
        for each in latest:
            assert state.known_since(each) == max(latest[each], latest[""])


# The real mount table


def test_paths_of_the_mount_table_are_unescaped(monkeypatch: pytest.MonkeyPatch) -> None:
    table = b"22 1 0:5 / / rw shared:1 - ext4 x rw\n23 1 0:5 /a /mnt/a\\040b\\134c\\011\xff rw - ext4 x rw\n"
    monkeypatch.setattr("aios3sync.local.mounts.open", lambda *_: io.BytesIO(table), raising=False)
    points = mount_points()
    assert points == {"/", os.fsdecode(b"/mnt/a b\\c\t\xff")}
    assert mount_of("/mnt/a", points) == "/"


def test_without_a_mount_table_devices_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("aios3sync.local.mounts.open", missing, raising=False)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    walk = Walk(str(tmp_path), Filters())
    assert [entry.key for batch in walk.batches() for entry in batch.entries] == ["d/f"]
    assert walk.mounts == set()


_REAL = """
import subprocess, sys
from aios3sync.core.filters import Filters
from aios3sync.local.walk import Walk, check_root

root, other = sys.argv[1:]

def walked(known=frozenset()):
    walk = Walk(root, Filters(), known_mounts=frozenset(known))
    batches = list(walk.batches())
    keys = [entry.key for batch in batches for entry in batch.entries]
    return keys, [problem.path for batch in batches for problem in batch.problems], walk.mounts

for command in (["mount", "--bind", other], ["mount", "-t", "tmpfs", "none"]):
    subprocess.run([*command, f"{root}/mnt"], check=True)
    keys, problems, mounts = walked()
    assert (problems, mounts) == ([], {"mnt/", "link/"}), (problems, mounts)
    subprocess.run(["umount", f"{root}/mnt"], check=True)
    keys, problems, mounts = walked(mounts)
    assert (keys, sorted(problems), mounts) == (["a"], ["link/", "mnt/"], {"mnt/", "link/"}), (keys, problems)
"""


def test_real_bind_mounts_and_file_systems_are_seen(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    for directory in (root / "mnt", other / "d"):
        directory.mkdir(parents=True)
    (root / "a").write_text("1")
    (other / "d" / "f").write_text("2")
    (root / "link").symlink_to("mnt")
    unshare = ["unshare", "-m", "--propagation", "private"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], check=False).returncode:
        pytest.skip("needs the right to mount")
    command = [*unshare, sys.executable, "-c", _REAL, str(root), str(other)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
