"""The cache is used only when it is current, and never makes the numbers wrong or the call fail."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aios3sync.errors import AccessDeniedError, StoreError, UsageError
from aios3sync.stats.cache_admin import StatsCache
from aios3sync.stats.service import compute
from aios3sync.store.protocol import DeleteItem
from aios3sync.testing.faulty import FaultyStore, unavailable

if TYPE_CHECKING:
    from tests.stats.conftest import Bench

OWN = ".aios3sync/stats_quick.json"
THEIRS = ".deltaglider/stats_quick.json"


def denied() -> AccessDeniedError:
    return AccessDeniedError("not allowed", code="AccessDenied", status=403)


# Changes that validation finds. Each test begins with a bucket whose statistics are cached and current.


@pytest.fixture
async def cached(bench: Bench) -> Bench:
    await bench.put("a/one", b"12345")
    await bench.put("a/two", b"12345678")
    await bench.put("b/three", b"123")
    assert (await bench.stats()).cache.state == "miss"
    assert (await bench.stats()).cache.state == "hit"
    return bench


async def test_an_unchanged_bucket_is_one_listing_and_one_read(cached: Bench) -> None:
    found = await cached.stats()
    assert (found.origin, found.cache.state, found.cache.validated) == ("cache", "hit", "fingerprint")
    assert cached.asked == {"get": 1, "list_page": 1}
    assert (found.objects.value, found.stored_bytes.value) == (3, 16)


async def test_a_same_size_replacement_is_found(cached: Bench) -> None:
    await cached.put("a/one", b"54321")
    found = await cached.stats()
    assert (found.cache.state, found.origin, found.cache.written) == ("stale", "listing", True)
    assert (await cached.stats()).cache.state == "hit"


async def test_an_added_and_a_deleted_object_of_equal_size_are_found(cached: Bench) -> None:
    await cached.memory.delete_many([DeleteItem("a/one")])
    await cached.put("a/new", b"12345")
    assert (await cached.stats()).cache.state == "stale"


async def test_a_renamed_object_is_found(cached: Bench) -> None:
    cached.memory.objects["a/other"] = cached.memory.objects.pop("a/one")
    assert (await cached.stats()).cache.state == "stale"


async def test_two_objects_that_change_places_are_found(cached: Bench) -> None:
    objects = cached.memory.objects
    await cached.put("a/one", b"87654321")
    assert (await cached.stats()).cache.state == "stale"
    objects["a/one"], objects["a/two"] = objects["a/two"], objects["a/one"]
    assert (await cached.stats()).cache.state == "stale"


async def test_a_deleted_object_is_found(cached: Bench) -> None:
    await cached.memory.delete_many([DeleteItem("b/three")])
    found = await cached.stats()
    assert (found.cache.state, found.objects.value) == ("stale", 2)


async def test_an_overwritten_object_is_found(cached: Bench) -> None:
    await cached.put("b/three", b"more than before")
    found = await cached.stats()
    assert (found.cache.state, found.stored_bytes.value) == ("stale", 29)


async def test_a_metadata_only_change_is_found_by_its_time(cached: Bench) -> None:
    cached.now += 1
    await cached.put("a/one", b"12345", metadata={"mtime": "1"})
    assert (await cached.stats()).cache.state == "stale"


async def test_a_metadata_only_change_within_the_resolution_of_the_times_is_not_found(cached: Bench) -> None:
    await cached.put("a/one", b"12345", metadata={"mtime": "1"})
    assert (await cached.stats()).cache.state == "hit"


async def test_the_same_content_under_another_time_is_found(cached: Bench) -> None:
    cached.now += 5
    await cached.put("a/one", b"12345")
    assert (await cached.stats()).cache.state == "stale"


async def test_files_of_tools_count_in_neither_numbers_nor_validation(cached: Bench) -> None:
    for key in (".deltaglider/x", ".aios3sync/y", "a/.deltaglider/z", "a/.aios3sync/stats_quick.json"):
        await cached.put(key, b"anything")
    found = await cached.stats()
    assert (found.cache.state, found.objects.value) == ("hit", 3)
    counted = await cached.stats(refresh=True)
    assert (counted.objects.value, counted.deltaglider.object_count) == (3, 3)
    assert not any(row.key.startswith(".") for row in counted.largest)


async def test_modes_and_prefixes_have_caches_of_their_own(cached: Bench) -> None:
    assert (await cached.stats(mode="detailed")).cache.state == "miss"
    below = await cached.stats("a/")
    assert (below.cache.state, below.cache.path, below.objects.value) == (
        "miss",
        "a/.aios3sync/stats_quick.json",
        2,
    )
    assert (await cached.stats("a/")).cache.state == "hit"
    assert (await cached.stats()).cache.state == "hit"
    assert "a/.deltaglider/stats_quick.json" not in cached.memory.objects
    await cached.put("b/three", b"changed")
    assert (await cached.stats("a/")).cache.state == "hit"


# Options of the caller


async def test_refresh_counts_and_writes(cached: Bench) -> None:
    cached.now += 10
    found = await cached.stats(refresh=True)
    assert (found.origin, found.cache.written, found.computed_at) == ("listing", True, cached.now)
    assert (await cached.stats()).computed_at == cached.now


async def test_without_the_cache_it_is_neither_read_nor_written(cached: Bench) -> None:
    found = await cached.stats(use_cache=False)
    assert (found.cache.state, found.origin) == ("off", "listing")
    assert not cached.asked["get"]
    assert not cached.asked["put"]


async def test_max_age_spares_even_the_listing(cached: Bench) -> None:
    await cached.put("a/unseen", b"1")
    cached.now += 30
    found = await cached.stats(max_age=60)
    assert (found.cache.validated, found.cache.age_s, found.objects.value) == ("age", 30.0, 3)
    assert cached.asked == {"get": 1}
    assert (await cached.stats(max_age=30)).objects.value == 4


async def test_background_returns_at_once_and_refreshes_later(cached: Bench) -> None:
    await cached.put("a/unseen", b"1")
    cached.now += 3600
    found = await cached.stats(background=True)
    assert (found.cache.validated, found.objects.value, cached.asked) == ("later", 3, {"get": 1})
    (request,) = cached.later
    assert (await compute(request)).cache.written
    assert (await cached.stats(background=True)).objects.value == 4


async def test_background_without_a_cache_counts(bench: Bench) -> None:
    await bench.put("key")
    assert (await bench.stats(background=True)).objects.value == 1
    assert bench.later == []


async def test_numbers_that_no_listing_confirms_say_when_they_were_counted(cached: Bench) -> None:
    assert (await cached.stats(refresh=True)).uploads.uploads.known == "exact"
    found = await cached.stats()
    assert (found.uploads.uploads.known, found.uploads.uploads.value) == ("estimated", 0)
    assert "as of 2027-" in found.uploads.uploads.note


async def test_show_and_clear(cached: Bench) -> None:
    cache = StatsCache(cached.memory, "", "memory")
    cached.memory.objects[THEIRS.replace("quick", "sampled")] = cached.memory.objects[THEIRS]
    entries = {entry.path: entry for entry in await cache.show()}
    assert sorted(entries) == [OWN, ".deltaglider/stats_quick.json", ".deltaglider/stats_sampled.json"]
    own = entries[OWN]
    assert (own.mode, own.writer, own.objects, own.computed_at) == ("quick", "aios3sync", 3, cached.now)
    assert (own.hits, own.misses, own.size) == (1, 1, len(cached.memory.objects[OWN].body))
    assert entries[".deltaglider/stats_sampled.json"].problem
    assert await cache.clear("quick") == 2
    assert await cache.clear() == 1
    assert (await cached.stats()).cache.state == "miss"


async def test_show_does_not_hide_that_the_endpoint_fails(bench: Bench) -> None:
    bench.store.on("get", times=-1, error=denied())
    bench.store.on("head", times=-1, error=denied())
    with pytest.raises(AccessDeniedError):
        await StatsCache(bench.store, "").show()


# Never fatal


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "not JSON"),
        (b"\xff\x00 no text", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2]", "not of aios3sync"),
        (b'{"format": "aios3sync-stats", "version": 99}', "another version"),
        (b'{"format": "aios3sync-stats", "version": 1, "stats": {}}', "damaged"),
    ],
    ids=["empty", "binary", "deep", "a list", "newer", "half"],
)
async def test_an_invalid_cache_costs_one_warning_and_is_replaced(
    bench: Bench, body: bytes, word: str
) -> None:
    await bench.put("key", b"12345")
    await bench.put(OWN, body)
    found = await bench.stats()
    assert (found.objects.value, found.cache.state, found.cache.written) == (1, "miss", True)
    (warning,) = found.warnings
    assert word in warning
    again = await bench.stats()
    assert (again.cache.state, again.warnings) == ("hit", ())


@pytest.mark.parametrize("change", ["mode", "bucket", "prefix"])
async def test_a_cache_of_something_else_is_not_used(cached: Bench, change: str) -> None:
    document = json.loads(cached.memory.objects[OWN].body)
    document["stats"][change] = "sampled" if change == "mode" else "other"
    await cached.put(OWN, json.dumps(document).encode())
    found = await cached.stats()
    assert (found.cache.state, found.origin) == ("miss", "listing")
    assert len(found.warnings) == 1


async def test_a_cache_that_cannot_be_read_costs_one_warning_and_is_not_written(cached: Bench) -> None:
    cached.store.on("get", times=-1, error=denied())
    found = await cached.stats()
    assert (found.objects.value, found.cache.state, found.cache.written) == (3, "miss", False)
    (warning,) = found.warnings
    assert "could not be read" in warning
    assert not cached.asked["put"]
    assert found.complete


@pytest.mark.parametrize("error", [denied(), unavailable()], ids=["denied", "unavailable"])
async def test_a_cache_that_cannot_be_written_costs_one_warning(bench: Bench, error: StoreError) -> None:
    await bench.put("key", b"12345")
    bench.store.on("put", times=-1, error=error)
    found = await bench.stats()
    assert (found.objects.value, found.cache.written, found.complete) == (1, False, True)
    (warning,) = found.warnings
    assert "could not be written" in warning


async def test_only_deltagliders_file_cannot_be_written(bench: Bench) -> None:
    await bench.put("key")
    bench.store.on("put", key=THEIRS, times=-1, error=denied())
    found = await bench.stats()
    assert found.cache.written
    (warning,) = found.warnings
    assert "DeltaGlider" in warning


async def test_an_endpoint_without_conditional_writes_is_written_plainly(bench: Bench) -> None:
    await bench.put("key")
    refusal = StoreError("no such header", code="NotImplemented", status=501)
    bench.store.on("put", key=OWN, error=refusal)
    found = await bench.stats()
    assert (found.cache.written, found.warnings) == (True, ())


async def test_of_two_processes_at_once_both_have_a_result_and_one_writes(bench: Bench) -> None:
    await bench.put("key", b"12345")
    turn = anyio.Event()
    bench.store.on("put", key=OWN, wait=turn)
    found: list[Any] = []

    async def ask() -> None:
        found.append(await compute(bench.request()))
        turn.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(ask)
    assert [stats.objects.value for stats in found] == [1, 1]
    assert sorted(stats.cache.written for stats in found) == [False, True]
    assert [stats.warnings for stats in found] == [(), ()]
    assert (await bench.stats()).cache.state == "hit"


async def test_the_loser_of_an_overwrite_discards_its_numbers(cached: Bench) -> None:
    await cached.put("a/new")
    turn, reached = anyio.Event(), anyio.Event()
    cached.store.on("put", key=OWN, wait=turn, reached=reached)
    async with anyio.create_task_group() as tasks:
        late: list[Any] = []

        async def ask() -> None:
            late.append(await compute(cached.request()))

        tasks.start_soon(ask)
        await reached.wait()
        await cached.put("a/newer")
        assert (await cached.stats()).objects.value == 5
        turn.set()
    assert (late[0].objects.value, late[0].cache.written) == (4, False)
    assert (await cached.stats()).objects.value == 5


async def test_a_deleted_cache_is_no_conflict(cached: Bench) -> None:
    await cached.put("a/new")
    turn, reached = anyio.Event(), anyio.Event()
    cached.store.on("put", key=OWN, wait=turn, reached=reached)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached.stats)
        await reached.wait()
        await StatsCache(cached.memory, "").clear()
        turn.set()
    assert (await cached.stats()).warnings == ()


async def test_the_cache_is_not_read_with_the_key_of_a_customer(bench: Bench) -> None:
    await bench.put("key")
    apart = FaultyStore(bench.memory)
    request = replace(bench.request(mode="detailed", every=True), cache_store=apart)
    assert (await compute(request)).cache.written
    assert (await compute(request)).cache.state == "hit"
    assert set(apart.calls) == {"get", "put"}
    assert not {"get", "put"} & set(bench.store.calls)


# Invalid options


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"mode": "fast"}, "mode"),
        ({"every": True}, "every"),
        ({"max_age": -1}, "max_age"),
        ({"max_age": float("nan")}, "max_age"),
        ({"gzip": "css"}, "gzip"),
        ({"use_cache": False, "refresh": True}, "use_cache"),
        ({"background": True, "refresh": True}, "background"),
        ({"list_workers": -1}, "list_workers"),
        ({"sse_customer_key": b"short"}, "SSE-C"),
        ({"moed": "quick"}, "moed"),
    ],
    ids=str,
)
async def test_impossible_options(bench: Bench, options: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        await bench.stats(**options)


async def test_the_files_of_tools_have_no_statistics(bench: Bench) -> None:
    with pytest.raises(UsageError, match="no statistics"):
        await bench.stats("a/.aios3sync/")
