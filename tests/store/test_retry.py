"""What is sent again, when, and what is looked at first."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

from hashlib import md5
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.etag import multipart_etag
from aios3sync.errors import (
    AccessDeniedError,
    IntegrityError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
    ThrottledError,
    UnavailableError,
)
from aios3sync.store.protocol import CopySource, DeleteError, DeleteItem, ListedPart, PutOptions
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.store.wrappers.retry import RetryingStore
from aios3sync.store.wrappers.retry_policy import REPEATS, Backoff, RetryBudget
from aios3sync.testing.faulty import FaultyStore, throttled, unavailable
from aios3sync.testing.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

BODY = b"body"
MD5 = md5(BODY).digest()
PLAIN = PutOptions()
CREATE = PutOptions(if_none_match=True)
NEVER_SENT = UnavailableError("connection refused", code="NoConnection")


class Scene:
    """A store in memory, faults around it, retries around those, and the recorded sleeps."""

    def __init__(
        self, objects: Mapping[str, bytes] | None = None, *, max_attempts: int = 3, capacity: int = 500
    ) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.memory = MemoryStore(objects=objects, min_part_size=1)
        self.faults = FaultyStore(self.memory)
        self.counts = RequestCounts()
        self.budget = RetryBudget(capacity, clock=lambda: self.now)
        self.store = RetryingStore(
            self.faults,
            max_attempts,
            counts=self.counts,
            backoff=Backoff(uniform=lambda _, most: most),
            budget=self.budget,
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


async def test_a_failure_that_passes_is_not_seen() -> None:
    scene = Scene()
    scene.faults.on("put", times=2, error=unavailable())
    await scene.store.put("key", BODY, PLAIN, md5=MD5)
    assert scene.memory.bodies() == {"key": BODY}
    assert scene.faults.calls["put"] == 3
    assert scene.counts.retries == 2


async def test_delays_double() -> None:
    scene = Scene(max_attempts=5)
    scene.faults.on("head", times=-1, error=unavailable())
    with pytest.raises(UnavailableError):
        await scene.store.head("key")
    assert scene.slept == [0.1, 0.2, 0.4, 0.8]


@given(attempt=st.integers(1, 60), share=st.floats(0, 1))
def test_a_delay_is_anything_up_to_a_cap(attempt: int, share: float) -> None:
    backoff = Backoff(uniform=lambda least, most: least + share * (most - least))
    assert 0 <= backoff.delay(attempt, unavailable()) <= min(20.0, 0.1 * 2 ** (attempt - 1))
    assert 0 <= backoff.delay(attempt, throttled()) <= min(5.0, 0.2 * 2 ** (attempt - 1))


async def test_retry_after_is_added_to_the_backoff() -> None:
    scene = Scene()
    scene.faults.on("head", error=throttled(retry_after=7))
    with pytest.raises(ObjectNotFoundError):
        await scene.store.head("key")
    assert scene.slept == [7.2]


def test_retry_after_is_honoured_for_a_minute_at_most() -> None:
    assert Backoff(uniform=lambda _, __: 0.0).delay(1, throttled(3600.0)) == 60.0


async def test_attempts_are_limited_and_the_last_error_is_raised() -> None:
    scene = Scene({"key": BODY}, max_attempts=3)
    scene.faults.on("head", times=3, error=unavailable())
    with pytest.raises(UnavailableError):
        await scene.store.head("key")
    assert scene.faults.calls["head"] == 3
    assert (await scene.store.head("key")).size == 4


async def test_to_be_throttled_uses_up_no_attempts() -> None:
    scene = Scene({"key": BODY}, max_attempts=2)
    scene.faults.on("head", times=7, error=throttled())
    scene.faults.on("head", error=unavailable())
    assert (await scene.store.head("key")).size == 4
    assert scene.slept == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 0.1]


async def test_an_endpoint_that_only_throttles_is_given_up_after_a_minute() -> None:
    scene = Scene({"key": BODY})
    await scene.store.head("key")
    scene.now += 3600  # nothing was asked: no success in that time is no sign
    scene.faults.on("head", times=-1, error=throttled())
    for _ in range(2):
        with pytest.raises(ThrottledError):
            await scene.store.head("key")
    assert 60 <= sum(scene.slept) < 66
    assert scene.slept[-1] == 5.0  # the second request was given up without a wait


async def test_while_others_succeed_the_patience_is_longer() -> None:
    scene = Scene({"key": BODY, "other": BODY})

    async def sleep(seconds: float) -> None:
        scene.slept.append(seconds)
        scene.now += seconds
        await scene.store.head("other")

    scene.store._sleep = sleep
    scene.faults.on("head", key="key", times=-1, error=throttled())
    with pytest.raises(ThrottledError):
        await scene.store.head("key")
    assert 300 <= sum(scene.slept) < 306


async def test_keys_that_are_throttled_use_up_no_attempts() -> None:
    scene = Scene({"key": BODY}, max_attempts=1)
    slow_down = DeleteError("key", "SlowDown", "later", True)
    scene.faults.on("delete_many", times=4, delete_errors=[slow_down])
    assert await scene.store.delete_many([DeleteItem("key")]) == []
    scene.faults.on("delete_many", times=-1, delete_errors=[slow_down])
    assert await scene.store.delete_many([DeleteItem("key")]) == [slow_down]
    assert 300 <= scene.now - 1003 < 306


@pytest.mark.parametrize("kind", [AccessDeniedError, ObjectNotFoundError, StoreError])
async def test_a_refused_request_is_not_sent_again(kind: type[StoreError]) -> None:
    scene = Scene()
    scene.faults.on("list_page", times=-1, error=kind("no"))
    with pytest.raises(kind):
        await scene.store.list_page("")
    assert scene.faults.calls["list_page"] == 1


async def test_a_bug_is_not_sent_again() -> None:
    scene = Scene()
    scene.faults.on("head", times=-1, error=KeyError("bug"))
    with pytest.raises(KeyError):
        await scene.store.head("key")
    assert scene.faults.calls["head"] == 1


async def test_a_body_that_arrived_wrong_is_sent_again() -> None:
    scene = Scene()
    scene.faults.on("put", error=IntegrityError("wrong ETag", code="ETagMismatch"))
    await scene.store.put("key", BODY, PLAIN, md5=MD5)
    assert scene.faults.calls["put"] == 2


async def test_a_dead_endpoint_fails_fast() -> None:
    scene = Scene(max_attempts=5, capacity=20)
    scene.faults.on("head", times=-1, error=unavailable())
    for _ in range(10):
        with pytest.raises(UnavailableError):
            await scene.store.head("key")
    # Twenty tokens are four retries; after them every request is sent once.
    assert scene.faults.calls["head"] == 10 + 4


async def test_to_be_throttled_costs_no_budget() -> None:
    scene = Scene(max_attempts=3, capacity=0)
    scene.faults.on("put", times=2, error=throttled())
    await scene.store.put("key", BODY, PLAIN, md5=MD5)
    assert scene.slept == [0.2, 0.4]
    scene.faults.on("delete_many", delete_errors=[DeleteError("key", "SlowDown", "later", True)])
    assert await scene.store.delete_many([DeleteItem("key")]) == []


async def test_successes_earn_retries_back() -> None:
    scene = Scene({"key": BODY}, capacity=5)
    scene.faults.on("head", error=unavailable())
    await scene.store.head("key")
    assert scene.budget.tokens == 5
    scene.budget.tokens = 0
    for _ in range(3):
        await scene.store.head("key")
    assert scene.budget.tokens == 3


LATE: dict[str, tuple[str, Callable[[Scene], Awaitable[object]]]] = {
    "PutObject": ("put", lambda scene: scene.store.put("key", BODY, CREATE, md5=MD5)),
    "GetObject": ("get", lambda scene: scene.store.get("there")),
    "HeadObject": ("head", lambda scene: scene.store.head("there")),
    "GetObjectAcl": ("acl", lambda scene: scene.store.acl("there")),
    "ListObjectsV2": ("list_page", lambda scene: scene.store.list_page("")),
    "DeleteObjects": ("delete_many", lambda scene: scene.store.delete_many([DeleteItem("there")])),
    "CopyObject": ("copy", lambda scene: scene.store.copy(CopySource("there"), "key")),
    "GetObjectTagging": ("tags", lambda scene: scene.store.tags("there")),
    "UploadPart": ("put_part", lambda scene: part_of(scene)),
    "UploadPartCopy": ("copy_part", lambda scene: copied_part_of(scene)),
    "CompleteMultipartUpload": ("complete_multipart", lambda scene: completed(scene)),
    "AbortMultipartUpload": ("abort_multipart", lambda scene: aborted(scene)),
    "ListMultipartUploads": ("list_multiparts", lambda scene: scene.store.list_multiparts("")),
    "GetBucketVersioning": ("versioning", lambda scene: scene.store.versioning()),
    "ListObjectVersions": ("list_versions_page", lambda scene: scene.store.list_versions_page("")),
}


async def part_of(scene: Scene) -> object:
    upload, _ = await begun(scene)
    await scene.store.put_part("key", upload, 1, BODY, PLAIN, md5=MD5)
    return await scene.memory.list_parts("key", upload)


async def copied_part_of(scene: Scene) -> object:
    upload, _ = await begun(scene)
    await scene.store.copy_part(CopySource("there", start=1, length=2), "key", upload, 1, PLAIN)
    return await scene.memory.list_parts("key", upload)


async def completed(scene: Scene) -> object:
    upload, parts = await begun(scene, b"one", b"two")
    return await scene.store.complete_multipart("key", upload, parts, PLAIN)


async def aborted(scene: Scene) -> object:
    upload, _ = await begun(scene)
    await scene.store.abort_multipart("key", upload)
    return await scene.memory.list_multiparts("")


@pytest.mark.parametrize("operation", LATE)
async def test_a_request_whose_answer_was_lost_has_the_effect_of_one(operation: str) -> None:
    verb, call = LATE[operation]
    lost, kept = Scene({"there": BODY}), Scene({"there": BODY})
    fault = lost.faults.on(verb, late=unavailable())
    answers = [await call(scene) for scene in (lost, kept)]
    assert answers[0] == answers[1]
    assert lost.memory.bodies() == kept.memory.bodies()
    assert lost.faults.calls[fault.operation] == 2
    looked = operation != "HeadObject" and lost.faults.calls["head"] == 1
    assert looked == REPEATS[operation].read_back


async def test_an_upload_that_may_have_begun_is_begun_again() -> None:
    """The first one has no parts, and looks like one that another writer has just begun."""
    scene = Scene()
    scene.faults.on("create_multipart", late=unavailable())
    upload = await scene.store.create_multipart("key", PLAIN)
    begun_ones = [listed.upload_id for listed in await scene.memory.list_multiparts("")]
    assert upload in begun_ones
    assert len(begun_ones) == 2
    assert scene.faults.calls["abort_multipart"] == 0


@pytest.mark.parametrize("error", [AccessDeniedError("no"), StoreError("odd"), UnavailableError("gone")])
async def test_a_put_that_cannot_be_read_back_raises_the_error_of_the_endpoint(error: StoreError) -> None:
    """A role that may only write is not allowed to look."""
    scene = Scene()
    scene.faults.on("put", late=unavailable())
    scene.faults.on("head", times=-1, error=error)
    with pytest.raises(PreconditionFailedError):
        await scene.store.put("key", BODY, CREATE, md5=MD5)


@pytest.mark.parametrize("error", [throttled(), NEVER_SENT], ids=["throttled", "never sent"])
async def test_an_upload_that_was_not_begun_is_begun_again(error: StoreError) -> None:
    scene = Scene()
    scene.faults.on("create_multipart", error=error)
    await scene.store.create_multipart("key", PLAIN)
    assert len(await scene.memory.list_multiparts("")) == 1


async def test_a_conditional_put_that_met_itself_is_no_conflict() -> None:
    scene = Scene()
    scene.faults.on("put", late=unavailable())
    result = await scene.store.put("key", BODY, CREATE, md5=MD5)
    assert result.etag == MD5.hex()
    assert scene.faults.calls == {"put": 2, "head": 1}


async def test_a_conditional_put_that_met_another_is_a_conflict() -> None:
    scene = Scene({"key": b"another"})
    scene.faults.on("put", error=unavailable())
    with pytest.raises(PreconditionFailedError):
        await scene.store.put("key", BODY, CREATE, md5=MD5)
    assert scene.memory.bodies() == {"key": b"another"}


async def test_the_same_content_of_another_is_a_conflict() -> None:
    """A lock is taken by creating an object: equal bodies do not make two owners."""
    scene = Scene({"key": BODY})
    with pytest.raises(PreconditionFailedError):
        await scene.store.put("key", BODY, CREATE, md5=MD5)
    scene.faults.on("put", error=throttled())
    with pytest.raises(PreconditionFailedError):
        await scene.store.put("key", BODY, CREATE, md5=MD5)
    assert scene.faults.calls["head"] == 0


async def test_a_conditional_put_whose_object_is_gone_again_is_a_conflict() -> None:
    scene = Scene({"key": BODY})
    scene.faults.on("put", error=unavailable())
    scene.faults.on("head", error=ObjectNotFoundError("gone"))
    with pytest.raises(PreconditionFailedError):
        await scene.store.put("key", BODY, CREATE, md5=MD5)


async def begun(scene: Scene, *bodies: bytes) -> tuple[str, list[ListedPart]]:
    upload = await scene.memory.create_multipart("key", PLAIN)
    parts = []
    for number, body in enumerate(bodies, start=1):
        digest = md5(body).digest()
        result = await scene.memory.put_part("key", upload, number, body, PLAIN, md5=digest)
        parts.append(ListedPart(number, result.etag, len(body)))
    return upload, parts


async def test_a_completed_upload_whose_answer_was_lost_is_complete() -> None:
    scene = Scene()
    upload, parts = await begun(scene, b"one", b"two")
    scene.faults.on("complete_multipart", late=unavailable())
    result = await scene.store.complete_multipart("key", upload, parts, PLAIN)
    assert result.etag == multipart_etag([md5(b"one").digest(), md5(b"two").digest()])
    assert scene.faults.calls == {"complete_multipart": 2, "head": 1}


async def test_an_upload_that_somebody_aborted_is_not_complete() -> None:
    scene = Scene({"key": b"onetwo"})
    upload, parts = await begun(scene, b"one", b"two")
    await scene.memory.abort_multipart("key", upload)
    scene.faults.on("complete_multipart", error=unavailable())
    with pytest.raises(ObjectNotFoundError):
        await scene.store.complete_multipart("key", upload, parts, PLAIN)


async def test_an_upload_that_never_was_is_not_looked_for() -> None:
    scene = Scene()
    with pytest.raises(ObjectNotFoundError):
        await scene.store.complete_multipart("key", "nothing", [ListedPart(1, "e", 1)], PLAIN)
    assert scene.faults.calls == {"complete_multipart": 1}


@pytest.mark.parametrize(("size", "complete"), [(3, True), (4, False)])
async def test_under_kms_size_and_number_of_parts_have_to_do(size: int, *, complete: bool) -> None:
    scene = Scene()
    scene.memory = MemoryStore(default_encryption="aws:kms", min_part_size=1)
    scene.faults.inner = scene.memory
    upload, (first, second) = await begun(scene, b"one", b"two")
    scene.faults.on("complete_multipart", late=unavailable())
    parts = [first, second._replace(size=size)]
    if complete:
        assert (await scene.store.complete_multipart("key", upload, parts, PLAIN)).encryption == "aws:kms"
    else:
        with pytest.raises(ObjectNotFoundError):
            await scene.store.complete_multipart("key", upload, parts, PLAIN)


async def test_only_keys_that_may_pass_are_deleted_again() -> None:
    scene = Scene(dict.fromkeys("abcd", b""))
    for_good = DeleteError("a", "AccessDenied", "no", False)
    passing = DeleteError("b", "SlowDown", "later", True)
    scene.faults.on("delete_many", delete_errors=[for_good, passing])
    errors = await scene.store.delete_many([DeleteItem(key) for key in "abc"])
    assert errors == [for_good]
    assert list(scene.memory.bodies()) == ["a", "d"]
    assert scene.faults.calls["delete_many"] == 2
    assert scene.counts.retries == 1


async def test_keys_that_do_not_pass_are_reported_in_the_end() -> None:
    scene = Scene({"a": b"", "b": b""}, max_attempts=3)
    stuck = DeleteError("a", "InternalError", "later", True)
    scene.faults.on("delete_many", times=-1, delete_errors=[stuck])
    assert await scene.store.delete_many([DeleteItem("a"), DeleteItem("b")]) == [stuck]
    assert list(scene.memory.bodies()) == ["a"]
    assert len(scene.slept) == 2


async def test_an_error_of_a_key_that_was_not_asked_for_is_kept() -> None:
    scene = Scene()
    stray = DeleteError("folded/key", "InternalError", "later", True)
    scene.faults.on("delete_many", change=lambda errors: [*errors, stray])
    assert await scene.store.delete_many([DeleteItem("folded//key")]) == [stray]


async def test_a_batch_whose_answer_was_lost_is_sent_again() -> None:
    scene = Scene({"a": b""})
    scene.faults.on("delete_many", late=unavailable())
    assert await scene.store.delete_many([DeleteItem("a")]) == []
    assert scene.memory.bodies() == {}
