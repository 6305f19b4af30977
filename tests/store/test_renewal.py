"""Credentials that are replaced during a run: the chain is asked once for all requests."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

import asyncio
import json
import sys
from hashlib import md5
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import aios3sync.store.boto  # noqa: F401 - loaded before the loop runs
from aios3sync import CredentialsError, connect
from aios3sync.errors import StoreError
from aios3sync.store.boto.credentials import RenewableCredentials
from aios3sync.store.protocol import ListedPart, PutOptions
from aios3sync.store.s3.errors import is_about_credentials
from aios3sync.store.wrappers.retry import RetryingStore
from aios3sync.store.wrappers.session_state import SessionState
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.http_server import CannedRequest, CannedServer, canned_server, error_body
from aios3sync.testing.memory import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = PutOptions()
BODY = b"body"
MD5 = md5(BODY).digest()
PROFILE = """[default]
aws_access_key_id = {0}
aws_secret_access_key = {0}-secret-of-a-test
aws_session_token = {0}-token-of-a-test
"""


class Frozen(NamedTuple):
    """What botocore's credentials freeze to, as far as it matters here."""

    access_key: str
    secret_key: str = "secret-of-a-test"
    token: str | None = None


class Held:
    """Credentials that stay what they are."""

    method = "test"

    def __init__(self, name: str) -> None:
        self.name = name

    async def get_frozen_credentials(self) -> Frozen:
        return Frozen(self.name)


class Chain:
    """A chain of credentials that counts who asks."""

    def __init__(self, *finds: str | Exception | None) -> None:
        self.finds = [*finds]
        self.asked = 0

    def __call__(self) -> Held | None:
        self.asked += 1
        found = self.finds.pop(0)
        if isinstance(found, Exception):
            raise found
        return None if found is None else Held(found)


async def test_concurrent_renewals_ask_the_chain_once() -> None:
    chain = Chain("new")
    credentials = RenewableCredentials(Held("old"), chain)
    renewed = await asyncio.gather(*(credentials.renew(0) for _ in range(50)))
    assert (renewed, chain.asked) == ([True] * 50, 1)
    assert await credentials.get_frozen_credentials() == Frozen("new")


@pytest.mark.parametrize("found", ["old", None, OSError("gone"), RuntimeError("expired")])
async def test_a_chain_without_others_is_asked_once(found: str | Exception | None) -> None:
    now = [0.0]
    chain = Chain(found, "new")
    credentials = RenewableCredentials(Held("old"), chain, clock=lambda: now[0])
    assert await asyncio.gather(*(credentials.renew(0) for _ in range(50))) == [False] * 50
    assert chain.asked == 1
    now[0] = 60.0  # a later request: somebody may have logged in again
    assert await credentials.renew(0)


async def test_listeners_are_called() -> None:
    heard = []
    credentials = RenewableCredentials(Held("old"), Chain("new"))
    credentials.listeners.append(lambda: heard.append(credentials.generation))
    await credentials.renew(0)
    assert heard == [1]


async def test_a_request_is_given_up_when_others_are_refused_as_well() -> None:
    faults = FaultyStore(MemoryStore())
    faults.on("head", times=-1, error=CredentialsError("expired", code="ExpiredToken", status=400))
    access = SessionState()
    now = [0.0]

    def clock() -> float:
        now[0] += 60.0
        return now[0]

    access.credentials = RenewableCredentials(Held("0"), Chain(*map(str, range(1, 100))), clock)
    with pytest.raises(CredentialsError):
        await RetryingStore(faults, 3, access=access).head("key")
    assert faults.calls["head"] == 4


@pytest.mark.parametrize(
    ("code", "operation", "about"),
    [
        ("ExpiredToken", "PutObject", True),
        ("InvalidToken", "UploadPart", True),
        ("InvalidAccessKeyId", "ListObjectsV2", True),
        ("400", "HeadObject", True),
        ("400", "PutObject", False),
        ("AccessDenied", "PutObject", False),
        ("403", "HeadObject", False),
    ],
)
def test_which_refusals_other_credentials_may_help(code: str, operation: str, *, about: bool) -> None:
    assert is_about_credentials(StoreError("no", code=code, operation=operation)) is about


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the AWS configuration of the test."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    (tmp_path / "config").write_text("[default]\nregion = eu-central-1\n")
    (tmp_path / "credentials").write_text(PROFILE.format("old"))
    return tmp_path


def by_file(place: Path) -> None:
    (place / "credentials").write_text(PROFILE.format("new"))


def by_process(place: Path) -> None:
    (place / "which").write_text("new")


def with_process(place: Path) -> None:
    """A credential process without an expiry, so that botocore never refreshes its keys."""
    (place / "credentials").write_text("")
    (place / "which").write_text("old")
    facts = json.dumps(
        {"Version": 1, "AccessKeyId": "*", "SecretAccessKey": "*-secret", "SessionToken": "*-t"}
    )
    program = f"print({facts!r}.replace('*', open({str(place / 'which')!r}).read()))"
    (place / "helper.py").write_text(program)
    command = f"{sys.executable} {place / 'helper.py'}"
    (place / "config").write_text(f"[default]\nregion = eu-central-1\ncredential_process = {command}\n")


class Endpoint:
    """Takes one of two keys, and multipart uploads."""

    def __init__(self, server: CannedServer) -> None:
        self.good = "old"
        self.code = "ExpiredToken"
        self.refused = 0
        self.parts: list[str] = []
        server.judge = self.judge

    def judge(self, request: CannedRequest) -> tuple[int, bytes] | None:
        if f"Credential={self.good}/" not in request.headers["authorization"]:
            self.refused += 1
            return 400, b"" if request.method == "HEAD" else error_body(self.code, "The token has expired.")
        if request.method == "POST" and "uploads" in request.path:
            return (
                200,
                b"<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>",
            )
        if request.method == "POST":
            return 200, b"<CompleteMultipartUploadResult><ETag>etag</ETag></CompleteMultipartUploadResult>"
        if "partNumber" in request.path:
            self.parts.append(request.path)
        return None


@pytest.mark.parametrize("lane", ["wire", "boto"])
@pytest.mark.parametrize(("prepare", "replace"), [(None, by_file), (with_process, by_process)])
async def test_an_upload_goes_on_with_what_the_chain_has_now(
    place: Path, lane: Any, prepare: Any, replace: Any
) -> None:
    if prepare is not None:
        await asyncio.to_thread(prepare, place)
    async with canned_server() as server, connect(endpoint_url=server.url, lane=lane) as s3:
        endpoint = Endpoint(server)
        store = await s3.store("bkt")
        upload = await store.create_multipart("key", PLAIN)

        async def part(number: int) -> ListedPart:
            sent = await store.put_part("key", upload, number, BODY, PLAIN, md5=MD5)
            return ListedPart(number, sent.etag, len(BODY))

        first = [await part(number) for number in (1, 2)]
        await asyncio.to_thread(replace, place)
        endpoint.good = "new"
        second = await asyncio.gather(*(part(number) for number in range(3, 20)))
        await store.complete_multipart("key", upload, [*first, *second], PLAIN)
        assert (await store.head("key")).size == 0
    assert len(endpoint.parts) == len(set(endpoint.parts)) == 19
    assert endpoint.refused <= 17


@pytest.mark.parametrize("lane", ["wire", "boto"])
@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId", "InvalidToken"])
async def test_keys_without_a_replacement_are_given_up(place: Path, lane: Any, code: str) -> None:
    async with canned_server() as server, connect(endpoint_url=server.url, lane=lane) as s3:
        endpoint = Endpoint(server)
        endpoint.good, endpoint.code = "nobody's", code
        store = await s3.store("bkt")
        with pytest.raises(StoreError) as raised:
            await store.put("key", BODY, PLAIN, md5=MD5)
        assert raised.value.code == code
        assert endpoint.refused == 1


async def test_a_head_without_an_error_code_renews_as_well(place: Path) -> None:
    async with canned_server() as server, connect(endpoint_url=server.url) as s3:
        endpoint = Endpoint(server)
        store = await s3.store("bkt")
        await store.head("key")
        await asyncio.to_thread(by_file, place)
        endpoint.good = "new"
        await store.head("key")
        assert endpoint.refused == 1


async def test_keys_that_were_given_by_hand_are_never_replaced_by_others(place: Path) -> None:
    import aioboto3

    session = aioboto3.Session(
        aws_access_key_id="mine", aws_secret_access_key="secret", region_name="eu-central-1"
    )
    async with canned_server() as server, connect(endpoint_url=server.url, session=session) as s3:
        Endpoint(server)  # takes those of the file alone
        store = await s3.store("bkt")
        with pytest.raises(CredentialsError):
            await store.put("key", BODY, PLAIN, md5=MD5)


async def test_a_session_of_the_callers_is_asked_again(place: Path) -> None:
    import aioboto3

    async with canned_server() as server, connect(endpoint_url=server.url, session=aioboto3.Session()) as s3:
        endpoint = Endpoint(server)
        store = await s3.store("bkt")
        await store.put("key", BODY, PLAIN, md5=MD5)
        await asyncio.to_thread(by_file, place)
        endpoint.good = "new"
        await store.put("key", BODY, PLAIN, md5=MD5)
