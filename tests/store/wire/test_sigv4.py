"""Signatures: those that AWS publishes, and those of botocore's own signer on whatever can be generated."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

import string
from datetime import UTC, datetime
from hashlib import md5, sha256
from unittest.mock import patch

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import example, given
from hypothesis import strategies as st

from aios3sync.store.protocol import PutOptions
from aios3sync.store.wire.request_builder import RequestBuilder
from aios3sync.store.wire.requests import HeaderTemplate, HttpRequest, object_path
from aios3sync.store.wire.signing import HeadWriter
from aios3sync.store.wire.sigv4 import (
    EMPTY_SHA256,
    Credentials,
    Signer,
    canonical_query,
    moment,
)

SECONDS = 1369353600
STAMP = "20130524T000000Z"
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.amazonaws.com"
WELCOME = sha256(b"Welcome to Amazon S3.").hexdigest()


def head_of(
    request: HttpRequest, credentials: Credentials = EXAMPLE, root: str = "/", host: str = HOST
) -> str:
    writer = HeadWriter(Signer(credentials, "us-east-1"), host, root, "agent/1")
    return writer.head(request, moment(SECONDS)).decode()


def headers_of(head: str) -> dict[str, str]:
    lines = head.split("\r\n")[1:-2]
    return dict(line.split(":", 1) for line in lines)


def signature_of(head: str) -> str:
    return headers_of(head)["authorization"].rpartition("Signature=")[2]


def request_of(
    method: str, key: str | None, query: str = "", headers: dict[str, str] | None = None, body: bytes = b""
) -> HttpRequest:
    digest = sha256(body).hexdigest()
    path = object_path(key) if key else ""
    shape = HeaderTemplate(headers or {}, ("x-amz-content-sha256",))
    return HttpRequest("Any", key, method, path, query, shape, (digest,), digest, body, True, 0)


# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Examples"
@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (
            request_of("GET", "test.txt", headers={"range": "bytes=0-9"}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            request_of(
                "PUT",
                "test$file.text",
                headers={
                    "date": "Fri, 24 May 2013 00:00:00 GMT",
                    "x-amz-storage-class": "REDUCED_REDUNDANCY",
                },
                body=b"Welcome to Amazon S3.",
            ),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            request_of("GET", None, canonical_query([("lifecycle", "")])),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            request_of("GET", None, canonical_query([("prefix", "J"), ("max-keys", "2")])),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
    ids=["get object", "put object", "get bucket lifecycle", "list objects"],
)
def test_the_examples_of_aws(request_: HttpRequest, signature: str) -> None:
    assert signature_of(head_of(request_)) == signature


def boto_authorization(
    method: str, url: str, headers: dict[str, str], body: bytes, credentials: Credentials
) -> tuple[str, dict[str, str]]:
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    source = BotoCredentials(credentials.access_key, credentials.secret_key, credentials.token or None)
    then = datetime.fromtimestamp(SECONDS, UTC)
    with patch.object(auth, "get_current_datetime", lambda **_: then.replace(tzinfo=None)):
        auth.S3SigV4Auth(source, "s3", "us-east-1").add_auth(request)
    return request.headers["Authorization"], dict(request.headers)


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
# Visible characters and spaces anywhere, also those that are no ASCII.
VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.just(" "), max_size=30)
NAMES = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=12)
TOKENS = st.text(string.ascii_letters + string.digits + "/+=", max_size=40)
METHODS = st.sampled_from(["GET", "PUT", "HEAD", "POST", "DELETE"])
ROOTS = st.sampled_from(["/", "/bucket/", "/base/path/bucket/"])
HOSTS = st.sampled_from(["h", "bucket.s3.eu-west-1.amazonaws.com", "127.0.0.1:8333", "[::1]:9000"])


@given(
    METHODS,
    HOSTS,
    ROOTS,
    st.none() | KEYS,
    st.dictionaries(KEYS, KEYS | st.just(""), max_size=4),
    st.dictionaries(NAMES.map("x-amz-meta-{}".format), VALUES, max_size=4),
    st.dictionaries(st.sampled_from(["content-type", "cache-control", "if-match", "expires"]), VALUES),
    TOKENS,
    st.binary(max_size=20),
)
@example("PUT", "h", "/", "".join(map(chr, range(1, 256))), {}, {}, {}, "", b"")
@example("GET", "h", "/b/", "k", {"a": "%s%%d", "A": "+ /~"}, {"x-amz-meta-a": " %s  b "}, {}, "t", b"")
def test_signatures_are_those_of_botocore(
    method: str,
    host: str,
    root: str,
    key: str | None,
    query: dict[str, str],
    metadata: dict[str, str],
    headers: dict[str, str],
    token: str,
    body: bytes,
) -> None:
    credentials = Credentials("AKID", "secret/+key", token)
    sent = metadata | headers
    ours = request_of(method, key, canonical_query(query.items()), sent, body)
    head = head_of(ours, credentials, root, host)
    target = head.split(" ")[1]
    theirs, _ = boto_authorization(method, f"http://{host}{target}", dict(sent), body, credentials)
    assert headers_of(head)["authorization"].strip() == theirs
    for name, value in sent.items():
        assert headers_of(head)[name] == value.strip()


@given(
    KEYS,
    st.dictionaries(
        st.text(string.ascii_letters + "-", min_size=1, max_size=8),
        st.text(string.printable.strip() + " ", max_size=20),
        max_size=4,
    ),
    st.sampled_from(["", "text/plain", "a/b; c=%s  d"]),
    st.sampled_from(["", "sha256", "crc32"]),
    TOKENS,
    st.booleans(),
)
def test_the_fast_path_of_put_signs_as_botocore_does(
    key: str, metadata: dict[str, str], content_type: str, checksum: str, token: str, conditional: bool
) -> None:
    credentials = Credentials("AKID", "secret", token)
    options = PutOptions(
        metadata=metadata, content_type=content_type, checksum=checksum, if_none_match=conditional
    )
    builder = RequestBuilder()
    writer = HeadWriter(Signer(credentials, "us-east-1"), "host:1", "/bucket/", "agent")
    for body in (b"one", b"another"):  # the second one finds everything worked out
        request = builder.put(key, body, options, md5=md5(body).digest(), sha256=sha256(body).hexdigest())
        head = writer.head(request, moment(SECONDS)).decode()
        ours = headers_of(head)
        unsigned = {"authorization", "content-length", "host", "user-agent", "x-amz-date"}
        unsigned |= {"x-amz-content-sha256", "x-amz-security-token"}
        given_ = {name: value for name, value in ours.items() if name not in unsigned}
        url = f"http://host:1{head.split(' ')[1]}"
        theirs, _ = boto_authorization("PUT", url, given_, body, credentials)
        assert ours["authorization"].strip() == theirs
        assert ours["content-length"].strip() == str(len(body))


def test_a_new_second_and_a_new_day_are_signed_anew() -> None:
    writer = HeadWriter(Signer(EXAMPLE, "us-east-1"), HOST, "/", "agent")
    request = request_of("GET", "test.txt", headers={"range": "bytes=0-9"})
    first = writer.head(request, moment(SECONDS + 86400)).decode()
    again = writer.head(request, moment(SECONDS)).decode()
    assert "20130525T000000Z" in first
    assert "/20130525/us-east-1/s3/aws4_request" in first
    assert signature_of(again).startswith("f0e8bdb8")


def test_a_shape_may_be_shared_by_writers() -> None:
    request = request_of("GET", "test.txt", headers={"range": "bytes=0-9"})
    here = HeadWriter(Signer(EXAMPLE, "us-east-1"), HOST, "/", "agent")
    there = HeadWriter(Signer(EXAMPLE, "eu-west-1"), "other", "/b/", "agent")
    before = here.head(request, moment(SECONDS))
    assert b"host:other\r\n" in there.head(request, moment(SECONDS))
    assert here.head(request, moment(SECONDS)) == before


def test_credentials_show_no_secret() -> None:
    shown = repr(Credentials("AKID", "s3cr3t", "t0ken"))
    assert "AKID" in shown
    assert "s3cr3t" not in shown
    assert "t0ken" not in shown


def test_white_space_is_folded_for_signing_alone() -> None:
    head = head_of(request_of("GET", "k", headers={"x-amz-meta-a": " x  y "}))
    assert headers_of(head)["x-amz-meta-a"] == "x  y"


def test_an_empty_body_has_its_digest() -> None:
    assert sha256().hexdigest() == EMPTY_SHA256
    assert moment(SECONDS) == (STAMP, "20130524")


def test_of_two_names_that_differ_in_case_alone_the_last_one_counts() -> None:
    options = PutOptions(metadata={"A": "1", "b": "2", "a": "3"})
    request = RequestBuilder().put("k", b"", options, md5=md5(b"").digest(), sha256=EMPTY_SHA256)
    headers = headers_of(head_of(request))
    assert (headers["x-amz-meta-a"], headers["x-amz-meta-b"]) == ("3", "2")
