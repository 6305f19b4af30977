"""What the transport finds out: addresses, regions, the time, credentials; and where it cannot serve."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import md5
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aioboto3
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioRefreshableCredentials
from anyio import create_task_group

from aios3sync.errors import CredentialsError, StoreError, UnavailableError
from aios3sync.options import ConnectOptions
from aios3sync.store.boto import BotoStore, open_client
from aios3sync.store.protocol import PutOptions, StoreCapabilities
from aios3sync.store.s3.addresses import BucketAddress
from aios3sync.store.s3.errors import WireUnavailableError
from aios3sync.store.wire.boto_config import internals_of, refuse_customised, resolve_address
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.responses import error_answer
from aios3sync.store.wire.store import open_wire
from aios3sync.store.wire.tls import client_context
from aios3sync.store.wire.transport import WireTransport
from aios3sync.testing.http_server import canned_server, error_body
from tests.store.canned import REQUESTS, cancel_while_hanging

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import SocketStream

PLAIN = PutOptions()
BODY = b"body"
MD5 = md5(BODY).digest()
SECRET = "s3cr3t-that-must-not-leak"


def session(region: str = "eu-central-1") -> aioboto3.Session:
    return aioboto3.Session(aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key=SECRET, region_name=region)


@asynccontextmanager
async def client_of(region: str = "eu-central-1", *, s3: Any = None, **options: Any) -> AsyncIterator[Any]:
    config = AioConfig(s3=s3, **options.pop("config", {}))
    async with session(region).client("s3", config=config, **options) as client:
        yield client


def scope_of(request: Any) -> str:
    """Day, region and service that a canned request was signed for."""
    return str(request.headers["authorization"].partition("Credential=")[2].partition(",")[0])


# Addresses


@pytest.mark.parametrize(
    ("options", "bucket", "authority", "root"),
    [
        ({}, "bkt", "bkt.s3.eu-central-1.amazonaws.com", "/"),
        ({}, "dotted.bkt", "s3.eu-central-1.amazonaws.com", "/dotted.bkt/"),
        ({"s3": {"addressing_style": "path"}}, "bkt", "s3.eu-central-1.amazonaws.com", "/bkt/"),
        ({"s3": {"use_accelerate_endpoint": True}}, "bkt", "bkt.s3-accelerate.amazonaws.com", "/"),
        ({"s3": {"use_dualstack_endpoint": True}}, "bkt", "bkt.s3.dualstack.eu-central-1.amazonaws.com", "/"),
        ({"region": "us-east-1"}, "bkt", "bkt.s3.amazonaws.com", "/"),
        ({"region": "cn-north-1"}, "bkt", "bkt.s3.cn-north-1.amazonaws.com.cn", "/"),
        ({"endpoint_url": "http://127.0.0.1:8333"}, "bkt", "127.0.0.1:8333", "/bkt/"),
        ({"endpoint_url": "http://[::1]:8333"}, "bkt", "[::1]:8333", "/bkt/"),
        ({"endpoint_url": "https://minio.example:443/base"}, "bkt", "minio.example", "/base/bkt/"),
        (
            {"endpoint_url": "https://s3.example", "s3": {"addressing_style": "virtual"}},
            "bkt",
            "bkt.s3.example",
            "/",
        ),
        (
            {},
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/point",
            "point-123456789012.s3-accesspoint.eu-west-1.amazonaws.com",
            "/",
        ),
    ],
)
async def test_addresses_are_those_of_botocore(
    options: dict[str, Any], bucket: str, authority: str, root: str
) -> None:
    async with client_of(**options) as client:
        address, user_agent = await resolve_address(client, bucket)
    assert (address.authority, address.root, address.service) == (authority, root, "s3")
    arn_region = "eu-west-1" if bucket.startswith("arn:") else options.get("region", "eu-central-1")
    assert address.region == arn_region
    assert address.secure == (not str(options.get("endpoint_url", "https:")).startswith("http:"))
    assert "Botocore" in user_agent


async def test_resolving_an_address_sends_nothing_and_stops_nothing_else() -> None:
    async with canned_server() as server, client_of(endpoint_url=server.url) as client:
        async with create_task_group() as group:
            for _ in range(5):
                group.start_soon(resolve_address, client, "bkt")
            group.start_soon(BotoStore(client, "bkt").get, "another key")
        assert [request.path for request in server.requests] == ["/bkt/another%20key"]


@pytest.mark.parametrize(
    ("host", "region", "moved"),
    [
        ("b.s3.eu-central-1.amazonaws.com", "eu-central-1", "b.s3.us-west-2.amazonaws.com"),
        (
            "b.s3.dualstack.eu-central-1.amazonaws.com",
            "eu-central-1",
            "b.s3.dualstack.us-west-2.amazonaws.com",
        ),
        ("b.s3.amazonaws.com", "us-east-1", "b.s3.us-west-2.amazonaws.com"),
        ("b.s3-accelerate.amazonaws.com", "eu-central-1", "b.s3-accelerate.amazonaws.com"),
        (
            "eu-central-1.s3.eu-central-1.amazonaws.com",
            "eu-central-1",
            "eu-central-1.s3.us-west-2.amazonaws.com",
        ),
        ("minio.example", "eu-central-1", "minio.example"),
        ("amazonaws.com.evil.example", "eu-central-1", "amazonaws.com.evil.example"),
    ],
)
def test_another_region_is_another_host_of_aws_alone(host: str, region: str, moved: str) -> None:
    address = BucketAddress(True, host, 8443, f"{host}:8443", "/", region, "s3")
    there = address.in_region("us-west-2")
    assert (there.host, there.authority, there.region) == (moved, f"{moved}:8443", "us-west-2")


# Learning from refusals


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (400, error_body("AuthorizationHeaderMalformed", "wrong", Region="us-west-2"), {}),
        (301, error_body("PermanentRedirect", "elsewhere"), {"x-amz-bucket-region": "us-west-2"}),
        (307, error_body("TemporaryRedirect"), {"Location": "https://bkt.s3.us-west-2.amazonaws.com/key"}),
        (307, error_body("TemporaryRedirect"), {"Location": "https://bkt.s3-us-west-2.amazonaws.com/key"}),
        (301, b"", {"x-amz-bucket-region": "us-west-2"}),
    ],
)
async def test_a_wrong_region_is_corrected(
    opened: Any, status: int, body: bytes, headers: dict[str, str]
) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        server.will(status, body, headers)
        await wire.store.put("key", BODY, PLAIN, md5=MD5)
        await wire.store.put("key", BODY, PLAIN, md5=MD5)
        again = await open_wire(wire.transport, wire.boto.bucket, wire.boto.capabilities)
        await again.put("key", BODY, PLAIN, md5=MD5)
        scopes = [scope_of(request).split("/", 2)[2] for request in server.requests]
    wrong, right = "eu-central-1/s3/aws4_request", "us-west-2/s3/aws4_request"
    assert scopes == [wrong, right, right, right]


async def test_the_region_that_one_request_finds_is_used_by_all(opened: Any) -> None:
    body = error_body("AuthorizationHeaderMalformed", Region="us-west-2")
    async with canned_server() as server, opened(server.url) as wire:
        before = wire.store._route
        server.will(400, body)
        await wire.store.put("key", BODY, PLAIN, md5=MD5)
        # Another one was sent at the same time, and is refused later: it is sent again as well.
        late = HttpResponse(400, {}, body)
        assert wire.store._follow_region(late, error_answer(late), before)
        assert not wire.store._follow_region(late, error_answer(late), wire.store._route)


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (301, error_body("PermanentRedirect"), {}),
        (307, error_body("TemporaryRedirect"), {"Location": "https://evil.example/us-west-2/"}),
        (400, error_body("AuthorizationHeaderMalformed", Region="eu-central-1"), {}),
        (400, error_body("AuthorizationHeaderMalformed", Region="../../x"), {}),
    ],
)
async def test_a_region_that_is_not_named_is_an_error(
    opened: Any, status: int, body: bytes, headers: dict[str, str]
) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        server.will(status, body, headers)
        with pytest.raises(StoreError):
            await wire.store.list_page("")
        assert len(server.requests) == 1


async def test_regions_that_go_in_circles_end(opened: Any) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        for region in ("us-west-2", "us-west-1"):
            server.will(400, error_body("AuthorizationHeaderMalformed", Region=region))
        with pytest.raises(StoreError, match="region us-west-1; connect with that region"):
            await wire.store.list_page("")
        assert len(server.requests) == 2


def skewed(hours: float) -> tuple[dict[str, str], datetime]:
    there = datetime.now(UTC) + timedelta(hours=hours)
    return {"Date": format_datetime(there, usegmt=True)}, there


@pytest.mark.parametrize("hours", [-30, 2])
async def test_a_wrong_clock_is_corrected(opened: Any, hours: float) -> None:
    headers, there = skewed(hours)
    async with canned_server() as server, opened(server.url) as wire:
        server.will(403, error_body("RequestTimeTooSkewed", "The difference is too large"), headers)
        await wire.store.put("key", BODY, PLAIN, md5=MD5)
        await wire.store.put("key", BODY, PLAIN, md5=MD5)
        stamps = [request.headers["x-amz-date"] for request in server.requests]
    for stamp in stamps[1:]:
        signed = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert abs((signed - there).total_seconds()) < 20
    assert scope_of(server.requests[1]).split("/")[1] == f"{there:%Y%m%d}"


async def test_a_refused_head_tells_the_time_too(opened: Any) -> None:
    headers, _ = skewed(2)
    async with canned_server() as server, opened(server.url) as wire:
        server.will(403, b"", headers)
        await wire.store.head("key")
        server.will(403, b"", headers)
        with pytest.raises(StoreError):
            await wire.store.head("key")
        assert len(server.requests) == 3


async def test_an_endpoint_without_a_clock_of_its_own_is_an_error(opened: Any) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        for headers in ({}, skewed(0)[0], {"Date": "yesterday"}):
            server.will(403, error_body("RequestTimeTooSkewed"), headers)
            with pytest.raises(StoreError, match="clock"):
                await wire.store.list_page("")


# Credentials


class Source:
    """Temporary credentials of one minute each, by a clock of the test's own."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.asked = 0
        self.broken = False

    def metadata(self) -> dict[str, str]:
        self.asked += 1
        expiry = self.now + timedelta(hours=1)
        return {
            "access_key": f"AKID{self.asked}",
            "secret_key": SECRET,
            "token": f"token{self.asked}",
            "expiry_time": expiry.isoformat(),
        }

    async def refresh(self) -> dict[str, str]:
        if self.broken:
            raise RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired.")
        return self.metadata()

    def session(self) -> aioboto3.Session:
        made = aioboto3.Session(region_name="eu-central-1")
        made._session._credentials = AioRefreshableCredentials.create_from_metadata(
            self.metadata(), refresh_using=self.refresh, method="test"
        )
        made._session._credentials._time_fetcher = lambda: self.now
        return made


async def test_credentials_that_expire_in_the_middle_of_a_run_are_renewed(opened: Any) -> None:
    source = Source()
    async with canned_server() as server, opened(server.url, source=source.session()) as wire:
        await wire.store.put("key", BODY, PLAIN, md5=MD5)
        source.now += timedelta(hours=2)
        wire.transport.renew_at = 0.0
        await wire.store.put("key", BODY, PLAIN, md5=MD5)
        await wire.store.put("key", BODY, PLAIN, md5=MD5)
        used = [
            (scope_of(request).partition("/")[0], request.headers["x-amz-security-token"])
            for request in server.requests
        ]
    assert used == [("AKID1", "token1"), ("AKID2", "token2"), ("AKID2", "token2")]


async def test_credentials_that_cannot_be_renewed_are_an_error(opened: Any) -> None:
    source = Source()
    async with canned_server() as server, opened(server.url, source=source.session()) as wire:
        source.broken = True
        source.now += timedelta(hours=2)
        wire.transport.renew_at = 0.0
        with pytest.raises(CredentialsError) as caught:
            await wire.store.put("key", BODY, PLAIN, md5=MD5)
        assert SECRET not in str(caught.value)
        assert server.requests == []


async def test_nothing_secret_is_shown(opened: Any) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        server.will(200, b"", {"Content-Length": "5"}, close=True)
        with pytest.raises(UnavailableError) as caught:
            await wire.store.put("key", BODY, PLAIN, md5=MD5)
        for thing in (
            wire.store._route,
            wire.transport.credentials,
            wire.transport,
            caught.value,
            caught.value.__cause__,
        ):
            assert SECRET not in repr(thing)


# Where the transport does not apply


def replaced(**changes: Any) -> Any:
    usual = {"credentials": object(), "verify": True, "proxy": False, "customised": False, "handlers": ()}
    return SimpleNamespace(**(usual | changes))


async def test_it_serves_a_client_of_ours_and_a_plain_one_of_the_caller() -> None:
    async with open_client(ConnectOptions(), session()) as client:
        refuse_customised(internals_of(client, "https://s3.amazonaws.com"))
    async with client_of() as client:
        refuse_customised(internals_of(client, "https://s3.amazonaws.com"))


async def refusal(client: Any, bucket: str = "bkt", **options: Any) -> str:
    async def attempt() -> None:
        transport = await WireTransport.open(client, ConnectOptions(**options))
        await open_wire(transport, bucket, StoreCapabilities())

    with pytest.raises(WireUnavailableError) as caught:
        await attempt()
    return str(caught.value)


async def test_a_proxy() -> None:
    async with client_of(config={"proxies": {"https": "http://proxy.example:3128"}}) as client:
        assert "proxy" in await refusal(client)


async def test_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    async with client_of() as client:
        assert "proxy" in await refusal(client)
    monkeypatch.setenv("NO_PROXY", "amazonaws.com")
    async with client_of() as client:
        refuse_customised(internals_of(client, client.meta.endpoint_url))


async def test_anonymous_requests() -> None:
    async with open_client(ConnectOptions(anonymous=True), session()) as client:
        assert await refusal(client)


async def test_no_credentials() -> None:
    async with aioboto3.Session(region_name="eu-central-1").client("s3") as client:
        assert "without credentials" in await refusal(client)


@pytest.mark.parametrize(
    ("bucket", "reason"),
    [
        ("bkt--use1-az4--x-s3", "Express"),
        ("arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", "multi-region"),
        ("s3://not a bucket", "address"),
    ],
)
async def test_buckets_of_another_kind(bucket: str, reason: str) -> None:
    async with client_of() as client:
        assert reason in await refusal(client, bucket)


@pytest.mark.parametrize(
    "event", ["before-send.s3", "before-call.*.PutObject", "request-created", "before-sign.s3"]
)
async def test_event_handlers_of_the_caller(event: str) -> None:
    async with client_of() as client:
        client.meta.events.register(event, lambda **_: None)
        assert "event handlers of its own" in await refusal(client)


async def test_event_handlers_of_other_services_do_not_matter() -> None:
    async with client_of() as client:
        client.meta.events.register("before-call.dynamodb", lambda **_: None)
        refuse_customised(internals_of(client, client.meta.endpoint_url))


async def test_signatures_of_another_version() -> None:
    async with client_of(config={"signature_version": "s3"}) as client:
        assert "signatures" in await refusal(client)


async def test_connections_of_the_callers_own_making() -> None:
    async with client_of(config={"client_cert": "/somewhere.pem"}) as client:
        assert "own making" in await refusal(client)


@pytest.mark.parametrize(
    "missing",
    [
        "_endpoint",
        "_request_signer",
        "_endpoint.http_session",
        "_request_signer._credentials",
        "meta.events._emitter",
    ],
)
async def test_a_client_that_is_made_otherwise(missing: str) -> None:
    async with client_of() as client:
        *path, name = missing.split(".")
        owner = client
        for part in path:
            owner = getattr(owner, part)
        kept = owner.__dict__.pop(name)
        try:
            with pytest.raises(WireUnavailableError, match="unknown make"):
                internals_of(client, client.meta.endpoint_url)
        finally:
            owner.__dict__[name] = kept


# TLS


async def test_certificates(opened: Any, authority: Any) -> None:
    async with canned_server(authority.server) as server:
        async with opened(server.url, ca_bundle=str(authority.bundle)) as wire:
            await wire.store.put("key", BODY, PLAIN, md5=MD5)
        async with opened(server.url, verify_tls=False) as wire:
            await wire.store.put("key", BODY, PLAIN, md5=MD5)
        async with opened(server.url) as wire:
            with pytest.raises(StoreError, match="certificate") as caught:
                await wire.store.head("key")
            assert not caught.value.retryable
        assert len(server.requests) == 2


def test_contexts(authority: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    assert client_context(True).verify_mode is ssl.CERT_REQUIRED
    assert client_context(True).check_hostname
    assert client_context(False).verify_mode is ssl.CERT_NONE
    assert len(client_context(str(authority.bundle)).get_ca_certs()) == 1
    client_context(str(tmp_path))
    with pytest.raises(WireUnavailableError):
        client_context(str(tmp_path / "missing.pem"))
    nothing = SimpleNamespace(cafile=None, capath=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: None)
    assert len(client_context(True).get_ca_certs()) > 50


# The store as a whole


async def test_an_endpoint_that_is_not_there(opened: Any, unused_tcp_port: int) -> None:
    async with opened(f"http://127.0.0.1:{unused_tcp_port}") as wire:
        with pytest.raises(UnavailableError, match="cannot reach the endpoint") as caught:
            await wire.store.head("key")
    assert caught.value.code == "NoConnection"


@pytest.mark.parametrize("conditional", [False, True])
async def test_a_conditional_put_is_not_repeated_behind_the_back(
    opened: Any, raw_server: Any, *, conditional: bool
) -> None:
    received: list[bytes] = []
    stored = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "%s"\r\n\r\n' % MD5.hex().encode()

    async def serve(stream: SocketStream) -> None:
        while len(received) != 1:
            received.append(await stream.receive())
            await stream.send(stored)
        received.append(await stream.receive())  # the second request of the connection: hung up upon

    async with raw_server(serve) as port, opened(f"http://127.0.0.1:{port}") as wire:
        options = PutOptions(if_none_match=conditional)
        await wire.store.put("key", BODY, PLAIN, md5=MD5)
        if conditional:
            with pytest.raises(UnavailableError) as caught:
                await wire.store.put("key", BODY, options, md5=MD5)
            assert caught.value.code == "ConnectionLost"
        else:
            await wire.store.put("key", BODY, options, md5=MD5)
    assert len(received) == (2 if conditional else 3)


@pytest.mark.parametrize("verb", REQUESTS)
async def test_a_cancelled_request_leaves_no_task_and_no_connection(opened: Any, verb: str) -> None:
    before = asyncio.all_tasks()
    async with canned_server() as server, opened(server.url) as wire:
        await cancel_while_hanging(server, wire.store, verb)
        (pool,) = wire.transport._pools.values()
        assert not pool._open
        await wire.store.put("key", BODY, PLAIN, md5=MD5)
    assert asyncio.all_tasks() == before


async def test_a_store_of_the_transport_aborts_uploads_and_signs_urls(opened: Any) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        assert wire.store.bucket == "bkt"
        assert wire.store.capabilities == wire.boto.capabilities
        await wire.store.abort_multipart("key", "id")
        assert server.requests[0].path == "/bkt/key?uploadId=id"
        assert "Signature" in await wire.store.presign("key")
