"""Endpoints whose ETags look like MD5s and are none."""

from __future__ import annotations

from base64 import b64encode
from hashlib import md5
from pathlib import Path

import pytest

import aios3sync
from aios3sync import UsageError
from aios3sync.store import boto, wire
from aios3sync.testing.http_server import canned_server
from aios3sync.testing.trees import make_tree

LOADED = (boto, wire)  # here and not in a test, where nothing may block
_EMPTY = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
_OTHER = {"ETag": '"00000000000000003148d12488d65ff2"'}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize("lane", ["wire", "boto"])
async def test_an_etag_that_is_not_the_md5_is_a_failure_unless_etags_are_opaque(
    tmp_path: Path, lane: str
) -> None:
    root = make_tree(tmp_path / "t", {"a": "text"})
    async with canned_server() as server:
        for etags, uploaded in (("md5", 0), ("opaque", 1)):
            server.will(200, _EMPTY)
            server.will(200, headers=_OTHER)
            connection = {"endpoint_url": server.url, "lane": lane, "etags": etags, "max_attempts": 1}
            async with aios3sync.connect(**connection) as s3:  # type: ignore[arg-type]
                report = await s3.sync(root, "s3://bucket/p")
            assert (report.uploaded, report.failed) == (uploaded, 1 - uploaded)
        reported = server.requests[-1].headers
    # What the ETag does not prove our own metadata have to.
    digest = md5(b"text", usedforsecurity=False).digest()
    assert reported["x-amz-meta-md5chksum"] == b64encode(digest).decode()


_OBJECT = {"Last-Modified": "Sat, 28 Nov 2026 09:00:00 GMT", **_OTHER}


@pytest.mark.parametrize("lane", ["wire", "boto"])
@pytest.mark.parametrize("stored", [b"text", b"texT", b"longer"])
async def test_reading_the_object_distinguishes_damage_from_an_opaque_etag(
    tmp_path: Path, lane: str, stored: bytes
) -> None:
    root = make_tree(tmp_path / "t", {"a": "text"})
    async with canned_server() as server:
        server.will(200, _EMPTY)
        server.will(200, headers=_OTHER)
        server.will(200, headers={**_OBJECT, "Content-Length": str(len(stored))})
        if len(stored) == len(b"text"):
            server.will(206, stored, {**_OBJECT, "Content-Range": "bytes 0-3/4"})
        connection = {"endpoint_url": server.url, "lane": lane, "max_attempts": 1}
        async with aios3sync.connect(**connection) as s3:  # type: ignore[arg-type]
            report = await s3.sync(root, "s3://bucket/p")
        methods = [request.method for request in server.requests]
    intact = stored == b"text"
    assert (report.uploaded, report.failed) == (intact, not intact)
    assert methods[:3] == ["GET", "PUT", "HEAD"]
    if not intact:
        assert "stored other bytes than were sent" in report.errors[0].error


@pytest.mark.parametrize("lane", ["wire", "boto"])
async def test_where_the_object_cannot_be_read_the_option_is_named(tmp_path: Path, lane: str) -> None:
    root = make_tree(tmp_path / "t", {"a": "text"})
    async with canned_server() as server:
        server.will(200, _EMPTY)
        server.will(200, headers=_OTHER)
        server.will(403)
        connection = {"endpoint_url": server.url, "lane": lane, "max_attempts": 1}
        async with aios3sync.connect(**connection) as s3:  # type: ignore[arg-type]
            report = await s3.sync(root, "s3://bucket/p")
    assert (report.uploaded, report.failed) == (0, 1)
    assert "--etags opaque" in report.errors[0].error


def test_an_unknown_kind_of_etags_is_refused() -> None:
    with pytest.raises(UsageError, match="etags: 'sha1' is not one of unset, auto, md5, opaque"):
        aios3sync.ConnectOptions(etags="sha1")  # type: ignore[arg-type]
