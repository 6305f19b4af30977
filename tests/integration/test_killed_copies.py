"""P10 of copies: kill -9 in the middle of a large object; the next run goes on with the parts it left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from aios3sync import ConnectOptions
from aios3sync.store import ListedPart, PutOptions
from tests.integration.conftest import Place

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

FIVE = 5 * 2**20
PARTS = 8


async def test_a_killed_copy_is_continued(place: Place, tmp_path: Path) -> None:
    store = await place.session.store(place.bucket)
    upload, parts = await store.create_multipart("from/big", PutOptions()), []
    for number in range(1, PARTS + 1):
        done = await store.put_part("from/big", upload, number, os.urandom(FIVE), PutOptions(), md5=b"")
        parts.append(ListedPart(number, done.etag, FIVE))
    await store.complete_multipart("from/big", upload, parts, PutOptions())
    manifest = str(tmp_path / "m.sqlite")
    # Another name of the same server: its objects go through the memory of the process.
    source = place.endpoint.url.replace("127.0.0.1", "localhost")
    command = [
        *(sys.executable, "-m", "aios3sync", "sync", place.url("from"), place.url("to"), "--quiet"),
        *("--manifest", manifest, "--source-endpoint-url", source, "--bwlimit", "6M"),
    ]

    def kill_a_run() -> int:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None and parts_there(place) < 2:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        return process.wait()

    assert await to_thread.run_sync(kill_a_run) == -signal.SIGKILL, "the run ended by itself"
    there = await to_thread.run_sync(parts_there, place)
    assert 2 <= there < PARTS
    options: dict[str, Any] = {"manifest": manifest, "source_connect": ConnectOptions(endpoint_url=source)}
    report = await place.session.sync(place.url("from"), place.url("to"), **options)
    assert (report.exit_code, report.copied) == (0, 1)
    assert report.requests["UploadPart"] == PARTS - there
    assert "CreateMultipartUpload" not in report.requests
    assert await place.read("to/") == await place.read("from/")
    uploads = await to_thread.run_sync(lambda: place.client.list_multipart_uploads(Bucket=place.bucket))
    assert not uploads.get("Uploads")


def parts_there(place: Place) -> int:
    """Return how many parts of the copy are stored."""
    found = 0
    for upload in place.client.list_multipart_uploads(Bucket=place.bucket).get("Uploads", ()):
        names = {"Bucket": place.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        found += len(place.client.list_parts(**names).get("Parts", ()))
    return found
