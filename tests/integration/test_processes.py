"""Upload processes on servers that check signatures: all files arrive, also when a process is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import aios3sync
from aios3sync.processes.upload_pool import UploadPool
from aios3sync.processes.worker import WorkerProcess
from aios3sync.testing.trees import make_tree
from tests.integration.conftest import Place

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

TREE = {f"d{n % 7}/ü {n:03} +%&.txt": f"body {n}" for n in range(700)}


async def test_many_small_files_arrive(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios3sync.sync.transfers.offload._FILES_BEFORE", 128)
    root = make_tree(tmp_path / "t", TREE)
    stored = []
    settle = UploadPool._settle

    def counted(self: UploadPool, *facts: object) -> bool:
        stored.append(settle(self, *facts))  # type: ignore[arg-type]
        return stored[-1]

    monkeypatch.setattr(UploadPool, "_settle", counted)
    async with aios3sync.connect(processes=2) as s3:
        report = await s3.sync(root, place.url("p/"))
        assert (report.uploaded, report.failed, report.retries) == (700, 0, 0)
        assert (await s3.sync(root, place.url("p/"), check="list")).kept == 700
        assert (await s3.verify(root, place.url("p/"))).exit_code == 0
    assert await place.read("p/") == {key: body.encode() for key, body in TREE.items()}
    assert stored  # how many of them depends on how soon the processes have started
    assert all(stored)


async def test_an_upload_process_that_is_killed_loses_no_file(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.sync.transfers.offload._FILES_BEFORE", 128)
    root = make_tree(tmp_path / "t", TREE)
    killed: list[int] = []
    settle_all = WorkerProcess._settle_all

    def kill(self: WorkerProcess, results: object) -> None:
        settle_all(self, results)  # type: ignore[arg-type]
        if not killed:
            killed.append(self._process.pid)
            os.kill(self._process.pid, signal.SIGKILL)

    monkeypatch.setattr(WorkerProcess, "_settle_all", kill)
    async with aios3sync.connect(processes=1) as s3:
        report = await s3.sync(root, place.url("p/"))
    assert (report.uploaded, report.failed) == (700, 0)
    assert len(killed) == 1
    assert await place.read("p/") == {key: body.encode() for key, body in TREE.items()}


@pytest.mark.parametrize("killing", [False, True])
async def test_many_small_objects_come_down(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, killing: bool
) -> None:
    monkeypatch.setattr("aios3sync.sync.transfers.download_offload._OBJECTS_BEFORE", 128)
    root, target = make_tree(tmp_path / "t", TREE), tmp_path / "down"
    results: list[object] = []
    settle_all = WorkerProcess._settle_all

    def counted(self: WorkerProcess, found: list[tuple[object, ...]]) -> None:
        settle_all(self, found)
        if killing and not results:
            os.kill(self._process.pid, signal.SIGKILL)
        results.extend(result for result in found if len(result) > 3)

    async with aios3sync.connect(processes=1) as s3:
        assert (await s3.sync(root, place.url("p/"))).uploaded == 700
        monkeypatch.setattr(WorkerProcess, "_settle_all", counted)
        report = await s3.sync(place.url("p/"), target, manifest=str(tmp_path / "m"))
        assert (report.downloaded, report.failed, report.conflicts) == (700, 0, 0)
        assert (await s3.sync(place.url("p/"), target, manifest=str(tmp_path / "m"))).kept == 700
    found = {path.relative_to(target).as_posix(): path for path in target.rglob("*") if path.is_file()}
    assert {key: path.read_bytes() for key, path in found.items() if ".aios3sync-" not in key} == {
        key: body.encode() for key, body in TREE.items()
    }
    assert all(path.stat().st_mtime_ns == (root / key).stat().st_mtime_ns for key, path in found.items())
    assert results, "a process did some of it, until its disk was too slow or it was killed"
