"""A session whose block has ended says so, whatever is asked of it, also if it never made a request."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

import aios3sync.store.boto  # noqa: F401 - loaded before the loop runs
from aios3sync import Session, UsageError, connect
from aios3sync.store.protocol import DeleteItem, PutOptions
from aios3sync.testing.http_server import canned_server

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "store": ("bucket",),
    "queue": ("https://sqs.eu-central-1.amazonaws.com/1/queue",),
    "index": ("sqlite:///index.db",),
    "catalog": ("s3://bucket",),
    "sync": (".", "s3://bucket"),
    "sync_events": (".", "s3://bucket"),
    "watch": (".", "s3://bucket"),
    "plan": (".", "s3://bucket"),
    "apply": (None,),  # a plan is looked at later
    "verify": (".", "s3://bucket"),
    "explain": (".", "s3://bucket", "key"),
    "manifest": (".", "s3://bucket"),
    "doctor": ("s3://bucket",),
    "stats": ("s3://bucket",),
    "stats_cache": ("s3://bucket",),
    "open_reader": ("s3://bucket/key",),
}
METHODS = [
    name
    for name, _ in inspect.getmembers(Session, lambda member: callable(member))
    if not name.startswith("_")
]


async def used(session: Session, name: str) -> object:
    result: Any = getattr(session, name)(*ARGUMENTS[name])
    if isinstance(result, Awaitable):
        return await result
    if isinstance(result, AbstractAsyncContextManager):
        async with result as entered:
            return entered
    if isinstance(result, AsyncGenerator):
        return await anext(result)
    return result


@pytest.mark.parametrize("name", METHODS)
async def test_a_closed_session_says_so(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with connect(endpoint_url="http://127.0.0.1:9") as session:
        pass
    with pytest.raises(UsageError, match="the session is closed"):
        await used(session, name)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("lane", ["auto", "boto"])
async def test_what_a_session_lent_says_that_it_is_closed(lane: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-a-test")
    async with canned_server() as server:
        async with connect(endpoint_url=server.url, lane=lane, region="eu-central-1") as session:
            store = await session.store("bucket")
            await store.head("key")
        asked = len(server.requests)
        for call in (
            lambda: store.head("key"),
            lambda: store.put("key", b"", PutOptions(), md5=b"\0" * 16),
            lambda: store.delete_many([DeleteItem("key")]),
            lambda: store.list_page(""),
        ):
            with pytest.raises(UsageError, match="the session is closed"):
                await call()
        assert len(server.requests) == asked
