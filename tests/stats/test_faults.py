"""Faults: a listing that fails is an error, a HEAD request that fails makes the numbers incomplete."""

from __future__ import annotations

import asyncio
from hashlib import md5
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aios3sync.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CredentialsError,
    ListingError,
    ObjectNotFoundError,
    StoreError,
    UnavailableError,
)
from aios3sync.stats.service import compute
from aios3sync.store.protocol import PutOptions
from aios3sync.store.wrappers.stack import stack
from aios3sync.testing.faulty import throttled, unavailable
from aios3sync.testing.memory import MemoryStore

if TYPE_CHECKING:
    from tests.stats.conftest import Bench


def denied() -> AccessDeniedError:
    return AccessDeniedError("not allowed", code="AccessDenied", status=403)


def not_offered() -> StoreError:
    return StoreError("not here", code="NotImplemented", status=501)


async def filled(bench: Bench, objects: int = 5000) -> Bench:
    for number in range(objects):
        await bench.put(f"d{number % 7}/k{number:05}")
    return bench


@pytest.mark.parametrize("workers", [1, 0])
@pytest.mark.parametrize("mode", ["quick", "sampled", "detailed"])
async def test_a_listing_whose_third_page_fails_is_an_error_and_is_not_cached(
    bench: Bench, mode: str, workers: int
) -> None:
    await filled(bench)
    bench.store.on("list_page", skip=2, times=-1, error=unavailable())
    before = dict(bench.memory.objects)
    with pytest.raises(UnavailableError):
        await bench.stats(mode=mode, list_workers=workers)
    assert bench.memory.objects == before


async def test_a_listing_that_fails_leaves_the_cache_that_was_there(bench: Bench) -> None:
    await filled(bench, 3000)
    await bench.stats()
    await bench.put("new")
    before = dict(bench.memory.objects)
    bench.store.on("list_page", skip=2, error=unavailable())
    with pytest.raises(UnavailableError):
        await bench.stats()
    assert bench.memory.objects == before
    assert (await bench.stats()).objects.value == 3001


async def test_the_second_listing_of_a_changed_bucket_may_fail_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.stats.service._BUFFERED_OBJECTS", 10)
    await filled(bench, 20)
    await bench.stats()
    await bench.put("new")
    bench.store.on("list_page", skip=1, times=-1, error=unavailable())
    with pytest.raises(UnavailableError):
        await bench.stats()


async def test_a_listing_that_goes_round_in_circles_is_an_error(bench: Bench) -> None:
    await filled(bench, 2500)
    bench.store.on("list_page", times=-1, change=lambda page: page._replace(next_token="same"))
    with pytest.raises(ListingError):
        await bench.stats()


async def test_a_bucket_that_is_not_there_is_an_error(bench: Bench) -> None:
    bench.memory.exists = False
    with pytest.raises(BucketNotFoundError):
        await bench.stats()


async def test_without_credentials_it_is_an_error_at_once(bench: Bench) -> None:
    bench.store.on("get", error=CredentialsError("none"))
    with pytest.raises(CredentialsError):
        await bench.stats(max_age=60)


# HEAD requests that fail


async def deltas(bench: Bench, count: int = 20) -> Bench:
    for number in range(count):
        await bench.put_delta(f"v/{number:04}.delta", 10, 1000)
    return bench


async def test_a_head_that_fails_for_ever_makes_the_numbers_incomplete_and_not_smaller(bench: Bench) -> None:
    await deltas(bench)
    bench.store.on("head", key="v/0007.delta", times=-1, error=unavailable())
    found = await bench.stats(mode="detailed")
    assert not found.complete
    assert found.exit_code == 3
    assert (found.objects.value, found.stored_bytes.value) == (20, 200)
    original = found.original_bytes
    assert (original.value, original.known, original.low) == (20_000, "estimated", 19_000)
    assert original.fraction == 19 / 20
    assert (found.heads.asked, found.heads.answered, found.heads.failed) == (20, 19, 1)
    (warning,) = found.warnings
    assert warning.startswith("1 object could not be asked")


async def test_incomplete_numbers_are_not_cached(bench: Bench) -> None:
    await deltas(bench)
    bench.store.on("head", key="v/0007.delta", error=unavailable())
    assert not (await bench.stats(mode="detailed")).cache.written
    again = await bench.stats(mode="detailed")
    assert (again.cache.state, again.complete, again.original_bytes.known) == ("miss", True, "exact")


async def test_a_failing_sample_is_taken_to_be_like_the_others(bench: Bench) -> None:
    for folder in "abcd":
        await bench.put_delta(f"{folder}/1.delta", 10, 1000)
        await bench.put_delta(f"{folder}/2.delta", 10, 1000)
    bench.store.on("head", key="b/1.delta", times=-1, error=unavailable())
    found = await bench.stats(mode="sampled")
    assert (found.complete, found.original_bytes.value, found.original_bytes.known) == (
        False,
        8000,
        "sampled",
    )


async def test_heads_are_retried_by_the_store(bench: Bench) -> None:
    await deltas(bench)
    bench.store.on("head", times=3, error=throttled(retry_after=0.0))
    request = bench.request(mode="detailed")
    retrying = stack(bench.store, max_attempts=5, workers=8)
    object.__setattr__(request, "store", retrying)
    found = await compute(request)
    assert (found.complete, found.heads.answered) == (True, 20)
    assert bench.store.calls["head"] == 23


async def test_an_object_that_vanished_meanwhile_is_reported(bench: Bench) -> None:
    await deltas(bench)
    gone = ObjectNotFoundError("gone", code="NoSuchKey", status=404)
    bench.store.on("head", key="v/0003.delta", error=gone)
    found = await bench.stats(mode="detailed")
    assert (found.complete, found.heads.vanished, found.cache.written) == (False, 1, False)
    assert found.original_bytes.value == 20_000


async def test_an_object_that_was_replaced_meanwhile_is_reported(bench: Bench) -> None:
    await deltas(bench)
    bench.store.on("head", key="v/0003.delta", change=lambda head: head._replace(etag="other"))
    found = await bench.stats(mode="detailed")
    assert (found.complete, found.cache.written) == (False, False)
    assert "replaced" in found.warnings[0]


async def test_when_every_head_request_is_refused_no_more_are_sent(bench: Bench) -> None:
    await deltas(bench, 500)
    bench.store.on("head", times=-1, error=denied())
    found = await bench.stats(mode="detailed")
    assert bench.asked["head"] < 150
    assert (found.heads.failed, found.complete) == (500, False)
    assert (found.original_bytes.value, found.original_bytes.known) == (5000, "estimated")


async def test_a_bucket_that_vanishes_while_it_is_asked_is_an_error(bench: Bench) -> None:
    await deltas(bench)
    bench.store.on("head", skip=5, error=BucketNotFoundError("gone", code="NoSuchBucket", status=404))
    with pytest.raises(BucketNotFoundError):
        await bench.stats(mode="detailed")


async def test_objects_are_asked_many_at_once_and_no_more_than_that(bench: Bench) -> None:
    await deltas(bench, 100)
    under_way = most = 0
    inner = bench.memory.head

    async def head(key: str, **_: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await anyio.sleep(0.001)
        under_way -= 1
        return await inner(key)

    bench.memory.head = head  # type: ignore[method-assign]
    await bench.stats(mode="detailed")
    assert most == 8


@pytest.mark.parametrize("operation", ["list_page", "head", "get", "put", "list_multiparts"])
async def test_a_cancelled_call_leaves_no_task_behind(bench: Bench, operation: str) -> None:
    await deltas(bench, 300)
    reached = anyio.Event()
    bench.store.on(operation, times=-1, wait=anyio.Event(), reached=reached)
    before = asyncio.all_tasks()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: bench.stats(mode="detailed"))
        await reached.wait()
        tasks.cancel_scope.cancel()
    assert asyncio.all_tasks() <= before


# Uploads and versions


async def test_unfinished_uploads_are_counted_with_their_bytes(bench: Bench) -> None:
    options = PutOptions()
    for key in ("up/a", "up/b", ".aios3sync/c", "other"):
        upload = await bench.memory.create_multipart(key, options)
        bench.now += 10
        for number in (1, 2):
            digest = md5(b"12345", usedforsecurity=False).digest()
            await bench.memory.put_part(key, upload, number, b"12345", options, md5=digest)
    found = await bench.stats("up/")
    assert (found.uploads.uploads.value, found.uploads.stored_bytes.value) == (2, 20)
    assert found.uploads.oldest == 1_800_000_000.0
    assert (await bench.stats()).uploads.uploads.value == 3


async def test_many_uploads_are_sampled(bench: Bench) -> None:
    options = PutOptions()
    for number in range(250):
        upload = await bench.memory.create_multipart(f"k{number:03}", options)
        digest = md5(b"12345", usedforsecurity=False).digest()
        await bench.memory.put_part(f"k{number:03}", upload, 1, b"12345", options, md5=digest)
    found = await bench.stats()
    size = found.uploads.stored_bytes
    assert (size.value, size.known, found.uploads.uploads.value) == (1250, "sampled", 250)
    assert bench.asked["list_parts"] <= 100
    assert (await bench.stats(mode="detailed")).uploads.stored_bytes.known == "exact"


@pytest.mark.parametrize("operation", ["list_multiparts", "versioning"])
async def test_a_number_that_an_endpoint_does_not_offer_is_unknown(bench: Bench, operation: str) -> None:
    await bench.put("key")
    bench.store.on(operation, times=-1, error=not_offered())
    found = await bench.stats(mode="detailed")
    numbers = {"list_multiparts": found.uploads.uploads, "versioning": found.versions.versions}
    assert numbers[operation].known == "unknown"
    assert (found.complete, found.warnings, found.cache.written) == (True, (), True)


@pytest.mark.parametrize("error", [denied(), unavailable()], ids=["denied", "unavailable"])
@pytest.mark.parametrize("operation", ["list_multiparts", "versioning"])
async def test_a_forbidden_listing_makes_detailed_numbers_incomplete(
    bench: Bench, operation: str, error: StoreError
) -> None:
    await bench.put("key")
    bench.store.on(operation, times=-1, error=error)
    found = await bench.stats(mode="detailed")
    assert (found.complete, len(found.warnings), found.objects.value) == (False, 1, 1)


async def test_a_forbidden_list_of_uploads_does_not_matter_to_a_quick_count(bench: Bench) -> None:
    await bench.put("key")
    bench.store.on("list_multiparts", times=-1, error=denied())
    found = await bench.stats()
    assert (found.complete, found.warnings, found.uploads.uploads.known) == (True, (), "unknown")


async def test_a_quick_count_needs_no_more_than_listings(bench: Bench) -> None:
    await filled(bench, 50)
    await deltas(bench)
    await bench.stats(use_cache=False)
    assert set(bench.asked) == {"list_page", "list_multiparts"}


async def test_a_listing_in_parts_of_a_large_bucket_counts_each_key_once(bench: Bench) -> None:
    bench.memory = MemoryStore(clock=lambda: bench.now, page_size=lambda asked: min(asked, 50))
    bench.store.inner = bench.memory
    await filled(bench, 3000)
    found = await bench.stats()
    assert found.objects.value == 3000
    assert {group.objects for group in found.top_folders.groups} == {428, 429}
