"""Answers to copies, ACLs, multipart uploads and versions: both transports read the same, whole or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aios3sync.errors import ListingError, StoreError, UnavailableError
from aios3sync.store.protocol import CopySource, ListedPart, ListedVersion, ObjectStore, PutOptions
from aios3sync.testing.http_server import canned_server, error_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Verb = Callable[[ObjectStore], Awaitable[Any]]

PLAIN = PutOptions()
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
END = "<IsTruncated>false</IsTruncated>"
MORE = "<IsTruncated>true</IsTruncated>"
TIME = "2026-11-02T03:04:05.678Z"

VERBS: dict[str, Verb] = {
    "CopyObject": lambda store: store.copy(CopySource("source"), "key"),
    "UploadPartCopy": lambda store: store.copy_part(CopySource("source", length=1), "key", "id", 1, PLAIN),
    "GetObjectTagging": lambda store: store.tags("key"),
    "GetObjectAcl": lambda store: store.acl("key"),
    "CreateMultipartUpload": lambda store: store.create_multipart("key", PLAIN),
    "CompleteMultipartUpload": lambda store: store.complete_multipart(
        "key", "id", [ListedPart(1, "e", 1)], PLAIN
    ),
    "AbortMultipartUpload": lambda store: store.abort_multipart("key", "id"),
    "ListParts": lambda store: store.list_parts("key", "id"),
    "ListMultipartUploads": lambda store: store.list_multiparts(""),
    "GetBucketVersioning": lambda store: store.versioning(),
    "ListObjectVersions": lambda store: store.list_versions_page(""),
}


def whole(root: str, *content: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} {NAMESPACE}>{"".join(content)}</{root}>'.encode()


def part(number: object, etag: str = "&quot;e&quot;", size: object = 5, more: str = "") -> str:
    return f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><Size>{size}</Size>{more}</Part>"


def upload(key: str, identity: str = "id", time: str = TIME) -> str:
    return f"<Upload><Key>{key}</Key><UploadId>{identity}</UploadId><Initiated>{time}</Initiated></Upload>"


def version(key: str = "k", latest: str = "true", more: str = "<Size>7</Size>", kind: str = "Version") -> str:
    time = f"<LastModified>{TIME}</LastModified>"
    return (
        f"<{kind}><Key>{key}</Key><VersionId>v</VersionId><IsLatest>{latest}</IsLatest>{time}{more}</{kind}>"
    )


def grant(permission: str, group: str = "", who: str = "<ID>i</ID>") -> str:
    if group:
        who = f"<URI>http://acs.amazonaws.com/groups/global/{group}</URI>"
    kind = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"'
    return f"<Grant><Grantee {kind}>{who}</Grantee><Permission>{permission}</Permission></Grant>"


def tag(key: str, value: str) -> str:
    return f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>"


def acl(*grants: str) -> bytes:
    return whole(
        "AccessControlPolicy",
        "<Owner><ID>i</ID></Owner>",
        f"<AccessControlList>{''.join(grants)}</AccessControlList>",
    )


ENCRYPTED = {"x-amz-server-side-encryption": "aws:kms", "x-amz-version-id": "v1"}
RIGHT: list[tuple[str, bytes, dict[str, str]]] = [
    ("CopyObject", whole("CopyObjectResult", "<ETag>&quot;e&quot;</ETag>"), ENCRYPTED),
    ("CopyObject", whole("CopyObjectResult", "<ETag/>"), {}),
    ("UploadPartCopy", whole("CopyPartResult", "<ETag>&quot;e&quot;</ETag>"), ENCRYPTED),
    ("UploadPartCopy", whole("CopyPartResult", "<ETag/>"), {}),
    ("GetObjectTagging", whole("Tagging", "<TagSet/>"), {}),
    ("GetObjectTagging", whole("Tagging", f"<TagSet>{tag('a b', '&amp;')}{tag('c', '')}</TagSet>"), {}),
    ("GetObjectAcl", acl(), {}),
    ("GetObjectAcl", acl(grant("FULL_CONTROL")), {}),
    ("GetObjectAcl", acl(grant("FULL_CONTROL"), grant("READ", "AllUsers")), {}),
    ("GetObjectAcl", acl(grant("READ", "AllUsers"), grant("WRITE", "AllUsers")), {}),
    ("GetObjectAcl", acl(grant("READ", "AuthenticatedUsers"), grant("WRITE", "AllUsers")), {}),
    ("GetObjectAcl", acl(grant("WRITE", "AllUsers")), {}),
    ("GetObjectAcl", acl(grant("READ_ACP", "AllUsers")), {}),
    ("GetObjectAcl", acl(grant("FULL_CONTROL", "AllUsers")), {}),
    ("CreateMultipartUpload", whole("InitiateMultipartUploadResult", "<UploadId>a/b+&amp;</UploadId>"), {}),
    ("CompleteMultipartUpload", whole("CompleteMultipartUploadResult", "<ETag>&quot;e-2&quot;</ETag>"), {}),
    ("CompleteMultipartUpload", whole("CompleteMultipartUploadResult", "<ETag></ETag>"), ENCRYPTED),
    ("CompleteMultipartUpload", whole("CompleteMultipartUploadResult", "\n <ETag>e</ETag>\n"), {}),
    ("AbortMultipartUpload", b"", {}),
    ("ListParts", whole("ListPartsResult"), {}),
    ("ListParts", whole("ListPartsResult", END, part(2), part(1, "e2", 0)), {}),
    ("ListParts", whole("ListPartsResult", part(1), part(2, "old"), part(2, "new"), part(3), part(3)), {}),
    ("ListParts", whole("ListPartsResult", part(1, more="<ChecksumSHA256>c2hh</ChecksumSHA256>")), {}),
    ("ListParts", whole("ListPartsResponse", END, part(1)), {}),
    ("ListMultipartUploads", whole("ListMultipartUploadsResult", END), {}),
    (
        "ListMultipartUploads",
        whole("ListMultipartUploadsResult", END, upload("a+b%2B"), upload("a+b", "2")),
        {},
    ),
    (
        "ListMultipartUploads",
        whole("ListMultipartUploadsResult", END, "<EncodingType>url</EncodingType>", upload("a+b%2B%01")),
        {},
    ),
    ("GetBucketVersioning", whole("VersioningConfiguration"), {}),
    ("GetBucketVersioning", whole("VersioningConfiguration", "<Status>Enabled</Status>"), {}),
    ("GetBucketVersioning", whole("GetBucketVersioningResponse", "<Status>Suspended</Status>"), {}),
    ("GetBucketVersioning", whole("GetBucketVersioningResponse"), {}),
    ("ListObjectVersions", whole("ListVersionsResult", END), {}),
    (
        "ListObjectVersions",
        whole("ListBucketVersionsResult", END, version("old", "false"), version("a+b%2B")),
        {},
    ),
    (
        "ListObjectVersions",
        whole(
            "ListVersionsResult",
            *(MORE, "<NextKeyMarker>a+b%01</NextKeyMarker><NextVersionIdMarker>v+</NextVersionIdMarker>"),
            *(
                "<EncodingType>url</EncodingType>",
                version("a+%01"),
                version("gone", "true", "", "DeleteMarker"),
            ),
        ),
        {},
    ),
    (
        "ListObjectVersions",
        whole(
            "ListVersionsResult",
            END,
            "<Version><Key>k</Key><IsLatest>true</IsLatest><Size>1</Size></Version>",
        ),
        {},
    ),
]


async def outcome(call: Verb, store: ObjectStore) -> Any:
    try:
        return await call(store)
    except StoreError as error:
        return type(error), error.code, error.status


@pytest.mark.parametrize(("verb", "body", "headers"), RIGHT)
async def test_both_transports_read_the_same(
    opened: Any, verb: str, body: bytes, headers: dict[str, str]
) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        met = []
        for store in (wire.store, wire.boto):
            server.will(200, body, headers)
            met.append(await VERBS[verb](store))
        assert met[0] == met[1]


WRONG: list[tuple[str, bytes]] = [
    *((verb, b"") for verb in VERBS if verb != "AbortMultipartUpload"),
    *(
        (verb, whole("html", "<body>please log in</body>"))
        for verb in VERBS
        if verb != "AbortMultipartUpload"
    ),
    *((verb, b"\x00\xff") for verb in VERBS if verb != "AbortMultipartUpload"),
    ("CopyObject", whole("CopyObjectResult")),
    ("CopyObject", whole("CopyObjectResult", "<ETag>e</ETag>")[:-2]),
    ("UploadPartCopy", whole("CopyPartResult")),
    ("GetObjectTagging", whole("Tagging")),
    ("GetObjectTagging", whole("Tagging", "<TagSet><Tag><Key>k</Key></Tag></TagSet>")),
    ("GetObjectAcl", whole("AccessControlPolicy", "<Owner/>")),
    ("GetObjectAcl", acl("<Grant><Grantee/></Grant>")),
    ("GetObjectAcl", acl("<Grant><Permission>READ</Permission></Grant>")),
    ("CreateMultipartUpload", whole("InitiateMultipartUploadResult", "<Key>k</Key>")),
    ("CreateMultipartUpload", whole("InitiateMultipartUploadResult", "<UploadId/>")),
    ("CompleteMultipartUpload", whole("CompleteMultipartUploadResult", "<Key>k</Key>")),
    ("CompleteMultipartUpload", whole("CompleteMultipartUploadResult", "<ETag>e</ETag>")[:60]),
    ("ListParts", whole("ListPartsResult", "<IsTruncated>maybe</IsTruncated>")),
    ("ListParts", whole("ListPartsResult", MORE)),
    ("ListParts", whole("ListPartsResult", MORE, "<NextPartNumberMarker>0</NextPartNumberMarker>")),
    ("ListParts", whole("ListPartsResult", part("one"))),
    ("ListParts", whole("ListPartsResult", part(1, size=-1))),
    ("ListParts", whole("ListPartsResult", part(1, size=2**63))),
    ("ListParts", whole("ListPartsResult", part(1, size="٣"))),
    ("ListParts", whole("ListPartsResult", "<Part><PartNumber>1</PartNumber></Part>")),
    ("ListMultipartUploads", whole("ListMultipartUploadsResult")),
    ("ListMultipartUploads", whole("ListMultipartUploadsResult", MORE)),
    ("ListMultipartUploads", whole("ListMultipartUploadsResult", END, upload(""))),
    ("ListMultipartUploads", whole("ListMultipartUploadsResult", END, upload("k", time="yesterday"))),
    ("ListMultipartUploads", whole("ListMultipartUploadsResult", END, "<Upload><Key>k</Key></Upload>")),
    (
        "ListMultipartUploads",
        whole("ListMultipartUploadsResult", END, "<EncodingType>url</EncodingType>", upload("%FF")),
    ),
    ("ListObjectVersions", whole("ListVersionsResult")),
    ("ListObjectVersions", whole("ListVersionsResult", MORE)),
    ("ListObjectVersions", whole("ListVersionsResult", MORE, "<NextVersionIdMarker>v</NextVersionIdMarker>")),
    ("ListObjectVersions", whole("ListVersionsResult", END, version(""))),
    ("ListObjectVersions", whole("ListVersionsResult", END, version(latest="perhaps"))),
    ("ListObjectVersions", whole("ListVersionsResult", END, version(more="<Size>-1</Size>"))),
    ("ListObjectVersions", whole("ListVersionsResult", END, "<Version><Key>k</Key><Size>1</Size></Version>")),
    ("ListObjectVersions", whole("ListVersionsResult", END, version())[:-1]),
    ("ListObjectVersions", b'<!DOCTYPE x [<!ENTITY e "boom">]>' + whole("ListVersionsResult", END)),
]


@pytest.mark.parametrize(("verb", "body"), WRONG)
async def test_an_incomplete_answer_is_an_error_that_may_pass(opened: Any, verb: str, body: bytes) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        server.will(200, body)
        kind = ListingError if verb.startswith("List") else UnavailableError
        with pytest.raises(kind) as caught:
            await VERBS[verb](wire.store)
        assert (caught.value.operation, caught.value.code) == (verb, "InvalidAnswer")
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "before", [b"", b'<?xml version="1.0"?>\n' + b" " * 100_000], ids=["at once", "late"]
)
async def test_an_error_in_the_body_of_a_success_is_an_error(opened: Any, verb: str, before: bytes) -> None:
    """AWS sends white space while it joins the parts of an upload, and then what came of it."""
    async with canned_server() as server, opened(server.url) as wire:
        server.will(200, before + error_body("InternalError", "half way"))
        with pytest.raises(UnavailableError, match="half way") as caught:
            await VERBS[verb](wire.store)
        assert (caught.value.code, caught.value.status) == ("InternalError", 500)


async def test_an_upload_that_is_gone_is_aborted(opened: Any) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        server.will(404, error_body("NoSuchUpload"))
        await wire.store.abort_multipart("key", "id")
        server.will(404, error_body("NoSuchBucket"))
        with pytest.raises(StoreError):
            await wire.store.abort_multipart("key", "id")


async def test_pages_of_parts_are_put_together(opened: Any) -> None:
    def page(number: int) -> bytes:
        following = f"{MORE}<NextPartNumberMarker>{number}</NextPartNumberMarker>"
        return whole("ListPartsResult", following, part(number))

    async with canned_server() as server, opened(server.url) as wire:
        server.will(200, page(1))
        server.will(200, page(2))
        server.will(200, whole("ListPartsResult", END, part(3)))
        found = await wire.store.list_parts("key", "id")
        assert found == [ListedPart(number, "e", 5) for number in (1, 2, 3)]
        markers = [
            request.path.partition("part-number-marker=")[2].partition("&")[0] for request in server.requests
        ]
        assert markers == ["", "1", "2"]


@pytest.mark.parametrize("circle", [[1, 1], [2, 1], [1, 2, 1]])
async def test_parts_that_go_in_circles_are_an_error(opened: Any, circle: list[int]) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        for number in circle:
            marker = f"<NextPartNumberMarker>{number}</NextPartNumberMarker>"
            server.will(200, whole("ListPartsResult", MORE, marker))
        with pytest.raises(ListingError):
            await wire.store.list_parts("key", "id")
        assert len(server.requests) == len(circle)


@pytest.mark.parametrize("circle", [["a", "a"], ["a", "b", "a"]])
async def test_uploads_that_go_in_circles_are_an_error(opened: Any, circle: list[str]) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        for key in circle:
            marker = f"<NextKeyMarker>{key}</NextKeyMarker><NextUploadIdMarker>i</NextUploadIdMarker>"
            server.will(200, whole("ListMultipartUploadsResult", MORE, marker))
        with pytest.raises(ListingError):
            await wire.store.list_multiparts("")
        assert len(server.requests) == len(circle)


async def test_versions_that_go_in_circles_are_an_error(opened: Any) -> None:
    marker = "<NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>"
    async with canned_server() as server, opened(server.url) as wire:
        for _ in range(2):
            server.will(200, whole("ListVersionsResult", MORE, marker, version()))
        page = await wire.store.list_versions_page("")
        (found,) = page.versions
        assert found == ListedVersion("k", "v", 7, found.last_modified, True)
        assert (found.etag, found.storage_class) == ("", "")
        assert found.last_modified == pytest.approx(1793588645.678)
        with pytest.raises(ListingError):
            await wire.store.list_versions_page("", token=page.next_token)


async def test_a_finished_upload_names_the_checksums_that_its_parts_were_sent_with(opened: Any) -> None:
    """Those that are not known any more are asked for; one of another kind is no answer."""
    stored = [
        part(1, more="<ChecksumSHA256>Zmlyc3Q=</ChecksumSHA256>"),
        part(2, more="<ChecksumSHA256>c2Vjb25k</ChecksumSHA256>"),
        part(3, more="<ChecksumCRC32>AAAA</ChecksumCRC32>"),
    ]
    parts = [ListedPart(1, "e", 5, "b3du"), ListedPart(2, "e", 5), ListedPart(3, "e", 5)]
    async with canned_server() as server, opened(server.url) as wire:
        for store in (wire.store, wire.boto):
            server.will(200, whole("ListPartsResult", END, *stored))
            server.will(200, whole("CompleteMultipartUploadResult", "<ETag>e-3</ETag>"))
            await store.complete_multipart("key", "id", parts, PutOptions(checksum="sha256"))
            sent = server.requests[-1].body.decode()
            assert sent.count("Checksum") == 4
            assert "<ChecksumSHA256>b3du</ChecksumSHA256>" in sent
            assert "<ChecksumSHA256>c2Vjb25k</ChecksumSHA256>" in sent


@pytest.mark.parametrize("verb", ["CreateMultipartUpload", "CompleteMultipartUpload"])
async def test_a_request_that_would_have_two_effects_is_sent_once(opened: Any, verb: str) -> None:
    """On a connection that had been open: a closed one may be closed after the request was carried out."""
    async with canned_server() as server, opened(server.url) as wire:
        await wire.store.head("key")
        server.will(drop=True)
        with pytest.raises(UnavailableError) as caught:
            await VERBS[verb](wire.store)
        assert caught.value.code == "ConnectionLost"
        assert [request.method for request in server.requests] == ["HEAD", "POST"]


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.copy(CopySource("\udcff"), "key"),
        lambda store: store.copy(CopySource(""), "key"),
        lambda store: store.copy(CopySource("source"), "\udcff"),
        lambda store: store.copy(CopySource("source", etag="a\nb"), "key"),
        lambda store: store.copy(CopySource("source", "\udcff"), "key"),
        lambda store: store.copy_part(CopySource("\udcff", length=1), "key", "id", 1, PLAIN),
        lambda store: store.copy_part(CopySource("a", etag="a\nb", length=1), "key", "id", 1, PLAIN),
        lambda store: store.head_part("\udcff", 1),
        lambda store: store.tags("\udcff"),
        lambda store: store.list_multiparts("\udcff"),
        lambda store: store.list_versions_page("\udcff"),
        lambda store: store.list_page("\udcff"),
        lambda store: store.list_parts("key", "\udcff"),
        lambda store: store.complete_multipart("key", "id", [ListedPart(1, "\udcff", 1)], PLAIN),
        lambda store: store.create_multipart("key", PutOptions(acl="a\r\nx-evil: 1")),
    ],
)
async def test_values_that_no_request_can_hold_are_refused(opened: Any, call: Verb) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        with pytest.raises(StoreError) as caught:
            await call(wire.store)
        assert not caught.value.retryable
        assert server.requests == []
