"""Downloads: what is fetched, kept, adopted and reported as a conflict; the two directions of a pair."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aios3sync.errors import AccessDeniedError, BucketNotFoundError, SourceError, UnavailableError
from aios3sync.events import Skipped
from aios3sync.options import SyncOptions
from aios3sync.sync.request import locate_sides
from aios3sync.testing.faulty import unavailable
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import Bench, body_tree, same_size_change

pytestmark = pytest.mark.usefixtures("settle")

TREE = {"a": b"1", "d/b": b"22", "d/e/c": b"", "big": bytes(range(256)) * 200}


def nothing_moved(report: Any) -> bool:
    """Whether a run sent and fetched no content."""
    sent = {"PutObject", "GetObject", "CreateMultipartUpload", "CopyObject"}
    return not (sent & report.requests.keys() or report.uploaded or report.downloaded)


async def test_a_download_fetches_what_is_missing_and_then_nothing(bench: Bench) -> None:
    await bench.store(TREE)
    report = await bench.download()
    assert (report.downloaded, report.exit_code, report.direction) == (4, 0, "down")
    assert report.downloaded_bytes == sum(map(len, TREE.values()))
    assert body_tree(bench.root) == TREE
    again = await bench.download()
    assert (again.kept, again.planned) == (4, 4)
    assert nothing_moved(again)


async def test_a_source_without_objects_is_told(bench: Bench) -> None:
    """A prefix that was mistyped looks like one."""
    report = await bench.download()
    assert report.exit_code == 0
    assert report.warnings == (f"there is nothing to sync in {report.source}",)


async def test_the_directory_and_its_parents_are_made(bench: Bench) -> None:
    await bench.store({"a": b"1"})
    bench.root = bench.root / "x" / "y"
    assert (await bench.download()).downloaded == 1
    assert body_tree(bench.root) == {"a": b"1"}


async def test_a_dry_run_makes_and_fetches_nothing(bench: Bench) -> None:
    await bench.store(TREE)
    bench.root = bench.root / "x"
    report = await bench.download(dry_run=True)
    assert (report.downloaded, report.requests.get("GetObject", 0)) == (4, 0)
    assert not bench.root.exists()


async def test_a_target_that_is_a_file_is_an_error_before_any_request(bench: Bench) -> None:
    bench.root = bench.root / "file"
    bench.root.write_bytes(b"mine")
    with pytest.raises(SourceError, match="is not a directory"):
        await bench.download()
    assert bench.root.read_bytes() == b"mine"


async def test_down_after_up_and_up_after_down_move_nothing(bench: Bench) -> None:
    bench.tree(dict(TREE))
    assert (await bench.sync()).uploaded == 4
    down = await bench.download()
    assert nothing_moved(down)
    assert down.kept == 4
    up = await bench.sync()
    assert nothing_moved(up)
    assert (up.checked, up.requests) == ("manifest", {}), "the listing of the download is trusted"


async def test_up_after_a_first_download_needs_no_listing(bench: Bench) -> None:
    await bench.store(TREE)
    await bench.download()
    up = await bench.sync()
    assert (up.kept + up.touched, up.requests, up.checked) == (4, {}, "manifest")


@pytest.mark.parametrize("threshold", [16 * 1024 * 1024, 5 * 1024 * 1024], ids=["whole", "parts"])
async def test_a_lost_manifest_is_made_again_without_fetching(bench: Bench, threshold: int) -> None:
    size = 6 * 1024 * 1024
    bench.tree({"large": b"x" * size, "small": b"1"})
    await bench.sync(multipart_threshold=threshold, part_size=5 * 1024 * 1024)
    report = await bench.download(manifest=False, part_size=5 * 1024 * 1024)
    assert (report.adopted, report.conflicts) == (2, 0)
    assert nothing_moved(report)


async def test_what_changed_in_the_bucket_replaces_what_was_not_changed_here(bench: Bench) -> None:
    await bench.store({"a": b"old", "b": b"kept"})
    await bench.download()
    await bench.store({"a": b"new!"})
    report = await bench.download()
    assert (report.downloaded, report.kept, report.conflicts) == (1, 1, 0)
    assert body_tree(bench.root) == {"a": b"new!", "b": b"kept"}


@pytest.mark.parametrize("changed", ["here", "both", "never synced"])
async def test_a_file_with_changes_of_its_own_is_a_conflict_until_it_may_be_overwritten(
    bench: Bench, changed: str
) -> None:
    await bench.store({"a": b"old"})
    if changed != "never synced":
        await bench.download()
    (bench.root / "a").write_bytes(b"my work")
    if changed == "both":
        await bench.store({"a": b"theirs"})
    report = await bench.download()
    assert (report.conflicts, report.downloaded, report.exit_code) == (1, 0, 3)
    assert report.errors[0].error.endswith("; kept, --on-conflict overwrite replaces it")
    assert body_tree(bench.root) == {"a": b"my work"}
    report = await bench.download(on_conflict="overwrite")
    assert (report.conflicts, report.downloaded, report.exit_code) == (0, 1, 0)
    assert body_tree(bench.root) == {"a": bench.objects()["a"]}


async def test_a_change_that_hides_behind_its_stat_is_found_by_content(bench: Bench) -> None:
    await bench.store({"a": b"old"})
    await bench.download()
    (bench.root / "a").touch()
    await bench.download()  # hashed and recorded
    same_size_change(bench.root / "a")
    report = await bench.download(check="content", stat_fields=("size", "mtime"))
    assert (report.conflicts, report.downloaded) == (1, 0)


async def test_a_file_with_another_time_and_the_same_bytes_is_no_conflict(bench: Bench) -> None:
    await bench.store({"a": b"old"})
    await bench.download()
    os.utime(bench.root / "a", ns=(1, 1))
    report = await bench.download()
    assert (report.touched, report.conflicts) == (1, 0)
    assert nothing_moved(report)


async def test_a_missing_file_is_fetched_again(bench: Bench) -> None:
    await bench.store(TREE)
    await bench.download()
    (bench.root / "d" / "b").unlink()
    report = await bench.download()
    assert (report.downloaded, report.kept) == (1, 3)
    assert body_tree(bench.root) == TREE


async def test_everything_can_be_asked_for(bench: Bench) -> None:
    await bench.store(TREE)
    await bench.download()
    report = await bench.download(incremental=False)
    assert report.downloaded == 4


async def test_filters_hide_keys_on_both_sides(bench: Bench) -> None:
    await bench.store({"a.txt": b"1", "a.tmp": b"2"})
    bench.tree({"mine.tmp": b"3", "extra.txt": b"4"})
    report = await bench.download(exclude=("*.tmp",), delete="mirror")
    assert (report.downloaded, report.deleted, report.exit_code) == (1, 1, 0)
    assert body_tree(bench.root) == {"a.txt": b"1", "mine.tmp": b"3"}


async def test_only_named_objects_are_fetched_and_one_that_is_missing_fails(bench: Bench) -> None:
    await bench.store({"a": b"1", "b": b"2"})
    bench.tree({"mine": b"3"})
    report = await bench.download(files=("a", "nowhere"), delete="mirror")
    assert (report.downloaded, report.deleted, report.failed) == (1, 0, 1)
    assert [failure.key for failure in report.errors] == ["nowhere"]
    assert body_tree(bench.root) == {"a": b"1", "mine": b"3"}


HOSTILE = {
    "../outside": "leads to another directory",
    "d/../../outside": "leads to another directory",
    "d/./x": "leads to another directory",
    "/absolute": "absolute",
    "a//b": "empty part",
    "nul\0": "NUL",
    "l" * 256: "too long",
    "slash/": "ends in a slash",
}


async def test_keys_that_can_be_no_path_are_skipped_and_named(bench: Bench) -> None:
    await bench.store({**dict.fromkeys(HOSTILE, b"evil"), "ok": b"1"})
    report = await bench.download(delete="mirror", allow_empty_source=True)
    assert (report.downloaded, report.skipped, report.failed, report.exit_code) == (1, len(HOSTILE), 0, 3)
    assert body_tree(bench.root) == {"ok": b"1"}
    assert sorted(path.name for path in bench.root.parent.iterdir()) == ["source"]
    reasons = {event.key: event.reason for event in bench.events if isinstance(event, Skipped)}
    for key, reason in HOSTILE.items():
        assert reason in next(text for name, text in reasons.items() if name[:5] == key[:5] or name == key)


@pytest.mark.parametrize(("on_bad_name", "code"), [("fail", 3), ("skip", 0)])
async def test_what_cannot_be_a_file_is_missing_unless_that_is_accepted(
    bench: Bench, on_bad_name: str, code: int
) -> None:
    await bench.store({"a//b": b"1", "d": b"1", "d/e": b"1"})
    report = await bench.download(on_bad_name=on_bad_name)
    assert (report.downloaded, report.skipped, report.exit_code) == (1, 2, code)
    assert all(("--on-bad-name skip" in text) is (code == 3) for text in report.warnings)


async def test_ten_thousand_hostile_keys_make_one_warning(bench: Bench) -> None:
    await bench.store({f"../x{number}": b"" for number in range(10_000)})
    report = await bench.download()
    assert report.skipped == 10_000
    assert len(report.warnings) == 1
    assert "and 9997 more" in report.warnings[0]
    assert sorted(path.name for path in bench.root.parent.iterdir()) == ["source"]


@pytest.mark.parametrize("page", [1000, 1])
async def test_a_key_that_is_a_folder_as_well_is_skipped(bench: Bench, page: int) -> None:
    """Also where the folder is on a later page of the listing than the file."""
    await bench.store({"a": b"file", "a!": b"between", "a/b": b"in the folder", "c": b"1"})
    bench.memory = bench.faults.inner = MemoryStore(page_size=lambda _: page, objects=bench.memory.bodies())
    report = await bench.download()
    assert (report.downloaded, report.skipped) == (3, 1)
    assert body_tree(bench.root) == {"a!": b"between", "a/b": b"in the folder", "c": b"1"}
    assert "folder" in report.warnings[0]
    again = await bench.download()
    assert (again.kept, again.skipped, again.downloaded) == (3, 1, 0)


@pytest.mark.parametrize("markers", ["skip", "create"])
async def test_empty_objects_that_end_in_a_slash_are_directories(bench: Bench, markers: str) -> None:
    await bench.store({"d/": b"", "e/": b"", "e/f": b"1"})
    report = await bench.download(directory_markers=markers)
    assert (report.downloaded, report.skipped, report.exit_code) == (1, 0, 0)
    assert (bench.root / "d").is_dir() == (markers == "create")
    assert body_tree(bench.root) == {"e/f": b"1"}


async def test_archived_objects_are_skipped_with_one_line(bench: Bench) -> None:
    await bench.store({"cold": b"12345", "colder": b"123"}, storage_class="DEEP_ARCHIVE")
    await bench.store({"ir": b"1"}, storage_class="GLACIER_IR")
    await bench.store({"warm": b"1"})
    report = await bench.download(delete="mirror")
    assert (report.downloaded, report.archived, report.archived_bytes, report.exit_code) == (2, 2, 8, 0)
    [line] = report.warnings
    assert "2 objects" in line
    assert "8 bytes" in line or "8 B" in line
    assert "restore" in line


async def test_an_archived_object_whose_file_is_here_is_neither_deleted_nor_a_problem(bench: Bench) -> None:
    await bench.store({"cold": b"12345"}, storage_class="GLACIER")
    bench.tree({"cold": b"12345"})
    report = await bench.download(delete="mirror")
    assert (report.adopted, report.archived, report.deleted) == (1, 0, 0)


@pytest.mark.parametrize(
    "error",
    [
        AccessDeniedError(
            "the listing is denied", operation="ListObjectsV2", code="AccessDenied", status=403
        ),
        BucketNotFoundError("no such bucket", operation="ListObjectsV2", code="NoSuchBucket", status=404),
    ],
    ids=["denied", "no bucket"],
)
async def test_a_listing_that_is_refused_ends_the_run(bench: Bench, error: Exception) -> None:
    bench.tree({"mine": b"1"})
    bench.faults.on("list_page", error=error, times=-1)
    with pytest.raises(type(error), match=r"denied|no such bucket") as raised:
        await bench.download(delete="mirror")
    assert "--no-list" not in str(raised.value)
    assert body_tree(bench.root) == {"mine": b"1"}


async def test_a_listing_that_breaks_off_deletes_nothing(bench: Bench) -> None:
    await bench.store({f"k{number}": b"1" for number in range(5)})
    await bench.download()
    bench.memory = bench.faults.inner = MemoryStore(page_size=lambda _: 2, objects=bench.memory.bodies())
    bench.faults.on("list_page", error=unavailable(), skip=1, times=-1)
    with pytest.raises(UnavailableError):
        await bench.download(delete="mirror", list_workers=1)
    assert len(body_tree(bench.root)) == 5


@pytest.mark.parametrize(
    ("source", "target", "direction"),
    [
        ("s3://bkt/p", "d", "down"),
        ("s3://bkt/p", Path("d"), "down"),
        (Path("d"), "s3://bkt/p", "up"),
        ("d", "s3://bkt/p", "up"),
        (Path("s3://bkt"), "s3://bkt/p", "up"),
    ],
)
def test_types_and_schemes_tell_the_direction(source: Any, target: Any, direction: str) -> None:
    found, root, _, location = locate_sides(source, target, SyncOptions())
    assert (found, str(location)) == (direction, "s3://bkt/p/")
    assert os.path.isabs(root)


def test_two_directories_are_left_to_rsync() -> None:
    with pytest.raises(Exception, match="rsync"):
        locate_sides("a", "b", SyncOptions())


@pytest.mark.parametrize("delete", ["off", "tracked"])
async def test_an_upload_sends_again_what_a_download_saw_to_be_gone(bench: Bench, delete: str) -> None:
    """The manifest of the two directions is one: it must not claim that the bucket has what it has not."""
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    del bench.memory.objects["p/b"]
    if delete == "tracked":
        (bench.root / "b").write_bytes(b"changed, so it stays")
    down = await bench.download(delete=delete)
    assert (down.deleted, down.downloaded) == (0, 0)
    up = await bench.sync()
    assert up.uploaded == 1
    assert bench.objects() == body_tree(bench.root)


async def test_an_upload_lists_after_a_download_that_left_an_archived_object(bench: Bench) -> None:
    await bench.store({"a": b"1"}, storage_class="GLACIER")
    await bench.store({"b": b"1"})
    await bench.download()
    assert (await bench.sync()).checked == "list"
