"""Files whose stat no 64-bit column holds are files like any other: sent once, and known again."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sync.conftest import Bench

SECOND = 10**9
TIMES = {
    "1601": -11_644_473_600,
    "before 1901": -(2**31) - 1,
    "1969": -1,
    "1970": 0,
    "2038": 2**31,
    "2262": 9_223_372_037,
    "2446": 15_032_385_535,
    "10000": 253_402_300_800,
    "last": 2**62,
}
INODES = {"2^63 - 1": 2**63 - 1, "2^63": 2**63, "2^64 - 1": 2**64 - 1}
FORMATS = pytest.mark.parametrize("manifest", ["m.sqlite", "m.json"])


@pytest.fixture
def odd_stats(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, int]]:
    """Stat fields by file name that the operating system answers from now on."""
    odd: dict[str, dict[str, int]] = {}
    by_inode: dict[int, dict[str, int]] = {}
    real_stat, real_fstat = os.stat, os.fstat

    def changed(result: os.stat_result, fields: dict[str, int] | None) -> Any:
        if fields is None:
            return result
        names = ("st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino", "st_dev")
        return SimpleNamespace(**{name: fields.get(name, getattr(result, name)) for name in names})

    def stat(path: Any, *arguments: Any, **options: Any) -> Any:
        result = real_stat(path, *arguments, **options)
        fields = odd.get(os.path.basename(path)) if isinstance(path, str) else None
        if fields is not None:
            by_inode[result.st_ino] = fields
        return changed(result, fields)

    def fstat(descriptor: int) -> Any:
        result = real_fstat(descriptor)
        return changed(result, by_inode.get(result.st_ino))

    monkeypatch.setattr("os.stat", stat)
    monkeypatch.setattr("os.fstat", fstat)
    return odd


@FORMATS
@pytest.mark.usefixtures("settle")
async def test_files_of_any_time_and_inode_are_sent_once_and_known_again(
    bench: Bench, odd_stats: dict[str, dict[str, int]], manifest: str, tmp_path: Path
) -> None:
    times = {f"t{name}": {"st_mtime_ns": seconds * SECOND + 5} for name, seconds in TIMES.items()}
    changes = {f"c{name}": {"st_ctime_ns": seconds * SECOND - 5} for name, seconds in TIMES.items()}
    inodes = {f"i{name}": {"st_ino": inode} for name, inode in INODES.items()}
    odd = times | changes | inodes
    bench.tree(dict.fromkeys([*odd, *(f"n{number}" for number in range(100))], "x"))
    odd_stats.update(odd)
    place = str(tmp_path / manifest)
    first = await bench.sync(manifest=place)
    assert (first.uploaded, first.failed) == (len(odd) + 100, 0)
    for options in ({}, {"check": "list"}, {"check": "content"}):
        again = await bench.sync(manifest=place, **options)
        assert (again.uploaded, again.failed) == (0, 0), options
        if not options:
            # A ctime in the future is never trusted: such files are hashed again, and then kept.
            assert again.kept == again.scanned
            assert "ListObjectsV2" not in again.requests


async def test_the_time_of_a_file_reaches_its_metadata_as_it_is(
    bench: Bench, odd_stats: dict[str, dict[str, int]]
) -> None:
    bench.tree({"f": "x"})
    odd_stats["f"] = {"st_mtime_ns": -11_644_473_600 * SECOND + 5}
    await bench.sync()
    head = await bench.memory.head("p/f")
    assert head.metadata["mtime"] == "-11644473599.999999995"


@pytest.mark.parametrize("size", [2**63 - 1, 50 * 2**40])
async def test_a_file_that_no_object_can_hold_fails_alone(
    bench: Bench, odd_stats: dict[str, dict[str, int]], size: int
) -> None:
    bench.tree({"huge": "x", "other": "y"})
    odd_stats["huge"] = {"st_size": size}
    report = await bench.sync()
    assert (report.uploaded, report.failed) == (1, 1)
    assert "more than S3 can hold" in report.errors[0].error
