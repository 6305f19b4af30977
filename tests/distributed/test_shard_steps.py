"""The steps of a shard one by one: what is held, what is looked at once more, what is known to others."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aios3sync.core.key_range import KeyRange
from aios3sync.distributed.guards import refusal
from aios3sync.distributed.reports import joined_report, unmatched_rules
from aios3sync.distributed.shard_run import compare_shard, delete_shard, survey_shard
from aios3sync.errors import ManifestError, SourceError, UnavailableError, UsageError
from aios3sync.local.folding import Folding
from aios3sync.options import SyncOptions
from aios3sync.store.protocol import PutOptions, StoreCapabilities
from aios3sync.sync.request import SyncRequest
from aios3sync.testing.faulty import unavailable
from aios3sync.testing.memory import MemoryStore
from tests.distributed.sharding import Sharding, counts_of, ranges_at
from tests.distributed.test_shard_run import bodies, bucket, files, tree
from tests.sync.conftest import Crash

HALVES = ranges_at(["m"])


def up(tmp_path: Path, objects: dict[str, bytes], content: dict[str, bytes], **more: Any) -> Sharding:
    """A directory and a bucket."""
    tree(tmp_path / "tree", content)
    return Sharding(tmp_path / "many", tmp_path / "tree", bucket(objects, **more))


def down(tmp_path: Path, objects: dict[str, bytes], content: dict[str, bytes], **more: Any) -> Sharding:
    """A bucket and a directory."""
    return replace(up(tmp_path, objects, content, **more), direction="down")


async def put(store: MemoryStore, key: str, body: bytes) -> None:
    await store.put(f"p/{key}", body, PutOptions(), md5=hashlib.md5(body, usedforsecurity=False).digest())


# Deletes are held


async def test_the_comparison_deletes_nothing(tmp_path: Path) -> None:
    side = up(tmp_path, {"a": b"", "y": b"", "z": b""}, {"b": b"1", "n": b"2"})
    requests = side.shards(HALVES, delete="mirror")
    results = await side.compare(requests)
    assert [result.facts.plan.deletes for result in results] == [1, 2]
    assert [result.report.deleted for result in results] == [0, 0]
    assert {*bodies(side.memory)} == {"a", "b", "n", "y", "z"}
    for number, request in enumerate(requests):
        report = await delete_shard(request, side.resources(), side.held(number))
        assert counts_of(report) == {"deleted": number + 1, "planned": number + 1}
    assert {*bodies(side.memory)} == {"b", "n"}


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_guard_refuses_the_sum_and_nothing_is_deleted(tmp_path: Path, direction: str) -> None:
    make = up if direction == "up" else down
    objects = {f"{letter}{number}": b"" for letter in "az" for number in range(3)}
    side = (
        make(tmp_path, objects, {"a0": b"", "z0": b""})
        if direction == "up"
        else make(tmp_path, {"a0": b"", "z0": b""}, objects)
    )
    total = await side.sharded(HALVES, delete="mirror", max_delete=3)
    assert total.refused is not None
    assert (total.refused.guard, total.refused.count) == ("max-delete", 4)
    assert total.counts["withheld"] == 4
    assert len(bodies(side.memory) if direction == "up" else files(side.root)) == 6


async def test_one_failed_upload_withholds_the_deletes_of_all(tmp_path: Path) -> None:
    side = up(tmp_path, {"z": b""}, {"b": b"1"})
    side.faults.on("put", key="p/b", error=UnavailableError("no", operation="PutObject"), times=-1)
    total = await side.sharded(HALVES, delete="mirror")
    assert total.refused is None
    assert total.reason.startswith("1 upload failed")
    assert (total.counts["failed"], total.counts["withheld"]) == (1, 1)
    assert "z" in bodies(side.memory)


async def test_a_shard_that_was_stopped_is_incomplete(tmp_path: Path) -> None:
    side = up(tmp_path, {"z": b""}, {"b": b"1"})
    requests = side.shards(HALVES, delete="mirror")
    whole = await compare_shard(requests[1], side.resources(), side.held(1))
    side.stop.request()
    stopped = await compare_shard(requests[0], side.resources(), side.held(0))
    refused = refusal([stopped.facts, whole.facts], requests[0].options)
    assert refused is not None
    assert refused.guard == "incomplete"
    assert not os.path.exists(side.held(0))


async def test_a_dry_run_counts_the_deletes_and_sends_none(tmp_path: Path) -> None:
    side = up(tmp_path, {"a": b"", "z": b""}, {"b": b"1"})
    report = await side.whole(delete="mirror", dry_run=True)
    total = await side.sharded(HALVES, delete="mirror", dry_run=True)
    assert total.counts == counts_of(report)
    assert bodies(side.memory) == {"a": b"", "z": b""}


# What was listed is looked at once more


def unconditional(order: str = "bytes") -> dict[str, Any]:
    """An endpoint that does not honour ETags in DeleteObjects, as moto and rclone."""
    return {"capabilities": StoreCapabilities(sorted_listing=order == "bytes")}


@pytest.mark.parametrize("order", ["bytes", "other"])
@pytest.mark.parametrize("many", [2, 60])
async def test_an_object_that_was_replaced_since_is_kept(tmp_path: Path, order: str, many: int) -> None:
    """By HEAD where few are deleted or the order is not known, by a listing where many are."""
    keys = [f"{number:03}" for number in range(many)]
    store = MemoryStore(objects={f"p/{key}": b"old" for key in keys}, **unconditional(order))
    tree(tmp_path / "tree", {"z": b""})
    side = Sharding(tmp_path / "many", tmp_path / "tree", store)
    (request,) = side.shards([KeyRange()], delete="mirror", max_delete_ratio=1.0)
    await compare_shard(request, side.resources(), side.held(0))
    await put(store, keys[1], b"new")
    del store.objects[f"p/{keys[0]}"]
    report = await delete_shard(request, side.resources(), side.held(0))
    assert counts_of(report) == {"deleted": many - 1, "conflicts": 1, "planned": many}
    assert [failure.key for failure in report.errors] == [keys[1]]
    assert "replaced after it was listed" in report.errors[0].error
    assert {*bodies(store)} == {keys[1], "z"}
    assert side.faults.calls["head"] < 3 if order == "bytes" and many == 60 else side.faults.calls["head"]


async def test_a_conditional_delete_needs_no_look(tmp_path: Path) -> None:
    side = up(tmp_path, {"a": b"old", "b": b"old"}, {"z": b""})
    (request,) = side.shards([KeyRange()], delete="mirror", max_delete_ratio=1.0)
    await compare_shard(request, side.resources(), side.held(0))
    await put(side.memory, "a", b"new")
    side.faults.calls.clear()
    report = await delete_shard(request, side.resources(), side.held(0))
    assert (report.deleted, report.failed) == (1, 1)
    assert dict(side.faults.calls) == {"delete_many": 1}
    assert {*bodies(side.memory)} == {"a", "z"}


async def test_a_file_that_was_changed_since_is_kept(tmp_path: Path) -> None:
    side = down(tmp_path, {"z": b""}, {"a": b"old", "b": b"old"})
    (request,) = side.shards([KeyRange()], delete="mirror", max_delete_ratio=1.0)
    await compare_shard(request, side.resources(), side.held(0))
    (side.root / "a").write_bytes(b"newer")
    report = await delete_shard(request, side.resources(), side.held(0))
    assert (report.deleted, report.failed) == (1, 1)
    assert files(side.root) == {"a": b"newer", "z": b""}


async def test_another_directory_in_the_place_of_the_source_deletes_nothing(tmp_path: Path) -> None:
    side = up(tmp_path, {"a": b""}, {"z": b""})
    (request,) = side.shards([KeyRange()], delete="mirror")
    await compare_shard(request, side.resources(), side.held(0))
    side.root.rename(tmp_path / "elsewhere")
    tree(side.root, {"z": b""})
    with pytest.raises(SourceError, match="took the place"):
        await delete_shard(request, side.resources(), side.held(0))
    assert "a" in bodies(side.memory)


# Again


async def test_a_comparison_that_was_broken_off_is_done_again(tmp_path: Path) -> None:
    """What was uploaded is not uploaded twice, and there is no file of held deletes of the first attempt."""
    content = {f"{letter}{number:02}": b"x" for letter in "an" for number in range(40)}
    side = up(tmp_path, {"zz": b""}, content)
    (request,) = side.shards([KeyRange()], delete="mirror")
    side.faults.on("put", skip=30, error=Crash())
    with pytest.raises(Crash):
        await compare_shard(request, side.resources(), side.held(0))
    assert [*side.place.glob("*.held*")] == []
    sent = len(bodies(side.memory)) - 1
    result = await compare_shard(request, side.resources(), side.held(0))
    assert (result.report.uploaded, result.report.kept + result.report.adopted) == (80 - sent, sent)
    assert sent >= 30
    assert result.facts.plan.deletes == 1


async def test_deletes_that_were_broken_off_are_done_again(tmp_path: Path) -> None:
    side = up(tmp_path, {f"{number:03}": b"" for number in range(30)}, {"z": b""})
    (request,) = side.shards([KeyRange()], delete="mirror", max_delete_ratio=1.0)
    await compare_shard(request, side.resources(), side.held(0))
    for number in range(10):
        del side.memory.objects[f"p/{number:03}"]
    for _ in range(2):
        report = await delete_shard(request, side.resources(), side.held(0))
        assert counts_of(report) == {"deleted": 30, "planned": 30}
    assert {*bodies(side.memory)} == {"z"}


# The file


async def held_file(tmp_path: Path) -> tuple[Sharding, SyncRequest]:
    side = up(tmp_path, {"a": b"", "b": b""}, {"z": b""})
    (request,) = side.shards([KeyRange("", "m")], delete="mirror")
    await compare_shard(request, side.resources(), side.held(0))
    return side, request


@pytest.mark.parametrize("cut", [2, 30, -1, 0])
async def test_a_file_that_is_not_whole_deletes_nothing(tmp_path: Path, cut: int) -> None:
    side, request = await held_file(tmp_path)
    held = Path(side.held(0))
    content = held.read_bytes()
    held.write_bytes(content[:-cut] if cut > 0 else content.replace(b'"b"', b'"c"') if cut else b"")
    with pytest.raises(ManifestError, match="nothing is deleted"):
        await delete_shard(request, side.resources(), side.held(0))
    assert {*bodies(side.memory)} == {"a", "b"}


async def test_a_file_of_another_shard_or_sync_deletes_nothing(tmp_path: Path) -> None:
    side, request = await held_file(tmp_path)
    others = [
        replace(request, key_range=KeyRange("", "n")),
        replace(request, endpoint="http://other"),
        replace(request, root=str(tmp_path)),
        replace(request, options=SyncOptions(delete="tracked")),
    ]
    for other in others:
        with pytest.raises(ManifestError, match="another sync"):
            await delete_shard(other, side.resources(), side.held(0))
    with pytest.raises(ManifestError, match="No such file"):
        await delete_shard(request, side.resources(), side.held(9))
    assert {*bodies(side.memory)} == {"a", "b"}


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    side, _ = await held_file(tmp_path)
    assert os.stat(side.held(0)).st_mode & 0o777 == 0o600
    assert [path.name for path in side.place.glob("0.held*")] == ["0.held"]


async def test_a_disk_without_room_for_the_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    side = up(tmp_path, {"a": b""}, {"z": b""})
    (request,) = side.shards([KeyRange()], delete="mirror")
    with pytest.raises(ManifestError, match="cannot be written: No such file"):
        await compare_shard(request, side.resources(), str(tmp_path / "missing" / "held"))
    assert "a" in bodies(side.memory)


# What one shard knows for another


async def test_a_key_that_is_a_folder_in_the_next_range_becomes_no_file(tmp_path: Path) -> None:
    for number, cut in enumerate(["a/", "a!", "a-0", "a/b"]):
        place = tmp_path / str(number)
        side = down(place, {"a": b"object", "a-0": b"", "a/b": b"below"}, {})
        one = down(place / "one", {"a": b"object", "a-0": b"", "a/b": b"below"}, {})
        report = await one.whole()
        total = await side.sharded(ranges_at([cut]))
        assert total.counts == counts_of(report)
        assert files(side.root) == files(one.root) == {"a-0": b"", "a/b": b"below"}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("e\u0301", "\u00e9"),
        ("a\\b", "a/b"),
        ("z\\b", "z/b"),
        (os.fsdecode(b"d\xff/x"), "d%FF/x"),
        (os.fsdecode("é/".encode() + b"\xff"), "%C3%A9/%FF"),
    ],
)
async def test_an_object_that_may_be_a_file_of_another_shard_is_kept(
    tmp_path: Path, name: str, key: str
) -> None:
    """The same name in another form, or a name that is not UTF-8 and that another tool has spelled."""
    side = up(tmp_path, {key: b"", "plain": b""}, {"q": b""})
    tree(side.root, {name: b"x"})
    options: dict[str, Any] = {"delete": "mirror", "max_delete_ratio": 1.0, "on_bad_name": "skip"}
    requests = side.shards(ranges_at(["a0", "f", "z/"]), **options)
    total = await side.sharded([request.key_range for request in requests], **options)
    assert total.reason == ""
    assert key in bodies(side.memory)
    assert "plain" not in bodies(side.memory)
    assert total.counts["deleted"] == 1


@pytest.mark.parametrize("cut", ["d/", "d/m", "e"])
async def test_what_is_below_an_unreadable_place_stays_in_every_shard(
    tmp_path: Path, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = up(tmp_path, {"d/a": b"", "d/z": b"", "x": b""}, {"d/f": b"", "e": b""})
    scandir = os.scandir

    def denied(path: str) -> Any:
        if path.rstrip("/").endswith("/d"):
            raise PermissionError(errno.EACCES, "no", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    one = replace(side, place=tmp_path / "one", memory=bucket({"d/a": b"", "d/z": b"", "x": b""}))
    report = await one.whole(delete="mirror")
    total = await side.sharded(ranges_at([cut]), delete="mirror")
    assert total.counts == counts_of(report)
    assert bodies(side.memory) == bodies(one.memory)
    assert {"d/a", "d/z"} <= {*bodies(side.memory)}


async def test_a_filesystem_that_folds_names_is_filled_by_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.local.folding.folding_of", lambda _: Folding(case=True, form=False))
    side = down(tmp_path, {"A": b"", "a": b""}, {})
    for request in side.shards(HALVES):
        with pytest.raises(UsageError, match="without --cluster"):
            await compare_shard(request, side.resources(), side.held(0))


async def test_rules_that_match_in_one_shard_are_not_called_useless(tmp_path: Path) -> None:
    side = up(tmp_path, {}, {"a.tmp": b"", "z": b""})
    total = await side.sharded(HALVES, exclude=("*.tmp", "*.log"), header_for=("z:cache-control=no-cache",))
    tmp, log = (f"exclude '*.{extension}' (--exclude)" for extension in ("tmp", "log"))
    assert [each.unmatched_filters for each in total.facts] == [(log,), (tmp, log)]
    assert [each.unmatched_headers for each in total.facts] == [("z:cache-control=no-cache",), ()]
    assert not any(report.warnings for report in total.reports)


# A tree that was swapped


async def test_what_one_run_warns_of_shards_warn_of_in_all(tmp_path: Path) -> None:
    side = down(tmp_path, {"a": b"1", "z": b"2"}, {})
    for key in ("b", "n", "o"):
        body = key.encode() * 1000
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        await side.memory.put(f"p/{key}", body, PutOptions(storage_class="GLACIER"), md5=digest)
    options: dict[str, Any] = {"exclude": ("never*",)}
    total = await side.sharded(HALVES, **options)
    joined = joined_report(
        side.request(**options), total.reports, facts=total.facts, warnings=unmatched_rules(total.facts)
    )
    whole = await side.whole(**options)
    assert "skipped 3 objects" in whole.warnings[0]
    assert sorted(joined.warnings) == sorted(whole.warnings)
    assert len(joined.warnings) == 2


async def test_a_survey_counts_only_where_the_device_is_another_one(tmp_path: Path) -> None:
    side = up(tmp_path, {}, {"a": b"1", "b": b"2", "y": b"3", "z": b"4"})
    await side.sharded(HALVES)
    requests = side.shards(HALVES)
    surveys = [await survey_shard(request, side.resources()) for request in requests]
    assert [(each.recorded, each.found) for each in surveys] == [(0, 0), (0, 0)]


async def test_a_swapped_tree_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One shard alone would go on: half of its files are there. The sum is another tree."""
    side = up(tmp_path, {}, {"a": b"1", "b": b"2", "x": b"3", "y": b"4", "z": b"5"})
    await side.sharded(HALVES)
    for name in "bxyz":
        (side.root / name).unlink()
    (side.root / "new").write_bytes(b"")
    monkeypatch.setattr("aios3sync.local.tree.LocalTree.device", 1)
    before = bodies(side.memory)
    total = await side.sharded(HALVES, delete="mirror")
    assert total.refused is not None
    assert (total.refused.guard, total.refused.count) == ("swapped-source", 5)
    assert bodies(side.memory) == before


async def test_a_shard_does_not_judge_by_its_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that was emptied is all of one shard, and little of the whole."""
    side = up(tmp_path, {}, dict.fromkeys("abcdxyz", b"1"))
    await side.sharded(HALVES)
    for name in "xyz":
        (side.root / name).unlink()
    monkeypatch.setattr("aios3sync.local.tree.LocalTree.device", 1)
    total = await side.sharded(HALVES, delete="mirror")
    assert total.refused is None
    assert total.counts["deleted"] == 3


# The end of a download


async def test_directories_are_made_when_all_deletes_have_ended(tmp_path: Path) -> None:
    side = down(tmp_path, {"m/": b"", "a": b""}, {"m/old": b""})
    options: dict[str, Any] = {"delete": "mirror", "directory_markers": "create"}
    total = await side.sharded(ranges_at(["m/a"]), **options)
    assert [each.to_finish for each in total.facts] == [True, False]
    assert files(side.root) == {"a": b""}
    assert (side.root / "m").is_dir()


async def test_unfinished_files_of_earlier_runs_go_at_the_end(tmp_path: Path) -> None:
    stale, resumable = ".aios3sync-00000000000000aa.part", ".aios3sync-00000000000000bb"
    names = {f"d/{stale}": b"x", f"d/{resumable}.part": b"x", f"d/{resumable}.ranges": b"{}"}
    side = down(tmp_path, {"d/a": b"", "d/z": b""}, names)
    requests = side.shards(ranges_at(["d/m"]))
    await side.compare(requests)
    assert {*names} <= {*files(side.root)}
    total = await side.sharded(ranges_at(["d/m"]))
    assert sum(each.to_finish for each in total.facts) == 1
    left = {*files(side.root)} - {"d/a", "d/z"}
    assert left == {f"d/{resumable}.part", f"d/{resumable}.ranges"}


# The state, and what a request holds


async def test_shards_without_changes_ask_nothing(tmp_path: Path) -> None:
    """Each goes by its own manifest, which knows that its range was listed."""
    side = up(tmp_path, {}, {f"{letter}{number}": b"" for letter in "az" for number in range(5)})
    await side.sharded(HALVES)
    side.faults.calls.clear()
    total = await side.sharded(HALVES)
    assert [report.checked for report in total.reports[:2]] == ["manifest", "manifest"]
    assert total.counts["kept"] == 10
    assert not side.faults.calls


async def test_what_a_range_has_listed_counts_for_no_other(tmp_path: Path) -> None:
    side = up(tmp_path, {}, {"a": b"", "z": b""})
    manifest = str(tmp_path / "manifest.sqlite")
    (request,) = side.shards([KeyRange("", "m")], manifest=manifest)
    assert (await compare_shard(request, side.resources(), side.held(0))).report.checked == "list"
    assert (await compare_shard(request, side.resources(), side.held(0))).report.checked == "manifest"
    (other,) = side.shards([KeyRange("", "n")], manifest=manifest)
    assert (await compare_shard(other, side.resources(), side.held(0))).report.checked == "list"
    report = await side.whole(manifest=manifest)
    assert (report.checked, report.uploaded, report.kept) == ("list", 1, 1)


async def test_an_upload_after_a_download_whose_deletes_are_held_lists(tmp_path: Path) -> None:
    """The rows of files whose objects are gone say nothing of the bucket until the files are deleted."""
    side = down(tmp_path, {"a": b"1", "b": b"2"}, {})
    ranges = [KeyRange("", "m")]
    await side.sharded(ranges)
    del side.memory.objects["p/a"]
    (request,) = side.shards(ranges, delete="mirror")
    await compare_shard(request, side.resources(), side.held(0))
    (upload,) = replace(side, direction="up").shards(ranges)
    back = await compare_shard(upload, side.resources(), side.held(1))
    assert (back.report.checked, back.report.uploaded) == ("list", 1)


async def test_an_upload_after_a_download_whose_deletes_are_done_goes_by_the_manifest(tmp_path: Path) -> None:
    side = down(tmp_path, {"a": b"1", "b": b"2"}, {})
    await side.sharded(HALVES)
    del side.memory.objects["p/a"]
    total = await side.sharded(HALVES, delete="mirror")
    assert total.counts["deleted"] == 1
    total = await replace(side, direction="up").sharded(HALVES)
    assert [report.checked for report in total.reports[:2]] == ["manifest", "manifest"]
    assert total.counts["kept"] == 1


async def test_a_delete_whose_effect_is_not_known_makes_the_next_run_list(tmp_path: Path) -> None:
    side = up(tmp_path, {}, {"a": b"1", "b": b"2", "z": b"3"})
    await side.sharded(HALVES)
    (side.root / "a").unlink()
    side.faults.on("delete_many", late=unavailable(), times=-1)
    total = await side.sharded(HALVES, delete="tracked")
    assert total.counts["failed"] == 1
    total = await side.sharded(HALVES)
    assert [report.checked for report in total.reports[:2]] == ["list", "manifest"]


def test_requests_hold_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A node finds its own credentials; keys of SSE-C would be on the wire, and are refused before."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, f"value-of-{name}")
    side = Sharding(tmp_path, tmp_path, bucket({}))
    pickled = pickle.dumps(side.request(delete="mirror", metadata={"a": "b"}))
    assert b"value-of-" not in pickled
    assert b"mirror" in pickled


async def test_results_hold_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "value-of-the-secret")
    side = up(tmp_path, {"a": b""}, {"z": b"1"})
    (request,) = side.shards([KeyRange()], delete="mirror", max_delete_ratio=1.0)
    result = await compare_shard(request, side.resources(), side.held(0))
    assert b"value-of-the-secret" not in pickle.dumps(result) + Path(side.held(0)).read_bytes()
    assert result.report.uploaded == 1
