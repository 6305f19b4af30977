"""A session on a server of faults, with observers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import aios3sync
import aios3sync.store.boto
from aios3sync import Session, SyncReport
from aios3sync.observers import Observer
from aios3sync.testing.http_server import CannedRequest, CannedServer, canned_server, error_body

EMPTY = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


def judge(request: CannedRequest) -> tuple[int, bytes] | None:
    """Answer a listing with an empty one; what is sent is stored."""
    return (200, EMPTY) if request.method == "GET" else None


class Scene(NamedTuple):
    """A server, a session, and a directory of one file."""

    server: CannedServer
    session: Session
    tree: Path
    manifest: Path

    async def sync(self, **options: Any) -> SyncReport:
        return await self.session.sync(self.tree, "s3://bkt/p", manifest=str(self.manifest), **options)

    def with_faults(self) -> None:
        """Two requests of the next sync will be refused once."""
        self.server.will(503, error_body("SlowDown"))
        self.server.will(200, EMPTY)
        self.server.will(500, error_body("InternalError"))


OpenScene = Callable[..., AbstractAsyncContextManager[Scene]]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenScene:
    """Open one: ``async with scene([observer], lane="boto") as s``."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setattr("aios3sync.store.wrappers.retry_policy.Backoff.delay", lambda *_: 0.0)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.txt").write_text("1")

    @asynccontextmanager
    async def open_scene(observers: list[Observer], **options: Any) -> AsyncIterator[Scene]:
        chosen: dict[str, Any] = {"processes": 0, "region": "us-east-1"} | options
        async with canned_server() as server:
            server.judge = judge
            connecting = aios3sync.connect(endpoint_url=server.url, observers=observers, **chosen)
            async with connecting as session:
                yield Scene(server, session, tree, tmp_path / "manifest")

    return open_scene
