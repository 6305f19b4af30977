"""The facts that a session observed of an endpoint hold for the next session, and are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

import aios3sync
from aios3sync.cli.output.plain import endpoint_line
from aios3sync.events import EndpointKnown
from aios3sync.store import boto, profile_files, wire
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import DeleteItem
from aios3sync.testing.http_server import CannedServer, canned_server, error_body
from aios3sync.testing.trees import make_tree

LOADED = (boto, wire)  # here and not in a test, where nothing may block
LANES = pytest.mark.parametrize("lane", ["wire", "boto"])
EMPTY = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


async def kept(server: CannedServer) -> EndpointProfile:
    profile = EndpointProfile(server.url)
    await to_thread.run_sync(profile_files.read_profile, profile)
    return profile


@LANES
async def test_the_next_session_does_not_ask_for_what_the_endpoint_lacks(lane: Any) -> None:
    async with canned_server() as server:
        server.will(501, error_body("NotImplemented"))
        for _ in range(2):
            async with aios3sync.connect(endpoint_url=server.url, lane=lane) as s3:
                store = await s3.store("bucket")
                server.will(204)
                assert await store.delete_many([DeleteItem("key")]) == []
        assert [request.method for request in server.requests] == ["POST", "DELETE", "DELETE"]
        assert not (await kept(server)).batch_delete


async def test_all_stores_of_a_session_share_the_facts_that_one_observed() -> None:
    async with canned_server() as server, aios3sync.connect(endpoint_url=server.url) as s3:
        stores = [await s3.store("bucket"), await s3.store("other")]
        server.will(501, error_body("NotImplemented"))
        for store in stores:
            server.will(204)
            assert await store.delete_many([DeleteItem("key")]) == []
        assert [request.method for request in server.requests] == ["POST", "DELETE", "DELETE"]


@pytest.mark.parametrize("given", ["opaque", "md5"])
async def test_the_option_etags_holds_until_another_value_is_given(given: Any) -> None:
    async with canned_server() as server:
        etags: Any
        for etags, wanted in ((given, given), ("", given), ("auto", "unknown"), ("", "unknown")):
            async with aios3sync.connect(endpoint_url=server.url, etags=etags) as s3:
                store = await s3.store("bucket")
                assert store.capabilities.opaque_etags == (wanted == "opaque")
            assert (await kept(server)).etags == wanted


@LANES
async def test_the_option_list_order_holds_until_another_value_is_given(tmp_path: Path, lane: Any) -> None:
    root = make_tree(tmp_path / "t", {})
    async with canned_server() as server:
        given: Any
        for given, wanted in (("bytes", "bytes"), ("", "bytes"), ("auto", ""), ("", "")):
            server.will(200, EMPTY)
            async with aios3sync.connect(endpoint_url=server.url, lane=lane) as s3:
                await s3.sync(root, "s3://bucket/p", list_order=given, check="list")
                store = await s3.store("bucket")
                assert store.capabilities.sorted_listing == (wanted == "bytes")
            assert (await kept(server)).list_order == wanted


@LANES
async def test_a_listing_by_marker_is_remembered(lane: Any) -> None:
    page = (
        b"<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a</Key><Size>1</Size></Contents>"
        b"</ListBucketResult>"
    )
    async with canned_server() as server:
        for answers in ((page, page, EMPTY), (page, EMPTY)):
            for answer in answers:
                server.will(200, answer)
            async with aios3sync.connect(endpoint_url=server.url, lane=lane) as s3:
                store = await s3.store("bucket")
                first = await store.list_page("")
                await store.list_page("", token=first.next_token)
        assert ["list-type=2" in request.path for request in server.requests] == [True, *[False] * 4]


async def test_a_marker_that_is_not_known_any_more_is_forgotten() -> None:
    async with canned_server() as server:
        profile = await kept(server)
        profile.record("list_v1", True)
        await to_thread.run_sync(profile_files.write_profile, profile)
        async with aios3sync.connect(endpoint_url=server.url) as s3:
            server.will(501, error_body("NotImplemented"))
            server.will(200, EMPTY)
            assert (await (await s3.store("bucket")).list_page("")).entries == []
        assert not (await kept(server)).list_v1


async def test_observed_facts_are_an_event(tmp_path: Path) -> None:
    root, seen = make_tree(tmp_path / "t", {}), list[Any]()
    async with canned_server() as server:
        server.will(200, EMPTY)
        async with aios3sync.connect(endpoint_url=server.url, etags="opaque") as s3:
            await s3.sync(root, "s3://bucket/p", check="list", on_event=seen.append)
        (known,) = [event for event in seen if isinstance(event, EndpointKnown)]
        assert endpoint_line(known) == f"endpoint {server.url}: its ETags prove nothing (given)"


async def test_a_run_that_asks_s3_nothing_reads_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[EndpointProfile] = []
    monkeypatch.setattr(profile_files, "read_profile", read.append)
    root = make_tree(tmp_path / "t", {})
    async with canned_server() as server:
        for requests in (1, 1):
            server.will(200, EMPTY)
            async with aios3sync.connect(endpoint_url=server.url) as s3:
                await s3.sync(root, "s3://bucket/p")
            assert (len(server.requests), len(read)) == (requests, 1)


def test_aws_is_an_endpoint_for_each_bucket() -> None:
    from contextlib import AsyncExitStack

    from aios3sync.options import ConnectOptions
    from aios3sync.stores import Stores

    aws = Stores(ConnectOptions(), AsyncExitStack())
    assert aws.profile("one") is aws.profile("one")
    assert aws.profile("one") is not aws.profile("two--x-s3")
    own = Stores(ConnectOptions(endpoint_url="http://127.0.0.1:9"), AsyncExitStack())
    assert own.profile("one") is own.profile("two")
