"""Checksums of a real server: objects in parts that nobody can guess are adopted and verified unread."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import pytest
from anyio import to_thread
from botocore.config import Config

from aios3sync.local.checksum import checksum_of, is_computable
from tests.clients import boto3_client

if TYPE_CHECKING:
    from pathlib import Path

    from aios3sync.testing.servers import Endpoint
    from tests.integration.conftest import Place

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

BODY = os.urandom(9_000_000)
CUT = 7 * 2**20 + 1
KINDS = [
    ("SHA256", "COMPOSITE"),
    ("SHA1", "COMPOSITE"),
    ("CRC32", "COMPOSITE"),
    ("CRC32", "FULL_OBJECT"),
    ("CRC32C", "FULL_OBJECT"),
    ("CRC64NVME", "FULL_OBJECT"),
]


def upload(client: Any, bucket: str, key: str, algorithm: str, kind: str) -> None:
    """Upload in two parts, as another program with a part size of its own would."""
    place = {"Bucket": bucket, "Key": key}
    asked = {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
    upload_id = client.create_multipart_upload(**place, **asked)["UploadId"]
    parts = []
    for number, body in enumerate((BODY[:CUT], BODY[CUT:]), 1):
        digest = base64.b64encode(checksum_of(algorithm.lower(), body)).decode()
        sums = {f"Checksum{algorithm}": digest}
        answer = client.upload_part(**place, UploadId=upload_id, PartNumber=number, Body=body, **sums)
        parts.append({"PartNumber": number, "ETag": answer["ETag"], **sums})
    client.complete_multipart_upload(**place, UploadId=upload_id, MultipartUpload={"Parts": parts})


@pytest.fixture
def endpoint(seaweedfs: Endpoint) -> Endpoint:
    """The server that keeps checksums; moto does not."""
    return seaweedfs


@pytest.mark.parametrize(("algorithm", "kind"), KINDS)
async def test_a_checksum_is_proof(place: Place, tmp_path: Path, algorithm: str, kind: str) -> None:
    if not is_computable(algorithm.lower()):
        pytest.skip("the package is not installed")
    client = boto3_client(place.endpoint, config=Config(request_checksum_calculation="when_required"))
    await to_thread.run_sync(upload, client, place.bucket, "p/large", algorithm, kind)
    root = tmp_path / "t"
    root.mkdir()
    (root / "large").write_bytes(BODY)
    report = await place.session.sync(place.url("p"), root)
    assert (report.adopted, report.downloaded, report.conflicts) == (1, 0, 0)
    assert "GetObject" not in report.requests
    verified = await place.session.verify(root, place.url("p"))
    assert (verified.same, verified.read) == (1, 0)
    (root / "large").write_bytes(bytes([BODY[0] ^ 1]) + BODY[1:])
    verified = await place.session.verify(root, place.url("p"))
    assert (verified.differing, verified.read) == (1, 0)
