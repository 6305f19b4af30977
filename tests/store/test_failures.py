"""What the endpoint answers, or fails to answer, becomes one clear exception of ours."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

import socket
from hashlib import md5
from typing import TYPE_CHECKING, Any

import aioboto3
import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from botocore import exceptions as boto_errors
from botocore.parsers import ResponseParserError

from aios3sync.core.parts import max_part_size_from_refusal
from aios3sync.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CredentialsError,
    IntegrityError,
    ListingError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreError,
    ThrottledError,
    UnavailableError,
)
from aios3sync.options import ConnectOptions
from aios3sync.store.body_progress import watched
from aios3sync.store.boto import BotoStore, map_errors, open_client
from aios3sync.store.protocol import CopySource, DeleteItem, ListedPart, PutOptions
from aios3sync.testing.http_server import CannedServer, error_body
from tests.store.canned import boto_store

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

SECRET = "s3cr3t-that-must-not-leak"
BODY = b"body"
MD5 = md5(BODY).digest()
PLAIN = PutOptions()
KEY = ConnectionKey("host", 80, is_ssl=False, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)


def session() -> aioboto3.Session:
    return aioboto3.Session(
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key=SECRET,
        aws_session_token="t0ken-that-must-not-leak",
        region_name="us-east-1",
    )


def served(**options: Any) -> AbstractAsyncContextManager[tuple[CannedServer, BotoStore]]:
    return boto_store(session(), **options)


def assert_clean(error: StoreError) -> None:
    """One line, with operation and bucket, and nothing that was signed or secret."""
    text = str(error)
    assert "\n" not in text
    assert "s3://bkt" in text
    for leak in (SECRET, "t0ken", "Signature=", "AKIAEXAMPLE", "X-Amz", "AWS4"):
        assert leak not in text


@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable"),
    [
        (403, "AccessDenied", AccessDeniedError, False),
        (403, "InvalidAccessKeyId", AccessDeniedError, False),
        (403, "SignatureDoesNotMatch", AccessDeniedError, False),
        (403, "RequestTimeTooSkewed", AccessDeniedError, False),
        (403, "InvalidObjectState", StoreError, False),
        (400, "ExpiredToken", CredentialsError, False),
        (400, "InvalidToken", CredentialsError, False),
        (404, "NoSuchBucket", BucketNotFoundError, False),
        (404, "NoSuchKey", ObjectNotFoundError, False),
        (404, "NoSuchUpload", ObjectNotFoundError, False),
        (412, "PreconditionFailed", PreconditionFailedError, False),
        (409, "ConditionalRequestConflict", PreconditionFailedError, False),
        (409, "OperationAborted", UnavailableError, True),
        (400, "BadDigest", IntegrityError, True),
        (400, "XAmzContentSHA256Mismatch", IntegrityError, True),
        (400, "RequestTimeout", UnavailableError, True),
        (400, "EntityTooLarge", StoreError, False),
        (429, "TooManyRequests", ThrottledError, True),
        (500, "InternalError", UnavailableError, True),
        (501, "NotImplemented", StoreError, False),
        (502, "BadGateway", UnavailableError, True),
        (503, "SlowDown", ThrottledError, True),
        (503, "ServiceUnavailable", ThrottledError, True),
        (200, "InternalError", UnavailableError, True),
        (200, "SlowDown", ThrottledError, True),
    ],
)
async def test_codes(status: int, code: str, kind: type[StoreError], *, retryable: bool) -> None:
    async with served() as (server, store):
        server.will(status, error_body(code, "some message"))
        with pytest.raises(StoreError) as caught:
            await store.copy(CopySource("a"), "key")
    error = caught.value
    assert type(error) is kind
    assert (error.code, error.retryable) == (code, retryable)
    assert (error.operation, error.bucket, error.key) == ("CopyObject", "bkt", "key")
    assert error.__cause__ is not None
    assert_clean(error)


async def test_the_way_out_is_named() -> None:
    async with served() as (server, store):
        for code, hint in {
            "SignatureDoesNotMatch": "check the credentials",
            "InvalidAccessKeyId": "check the credentials",
            "NoSuchBucket": "create it first",
            "RequestTimeTooSkewed": "clock",
            "ExpiredToken": "log in again",
        }.items():
            server.will(403, error_body(code, "whatever"))
            with pytest.raises(StoreError, match=hint):
                await store.list_page("")


@pytest.mark.parametrize("status", [403, 404, 503])
async def test_head_has_no_body_and_goes_by_status(status: int) -> None:
    kinds = {403: AccessDeniedError, 404: ObjectNotFoundError, 503: ThrottledError}
    async with served() as (server, store):
        server.will(status)
        with pytest.raises(kinds[status]) as caught:
            await store.head("key")
    assert caught.value.status == status


async def test_a_bare_404_of_a_put_is_not_a_missing_bucket() -> None:
    async with served() as (server, store):
        server.will(404)
        with pytest.raises(StoreError) as caught:
            await store.put("key", BODY, PLAIN, md5=MD5)
    assert type(caught.value) is StoreError


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        (
            {
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
                "Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT",
            },
            30.0,
        ),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
async def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    async with served() as (server, store):
        server.will(503, error_body("SlowDown"), headers)
        with pytest.raises(ThrottledError) as caught:
            await store.list_page("")
    assert caught.value.retry_after == seconds


async def test_another_region_is_named() -> None:
    async with served() as (server, store):
        body = error_body("AuthorizationHeaderMalformed", "wrong", Region="eu-west-1")
        for _ in range(4):  # botocore asks the bucket for its region, and gets the same
            server.will(400, body)
        with pytest.raises(StoreError, match="region eu-west-1; connect with that region"):
            await store.list_page("")


async def test_a_redirect_without_an_address_is_an_error() -> None:
    async with served() as (server, store):
        for _ in range(4):
            server.will(301, error_body("PermanentRedirect"))
        with pytest.raises(StoreError, match="another region"):
            await store.list_page("")


async def test_a_signature_in_the_endpoints_message_is_not_repeated() -> None:
    async with served() as (server, store):
        message = "you sent AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE, Signature=abc"
        server.will(400, error_body("InvalidRequest", message))
        with pytest.raises(StoreError) as caught:
            await store.list_page("")
    assert_clean(caught.value)


async def test_odd_characters_do_not_break_the_line() -> None:
    async with served() as (server, store):
        server.will(400, error_body("Odd", "two\nlines"))
        with pytest.raises(StoreError) as caught:
            await store.put("new\nline", BODY, PLAIN, md5=MD5)
    assert str(caught.value) == "PutObject s3://bkt/new\\nline: two lines (Odd)"


async def test_a_refused_connection() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with open_client(ConnectOptions(endpoint_url=f"http://127.0.0.1:{port}"), session()) as client:
        with pytest.raises(UnavailableError, match="cannot reach the endpoint") as caught:
            await BotoStore(client, "bkt").head("key")
    assert caught.value.code == "NoConnection"
    assert_clean(caught.value)


async def test_a_connection_that_breaks_may_have_been_carried_out() -> None:
    async with served() as (server, store):
        server.will(200, b"", {"Content-Length": "100"}, close=True)
        with pytest.raises(UnavailableError) as caught:
            await store.put("key", BODY, PLAIN, md5=MD5)
    assert caught.value.code == "ConnectionLost"
    assert_clean(caught.value)


async def test_a_silent_endpoint_times_out() -> None:
    async with served(read_timeout=0.05) as (server, store):
        server.will(hang=True)
        with pytest.raises(UnavailableError, match="no answer in time"):
            await store.put("key", BODY, PLAIN, md5=MD5)


async def test_a_cut_body_is_never_a_short_body() -> None:
    async with served() as (server, store):
        server.will(200, b"half", {"Content-Length": "8", "ETag": '"x"'}, close=True)
        with pytest.raises(UnavailableError):
            await store.get("key")


async def test_a_body_that_stops_times_out() -> None:
    async with served(read_timeout=0.05) as (server, store):
        server.will(200, b"half", {"Content-Length": "8"})
        with pytest.raises(UnavailableError):
            await store.get("key")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>please log in</body></html>",
        b"<ListBucketResult><Name>bkt</Name></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        (
            b"<ListBucketResult><IsTruncated>true</IsTruncated>"
            b"<NextContinuationToken></NextContinuationToken></ListBucketResult>"
        ),
        (
            b"<ListBucketResult><IsTruncated>false</IsTruncated>"
            b"<Contents><Size>1</Size></Contents></ListBucketResult>"
        ),
        (
            b"<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>"
            b"<Contents><Key>%FF</Key><Size>1</Size></Contents></ListBucketResult>"
        ),
    ],
)
async def test_a_listing_that_may_be_incomplete_is_an_error(body: bytes) -> None:
    async with served() as (server, store):
        server.will(200, body)
        with pytest.raises(ListingError) as caught:
            await store.list_page("")
    assert_clean(caught.value)


async def test_a_listing_that_goes_in_circles_is_an_error() -> None:
    page = (
        b"<ListBucketResult><IsTruncated>true</IsTruncated>"
        b"<NextContinuationToken>again</NextContinuationToken></ListBucketResult>"
    )
    async with served() as (server, store):
        server.will(200, page)
        server.will(200, page)
        first = await store.list_page("")
        with pytest.raises(ListingError):
            await store.list_page("", token=first.next_token)


@pytest.mark.parametrize("body", [b"<ListBucketResult><Contents>", b"garbage", b"\x00\xff"])
async def test_half_a_listing_is_an_error(body: bytes) -> None:
    async with served() as (server, store):
        server.will(200, body)
        with pytest.raises((ListingError, UnavailableError)):
            await store.list_page("")


@pytest.mark.parametrize(
    ("encoding", "written", "key"),
    [
        ("url", "a+b", "a b"),
        ("url", "a%20b", "a b"),
        ("url", "a%2Bb", "a+b"),
        ("url", "a%252Bb", "a%2Bb"),
        ("url", "a%0Db", "a\rb"),
        ("url", "%F0%9F%98%80", "\U0001f600"),
        ("url", "&apos;", "'"),
        ("", "a+b", "a+b"),
        ("", "a%2Bb", "a%2Bb"),
    ],
)
async def test_keys_of_a_listing_are_decoded_where_they_are_encoded(
    encoding: str, written: str, key: str
) -> None:
    said = f"<EncodingType>{encoding}</EncodingType>" if encoding else ""
    async with served() as (server, store):
        server.will(
            200,
            f"<ListBucketResult><IsTruncated>false</IsTruncated>{said}"
            f"<Contents><Key>{written}</Key><Size>5</Size><ETag>&quot;abc&quot;</ETag>"
            "<LastModified>2026-11-02T03:04:05.678Z</LastModified></Contents>"
            f"<CommonPrefixes><Prefix>{written}</Prefix></CommonPrefixes></ListBucketResult>".encode(),
        )
        page = await store.list_page("")
    (entry,) = page.entries
    assert (entry.key, entry.size, entry.etag) == (key, 5, "abc")
    assert entry.last_modified == pytest.approx(1793588645.678)
    assert page.prefixes == [key]


@pytest.mark.parametrize("etag", ["0" * 32, md5(b"other").hexdigest()])
async def test_a_wrong_etag_is_an_integrity_error(etag: str) -> None:
    async with served() as (server, store):
        server.will(200, headers={"ETag": f'"{etag}"'})
        with pytest.raises(IntegrityError):
            await store.put("key", BODY, PLAIN, md5=MD5)
        server.will(200, headers={"ETag": etag})
        with pytest.raises(IntegrityError):
            await store.put_part("key", "id", 1, BODY, PLAIN, md5=MD5)


@pytest.mark.parametrize(
    ("headers", "encryption"),
    [
        ({"ETag": f'"{MD5.hex()}"'}, ""),
        ({"ETag": MD5.hex()}, ""),
        ({"ETag": f'"{MD5.hex()}"', "x-amz-server-side-encryption": "AES256"}, "AES256"),
        ({"ETag": f'"{"0" * 32}"', "x-amz-server-side-encryption": "aws:kms"}, "aws:kms"),
        ({"ETag": f'"{"0" * 32}"', "x-amz-server-side-encryption": "aws:kms:dsse"}, "aws:kms:dsse"),
        ({"ETag": f'"{"0" * 32}"', "x-amz-server-side-encryption-customer-algorithm": "AES256"}, "SSE-C"),
        ({"ETag": '"not-a-digest"'}, ""),
    ],
)
async def test_an_etag_is_compared_only_where_it_is_an_md5(headers: dict[str, str], encryption: str) -> None:
    async with served() as (server, store):
        server.will(200, headers=headers)
        result = await store.put("key", BODY, PLAIN, md5=MD5)
    assert result.etag == headers["ETag"].strip('"')
    assert result.encryption == encryption


async def test_the_page_of_a_proxy_is_no_success() -> None:
    page, html = b"<html><body>please log in</body></html>", {"Content-Type": "text/html"}
    async with served() as (server, store):
        for request in (
            lambda: store.put("key", BODY, PLAIN, md5=MD5),
            lambda: store.put_part("key", "id", 1, BODY, PLAIN, md5=MD5),
            lambda: store.create_multipart("key", PLAIN),
            lambda: store.complete_multipart("key", "id", [ListedPart(1, "e", 1)], PLAIN),
            lambda: store.copy(CopySource("key"), "copy"),
            lambda: store.delete_many([DeleteItem("key")]),
        ):
            server.will(200, page, html)
            with pytest.raises(UnavailableError) as caught:
                await request()
            assert caught.value.code == "InvalidAnswer"
            assert_clean(caught.value)


async def test_an_error_in_a_200_answer_of_complete_raises() -> None:
    async with served() as (server, store):
        server.will(200, b'<?xml version="1.0"?>\n   ' + error_body("InternalError"))
        with pytest.raises(UnavailableError):
            await store.complete_multipart("key", "id", [ListedPart(1, "e", 1)], PLAIN)


async def test_the_etag_of_a_completed_upload_may_be_empty() -> None:
    async with served() as (server, store):
        server.will(200, b"<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>")
        result = await store.complete_multipart("key", "id", [ListedPart(1, "e", 1)], PLAIN)
    assert result.etag == ""


async def test_keys_that_were_not_deleted_are_reported() -> None:
    answer = (
        b"<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
        b"<Error><Key>b</Key><Code>NoSuchKey</Code></Error>"
        b"<Error><Key>c</Key><Code>SlowDown</Code></Error>"
        b"<Error><Key>d</Key><Code>InternalError</Code><Message>two\nlines</Message></Error></DeleteResult>"
    )
    async with served() as (server, store):
        server.will(200, answer)
        errors = await store.delete_many([DeleteItem(key) for key in "abcde"])
    assert [(error.key, error.code, error.retryable) for error in errors] == [
        ("a", "AccessDenied", False),
        ("c", "SlowDown", True),
        ("d", "InternalError", True),
    ]
    assert all("\n" not in error.message for error in errors)


async def test_a_key_that_goes_alone_fails_alone() -> None:
    async with served() as (server, store):
        server.will(403, error_body("AccessDenied"))
        (error,) = await store.delete_many([DeleteItem("control\x01")])
    assert (error.key, error.code, error.retryable) == ("control\x01", "AccessDenied", False)


async def test_pages_of_parts_are_put_together() -> None:
    def page(number: int, *, more: bool) -> bytes:
        following = f"<NextPartNumberMarker>{number}</NextPartNumberMarker>" if more else ""
        part = f"<Part><PartNumber>{number}</PartNumber><ETag>e</ETag><Size>9</Size></Part>"
        truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        return f"<ListPartsResult>{truncated}{following}{part}</ListPartsResult>".encode()

    async with served() as (server, store):
        server.will(200, page(1, more=True))
        server.will(200, page(2, more=False))
        parts = await store.list_parts("key", "id")
        assert parts == [ListedPart(1, "e", 9), ListedPart(2, "e", 9)]
        server.will(200, page(1, more=True))
        server.will(200, page(1, more=True))
        with pytest.raises(ListingError):
            await store.list_parts("key", "id")


async def test_a_part_with_two_etags_is_left_out() -> None:
    parts = b"".join(
        b"<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><Size>9</Size></Part>" % part
        for part in [(1, b"e"), (2, b"old"), (2, b"new"), (3, b"f"), (3, b"f")]
    )
    async with served() as (server, store):
        server.will(200, b"<ListPartsResult>" + parts + b"</ListPartsResult>")
        assert await store.list_parts("key", "id") == [ListedPart(1, "e", 9), ListedPart(3, "f", 9)]


async def test_a_server_that_ignores_ranges_is_corrected() -> None:
    async with served() as (server, store):
        server.will(200, b"0123456789")
        assert (await store.get("key", start=3, length=4)).body == b"3456"


async def test_aws_chunked_is_no_content_encoding() -> None:
    async with served() as (server, store):
        server.will(200, b"", {"Content-Encoding": "aws-chunked"})
        assert (await store.get("key")).head.content_encoding == ""


@pytest.mark.parametrize(
    "error",
    [
        boto_errors.NoCredentialsError(),
        boto_errors.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        boto_errors.CredentialRetrievalError(provider="process", error_msg="exit 1"),
        boto_errors.ProfileNotFound(profile="nobody"),
        boto_errors.SSOTokenLoadError(profile_name="sso", error_msg="expired"),
        boto_errors.UnauthorizedSSOTokenError(),
        boto_errors.TokenRetrievalError(provider="sso", error_msg="expired"),
        boto_errors.ClientError(
            {"Error": {"Code": "AccessDenied", "Message": "no"}}, operation_name="AssumeRole"
        ),
    ],
    ids=lambda error: type(error).__name__,
)
def test_credentials(error: Exception) -> None:
    with pytest.raises(CredentialsError) as caught, map_errors("PutObject", "bkt", "key"):
        raise error
    assert caught.value.__cause__ is error
    assert_clean(caught.value)


def test_a_profile_that_is_missing_is_named_with_the_way_out() -> None:
    said = r"\(nobody\).*AWS_PROFILE has to name one of"
    with pytest.raises(CredentialsError, match=said), map_errors("opening the S3 client", ""):
        raise boto_errors.ProfileNotFound(profile="nobody")


@pytest.mark.parametrize(
    ("operation", "kind"),
    [("ListObjectsV2", ListingError), ("ListParts", ListingError), ("DeleteObjects", UnavailableError)],
)
def test_an_answer_that_is_no_xml(operation: str, kind: type[StoreError]) -> None:
    with pytest.raises(kind), map_errors(operation, "bkt"):
        raise ResponseParserError("unable to parse: <secret>")


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (aiohttp.ClientConnectorError(KEY, OSError(111, "Connection refused")), "NoConnection"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name or service not known")), "NoConnection"),
        (aiohttp.ClientOSError(104, "Connection reset by peer"), "ConnectionLost"),
        (aiohttp.ServerDisconnectedError(), "ConnectionLost"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_a_request_that_was_never_sent_was_certainly_not_carried_out(
    cause: Exception, code: str
) -> None:
    """A connection that breaks while a request is under way is reported under the same name."""
    error = boto_errors.EndpointConnectionError(endpoint_url="http://host", error=cause)
    with pytest.raises(UnavailableError) as caught, map_errors("PutObject", "bkt", "key"):
        raise error
    assert caught.value.code == code
    assert_clean(caught.value)


def test_a_password_of_a_proxy_is_not_repeated() -> None:
    url = "http://user:s3cr3t-that-must-not-leak@proxy"
    error = boto_errors.ProxyConnectionError(proxy_url=url, error=OSError(url))
    with pytest.raises(UnavailableError) as caught, map_errors("PutObject", "bkt", "key"):
        raise error
    assert_clean(caught.value)


def test_errors_of_our_own_pass() -> None:
    with pytest.raises(KeyError), map_errors("PutObject", "bkt", "key"):
        raise KeyError("a bug")


async def test_a_key_that_is_no_unicode_is_refused() -> None:
    async with served() as (_, store):
        with pytest.raises(StoreError, match="not valid Unicode"):
            await store.put("\udcff", BODY, PLAIN, md5=MD5)


async def test_a_bucket_name_that_cannot_be_is_refused() -> None:
    async with served() as (_, store):
        with pytest.raises(StoreError):
            await BotoStore(store._client, "s3://not a bucket").head("key")


class Watch:
    """Counts what a transport reports of a body."""

    def __init__(self) -> None:
        self.begun = 0
        self.sent_sizes: list[int] = []

    def begin(self) -> None:
        self.begun += 1
        self.sent_sizes.clear()

    def sent(self, size: int) -> None:
        self.sent_sizes.append(size)


@pytest.mark.parametrize("said", ["", "Your proposed upload exceeds the maximum allowed size"])
async def test_the_limit_of_what_is_too_large_is_in_the_message(said: str) -> None:
    """Its number is an element of its own: that of a part that an endpoint takes at most."""
    async with served() as (server, store):
        server.will(400, error_body("EntityTooLarge", said, MaxSizeAllowed="7340032"))
        with pytest.raises(StoreError, match="at most 7340032 bytes") as caught:
            await store.put_part("key", "id", 1, b"body", PLAIN, md5=md5(b"body").digest())
    assert said in caught.value.message
    assert max_part_size_from_refusal(caught.value.message, 16 * 2**20, 2**20) == 7340032


@pytest.mark.parametrize("verb", ["put", "put_part"])
async def test_a_large_body_is_reported_once(verb: str) -> None:
    """It is read three times, to be signed and to be sent: only what is sent counts.

    That it is counted piece by piece, as it leaves, is tested on a slow line.
    """
    body = bytes(3 * 2**20)
    digest, watch = md5(body), Watch()
    async with served() as (server, store):
        for _ in range(2):
            server.will(200, b"", {"ETag": f'"{digest.hexdigest()}"'})
            with watched(watch):
                if verb == "put":
                    await store.put("key", body, PLAIN, md5=digest.digest())
                else:
                    await store.put_part("key", "id", 1, memoryview(body), PLAIN, md5=digest.digest())
            assert sum(watch.sent_sizes) == len(body)
            assert server.requests[-1].body == body
    assert watch.begun == 2
