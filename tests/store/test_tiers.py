"""Which tier serves a session, what it loads, and that it fails in the same words as a client of botocore."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import md5
from typing import TYPE_CHECKING, Any

import aioboto3
import anyio
import pytest
from anyio import to_thread

import aios3sync
import aios3sync.store.boto  # loaded before the loop runs
from aios3sync.errors import AioS3SyncError, CredentialsError, StoreError
from aios3sync.options import ConnectOptions
from aios3sync.store.protocol import PutOptions
from aios3sync.store.renewal import AllRenewed, Renewal
from aios3sync.store.wire.botocore_chain import ChainCredentials
from aios3sync.store.wire.credentials import StaticCredentials
from aios3sync.store.wire.sources import ConfiguredSource, NoKeysError, open_configured
from aios3sync.store.wire.transport import WireTransport
from aios3sync.testing.http_server import CannedRequest, canned_server, error_body

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = PutOptions()
BODY = b"body"
MD5 = md5(BODY, usedforsecurity=False).digest()
KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret-of-a-test"}
LIST = (
    b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the AWS files of the test."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


def a_process(place: Path, **facts: str) -> str:
    """The setting of a program that prints keys; ``{place}/keys`` is what it prints."""
    (place / "keys").write_text(json.dumps({"Version": 1, **facts}))
    return f"credential_process = cat {place}/keys\n"


# What is loaded

PROBE = """
import sys
from aios3sync.__main__ import main

try:
    code = main()
except SystemExit as error:
    code = error.code
wanted = {"aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore", "urllib3"}
print(code, sorted(wanted.intersection(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("by", ["environment", "profile"])
async def test_an_upload_with_plain_keys_loads_no_botocore(place: Path, by: str) -> None:
    source = place / "source"
    source.mkdir()
    for number in range(10):
        (source / f"{number}").write_bytes(BODY)
    environ = {"HOME": str(place), "XDG_STATE_HOME": str(place / "state"), "PATH": os.environ["PATH"]}
    if by == "environment":
        environ |= KEYS
    else:
        (place / ".aws").mkdir()
        (place / ".aws" / "config").write_text(
            "[profile dev]\nregion = eu-west-1\naws_access_key_id = A\naws_secret_access_key = b\n"
        )
        environ["AWS_PROFILE"] = "dev"
    async with canned_server() as server:
        server.judge = lambda request: (200, LIST) if request.method == "GET" else None
        command = [sys.executable, "-c", PROBE, "sync", str(source), "s3://bucket/p", "--quiet"]
        run = partial(
            subprocess.run,
            [*command, "--endpoint-url", server.url],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        ran = await to_thread.run_sync(run)
    assert ran.stderr.splitlines()[-1:] == ["0 []"], ran.stderr
    assert sum(request.method == "PUT" for request in server.requests) == 10


# Which tier

PLAIN_PROFILE = "[default]\naws_access_key_id = A\naws_secret_access_key = b\n"


@pytest.mark.parametrize(
    ("variables", "config", "tier"),
    [
        (KEYS, "", StaticCredentials),
        ({}, PLAIN_PROFILE, StaticCredentials),
        (KEYS, "[default]\nregion = eu-west-1\ns3 =\n  addressing_style = path\n", StaticCredentials),
        (KEYS, "[default]\noutput = json\ncli_pager =\nmax_attempts = 3\n", StaticCredentials),
        (KEYS | {"AWS_CREDENTIAL_EXPIRATION": "2999-01-01T00:00:00Z"}, "", ChainCredentials),
        (KEYS | {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere"}, "", ChainCredentials),
        (KEYS | {"AWS_ROLE_ARN": "arn:aws:iam::1:role/x"}, "", ChainCredentials),
        ({}, "[default]\ncredential_process = echo {}\n", ChainCredentials),
        (KEYS, f"{PLAIN_PROFILE}role_arn =\n", ChainCredentials),
        ({}, "", NoKeysError),  # nobody has keys: the client says so
        (KEYS, "[default]\nunheard_of = 1\n", None),
        (KEYS, "[default]\ns3 = path\n", None),
        (KEYS, "[default]\ns3 =\n  unheard_of = 1\n", None),
        (KEYS, "[default]\nendpoint_url = http://a\nendpoint_url = http://b\n", None),
        (KEYS, "[default]\nservices = missing\n", None),
        (KEYS, "[default]\ndefaults_mode = standard\n", None),
        (KEYS | {"AWS_DEFAULTS_MODE": "auto"}, "", None),
        (KEYS | {"AWS_DATA_PATH": "/nowhere"}, "", None),
        (KEYS | {"AWS_PROFILE": "missing"}, "", None),
        (KEYS | {"AWS_CA_BUNDLE": "/nowhere"}, "", None),
        (KEYS | {"AWS_DEFAULT_REGION": "not a region"}, "", None),
        (KEYS | {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2"}, "", None),
        (KEYS | {"AWS_REGION": "us-east-1"}, "", None),
        (KEYS | {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://a"}, "", StaticCredentials),
        (KEYS | {"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://a"}, "", None),
        (
            KEYS | {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://a"},
            "[default]\nregion = eu-west-1\n",
            None,
        ),
    ],
)
async def test_the_first_tier_that_is_certain_serves(
    place: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], config: str, tier: Any
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (place / "config").write_text(config.replace("echo {}", f"cat {place}/keys"))
    a_process(place, AccessKeyId="A", SecretAccessKey="b")
    if tier is NoKeysError:
        with pytest.raises(NoKeysError):
            await open_configured(ConnectOptions())
        return
    source = await open_configured(ConnectOptions())
    assert (None if source is None else type(source._provider)) == tier


@pytest.mark.usefixtures("place")
async def test_a_chain_without_credentials_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def none(self: Any) -> None:
        calls.append("chain")

    async def none_either(self: Any) -> None:
        calls.append("client")

    monkeypatch.setattr("botocore.credentials.CredentialResolver.load_credentials", none)
    monkeypatch.setattr("aiobotocore.credentials.AioCredentialResolver.load_credentials", none_either)
    async with aios3sync.connect() as session:
        for _ in range(2):
            with pytest.raises(CredentialsError, match="Unable to locate credentials"):
                await (await session.store("bucket")).head("key")
    assert calls == ["chain"]
    calls.clear()
    async with aios3sync.connect(lane="boto") as session:
        with pytest.raises(CredentialsError, match="Unable to locate credentials"):
            await (await session.store("bucket")).head("key")
    assert calls == ["client"]


async def test_models_of_the_user_are_left_to_botocore(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    assert await open_configured(ConnectOptions()) is not None
    (place / ".aws" / "models").mkdir(parents=True)
    assert await open_configured(ConnectOptions()) is None


@pytest.fixture
def keys(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of the environment, and a network in which all names with minio are this machine."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    look_up = socket.getaddrinfo

    def found(host: Any, *rest: Any, **named: Any) -> Any:
        return look_up("127.0.0.1" if "minio" in str(host) else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", found)


def has_client(session: aios3sync.Session) -> bool:
    return session._stores._connections._client is not None


async def put(session: aios3sync.Session, bucket: str = "bucket") -> None:
    store = await session.store(bucket)
    await store.put("key", BODY, PLAIN, md5=MD5)


async def test_only_a_bucket_that_the_rules_do_not_cover_opens_a_client(keys: None) -> None:
    async with canned_server() as server:
        url = server.url.replace("127.0.0.1", "minio")
        async with aios3sync.connect(endpoint_url=url, region="eu-west-1", lane="wire") as session:
            opened = []
            for bucket in ("bucket", "arn:aws:s3:eu-west-1:123456789012:accesspoint/ap", "another"):
                await put(session, bucket)
                opened.append(has_client(session))
            assert session._stores.access.generation == 0
    assert opened == [False, True, True]
    agents = [request.headers["user-agent"] for request in server.requests]
    assert ["Botocore" in agent for agent in agents] == [False, True, False]
    assert server.requests[1].headers["host"].startswith("ap-123456789012.minio:")


@pytest.mark.parametrize("lane", ["wire", "boto"])
@pytest.mark.parametrize(("addressing", "virtual"), [("auto", True), ("virtual", True), ("path", False)])
async def test_the_style_of_a_profile_counts_where_no_option_says_another(
    keys: None, place: Path, lane: Any, addressing: Any, *, virtual: bool
) -> None:
    (place / "config").write_text("[default]\nregion = eu-west-1\ns3 =\n  addressing_style = virtual\n")
    async with canned_server() as server:
        url = server.url.replace("127.0.0.1", "minio")
        async with aios3sync.connect(endpoint_url=url, lane=lane, addressing=addressing) as session:
            await put(session)
            assert has_client(session) is (lane == "boto")
    assert server.requests[0].headers["host"].startswith("bucket.minio:" if virtual else "minio:")


async def test_authorities_that_cannot_be_read_are_left_to_a_client_once(
    keys: None, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "bundle").write_text("no certificates")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(place / "bundle"))
    async with aios3sync.connect(endpoint_url="https://127.0.0.1:9", region="x", max_attempts=1) as session:
        for bucket in ("one", "two"):
            with pytest.raises(AioS3SyncError):
                await put(session, bucket)
            assert session._stores._connections._may_configure is False


@pytest.mark.parametrize("own", [False, True], ids=["configured", "client"])
async def test_a_store_whose_opening_is_cancelled_changes_nothing_for_the_next(
    keys: None, monkeypatch: pytest.MonkeyPatch, *, own: bool
) -> None:
    """An application with a time limit does not go through botocore from then on."""
    opening = anyio.Event()

    async def hang(*_: Any) -> None:
        opening.set()
        await anyio.sleep_forever()

    mine = aioboto3.Session() if own else None
    async with (
        canned_server() as server,
        aios3sync.connect(endpoint_url=server.url, region="eu-west-1", session=mine) as session,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(WireTransport, "open_source", hang)
            async with anyio.create_task_group() as group:
                group.start_soon(session.store, "bucket")
                await opening.wait()
                group.cancel_scope.cancel()
        await put(session)
        assert has_client(session) is own
    assert "Botocore" not in server.requests[0].headers["user-agent"] or own
    connections = session._stores._connections
    assert (connections._of_client if own else connections._configured) is not None


@pytest.mark.parametrize(("no_proxy", "proxied"), [("", True), ("127.0.0.1", False), ("elsewhere", True)])
async def test_requests_that_a_proxy_is_for_go_through_a_client(
    keys: None, monkeypatch: pytest.MonkeyPatch, no_proxy: str, *, proxied: bool
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    async with (
        canned_server() as server,
        aios3sync.connect(endpoint_url=server.url, region="eu-west-1", max_attempts=1) as session,
    ):
        if proxied:
            with pytest.raises(StoreError, match="cannot reach the endpoint"):
                await put(session)
        else:
            await put(session)
        assert has_client(session) is proxied


async def test_the_region_of_a_bucket_is_learnt_without_botocore(keys: None) -> None:
    def judge(request: CannedRequest) -> tuple[int, bytes] | None:
        if "/eu-west-1/s3/" in request.headers["authorization"]:
            return 400, error_body("AuthorizationHeaderMalformed", "wrong", Region="us-west-2")
        return None

    async with (
        canned_server() as server,
        aios3sync.connect(endpoint_url=server.url, region="eu-west-1") as session,
    ):
        server.judge = judge
        await put(session)
        await put(session)
        assert not has_client(session)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("region", "url", "moved"),
    [
        ("eu-west-1", None, "bucket.s3.us-west-2.amazonaws.com"),
        ("us-east-1", None, "bucket.s3.us-west-2.amazonaws.com"),
        ("eu-west-1", "https://minio.example", "minio.example"),
        ("eu-west-1", "https://s3.eu-west-1.amazonaws.com", "s3.us-west-2.amazonaws.com"),
    ],
)
async def test_the_address_in_another_region_is_made_by_the_rules(
    place: Path, monkeypatch: pytest.MonkeyPatch, region: str, url: str | None, moved: str
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    source = await open_configured(ConnectOptions(region=region, endpoint_url=url))
    assert source is not None
    found = source.moved("bucket", (await source.address("bucket")).in_region("us-west-2"))
    assert (found.host, found.region) == (moved, "us-west-2")


# Keys that are replaced


def expiring(place: Path, name: str) -> None:
    """Keys whose end is so near that botocore asks for others every time."""
    end = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    facts = a_process(place, AccessKeyId=name, SecretAccessKey="b", SessionToken="t", Expiration=end)
    (place / "config").write_text(f"[default]\n{facts}")


async def test_keys_of_the_chain_are_refreshed_before_they_end(place: Path) -> None:
    expiring(place, "first")
    source = await open_configured(ConnectOptions(region="eu-west-1"))
    assert isinstance(source, ConfiguredSource)
    assert (await source.credentials("PutObject", "bucket")).access_key == "first"
    expiring(place, "second")
    assert (await source.credentials("PutObject", "bucket")).access_key == "second"
    (place / "keys").write_text('{"Version": 2}')
    with pytest.raises(CredentialsError) as caught:
        await source.credentials("PutObject", "bucket", "key")
    assert str(caught.value).startswith("PutObject s3://bucket/key: ")
    assert "custom-process" in str(caught.value)


async def test_plain_keys_are_replaced_by_whatever_has_them_now(place: Path) -> None:
    (place / "config").write_text(PLAIN_PROFILE)
    source = await open_configured(ConnectOptions(region="eu-west-1"))
    assert source is not None
    await source.credentials("Connect", "")
    assert not await source.renew(0)
    source._asked = float("-inf")
    expiring(place, "of-a-process")
    assert await source.renew(0)
    assert (await source.credentials("PutObject", "bucket")).access_key == "of-a-process"


class Place(Renewal):
    """Credentials of a test, which are replaced or not."""

    def __init__(self, *, has_others: bool) -> None:
        super().__init__()
        self.has_others = has_others
        self.asked = 0

    async def _replace(self) -> bool:
        self.asked += 1
        return self.has_others


async def test_credentials_in_two_places_are_renewed_together() -> None:
    places = [Place(has_others=False), Place(has_others=True)]
    both = AllRenewed(places)
    assert await both.renew(0)
    assert both.generation == 1
    assert await both.renew(0)  # a request of before
    assert [place.asked for place in places] == [1, 1]


# Words


@pytest.mark.parametrize(
    ("variables", "config"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKID"}, ""),
        ({}, "[default]\naws_access_key_id = AKID\n"),
        ({}, "[default]\naws_access_key_id =\naws_secret_access_key =\n"),
        (KEYS | {"AWS_PROFILE": "missing"}, ""),
        (KEYS | {"AWS_PROFILE": ""}, ""),
        (KEYS, "no section\n"),
        (KEYS, "[default]\ns3 =\n  no delimiter\n"),
        (KEYS, "[default]\nservices = missing\n"),
        (KEYS, "[default]\nregion = not a region\n"),
        ({}, "[default]\ncredential_process = false\n"),
        ({}, "[default]\ncredential_process = no-such-program-there\n"),
        ({}, "[default]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = missing\n"),
        ({}, "[default]\nsso_session = missing\nsso_account_id = 1\nsso_role_name = x\n"),
        ({}, ""),
    ],
)
async def test_what_is_wrong_is_said_in_the_words_of_a_client(
    place: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], config: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (place / "config").write_text(config)
    said = []
    for lane in ("auto", "boto"):
        async with aios3sync.connect(lane=lane) as session:
            with pytest.raises((AioS3SyncError, OSError)) as caught:
                await (await session.store("bucket")).head("key")
        said.append((type(caught.value), str(caught.value)))
    assert said[0] == said[1]


async def test_no_secret_is_in_a_representation_p16(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    (place / "credentials").write_text("[default]\naws_access_key_id = A\naws_secret_access_key = hunter2\n")
    source = await open_configured(ConnectOptions())
    assert source is not None
    shown = repr([source, vars(source)])
    assert "AKID" in shown
    assert "secret-of-a-test" not in shown
    assert "hunter2" not in shown
