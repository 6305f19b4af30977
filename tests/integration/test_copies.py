"""Syncs between buckets of a real server, and from one server to another."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest
from anyio import to_thread

import aios3sync
from aios3sync import ConnectOptions, UsageError
from aios3sync.store import ListedPart, ObjectStore, PutOptions
from aios3sync.testing.trees import make_tree
from tests.integration.conftest import boto

if TYPE_CHECKING:
    from pathlib import Path

    from aios3sync.testing.servers import Endpoint
    from tests.integration.conftest import Place

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

FIVE = 5 * 2**20
HEADERS = PutOptions(
    content_type="text/x-test",
    cache_control="max-age=60",
    metadata={"mtime": "1.5"},
    tags={"team": "a b"},
)


async def stored(store: ObjectStore, key: str, body: bytes, options: PutOptions) -> str:
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return (await store.put(key, body, options, md5=digest)).etag


async def in_parts(store: ObjectStore, key: str, *bodies: bytes) -> str:
    upload = await store.create_multipart(key, HEADERS)
    parts = []
    for number, body in enumerate(bodies, 1):
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        result = await store.put_part(key, upload, number, body, HEADERS, md5=digest)
        parts.append(ListedPart(number, result.etag, len(body)))
    await store.complete_multipart(key, upload, parts, HEADERS)
    return (await store.head(key)).etag


async def test_copies_on_the_server(place: Place, tmp_path: Path) -> None:
    s3, bucket = place.session, place.bucket
    root = make_tree(tmp_path / "t", {"a": "1", "d/b": "22", "ü +%": "odd"})
    await s3.sync(root, place.url("from"))
    store = await s3.store(bucket)
    await stored(store, "from/full", b"body", HEADERS)
    report = await s3.sync(place.url("from"), place.url("to"))
    assert (report.exit_code, report.copied, report.direction) == (0, 4, "copy")
    assert report.requests["CopyObject"] == 4
    assert "GetObject" not in report.requests
    head = await store.head("to/full")
    assert (head.content_type, head.cache_control) == ("text/x-test", "max-age=60")
    assert dict(head.metadata) == {"mtime": "1.5"}
    assert dict(await store.tags("to/full")) == {"team": "a b"}
    again = await s3.sync(place.url("from"), place.url("to"))
    assert (again.kept, dict(again.requests)) == (4, {"ListObjectsV2": 2})
    assert (await s3.verify(place.url("from"), place.url("to"))).exit_code == 0
    with pytest.raises(UsageError, match="in the source"):
        await s3.sync(place.url("from"), place.url("from/deeper"))


async def test_large_objects_are_copied_in_parts(place: Place) -> None:
    s3 = place.session
    store = await s3.store(place.bucket)
    await in_parts(store, "from/big", os.urandom(FIVE), os.urandom(FIVE), b"end")
    report = await s3.sync(place.url("from"), place.url("to"), copy_part_threshold=FIVE)
    assert (report.exit_code, report.copied, report.requests["UploadPartCopy"]) == (0, 1, 3)
    assert (await store.get("to/big")).body == (await store.get("from/big")).body
    head = await store.head("to/big")
    assert (head.content_type, dict(head.metadata)) == ("text/x-test", {"mtime": "1.5"})
    assert (await s3.sync(place.url("from"), place.url("to"))).kept == 1


@pytest.mark.parametrize("endpoint", ["seaweedfs"], indirect=True)
async def test_from_one_server_to_another(place: Place, moto: Endpoint) -> None:
    """Through memory, with equal ETags: the parts are those of the source."""
    client = await to_thread.run_sync(boto, moto)
    await to_thread.run_sync(lambda: client.create_bucket(Bucket="copies-there"))
    client.close()
    await in_parts(await place.session.store(place.bucket), "from/big", os.urandom(FIVE), b"end")
    await stored(await place.session.store(place.bucket), "from/d/small", b"small", HEADERS)
    source = ConnectOptions(endpoint_url=place.endpoint.url, region=place.endpoint.region)
    async with aios3sync.connect(endpoint_url=moto.url, region="us-east-1") as s3:
        options: dict[str, Any] = {"source_connect": source}
        report = await s3.sync(place.url("from"), "s3://copies-there/to", **options)
        assert (report.exit_code, report.copied) == (0, 2)
        assert "CopyObject" not in report.requests
        there, here = await s3.store("copies-there"), await place.session.store(place.bucket)
        for key in ("big", "d/small"):
            copy, original = await there.get(f"to/{key}"), await here.get(f"from/{key}")
            assert copy.body == original.body
            assert copy.head.etag == original.head.etag
            assert dict(copy.head.metadata) == {"mtime": "1.5"}
            assert dict(await there.tags(f"to/{key}")) == {"team": "a b"}
        again = await s3.sync(place.url("from"), "s3://copies-there/to", **options)
        assert (again.kept, dict(again.requests)) == (2, {"ListObjectsV2": 2})
        assert (await s3.verify(place.url("from"), "s3://copies-there/to", **options)).exit_code == 0
