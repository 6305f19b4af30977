"""Deletes of a download: the promises of an upload, with local files in the place of the objects.

=========================================================  ===================================================
Promise                                                    Test
=========================================================  ===================================================
P1 nothing is deleted on an incomplete listing             test_download_basics: a listing that breaks off
P2 what cannot be seen is neither written nor deleted      test_P2_*
P3 an empty source, or another directory, deletes nothing  test_P3_*
P4 only what was asked for, no more than was allowed       test_P4_*
P5 nothing is deleted where transfers failed               test_P5_*
P6 what the filters hide stays                             test_download_basics: filters hide keys
P8 a file that was changed is never replaced or deleted    test_P8_*, test_download_basics: conflicts
=========================================================  ===================================================
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from aios3sync.errors import ObjectNotFoundError
from aios3sync.local.tree import LocalTree
from aios3sync.local.walk import Walk
from aios3sync.local.write import TreeWriter
from aios3sync.testing.faulty import unavailable
from tests.sync.conftest import Bench, body_tree

pytestmark = pytest.mark.usefixtures("settle")


async def forget(bench: Bench, *keys: str) -> None:
    """Delete objects, as another program would."""
    for key in keys:
        del bench.memory.objects[f"p/{key}"]


async def synced(bench: Bench, objects: dict[str, bytes]) -> None:
    """Bring both sides in step by a download."""
    await bench.store(objects)
    report = await bench.download()
    assert report.downloaded == len(objects)


@pytest.mark.parametrize(
    ("delete", "gone", "left"),
    [
        ("off", 0, {"a", "b", "mine"}),
        ("tracked", 1, {"a", "mine"}),
        ("mirror", 2, {"a"}),
    ],
)
async def test_P4_only_what_was_asked_for_is_deleted(
    bench: Bench, delete: str, gone: int, left: set[str]
) -> None:
    await synced(bench, {"a": b"1", "b": b"2"})
    bench.tree({"mine": b"3"})
    await forget(bench, "b")
    report = await bench.download(delete=delete)
    assert (report.deleted, report.exit_code) == (gone, 0)
    assert body_tree(bench.root).keys() == left
    up = await bench.sync(dry_run=True, delete="mirror")
    assert up.deleted == 0, "the row went with the file"


async def test_P4_a_dry_run_deletes_nothing(bench: Bench) -> None:
    await synced(bench, {"a": b"1", "b": b"2"})
    await forget(bench, "b")
    report = await bench.download(delete="mirror", dry_run=True)
    assert report.deleted == 1
    assert body_tree(bench.root).keys() == {"a", "b"}


@pytest.mark.parametrize(
    ("options", "guard"), [({"max_delete": 1}, "max-delete"), ({"max_delete_ratio": 0.3}, "max-delete-ratio")]
)
async def test_P4_more_than_allowed_is_refused_as_a_whole(
    bench: Bench, options: dict[str, Any], guard: str
) -> None:
    await synced(bench, dict.fromkeys("abcd", b"1"))
    await forget(bench, "a", "b")
    report = await bench.download(delete="mirror", **options)
    assert report.refused is not None
    assert (report.refused["guard"], report.deleted, report.withheld, report.exit_code) == (guard, 0, 2, 4)
    assert body_tree(bench.root).keys() == set("abcd")


async def test_P3_an_empty_source_deletes_nothing_unless_it_is_allowed(bench: Bench) -> None:
    await synced(bench, {"a": b"1"})
    await forget(bench, "a")
    report = await bench.download(delete="mirror")
    assert report.refused is not None
    assert (report.refused["guard"], report.deleted) == ("empty-source", 0)
    assert "1 file would be deleted" in report.refused["message"]
    report = await bench.download(delete="mirror", allow_empty_source=True)
    assert (report.deleted, body_tree(bench.root)) == (1, {})


async def test_P3_another_directory_in_the_place_of_the_target_loses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await synced(bench, {"a": b"1", "b": b"2"})
    await forget(bench, "b")
    real, old = bench.memory.list_page, bench.root.parent / "old"
    there, batches = threading.Event(), Walk.batches

    def swap() -> None:
        if not old.exists():
            bench.root.rename(old)
            bench.root.mkdir()
            (bench.root / "b").write_bytes(b"2")
            there.set()

    async def swapped(*args: Any, **more: Any) -> Any:
        await to_thread.run_sync(swap)
        return await real(*args, **more)

    def walked(walk: Walk) -> Any:
        assert there.wait(60), "for a moment there is no directory, which would be an error"
        return batches(walk)

    monkeypatch.setattr(bench.memory, "list_page", swapped)
    monkeypatch.setattr(Walk, "batches", walked)
    report = await bench.download(delete="mirror")
    assert (report.deleted, report.exit_code) == (0, 4)
    assert report.refused is not None
    assert report.refused["guard"] == "source-gone"
    assert (old / "b").read_bytes() == (bench.root / "b").read_bytes() == b"2"


async def test_P2_below_a_directory_that_cannot_be_read_nothing_is_written_or_deleted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await synced(bench, {"d/a": b"1", "d/b": b"2", "e": b"3"})
    await forget(bench, "d/b")
    await bench.store({"d/a": b"other", "d/c": b"new"})
    real, place = os.scandir, str(bench.root / "d")

    def refusing(path: Any = ".") -> Any:
        if os.fspath(path).rstrip("/") == place:
            raise PermissionError(13, "Permission denied", place)
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    report = await bench.download(delete="mirror")
    assert (report.failed, report.skipped, report.downloaded, report.deleted) == (1, 2, 0, 0)
    monkeypatch.undo()
    assert body_tree(bench.root) == {"d/a": b"1", "d/b": b"2", "e": b"3"}


async def test_P2_a_special_file_is_in_the_way_of_an_object_and_stays(bench: Bench) -> None:
    os.mkfifo(bench.root / "pipe")
    await bench.store({"pipe": b"1", "ok": b"2"})
    report = await bench.download(delete="mirror")
    assert (report.downloaded, report.skipped, report.deleted) == (1, 1, 0)
    assert (bench.root / "pipe").is_fifo()


async def test_P2_what_a_link_leads_to_is_not_deleted(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"1")
    (bench.root / "link").symlink_to(outside)
    (bench.root / "one").symlink_to(outside / "precious")
    await bench.store({"ok": b"2"})
    report = await bench.download(delete="mirror")
    assert (report.deleted, report.failed, report.exit_code) == (0, 0, 0)
    assert (outside / "precious").read_bytes() == b"1"
    assert (bench.root / "one").is_symlink()


@pytest.mark.parametrize("delete", ["tracked", "mirror"])
async def test_P5_nothing_is_deleted_where_a_download_failed(bench: Bench, delete: str) -> None:
    await synced(bench, {"a": b"1", "b": b"2"})
    await forget(bench, "b")
    await bench.store({"a": b"other"})
    bench.faults.on("get", error=unavailable(), times=-1)
    report = await bench.download(delete=delete)
    assert (report.failed, report.deleted, report.withheld, report.exit_code) == (1, 0, 1, 3)
    assert "1 download failed" in report.warnings[0]
    assert body_tree(bench.root) == {"a": b"1", "b": b"2"}


async def test_an_object_that_vanishes_during_the_run_is_no_failure(bench: Bench) -> None:
    await bench.store({"a": b"1", "b": b"2"})
    gone = ObjectNotFoundError("no such key", operation="GetObject", code="NoSuchKey", status=404)
    bench.faults.on("get", key="p/a", error=gone, times=-1)
    bench.faults.on("head", key="p/a", error=gone, times=-1)
    report = await bench.download()
    assert (report.downloaded, report.vanished, report.failed, report.exit_code) == (1, 1, 0, 0)


async def test_P8_a_tracked_file_that_was_changed_is_kept_and_reported(bench: Bench) -> None:
    await synced(bench, {"a": b"1", "b": b"2"})
    await forget(bench, "b")
    (bench.root / "b").write_bytes(b"my work")
    report = await bench.download(delete="tracked")
    assert (report.conflicts, report.deleted, report.exit_code) == (1, 0, 3)
    assert body_tree(bench.root)["b"] == b"my work"
    report = await bench.download(delete="mirror")
    assert (report.conflicts, report.deleted) == (0, 1)


@pytest.mark.parametrize("delete", ["tracked", "mirror"])
async def test_P8_a_file_that_is_changed_after_the_walk_is_not_deleted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, delete: str
) -> None:
    await synced(bench, {"a": b"1", "b": b"2"})
    await forget(bench, "b")
    real = TreeWriter.remove_many

    def late(writer: TreeWriter, entries: Any) -> Any:
        (bench.root / "b").write_bytes(b"my work")
        return real(writer, entries)

    monkeypatch.setattr(TreeWriter, "remove_many", late)
    report = await bench.download(delete=delete)
    assert (report.deleted, report.failed, report.exit_code) == (0, 1, 3)
    assert body_tree(bench.root)["b"] == b"my work"


@pytest.mark.parametrize(("delete", "left"), [("tracked", True), ("mirror", False)])
async def test_directories_that_become_empty_are_removed_by_a_mirror_run(
    bench: Bench, delete: str, left: bool
) -> None:
    await synced(bench, {"d/e/f": b"1", "g/h": b"2"})
    (bench.root / "was-empty").mkdir()
    await forget(bench, "d/e/f")
    report = await bench.download(delete=delete)
    assert report.deleted == 1
    assert (bench.root / "d").exists() == left
    assert (bench.root / "was-empty").is_dir()


async def test_what_is_deleted_can_be_moved_into_a_trash(bench: Bench, tmp_path: Path) -> None:
    await synced(bench, {"d/a": b"1", "b": b"2"})
    await forget(bench, "d/a")
    trash = tmp_path / "trash"
    report = await bench.download(delete="tracked", trash=str(trash))
    assert report.deleted == 1
    assert body_tree(trash) == {"d/a": b"1"}
    assert body_tree(bench.root) == {"b": b"2"}


async def test_a_row_whose_file_and_object_are_gone_is_forgotten(bench: Bench) -> None:
    await synced(bench, {"a": b"1", "b": b"2"})
    await forget(bench, "b")
    (bench.root / "b").unlink()
    report = await bench.download()
    assert (report.forgotten, report.kept, report.exit_code) == (1, 1, 0)


async def test_what_an_earlier_run_left_unfinished_is_removed_at_the_end(bench: Bench) -> None:
    await bench.store({"a": b"1"})
    stale = bench.root / ".aios3sync-0123456789abcdef.part"
    stale.write_bytes(b"half")
    report = await bench.download(delete="mirror")
    assert (report.downloaded, report.deleted) == (1, 0)
    assert not stale.exists()


async def test_temporary_files_are_never_sent(bench: Bench) -> None:
    bench.tree({"a": b"1", ".aios3sync-0123456789abcdef.part": b"half"})
    report = await bench.sync()
    assert report.uploaded == 1
    assert bench.objects().keys() == {"a"}


@pytest.mark.parametrize(("delete", "guard"), [("mirror", "swapped-target"), ("off", None)])
async def test_P3_a_target_on_another_device_without_its_files_loses_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, delete: str, guard: str | None
) -> None:
    await synced(bench, {"a": b"1", "b": b"2"})
    for name in ("a", "b"):
        (bench.root / name).unlink()
    bench.tree({"other": b"of another disk"})
    monkeypatch.setattr(LocalTree, "may_be_swapped", lambda *_: True)
    report = await bench.download(delete=delete)
    assert (report.refused and report.refused["guard"]) == guard
    assert (bench.root / "other").exists()
    assert report.downloaded == (2 if delete == "off" else 0)
