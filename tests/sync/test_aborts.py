"""Uploads that are aborted: also of a cancelled task, and one that cannot be stays on record."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from aios3sync.manifest.unfinished import UnfinishedUpload, UnfinishedUploads
from aios3sync.store.protocol import PutOptions
from aios3sync.sync.transfers.aborts import abort_after_error, abort_upload
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore


async def begun(store: MemoryStore, journal: Path) -> tuple[UnfinishedUpload, UnfinishedUploads]:
    unfinished = UnfinishedUploads(str(journal), "here")
    upload = UnfinishedUpload("key", await store.create_multipart("key", PutOptions()), "v")
    await unfinished.began(upload)
    return upload, unfinished


async def on_record(journal: Path) -> list[UnfinishedUpload]:
    return await UnfinishedUploads(str(journal), "here").left()


async def test_an_upload_is_aborted_though_its_task_is_cancelled(tmp_path: Path) -> None:
    store, warned = MemoryStore(), list[str]()
    upload, unfinished = await begun(store, tmp_path / "journal")
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.lowlevel.checkpoint()
        finally:
            await abort_after_error(store, upload, unfinished, warned.append)
    assert scope.cancelled_caught
    assert (await store.list_multiparts(""), await on_record(tmp_path / "journal"), warned) == ([], [], [])


@pytest.mark.parametrize(
    ("error", "text"),
    [(unavailable("no"), "no"), (RuntimeError("secret"), "RuntimeError")],
    ids=["S3", "other"],
)
async def test_one_that_cannot_be_aborted_stays_on_record(
    tmp_path: Path, error: Exception, text: str
) -> None:
    memory, warned = MemoryStore(), list[str]()
    store = FaultyStore(memory)
    store.on("abort_multipart", error=error)
    upload, unfinished = await begun(memory, tmp_path / "journal")
    await abort_upload(store, upload, unfinished, warned.append)
    assert warned == [f"a multipart upload of 'key' may be left over: {error if text == 'no' else text}"]
    assert await on_record(tmp_path / "journal") == [upload]
