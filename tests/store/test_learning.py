"""What an endpoint lacks is learnt from its answers, and done without."""

from __future__ import annotations

import pytest

from aios3sync.endpoint_profile import EndpointProfile
from aios3sync.errors import BucketNotFoundError, StoreError, UnavailableError
from aios3sync.store.protocol import DeleteItem
from aios3sync.store.stack import stack
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
async def test_what_every_key_would_meet_ends_the_batch(error: StoreError) -> None:
    faults, profile = faulty(500), EndpointProfile(batch_delete=False)
    faults.on("delete_one", times=-1, error=error)
    with pytest.raises(type(error)):
        await stack(faults, max_attempts=1, workers=4, profile=profile).delete_many(items(500))
    assert faults.calls["delete_one"] < 100
