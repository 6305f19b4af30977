"""What the everyday requests load: neither botocore, nor an XML parser, nor the package for e-mail."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    *("aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore", "email", "http.client"),
    *("urllib.request", "urllib3", "xml"),
}
EVERY_VERB = """
import asyncio, json, sys
from hashlib import md5

ANY = "<Any><ETag>e</ETag><UploadId>i</UploadId><IsTruncated>false</IsTruncated>"
ANY += "<AccessControlList/><TagSet/></Any>"
OTHERS = {
    "list-type=": "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
    "versioning=": "<VersioningConfiguration/>",
    "delete=": "<DeleteResult/>",
}

def judge(request):
    query = request.path.partition("?")[2]
    return 200, next((body for part, body in OTHERS.items() if part in query), ANY).encode()

async def main():
    import aios3sync
    from aios3sync.store import DeleteItem, PutOptions
    from aios3sync.store.protocol import CopySource, ListedPart
    from aios3sync.testing.http_server import canned_server

    plain, digest = PutOptions(), md5(b"body").digest()
    async with canned_server() as server, aios3sync.connect(
        endpoint_url=server.url, region="us-east-1", max_attempts=1, lane="wire"
    ) as s3:
        store = await s3.store("bkt")
        await store.put("key", b"body", plain, md5=digest)
        await store.get("key")
        await store.head("key")
        print(json.dumps([*sys.modules]))
        server.judge = judge
        await store.list_page("")
        await store.delete_many([DeleteItem("key"), DeleteItem("key" + chr(1))])
        await store.delete_one(DeleteItem("key"))
        await store.copy(CopySource("key"), "copy")
        await store.copy_part(CopySource("key", length=1), "copy", "id", 1, plain)
        await store.tags("key")
        await store.head_part("key", 1)
        await store.acl("key")
        await store.create_multipart("key", plain)
        await store.put_part("key", "id", 1, b"body", plain, md5=digest)
        await store.list_parts("key", "id")
        await store.complete_multipart("key", "id", [ListedPart(1, "e", 4)], plain)
        await store.abort_multipart("key", "id")
        await store.list_multiparts("")
        await store.versioning()
        await store.list_versions_page("")
        await store.presign("key")
        print(json.dumps([*sys.modules]))

asyncio.run(main())
"""
LIGHT = [
    "aios3sync.store.s3.endpoint",
    "aios3sync.store.wire.request_builder",
    "aios3sync.store.wire.multipart_requests",
    "aios3sync.store.wire.responses",
    "aios3sync.store.wire.signing",
]


@pytest.mark.parametrize("module", LIGHT)
def test_requests_and_answers_without_xml_load_little(module: str) -> None:
    code = f"import json, sys, {module}; print(json.dumps([*sys.modules]))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted({*json.loads(ran.stdout)} & HEAVY) == []


def test_no_verb_needs_botocore() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "PATH": ""}
    ran = subprocess.run(
        [sys.executable, "-c", EVERY_VERB], env=environ, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    written, everything = ({*json.loads(line)} & HEAVY for line in ran.stdout.splitlines())
    assert written <= {"http.client", "email"}  # of the server of this test
    assert everything <= written | {"xml"}
