"""The command line in the direction from bucket to bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine


@pytest.fixture
def filled(bucket: Bucket) -> Bucket:
    """A bucket with two objects below ``from/``."""
    for key, body in {"a.txt": b"hello", "d/b": b"22"}.items():
        bucket.put(f"from/{key}", body)
    return bucket


def test_a_copy_says_what_it_did(cli: CommandLine, filled: Bucket) -> None:
    places = filled.url("from"), filled.url("to")
    dry = cli("sync", *places, "--dry-run", "--no-progress")
    assert "(dry run) would copy: a.txt (new)" in dry.lines
    ended = cli("sync", *places, "--no-progress")
    assert (ended.code, ended.err) == (0, "")
    assert "copy: a.txt (new)" in ended.lines
    assert ended.lines[-1].startswith("copied 2 objects (7 bytes), kept 0, deleted 0 in ")
    assert filled.get("to/d/b") == b"22"
    report = cli("sync", *places, "--json").json()
    assert (report["direction"], report["copied"], report["kept"]) == ("copy", 0, 2)
    assert report["requests"] == {"ListObjectsV2": 2}


def test_events_of_a_copy(cli: CommandLine, filled: Bucket) -> None:
    events = cli("sync", filled.url("from"), filled.url("to"), "--events").events()
    copied = [event for event in events if event["event"] == "copied"]
    assert {event["key"] for event in copied} == {"a.txt", "d/b"}
    assert (events[-1]["report"]["copied"], events[-1]["report"]["copied_bytes"]) == (2, 7)


def test_verify_explain_and_manifest(cli: CommandLine, filled: Bucket) -> None:
    places = filled.url("from"), filled.url("to")
    assert cli("verify", *places).code == 6
    assert "action:   copy (new)" in cli("explain", *places, "a.txt").out
    cli("sync", *places, "-q")
    assert cli("verify", *places).code == 0
    explained = cli("explain", *places, "a.txt").out
    assert "action:   keep (unchanged)" in explained
    assert "source:   5 bytes, ETag 5d41402abc4b2a76b9719d911017c592" in explained
    assert "source:   " + filled.url("from/") in cli("manifest", "show", *places).out


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("from", (), "nothing to copy"),
        ("from/x", (), "is in the source"),
        ("", (), "is in the target"),
        ("to", ("--cache-control", "x"), "--cache-control: a copy keeps the headers"),
        ("to", ("--gzip", "txt"), "--gzip: a sync between two buckets has no files"),
        ("to", ("--check", "content"), "check: a sync between two buckets compares listings"),
        ("to", ("--copy-part-threshold", "1M"), "--copy-part-threshold: 1048576 is not between"),
    ],
)
def test_what_cannot_be_is_refused(
    cli: CommandLine, filled: Bucket, target: str, options: tuple[str, ...], said: str
) -> None:
    ended = cli("sync", filled.url("from"), filled.url(target), *options)
    assert ended.code == 2
    assert said in ended.err
    assert filled.keys() == {"from/a.txt", "from/d/b"}


def test_the_source_has_a_connection_of_its_own(cli: CommandLine, filled: Bucket) -> None:
    """The same endpoint by another name: what goes through this machine arrives all the same."""
    other = filled.endpoint.url.replace("127.0.0.1", "localhost")
    options = ("--source-endpoint-url", other, "--source-region", filled.endpoint.region)
    ended = cli("sync", filled.url("from"), filled.url("to"), *options, "--json")
    assert ended.json()["copied"] == 2
    assert "CopyObject" not in ended.json()["requests"]
    assert filled.get("to/a.txt") == b"hello"
    document = {
        "source": filled.url("from"),
        "target": filled.url("job"),
        "sourceEndpointUrl": other,
        "copyPartThreshold": "5M",
    }
    told = cli("job", stdin=orjson.dumps(document)).events()
    assert told[-1]["report"]["copied"] == 2
    assert "CopyObject" not in told[-1]["report"]["requests"]
    odd = cli("job", stdin=orjson.dumps(document | {"sourceEndpointUrl": "no url"}))
    assert (odd.code, "source_endpoint_url" in odd.out) == (2, True)
    refused = cli("sync", ".", filled.url("to"), *options)
    assert (refused.code, "source_connect" in refused.err) == (2, True)
