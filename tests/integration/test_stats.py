"""Statistics on real servers: versions, unfinished uploads, our gzip uploads, odd keys."""

from __future__ import annotations

import os
import sys
from hashlib import md5
from typing import TYPE_CHECKING, Any

import anyio
import orjson
import pytest
from anyio import to_thread

import aios3sync
from aios3sync.index.rows import ObjectRow, Upsert
from aios3sync.store.protocol import PutOptions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Place

pytestmark = pytest.mark.server


async def call(action: Any, **parameters: Any) -> Any:
    return await to_thread.run_sync(lambda: action(**parameters))


async def put(place: Place, key: str, body: bytes) -> None:
    store = await place.session.store(place.bucket)
    await store.put(key, body, PutOptions(), md5=md5(body, usedforsecurity=False).digest())


async def test_a_bucket_is_counted_cached_and_validated(place: Place) -> None:
    keys = ["plain", "a b+c/é%25.txt", "x/y/z.JPG", "<script>alert(1)</script>", "q'\"/%2F", "日本/語"]
    for number, key in enumerate(keys):
        await put(place, key, bytes(number * 100))
    first = await place.session.stats(place.url())
    assert (first.objects.value, first.stored_bytes.value) == (6, 1500)
    assert {row.key for row in first.largest} == set(keys)
    second = await place.session.stats(place.url())
    assert (second.cache.state, second.cache.validated, second.origin) == ("hit", "fingerprint", "cache")
    assert second.requests == {"GetObject": 1, "ListObjectsV2": 1}
    await put(place, "plain", b"")
    await put(place, "x/y/z.JPG", bytes(199) + b"x")
    changed = await place.session.stats(place.url())
    assert (changed.cache.state, changed.cache.written) == ("stale", True)
    assert (await place.session.stats(place.url())).cache.state == "hit"


async def test_simultaneous_calls_of_a_session_share_one_listing(place: Place) -> None:
    for number in range(3):
        await put(place, f"k{number}", b"x")
    results: list[Any] = []

    async def ask(prefix: str) -> None:
        results.append(await place.session.stats(place.url(prefix)))

    async with anyio.create_task_group() as tasks:
        for prefix in ("", "", "", "k/"):
            tasks.start_soon(ask, prefix)
    assert sorted(stats.objects.value for stats in results) == [0, 3, 3, 3]
    assert len({id(stats) for stats in results}) == 2
    assert {stats.requests["ListObjectsV2"] for stats in results} == {1}


async def test_two_processes_that_count_at_once_agree_and_leave_one_whole_cache(
    place: Place, tmp_path: Path
) -> None:
    """The second writer finds the file of the first one, and does not replace it."""
    for number in range(50):
        await put(place, f"d{number % 3}/k{number}", bytes(number))

    async def count(results: list[Any]) -> None:
        command = [sys.executable, "-m", "aios3sync", "stats", place.url(), "--json", "--detailed", "--cache"]
        ended = await anyio.run_process(command)
        results.append(orjson.loads(ended.stdout))

    results: list[Any] = []
    async with anyio.create_task_group() as processes:
        for _ in range(3):
            processes.start_soon(count, results)
    assert {result["objects"]["value"] for result in results} == {50}
    assert {result["stored_bytes"]["value"] for result in results} == {sum(range(50))}
    assert any(result["cache"]["written"] for result in results)
    after = await place.session.stats(place.url(), mode="detailed")
    assert (after.cache.state, after.objects.value) == ("hit", 50)


async def test_the_lanes_agree_on_the_fingerprint(place: Place) -> None:
    for number in range(20):
        await put(place, f"k{number}", b"x")
    assert (await place.session.stats(place.url())).cache.written
    async with aios3sync.connect(lane="boto") as boto:
        assert (await boto.stats(place.url())).cache.state == "hit"


async def test_uploads_with_gzip_show_what_they_save(place: Place, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.css").write_bytes(b"body { color: red }\n" * 500)
    (tmp_path / "site" / "b.bin").write_bytes(os.urandom(300))
    await place.session.sync(tmp_path / "site", place.url("site"), gzip=("css",), manifest=False)
    found = await place.session.stats(place.url("site"), mode="detailed", gzip=("css",))
    kinds = {kind.name: kind for kind in found.kinds}
    assert (kinds["gzip"].original_bytes.value, kinds["gzip"].original_bytes.known) == (10_000, "exact")
    assert found.original_bytes.value == 10_300
    assert found.saved_bytes.value is not None
    assert found.saved_bytes.value > 9000


async def test_noncurrent_versions_and_delete_markers_are_counted(place: Place) -> None:
    client, bucket = place.client, place.bucket
    await put(place, "p/before", b"123")
    await call(client.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"22", b"333"):
        await put(place, "p/a", body)
    await put(place, "p/gone", b"4444")
    await call(client.delete_object, Bucket=bucket, Key="p/gone")
    await put(place, "q/other", b"1")
    await put(place, "q/other", b"2")
    found = await place.session.stats(place.url("p"), mode="detailed")
    assert (found.objects.value, found.stored_bytes.value) == (2, 6)
    versions = found.versions
    assert (versions.versions.value, versions.stored_bytes.value, versions.delete_markers.value) == (3, 7, 1)
    assert versions.versions.known == "exact"
    assert (await place.session.stats(place.url("p"))).versions.versions.known == "unknown"


async def test_unfinished_uploads_are_counted(place: Place) -> None:
    client, bucket = place.client, place.bucket
    upload = await call(client.create_multipart_upload, Bucket=bucket, Key="big")
    parameters = {"Bucket": bucket, "Key": "big", "UploadId": upload["UploadId"]}
    await call(client.upload_part, **parameters, PartNumber=1, Body=bytes(12_345))
    found = await place.session.stats(place.url())
    assert (found.uploads.uploads.value, found.uploads.stored_bytes.value) == (1, 12_345)
    await call(client.abort_multipart_upload, **parameters)
    assert (await place.session.stats(place.url(), refresh=True)).uploads.uploads.value == 0


async def test_background_refreshes_before_the_session_ends(place: Place) -> None:
    await put(place, "one", b"1")
    async with aios3sync.connect() as s3:
        await s3.stats(place.url())
        await put(place, "two", b"2")
        found = await s3.stats(place.url(), background=True)
        again = await s3.stats(place.url(), background=True)
    assert (found.objects.value, found.cache.validated) == (1, "later")
    assert again.cache.validated == "later"
    after = await place.session.stats(place.url(), max_age=3600)
    assert (after.objects.value, after.cache.validated) == (2, "age")


async def test_an_error_ends_a_background_refresh(place: Place) -> None:
    await put(place, "one", b"1")

    async def broken() -> None:
        async with aios3sync.connect() as s3:
            await s3.stats(place.url())
            await s3.stats(place.url(), background=True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await broken()


async def test_show_and_clear_through_the_session(place: Place) -> None:
    await put(place, "one", b"1")
    await place.session.stats(place.url())
    await place.session.stats(place.url())
    cache = await place.session.stats_cache(place.url())
    entries = await cache.show()
    assert [entry.path for entry in entries] == [
        ".aios3sync/stats_quick.json",
        ".deltaglider/stats_quick.json",
    ]
    assert (entries[0].hits, entries[0].misses) == (1, 1)
    assert await cache.clear() == 2
    assert await cache.show() == []


async def test_a_fed_index_spares_the_listing(place: Place, tmp_path: Path) -> None:
    for key in ("a/1", "a/2", "b/3"):
        await put(place, key, b"12345")
    async with place.session.index(f"sqlite:///{tmp_path / 'index.db'}") as index:
        empty = await place.session.stats(place.url(), index=index)
        assert (empty.origin, empty.objects.value) == ("listing", 3)
        assert empty.warnings == (
            f"the index was not used: it holds nothing of the bucket {place.bucket}; fill it with backfill",
        )
        async with index.feeding(place.url("a")) as feed:
            await feed.changes([Upsert(ObjectRow("a/1", 5, "e"), 1.0)])
        partial = await place.session.stats(place.url(), index=index, refresh=True)
        assert (partial.origin, partial.objects.value) == ("listing", 3), (
            "a part of the bucket is not in the index"
        )
        await index.backfill(place.url())
        found = await place.session.stats(place.url("a"), index=index, mode="detailed", every=True)
        assert (found.origin, found.objects.value, found.stored_bytes.value) == ("index", 2, 10)
        assert found.objects.known == "estimated"
        assert "object index" in found.objects.note
        assert found.requests == {"HeadObject": 2}
        assert (found.uploads.uploads.known, found.cache.state) == ("unknown", "off")
        listed = await place.session.stats(place.url("a"), refresh=True)
        assert (found.folders, found.sizes, found.largest) == (listed.folders, listed.sizes, listed.largest)


async def test_a_stale_index_is_not_used(place: Place, tmp_path: Path) -> None:
    await put(place, "a/1", b"12345")
    async with place.session.index(f"sqlite:///{tmp_path / 'index.db'}") as index:
        await index.backfill(place.url())
        await index.backend.save_state({f"backfill:{place.url()}": "{}"})
        found = await place.session.stats(place.url("a"), index=index)
        assert (found.origin, "has not ended" in found.warnings[0]) == ("listing", True)
        await index.backend.save_state({f"backfill:{place.url()}": None})
        async with index.feeding(place.url("a/b")) as feed:
            feed.fail("the disk was full")
        assert (await place.session.stats(place.url("c"), index=index)).origin == "index"
        found = await place.session.stats(place.url("a"), index=index)
        assert (found.origin, "is stale" in found.warnings[0]) == ("cache", True)
    closed = await place.session.stats(place.url("a"), index=index)
    assert (closed.origin, len(closed.warnings)) == ("cache", 1)
