"""Verification compares contents, accepts only proofs, and writes nothing."""

from __future__ import annotations

import gzip
import os
from dataclasses import replace
from hashlib import md5

import pytest

from aios3sync.core.keys import Location
from aios3sync.core.metadata import META_MD5, META_ORIGINAL_MD5, rclone_md5
from aios3sync.options import SyncOptions
from aios3sync.store.protocol import ObjectStore, PutOptions
from aios3sync.store.wrappers.metrics import CountingStore, RequestCounts
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.sync.verify import run_verify
from aios3sync.sync.verify_report import VerifyReport
from aios3sync.testing.faulty import unavailable
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import MIB, Bench

pytestmark = pytest.mark.usefixtures("settle")


async def verify(bench: Bench, **options: object) -> VerifyReport:
    counts = RequestCounts()
    store = CountingStore(bench.faults, counts)

    async def open_store() -> ObjectStore:
        return store

    request = SyncRequest(
        root=str(bench.root),
        location=Location.parse(bench.target),
        endpoint="http://memory",
        options=SyncOptions(**options),  # type: ignore[arg-type]
    )
    resources = Resources(open_store=open_store, memory=ByteSemaphore(MIB), workers=4, counts=counts)
    return await run_verify(request, resources)


async def test_equal_sides_are_equal_by_etag_alone(bench: Bench) -> None:
    bench.tree({"a": "1", "big": os.urandom(11 * MIB)})
    await bench.sync(multipart_threshold=5 * MIB, part_size=5 * MIB)
    report = await verify(bench)
    assert (report.same, report.differing, report.exit_code) == (2, 0, 0)
    assert report.requests == {"ListObjectsV2": 1}


async def test_every_kind_of_difference_is_reported(bench: Bench) -> None:
    bench.tree({"same": "1", "missing": "2", "size": "3", "content": "4"})
    await bench.sync()
    other = MemoryStore(objects={"x": b"5"}).objects["x"]
    bench.memory.objects["p/content"] = other
    bench.memory.objects["p/extra"] = other
    bench.memory.objects["p/.deltaglider/x"] = other
    bench.memory.objects["p/size"] = MemoryStore(objects={"x": b"longer"}).objects["x"]
    del bench.memory.objects["p/missing"]
    before = dict(bench.memory.objects)
    report = await verify(bench)
    assert {(each.kind, each.key) for each in report.differences} == {
        ("missing", "missing"),
        ("extra", "extra"),
        ("size", "size"),
        ("content", "content"),
    }
    assert (report.same, report.exit_code) == (1, 6)
    assert bench.memory.objects == before


async def test_gzip_is_compared_by_the_original(bench: Bench) -> None:
    bench.tree({"a.txt": "text " * 100, "b.txt": "other"})
    await bench.sync(gzip=("txt",))
    bench.tree({"b.txt": "chang"})
    report = await verify(bench)
    assert (report.same, [each.kind for each in report.differences]) == (1, ["content"])


async def test_an_object_whose_content_nothing_proves_is_read(bench: Bench) -> None:
    memory = MemoryStore(default_encryption="aws:kms")
    bench.memory, bench.faults.inner = memory, memory
    bench.tree({"a": "1"})
    await bench.sync()  # the first upload cannot know yet that the bucket encrypts with KMS
    report = await verify(bench)
    assert (report.same, report.read) == (1, 1)
    assert report.requests["GetObject"] == 1
    bench.tree({"a": "3"})
    report = await verify(bench)
    assert ([each.kind for each in report.differences], report.read) == (["content"], 1)


async def test_a_comparison_that_fails_is_an_error_not_a_difference(bench: Bench) -> None:
    bench.tree({"a": "1", "b": "2"})
    await bench.sync()
    bench.tree({"a": "3"})
    bench.faults.on("head", times=-1, error=unavailable())
    bench.memory.objects["p/a"] = MemoryStore(default_encryption="aws:kms", objects={"x": b"1"}).objects["x"]
    report = await verify(bench)
    assert (report.failed, report.exit_code) == (1, 3)


async def test_the_manifest_inside_the_source_is_not_missing_in_the_target(bench: Bench) -> None:
    bench.tree({"a": "1"})
    path = str(bench.root / "state.sqlite")
    await bench.sync(manifest=path)
    assert (await verify(bench, manifest=path)).exit_code == 0


async def test_filters_hide_keys_on_both_sides(bench: Bench) -> None:
    bench.tree({"a": "1", "b.tmp": "2", "c/.gitignore": "x"})
    await bench.sync()
    bench.memory.objects["p/c/x"] = bench.memory.objects["p/b.tmp"] = bench.memory.objects["p/a"]
    report = await verify(bench, exclude=("*.tmp",), gitignore=True)
    assert (report.same, report.differing) == (2, 0)


async def put(bench: Bench, key: str, body: bytes, **options: object) -> None:
    digest = md5(body, usedforsecurity=False).digest()
    await bench.memory.put(f"p/{key}", body, PutOptions(**options), md5=digest)  # type: ignore[arg-type]


def kinds(report: VerifyReport) -> dict[str, str]:
    return {each.key: each.kind for each in report.differences}


async def test_metadata_of_the_file_never_makes_another_body_equal(bench: Bench) -> None:
    """A tool that replaces a body and keeps the metadata leaves such objects."""
    bench.tree({"ours": "abc", "rclone": "abc", "right": "abc"})
    digest = md5(b"abc", usedforsecurity=False).hexdigest()
    await put(bench, "ours", b"xyz", metadata={META_ORIGINAL_MD5: digest})
    await put(bench, "rclone", b"xyz", metadata={META_MD5: rclone_md5(digest)})
    await put(bench, "right", b"abc", metadata={META_MD5: rclone_md5("0" * 32)})
    report = await verify(bench)
    assert (kinds(report), report.same, report.exit_code) == ({"ours": "content", "rclone": "content"}, 1, 6)


async def test_an_object_whose_etag_only_looks_like_an_md5_is_read(bench: Bench) -> None:
    bench.tree({"a": "abc"})
    digest = rclone_md5(md5(b"abc", usedforsecurity=False).hexdigest())
    await put(bench, "a", b"abc", metadata={META_MD5: digest})
    bench.memory.objects["p/a"] = replace(bench.memory.objects["p/a"], etag="0" * 32)
    report = await verify(bench)
    assert (report.same, report.read, report.exit_code) == (1, 1, 0)


async def test_a_wrong_content_encoding_is_reported(bench: Bench) -> None:
    bench.tree({"plain": "abc", "other": "abc", "torn": "abc" * 99, "garbage": "abc"})
    stored = {
        "plain": b"abc",
        "other": b"xyz",
        "torn": gzip.compress(b"abc" * 99)[:-9],
        "garbage": gzip.compress(b"abc") + b"more",
    }
    bench.memory = bench.faults.inner = MemoryStore(default_encryption="aws:kms")
    for key, body in stored.items():
        await put(bench, key, body, content_encoding="gzip")
    report = await verify(bench)
    assert kinds(report) == dict.fromkeys(("other", "torn", "garbage"), "content")
    assert (report.same, report.failed, report.exit_code) == (1, 0, 6)
    assert {each.key: each.detail for each in report.differences} == {
        "other": "Content-Encoding is gzip, and the body is not gzip",
        "torn": "Content-Encoding is gzip, and the body breaks off",
        "garbage": "Content-Encoding is gzip, and the body is not gzip",
    }


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
async def test_gzip_of_several_members_is_read_to_its_end(bench: Bench, encoding: str) -> None:
    bench.tree({"same": "first, second", "short": "first, ", "long": "first, second, third"})
    body = gzip.compress(b"first, ") + gzip.compress(b"second")
    for key in ("same", "short", "long"):
        await put(bench, key, body, content_encoding=encoding)
    report = await verify(bench)
    assert (report.same, report.read) == (1, 3)
    assert kinds(report) == {"short": "content", "long": "content"}


async def test_a_compressed_file_that_is_stored_as_it_is_is_equal(bench: Bench) -> None:
    body = gzip.compress(b"page")
    bench.tree({"page.html": body})
    await put(bench, "page.html", body, content_encoding="gzip")
    assert (await verify(bench)).same == 1


async def test_an_error_of_one_request_fails_one_file(bench: Bench) -> None:
    bench.tree({"a.txt": "1" * 99, "b.txt": "2" * 99})
    await bench.sync(gzip=("txt",))
    bench.faults.on("head", key="p/a.txt", times=-1, error=RuntimeError("?"))
    report = await verify(bench)
    assert (report.same, report.failed) == (1, 1)
