"""Both transports agree: the same requests for the same calls, the same values and errors for answers."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

import string
from contextlib import suppress
from hashlib import md5, sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree.ElementTree import canonicalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.errors import IntegrityError, ListingError, StoreError, ThrottledError, UnavailableError
from aios3sync.store.protocol import (
    CopySource,
    DeleteItem,
    ListedPart,
    ObjectStore,
    PutOptions,
    RestoreRequest,
)
from aios3sync.store.wire.requests import object_path
from aios3sync.testing.http_server import CannedRequest, canned_server, error_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PLAIN = PutOptions()
BODY = b"body"
MD5 = md5(BODY).digest()
CUSTOMER_KEY = bytes(range(32))

FULL = PutOptions(
    content_type="text/plain; charset=utf-8",
    content_encoding="gzip",
    cache_control="no-cache",
    content_disposition='attachment; filename="two  spaces"',
    content_language="de",
    expires="Wed, 21 Oct 2026 07:28:00 GMT",
    metadata={"Mtime": "1.5", "b": "x  y", "a": "%s"},
    storage_class="STANDARD_IA",
    sse="aws:kms",
    sse_kms_key_id="key-id",
    acl="private",
    tags={"a": "b c", "d": "&"},
    checksum="sha256",
    request_payer="requester",
    if_match="etag",
)
OPTIONS = [
    PLAIN,
    FULL,
    PutOptions(if_none_match=True),
    PutOptions(sse="AES256", metadata={"mtime": "1"}),
    PutOptions(sse_customer_key=CUSTOMER_KEY, checksum="crc32"),
    PutOptions(content_type="text/plain", checksum="sha1", metadata={"only": "ascii ~"}),
    PutOptions(metadata={"50%": "1", "%s": "%", "%d%%x": "%s", "a%20b": "c%2Fd"}),
]


def put(options: PutOptions, key: str = "key") -> Callable[[ObjectStore], Awaitable[Any]]:
    return lambda store: store.put(key, BODY, options, md5=MD5)


def part(options: PutOptions) -> Callable[[ObjectStore], Awaitable[Any]]:
    return lambda store: store.put_part("key", "up/load+id", 7, BODY, options, md5=MD5)


PARTS = [ListedPart(1, "e<&>\"'", 3, "Y2hlY2s="), ListedPart(2, "f-2", 4, "")]
ODD = "p +%/é&?#\x01"


def copy(
    options: PutOptions | None, *, keep_metadata: bool = False, **given: Any
) -> Callable[[ObjectStore], Awaitable[Any]]:
    source = CopySource("a +é/%?", **given)
    return lambda store: store.copy(source, "key", options, keep_metadata=keep_metadata)


def copy_part(options: PutOptions, **given: Any) -> Callable[[ObjectStore], Awaitable[Any]]:
    source = CopySource("a +é/%?", **{"start": 3, "length": 4} | given)
    return lambda store: store.copy_part(source, "key", "up/load+id", 7, options)


def begin(options: PutOptions) -> Callable[[ObjectStore], Awaitable[Any]]:
    return lambda store: store.create_multipart("key", options)


def finish(options: PutOptions) -> Callable[[ObjectStore], Awaitable[Any]]:
    return lambda store: store.complete_multipart("key", "up/load+id", PARTS, options)


RARE: dict[str, Callable[[ObjectStore], Awaitable[Any]]] = {
    "CopyObject": copy(None),
    "UploadPartCopy": copy_part(PLAIN),
    "GetObjectTagging": lambda store: store.tags("a key"),
    "GetObjectAcl": lambda store: store.acl("a key"),
    "RestoreObject": lambda store: store.restore("a key", RestoreRequest("standard", 7)),
    "CreateMultipartUpload": begin(PLAIN),
    "CompleteMultipartUpload": finish(PLAIN),
    "AbortMultipartUpload": lambda store: store.abort_multipart("key", "up/load+é"),
    "ListParts": lambda store: store.list_parts("a key", "up/load+id"),
    "ListMultipartUploads": lambda store: store.list_multiparts(ODD),
    "GetBucketVersioning": lambda store: store.versioning(),
    "ListObjectVersions": lambda store: store.list_versions_page(ODD),
}
"""Every verb that one run in a thousand needs, by its operation."""

CALLS: list[Callable[[ObjectStore], Awaitable[Any]]] = [
    *RARE.values(),
    *(copy(options) for options in OPTIONS),
    copy(None, etag="etag"),
    copy(FULL, etag="etag"),
    *(copy(options, keep_metadata=True) for options in OPTIONS),
    copy(None, bucket="other.bucket", etag="etag"),
    copy(PLAIN, bucket="arn:aws:s3:eu-west-1:123456789012:accesspoint/point"),
    copy(FULL, bucket="other", customer_key=bytes(32)),
    copy(FULL, customer_key=b""),
    *(copy_part(options) for options in OPTIONS),
    copy_part(PLAIN, bucket="other", etag="etag"),
    copy_part(FULL, bucket="other", customer_key=bytes(32)),
    copy_part(FULL, customer_key=b"", start=0, length=5 * 2**30),
    copy(None, version_id="v.1_-"),
    copy(FULL, version_id="v1", bucket="other", etag="etag"),
    copy_part(PLAIN, version_id="v.1_-"),
    lambda store: store.head_part("a key", 3),
    lambda store: store.head_part("a key", 3, version_id="v+/ 1"),
    lambda store: store.tags("a key", version_id="v+/ 1"),
    lambda store: store.restore("a +é/%?", RestoreRequest("expedited", 1, "v+/ 1")),
    lambda store: store.restore("key", RestoreRequest("bulk")),
    *(begin(options) for options in OPTIONS),
    *(finish(options) for options in OPTIONS),
    lambda store: store.complete_multipart("key", "id", [], PLAIN),
    lambda store: store.list_multiparts(""),
    lambda store: store.list_versions_page("", token=("a b+\x01", "v+/1"), max_keys=7),
    lambda store: store.list_versions_page("", token=("a", "")),
    *(put(options) for options in OPTIONS),
    *(part(options) for options in OPTIONS),
    lambda store: store.get("a key"),
    lambda store: store.get("key", start=3),
    lambda store: store.get("key", start=3, length=4, if_match="etag"),
    lambda store: store.get("key", if_none_match="etag"),
    lambda store: store.get("key", start=3, length=4, if_match="etag", version_id="v+/ 1"),
    lambda store: store.get("a key", version_id="v1"),
    lambda store: store.head("key"),
    lambda store: store.head("key", version_id="v+/ 1", checksums=True),
    lambda store: store.list_page(""),
    lambda store: store.list_page("p +%/é", delimiter="/", start_after="a&b", max_keys=7),
    lambda store: store.list_page("p", token="to+ken/=="),
    lambda store: store.list_page("p", restores=True),
    lambda store: store.delete_many([DeleteItem("a<b>&\r\n\t\"'"), DeleteItem("é", '"etag"')]),
    lambda store: store.delete_many([DeleteItem("control\x01", "etag")]),
]

# What has no part in the meaning of a request.
_PASSING = {"authorization", "x-amz-date", "amz-sdk-invocation-id", "amz-sdk-request", "accept"}
_PASSING |= {"accept-encoding", "connection", "expect", "content-length"}
_SDK = {"amz-sdk-invocation-id", "amz-sdk-request"}
_DECLARATIONS = (b'<?xml version="1.0" encoding="UTF-8"?>', b'<?xml version="1.0" encoding="utf-8"?>')


def meaning(request: CannedRequest) -> Any:
    """Method, path, query, headers, the names of those that are signed, and the body."""
    parts = urlsplit(request.path)
    headers = {name: value for name, value in request.headers.items() if name not in _PASSING}
    signed = {*request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")}
    body = request.body
    if parts.query.startswith("delete"):
        # An XML declaration and the place of Quiet are a matter of taste.
        for declaration in _DECLARATIONS:
            body = body.removeprefix(declaration).lstrip()
        for name in ("content-md5", "content-type", "x-amz-content-sha256"):
            headers.pop(name, None)
            signed.discard(name)
    elif request.method == "POST" and body:
        body = canonicalize(body).encode()  # how an empty element is written is one as well
        headers.pop("x-amz-content-sha256")
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    return request.method, parts.path, query, headers, signed - _SDK, body


def stored_parts(request: CannedRequest) -> tuple[int, bytes] | None:
    """The one answer that another request follows: completing asks for checksums that it does not know."""
    if request.method == "GET" and "uploadId=" in request.path:
        found = "<Part><PartNumber>2</PartNumber><Size>4</Size><ChecksumSHA1>c3RvcmVk</ChecksumSHA1></Part>"
        return 200, f"<ListPartsResult>{found}</ListPartsResult>".encode()
    return None


@pytest.mark.parametrize("reading", [False, True])
@pytest.mark.parametrize("call", CALLS)
async def test_requests(opened: Any, call: Any, *, reading: bool) -> None:
    own = {"sse_customer_key": CUSTOMER_KEY, "request_payer": "requester"} if reading else {}
    async with canned_server() as server, opened(server.url, reading=own) as wire:
        server.judge = stored_parts
        said = []
        for store in (wire.store, wire.boto):
            with suppress(ListingError, UnavailableError):  # of the empty answer
                await call(store)
            said.append([meaning(request) for request in server.requests])
            server.requests.clear()
    assert said[0] == said[1]
    assert said[0]


async def test_bodies_carry_their_digests(opened: Any) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        for size in (0, 4096, 3 * 2**20):
            body = bytes(size)
            await wire.store.put("key", body, PLAIN, md5=md5(body).digest())
            await wire.store.put_part("key", "id", 1, body, PLAIN, md5=md5(body).digest())
        server.will(200, b"<DeleteResult/>")
        await wire.store.delete_many([DeleteItem("a")])
        for request in server.requests:
            assert request.headers["x-amz-content-sha256"] == sha256(request.body).hexdigest()
            assert request.headers["content-length"] == str(len(request.body))
            assert "transfer-encoding" not in request.headers
            assert "expect" not in request.headers
            assert "aios3sync" in request.headers["user-agent"]


@given(key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_keys_are_what_they_are(key: str) -> None:
    path = object_path(key)
    assert unquote(path, errors="strict") == key
    assert set(path) <= set(string.ascii_letters + string.digits + "/-_.~%")


def whole(*contents: str, more: str = "<IsTruncated>false</IsTruncated>") -> bytes:
    return f"<ListBucketResult>{more}{''.join(contents)}</ListBucketResult>".encode()


def entry(key: str, size: str = "5", more: str = "") -> str:
    return f"<Contents><Key>{key}</Key><Size>{size}</Size>{more}</Contents>"


ERRORS: list[tuple[int, bytes, dict[str, str]]] = [
    *(
        (status, error_body(code, "what it says"), {})
        for status, code in [
            (403, "AccessDenied"),
            (403, "InvalidAccessKeyId"),
            (403, "SignatureDoesNotMatch"),
            (403, "InvalidObjectState"),
            (409, "RestoreAlreadyInProgress"),
            (503, "GlacierExpeditedRetrievalNotAvailable"),
            (400, "ExpiredToken"),
            (404, "NoSuchBucket"),
            (404, "NoSuchKey"),
            (412, "PreconditionFailed"),
            (409, "ConditionalRequestConflict"),
            (409, "OperationAborted"),
            (400, "BadDigest"),
            (400, "RequestTimeout"),
            (429, "TooManyRequests"),
            (500, "InternalError"),
            (501, "NotImplemented"),
            (503, "SlowDown"),
        ]
    ),
    (404, b"", {}),
    (502, b"<html>bad gateway</html>", {"Content-Type": "text/html"}),
    (503, error_body("SlowDown", "slow down"), {"Retry-After": "7"}),
    (400, error_body("Odd", "two\nlines, Signature=abc"), {}),
    (418, b"\x00\xff", {}),
]


async def outcome(call: Any, store: ObjectStore) -> Any:
    try:
        return await call(store)
    except StoreError as error:
        return type(error), error.code, error.status, error.retryable, error.retry_after, str(error)


@pytest.mark.parametrize("answer", ERRORS, ids=lambda answer: f"{answer[0]} {answer[1][13:30]!r}")
async def test_refusals(opened: Any, answer: tuple[int, bytes, dict[str, str]]) -> None:
    calls = [put(PLAIN), part(PLAIN), *RARE.values(), *CALLS[-9:]]
    async with canned_server() as server, opened(server.url) as wire:
        for call in calls:
            said = []
            for store in (wire.store, wire.boto):
                server.will(*answer)
                said.append(await outcome(call, store))
            assert said[0] == said[1]


FACTS = {
    "ETag": '"abc"',
    "Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT",
    "Content-Type": "text/plain",
    "Content-Encoding": "aws-chunked, gzip",
    "x-amz-meta-Mtime": "1.5",
    "x-amz-meta-b": "two  spaces",
    "x-amz-server-side-encryption": "AES256",
    "x-amz-storage-class": "GLACIER",
    "Cache-Control": "no-cache",
    "Content-Disposition": 'attachment; filename="x"',
    "Content-Language": "de",
    "Expires": "Wed, 21 Oct 2026 07:28:00 GMT",
    "x-amz-tagging-count": "2",
}
UNDELETED = (
    b"<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
    b"<Error><Key>b</Key><Code>NoSuchKey</Code></Error><Error><Key>c</Key><Code>SlowDown</Code>"
    b"</Error><Error><Key>d</Key><Code>InternalError</Code><Message>two\nlines</Message></Error>"
    b"</DeleteResult>"
)
SPACED = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/'
    b'2006-03-01/"><IsTruncated>false</IsTruncated><Contents><Key>k</Key><Size>1</Size></Contents>'
    b"<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>"
)
PREFIXED = (
    b'<n:ListBucketResult xmlns:n="u"><n:IsTruncated>false</n:IsTruncated><n:Contents><n:Key>k</n:Key>'
    b"<n:Size>1</n:Size></n:Contents></n:ListBucketResult>"
)
EXPIRY = "<RestoreExpiryDate>2026-11-02T03:04:05.678Z</RestoreExpiryDate>"
RESTORES = (
    "<IsRestoreInProgress>true</IsRestoreInProgress>",
    f"<IsRestoreInProgress>false</IsRestoreInProgress>{EXPIRY}",
    "<IsRestoreInProgress>false</IsRestoreInProgress>",
    "",
)
RIGHT = {"ETag": f'"{MD5.hex()}"'}
OPAQUE = {"ETag": f'"{"0" * 32}"'}
ANSWERS: list[tuple[Any, tuple[int, bytes, dict[str, str]]]] = [
    (put(PLAIN), (200, b"", RIGHT)),
    (put(PLAIN), (200, b"", {"ETag": MD5.hex()})),
    (put(PLAIN), (200, b"", RIGHT | {"x-amz-server-side-encryption": "AES256", "x-amz-version-id": "v"})),
    (put(PLAIN), (200, b"", OPAQUE | {"x-amz-server-side-encryption": "aws:kms"})),
    (put(PLAIN), (200, b"", OPAQUE | {"x-amz-server-side-encryption-customer-algorithm": "AES256"})),
    (put(PLAIN), (200, b"", OPAQUE)),
    (put(PLAIN), (200, b"", {"ETag": '"no digest"'})),
    (part(PutOptions(checksum="sha256")), (200, b"", RIGHT)),
    (part(PLAIN), (200, b"", OPAQUE)),
    (lambda store: store.head("key"), (200, b"12345", FACTS)),
    (lambda store: store.get("key"), (200, b"12345", FACTS)),
    (lambda store: store.head("key"), (200, b"", {"Expires": "never"})),
    (lambda store: store.head_part("key", 2), (206, b"12345", FACTS | {"x-amz-mp-parts-count": "3"})),
    (lambda store: store.head_part("key", 1), (200, b"12345", FACTS)),
    *(
        (
            lambda store: store.head("key", checksums=True),
            (200, b"", FACTS | {f"x-amz-checksum-{name}": text}),
        )
        for name, text in {
            "crc32": "NSRBwg==",
            "crc32c": "Nks/tw==",
            "crc64nvme": "BeXKuz/B+us=",
            "sha1": "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
            "sha256": "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=-3",
        }.items()
    ),
    (
        lambda store: store.head("key", checksums=True),
        (200, b"", {"x-amz-checksum-crc32": "NSRBwg==-2", "x-amz-checksum-type": "COMPOSITE"}),
    ),
    (
        lambda store: store.head("key", checksums=True),
        (200, b"", {"x-amz-checksum-crc32": "NSRBwg==", "x-amz-checksum-type": "FULL_OBJECT"}),
    ),
    (lambda store: store.head("key"), (200, b"", FACTS | {"x-amz-version-id": "v1"})),
    (lambda store: store.restore("key", RestoreRequest("bulk", 1)), (200, b"", {})),
    (lambda store: store.restore("key", RestoreRequest("bulk", 1)), (202, b"", {})),
    (lambda store: store.get("key", start=2, length=2), (200, b"12345", {})),
    (lambda store: store.get("key", start=1), (206, b"2345", FACTS | {"Content-Range": "bytes 1-4/5"})),
    (lambda store: store.get("key"), (200, b"<Error><Code>a body</Code></Error>", {})),
    (
        lambda store: store.delete_many([DeleteItem(key) for key in "abc"]),
        (
            200,
            UNDELETED,
            {},
        ),
    ),
    *(
        (lambda store: store.list_page(""), (200, body, {}))
        for body in [
            whole(),
            whole(entry("a+b"), entry("a%2Bb", "0")),
            whole("<EncodingType>url</EncodingType>", entry("a+b%20%F0%9F%98%80"), entry("&apos;%0D")),
            whole(entry("k", more="<ETag>&quot;e&quot;</ETag><StorageClass>GLACIER</StorageClass>")),
            whole(entry("k", more="<LastModified>2026-11-02T03:04:05.678Z</LastModified>")),
            whole(entry("k", more="<LastModified>2026-11-02T03:04:05+01:00</LastModified>")),
            whole(entry("k", more="<Owner><ID>i</ID><DisplayName>d</DisplayName></Owner>")),
            whole(entry("k", more="<ChecksumAlgorithm>CRC32</ChecksumAlgorithm>"), entry("l")),
            whole(entry("a"), "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>", entry("z")),
            whole(entry("k&amp;&lt;&#233;&#xD;\n")),
            whole("\n  ", entry("k"), "\n  "),
            *(whole(entry("k", more=f"<RestoreStatus>{status}</RestoreStatus>")) for status in RESTORES),
            whole(
                *(
                    entry(f"k{n}", more=f"\n<RestoreStatus>{s}</RestoreStatus>")
                    for n, s in enumerate(RESTORES)
                )
            ),
            whole(
                entry("k"),
                more="<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>",
            ),
            SPACED,
            PREFIXED,
        ]
    ),
]


@pytest.mark.parametrize(("call", "answer"), ANSWERS)
async def test_answers(opened: Any, call: Any, answer: tuple[int, bytes, dict[str, str]]) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        said = []
        for store in (wire.store, wire.boto):
            server.will(*answer)
            said.append(await outcome(call, store))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>please log in</body></html>",
        b"<ListBucketResult><Name>bkt</Name></ListBucketResult>",
        b"<ListBucketResult><Contents>",
        b"garbage",
        b"\x00\xff",
        b"<DeleteResult/>",
        whole(more="<IsTruncated>maybe</IsTruncated>"),
        whole(more="<IsTruncated>true</IsTruncated>"),
        whole(more="<IsTruncated>true</IsTruncated><NextContinuationToken></NextContinuationToken>"),
        whole(more="<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>"),
        whole("<Contents><Size>1</Size></Contents>"),
        whole("<Contents><Key>k</Key></Contents>"),
        whole(entry("k", "-1")),
        whole(entry("k", "1_0")),
        whole(entry("k", str(2**63))),
        whole(entry("k", "٣")),
        whole(entry("k", more="<LastModified>yesterday</LastModified>")),
        whole("<EncodingType>url</EncodingType>", entry("%FF")),
        b'<!DOCTYPE x [<!ENTITY e "boom">]>' + whole(entry("&e;")),
        "<?xml version='1.0' encoding='utf-16'?><!DOCTYPE x>".encode("utf-16") + whole(),
        whole(entry("k")) + whole(entry("l")),
        whole(entry("k"))[:-1],
    ],
)
async def test_a_listing_that_may_be_incomplete_is_an_error(opened: Any, body: bytes) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        server.will(200, body)
        with pytest.raises(ListingError) as caught:
            await wire.store.list_page("", token="again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 204])
async def test_an_error_in_the_body_of_a_success_is_an_error(opened: Any, status: int) -> None:
    body = b'<?xml version="1.0"?>\n   ' + error_body("InternalError", "half way")
    async with canned_server() as server, opened(server.url) as wire:
        for call in (put(PLAIN), part(PLAIN), CALLS[-5], CALLS[-2]):
            server.will(200, body, RIGHT)
            with pytest.raises(UnavailableError) as caught:
                await call(wire.store)
            assert caught.value.code == "InternalError"


async def test_the_page_of_a_proxy_is_no_success(opened: Any) -> None:
    page, html = b"<html><body>please log in</body></html>", {"Content-Type": "text/html"}
    async with canned_server() as server, opened(server.url) as wire:
        for call in (put(PLAIN), part(PLAIN), CALLS[-2], CALLS[-5]):
            server.will(200, page, html)
            with pytest.raises((UnavailableError, ListingError)) as caught:
                await call(wire.store)
            assert caught.value.code == "InvalidAnswer"


async def test_a_wrong_etag_is_an_integrity_error(opened: Any) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        for call in (put(PLAIN), part(PLAIN)):
            server.will(200, headers=OPAQUE)
            with pytest.raises(IntegrityError) as caught:
                await call(wire.store)
            assert caught.value.code == "ETagMismatch"


@pytest.mark.parametrize(
    ("code", "kind"),
    [("InternalError", UnavailableError), ("SlowDown", ThrottledError), ("AccessDenied", StoreError)],
)
@pytest.mark.parametrize("key", ["", "other", "B"])
async def test_a_delete_error_of_a_key_that_was_not_asked_for_fails_the_batch(
    opened: Any, key: str, code: str, kind: type[StoreError]
) -> None:
    answer = f"<DeleteResult><Error><Key>{key}</Key><Code>{code}</Code></Error></DeleteResult>"
    async with canned_server() as server, opened(server.url) as wire:
        for store in (wire.store, wire.boto):
            server.will(200, answer.encode())
            with pytest.raises(kind, match="which was not asked for") as caught:
                await store.delete_many([DeleteItem("a"), DeleteItem("b")])
            assert caught.value.code == code


async def test_one_key_is_deleted_alone(opened: Any) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        for store in (wire.store, wire.boto):
            server.will(204)
            await store.delete_one(DeleteItem("a b"))
            server.will(404, error_body("NoSuchKey"))
            await store.delete_one(DeleteItem("gone"))
            server.will(403, error_body("AccessDenied"))
            with pytest.raises(StoreError):
                await store.delete_one(DeleteItem("denied"))
        assert [(request.method, request.path.rpartition("/")[2]) for request in server.requests] == [
            ("DELETE", "a%20b"),
            ("DELETE", "gone"),
            ("DELETE", "denied"),
        ] * 2


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (f'"{MD5.hex()}"', MD5.hex()),
        (MD5.hex(), MD5.hex()),
        (f'"{MD5.hex().upper()}"', MD5.hex().upper()),
        (f'W/"{MD5.hex()}"', MD5.hex()),
        ('"5d41402a-bc4b-4000-8000-c592"', "5d41402a-bc4b-4000-8000-c592"),
        ('""', ""),
    ],
)
async def test_etags_are_read_however_they_are_written(opened: Any, written: str, read: str) -> None:
    entry = "<Key>a</Key><LastModified>2026-11-28T09:00:00.000Z</LastModified><Size>1</Size>"
    quoted = written.replace('"', "&quot;")
    page = (
        f"<ListBucketResult><IsTruncated>false</IsTruncated>"
        f"<Contents>{entry}<ETag>{quoted}</ETag></Contents></ListBucketResult>"
    )
    head = {"ETag": written, "Content-Length": "4"}
    async with canned_server() as server, opened(server.url) as wire:
        for store in (wire.store, wire.boto):
            server.will(200, headers={"ETag": written})
            assert (await put(PLAIN)(store)).etag == read
            server.will(200, headers={"ETag": written})
            assert (await part(PLAIN)(store)).etag == read
            server.will(200, headers=head)
            assert (await store.head("a")).etag == read
            server.will(200, page.encode())
            assert [each.etag for each in (await store.list_page("")).entries] == [read]


@pytest.mark.parametrize("key", ["", "\udcff"])
async def test_a_key_that_cannot_be_is_refused(opened: Any, key: str) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        for call in (put(PLAIN, key), lambda store: store.head(key), lambda store: store.get(key)):
            with pytest.raises(StoreError) as caught:
                await call(wire.store)
            assert not caught.value.retryable
        assert server.requests == []


@pytest.mark.parametrize(
    "options",
    [
        PutOptions(content_type="a\r\nx-evil: 1"),
        PutOptions(acl="a\nb"),
        PutOptions(metadata={"a b": "c"}),
        PutOptions(metadata={"a\r\nx-evil": "c"}),
        PutOptions(if_match="\x00"),
    ],
)
async def test_no_option_can_add_a_header(opened: Any, options: PutOptions) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        with pytest.raises(StoreError):
            await wire.store.put("key", BODY, options, md5=MD5)
        assert server.requests == []


@pytest.mark.parametrize("place", ["code", "message"])
async def test_control_characters_of_an_endpoint_are_escaped_in_errors(opened: Any, place: str) -> None:
    odd = "Odd\u202e\x9b31m\u2066\x7f"
    said = {"code": "Odd", "message": "odd"} | {place: odd}
    async with canned_server() as server, opened(server.url) as wire:
        for store in (wire.store, wire.boto):
            server.will(403, error_body(said["code"], said["message"]))
            with pytest.raises(StoreError) as caught:
                await store.put("key", BODY, PLAIN, md5=MD5)
            assert str(caught.value).isprintable()
            assert "Odd\\u202e\\x9b31m\\u2066\\x7f" in str(caught.value)
