"""Presigned URLs: the one that AWS publishes, and those of botocore's signer on what can be generated."""

from __future__ import annotations

import logging
import string
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import parse_qs, unquote, urlsplit

import aioboto3
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aios3sync.errors import StoreError
from aios3sync.store.s3.addresses import BucketAddress
from aios3sync.store.s3.parameters import MAX_EXPIRES
from aios3sync.store.wire.signing import UrlSigner
from aios3sync.store.wire.sigv4 import Credentials, Signer, moment
from aios3sync.store.wrappers.base import ForwardingStore
from aios3sync.testing.http_server import canned_server
from aios3sync.testing.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 1369353600
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.amazonaws.com"


def address_of(host: str, root: str, *, secure: bool = True, region: str = "us-east-1") -> BucketAddress:
    return BucketAddress(secure, host, 443, host, root, region, "s3")


def test_the_example_of_aws() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"""
    signer = UrlSigner(Signer(EXAMPLE, "us-east-1"), address_of(HOST, "/"), "GET", 86400, moment(SECONDS))
    assert signer.url("test.txt") == (
        f"https://{HOST}/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def boto_url(method: str, url: str, expires: int, credentials: Credentials, params: dict[str, str]) -> str:
    request = AWSRequest(method=method, url=url, params=params)
    source = BotoCredentials(credentials.access_key, credentials.secret_key, credentials.token or None)
    then = datetime.fromtimestamp(SECONDS, UTC)
    with patch.object(auth, "get_current_datetime", lambda **_: then.replace(tzinfo=None)):
        auth.S3SigV4QueryAuth(source, "s3", "eu-west-1", expires=expires).add_auth(request)
    return str(request.url)


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
TOKENS = st.text(string.ascii_letters + string.digits + "/+=", max_size=40)
METHODS = st.sampled_from(["GET", "HEAD", "PUT", "DELETE"])
ROOTS = st.sampled_from(["/", "/bucket/", "/base/path/bucket/"])
HOSTS = st.sampled_from(["h", "bucket.s3.eu-west-1.amazonaws.com", "127.0.0.1:8333", "[::1]:9000"])


@settings(deadline=None)  # the machine may be busy
@given(METHODS, st.booleans(), HOSTS, ROOTS, KEYS, TOKENS, st.integers(1, MAX_EXPIRES), st.booleans())
@example("GET", False, "h", "/", "".join(map(chr, range(1, 256))), "t/+=", 1, False)
@example("GET", True, "h", "/b/", "%41+ ~a//../?x=y&X-Amz-Expires=9#z", "", 1, True)
def test_the_urls_are_those_of_botocore(
    method: str, secure: bool, host: str, root: str, key: str, token: str, expires: int, pays: bool
) -> None:
    credentials = Credentials("AK/ID", "secret/+key", token)
    address = address_of(host, root, secure=secure, region="eu-west-1")
    signer = Signer(credentials, "eu-west-1")
    payer = "requester" if pays else ""
    ours = UrlSigner(signer, address, method, expires, moment(SECONDS), payer=payer).url(key)
    bare, _, query = ours.partition("?")
    params = {"x-amz-request-payer": "requester"} if pays else {}
    assert ours == boto_url(method, bare, expires, credentials, params)
    assert unquote(urlsplit(bare).path) == root + key
    assert set(parse_qs(query, strict_parsing=True)) >= {"X-Amz-Signature", "X-Amz-Expires"}


@pytest.fixture
def at_one_second() -> Iterator[None]:
    """Both signers look at their clocks in the same second."""
    then = datetime.fromtimestamp(SECONDS, UTC)
    with (
        patch.object(auth, "get_current_datetime", lambda **_: then.replace(tzinfo=None)),
        patch.object(time, "time", lambda: float(SECONDS)),
    ):
        yield


def source(token: str | None = None) -> aioboto3.Session:
    return aioboto3.Session(
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="s3cr3t-that-must-not-leak",
        aws_session_token=token,
        region_name="eu-central-1",
    )


@pytest.mark.usefixtures("at_one_second")
@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://127.0.0.1:9", {"addressing": "path"}),
        ("https://s3.example.org:8443/base", {"addressing": "path", "verify_tls": False}),
        ("https://s3.example.org", {"addressing": "virtual", "verify_tls": False}),
    ],
    ids=["path", "path below a base", "virtual host"],
)
@pytest.mark.parametrize("token", [None, "a/temporary+token=="])
async def test_both_transports_make_the_same_urls(
    opened: Any, url: str, options: dict[str, Any], token: str | None
) -> None:
    keys = ["plain", "a b/ü+%41", "x?y=z#f&", "//", "é/\U0001f600\r\n\t"]
    async with opened(url, source=source(token), **options) as wire:
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            ours = await wire.store.presign_many(keys, expires=600, method=method)
            assert ours == await wire.boto.presign_many(keys, expires=600, method=method)
            assert ours[0] == await wire.store.presign(keys[0], expires=600, method=method)
            assert ("X-Amz-Security-Token=a%2Ftemporary%2Btoken%3D%3D" in ours[0]) == bool(token)


async def test_new_credentials_sign_the_next_urls(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened("http://127.0.0.1:9") as wire:
        before = await wire.store.presign("key")
        # They belong to a session that other tests share.
        monkeypatch.setattr(wire.client._request_signer._credentials, "access_key", "AKIANEXT")
        wire.transport.renew_at = 0.0
        after = await wire.store.presign("key")
    assert "AKIAEXAMPLE" in before
    assert "AKIANEXT" in after


async def test_a_clock_that_is_wrong_signs_with_the_time_of_the_endpoint(opened: Any) -> None:
    async with opened("http://127.0.0.1:9") as wire:
        wire.transport.skew = -86400.0 * 365
        url = await wire.store.presign("key")
    stamp = parse_qs(urlsplit(url).query)["X-Amz-Date"][0]
    assert int(stamp[:4]) in (datetime.now(UTC).year - 1, datetime.now(UTC).year - 2)


async def test_no_request_is_sent_and_no_secret_is_shown(
    opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "aios3sync")
    async with canned_server() as server, opened(server.url) as wire:
        urls = await wire.store.presign_many([f"{number}" for number in range(1000)])
        assert server.requests == []
    assert len({url.rpartition("=")[2] for url in urls}) == 1000
    assert "Signature" not in caplog.text
    assert not any("s3cr3t" in url for url in urls)


@pytest.mark.parametrize("key", ["", "\ud800"])
async def test_a_key_that_cannot_be_is_named(opened: Any, key: str) -> None:
    async with opened("http://127.0.0.1:9") as wire:
        for store in (wire.store, wire.boto):
            with pytest.raises(StoreError) as caught:
                await store.presign_many(["good", key])
            assert (caught.value.operation, caught.value.key) == ("Presign", key)


async def test_the_payer_is_part_of_the_url(opened: Any) -> None:
    async with opened("http://127.0.0.1:9", reading={"request_payer": "requester"}) as wire:
        assert "?x-amz-request-payer=requester&X-Amz-Algorithm=" in await wire.store.presign("key")


async def test_wrappers_hand_the_keys_on() -> None:
    inner = MemoryStore()
    keys = ["a", "b"]
    expected = await inner.presign_many(keys, expires=5, method="PUT")
    assert await ForwardingStore(inner).presign_many(keys, expires=5, method="PUT") == expected


async def test_pages_of_urls_cost_little(opened: Any) -> None:
    """At least ten times as many a second as botocore makes; measured, it is eighty times as many."""
    keys = [f"train/class {number % 37}/image-{number:06d}.jpg" for number in range(2000)]
    async with opened("http://127.0.0.1:9") as wire:
        ours, theirs = [], []
        for _ in range(3):
            began = time.process_time()
            await wire.store.presign_many(keys)
            ours.append((time.process_time() - began) / len(keys))
            began = time.process_time()
            await wire.boto.presign_many(keys[:100])
            theirs.append((time.process_time() - began) / 100)
    assert min(ours) * 10 < min(theirs)
