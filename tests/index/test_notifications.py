"""Notifications in all their formats, and bodies that are none: one error type, whatever the body."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.index.follow.notifications import (
    EventKind,
    Notification,
    NotificationError,
    ObjectEvent,
    parse_notification,
    sequence,
)

TIME = "2026-02-06T14:30:00.250Z"
SECONDS = 1770388200.25


def record(name: str = "ObjectCreated:Put", key: str = "a", **thing: Any) -> dict[str, Any]:
    """A record as in https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-west-2",
        "eventTime": TIME,
        "eventName": name,
        "userIdentity": {"principalId": "AIDAJDPLRKLG7UEXAMPLE"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "all",
            "bucket": {"name": "bkt", "arn": "arn:aws:s3:::bkt"},
            "object": {"key": quote_plus(key, safe="/"), "sequencer": "0055AED6DCD90281E5"} | thing,
        },
    }


def direct(*records: dict[str, Any]) -> str:
    return json.dumps({"Records": list(records)})


def wrapped(message: str) -> str:
    """A message as SNS sends it without raw delivery."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "dc1e94d9-56c5-5e96-808d-cc7f68faa162",
            "TopicArn": "arn:aws:sns:us-west-2:111122223333:topic",
            "Subject": "Amazon S3 Notification",
            "Message": message,
            "Timestamp": TIME,
            "SignatureVersion": "1",
        }
    )


def bridged(kind: str = "Object Created", key: str = "a", /, **detail: Any) -> str:
    """An event as in https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html"""
    thing = {"key": key, "sequencer": "617f08299329d189"} | detail.pop("object", {})
    return json.dumps(
        {
            "version": "0",
            "id": "17793124-05d4-b198-2fde-7ededc63b103",
            "detail-type": kind,
            "source": "aws.s3",
            "account": "111122223333",
            "time": "2021-11-12T00:00:00Z",
            "region": "ca-central-1",
            "resources": ["arn:aws:s3:::bkt"],
            "detail": {"version": "0", "bucket": {"name": "bkt"}, "object": thing} | detail,
        }
    )


def only(body: str) -> ObjectEvent:
    (event,), ignored = parse_notification(body)
    assert not ignored
    return event


@pytest.mark.parametrize("way", ["direct", "wrapped"])
def test_a_created_object_on_the_way_of_s3_itself(way: str) -> None:
    body = direct(record(size=5, eTag="b1946ac92492d2347c6235b4d2611184"))
    expected = ObjectEvent(
        EventKind.CREATED,
        "bkt",
        "a",
        sequence("55AED6DCD90281E5"),
        SECONDS,
        5,
        "b1946ac92492d2347c6235b4d2611184",
    )
    assert only(body if way == "direct" else wrapped(body)) == expected


def test_a_created_object_on_the_way_of_eventbridge() -> None:
    body = bridged(reason="PutObject", object={"size": 5, "etag": "b194", "version-id": "v1"})
    expected = ObjectEvent(
        EventKind.CREATED, "bkt", "a", sequence("617f08299329d189"), 1636675200.0, 5, "b194", "v1"
    )
    assert only(body) == expected
    assert only(wrapped(body)) == expected


HOSTILE = ["red flower.jpg", "1+1=2", "100%25", "%41", "é/\U0001f600", "a\nb\x00c", "a&b?c#d", "//", " "]


@pytest.mark.parametrize("key", HOSTILE)
def test_keys_are_decoded_on_the_way_that_encodes_them_alone(key: str) -> None:
    assert only(direct(record(key=key))).key == key
    assert only(wrapped(direct(record(key=key)))).key == key
    assert only(bridged("Object Created", key)).key == key


def test_a_plus_is_a_space_for_s3_and_a_plus_for_eventbridge() -> None:
    assert only(direct(record() | {"s3": {"bucket": {"name": "b"}, "object": {"key": "a+b"}}})).key == "a b"
    assert only(bridged("Object Created", "a+b%20")).key == "a+b%20"


@pytest.mark.parametrize("prefix", ["", "s3:"])
@pytest.mark.parametrize(
    ("name", "version", "change"),
    [
        ("ObjectCreated:Put", "", EventKind.CREATED),
        ("ObjectCreated:Post", "v", EventKind.CREATED),
        ("ObjectCreated:Copy", "", EventKind.CREATED),
        ("ObjectCreated:CompleteMultipartUpload", "", EventKind.CREATED),
        ("ObjectCreated:SomethingNew", "", EventKind.CREATED),
        ("ObjectRemoved:Delete", "", EventKind.REMOVED),
        ("ObjectRemoved:Delete", "v", EventKind.VERSION_REMOVED),
        ("ObjectRemoved:DeleteMarkerCreated", "v", EventKind.REMOVED),
        ("LifecycleExpiration:Delete", "", EventKind.REMOVED),
        ("LifecycleExpiration:Delete", "v", EventKind.VERSION_REMOVED),
        ("LifecycleExpiration:DeleteMarkerCreated", "v", EventKind.REMOVED),
    ],
)
def test_what_an_event_means(prefix: str, name: str, version: str, change: EventKind) -> None:
    event = only(direct(record(prefix + name, versionId=version or None)))
    assert (event.kind, event.version_id) == (change, version)


@pytest.mark.parametrize(
    ("kind", "version", "change"),
    [
        ("Permanently Deleted", "", EventKind.REMOVED),
        ("Permanently Deleted", "v", EventKind.VERSION_REMOVED),
        ("Delete Marker Created", "v", EventKind.REMOVED),
    ],
)
def test_what_a_deletion_of_eventbridge_means(kind: str, version: str, change: EventKind) -> None:
    thing = {"version-id": version} if version else {}
    for reason in ("DeleteObject", "Lifecycle Expiration"):
        body = bridged("Object Deleted", reason=reason, object=thing, **{"deletion-type": kind})
        assert only(body).kind is change


@pytest.mark.parametrize(
    "name",
    [
        *("ObjectRestore:Post", "ObjectRestore:Completed", "ReducedRedundancyLostObject"),
        *("ObjectTagging:Put", "ObjectAcl:Put", "LifecycleTransition", "IntelligentTiering"),
        "Replication:OperationFailedReplication",
    ],
)
def test_other_events_are_counted(name: str) -> None:
    body = direct(record(name), record("ObjectCreated:Put"), record(name))
    events, ignored = parse_notification(body)
    assert len(events) == 1
    assert ignored == {name: 2}


def test_other_events_of_eventbridge_are_counted() -> None:
    for kind in ("Object Restore Completed", "Object Tags Added", "Object Storage Class Changed"):
        assert parse_notification(bridged(kind)) == Notification((), {kind: 1})


def test_the_test_event_is_counted() -> None:
    body = json.dumps(
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": TIME, "Bucket": "bkt", "HostId": "x"}
    )
    for each in (body, wrapped(body)):
        assert parse_notification(each) == Notification((), {"s3:TestEvent": 1})


def test_a_removal_has_no_size_and_no_etag() -> None:
    event = only(direct(record("ObjectRemoved:Delete", size=5, eTag="x")))
    assert (event.size, event.etag) == (None, "")


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(0, 2**200), min_size=2, max_size=8), st.data())
def test_sequencers_sort_as_numbers(numbers: list[int], data: st.DataObject) -> None:
    """Length and case do not matter: the shorter one is padded on the left."""
    texts = []
    for number in numbers:
        text = f"{number:x}".rjust(data.draw(st.integers(1, 60)), "0")[-64:]
        texts.append(text.upper() if data.draw(st.booleans()) else text)
    assert sorted(texts, key=sequence) == sorted(texts, key=lambda text: int(text, 16))


def test_the_later_event_supersedes() -> None:
    first = only(direct(record(sequencer="FF")))
    second = only(direct(record(sequencer="0100")))
    assert second.supersedes(first)
    assert not first.supersedes(second)
    assert first.supersedes(first), "the same event again does no harm"
    bare = first._replace(sequencer="", time=SECONDS + 1)
    assert bare.supersedes(first), "without a sequencer the time decides"
    assert not first.supersedes(bare)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("[]", "fields"),
        ("{}", "no notification"),
        ('{"Records": []}', "list of records"),
        ('{"Records": [1]}', "a record"),
        ('{"Records": [{}]}', "eventName"),
        (direct(record() | {"s3": None}), "s3"),
        (direct(record() | {"eventTime": "yesterday"}), "ISO 8601"),
        (direct(record(key="")), "without the name"),
        (direct(record(sequencer="xyz")), "hexadecimal"),
        (direct(record(sequencer="f" * 65)), "hexadecimal"),
        (direct(record(size=-1)), "size"),
        (direct(record(size=True)), "size"),
        (direct(record(size="5")), "size"),
        (direct(record() | {"s3": {"bucket": {"name": "b"}, "object": {"key": "%ff"}}}), "UTF-8"),
        (wrapped(wrapped(wrapped(wrapped(direct(record()))))), "envelopes"),
        ('{"source": "aws.s3", "detail-type": "Object Created"}', "detail"),
        ('{"source": "aws.ec2", "detail-type": "EC2 Instance State-change"}', "no notification"),
        ('"' + "[" * 5000, "not JSON"),
        ("[" * 5000, "not JSON"),
    ],
)
def test_bodies_that_are_no_notifications(body: str, reason: str) -> None:
    with pytest.raises(NotificationError, match=reason) as caught:
        parse_notification(body)
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def mutated(value: Any, data: st.DataObject) -> Any:
    """Return the same document with other values in one or more places."""
    if data.draw(st.integers(0, 12)) == 0:
        return data.draw(JSON)
    if isinstance(value, dict):
        return {name: mutated(item, data) for name, item in value.items() if data.draw(st.integers(0, 15))}
    if isinstance(value, list):
        return [mutated(item, data) for item in value]
    return value


@settings(deadline=None)  # the machine may be busy
@given(st.sampled_from(["direct", "wrapped", "bridged"]), st.data())
def test_a_damaged_notification_raises_the_one_error_or_none(way: str, data: st.DataObject) -> None:
    body = direct(record(size=5, eTag="x", versionId="v")) if way != "bridged" else bridged("Object Deleted")
    text = json.dumps(mutated(json.loads(body), data))
    if way == "wrapped":
        text = json.dumps(mutated(json.loads(wrapped(text)), data))
    survives(text)


@settings(deadline=None)  # the machine may be busy
@given(st.text() | st.binary())
def test_no_body_at_all_raises_anything_else(body: str | bytes) -> None:
    survives(body)


@settings(deadline=None)  # the machine may be busy
@given(JSON.map(json.dumps))
def test_no_json_at_all_raises_anything_else(body: str) -> None:
    survives(body)


def survives(body: str | bytes) -> None:
    try:
        events, ignored = parse_notification(body)
    except NotificationError:
        return
    assert events or ignored
    assert all(event.key and event.bucket for event in events)
