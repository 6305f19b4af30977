"""Messages of the endpoint are shown, with the option that they are about; credentials are not."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

from base64 import b64encode
from functools import partial
from hashlib import md5
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aios3sync.store.boto  # noqa: F401 - loaded before the loop runs
from aios3sync import connect
from aios3sync.errors import StoreError
from aios3sync.store.protocol import DeleteItem, PutOptions
from aios3sync.store.s3.errors import ErrorAnswer, error_from, safe_words
from aios3sync.store.s3.redaction import quotes_secret, register_credentials, register_secrets
from aios3sync.testing.http_server import CannedRequest, canned_server, error_body

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "s3cr3t/of+the/words"
TOKEN = "t0ken-of-the-words-that-is-long=="
KEY_ID = "AKIAWORDSEXAMPLE"
BODY = b"body"
MD5 = md5(BODY).digest()
PLAIN = PutOptions()
CUSTOMER_KEY = bytes(range(32))

each_lane = pytest.mark.parametrize("lane", ["wire", "boto"])


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials of these tests."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


async def refused(
    lane: Any, options: PutOptions, answer: Callable[[CannedRequest], tuple[int, bytes]], *, large: bool
) -> StoreError:
    """What a refused upload raises."""
    async with canned_server() as server, connect(endpoint_url=server.url, lane=lane) as s3:
        server.judge = answer
        store = await s3.store("bkt")
        sending = store.create_multipart if large else partial(store.put, body=BODY, md5=MD5)
        with pytest.raises(StoreError) as raised:
            await sending("a.txt", options=options)
    return raised.value


OPTIONS = [
    (PutOptions(tags={"a": "b"}), "--tag", 501, "NotImplemented", "Header 'x-amz-tagging' not implemented"),
    (PutOptions(acl="public-read"), "--acl", 400, "InvalidArgument", "Unsupported canned acl in x-amz-acl"),
    (PutOptions(acl="public-read"), "--acl", 400, "AccessControlListNotSupported", "No ACLs here"),
    (PutOptions(sse="aws:kms"), "--sse", 400, "InvalidArgument", "x-amz-server-side-encryption: no"),
    (PutOptions(sse="aws:kms"), "--sse", 400, "KMS.DisabledException", "The key is disabled"),
    (
        PutOptions(sse="aws:kms", sse_kms_key_id="k"),
        "--sse-kms-key-id",
        400,
        "KMS.NotFoundException",
        "Invalid keyId",
    ),
    (
        PutOptions(sse_customer_key=CUSTOMER_KEY),
        "--sse-c-key-file",
        501,
        "NotImplemented",
        "x-amz-server-side-encryption-customer-algorithm",
    ),
    (PutOptions(storage_class="GLACIER"), "--storage-class", 400, "InvalidStorageClass", "not valid"),
    (PutOptions(metadata={"a": "b"}), "--metadata", 400, "MetadataTooLarge", "Your metadata is too large"),
    (PutOptions(cache_control="no"), "--cache-control", 400, "InvalidArgument", "Bad Cache-Control"),
    (PutOptions(request_payer="requester"), "--request-payer", 501, "NotImplemented", "x-amz-request-payer"),
]


@each_lane
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize(("options", "option", "status", "code", "message"), OPTIONS)
async def test_the_option_that_is_refused_is_named(
    lane: Any, options: PutOptions, option: str, status: int, code: str, message: str, *, large: bool
) -> None:
    error = await refused(lane, options, lambda _: (status, error_body(code, message)), large=large)
    assert f"the endpoint refuses {option}: " in str(error)
    assert message in str(error)
    assert str(error).endswith(f"({code})")


@each_lane
async def test_a_checksum_that_is_refused_is_named(lane: Any) -> None:
    message = "Unsupported header 'x-amz-checksum-sha256' received for this API call"
    options = PutOptions(checksum="sha256")
    error = await refused(lane, options, lambda _: (400, error_body("InvalidArgument", message)), large=False)
    assert "the endpoint refuses --checksum: " in str(error)
    assert message in str(error)


@each_lane
async def test_an_option_that_was_not_given_is_not_named(lane: Any) -> None:
    message = "the policy demands x-amz-server-side-encryption"
    error = await refused(lane, PLAIN, lambda _: (400, error_body("InvalidRequest", message)), large=False)
    assert "--sse" not in str(error)
    assert message in str(error)


@each_lane
@pytest.mark.parametrize(
    "quoted",
    [SECRET, TOKEN, KEY_ID, quote(SECRET, safe=""), quote(TOKEN, safe=""), TOKEN[:20] + "..."],
    ids=["secret", "token", "key id", "encoded secret", "encoded token", "half a token"],
)
async def test_a_message_that_quotes_our_credentials_is_not_shown(lane: Any, quoted: str) -> None:
    message = f"you sent {quoted}, which is not right"
    error = await refused(lane, PLAIN, lambda _: (400, error_body("Odd", message)), large=False)
    assert quoted not in str(error)
    assert "refused with status 400 (Odd)" in str(error)


@each_lane
async def test_a_signature_is_left_out(lane: Any) -> None:
    seen = []

    def quoting(request: CannedRequest) -> tuple[int, bytes]:
        signature = request.headers["authorization"].rpartition("Signature=")[2]
        seen.append(signature)
        return 400, error_body("Odd", f"the signature {signature} is not the one of x-amz-date")

    error = await refused(lane, PLAIN, quoting, large=False)
    assert len(seen[0]) == 64
    assert seen[0] not in str(error)
    assert "the signature ... is not the one of x-amz-date" in str(error)


@each_lane
async def test_keys_that_are_not_deleted_tell_no_secret_either(lane: Any) -> None:
    errors = [("a", "the x-amz-thing is wrong"), ("b", f"you sent {SECRET}")]
    listed = "".join(
        f"<Error><Key>{key}</Key><Code>Odd</Code><Message>{message}</Message></Error>"
        for key, message in errors
    )
    async with canned_server() as server, connect(endpoint_url=server.url, lane=lane) as s3:
        server.will(200, f"<DeleteResult>{listed}</DeleteResult>".encode())
        store = await s3.store("bkt")
        found = await store.delete_many([DeleteItem("a"), DeleteItem("b")])
    assert [error.message for error in found] == ["the x-amz-thing is wrong", "Odd"]


@each_lane
async def test_the_key_of_a_customer_is_not_shown(lane: Any) -> None:
    encoded = b64encode(CUSTOMER_KEY).decode()
    async with canned_server() as server, connect(endpoint_url=server.url, lane=lane) as s3:
        server.will(400, error_body("Odd", f"the key {encoded} is wrong"))
        store = await s3.store("bkt", sse_customer_key=CUSTOMER_KEY)
        with pytest.raises(StoreError) as raised:
            await store.get("key")
    assert encoded not in str(raised.value)


@given(words=st.text(max_size=80), secret=st.text(min_size=8, max_size=60))
def test_no_words_hold_a_secret(words: str, secret: str) -> None:
    register_secrets(secret)
    assert secret not in safe_words(f"{words}{secret}{words}")


def test_a_short_secret_is_looked_for_as_a_word() -> None:
    register_secrets("qz7")
    assert quotes_secret("you sent qz7.")
    assert not quotes_secret("aqz7b")


@pytest.mark.parametrize("word", ["test", "a", "1", "secret", "-"])
def test_a_word_of_prose_is_no_secret(word: str) -> None:
    register_secrets(word)
    assert not quotes_secret(f"this is {word} of 3")


def test_an_access_key_id_that_somebody_chose_is_no_secret() -> None:
    register_credentials("minioadmin", "minio-secret", None)
    assert not quotes_secret("the user minioadmin may not do that")
    assert quotes_secret("the user has minio-secret")
    register_credentials(KEY_ID, "minio-secret", None)
    assert quotes_secret(f"the user {KEY_ID} may not do that")


@pytest.mark.parametrize(
    ("operation", "right"),
    [
        ("ListObjectsV2", "s3:ListBucket"),
        ("PutObject", "s3:PutObject"),
        ("UploadPart", "s3:PutObject"),
        ("HeadObject", "s3:GetObject"),
        ("DeleteObjects", "s3:DeleteObject"),
    ],
)
@pytest.mark.parametrize("code", ["AccessDenied", "403"])
def test_the_right_that_is_missing_is_named(operation: str, right: str, code: str) -> None:
    error = error_from(operation, "bkt", None, ErrorAnswer(code, 403, "Access Denied", {}))
    assert f"Access Denied; this needs the right {right} ({code})" in str(error)


def test_a_right_that_the_endpoint_names_is_named_once() -> None:
    message = "User: arn:aws:iam::1:user/u is not authorized to perform: s3:PutObject"
    error = error_from("PutObject", "bkt", "key", ErrorAnswer("AccessDenied", 403, message, {}))
    assert str(error).count("s3:PutObject") == 1


@each_lane
async def test_options_of_a_put_may_need_more_rights(lane: Any) -> None:
    options = PutOptions(acl="public-read", tags={"a": "b"})
    error = await refused(lane, options, lambda _: (403, error_body("AccessDenied", "No")), large=False)
    assert "s3:PutObject, and" in str(error)
    assert "s3:PutObjectAcl and s3:PutObjectTagging" in str(error)
