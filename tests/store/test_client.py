"""How the client is opened, and what its requests look like on the wire."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import md5, sha256
from ipaddress import ip_address
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zlib import crc32

import aioboto3
import pytest
from anyio import create_task_group
from anyio.lowlevel import checkpoint
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aios3sync.core.endpoints import AWS
from aios3sync.errors import CredentialsError, StoreError, UsageError
from aios3sync.options import ConnectOptions
from aios3sync.store.boto import BotoStore, adopt_client, capabilities_of, open_client
from aios3sync.store.boto.client import _delete_with_md5, _timestamp
from aios3sync.store.protocol import DeleteItem, PutOptions, StoreCapabilities
from aios3sync.store.s3.endpoint import capabilities_at
from aios3sync.testing.http_server import CannedServer, canned_server
from tests.store.canned import BODY, MD5, REQUESTS, boto_store, cancel_while_hanging

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

PLAIN = PutOptions()


def session() -> aioboto3.Session:
    return aioboto3.Session(
        aws_access_key_id="key", aws_secret_access_key="secret", region_name="eu-central-1"
    )


def digest(body: bytes) -> bytes:
    return md5(body).digest()


def served(**options: Any) -> AbstractAsyncContextManager[tuple[CannedServer, BotoStore]]:
    return boto_store(session(), **options)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


def assert_plain(server: CannedServer, body: bytes) -> None:
    """A body with its length, its MD5 and its signed SHA-256; nothing chunked, no trailer, no CRC."""
    (request,) = server.requests
    assert request.body == body
    assert request.headers["content-length"] == str(len(body))
    assert request.headers["content-md5"] == b64encode(digest(body)).decode()
    assert request.headers["x-amz-content-sha256"] == sha256(body).hexdigest()
    for name in ("transfer-encoding", "content-encoding", "x-amz-trailer", "x-amz-decoded-content-length"):
        assert name not in request.headers
    assert not [name for name in request.headers if "checksum" in name]


@pytest.mark.parametrize("size", [0, 4, 2**20, 2**20 + 1])
async def test_a_body_is_sent_plain(size: int) -> None:
    body = b"x" * size
    async with served() as (server, store):
        await store.put("key", body, PLAIN, md5=digest(body))
        assert_plain(server, body)
        assert ("expect" in server.requests[0].headers) == (size > 2**20)
        server.requests.clear()
        await store.put_part("key", "id", 1, body, PLAIN, md5=digest(body))
        assert_plain(server, body)


async def test_a_body_is_signed_over_https_too(tls: ssl.SSLContext, certificate: Path) -> None:
    async with canned_server(tls) as server:
        options = ConnectOptions(endpoint_url=server.url, ca_bundle=str(certificate))
        async with open_client(options, session()) as client:
            await BotoStore(client, "bkt").put("key", b"body", PLAIN, md5=digest(b"body"))
        assert_plain(server, b"body")


async def test_a_client_of_the_caller_sends_no_trailer_and_stays_open(
    tls: ssl.SSLContext, certificate: Path
) -> None:
    async with (
        canned_server(tls) as server,
        session().client("s3", endpoint_url=server.url, verify=str(certificate)) as client,
    ):
        adopt_client(adopt_client(client))
        await BotoStore(client, "bkt").put("key", b"body", PLAIN, md5=digest(b"body"))
        await BotoStore(client, "bkt").put("key", b"", PLAIN, md5=digest(b""))
        for request in server.requests:
            assert "transfer-encoding" not in request.headers
            assert "x-amz-trailer" not in request.headers
            assert "content-md5" in request.headers


async def test_an_unknown_certificate_is_refused_for_good(tls: ssl.SSLContext) -> None:
    async with canned_server(tls) as server:
        async with open_client(ConnectOptions(endpoint_url=server.url), session()) as client:
            with pytest.raises(StoreError, match="certificate") as caught:
                await BotoStore(client, "bkt").head("key")
        assert not caught.value.retryable
        assert server.requests == []


async def test_certificates_need_not_be_checked(tls: ssl.SSLContext) -> None:
    async with canned_server(tls) as server:
        options = ConnectOptions(endpoint_url=server.url, verify_tls=False)
        async with open_client(options, session()) as client:
            await BotoStore(client, "bkt").put("key", b"body", PLAIN, md5=digest(b"body"))
        assert len(server.requests) == 1


async def test_deletes_carry_an_md5_and_no_raw_line_ends() -> None:
    key = "a\rb\nc\td<&>"
    async with served() as (server, store):
        server.will(200, b"<DeleteResult></DeleteResult>")
        assert await store.delete_many([DeleteItem(key), DeleteItem("b", "etag")]) == []
        (request,) = server.requests
    assert b"a&#xD;b&#xA;c&#x9;d&lt;&amp;&gt;" in request.body
    assert not set(b"\r\n\t") & set(request.body)
    assert b"<ETag>etag</ETag>" in request.body
    assert request.headers["content-md5"] == b64encode(digest(request.body)).decode()
    assert not [name for name in request.headers if "checksum" in name]


async def test_keys_that_xml_cannot_write_are_deleted_one_by_one() -> None:
    async with served() as (server, store):
        server.will(200, b"<DeleteResult></DeleteResult>")
        server.will(204)
        server.will(204)
        keys = ["plain", "control\x01", "not a character \ufffe"]
        assert await store.delete_many([DeleteItem(key) for key in keys]) == []
        sent = [(request.method, request.path) for request in server.requests]
    assert sent == [
        ("POST", "/bkt?delete"),
        ("DELETE", "/bkt/control%01"),
        ("DELETE", "/bkt/not%20a%20character%20%EF%BF%BE"),
    ]


async def test_options_become_headers() -> None:
    options = PutOptions(
        content_type="text/plain",
        content_encoding="gzip",
        cache_control="no-cache",
        content_disposition="inline",
        content_language="de",
        expires="Wed, 21 Oct 2026 07:28:00 GMT",
        metadata={"Mtime": "1.5"},
        storage_class="STANDARD_IA",
        sse="aws:kms",
        sse_kms_key_id="key-id",
        acl="private",
        tags={"a": "b c", "d": "&"},
        checksum="sha256",
        request_payer="requester",
        if_match="etag",
    )
    async with served() as (server, store):
        await store.put("key", b"body", options, md5=digest(b"body"))
        await store.put("key", b"body", PutOptions(if_none_match=True), md5=digest(b"body"))
        headers, conditional = (request.headers for request in server.requests)
    expected = {
        "content-type": "text/plain",
        "content-encoding": "gzip",
        "cache-control": "no-cache",
        "content-disposition": "inline",
        "content-language": "de",
        "expires": "Wed, 21 Oct 2026 07:28:00 GMT",
        "x-amz-meta-mtime": "1.5",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "key-id",
        "x-amz-acl": "private",
        "x-amz-tagging": "a=b+c&d=%26",
        "x-amz-checksum-sha256": b64encode(sha256(b"body").digest()).decode(),
        "x-amz-request-payer": "requester",
        "if-match": "etag",
    }
    assert {name: headers[name.lower()] for name in expected} == expected
    assert conditional["if-none-match"] == "*"


async def test_customer_keys_go_with_reads_and_writes() -> None:
    key = bytes(range(32))
    async with served() as (server, store):
        reader = BotoStore(store._client, "bkt", sse_customer_key=key, request_payer="requester")
        options = PutOptions(sse_customer_key=key)
        await store.put("key", b"body", options, md5=digest(b"body"))
        await store.put_part("key", "id", 1, b"body", options, md5=digest(b"body"))
        await reader.head("key")
        await reader.get("key")
        sent = server.requests
    prefix = "x-amz-server-side-encryption-customer-"
    for request in sent:
        assert request.headers[f"{prefix}algorithm"] == "AES256"
        assert request.headers[f"{prefix}key"] == b64encode(key).decode()
        assert request.headers[f"{prefix}key-md5"] == b64encode(digest(key)).decode()
    assert sent[2].headers["x-amz-request-payer"] == "requester"


async def test_the_user_agent_names_this_package() -> None:
    async with served() as (server, store):
        await store.put("key", b"", PLAIN, md5=digest(b""))
        assert " aios3sync/" in server.requests[0].headers["user-agent"]


async def test_anonymous_requests_are_not_signed() -> None:
    async with canned_server() as server:
        options = ConnectOptions(endpoint_url=server.url, anonymous=True)
        async with open_client(options) as client:
            await BotoStore(client, "bkt").put("key", b"", PLAIN, md5=digest(b""))
        assert "authorization" not in server.requests[0].headers


async def test_without_credentials_the_request_fails() -> None:
    async with canned_server() as server:
        async with open_client(ConnectOptions(endpoint_url=server.url)) as client:
            with pytest.raises(CredentialsError):
                await BotoStore(client, "bkt").head("key")
        assert server.requests == []


async def test_a_profile_that_does_not_exist_is_named() -> None:
    with pytest.raises(CredentialsError, match="nobody"):
        async with open_client(ConnectOptions(profile="nobody")):
            pass


async def test_contradictions_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="profile"):
        async with open_client(ConnectOptions(profile="a"), session()):
            pass
    with pytest.raises(UsageError, match="ca_bundle"):
        async with open_client(ConnectOptions(ca_bundle=str(tmp_path / "missing.pem"))):
            pass


@pytest.mark.parametrize(
    ("endpoint", "addressing", "address"),
    [
        ("http://127.0.0.1:9", "auto", "http://127.0.0.1:9/bkt/key"),
        ("http://localhost:9", "auto", "http://localhost:9/bkt/key"),
        ("https://s3.example.com", "auto", "https://s3.example.com/bkt/key"),
        ("https://s3.example.com", "path", "https://s3.example.com/bkt/key"),
        ("https://s3.example.com", "virtual", "https://bkt.s3.example.com/key"),
        (None, "auto", "https://bkt.s3.amazonaws.com/key"),
        (None, "path", "https://s3.eu-central-1.amazonaws.com/bkt/key"),
    ],
)
async def test_addresses(endpoint: str | None, addressing: Any, address: str) -> None:
    options = ConnectOptions(endpoint_url=endpoint, addressing=addressing)
    async with open_client(options, session()) as client:
        url = await BotoStore(client, "bkt").presign("key", expires=60)
    assert url.partition("?")[0] == address
    assert "X-Amz-Signature=" in url
    assert "X-Amz-Expires=60&" in url


@pytest.mark.parametrize(
    ("endpoint", "bucket", "sorted_listing"),
    [
        ("https://s3.eu-central-1.amazonaws.com", "bkt", True),
        (AWS, "bkt", True),
        (AWS, "bkt--euc1-az1--x-s3", False),
        ("aws.example", "bkt", False),
        ("https://s3.cn-north-1.amazonaws.com.cn", "bkt", True),
        ("https://s3.eu-central-1.amazonaws.com", "bkt--euc1-az1--x-s3", False),
        ("https://s3.eu-central-1.amazonaws.com", "point--euc1-az1--xa-s3", False),
        ("https://s3express-euc1-az1.eu-central-1.amazonaws.com", "bkt", False),
        ("https://amazonaws.com.evil.example", "bkt", False),
        ("http://127.0.0.1:8333", "bkt", False),
    ],
)
def test_capabilities_are_known_only_of_aws(endpoint: str, bucket: str, *, sorted_listing: bool) -> None:
    client = SimpleNamespace(meta=SimpleNamespace(endpoint_url=endpoint))
    known = StoreCapabilities(sorted_listing, sorted_listing)
    assert capabilities_of(client, bucket) == capabilities_at(endpoint, bucket) == known


async def test_a_directory_bucket_is_sent_a_crc_and_trusted_without_an_md5() -> None:
    sent: dict[str, Any] = {}

    async def put_object(**parameters: Any) -> dict[str, Any]:
        sent.update(parameters)
        return {"ETag": '"00000000000000000000000000000000"'}

    client = SimpleNamespace(put_object=put_object)
    store = BotoStore(client, "bkt--x-s3", StoreCapabilities())
    result = await store.put("key", b"body", PLAIN, md5=digest(b"body"))
    assert result.etag == "0" * 32
    assert "ContentMD5" not in sent
    assert sent["ChecksumCRC32"] == b64encode(crc32(b"body").to_bytes(4, "big")).decode()


@pytest.mark.parametrize(
    ("url", "md5_is_sent"),
    [
        ("https://bkt--euc1-az1--x-s3.s3express-euc1-az1.eu-central-1.amazonaws.com/?delete", False),
        ("https://point--euc1-az1--xa-s3.s3express-euc1-az1.eu-central-1.amazonaws.com/?delete", False),
        ("https://s3.example.com/bkt--x-s3?delete", False),
        ("https://bkt.s3.eu-central-1.amazonaws.com/?delete", True),
        ("https://my--x-s3-bucket.s3.eu-central-1.amazonaws.com/?delete", True),
    ],
)
def test_deletes_of_directory_buckets_and_their_access_points_carry_no_md5(
    url: str, *, md5_is_sent: bool
) -> None:
    request: dict[str, Any] = {"url": url, "body": b"<Delete/>", "headers": {}, "context": {"checksum": 1}}
    _delete_with_md5(request)
    assert ("Content-MD5" in request["headers"]) is md5_is_sent
    assert ("checksum" in request["context"]) is not md5_is_sent


@pytest.mark.parametrize(
    "text",
    ["2026-11-02T03:04:05Z", "2026-11-02T03:04:05.000Z", "Mon, 02 Nov 2026 03:04:05 GMT", "1793588645"],
)
def test_timestamps(text: str) -> None:
    assert _timestamp(text).timestamp() == 1793588645


@pytest.mark.parametrize("text", ["never", "", "2026-99-99T00:00:00Z", "0000-01-01T00:00:00Z", "9" * 40])
def test_a_time_that_cannot_be_read_is_none(text: str) -> None:
    """An object is listed and its head is read for other facts: one bad date ended the command."""
    assert _timestamp(text).timestamp() == 0


@pytest.mark.parametrize("verb", REQUESTS)
async def test_a_cancelled_request_leaves_no_task_and_no_connection(verb: str) -> None:
    before = asyncio.all_tasks()
    async with served() as (server, store):
        await cancel_while_hanging(server, store, verb)
        await store.put("key", BODY, PLAIN, md5=MD5)
    assert asyncio.all_tasks() == before


async def test_the_connection_of_a_cancelled_download_is_not_used_again() -> None:
    async with served(workers=1) as (server, store):
        server.will(200, b"half", {"Content-Length": "1000"})
        async with create_task_group() as group:
            group.start_soon(store.get, "key")
            while not server.requests:
                await checkpoint()
            for _ in range(20):
                await checkpoint()
            group.cancel_scope.cancel()
        # With one connection at most, the next answer would otherwise begin in the middle of that body.
        server.will(200, b"whole")
        assert (await store.get("key")).body == b"whole"


async def test_a_client_is_closed_when_its_session_is_cancelled() -> None:
    async with (
        canned_server() as server,
        create_task_group() as group,
        open_client(ConnectOptions(endpoint_url=server.url), session()) as client,
    ):
        await BotoStore(client, "bkt").put("key", b"", PLAIN, md5=digest(b""))
        group.cancel_scope.cancel()
        await checkpoint()
