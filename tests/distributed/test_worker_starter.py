"""The starter of the workers of this machine: whatever dies, no process is left, and no run lacks workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from aios3sync.distributed.prepare import prepared_cluster
from aios3sync.distributed.worker_starter import WorkerOrder, WorkerStarter
from tests.distributed import worker_functions
from tests.distributed.dask_commands import PATIENCE_S, ROOT

SOON_S = 0.05


async def until(met: Callable[[], Any]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not met():  # noqa: ASYNC110 - another process makes it true
            await anyio.sleep(SOON_S)


def alive(pid: int) -> bool:
    """Whether a process is at work: one that no process has waited for is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pids(directory: Path) -> set[int]:
    return {int(name) for name in os.listdir(directory)}


@pytest.fixture
async def starter() -> AsyncIterator[WorkerStarter]:
    started = await to_thread.run_sync(WorkerStarter.spawn)
    yield started
    await started.close(0)


async def test_workers_that_leave_are_not_replaced(starter: WorkerStarter, tmp_path: Path) -> None:
    await to_thread.run_sync(starter.start, WorkerOrder(3, worker_functions.leave, (str(tmp_path),)))
    with anyio.fail_after(PATIENCE_S):
        await starter.ended()
    assert len(pids(tmp_path)) == 3
    assert await starter.reason() == ""


async def test_a_worker_that_is_killed_is_replaced(starter: WorkerStarter, tmp_path: Path) -> None:
    await to_thread.run_sync(starter.start, WorkerOrder(2, worker_functions.stay, (str(tmp_path),)))
    await until(lambda: len(pids(tmp_path)) == 2)
    first = min(pids(tmp_path))
    os.kill(first, signal.SIGKILL)
    await until(lambda: len(pids(tmp_path)) == 3)
    assert [pid for pid in pids(tmp_path) if not alive(pid)] == [first]


async def test_a_worker_that_fails_after_it_has_begun_is_replaced(
    starter: WorkerStarter, tmp_path: Path
) -> None:
    await to_thread.run_sync(starter.start, WorkerOrder(1, worker_functions.crash_once, (str(tmp_path),)))
    with anyio.fail_after(PATIENCE_S):
        await starter.ended()
    assert len(pids(tmp_path)) == 2


async def test_a_worker_that_cannot_begin_says_why_and_is_not_replaced(starter: WorkerStarter) -> None:
    await to_thread.run_sync(starter.start, WorkerOrder(1, worker_functions.fail, ("no room " * 100,)))
    with anyio.fail_after(PATIENCE_S):
        assert (await starter.reason()).startswith("no room no room")
        await starter.ended()


async def test_workers_that_do_not_leave_are_ended(tmp_path: Path) -> None:
    starter = await to_thread.run_sync(WorkerStarter.spawn)
    await to_thread.run_sync(starter.start, WorkerOrder(2, worker_functions.stay, (str(tmp_path),)))
    await until(lambda: len(pids(tmp_path)) == 2)
    with anyio.fail_after(PATIENCE_S):
        await starter.close(SOON_S)
    assert not any(map(alive, pids(tmp_path)))


async def test_a_starter_without_an_order_ends() -> None:
    starter = await to_thread.run_sync(WorkerStarter.spawn)
    with anyio.fail_after(PATIENCE_S):
        await starter.close(0)


COORDINATOR = """
import sys, time
from aios3sync.distributed.worker_starter import WorkerOrder, WorkerStarter
from tests.distributed import worker_functions

starter = WorkerStarter.fork()
starter.start(WorkerOrder(2, worker_functions.stay, (sys.argv[1],)))
time.sleep(3600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="starters are forked on Linux alone")
async def test_nothing_is_left_of_a_coordinator_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COORDINATOR, str(tmp_path)]
    coordinator = subprocess.Popen(command, cwd=ROOT)  # noqa: ASYNC220 - it returns at once
    try:
        await until(lambda: len(pids(tmp_path)) == 2)
        assert all(map(alive, pids(tmp_path)))
        # Ctrl-C and the end of a terminal reach all processes: they are left to the coordinator.
        (parent,) = {int(Path(f"/proc/{pid}/stat").read_text().split()[3]) for pid in pids(tmp_path)}
        for pid in (parent, *pids(tmp_path)):
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGHUP)
        await anyio.sleep(SOON_S)
        assert all(map(alive, (parent, *pids(tmp_path))))
    finally:
        coordinator.kill()
        coordinator.wait()
    await until(lambda: not any(map(alive, (parent, *pids(tmp_path)))))


def test_a_process_with_threads_is_not_forked() -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        assert WorkerStarter.fork() is None
        assert prepared_cluster("local:2") == "local:2"
    finally:
        ended.set()
        thread.join()


def test_another_cluster_needs_no_starter() -> None:
    assert prepared_cluster("tcp://host:8786") == "tcp://host:8786"
