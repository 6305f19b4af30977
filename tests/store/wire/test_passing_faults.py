"""Every verb meets every fault that may pass, once, over both transports: it arrives all the same."""
# ruff: noqa: S324 - MD5 is what S3 compares bodies with

from __future__ import annotations

from hashlib import md5
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from aios3sync.store.protocol import CopySource, DeleteItem, ListedPart, ObjectStore, PutOptions
from aios3sync.store.wrappers.retry import RetryingStore
from aios3sync.store.wrappers.retry_policy import REPEATS
from aios3sync.testing.http_server import CannedServer, canned_server, error_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PLAIN = PutOptions()
BODY = b"body"
MD5 = md5(BODY).digest()
ETAG = {"ETag": f'"{MD5.hex()}"', "Last-Modified": "Sat, 28 Nov 2026 09:00:00 GMT"}
PARTS = [ListedPart(1, MD5.hex(), 4)]


class Verb(NamedTuple):
    """One verb: the call, and what an endpoint answers when all is well."""

    call: Callable[[ObjectStore], Awaitable[Any]]
    body: bytes
    headers: dict[str, str]
    status: int = 200


def document(root: str, content: str = "") -> bytes:
    return f"<{root}>{content}</{root}>".encode()


VERBS = {
    "PutObject": Verb(lambda s: s.put("key", BODY, PLAIN, md5=MD5), b"", ETAG),
    "UploadPart": Verb(lambda s: s.put_part("key", "id", 1, BODY, PLAIN, md5=MD5), b"", ETAG),
    "GetObject": Verb(lambda s: s.get("key"), BODY, ETAG),
    "HeadObject": Verb(lambda s: s.head("key"), BODY, ETAG),
    "ListObjectsV2": Verb(
        lambda s: s.list_page(""), document("ListBucketResult", "<IsTruncated>false</IsTruncated>"), {}
    ),
    "DeleteObjects": Verb(lambda s: s.delete_many([DeleteItem("key")]), document("DeleteResult"), {}),
    "DeleteObject": Verb(lambda s: s.delete_many([DeleteItem("control\x01")]), b"", {}, 204),
    "CopyObject": Verb(
        lambda s: s.copy(CopySource("key"), "other"),
        document("CopyObjectResult", f"<ETag>{MD5.hex()}</ETag>"),
        {},
    ),
    "UploadPartCopy": Verb(
        lambda s: s.copy_part(CopySource("key", length=4), "other", "id", 1, PLAIN),
        document("CopyPartResult", f"<ETag>{MD5.hex()}</ETag>"),
        {},
    ),
    "GetObjectTagging": Verb(lambda s: s.tags("key"), document("Tagging", "<TagSet></TagSet>"), {}),
    "CreateMultipartUpload": Verb(
        lambda s: s.create_multipart("key", PLAIN),
        document("InitiateMultipartUploadResult", "<UploadId>id</UploadId>"),
        {},
    ),
    "CompleteMultipartUpload": Verb(
        lambda s: s.complete_multipart("key", "id", PARTS, PLAIN),
        document("CompleteMultipartUploadResult", "<ETag>etag</ETag>"),
        {},
    ),
    "AbortMultipartUpload": Verb(lambda s: s.abort_multipart("key", "id"), b"", {}, 204),
    "ListParts": Verb(
        lambda s: s.list_parts("key", "id"),
        document("ListPartsResult", "<IsTruncated>false</IsTruncated>"),
        {},
    ),
    "ListMultipartUploads": Verb(
        lambda s: s.list_multiparts(""),
        document("ListMultipartUploadsResult", "<IsTruncated>false</IsTruncated>"),
        {},
    ),
    "GetObjectAcl": Verb(
        lambda s: s.acl("key"),
        document("AccessControlPolicy", "<AccessControlList></AccessControlList>"),
        {},
    ),
    "GetBucketVersioning": Verb(
        lambda s: s.versioning(),
        document("VersioningConfiguration", "<Status>Enabled</Status>"),
        {},
    ),
    "ListObjectVersions": Verb(
        lambda s: s.list_versions_page(""),
        document("ListVersionsResult", "<IsTruncated>false</IsTruncated>"),
        {},
    ),
}

PAGE = b"<html><body>Bad Gateway</body></html>"
FAULTS: dict[str, Callable[[CannedServer], None]] = {
    "500": lambda s: s.will(500, error_body("InternalError", "Please try again.")),
    "500 empty": lambda s: s.will(500),
    "502": lambda s: s.will(502, PAGE, {"Content-Type": "text/html"}),
    "503": lambda s: s.will(503, error_body("SlowDown", "Please reduce your request rate.")),
    "503 page": lambda s: s.will(503, PAGE, {"Content-Type": "text/html"}),
    "504": lambda s: s.will(504, PAGE, {"Content-Type": "text/html"}),
    "429": lambda s: s.will(429, b""),
    "408": lambda s: s.will(408, b""),
    "too slow": lambda s: s.will(400, error_body("RequestTimeout", "Your socket was idle.")),
    "busy": lambda s: s.will(409, error_body("OperationAborted", "A conflicting operation.")),
    "cut before": lambda s: s.will(drop=True),
    "cut within": lambda s: s.will(200, b"<half", {"Content-Length": "1000", **ETAG}, close=True),
    "no answer": lambda s: s.will(hang=True),
    "200 with an error": lambda s: s.will(200, error_body("InternalError", "Please try again."), ETAG),
    "200 with garbage": lambda s: s.will(200, PAGE, {"Content-Type": "text/html"}),
}

HEAD_ONLY = "the answer to HEAD has no body that could go wrong"
DATA = "what an object holds is not looked into"
NOTHING = "nothing is read of the answer"
HARMLESS = {
    ("HeadObject", "cut within"): HEAD_ONLY,
    ("HeadObject", "200 with an error"): HEAD_ONLY,
    ("HeadObject", "200 with garbage"): HEAD_ONLY,
    ("HeadObject", "too slow"): "a 400 without a body says nothing",
    ("HeadObject", "busy"): "a 409 without a body says nothing",
    ("GetObject", "200 with an error"): DATA,
    ("GetObject", "200 with garbage"): DATA,
    ("DeleteObject", "200 with garbage"): NOTHING,
    ("AbortMultipartUpload", "200 with garbage"): NOTHING,
}
"""What is no fault that may pass, and why."""

CASES = [case for case in product(VERBS, FAULTS) if case not in HARMLESS]


async def _at_once(seconds: float) -> None:
    """Backoff without waiting."""


def test_every_operation_has_its_rule() -> None:
    assert set(VERBS) == set(REPEATS)
    assert all(rule.why for rule in REPEATS.values())


@pytest.mark.parametrize("transport", ["wire", "boto"])
@pytest.mark.parametrize(("operation", "fault"), CASES)
async def test_a_fault_that_passes_is_not_seen(
    opened: Any, operation: str, fault: str, transport: str
) -> None:
    verb = VERBS[operation]
    waits = 0.2 if fault == "no answer" else 30.0
    async with canned_server() as server, opened(server.url, read_timeout=waits) as wire:
        store = RetryingStore(getattr(wire, "store" if transport == "wire" else "boto"), 3, sleep=_at_once)
        FAULTS[fault](server)
        for _ in range(2):
            server.will(verb.status, verb.body, verb.headers)
        met = await verb.call(store)
        assert len(server.requests) == 2, [request.method for request in server.requests]
        assert met == await verb.call(store)
