"""P10: kill -9 at any moment; the next run completes the target and does not send recorded files again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from aios3sync.manifest.files import open_manifest
from aios3sync.manifest.protocol import Binding
from aios3sync.testing.trees import make_tree
from tests.integration.conftest import Place
from tests.integration.test_killed_copies import parts_there

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]


def sync(root: Path, target: str, manifest: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "aios3sync", "sync", str(root), target, "--manifest", str(manifest)]
    return subprocess.Popen([*command, "--quiet", *options], stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("objects", [1, 60])
async def test_a_killed_run_is_continued(place: Place, tmp_path: Path, objects: int) -> None:
    root = make_tree(tmp_path / "t", {f"d{n % 9}/f{n:04}": os.urandom(1000) for n in range(600)})
    manifest = tmp_path / "m.sqlite"

    def killed_run() -> int:
        # All files would take 12 s: slow listings of a busy machine still come before the end.
        process = sync(root, place.url("p"), manifest, "--bwlimit", "50k")
        while process.poll() is None and stored(place) < objects:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        return process.wait()

    assert await anyio.to_thread.run_sync(killed_run) == -signal.SIGKILL, "the run ended by itself"
    recorded = await anyio.to_thread.run_sync(recorded_keys, manifest, root, place)
    report = await place.session.sync(root, place.url("p"), manifest=str(manifest))
    assert report.checked == "list"
    assert report.uploaded + report.kept + report.adopted == 600
    assert report.kept >= len(recorded), "what was recorded is not sent again"
    assert await place.read("p/") == {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("f*")
    }
    assert (await place.session.sync(root, place.url("p"), manifest=str(manifest))).requests == {}


async def test_a_large_file_that_was_killed_is_continued(place: Place, tmp_path: Path) -> None:
    five = 5 * 2**20
    root = make_tree(tmp_path / "t", {"big": os.urandom(8 * five)})
    manifest = tmp_path / "m.sqlite"

    def killed_run() -> int:
        parts = ("--part-size", "5M", "--multipart-threshold", "5M", "--bwlimit", "6M")
        process = sync(root, place.url("p"), manifest, *parts)
        while process.poll() is None and parts_there(place) < 2:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        return process.wait()

    assert await anyio.to_thread.run_sync(killed_run) == -signal.SIGKILL, "the run ended by itself"
    there = await anyio.to_thread.run_sync(parts_there, place)
    assert 2 <= there < 8
    report = await place.session.sync(
        root, place.url("p"), manifest=str(manifest), part_size=five, multipart_threshold=five
    )
    assert (report.exit_code, report.uploaded) == (0, 1)
    assert report.requests["UploadPart"] == 8 - there
    assert "CreateMultipartUpload" not in report.requests
    assert await place.read("p/") == {"big": (root / "big").read_bytes()}
    assert await anyio.to_thread.run_sync(parts_there, place) == 0


def stored(place: Place) -> int:
    """Return how many objects are in the bucket."""
    return int(place.client.list_objects_v2(Bucket=place.bucket).get("KeyCount", 0))


def recorded_keys(manifest: Path, root: Path, place: Place) -> set[str]:
    if not manifest.exists():
        return set()
    binding = Binding(str(root), place.endpoint.url, place.bucket, "p/")
    opened = open_manifest(str(manifest), binding, print)

    async def read() -> set[str]:
        rows = await opened.page(None, 10_000)
        await opened.close()
        return {row.key for row in rows}

    return anyio.run(read)
