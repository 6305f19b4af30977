"""DownloadPool on good and bad endpoints: what is proved becomes a file, everything else is returned."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from typing import Any

import anyio
import pytest

from aios3sync.local.write import NewFile, TreeWriter
from aios3sync.processes.download_main import DownloadProcess, _Arrived
from aios3sync.processes.download_pool import DownloadPool
from aios3sync.processes.download_response import parse_fetched
from aios3sync.processes.messages import CANCELLED, DISK_FULL, SLOW_STORAGE, UNSENT
from aios3sync.processes.protocol import DownloadJob, DownloadResult, DownloadTree
from aios3sync.store.wrappers.limit import ConcurrencyLimiter
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.testing.http_server import CannedServer, canned_server

pytestmark = pytest.mark.timeout(60)

MODIFIED = "Wed, 21 Oct 2015 07:28:00 GMT"


def digest(body: bytes) -> str:
    return md5(body, usedforsecurity=False).hexdigest()


@dataclass
class Downloading:
    """A pool with everything that it needs; ``written`` has the results by key."""

    pool: DownloadPool
    limiter: ConcurrencyLimiter
    counts: RequestCounts
    root: Path
    written: dict[str, DownloadResult] = field(default_factory=dict)

    def job(self, key: str, body: bytes, **changes: Any) -> DownloadJob:
        return DownloadJob(f"p/{key}", key, len(body), digest(body), None)._replace(**changes)

    async def download(self, jobs: list[DownloadJob]) -> list[str]:
        """Download; return the keys of the returned jobs."""

        def on_written(position: int, result: DownloadResult) -> None:
            self.written[jobs[position].key] = result

        returned = await self.pool.download(jobs, on_written)
        assert self.limiter.in_flight == 0, "every slot is released"
        return sorted(jobs[position].key for position in returned)

    def files(self) -> dict[str, bytes]:
        """All files, those of no finished name included."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file()
        }


OpenDownloading = Callable[..., AbstractAsyncContextManager[Downloading]]


@pytest.fixture
def downloading(opened: Callable[..., Any], tmp_path: Path) -> OpenDownloading:
    """Open a pool: ``async with downloading(url) as d``; one connection, so that responses have an order."""

    @asynccontextmanager
    async def open_pool(url: str, *, slots: int = 1, **options: Any) -> AsyncIterator[Downloading]:
        limiter, counts = ConcurrencyLimiter(8, first=slots), RequestCounts()
        root = tmp_path / "target"
        root.mkdir()
        async with opened(url, **options) as wire:
            found = root.stat()
            tree = DownloadTree(str(root), found.st_dev, found.st_ino, fsync=False)
            pool = DownloadPool(wire.store, limiter, counts, 1, tree)
            try:
                yield Downloading(pool, limiter, counts, root)
            finally:
                await pool.aclose()

    return open_pool


def will_send(server: CannedServer, body: bytes, status: int = 200, **headers: str) -> None:
    facts = {"ETag": f'"{digest(body)}"', "Last-Modified": MODIFIED}
    server.will(status, body, facts | {name.replace("_", "-"): value for name, value in headers.items()})


async def test_objects_become_files(downloading: OpenDownloading) -> None:
    bodies = {"a": b"one", "d/e/ü +%&.bin": os.urandom(60_000), "empty": b"", "d/f": b"four"}
    async with canned_server() as server, downloading(server.url) as d:
        for key, body in bodies.items():
            mtime = "1700000000.123456789" if key == "a" else ""
            will_send(server, body, x_amz_meta_mtime=mtime)
        assert await d.download([d.job(key, body) for key, body in bodies.items()]) == []
        assert d.files() == bodies
        times = {key: (d.root / key).stat().st_mtime_ns for key in bodies}
        assert times == dict.fromkeys(bodies, 1445412480_000000000) | {"a": 1700000000_123456789}
        for key, result in d.written.items():
            stat = (d.root / key).stat()
            facts = (key, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
            assert (tuple(result.written), result.started_ns > 0) == (facts, True)
    assert [request.headers["if-match"] for request in server.requests] == list(map(digest, bodies.values()))
    assert server.requests[1].path == "/bkt/p/d/e/%C3%BC%20%2B%25%26.bin"
    assert (d.counts.requests["GetObject"], d.counts.retries, d.counts.bytes_sent) == (4, 0, 0)


@pytest.mark.parametrize(
    ("body", "status", "headers"),
    [
        (
            b"other bytes of the same size, and the ETag that was asked for"[:4],
            200,
            {"ETag": digest(b"body")},
        ),
        (b"newer", 200, {}),
        (b"body", 200, {"ETag": digest(b"else")}),
        (b"body", 206, {"Content-Range": "bytes 0-3/8"}),
        (b"body", 200, {"x-amz-meta-aios3sync-md5": "0" * 32}),
        (b"4\r\nbody\r\n0\r\n\r\n", 200, {"Transfer-Encoding": "chunked", "ETag": digest(b"body")}),
        (b"", 404, {}),
        (b"", 412, {}),
        (b"", 503, {}),
        (b"bo", 200, {"Content-Length": "4", "ETag": digest(b"body")}),
    ],
)
async def test_what_is_not_the_plain_object_is_returned(
    downloading: OpenDownloading, body: bytes, status: int, headers: dict[str, str]
) -> None:
    async with canned_server() as server, downloading(server.url, read_timeout=2.0) as d:
        is_short = headers.get("Content-Length") == "4"
        server.will(status, body, {"ETag": digest(body)} | headers, close=is_short)
        will_send(server, b"next")
        assert await d.download([d.job("a", b"body"), d.job("b", b"next")]) == ["a"]
        assert d.files() == {"b": b"next"}


async def test_a_file_that_was_changed_is_not_replaced(downloading: OpenDownloading) -> None:
    async with canned_server() as server, downloading(server.url) as d:
        (d.root / "a").write_bytes(b"mine")
        (d.root / "b").write_bytes(b"old")
        stat = (d.root / "b").stat()
        seen = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        for _ in range(3):
            will_send(server, b"new")
        jobs = [
            d.job("a", b"new"),
            d.job("b", b"new", replaces=seen),
            d.job("c", b"new", replaces=(3, 1, 1, 1)),
        ]
        assert await d.download(jobs) == ["a", "c"]
        assert d.files() == {"a": b"mine", "b": b"new"}


async def test_nothing_is_written_outside_of_the_directory(
    downloading: OpenDownloading, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    async with canned_server() as server, downloading(server.url) as d:
        (d.root / "link").symlink_to(outside)
        for _ in range(3):
            will_send(server, b"body")
        jobs = [d.job("link/a", b"body"), d.job("../b", b"body"), d.job("c", b"body")]
        assert await d.download(jobs) == ["../b", "link/a"]
        assert d.files() == {"c": b"body"}
        assert (list(outside.iterdir()), (tmp_path / "b").exists()) == ([], False)


async def test_another_directory_in_the_place_of_the_root_is_not_written_to(
    downloading: OpenDownloading,
) -> None:
    async with canned_server() as server, downloading(server.url) as d:
        d.root.rename(d.root.with_name("before"))
        d.root.mkdir()
        assert await d.download([d.job("a", b"body")]) == ["a"]
        assert (d.files(), server.requests) == ({}, [])


async def test_a_connection_that_was_closed_while_idle_is_no_failure(downloading: OpenDownloading) -> None:
    async with canned_server() as server, downloading(server.url) as d:
        facts = {"ETag": digest(b"body")}
        server.will(200, b"body", facts, close=True)
        will_send(server, b"body")
        assert await d.download([d.job("a", b"body")]) == []
        assert await d.download([d.job("b", b"body")]) == []
        assert d.files() == {"a": b"body", "b": b"body"}


async def test_a_process_that_dies_loses_no_object(downloading: OpenDownloading) -> None:
    async with canned_server() as server, downloading(server.url) as d:
        will_send(server, b"body")
        server.will(hang=True)

        async def kill() -> None:
            await server.hanging.wait()
            os.kill(d.pool._workers[0]._process.pid, signal.SIGKILL)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill)
            returned = await d.download([d.job(key, b"body") for key in ("a", "b", "c")])
        assert returned in (["b", "c"], ["a", "b", "c"])
        assert set(d.files()) <= {"a"} | {name for name in d.files() if ".aios3sync-" in name}


def test_the_rest_is_returned_where_the_disk_is_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = DownloadProcess(*os.pipe())
    writer = TreeWriter(str(tmp_path), fsync=False)
    full = OSError(errno.ENOSPC, "full")
    monkeypatch.setattr(TreeWriter, "write_many", lambda *_: [full])
    program._writer = writer
    program._pending.append((2, ()))
    program._arrived = [_Arrived(1, NewFile("a", b"", 0), "", 0.0, 0.5)]
    program._write_arrived()
    assert program._results == [(1, 200, DISK_FULL, 0.5), (2, UNSENT, CANCELLED, 0.0)]
    assert vars(program)["_writer"] is None
    for descriptor in (program._input, program._output, program._wake_read, program._wake_write):
        os.close(descriptor)
    program._poll.close()


def test_where_writing_is_slow_the_session_does_it() -> None:
    """One process with one thread is slower there than the threads of the session."""
    program = DownloadProcess(*os.pipe())
    program._pending.extend((number, ()) for number in range(5))
    program._note_storage(0.031, 63)
    assert len(program._pending) == 5
    program._note_storage(0.002, 1)
    assert program._results == [(number, UNSENT, SLOW_STORAGE, 0.0) for number in range(5)]
    for descriptor in (program._input, program._output, program._wake_read, program._wake_write):
        os.close(descriptor)
    program._poll.close()


async def test_over_tls(downloading: OpenDownloading, authority: Any) -> None:
    body = os.urandom(64 * 1024)
    bundle = authority.bundle
    async with canned_server(authority.server) as server, downloading(server.url, ca_bundle=bundle) as d:
        for _ in range(3):
            will_send(server, body)
        assert await d.download([d.job(key, body) for key in "abc"]) == []
        assert d.files() == dict.fromkeys("abc", body)


@pytest.mark.parametrize(
    ("headers", "encryption", "mtime_ns", "reusable"),
    [
        (b"", "", 0, True),
        (b"Last-Modified: nonsense\r\n", "", 0, True),
        (b"X-Amz-Server-Side-Encryption: AES256\r\nConnection: close\r\n", "AES256", 0, False),
        (b"x-amz-server-side-encryption-customer-algorithm: AES256\r\n", "SSE-C", 0, True),
        (b"x-amz-meta-mtime: 1.5\r\nLast-Modified: nonsense\r\n", "", 1_500_000_000, True),
    ],
)
def test_the_facts_of_a_response(headers: bytes, encryption: str, mtime_ns: int, reusable: bool) -> None:
    etag = digest(b"body")
    head = b'HTTP/1.1 200 OK\r\nETag: "%b"\r\nContent-Length: 4\r\n%b\r\n' % (etag.encode(), headers)
    found = parse_fetched(head + b"body", 4, etag)
    assert found == (b"body", mtime_ns, encryption, reusable)
