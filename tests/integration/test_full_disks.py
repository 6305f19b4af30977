"""A download to a disk that fills: one line, whole files only, and the next run goes on where it ended."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aios3sync.core.parts import MIB
from tests.integration.object_server import files, finished_ranges, object_server, start_sync, visible

pytestmark = pytest.mark.timeout(300)

_RANDOM = random.Random(7)  # noqa: S311 - seeded, so that a failure can be tried again
LARGE = {f"large{n}": _RANDOM.randbytes(24 * MIB + n) for n in range(3)}
SMALL = {f"d{n % 7}/f{n:04}": _RANDOM.randbytes(40_000) for n in range(1200)}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of its own with 40 MiB, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() or not mounted("-t", "tmpfs", "-o", "size=40m", "tmpfs", str(place)):
        pytest.skip("a tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def mounted(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("objects", [LARGE, SMALL], ids=["large", "small"])
def test_a_full_disk_ends_the_run_and_the_next_goes_on(
    disk: Path, tmp_path: Path, objects: dict[str, bytes]
) -> None:
    manifest = ("--manifest", str(tmp_path / "manifest.sqlite"), "--no-progress")
    with object_server({f"p/{key}": body for key, body in objects.items()}) as server:
        process = start_sync(server, disk / "t", *manifest)
        told = process.communicate()[1].decode().splitlines()
        assert process.returncode == 1, told
        assert len(told) == 1, told
        assert told[0].startswith("failed: the disk is full: '"), told
        assert not any("Traceback" in line for line in told)
        there, done = visible(disk / "t"), finished_ranges(disk / "t")
        assert all(objects[key] == body for key, body in there.items())
        assert done or there
        assert server.sent.total() < len(objects) + 9, "it went on though nothing could be written"
        assert mounted("-o", "remount,size=200m", str(disk))
        server.sent.clear()
        process = start_sync(server, disk / "t", *manifest)
        assert (process.communicate()[1], process.returncode) == (b"", 0)
        assert files(disk / "t") == objects
        assert not done & server.sent.keys(), "a finished range was read again"
        assert not {f"p/{key}" for key in there} & {key for key, _ in server.sent}
