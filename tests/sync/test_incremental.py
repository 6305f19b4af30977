"""What a run finds, sends and asks, compared with the run before."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from aios3sync.store.protocol import StoreCapabilities
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import MIB, Bench, Crash, same_size_change

pytestmark = pytest.mark.usefixtures("settle")


async def test_a_first_run_uploads_everything_and_a_second_asks_s3_nothing(bench: Bench) -> None:
    bench.tree({"a.txt": "one", "d/b.txt": "two", "empty": b""})
    first = await bench.sync()
    assert (first.uploaded, first.checked, first.requests) == (
        3,
        "list",
        {"ListObjectsV2": 1, "PutObject": 3},
    )
    assert bench.objects() == {"a.txt": b"one", "d/b.txt": b"two", "empty": b""}
    second = await bench.sync()
    assert (second.kept, second.uploaded, second.requests) == (3, 0, {})
    assert second.checked == "manifest"
    assert second.knowledge_age_s is not None
    assert 0 <= second.knowledge_age_s < 60


async def test_a_run_that_listed_says_that_its_knowledge_is_fresh(bench: Bench) -> None:
    bench.tree({"a": "1"})
    await bench.sync()
    assert (await bench.sync(check="list")).knowledge_age_s == 0


async def test_touching_a_file_uploads_nothing_and_records_it_anew(bench: Bench) -> None:
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    os.utime(bench.root / "a")
    touched = await bench.sync()
    assert (touched.touched, touched.kept, touched.uploaded, touched.requests) == (1, 1, 0, {})
    assert (await bench.sync()).kept == 2


async def test_a_run_waits_for_its_last_outcome_and_not_for_the_clock(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    monkeypatch.setattr("aios3sync.sync.recorder._INTERVAL", 3600.0)
    (bench.root / "a").write_text("9")
    os.utime(bench.root / "b", ns=(1, 1))
    with anyio.fail_after(100):
        report = await bench.sync()
    assert (report.uploaded, report.touched) == (1, 1)


async def test_one_byte_changed_with_size_and_mtime_restored_is_found(bench: Bench) -> None:
    bench.tree({"a": "same size"})
    await bench.sync()
    same_size_change(bench.root / "a")
    assert (await bench.sync()).uploaded == 1
    assert bench.objects()["a"] == (bench.root / "a").read_bytes()


async def test_C2_a_file_replaced_by_an_older_one_is_found(bench: Bench, tmp_path: Path) -> None:
    bench.tree({"a": "newer"}, age=10)
    await bench.sync()
    older = tmp_path / "older"
    older.write_bytes(b"older")
    os.utime(older, ns=(0, 1_000_000_000))
    older.rename(bench.root / "a")
    assert (await bench.sync()).uploaded == 1
    assert bench.objects()["a"] == b"older"


async def test_ten_percent_changed_uploads_exactly_these(bench: Bench) -> None:
    bench.tree({f"d{n % 7}/f{n:04}": f"content {n}" for n in range(1000)})
    await bench.sync()
    changed = {f"d{n % 7}/f{n:04}" for n in range(0, 1000, 10)}
    bench.tree(dict.fromkeys(changed, "changed"))
    bench.faults.keys.clear()
    report = await bench.sync()
    assert (report.uploaded, report.kept) == (100, 900)
    assert {key for verb, key in bench.faults.keys if verb == "put"} == {f"p/{key}" for key in changed}


async def test_P10_a_lost_manifest_costs_one_listing_and_no_upload(bench: Bench, isolated: Path) -> None:
    bench.tree({f"f{n}": f"content {n}" for n in range(50)})
    await bench.sync()
    for path in isolated.glob("aios3sync/*"):
        path.unlink()
    report = await bench.sync()
    assert (report.adopted, report.uploaded, report.requests) == (50, 0, {"ListObjectsV2": 1})
    assert (await bench.sync()).requests == {}


async def test_with_the_manifest_lost_multipart_and_gzip_cost_one_head_each(
    bench: Bench, isolated: Path
) -> None:
    bench.tree({"big.bin": os.urandom(12 * MIB), "a.txt": "text " * 1000, "plain.bin": b"x"})
    options: dict[str, Any] = {"gzip": ("txt",), "multipart_threshold": 8 * MIB, "part_size": 5 * MIB + 12345}
    assert (await bench.sync(**options)).uploaded == 3
    for path in isolated.glob("aios3sync/*"):
        path.unlink()
    report = await bench.sync(gzip=("txt",))  # the odd part size is not known any more
    assert (report.adopted, report.uploaded) == (3, 0)
    assert report.requests == {"ListObjectsV2": 1, "HeadObject": 2}


async def test_a_multipart_object_of_a_usual_part_size_needs_no_head(bench: Bench, isolated: Path) -> None:
    bench.tree({"big.bin": os.urandom(12 * MIB)})
    await bench.sync(multipart_threshold=8 * MIB, part_size=5 * MIB)
    for path in isolated.glob("aios3sync/*"):
        path.unlink()
    assert (await bench.sync()).requests == {"ListObjectsV2": 1}


async def test_C7_a_multipart_object_of_the_same_size_is_not_taken_for_the_same(
    bench: Bench, isolated: Path
) -> None:
    content = os.urandom(12 * MIB)
    bench.tree({"big.bin": content})
    options: dict[str, Any] = {"multipart_threshold": 8 * MIB, "part_size": 5 * MIB}
    await bench.sync(**options)
    for path in isolated.glob("aios3sync/*"):
        path.unlink()
    (bench.root / "big.bin").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert (await bench.sync(**options)).uploaded == 1
    assert bench.objects()["big.bin"] == (bench.root / "big.bin").read_bytes()


async def test_what_happened_behind_our_back_is_found_by_a_listing_and_repaired(bench: Bench) -> None:
    bench.tree({"gone": "1", "replaced": "2", "same": "3"})
    await bench.sync()
    del bench.memory.objects["p/gone"]
    other = MemoryStore(objects={"x": b"9"}).objects["x"]
    bench.memory.objects["p/replaced"] = other
    assert (await bench.sync()).requests == {}
    report = await bench.sync(check="list")
    assert (report.uploaded, report.kept) == (2, 1)
    assert bench.objects() == {"gone": b"1", "replaced": b"2", "same": b"3"}


async def test_auto_lists_again_when_its_knowledge_is_too_old(bench: Bench) -> None:
    bench.tree({"a": "1"})
    await bench.sync()
    assert (await bench.sync(max_manifest_age=0.0)).requests == {"ListObjectsV2": 1}


async def test_no_incremental_uploads_everything_without_a_listing(bench: Bench) -> None:
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    assert (await bench.sync(incremental=False)).requests == {"PutObject": 2}


async def test_without_a_manifest_every_run_compares(bench: Bench, isolated: Path) -> None:
    bench.tree({"a": "1"})
    await bench.sync(manifest=False)
    report = await bench.sync(manifest=False)
    assert (report.adopted, report.requests) == (1, {"ListObjectsV2": 1})
    assert not list(isolated.glob("aios3sync/*"))


async def test_C8_two_destinations_of_one_source_never_share_a_manifest(bench: Bench) -> None:
    bench.tree({"a": "1"})
    await bench.sync("s3://bucket/one")
    assert (await bench.sync("s3://bucket/two")).uploaded == 1
    bench.endpoint = "http://another"
    assert (await bench.sync("s3://bucket/one")).checked == "list"
    assert set(bench.memory.objects) == {"one/a", "two/a"}


async def test_content_check_finds_a_change_without_a_stat_and_keeps_both_sides(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree({"a": "1"})
    options: dict[str, Any] = {"stat_fields": ("size", "mtime")}
    await bench.sync(**options)
    same_size_change(bench.root / "a")
    assert (await bench.sync(**options)).kept == 1
    report = await bench.sync(check="content", **options)
    assert (report.conflicts, report.uploaded, report.exit_code) == (1, 0, 3)
    assert bench.objects()["a"] == b"1"
    report = await bench.sync(check="content", accept_content=True, **options)
    assert report.uploaded == 1
    assert bench.objects()["a"] == (bench.root / "a").read_bytes()


async def test_gzip_is_deterministic_recorded_and_compared_by_the_original(bench: Bench) -> None:
    bench.tree({"a.txt": "text " * 1000, "b.bin": "text " * 1000})
    await bench.sync(gzip=("txt",))
    stored = bench.memory.objects["p/a.txt"]
    head = await bench.memory.head("p/a.txt")
    assert head.content_encoding == "gzip"
    assert head.metadata["aios3sync-size"] == "5000"
    assert len(stored.body) < 1000
    assert (await bench.sync(gzip=("txt",), check="list")).kept == 2
    assert (await bench.sync(gzip=())).uploaded == 1, "switched off: the object is stored plain"
    assert bench.objects()["a.txt"] == b"text " * 1000


@pytest.mark.parametrize(
    ("page_size", "order"),
    [
        (lambda asked: min(asked, 761), None),
        (lambda asked: 2500, None),
        (lambda asked: 7, lambda key: key.split("/")),
        (lambda asked: asked, lambda key: key.split("/")),
        (lambda asked: 3, lambda key: key[::-1]),
    ],
    ids=["short pages", "long pages", "SeaweedFS order", "SeaweedFS order, one page", "no order"],
)
async def test_pages_and_orders_of_other_servers_change_nothing(
    bench: Bench, page_size: object, order: object
) -> None:
    kwargs = {"page_size": page_size} | ({"order": order} if order else {})
    memory = MemoryStore(capabilities=StoreCapabilities(), **kwargs)  # type: ignore[arg-type]
    bench.memory, bench.faults.inner = memory, memory
    names = ["a!b", "a-b", "a.b", "a/x", "a/y", "ab", "é", "z/1", "z!1", "日本/🙂"]
    bench.tree({**{f"n/{n:04}": "x" for n in range(800)}, **dict.fromkeys(names, "y")})
    assert (await bench.sync()).uploaded == 810
    (bench.root / "a-b").unlink()
    for check in ("list", "list", "auto"):
        report = await bench.sync(check=check, delete="mirror")
        assert report.uploaded == 0
    assert set(bench.objects()) == set(names) - {"a-b"} | {f"n/{n:04}" for n in range(800)}


async def test_D11_disorder_found_on_the_way_restarts_the_join_and_counts_each_key_once(
    bench: Bench,
) -> None:
    """A target that was remembered (or claims) to list in order, and then does not."""
    bench.claim_byte_order()
    bench.tree({"a/1": "1", "a/2": "2", "a/3": "3", "a-b": "4", "a!b": "5", "new": "6"})
    await bench.sync()
    bench.memory.objects["p/a.foreign"] = bench.memory.objects["p/new"]
    del bench.memory.objects["p/new"]
    report = await bench.sync(check="list", delete="mirror")
    assert report.deleted == 1
    assert report.uploaded + report.kept == 6
    assert sorted(bench.objects()) == ["a!b", "a-b", "a/1", "a/2", "a/3", "new"]
    assert (await bench.sync(check="list")).kept == 6


async def test_a_young_file_is_hashed_again_and_counted_as_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The racy-clean rule: a write in the same clock tick as the hashing is found by the next run."""
    monkeypatch.setattr("aios3sync.local.digest.SETTLING_NS", 3600 * 10**9)
    bench.tree({"a": "1"})
    await bench.sync()
    path = bench.root / "a"
    before = path.stat()
    report = await bench.sync(stat_fields=("size", "mtime"))
    assert (report.kept, report.touched, report.requests) == (1, 0, {})
    path.write_bytes(b"2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (await bench.sync(stat_fields=("size", "mtime"))).uploaded == 1


async def test_an_interrupted_run_leaves_the_manifest_incomplete_so_that_the_next_one_lists(
    bench: Bench,
) -> None:
    bench.tree({"a": "1"})
    await bench.sync()
    bench.tree({"b": "2"})
    bench.faults.on("put", key="p/b", error=Crash("killed"))
    with pytest.raises(Crash):
        await bench.sync()
    assert (await bench.sync()).checked == "list"


async def test_uploads_write_rclones_mtime_and_md5_only_where_the_etag_proves_nothing(bench: Bench) -> None:
    bench.tree({"small": "1", "big": os.urandom(6 * MIB)})
    await bench.sync(multipart_threshold=5 * MIB)
    small, big = await bench.memory.head("p/small"), await bench.memory.head("p/big")
    mtime = (bench.root / "small").stat().st_mtime_ns
    assert small.metadata == {"mtime": f"{mtime // 10**9}.{mtime % 10**9:09d}"}
    assert set(big.metadata) == {"mtime", "md5chksum"}


async def test_a_bucket_whose_encryption_hides_etags_is_remembered(bench: Bench, isolated: Path) -> None:
    memory = MemoryStore(default_encryption="aws:kms")
    bench.memory, bench.faults.inner = memory, memory
    bench.tree({"a": "1"})
    await bench.sync()
    assert (await bench.sync(check="list")).kept == 1, "the recorded ETag equals itself"
    bench.tree({"b": "2"})
    await bench.sync()
    assert "md5chksum" in (await memory.head("p/b")).metadata
    (bench.root / "b").touch()


async def test_time_goes_into_the_manifest_as_seconds(bench: Bench) -> None:
    bench.tree({"a": "1"})
    before = time.time()
    await bench.sync()
    assert (await bench.sync()).knowledge_age_s <= time.time() - before + 1  # type: ignore[operator]


async def test_a_row_without_md5_is_compared_by_the_digests_of_its_parts(
    bench: Bench, tmp_path: Path
) -> None:
    """A download that its parts proved has computed no MD5 of the whole."""
    manifest = tmp_path / "manifest.sqlite"
    options: dict[str, Any] = {"multipart_threshold": MIB, "part_size": 5 * MIB, "manifest": str(manifest)}
    bench.tree({"a": b"a" * (6 * MIB)})
    assert (await bench.sync(**options)).uploaded == 1
    with closing(sqlite3.connect(manifest)) as connection, connection:
        assert connection.execute("UPDATE entries SET md5 = ''").rowcount == 1
    os.utime(bench.root / "a", (5, 5))
    report = await bench.sync(**options)
    assert (report.touched, report.uploaded) == (1, 0)
    with closing(sqlite3.connect(manifest)) as connection:
        assert connection.execute("SELECT length(md5) FROM entries").fetchall() == [(32,)]
