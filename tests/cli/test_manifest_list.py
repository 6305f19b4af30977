"""``manifest list`` and ``prune``: which file is of which pair; what is of no use is removed, and no more."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aios3sync.local.state import state_directory
from aios3sync.manifest.lock import hold_lock

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine


@pytest.fixture
def own_state(cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    cli.environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    directory = Path(state_directory() or "")
    assert directory == tmp_path / "state" / "aios3sync"
    return directory


@pytest.fixture
def two(cli: CommandLine, bucket: Bucket, own_state: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two directories that were synced."""
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        assert cli("sync", tmp_path / name, bucket.url(name)).code == 0
        made.append(tmp_path / name)
    return made[0], made[1]


def listed(cli: CommandLine, *arguments: str) -> list[dict[str, Any]]:
    document = cli("manifest", *arguments, "--json").json()
    assert document["command"] == f"manifest {arguments[0]}"
    manifests: list[dict[str, Any]] = document["manifests"]
    return manifests


def set_aside(own_state: Path) -> Path:
    """A file that a run has set aside."""
    (path, *_) = own_state.glob("*.sqlite")
    aside = own_state / f"{path.name}.set-aside-20261130T120000-77"
    aside.write_bytes(b"damaged")
    return aside


def test_a_list_names_the_pair_of_each_file(
    cli: CommandLine, bucket: Bucket, two: tuple[Path, Path], own_state: Path
) -> None:
    ended = cli("manifest", "list")
    assert ended.code == 0
    assert ended.lines[-1].startswith("2 manifests, ")
    assert ended.lines[-1].endswith(f" in {own_state}")
    for source, line in zip(reversed(two), ended.lines, strict=False):  # the last used one is first
        assert line.startswith(f"{own_state}/")
        assert f"ago: {source} -> s3://{bucket.name}/{source.name}/ at {bucket.endpoint.url}" in line
    found = listed(cli, "list")
    assert {one["binding"]["source"] for one in found} == {str(source) for source in two}
    assert all(Path(one["path"]).stat().st_size == one["file_size"] for one in found)


def test_what_cannot_be_read_is_listed_with_the_reason(
    cli: CommandLine, two: tuple[Path, Path], own_state: Path
) -> None:
    aside = set_aside(own_state)
    (own_state / "0123456789abcdef0123456789abcdef.sqlite").write_bytes(b"nonsense")
    (own_state / "index.sqlite").write_bytes(b"another thing")
    shutil.rmtree(two[0])
    by_path = {Path(one["path"]).name: one for one in listed(cli, "list")}
    assert len(by_path) == 4
    assert by_path[aside.name]["is_set_aside"]
    assert by_path["0123456789abcdef0123456789abcdef.sqlite"]["problem"]
    assert sum(one["source_missing"] for one in by_path.values()) == 1
    text = cli("manifest", "list").out
    assert "set aside by a run that could not use it" in text
    assert f"{two[0]} -> " in text
    assert "(the source is not there)" in text


def test_unfinished_uploads_are_listed_and_pruned_with_their_manifest(
    cli: CommandLine, two: tuple[Path, Path], own_state: Path
) -> None:
    (path, _) = own_state.glob("*.sqlite")
    journal = Path(f"{path}.uploads")
    journal.write_text(
        '{"target": "t", "key": "k", "upload_id": "1", "version": "v"}\n'
        '{"target": "t", "key": "l", "upload_id": "2", "version": "v"}\n{"target": "t", "ended": "2"}\n'
    )
    counts = {one["path"]: one["unfinished_uploads"] for one in listed(cli, "list")}
    assert sorted(counts.items()) == sorted((str(each), each == path) for each in own_state.glob("*.sqlite"))
    assert ", 1 unfinished upload" in cli("manifest", "list").out
    planned = cli("manifest", "prune", "--older-than", "0.001s", "--dry-run")
    assert (journal.exists(), "multipart" in planned.out + planned.err) == (True, False)
    ended = cli("manifest", "prune", "--older-than", "0.001s")
    assert ended.lines[-1].startswith("removed 2 manifests")
    assert "1 multipart upload that a killed run had begun will not be continued" in ended.out + ended.err
    assert not journal.exists()


def test_an_empty_state_directory(cli: CommandLine, own_state: Path) -> None:
    assert cli("manifest", "list").lines == [f"0 manifests, 0 bytes in {own_state}"]
    assert cli("manifest", "prune").lines == ["removed 0 manifests, 0 bytes"]


def test_prune_removes_what_was_not_used_for_long(
    cli: CommandLine, bucket: Bucket, two: tuple[Path, Path], own_state: Path
) -> None:
    """Nothing is that old: the default keeps all, a shorter age removes all; the next run compares."""
    aside = set_aside(own_state)
    assert listed(cli, "prune") == []
    os.utime(aside, (1, 1))
    assert [Path(one["path"]) for one in listed(cli, "prune", "--dry-run")] == [aside]
    assert aside.exists()
    assert cli("manifest", "prune").lines[-1] == "removed 1 manifest, 7 bytes"
    assert not aside.exists()
    assert len(listed(cli, "prune", "--older-than", "0.001")) == 2
    assert not [*own_state.glob("*.sqlite"), *own_state.glob("*-wal")]
    again = cli("sync", two[0], bucket.url("one"), "--json").json()
    assert (again["uploaded"], again["adopted"]) == (0, 1)


def test_prune_of_missing_sources(cli: CommandLine, two: tuple[Path, Path], own_state: Path) -> None:
    assert listed(cli, "prune", "--missing-source") == []
    shutil.rmtree(two[0])
    assert listed(cli, "prune", "--missing-source", "--older-than", "1d") == []
    (removed,) = listed(cli, "prune", "--missing-source")
    assert removed["binding"]["source"] == str(two[0])
    assert [one["binding"]["source"] for one in listed(cli, "list")] == [str(two[1])]


def test_a_manifest_at_work_stays(cli: CommandLine, two: tuple[Path, Path], own_state: Path) -> None:
    path = min(own_state.glob("*.sqlite"))
    with hold_lock(f"{path}.lock"):
        ended = cli("manifest", "prune", "--older-than", "0.001")
    assert f"a run is at work with {path}: it stays" in ended.out + ended.err
    assert path.exists()
    assert len(listed(cli, "list")) == 1


def test_an_age_must_be_one(cli: CommandLine, own_state: Path) -> None:
    assert "--older-than: must be above 0 s" in cli("manifest", "prune", "--older-than", "0").error
