"""An endpoint's answers show what it lacks, and requests do without it."""

from __future__ import annotations

from hashlib import md5

import pytest
from anyio import create_task_group

from aios3sync.errors import BucketNotFoundError, IntegrityError, StoreError, UnavailableError
from aios3sync.store.endpoint_profile import EndpointProfile, KnownFact
from aios3sync.store.protocol import DeleteItem, PutOptions, PutResult
from aios3sync.store.s3.errors import mismatch
from aios3sync.store.wrappers.stack import stack
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore

LACKING = StoreError("not implemented", code="NotImplemented", status=501)


def faulty(objects: int) -> FaultyStore:
    return FaultyStore(MemoryStore(objects={f"{n}": b"" for n in range(objects)}))


def items(count: int) -> list[DeleteItem]:
    return [DeleteItem(f"{n}") for n in range(count)]


async def test_without_delete_objects_a_key_fails_for_itself_and_is_tried_again() -> None:
    faults, profile = faulty(5), EndpointProfile()
    faults.on("delete_many", times=-1, error=LACKING)
    faults.on("delete_one", key="1", error=UnavailableError("later", code="InternalError", status=500))
    faults.on("delete_one", key="2", times=-1, error=StoreError("no", code="AccessDenied", status=403))
    store = stack(faults, max_attempts=3, workers=4, profile=profile)
    errors = await store.delete_many(items(6))
    assert [(error.key, error.code) for error in errors] == [("2", "AccessDenied")]
    assert (faults.calls["delete_many"], faults.calls["delete_one"]) == (1, 7)
    assert not profile.batch_delete
    assert profile.described() == ["no DeleteObjects: keys are deleted one by one"]


async def test_another_failure_teaches_nothing() -> None:
    faults, profile = faulty(1), EndpointProfile()
    faults.on("delete_many", error=StoreError("no", code="AccessDenied", status=403))
    with pytest.raises(StoreError, match="no"):
        await stack(faults, max_attempts=3, workers=4, profile=profile).delete_many(items(1))
    assert profile.batch_delete


@pytest.mark.parametrize(
    "error", [BucketNotFoundError("no bucket", status=404), UnavailableError("no answer", code="Timeout")]
)
async def test_an_error_that_every_key_would_meet_ends_the_batch(error: StoreError) -> None:
    faults, profile = faulty(500), EndpointProfile(batch_delete=False)
    faults.on("delete_one", times=-1, error=error)
    with pytest.raises(type(error)):
        await stack(faults, max_attempts=1, workers=4, profile=profile).delete_many(items(500))
    assert faults.calls["delete_one"] < 100


BODY = b"text"
DIGEST = md5(BODY, usedforsecurity=False).digest()


def contradicting(memory: MemoryStore, profile: EndpointProfile) -> FaultyStore:
    """Answers every put with an ETag that looks like an MD5 of something else, until that means nothing."""
    faults = FaultyStore(memory)

    def judged(result: PutResult) -> PutResult:
        if profile.etags != "opaque":
            raise mismatch("PutObject", "bucket", "key", "other bytes", "0" * 32)
        return result._replace(etag="0" * 32)

    faults.on("put", times=-1, change=judged)
    faults.etag("head", "0" * 32, times=-1)
    return faults


async def test_many_contradictions_at_once_are_settled_by_one_look() -> None:
    profile = EndpointProfile()
    faults = contradicting(MemoryStore(), profile)
    store = stack(faults, max_attempts=3, workers=32, profile=profile)

    async def put(number: int) -> None:
        result = await store.put(f"{number}", BODY, PutOptions(), md5=DIGEST)
        assert result.etag == "0" * 32

    async with create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(put, number)
    assert profile.etags == "opaque"
    assert (faults.calls["put"], faults.calls["head"], faults.calls["get"]) == (50, 1, 1)


@pytest.mark.parametrize("known", [None, KnownFact(0.0, given=True)])
async def test_where_etags_are_certainly_md5s_a_contradiction_is_damage(known: KnownFact | None) -> None:
    profile = EndpointProfile(etags="md5", known={"etags": known} if known else {})
    faults = contradicting(MemoryStore(), profile)
    with pytest.raises(IntegrityError):
        await stack(faults, max_attempts=1, workers=4, profile=profile).put(
            "key", BODY, PutOptions(), md5=DIGEST
        )
    assert (faults.calls["put"], faults.calls["head"]) == (1, 0)


async def test_an_answer_that_alone_is_wrong_teaches_nothing() -> None:
    profile = EndpointProfile()
    faults = FaultyStore(MemoryStore())
    faults.on("put", late=mismatch("PutObject", "bucket", "key", "other bytes", "0" * 32))
    store = stack(faults, max_attempts=1, workers=4, profile=profile)
    assert (await store.put("key", BODY, PutOptions(), md5=DIGEST)).etag == DIGEST.hex()
    assert profile.etags == "unknown"


async def test_encryption_that_hides_md5s_is_no_property_of_the_endpoint() -> None:
    profile = EndpointProfile()
    store = stack(MemoryStore(default_encryption="aws:kms"), max_attempts=1, workers=4, profile=profile)
    await store.put("key", BODY, PutOptions(), md5=DIGEST)
    assert profile.etags == "unknown"
