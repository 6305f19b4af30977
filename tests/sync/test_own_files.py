"""The files that a run keeps for itself are never sent, wherever they lie and whatever path leads to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from aios3sync.local.compress import md5_of
from aios3sync.store.protocol import PutOptions
from tests.sync.conftest import Bench

SIDE = (
    *("", "-wal", "-shm", "-journal", ".lock", ".lock.held", ".lock.held.12", ".tmp-a1b2_3d4"),
    *(".set-aside-20260206T143000-77", ".set-aside-20260206T143000-77-wal", ".errors-a1b2_3d4.jsonl"),
)
"""What follows the manifest's name in the names of the files next to it."""
USERS = (".bak", ".errors-", ".jsonl", ".set-aside", ".tmp-a/b", "x")
"""What follows it in files of a user, which are sent like any other."""


def spelled(spelling: str, source: Path, tmp_path: Path, name: str) -> tuple[Path, Path, Path]:
    """The source and the manifest as they are given, and the directory of the manifest."""
    inside, outside = source / "state", tmp_path / "outside"
    match spelling:
        case "in the source":
            return source, inside / name, inside
        case "with dots":
            return source, source / "a" / ".." / "state" / name, inside
        case "by a link to the source":
            (tmp_path / "link").symlink_to(source)
            return source, tmp_path / "link" / "state" / name, inside
        case "of a source that is a link":
            (tmp_path / "link").symlink_to(source)
            return tmp_path / "link", inside / name, inside
        case "below a link in the source":
            outside.mkdir()
            (source / "linked").symlink_to(outside)
            return source, outside / name, outside
        case _:
            outside.mkdir()
            (outside / "kept").symlink_to(inside / name)
            return source, outside / "kept", inside


@pytest.mark.parametrize("name", ["m.sqlite", "m.json"])
@pytest.mark.parametrize("named", [False, True], ids=["walk", "files-from"])
@pytest.mark.parametrize(
    "spelling",
    [
        *("in the source", "with dots", "by a link to the source", "of a source that is a link"),
        *("below a link in the source", "a link itself"),
    ],
)
async def test_the_files_of_a_run_are_invisible(
    bench: Bench, tmp_path: Path, spelling: str, named: bool, name: str
) -> None:
    bench.tree({"a/f": "1", "state/f": "2"})
    bench.root, manifest, directory = spelled(spelling, bench.root, tmp_path, name)
    assert (await bench.sync(manifest=str(manifest))).exit_code == 0
    for suffix in SIDE:
        if not (directory / (name + suffix)).exists() and suffix in SIDE[3:]:
            (directory / (name + suffix)).write_text("x")
    for suffix in USERS:
        (directory / (name + suffix)).parent.mkdir(exist_ok=True)
        (directory / (name + suffix)).write_text("x")
    prefix = "linked/" if spelling == "below a link in the source" else "state/"
    own, users = ({f"{prefix}{name}{suffix}" for suffix in suffixes} for suffixes in (SIDE, USERS))
    files = tuple(own | users | {"a/f", "state/f"}) if named else None
    report = await bench.sync(manifest=str(manifest), files=files)
    assert (report.failed, report.warnings) == (0, ())
    assert bench.objects().keys() == {"a/f", "state/f"} | users


async def test_an_object_under_the_key_of_such_a_file_is_hidden_too(bench: Bench) -> None:
    bench.tree({"f": "1"})
    await bench.memory.put("p/m.sqlite", b"x", PutOptions(), md5=md5_of(b"x"))
    report = await bench.sync(manifest=str(bench.root / "m.sqlite"), delete="mirror")
    assert (report.deleted, sorted(bench.objects())) == (0, ["f", "m.sqlite"])


async def test_the_list_of_thumbnails_to_make_is_one_of_the_files_of_a_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the state directory, which may be a part of the source, as it is of a home directory."""
    monkeypatch.setenv("XDG_STATE_HOME", str(bench.root))
    bench.tree({"f": "1"})
    await bench.sync()
    (state,) = (bench.root / "aios3sync").glob("*.sqlite")
    for suffix in (".thumbnails", ".thumbnails-journal"):
        state.with_suffix(suffix).write_text("x")
    await bench.sync(thumbnails=64)
    assert bench.objects().keys() == {"f"}
