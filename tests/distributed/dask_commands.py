"""Starts a scheduler and workers of Dask as commands of their own, as users do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
QUIET = {
    "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "300s",
}
PATIENCE_S = 120


@dataclass
class Cluster:
    """A scheduler and its workers."""

    directory: Path
    environment: dict[str, str]
    address: str = ""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, program: str, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        log = open(self.directory / f"{program}-{time.monotonic_ns()}.log", "wb")  # noqa: SIM115
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{program}", *arguments],
                env=self.environment,
                cwd=cwd or ROOT,
                stdout=log,
                stderr=log,
            )

    def add_worker(self, cwd: Path | None = None, preload: str = "") -> subprocess.Popen[bytes]:
        directory = self.directory / f"worker-{len(self.workers)}"
        worker = self.start(
            "dask_worker",
            self.address,
            *("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"),
            *("--host", "127.0.0.1", "--local-directory", str(directory)),
            *(("--preload", preload) if preload else ()),
            cwd=cwd,
        )
        self.workers.append(worker)
        return worker


@contextmanager
def start_cluster(
    directory: Path, environment: Mapping[str, str], workers: int = 2, preload: str = ""
) -> Iterator[Cluster]:
    """Run a cluster while the block lasts; its workers come by and by, and run ``preload`` first."""
    own = {**os.environ, **environment, **QUIET, "PYTHONPATH": str(ROOT)}
    cluster = Cluster(directory, own)
    described = directory / "scheduler.json"
    scheduler = cluster.start(
        "dask_scheduler",
        *("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
        *("--scheduler-file", str(described)),
    )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not cluster.address:
            assert scheduler.poll() is None, "the scheduler ended"
            assert time.monotonic() < deadline, "the scheduler does not start"
            time.sleep(0.05)
            if described.exists() and (text := described.read_text()):
                cluster.address = json.loads(text)["address"]
        for _ in range(workers):
            cluster.add_worker(preload=preload)
        yield cluster
    finally:
        for process in (*cluster.workers, scheduler):
            process.kill()
        for process in (*cluster.workers, scheduler):
            process.wait()
