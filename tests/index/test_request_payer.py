"""Requester Pays buckets: every request of the index and of the catalog accepts the charge."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

import aios3sync
from aios3sync.catalog import DatasetEntry, Registration
from aios3sync.testing.http_server import CannedRequest, CannedServer, canned_server, error_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aios3sync.options import Lane

LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


def judge(request: CannedRequest) -> tuple[int, bytes] | None:
    """Respond as a bucket that stays empty, whatever is put."""
    if request.method == "GET" and "list-type=2" in request.path:
        return 200, LISTING
    if request.method == "PUT":
        conditional = "if-match" in request.headers
        return (412, error_body("PreconditionFailed")) if conditional else None
    return 404, b"" if request.method == "HEAD" else error_body("NoSuchKey")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@asynccontextmanager
async def empty_bucket() -> AsyncIterator[CannedServer]:
    async with canned_server() as server:
        server.judge = judge
        yield server


@pytest.mark.parametrize("pays", [True, False])
@pytest.mark.parametrize("lane", ["wire", "boto"])
async def test_every_request_of_an_index_and_of_a_catalog_says_who_pays(
    tmp_path: Path, lane: Lane, pays: bool
) -> None:
    async with (
        empty_bucket() as server,
        aios3sync.connect(endpoint_url=server.url, region="us-east-1", lane=lane) as s3,
    ):
        async with s3.index(f"sqlite:///{tmp_path}/index.db", request_payer=pays) as index:
            await index.backfill("s3://bucket")
            await index.reconcile("s3://bucket")
        catalog = s3.catalog("s3://bucket", request_payer=pays)
        await catalog.add(DatasetEntry("org/name"))
        assert len(await catalog.list()) == 0
    asked = {(request.method, request.headers.get("x-amz-request-payer")) for request in server.requests}
    wanted = "requester" if pays else None
    assert {method for method, _ in asked} >= {"GET", "PUT"}
    assert {payer for _, payer in asked} == {wanted}


@pytest.mark.parametrize("catalog", ["", "s3://bucket"])
async def test_a_sync_that_pays_pays_for_its_catalog_too(tmp_path: Path, catalog: str) -> None:
    (tmp_path / "a").write_text("x")
    async with (
        empty_bucket() as server,
        aios3sync.connect(endpoint_url=server.url, region="us-east-1", processes=0) as s3,
    ):
        entry = Registration(DatasetEntry("n"), catalog=catalog)
        await s3.sync(tmp_path, "s3://bucket/p", catalog=entry, request_payer=True, manifest=False)
    assert {request.headers.get("x-amz-request-payer") for request in server.requests} == {"requester"}
    assert any("private_datasets_index.json" in request.path for request in server.requests)
