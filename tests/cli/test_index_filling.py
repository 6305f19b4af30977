"""The commands that fill an index without a listing: from a queue and from an inventory."""

from __future__ import annotations

import csv
import gzip
import io
import json
import signal
import subprocess
import time
from hashlib import md5
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients import boto3_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aios3sync.testing.servers import Endpoint
    from tests.cli.conftest import Bucket, CommandLine

ODD = "a b+ü.jpg"


@pytest.fixture
def sqs(moto: Endpoint) -> Iterator[Any]:
    client = boto3_client(moto, "sqs")
    yield client
    client.close()


@pytest.fixture
def queue(sqs: Any, bucket: Bucket) -> str:
    """A queue that receives the notifications of the bucket."""
    url = str(sqs.create_queue(QueueName=bucket.name)["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    bucket.client.put_bucket_notification_configuration(
        Bucket=bucket.name,
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": events}]},
    )
    return url


def test_follow_until_the_queue_is_empty(cli: CommandLine, bucket: Bucket, queue: str, sqs: Any) -> None:
    for key in (ODD, "gone"):
        bucket.put(key, b"body")
    bucket.client.delete_object(Bucket=bucket.name, Key="gone")
    sqs.send_message(QueueUrl=queue, MessageBody="poison")
    ended = cli("index", "follow", queue, "--drain", "--receivers", "1", "--json")
    report = ended.json()
    assert ended.code == 3, "there was poison"
    counts = {name: report[name] for name in ("messages", "upserted", "removed", "poison", "redelivered")}
    assert counts == {"messages": 5, "upserted": 2, "removed": 1, "poison": 1, "redelivered": 0}
    assert report["other"] == {"s3:TestEvent": 1}
    assert "it stays in the queue" in report["warnings"][0]
    page = cli("index", "page", bucket.url(), "--json").json()
    assert [(row["key"], row["size"]) for row in page["rows"]] == [(ODD, 4)]
    again = cli("index", "follow", queue, "--drain", "--receivers", "1")
    assert (again.code, again.out) == (0, "0 messages: 0 upserted, 0 removed\n"), "it is hidden for a while"


def test_follow_drops_poison_on_demand(cli: CommandLine, bucket: Bucket, queue: str, sqs: Any) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="poison")
    ended = cli("index", "follow", queue, "--drain", "--receivers", "1", "--drop-poison")
    assert ended.code == 3
    assert "it is deleted" in ended.err
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "0"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_its_report(
    cli: CommandLine, bucket: Bucket, queue: str, sqs: Any, number: int, code: int
) -> None:
    bucket.put("a", b"body")
    running = cli.start("index", "follow", queue, "--json", stdout=subprocess.PIPE)
    for _ in range(4800):
        left = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        if left["ApproximateNumberOfMessages"] == left["ApproximateNumberOfMessagesNotVisible"] == "0":
            break
        time.sleep(0.05)
    running.send_signal(number)
    out, _ = running.communicate(timeout=240)
    assert running.returncode == code
    assert json.loads(out)["upserted"] == 1


def test_what_cannot_be_followed(cli: CommandLine, offline: CommandLine, queue: str) -> None:
    ended = cli("index", "follow", f"{queue}-missing")
    assert (ended.code, ended.error.partition(": ")[2]) == (
        1,
        "there is no such queue; check its URL and region",
    )
    assert cli("index", "follow", "nonsense").code == 2
    assert cli("index", "follow", queue, "--receivers", "0").error == "receivers: 0 is not between 1 and 64"
    ended = offline("index", "follow", "http://127.0.0.1:9/1/queue")
    assert ended.code == 1
    assert "Unable to locate credentials" in ended.error


def test_backfill_from_an_inventory(cli: CommandLine, bucket: Bucket) -> None:
    """Written into the bucket as S3 would, read by its prefix, and said to be of the past."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(
        [bucket.name, key, size, "2026-01-01T00:00:00.000Z"]
        for key, size in (("a+b%2B%C3%BC.jpg", 4), ("plain", 5))
    )
    body = gzip.compress(out.getvalue().encode())
    manifest = json.dumps(
        {
            "sourceBucket": bucket.name,
            "destinationBucket": f"arn:aws:s3:::{bucket.name}",
            "creationTimestamp": "1770339600000",
            "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, Size, LastModifiedDate",
            "files": [{"key": "inv/1.csv.gz", "size": len(body), "MD5checksum": md5(body).hexdigest()}],  # noqa: S324
        }
    ).encode()
    bucket.put("inv/1.csv.gz", body)
    bucket.put("inv/daily/2026-02-06T01-00Z/manifest.json", manifest)
    bucket.put("inv/daily/2026-02-06T01-00Z/manifest.checksum", md5(manifest).hexdigest().encode())  # noqa: S324
    ended = cli("index", "backfill", bucket.url(), "--inventory", bucket.url("inv/daily"))
    assert ended.code == 0
    assert "2 objects" in ended.lines[0]
    assert "the inventory is of 2026-02-06 01:00 UTC" in ended.lines[1]
    page = cli("index", "page", bucket.url(), "--json").json()
    assert [(row["key"], row["size"]) for row in page["rows"]] == [("a b+ü.jpg", 4), ("plain", 5)]
    report = cli("index", "backfill", bucket.url(), "--inventory", bucket.url("inv/daily"), "--json").json()
    assert (report["created"], report["unchanged"]) == (1770339600.0, 2)
    missing = cli("index", "backfill", bucket.url(), "--inventory", bucket.url("nothing"))
    assert missing.code == 1
    assert "no complete inventory below" in missing.error


def test_sync_with_an_inventory_of_the_target(cli: CommandLine, bucket: Bucket, tree: Any) -> None:
    """A dry run tells the requests; the run deletes what the inventory names and nobody has replaced."""
    (tree / "same.txt").write_bytes(b"same")
    for key in ("same.txt", "gone", "replaced"):
        bucket.put(f"p/{key}", b"same")
    out = io.StringIO()
    etag = md5(b"same").hexdigest()  # noqa: S324
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(
        [bucket.name, f"p/{key}", 4, "2026-01-01T00:00:00.000Z", etag] for key in ("gone", "replaced")
    )
    body = gzip.compress(out.getvalue().encode())
    manifest = json.dumps(
        {
            "sourceBucket": bucket.name,
            "destinationBucket": f"arn:aws:s3:::{bucket.name}",
            "creationTimestamp": "4000000000000",
            "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, Size, LastModifiedDate, ETag",
            "files": [{"key": "inv/1.csv.gz", "size": len(body), "MD5checksum": md5(body).hexdigest()}],  # noqa: S324
        }
    ).encode()
    bucket.put("inv/1.csv.gz", body)
    bucket.put("inv/daily/2026-02-06T01-00Z/manifest.json", manifest)
    bucket.put("inv/daily/2026-02-06T01-00Z/manifest.checksum", md5(manifest).hexdigest().encode())  # noqa: S324
    bucket.put("p/replaced", b"by another")
    listing = ("--target-listing", f"inventory:{bucket.url('inv/daily')}")
    command = ("sync", str(tree), bucket.url("p"), "--delete", "--max-delete-ratio", "1", *listing)
    dry = cli(*command, "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    files = sum(path.is_file() for path in tree.rglob("*"))
    # Those of the dry run: a LIST, a HEAD and a GET of the checksum, the manifest and the file.
    paid = f"{files + 1} PUT, COPY and LIST, {4 + 2} GET and HEAD, 1 DELETE (free)"
    assert f"requests of the run, at most: {paid}" in dry.lines
    ended = cli(*command, "--json")
    assert ended.code == 0
    report = ended.json()
    assert (report["deleted"], report["uploaded"], report["checked"]) == (1, files, "inventory")
    assert "1 keys changed since the inventory of" in report["warnings"][0]
    kept = {
        entry["Key"] for entry in bucket.client.list_objects_v2(Bucket=bucket.name, Prefix="p/")["Contents"]
    }
    assert "p/replaced" in kept
    assert "p/gone" not in kept
    wrong = cli("sync", str(tree), bucket.url("p"), "--source-listing", listing[1])
    assert (wrong.code, "--source-listing: the source is no bucket" in wrong.error) == (2, True)
    wrong = cli("sync", bucket.url("p"), str(tree), *listing)
    assert (wrong.code, "--target-listing: the target is no bucket" in wrong.error) == (2, True)
    wrong = cli("sync", str(tree), bucket.url("p"), "--target-listing", "s3://inv/daily")
    assert (wrong.code, "--target-listing: 's3://inv/daily' names no inventory" in wrong.error) == (2, True)


def test_sync_with_thumbnails(cli: CommandLine, bucket: Bucket, tree: Any) -> None:
    from PIL import Image

    Image.new("RGB", (300, 200)).save(tree / "a.png")
    ended = cli("sync", tree, bucket.url("site"), "--thumbnails", "64", "--json")
    assert (ended.code, ended.json()["uploaded"]) == (0, 4)
    assert bucket.keys() >= {".thumbnails/64/site/a.png.webp", "site/a.png"}
    assert cli("sync", tree, bucket.url(), "--thumbnails", "5").error == (
        "--thumbnails: 5 is not between 16 and 2048 pixels, or 0 for none"
    )
