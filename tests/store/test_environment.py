"""What containers and shells make of settings: hosts of docker compose, white space around keys and URLs."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path
from typing import Any

import aioboto3
import pytest

import aios3sync
from aios3sync.errors import CredentialsError, StoreError, UsageError
from aios3sync.store.protocol import PutOptions
from aios3sync.store.s3.credential_values import cleaned
from aios3sync.testing.http_server import CannedServer, canned_server

PLAIN = PutOptions()
HELLO = hashlib.md5(b"hello", usedforsecurity=False).digest()
LANES = pytest.mark.parametrize("lane", ["wire", "boto"])


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.fixture
def compose(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network in which any name of a service is this machine."""
    look_up = socket.getaddrinfo

    def found(host: Any, *rest: Any, **named: Any) -> Any:
        return look_up("127.0.0.1" if "minio" in str(host) else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", found)


def port_of(server: CannedServer) -> str:
    return server.url.rpartition(":")[2]


@LANES
@pytest.mark.parametrize("host", ["my_minio", "_minio_", "project_my_minio_1", "a_b.minio_net"])
async def test_a_host_with_an_underscore_is_reached(keys: None, compose: None, lane: Any, host: str) -> None:
    async with canned_server() as server:
        url = f"http://{host}:{port_of(server)}"
        async with aios3sync.connect(endpoint_url=url, lane=lane) as session:
            assert session.endpoint == url
            store = await session.store("bucket")
            await store.put("a", b"hello", PLAIN, md5=HELLO)
            assert session.endpoint == url
            address = await store.presign("a")
    assert server.requests[0].headers["host"] == f"{host}:{port_of(server)}"
    assert address.startswith(f"{url}/bucket/a?")


@LANES
@pytest.mark.parametrize("dressed", ["{}\n", " {} ", "'{}'", '"{}"\r\n'])
async def test_an_endpoint_of_the_environment_is_cleaned(
    keys: None, monkeypatch: pytest.MonkeyPatch, lane: Any, dressed: str
) -> None:
    async with canned_server() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", dressed.format(server.url))
        async with aios3sync.connect(lane=lane) as session:
            store = await session.store("bucket")
            await store.put("a", b"hello", PLAIN, md5=HELLO)
    assert len(server.requests) == 1


@pytest.mark.parametrize("text", ["minio:9000", "http://user:hunter2@minio:9000"])
async def test_an_endpoint_that_cannot_be_used_is_named_and_its_credentials_are_not_p16(
    keys: None, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", text)
    async with aios3sync.connect() as session:
        with pytest.raises(UsageError, match=r"^AWS_ENDPOINT_URL_S3: ") as caught:
            await session.store("bucket")
    assert "hunter2" not in str(caught.value)


async def test_the_endpoint_of_a_session_of_the_caller_is_refused_without_its_text_p16(
    keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "user:hunter2@minio")
    async with aios3sync.connect(session=aioboto3.Session()) as session:
        with pytest.raises(UsageError) as caught:
            await session.store("bucket")
    assert "hunter2" not in str(caught.value)


async def test_the_endpoint_of_a_client_of_the_caller_may_hold_no_credentials_p16(keys: None) -> None:
    url = "http://user:hunter2@127.0.0.1:9"
    async with (
        aioboto3.Session().client("s3", endpoint_url=url) as client,
        aios3sync.connect(client=client) as session,
    ):
        with pytest.raises(UsageError, match="holds a user name or a password") as caught:
            await session.store("bucket")
    assert "hunter2" not in str(caught.value)


async def test_the_url_of_a_queue_may_hold_no_credentials_p16(keys: None) -> None:
    async with aios3sync.connect() as session:
        with pytest.raises(UsageError) as caught:
            async with session.queue("http://user:hunter2@127.0.0.1:9/1/q"):
                pass
    assert "hunter2" not in str(caught.value)


# Keys


@LANES
@pytest.mark.parametrize("space", ["\n", "\r\n", " ", "\t", "\u00a0"])
async def test_white_space_around_keys_is_taken_off(
    monkeypatch: pytest.MonkeyPatch, lane: Any, space: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"{space}AKID{space}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"hunter2{space}")
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"token{space}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    async with canned_server() as server, aios3sync.connect(endpoint_url=server.url, lane=lane) as session:
        store = await session.store("bucket")
        await store.put("a", b"hello", PLAIN, md5=HELLO)
    (request,) = server.requests
    assert "Credential=AKID/" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == "token"


@LANES
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ACCESS_KEY_ID", "hunter\n2"),
        ("AWS_ACCESS_KEY_ID", "hunter 2"),
        ("AWS_SECRET_ACCESS_KEY", "hunter\n2"),
        ("AWS_SESSION_TOKEN", "hunter\r\nx-amz-acl: 2"),
        ("AWS_SESSION_TOKEN", "hunterü2"),
    ],
)
async def test_a_key_that_cannot_be_sent_is_named_and_not_repeated_p16(
    keys: None, monkeypatch: pytest.MonkeyPatch, lane: Any, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    async with canned_server() as server, aios3sync.connect(endpoint_url=server.url, lane=lane) as session:
        with pytest.raises(CredentialsError, match=f"look at {name}") as caught:
            await session.store("bucket")
    assert "hunter" not in str(caught.value)
    assert not server.requests


async def test_keys_of_a_profile_are_cleaned_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text("[default]\naws_access_key_id = AKID\naws_secret_access_key = a\n b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    async with aios3sync.connect(endpoint_url="http://127.0.0.1:9", region="x") as session:
        with pytest.raises(StoreError, match="aws_secret_access_key"):
            await session.store("bucket")


@pytest.mark.parametrize(
    ("name", "value"), [("access_key", " "), ("secret_key", ""), ("token", "\n"), ("access_key", None)]
)
def test_an_empty_key_is_named(name: str, value: str | None) -> None:
    with pytest.raises(CredentialsError, match="is empty"):
        cleaned(name, value)


def test_no_token_is_no_fault() -> None:
    assert cleaned("token", None) == cleaned("token", "") == ""


@LANES
async def test_keys_of_a_process_are_cleaned_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lane: Any
) -> None:
    document = {"Version": 1, "AccessKeyId": "AKID\n", "SecretAccessKey": "s\r\n", "SessionToken": "token\n"}
    document["Expiration"] = "2999-01-01T00:00:00Z"
    (tmp_path / "keys.json").write_text(json.dumps(document))
    (tmp_path / "config").write_text(f"[default]\ncredential_process = cat {tmp_path}/keys.json\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    async with (
        canned_server() as server,
        aios3sync.connect(endpoint_url=server.url, lane=lane, region="x") as session,
    ):
        store = await session.store("bucket")
        await store.put("a", b"hello", PLAIN, md5=HELLO)
    assert server.requests[0].headers["x-amz-security-token"] == "token"


@LANES
@pytest.mark.parametrize("dressed", ["{}\n", " {} ", "'{}'"])
async def test_a_region_of_the_environment_is_cleaned(
    keys: None, monkeypatch: pytest.MonkeyPatch, lane: Any, dressed: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", dressed.format("eu-central-1"))
    async with canned_server() as server, aios3sync.connect(endpoint_url=server.url, lane=lane) as session:
        store = await session.store("bucket")
        await store.put("a", b"hello", PLAIN, md5=HELLO)
    assert "/eu-central-1/s3/" in server.requests[0].headers["authorization"]
