"""``manifest``: shows, exports, imports and forgets local state without asking S3."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aios3sync.manifest.lock import hold_lock

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine


@pytest.fixture
def synced(cli: CommandLine, bucket: Bucket, tree: Path) -> tuple[Path, str]:
    """A pair that was synced."""
    assert cli("sync", tree, bucket.url("p")).code == 0
    return tree, bucket.url("p")


def test_show_prints_the_facts_and_the_rows(cli: CommandLine, synced: tuple[Path, str]) -> None:
    ended = cli("manifest", "show", *synced)
    assert ended.code == 0
    assert "state:    complete" in ended.lines
    assert any(line.startswith("rows:     3 files, 21 bytes") for line in ended.lines)
    facts = cli("manifest", "show", *synced, "--rows", "--json").json()
    assert (facts["rows"], facts["size"], facts["complete"]) == (3, 21, True)
    assert [entry["key"] for entry in facts["entries"]] == ["a.txt", "b.txt", "sub/c.html"]


def test_show_before_the_first_sync(cli: CommandLine, tree: Path) -> None:
    ended = cli("manifest", "show", tree, "s3://bucket/p")
    assert ended.lines[-1] == "there is no manifest yet: the next run compares everything"


def test_what_is_exported_can_be_imported_and_saves_the_requests(
    cli: CommandLine, synced: tuple[Path, str], tmp_path: Path
) -> None:
    file = tmp_path / "manifest.json"
    assert cli("manifest", "export", *synced, file).code == 0
    assert cli("manifest", "forget", *synced).code == 0
    assert cli("manifest", "import", *synced, file).out == "imported 3 rows\n"
    assert "S3 was not asked" in cli("sync", *synced).out


def test_an_export_to_a_full_disk_leaves_the_former_one(
    cli: CommandLine, synced: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "exports").mkdir()
    file = tmp_path / "exports" / "manifest.json"
    assert cli("manifest", "export", *synced, file).code == 0
    before = file.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    ended = cli("manifest", "export", *synced, file)
    assert (ended.code, file.read_bytes()) == (2, before)
    assert "cannot be written: No space left on device" in ended.error
    assert list(file.parent.iterdir()) == [file]


def test_an_export_keeps_links_and_modes_and_takes_a_device(
    cli: CommandLine, synced: tuple[Path, str], tmp_path: Path
) -> None:
    file, link = tmp_path / "manifest.json", tmp_path / "link"
    file.touch(0o640)
    link.symlink_to(file)
    assert cli("manifest", "export", *synced, link).code == 0
    assert (link.is_symlink(), file.stat().st_mode & 0o777) == (True, 0o640)
    assert file.read_bytes().startswith(b"{")
    assert cli("manifest", "export", *synced, "/dev/null").code == 0


def test_rows_of_another_pair_are_imported_as_incomplete(
    cli: CommandLine, synced: tuple[Path, str], tmp_path: Path
) -> None:
    document = cli("manifest", "export", *synced, "-").json()
    assert document["version"] == "1.0"
    assert document["files"]["a.txt"]["size"] == 5
    del document["target"]
    file = tmp_path / "manifest.json"
    import orjson

    file.write_bytes(orjson.dumps(document))
    assert cli("manifest", "import", *synced, file).code == 0
    assert "state:    incomplete: the next run lists the target" in cli("manifest", "show", *synced).lines
    report = cli("sync", *synced, "--json").json()
    assert (report["checked"], report["uploaded"], report["kept"]) == ("list", 0, 3)


def test_forget_makes_the_next_run_compare_and_upload_nothing(
    cli: CommandLine, synced: tuple[Path, str]
) -> None:
    assert cli("manifest", "forget", *synced, "--json").json()["forgotten"] is True
    assert cli("manifest", "forget", *synced).out == "there was no manifest\n"
    report = cli("sync", *synced, "--json").json()
    assert (report["uploaded"], report["adopted"]) == (0, 3)


@pytest.mark.parametrize("there", [True, False], ids=["manifest", "journal alone"])
def test_forget_removes_the_record_of_unfinished_uploads_and_says_so(
    cli: CommandLine, synced: tuple[Path, str], *, there: bool
) -> None:
    place = Path(cli("manifest", "show", *synced, "--json").json()["place"])
    journal = Path(f"{place}.uploads")
    journal.write_text('{"target": "t", "key": "p/k", "upload_id": "1", "version": "v"}\n')
    if not there:
        place.unlink()
    ended = cli("manifest", "forget", *synced)
    assert ended.out == (f"forgot {place}\n" if there else "there was no manifest\n")
    assert "1 multipart upload that a killed run had begun will not be continued" in ended.error
    assert not journal.exists()
    assert cli("manifest", "forget", *synced).err == ""


def test_what_is_no_manifest_is_never_removed_or_replaced(
    cli: CommandLine, tree: Path, tmp_path: Path
) -> None:
    diary = tmp_path / "diary"
    diary.write_text("dear diary")
    pair = (tree, "s3://bucket/p", "--manifest", diary)
    forgotten = cli("manifest", "forget", *pair)
    assert (forgotten.code, forgotten.out) == (1, "")
    assert "is not a manifest" in forgotten.error
    imported = cli("manifest", "import", tree, "s3://bucket/p", diary)
    assert imported.code == 1
    assert "what is imported is not a manifest" in imported.error
    assert diary.read_text() == "dear diary"


def test_the_manifest_of_another_pair_is_set_aside_not_forgotten(
    cli: CommandLine, synced: tuple[Path, str], tmp_path: Path
) -> None:
    source, target = synced
    place = tmp_path / "kept.sqlite"
    assert cli("sync", source, target, "--manifest", place).code == 0
    ended = cli("manifest", "forget", source, target + "/other", "--manifest", place)
    assert "was set aside" in ended.err
    assert list(tmp_path.glob("kept.sqlite.set-aside-*"))


def test_a_run_at_work_keeps_its_manifest(cli: CommandLine, synced: tuple[Path, str]) -> None:
    place = cli("manifest", "show", *synced, "--json").json()["place"]
    with hold_lock(place + ".lock"):
        assert cli("manifest", "forget", *synced).code == 5
    assert cli("manifest", "export", *synced, "-").code == 0


def test_nothing_to_export_is_an_error(cli: CommandLine, tree: Path) -> None:
    ended = cli("manifest", "export", tree, "s3://bucket/p", "-", "--json")
    assert ended.code == 1
    assert ended.json()["error"].startswith("there is no manifest of this pair")


# In a bucket.


@pytest.mark.parametrize("name", ["state/m.sqlite", "state/m.json", "state/"])
def test_a_manifest_in_a_bucket_is_shown_exported_and_forgotten(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path, name: str
) -> None:
    pair = tree, bucket.url("p"), "--manifest", bucket.url(name)
    missing = cli("manifest", "show", *pair)
    assert missing.lines[-1] == "there is no manifest yet: the next run compares everything"
    assert cli("sync", *pair).code == 0
    data = {"p/a.txt", "p/b.txt", "p/sub/c.html"}
    (key,) = bucket.keys() - data
    ended = cli("manifest", "show", *pair)
    assert ended.lines[0] == f"manifest: {bucket.url(key)}"
    assert "state:    complete" in ended.lines
    facts = cli("manifest", "show", *pair, "--rows", "--json").json()
    assert (facts["place"], facts["rows"], facts["size"]) == (bucket.url(key), 3, 21)
    assert facts["file_size"] == bucket.head(key)["ContentLength"]
    file = tmp_path / "manifest.json"
    assert cli("manifest", "export", *pair, file).code == 0
    refused = cli("manifest", "import", *pair, file)
    assert refused.code == 2
    assert "is in a bucket, and is written by syncs alone" in refused.error
    assert cli("manifest", "forget", *pair).out == f"forgot {bucket.url(key)}\n"
    assert bucket.keys() == data
    assert cli("manifest", "forget", *pair).out == "there was no manifest\n"


def test_a_bucket_that_is_not_there_is_named(cli: CommandLine, tree: Path) -> None:
    ended = cli("manifest", "show", tree, "s3://bucket/p", "--manifest", "s3://no-such-bucket-x/m")
    assert ended.code == 1
    assert "no such bucket" in ended.error


@pytest.mark.parametrize("command", ["list", "prune"])
def test_manifests_in_a_bucket_are_not_listed_and_the_way_out_is_said(cli: CommandLine, command: str) -> None:
    ended = cli("manifest", command, "--manifest", "s3://bucket/state/")
    assert ended.code == 2
    assert "aios3sync ls s3://BUCKET/FOLDER/.aios3sync/manifests/" in " ".join(ended.error.split())
