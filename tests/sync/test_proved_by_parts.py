"""Large files whose objects the digests of their parts prove: no digest of the whole is needed."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aios3sync.concurrency import in_thread
from aios3sync.core.etag import multipart_etag
from aios3sync.core.metadata import rclone_md5
from aios3sync.local import digest
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import MIB, Bench, same_size_change

pytestmark = pytest.mark.usefixtures("settle")

FIVE = 5 * MIB
BODY = b"1" * FIVE + b"2" * FIVE + b"3"
LARGE: dict[str, Any] = {"part_size": FIVE, "multipart_threshold": FIVE, "md5chksum": False}
NO_CTIME: dict[str, Any] = {**LARGE, "stat_fields": ("size", "mtime")}


def md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


PARTS_ETAG = multipart_etag([md5(BODY[at : at + FIVE]) for at in range(0, len(BODY), FIVE)])


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    return str(tmp_path / "manifest.json")


def row(manifest: str, key: str = "big") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(manifest).read_text())["files"][key]
    return found


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of files that are hashed as a whole."""
    keys: list[str] = []

    def digest_file(place: Any, key: str, *arguments: Any, **more: Any) -> Any:
        keys.append(key)
        return digest.digest_file(place, key, *arguments, **more)

    monkeypatch.setattr("aios3sync.local.tree.digest_file", digest_file)
    return keys


async def stored(bench: Bench, manifest: str, **options: Any) -> None:
    """Store one large file, whose row has no digest but that of its parts."""
    bench.tree({"big": BODY})
    assert (await bench.sync(manifest=manifest, **LARGE | options)).uploaded == 1
    assert (row(manifest)["md5"], row(manifest)["etag"]) == ("", PARTS_ETAG)


@pytest.mark.parametrize("etags", ["md5", "unknown"])
async def test_a_large_file_is_hashed_once_and_its_row_has_the_digest_of_its_parts(
    bench: Bench, manifest: str, hashed: list[str], etags: Any
) -> None:
    bench.profile = EndpointProfile(etags=etags)
    await stored(bench, manifest)
    assert (hashed, row(manifest)["part_size"]) == ([], FIVE)
    assert set((await bench.memory.head("p/big")).metadata) == {"mtime"}
    assert (await bench.sync(manifest=manifest, **LARGE)).kept == 1
    assert (await bench.sync(manifest=manifest, check="list", **LARGE)).kept == 1
    report = await bench.sync(manifest=manifest, check="content", **LARGE)
    assert (report.kept, hashed) == (1, ["big"])
    report = await bench.sync(manifest=False, **LARGE)
    assert (report.adopted, report.requests.get("HeadObject", 0)) == (1, 0), (
        "a lost manifest costs no request"
    )


async def test_a_changed_content_with_the_same_stat_is_found(bench: Bench, manifest: str) -> None:
    await stored(bench, manifest, **NO_CTIME)
    same_size_change(bench.root / "big")
    assert (await bench.sync(manifest=manifest, **NO_CTIME)).kept == 1
    report = await bench.sync(manifest=manifest, check="content", **NO_CTIME)
    assert (report.conflicts, report.uploaded, report.exit_code) == (1, 0, 3)
    assert bench.objects() == {"big": BODY}
    report = await bench.sync(manifest=manifest, check="content", accept_content=True, **NO_CTIME)
    assert (report.uploaded, report.conflicts) == (1, 0)
    assert bench.objects() == {"big": (bench.root / "big").read_bytes()}


@pytest.mark.parametrize("other", [None, b"other", b"x" * len(BODY)])
async def test_it_is_found_whatever_became_of_the_object(
    bench: Bench, manifest: str, other: bytes | None
) -> None:
    await stored(bench, manifest, **NO_CTIME)
    same_size_change(bench.root / "big")
    del bench.memory.objects["p/big"]
    if other is not None:
        await bench.store({"big": other})
    report = await bench.sync(manifest=manifest, check="content", **NO_CTIME)
    assert (report.conflicts, report.uploaded) == (1, 0)


async def test_an_unchanged_file_whose_object_is_gone_is_no_silent_change(
    bench: Bench, manifest: str
) -> None:
    await stored(bench, manifest)
    del bench.memory.objects["p/big"]
    report = await bench.sync(manifest=manifest, check="content", **LARGE)
    assert (report.conflicts, report.uploaded) == (0, 1)
    assert bench.objects() == {"big": BODY}


async def test_a_touched_file_is_not_sent_again(bench: Bench, manifest: str) -> None:
    await stored(bench, manifest)
    os.utime(bench.root / "big", ns=(1, 1))
    report = await bench.sync(manifest=manifest, **LARGE | {"part_size": 6 * MIB})
    assert (report.touched, report.uploaded) == (1, 0), "the recorded part size counts"
    assert row(manifest)["md5"] == md5(BODY).hex(), "it is known by now"


async def test_a_renamed_file_is_copied(bench: Bench, manifest: str) -> None:
    await stored(bench, manifest)
    (bench.root / "big").rename(bench.root / "other")
    bench.tree({"same-size": BODY[:-1] + b"4"})
    tracked: dict[str, Any] = {"delete": "tracked", "track_renames": True}
    report = await bench.sync(manifest=manifest, **LARGE, **tracked)
    assert (report.copied, report.uploaded, report.deleted) == (1, 1, 1)
    assert bench.objects() == {"other": BODY, "same-size": BODY[:-1] + b"4"}


async def test_other_headers_are_copied_and_the_row_keeps_a_digest(bench: Bench, manifest: str) -> None:
    """The copy of an object in parts may have the ETag of one body, or one that proves nothing."""
    await stored(bench, manifest)
    options: dict[str, Any] = LARGE | {"cache_control": "no-cache", "sse": "aws:kms"}
    report = await bench.sync(manifest=manifest, **options)
    assert (report.updated, report.uploaded) == (1, 0)
    assert row(manifest)["md5"] == md5(BODY).hex()


# Where the whole is hashed all the same


async def test_parts_of_a_size_that_no_reader_infers_come_with_the_digest_of_the_whole(
    bench: Bench, manifest: str
) -> None:
    bench.tree({"big": BODY})
    await bench.sync(manifest=manifest, **LARGE | {"part_size": FIVE + 1})
    assert row(manifest)["md5"] == md5(BODY).hex()
    assert (await bench.memory.head("p/big")).metadata["md5chksum"] == rclone_md5(md5(BODY).hex())
    assert (await bench.sync(manifest=False, **LARGE)).adopted == 1


@pytest.mark.parametrize("known", [False, True])
async def test_objects_whose_etags_prove_nothing_have_the_digest_of_the_whole(
    bench: Bench, manifest: str, hashed: list[str], known: bool
) -> None:
    """Known or not: the first part that is stored shows it, and the upload begins anew."""
    memory = MemoryStore(default_encryption="aws:kms")
    bench.memory, bench.faults.inner = memory, memory
    bench.tree({"big": BODY})
    if known:
        bench.tree({"first": "1"})
        await bench.sync(manifest=manifest, exclude=("big",), **LARGE)
    report = await bench.sync(manifest=manifest, **LARGE)
    assert (report.failed, report.requests["CreateMultipartUpload"], hashed) == (0, 2 - known, ["big"])
    assert row(manifest)["md5"] == md5(BODY).hex()
    assert "md5chksum" in (await memory.head("p/big")).metadata
    assert (bench.objects()["big"], memory._uploads) == (BODY, {})
    assert (await bench.sync(manifest=False, exclude=("first",), **LARGE)).uploaded == 0


async def test_an_object_with_another_etag_than_its_parts_make_is_recorded_with_the_digest_of_the_whole(
    bench: Bench, manifest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    join = bench.memory.complete_multipart

    async def complete(key: str, *arguments: Any) -> Any:
        result = await join(key, *arguments)
        bench.memory.objects[key] = replace(bench.memory.objects[key], etag=f"{'a' * 32}-9")
        return result._replace(etag=f"{'a' * 32}-9")

    monkeypatch.setattr(bench.memory, "complete_multipart", complete)
    bench.tree({"big": BODY})
    assert (await bench.sync(manifest=manifest, **LARGE)).uploaded == 1
    assert (row(manifest)["md5"], row(manifest)["etag"]) == (md5(BODY).hex(), f"{'a' * 32}-9")
    os.utime(bench.root / "big", ns=(1, 1))
    assert (await bench.sync(manifest=manifest, **LARGE)).touched == 1


async def test_a_file_that_changes_before_its_digest_is_known_is_sent_again(
    bench: Bench, manifest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    join, joined = bench.memory.complete_multipart, list[str]()

    async def complete(key: str, *arguments: Any) -> Any:
        result = await join(key, *arguments)
        if not joined:
            await in_thread((bench.root / "big").write_bytes, b"x" + BODY)
        joined.append(key)
        return result._replace(etag=f"{'a' * 32}-9")

    monkeypatch.setattr(bench.memory, "complete_multipart", complete)
    bench.tree({"big": BODY})
    report = await bench.sync(manifest=manifest, **LARGE)
    assert (report.uploaded, report.errors) == (1, ())
    assert (len(joined), row(manifest)["md5"]) == (2, md5(b"x" + BODY).hex())
    assert bench.objects() == {"big": b"x" + BODY}


# A later download of the pair


async def test_a_download_replaces_an_unchanged_file_that_was_only_touched(
    bench: Bench, manifest: str
) -> None:
    await stored(bench, manifest)
    os.utime(bench.root / "big", ns=(1, 1))
    await bench.store({"big": b"new"})
    report = await bench.download(manifest=manifest, **LARGE)
    assert (report.downloaded, report.conflicts) == (1, 0)
    assert (bench.root / "big").read_bytes() == b"new"


async def test_a_download_keeps_a_file_with_other_content(bench: Bench, manifest: str) -> None:
    await stored(bench, manifest)
    (bench.root / "big").write_bytes(b"4" * len(BODY))
    report = await bench.download(manifest=manifest, **LARGE)
    assert (report.downloaded, report.conflicts) == (0, 1)
