"""Following a queue: at least once, in any order; no message is lost, or deleted too early."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote_plus

import anyio
import boto3
import pytest
from anyio import to_thread
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.concurrency import Stop
from aios3sync.errors import (
    AccessDeniedError,
    AioS3SyncError,
    CredentialsError,
    ObjectNotFoundError,
    StoreError,
    ThrottledError,
    UnavailableError,
    UsageError,
)
from aios3sync.index.follow import follower as following
from aios3sync.index.follow.follower import Follower
from aios3sync.index.follow.queue import QueuedMessage
from aios3sync.index.follow.report import FollowOptions, FollowReport
from aios3sync.index.follow.sqs import SqsQueue, open_queue
from aios3sync.index.rows import Applied, ObjectIndexError, ObjectRow, Removal, Upsert
from aios3sync.options import ConnectOptions
from aios3sync.session import connect
from aios3sync.store.protocol import HeadResult
from aios3sync.testing.faulty import throttled, unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from aios3sync.index.db.protocol import IndexBackend
    from aios3sync.index.rows import Change
    from aios3sync.testing.servers import Endpoint

DRAIN = FollowOptions(drain=True, wait=0, receivers=2)


def body(key: str, number: int, name: str = "ObjectCreated:Put", bucket: str = "bkt", **thing: Any) -> str:
    """A notification; its number is its sequencer, its size and its second."""
    facts = {"key": quote_plus(key), "sequencer": f"{number:x}", "size": number, "eTag": f"e{number}"}
    record = {
        "eventName": name,
        "eventTime": f"2026-02-06T14:{number // 60 % 60:02}:{number % 60:02}Z",
        "s3": {"bucket": {"name": bucket}, "object": {**facts, **thing}},
    }
    return json.dumps({"Records": [record]})


def removal(key: str, number: int, **thing: Any) -> str:
    return body(key, number, "ObjectRemoved:Delete", **thing)


class Rows:
    """An index in memory with the methods that following uses; changes are ordered as in the protocol."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Change] = {}
        self.batches: list[int] = []
        self.forgotten: list[float] = []
        self.refuses: Callable[[Change], bool] = lambda _: False
        self.before: Callable[[], Any] | None = None

    @property
    def rows(self) -> dict[str, int]:
        return {
            key: each.row.size for (_, key), each in sorted(self.known.items()) if isinstance(each, Upsert)
        }

    async def apply(
        self, bucket: str, changes: Sequence[Change], state: Mapping[str, str | None] | None = None
    ) -> Applied:
        if self.before is not None:
            await self.before()
        await anyio.lowlevel.checkpoint()
        if any(map(self.refuses, changes)):
            raise ObjectIndexError("the database says no")
        self.batches.append(len(changes))
        applied = Applied()
        for change in changes:
            applied = applied.plus(self._apply(bucket, change))
        return applied

    def _apply(self, bucket: str, change: Change) -> Applied:
        old = self.known.get((bucket, change.key))
        if old is not None and _order(change, old) < 0:
            return Applied(ignored=1)
        self.known[bucket, change.key] = change
        if isinstance(change, Removal):
            return Applied(deleted=1) if isinstance(old, Upsert) else Applied(unchanged=1)
        return Applied(updated=1) if isinstance(old, Upsert) else Applied(inserted=1)

    async def forget_removals(self, before: float) -> int:
        self.forgotten.append(before)
        return 0


def _order(one: Change, other: Change) -> int:
    a, b = (
        (one.sequencer, other.sequencer)
        if one.sequencer and other.sequencer
        else (one.observed, other.observed)
    )
    return (a > b) - (a < b)  # type: ignore[operator]


@dataclass
class ScriptedQueue:
    """A queue like SQS: a received message is hidden, and delivered again unless it is deleted."""

    name: str = "queue"
    messages: dict[str, QueuedMessage] = field(default_factory=dict)
    hidden: dict[str, int] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    faults: list[StoreError | None] = field(default_factory=list)
    delete_faults: list[StoreError | int] = field(default_factory=list)
    receipts: itertools.count[int] = field(default_factory=itertools.count)
    receiving: int = 0
    empty: anyio.Event = field(default_factory=anyio.Event)
    arrived: anyio.Event = field(default_factory=anyio.Event)

    def send(self, *bodies: str) -> None:
        for each in bodies:
            number = f"m{len(self.messages) + len(self.deleted)}"
            self.messages[number] = QueuedMessage(number, "", each)

    def show_all(self) -> None:
        """Let the visibility timeout of all messages expire."""
        self.hidden.clear()

    async def receive(self, wait: float) -> list[QueuedMessage]:
        await anyio.lowlevel.checkpoint()
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault
        found: list[QueuedMessage] = []
        for id_, message in list(self.messages.items()):
            if id_ not in self.hidden and len(found) < 10:
                receipt = f"{id_}/{next(self.receipts)}"
                received = message._replace(receipt=receipt, received=message.received + 1)
                self.messages[id_] = received
                self.hidden[id_] = 30
                found.append(received)
        if not found:
            self.empty.set()
            if wait:
                await self.arrived.wait()
                self.arrived = anyio.Event()
        return found

    async def delete(self, receipts: Sequence[str]) -> int:
        assert 1 <= len(receipts) <= 10
        await anyio.lowlevel.checkpoint()
        if self.delete_faults:
            fault = self.delete_faults.pop(0)
            if isinstance(fault, StoreError):
                raise fault
            return fault
        for receipt in receipts:
            id_ = receipt.partition("/")[0]
            self.messages.pop(id_, None)
            self.deleted.append(id_)
        return 0

    async def hide(self, receipts: Sequence[str], seconds: int) -> None:
        assert 1 <= len(receipts) <= 10
        await anyio.lowlevel.checkpoint()
        for receipt in receipts:
            self.hidden[receipt.partition("/")[0]] = seconds


class World:
    """A follower with everything around it."""

    def __init__(self, **options: Any) -> None:
        self.rows = Rows()
        self.queue = ScriptedQueue()
        self.warnings: list[str] = []
        self.objects: dict[str, int | StoreError] = {}
        self.looked: list[tuple[str, str]] = []
        self.options = FollowOptions(**{"drain": True, "wait": 0, "receivers": 2, **options})

    async def head_object(self, bucket: str, key: str) -> HeadResult:
        self.looked.append((bucket, key))
        await anyio.lowlevel.checkpoint()
        found = self.objects.get(key)
        if found is None:
            raise ObjectNotFoundError("gone")
        if isinstance(found, StoreError):
            raise found
        return HeadResult(found, "etag", 5.0, {"a": "b"}, "image/png")

    def follower(self, **more: Any) -> Follower:
        backend = cast("IndexBackend", self.rows)
        return Follower(
            backend, self.queue, self.head_object, self.options, warn=self.warnings.append, **more
        )

    async def follow(self, *bodies: str) -> FollowReport:
        self.queue.send(*bodies)
        return await self.follower().run()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LONGEST_PAUSE", 0.001)


async def test_created_and_removed() -> None:
    world = World()
    report = await world.follow(body("a b+c", 1), body("gone", 2), removal("gone", 3), body("é", 4))
    assert world.rows.rows == {"a b+c": 1, "é": 4}
    assert not world.queue.messages
    assert (report.messages, report.upserted, report.removed, report.poison) == (4, 3, 1, 0)
    assert report.exit_code == 0
    expected = ObjectRow("a b+c", 1, "e1", last_modified=1770386401.0)
    change = world.rows.known["bkt", "a b+c"]
    assert isinstance(change, Upsert)
    assert (change.row, change.sequencer.lstrip("0")) == (expected, "1")


async def test_events_of_several_buckets() -> None:
    world = World()
    await world.follow(body("a", 1, bucket="one"), body("a", 2, bucket="two"))
    assert set(world.rows.known) == {("one", "a"), ("two", "a")}


@settings(deadline=None)  # the machine may be busy
@given(st.permutations(range(1, 7)), st.lists(st.integers(1, 6), max_size=6), st.integers(1, 6))
def test_any_order_and_any_duplicates_end_the_same(order: list[int], again: list[int], size: int) -> None:
    """Puts and deletes of one key in turn; the last one is a put."""
    bodies = {number: (body if number % 2 == 0 else removal)("k", number) for number in range(1, 7)}

    async def main() -> None:
        world = World(receivers=1)
        for start in range(0, len(order), size):
            await world.follow(*(bodies[number] for number in order[start : start + size]))
        await world.follow(*(bodies[number] for number in again))
        assert world.rows.rows == {"k": 6}
        assert not world.queue.messages

    anyio.run(main)


async def test_a_removal_outlasts_its_row() -> None:
    """A create that is older than the delete and arrives after it is ignored."""
    world = World()
    await world.follow(body("k", 1), removal("k", 3))
    report = await world.follow(body("k", 2))
    assert world.rows.rows == {}
    assert report.ignored == 1


async def test_removals_are_forgotten_after_the_longest_life_of_a_message() -> None:
    world = World()
    now = 1_000_000_000.0
    world.queue.send(*(body("k", number) for number in range(25)))
    await world.follower(clock=lambda: now).run()
    assert world.rows.forgotten == [now - 15 * 86400]


async def test_other_events_are_counted_and_deleted() -> None:
    world = World()
    test = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "bkt"})
    report = await world.follow(test, body("k", 1, "ObjectRestore:Post"), body("k", 2, "ObjectRestore:Post"))
    assert report.other == {"s3:TestEvent": 1, "ObjectRestore:Post": 2}
    assert not world.queue.messages
    assert world.rows.known == {}
    assert report.as_dict()["other"] == dict(report.other)


# What events do not describe


async def test_a_removed_version_takes_a_head_request() -> None:
    world = World()
    world.objects["older is current"] = 7
    report = await world.follow(
        body("older is current", 1), body("all gone", 2),
        removal("older is current", 3, versionId="v"), removal("all gone", 4, versionId="v"),
    )  # fmt: skip
    assert sorted(world.looked) == [("bkt", "all gone"), ("bkt", "older is current")]
    assert world.rows.rows == {"older is current": 7}
    change = world.rows.known["bkt", "older is current"]
    assert isinstance(change, Upsert)
    assert (change.row.content_type, change.row.metadata) == ("image/png", {"a": "b"})
    assert report.looked == 2


async def test_an_object_of_unknown_size_takes_a_head_request() -> None:
    world = World()
    world.objects["k"] = 9
    await world.follow(body("k", 1, size=None))
    assert world.rows.rows == {"k": 9}


async def test_an_object_whose_head_request_is_denied_is_left_to_reconcile() -> None:
    world = World()
    world.objects |= {"x": AccessDeniedError("no"), "y": AccessDeniedError("no")}
    report = await world.follow(removal("x", 1, versionId="v"), removal("y", 2, versionId="v"), body("k", 3))
    assert world.rows.rows == {"k": 3}
    assert (report.unresolved, report.exit_code) == (2, 3)
    assert len(world.warnings) == 1
    assert "reconcile" in world.warnings[0]
    assert not world.queue.messages


async def test_a_bucket_that_does_not_answer_keeps_its_messages() -> None:
    world = World()
    world.objects["x"] = unavailable()
    with pytest.raises(UnavailableError):
        await world.follow(removal("x", 1, versionId="v"))
    assert list(world.queue.messages) == ["m0"]


# Poison


async def test_poison_stays_in_the_queue_and_does_not_loop() -> None:
    world = World()
    report = await world.follow("not json", body("k", 1), '{"x": 1}')
    assert world.rows.rows == {"k": 1}
    assert set(world.queue.messages) == {"m0", "m2"}
    assert (report.poison, report.messages, report.exit_code) == (2, 3, 3)
    assert world.queue.hidden == {"m0": 240, "m1": 30, "m2": 240}
    assert [each.split(":")[0] for each in world.warnings] == [
        "message m0 cannot be used",
        "message m2 cannot be used",
    ]
    assert "not json" not in " ".join(world.warnings), "a body may hold anything"


async def test_poison_is_hidden_for_longer_each_time_and_reported_once() -> None:
    world = World()
    world.queue.send("poison")
    follower = world.follower()
    hidden = []
    for _ in range(7):
        world.queue.show_all()
        await follower.run()
        hidden.append(world.queue.hidden["m0"])
    assert hidden == [240, 960, 3840, 15360, 41400, 41400, 41400]
    assert max(hidden) < 12 * 3600
    assert (follower.report.poison, len(world.warnings), follower.report.messages) == (1, 1, 7)


async def test_poison_is_deleted_on_demand() -> None:
    world = World(drop_poison=True)
    report = await world.follow("poison", body("k", 1))
    assert not world.queue.messages
    assert report.poison == 1
    assert "deleted" in world.warnings[0]


async def test_a_key_that_the_database_cannot_hold_blocks_no_other() -> None:
    world = World()
    world.rows.refuses = lambda change: "\0" in change.key
    report = await world.follow(body("a", 1), body("n\0ul", 2), body("b", 3))
    assert world.rows.rows == {"a": 1, "b": 3}
    assert list(world.queue.messages) == ["m1"]
    assert report.poison == 1


async def test_a_failing_database_ends_it_and_no_message_is_lost() -> None:
    world = World()
    world.rows.refuses = lambda _: True
    with pytest.raises(ObjectIndexError):
        await world.follow(body("a", 1), body("n\0ul", 2))
    assert len(world.queue.messages) == 2
    assert world.queue.hidden == {"m0": 30, "m1": 30}


# Order, ends and faults


async def test_messages_are_deleted_after_the_commit_alone() -> None:
    world = World()

    async def look_at_the_queue() -> None:
        assert world.queue.deleted == []

    world.rows.before = look_at_the_queue
    await world.follow(*(body(f"k{number}", number) for number in range(10)))
    assert len(world.queue.deleted) == 10


async def test_a_lot_comes_in_few_transactions_and_bounded_batches() -> None:
    world = World(receivers=8)
    report = await world.follow(*(body(f"k{number}", number) for number in range(2000)))
    assert report.messages == report.upserted == 2000
    assert not world.queue.messages
    assert max(world.rows.batches) <= 510
    assert len(world.rows.batches) < 200


@pytest.mark.parametrize("fault", [unavailable(), throttled(), 3])
async def test_messages_that_cannot_be_deleted_are_delivered_again(fault: Any) -> None:
    world = World()
    world.queue.delete_faults.append(fault)
    report = await world.follow(body("k", 1))
    assert report.redelivered == (fault if isinstance(fault, int) else 1)
    world.queue.show_all()
    again = await world.follower().run()
    assert world.rows.rows == {"k": 1}
    assert not world.queue.messages
    assert again.upserted == 1


async def test_a_denied_delete_ends_it() -> None:
    world = World()
    world.queue.delete_faults.append(AccessDeniedError("sqs:DeleteMessage"))
    with pytest.raises(AccessDeniedError, match="sqs:DeleteMessage"):
        await world.follow(body("k", 1))


async def test_a_request_to_the_queue_that_fails_is_repeated() -> None:
    world = World(receivers=1)
    world.queue.faults = [unavailable(), unavailable(), throttled(), None, unavailable()]
    report = await world.follow(body("k", 1))
    assert world.rows.rows == {"k": 1}
    assert report.retries == 4
    assert len(world.warnings) == 2


async def test_a_queue_that_never_responds_ends_it() -> None:
    world = World(receivers=1)
    world.queue.faults = [unavailable() for _ in range(20)]
    with pytest.raises(UnavailableError):
        await world.follow(body("k", 1))
    assert len(world.queue.faults) == 9


@pytest.mark.parametrize("error", [AccessDeniedError("no"), CredentialsError("no")])
async def test_an_error_that_is_not_retryable_ends_it_at_once(error: StoreError) -> None:
    world = World()
    world.queue.faults = [error]
    with pytest.raises(type(error)):
        await world.follow(body("k", 1))


async def test_it_waits_for_messages_and_stops_on_request() -> None:
    world = World(drain=False, wait=20)
    stop = Stop()
    done = anyio.Event()
    follower = world.follower(progress=lambda _: done.set())
    async with anyio.create_task_group() as group:

        async def ask() -> None:
            await world.queue.empty.wait()
            world.queue.send(body("k", 1))
            world.queue.arrived.set()
            await done.wait()
            stop.request()

        group.start_soon(ask)
        report = await follower.run(stop)
    assert report.upserted == 1
    assert world.rows.rows == {"k": 1}
    assert not world.queue.messages


async def test_a_batch_that_is_under_way_is_finished() -> None:
    """Cancelled in the middle of a commit: it is committed, and its messages are deleted."""
    world = World(drain=False, wait=20)
    world.queue.send(*(body(f"k{number}", number) for number in range(5)))
    async with anyio.create_task_group() as group:

        async def cancel() -> None:
            group.cancel_scope.cancel()
            await anyio.sleep(0.01)

        world.rows.before = cancel
        group.start_soon(world.follower().run)
    assert len(world.rows.rows) == 5
    assert not world.queue.messages


async def test_a_stop_in_the_middle_of_a_commit() -> None:
    world = World(drain=False, wait=20)
    stop = Stop()

    async def ask() -> None:
        stop.request()

    world.rows.before = ask
    world.queue.send(*(body(f"k{number}", number) for number in range(5)))
    report = await world.follower().run(stop)
    assert (report.upserted, world.queue.messages) == (5, {})


async def test_progress_is_reported_after_each_batch() -> None:
    world = World()
    counts: list[int] = []
    world.queue.send(body("k", 1))
    await world.follower(progress=lambda report: counts.append(report.messages)).run()
    assert counts == [1]


@pytest.mark.parametrize(
    "options", [{"receivers": 0}, {"receivers": 65}, {"wait": 21}, {"wait": -1}, {"remember_removals": 1}]
)
def test_invalid_options(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        FollowOptions(**options)


# A queue of SQS


@pytest.fixture
def sqs(moto: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    client = boto3.client("sqs")
    yield client
    client.close()


NUMBERS = itertools.count()


async def test_s3_to_sqs_to_the_index(sqs: Any, moto: Endpoint) -> None:
    """moto as S3 notifies moto as SQS; the queue is empty in the end."""
    bucket = f"followed-{next(NUMBERS)}"

    def prepare() -> str:
        url = str(sqs.create_queue(QueueName=bucket)["QueueUrl"])
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=bucket)
        events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
        wanted = {"QueueConfigurations": [{"QueueArn": arn, "Events": events}]}
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=wanted)
        for key in ("a b", "photos/ü+1.jpg", "gone"):
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        s3.delete_object(Bucket=bucket, Key="gone")
        sqs.send_message(QueueUrl=url, MessageBody="poison")
        s3.close()
        return url

    url = await to_thread.run_sync(prepare)
    world = World()
    async with connect() as session, session.queue(url) as queue:
        assert queue.name == bucket
        world.queue = cast("ScriptedQueue", queue)
        options = FollowOptions(drain=True, wait=1, receivers=1)
        backend = cast("IndexBackend", world.rows)
        report = await Follower(backend, queue, world.head_object, options, warn=world.warnings.append).run()
    assert world.rows.rows == {"a b": 3, "photos/ü+1.jpg": 15}
    assert (report.poison, report.removed, report.redelivered) == (1, 1, 0)
    left = await to_thread.run_sync(
        lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    )
    assert left["ApproximateNumberOfMessages"] == "0"
    assert left["ApproximateNumberOfMessagesNotVisible"] == "1", "the poison, hidden"


async def test_a_queue_that_does_not_exist(sqs: Any, moto: Endpoint) -> None:
    async with connect() as session, session.queue(f"{moto.url}/123456789012/nothing") as queue:
        with pytest.raises(StoreError, match=r"ReceiveMessage nothing: there is no such queue"):
            await queue.receive(0)


@pytest.mark.parametrize(
    "url", ["", "queue", "sqs://x/y", "https://sqs.eu-central-1.amazonaws.com", "https:///a/b", "s3://b/k"]
)
async def test_urls_that_name_no_queue(url: str) -> None:
    async with connect() as session:
        with pytest.raises(UsageError, match="queue_url"):
            async with session.queue(url):
                pass


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/1/q", "eu-central-1"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/1/q", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", "cn-north-1"),
        ("https://eu-west-3.queue.amazonaws.com/1/q", "eu-west-3"),
        ("https://queue.amazonaws.com/1/q", "us-east-1"),
        ("http://127.0.0.1:9324/000000000000/q", "us-east-1"),
    ],
)
async def test_requests_go_to_the_host_of_the_queue_url(
    url: str, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    async with open_queue(url, ConnectOptions(endpoint_url="http://127.0.0.1:2")) as queue:
        meta = queue._client.meta
        assert (meta.region_name, meta.endpoint_url) == (
            region,
            url.rpartition("/1/")[0] or "http://127.0.0.1:9324",
        )


@pytest.mark.parametrize(
    ("code", "status", "kind", "text"),
    [
        ("AccessDenied", 403, AccessDeniedError, "the credentials need sqs:ReceiveMessage on the queue"),
        ("KMS.AccessDeniedException", 400, AccessDeniedError, "the credentials need sqs:ReceiveMessage"),
        ("InvalidClientTokenId", 403, CredentialsError, "the token is wrong"),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, StoreError, "there is no such queue"),
        ("OverLimit", 403, ThrottledError, "OverLimit"),
        ("ThrottlingException", 400, ThrottledError, "ThrottlingException"),
        ("InternalError", 500, UnavailableError, "InternalError"),
    ],
)
async def test_what_a_queue_refuses(code: str, status: int, kind: type[StoreError], text: str) -> None:
    class Client:
        async def receive_message(self, **_: Any) -> None:
            answer = {
                "Error": {"Code": code, "Message": "the token is wrong"},
                "ResponseMetadata": {"HTTPStatusCode": status},
            }
            raise ClientError(answer, "ReceiveMessage")

    queue = SqsQueue(Client(), "https://sqs.eu-central-1.amazonaws.com/1/name")
    with pytest.raises(kind, match=text) as caught:
        await queue.receive(0)
    assert str(caught.value).startswith("ReceiveMessage name: ")
    assert caught.value.code == code


async def test_credentials_are_needed() -> None:
    async with connect() as session, session.queue("http://127.0.0.1:9/1/q") as queue:
        with pytest.raises(CredentialsError):
            await queue.receive(0)


async def test_a_queue_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    async with connect() as session, session.queue("http://127.0.0.1:9/1/q") as queue:
        with pytest.raises(AioS3SyncError, match=r"ReceiveMessage q: cannot reach the endpoint") as caught:
            await queue.receive(0)
    assert "s3cr3t" not in str(caught.value)


# With a real index


async def test_an_index_follows_a_queue(sqs: Any, tmp_path: Path) -> None:
    """Through the public API: session, index, queue; duplicates and a late create change nothing."""
    name = f"index-{next(NUMBERS)}"
    url = await to_thread.run_sync(lambda: str(sqs.create_queue(QueueName=name)["QueueUrl"]))
    bodies = [body("a", 1), body("b", 2), removal("b", 4), body("b", 3), body("a", 5), body("a", 1)]
    for each in bodies:
        await to_thread.run_sync(partial(sqs.send_message, QueueUrl=url, MessageBody=each))
    warnings: list[str] = []
    async with connect() as s3, s3.index(f"sqlite:///{tmp_path}/index.db") as index:
        with pytest.raises(UsageError, match="'dry' is not an option of following"):
            await index.follow(url, dry=True)  # type: ignore[call-arg]
        report = await index.follow(url, warn=warnings.append, drain=True, wait=0, receivers=1)
        page = await index.page(bucket="bkt")
        assert [(row.key, row.size) for row in page] == [("a", 5)]
        assert (report.messages, report.poison, warnings) == (6, 0, [])
        assert report.ignored >= 1
        totals = await index.totals(bucket="bkt")
        assert (totals.objects, totals.size) == (1, 5)


async def test_both_databases_order_events_and_refuse_no_neighbour(backend: IndexBackend) -> None:
    """A key with NUL, which PostgreSQL cannot hold, blocks no other; late events change nothing."""
    world = World()
    world.queue.send(
        body("a", 1), body("n\0ul", 2), removal("a", 4), body("a", 3), body("b", 5), body("b", 5)
    )
    follower = Follower(backend, world.queue, world.head_object, DRAIN, warn=world.warnings.append)
    report = await follower.run()
    rows = {row.key: row.size for row in await backend.scan("bkt", "", "", 10)}
    holds_nul = "postgres" not in backend.place
    assert rows == ({"b": 5, "n\0ul": 2} if holds_nul else {"b": 5})
    assert report.poison == (0 if holds_nul else 1)
    assert list(world.queue.messages) == ([] if holds_nul else ["m1"])
    world.queue.show_all()
    world.queue.send(removal("b", 4), body("c", 6))
    await follower.run()
    assert {row.key for row in await backend.scan("bkt", "", "", 10)} - {"n\0ul"} == {"b", "c"}
