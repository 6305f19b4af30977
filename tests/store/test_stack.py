"""BandwidthLimit, counts, and the order of the wrappers."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

from hashlib import md5

import pytest
from anyio import create_task_group
from anyio.lowlevel import checkpoint

from aios3sync.errors import StoreError
from aios3sync.store.protocol import CopySource, DeleteItem, ListedPart, ObjectStore, PutOptions
from aios3sync.store.wrappers.bandwidth import BandwidthLimit, BandwidthStore
from aios3sync.store.wrappers.base import ForwardingStore
from aios3sync.store.wrappers.limit import ConcurrencyLimiter
from aios3sync.store.wrappers.metrics import CountingStore, RequestCounts, RetryDetails
from aios3sync.store.wrappers.retry import RetryingStore
from aios3sync.store.wrappers.retry_policy import Backoff
from aios3sync.store.wrappers.stack import stack
from aios3sync.testing.contract import ObjectStoreContract
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore

PLAIN = PutOptions()


async def put(store: ObjectStore, key: str, body: bytes) -> None:
    await store.put(key, body, PLAIN, md5=md5(body).digest())


class TestStackedStore(ObjectStoreContract):
    """Wrappers break none of the promises."""

    serves_urls = False

    @pytest.fixture
    def endpoint(self) -> dict[str, MemoryStore]:
        return {}

    @pytest.fixture
    def store(self, endpoint: dict[str, MemoryStore]) -> ObjectStore:
        inner = MemoryStore(endpoint=endpoint)
        return stack(inner, max_attempts=3, workers=4, bandwidth=BandwidthLimit(1e12))

    @pytest.fixture
    def other(self, endpoint: dict[str, MemoryStore]) -> ObjectStore:
        return stack(MemoryStore("other", endpoint=endpoint), max_attempts=3, workers=4)

    @pytest.fixture
    def absent(self) -> ObjectStore:
        store = MemoryStore()
        store.exists = False
        return stack(store, max_attempts=3, workers=4)


def test_a_stack_says_what_it_is_made_of() -> None:
    class Named(ForwardingStore):
        def __repr__(self) -> str:
            return "WireStore(bucket)"

    store = stack(Named(MemoryStore()), max_attempts=3, workers=256)
    inside = "LimitingStore(32/256, CountingStore(WireStore(bucket)))"
    assert repr(store) == f"RetryingStore(QuirksStore({inside}))"


async def test_retries_are_reported_with_faults_below_the_wrappers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "aios3sync.store.wrappers.retry")
    reported: list[RetryDetails] = []
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    def with_faults(inner: ObjectStore) -> ObjectStore:
        faults = FaultyStore(inner)
        faults.on("put", times=2, error=unavailable())
        return faults

    counts = RequestCounts(on_retry=reported.append)
    store = stack(
        MemoryStore(),
        max_attempts=3,
        workers=4,
        counts=counts,
        sleep=sleep,
        wrap_inner=with_faults,
    )
    await put(store, "key", b"body")
    assert [retry.attempt for retry in reported] == [1, 2]
    assert [retry.delay for retry in reported] == slept
    assert counts.retry_codes == {unavailable().code: 2}
    assert caplog.text.count("retry after attempt") == counts.retries == 2


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await checkpoint()
        self.now += seconds


async def test_bodies_keep_to_the_bandwidth() -> None:
    clock = Clock()
    store = BandwidthStore(MemoryStore(), BandwidthLimit(10, clock=clock, sleep=clock.sleep))
    for number in range(5):
        await put(store, f"{number}", bytes(20))
    # A hundred bytes at ten a second: the last one starts after eight seconds.
    assert clock.now == 108.0


async def test_bodies_of_many_tasks_share_one_line() -> None:
    clock = Clock()
    bandwidth = BandwidthLimit(10, clock=clock, sleep=clock.sleep)
    async with create_task_group() as group:
        for _ in range(4):
            group.start_soon(bandwidth.book, 10)
    assert sorted(clock.slept) == [1.0, 2.0, 3.0]


async def test_a_pause_saves_nothing_up() -> None:
    clock = Clock()
    bandwidth = BandwidthLimit(10, clock=clock, sleep=clock.sleep)
    await bandwidth.book(10)
    clock.now += 1000
    await bandwidth.book(10)
    await bandwidth.book(10)
    assert clock.slept == [1.0]


async def test_requests_without_a_body_do_not_wait() -> None:
    clock = Clock()
    store = BandwidthStore(MemoryStore(), BandwidthLimit(1, clock=clock, sleep=clock.sleep))
    await put(store, "key", b"body")
    await store.head("key")
    await store.list_page("")
    await put(store, "empty", b"")
    assert clock.slept == []
    with pytest.raises(ValueError, match="above zero"):
        BandwidthLimit(0)


async def test_every_verb_is_counted_by_its_name() -> None:
    counts = RequestCounts()
    store = CountingStore(MemoryStore(min_part_size=1), counts)
    await put(store, "key", b"body")
    await store.get("key")
    await store.head("key")
    await store.list_page("")
    await store.copy(CopySource("key"), "copy")
    await store.delete_many([DeleteItem("key")])
    upload = await store.create_multipart("big", PLAIN)
    result = await store.put_part("big", upload, 1, b"part", PLAIN, md5=md5(b"part").digest())
    await store.list_parts("big", upload)
    await store.list_multiparts("")
    await store.complete_multipart("big", upload, [ListedPart(1, result.etag, 4)], PLAIN)
    await store.abort_multipart("big", upload)
    await store.presign("key")
    assert counts.requests == dict.fromkeys(
        [
            "PutObject", "GetObject", "HeadObject", "ListObjectsV2", "CopyObject", "DeleteObjects",
            "CreateMultipartUpload", "UploadPart", "ListParts", "ListMultipartUploads",
            "CompleteMultipartUpload", "AbortMultipartUpload",
        ],
        1,
    )  # fmt: skip
    assert counts.total == 12
    assert counts.bytes_sent == 8


async def test_every_attempt_counts() -> None:
    counts = RequestCounts()
    faults = FaultyStore(MemoryStore())
    faults.on("put", times=2, error=unavailable())

    async def sleep(_: float) -> None:
        await checkpoint()

    store = RetryingStore(CountingStore(faults, counts), 5, counts=counts, sleep=sleep)
    await put(store, "key", b"body")
    assert counts.requests == {"PutObject": 3}
    assert counts.retries == 2
    assert counts.bytes_sent == 4


async def test_a_retry_that_sleeps_holds_no_slot() -> None:
    limiter = ConcurrencyLimiter(1)
    faults = FaultyStore(MemoryStore())
    faults.on("put", times=1, error=unavailable())
    stacked = stack(faults, max_attempts=2, workers=1, limiter=limiter)
    assert isinstance(stacked, RetryingStore)
    in_flight: list[int] = []

    async def sleep(_: float) -> None:
        in_flight.append(limiter.in_flight)
        await stacked.head("other")

    stacked._sleep = sleep
    stacked._backoff = Backoff(uniform=lambda _, __: 0.0)
    faults.on("head", change=lambda head: head)
    await put(faults.inner, "other", b"")
    await put(stacked, "key", b"body")
    assert in_flight == [0]


async def test_a_body_that_waits_for_the_line_holds_no_slot() -> None:
    limiter = ConcurrencyLimiter(1)
    in_flight: list[int] = []

    async def sleep(_: float) -> None:
        in_flight.append(limiter.in_flight)
        await checkpoint()

    bandwidth = BandwidthLimit(1, clock=lambda: 0.0, sleep=sleep)
    store = stack(MemoryStore(), max_attempts=2, workers=1, limiter=limiter, bandwidth=bandwidth)
    await put(store, "a", b"body")
    await put(store, "b", b"body")
    assert in_flight == [0]


def test_stacks_may_share_what_a_session_shares() -> None:
    counts, limiter = RequestCounts(), ConcurrencyLimiter(8)
    stores = [stack(MemoryStore(), max_attempts=1, workers=8, counts=counts, limiter=limiter) for _ in "ab"]
    assert all(isinstance(store, ObjectStore) for store in stores)
    assert [store.bucket for store in stores] == ["bucket", "bucket"]
    assert stores[0].capabilities.sorted_listing


async def test_a_wrapper_that_does_nothing_changes_nothing() -> None:
    store = ForwardingStore(MemoryStore(objects={"key": b"body"}))
    assert (await store.get("key", start=1, length=2)).body == b"od"
    with pytest.raises(StoreError):
        await store.get("key", if_match="other")
