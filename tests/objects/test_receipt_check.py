"""Objects against a list of ``sha256sum``: what differs is named, whoever wrote the list."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from aios3sync.core.keys import Location
from aios3sync.core.sha256_list import line_of
from aios3sync.errors import UsageError
from aios3sync.objects.receipt_check import check_receipt
from aios3sync.options import SyncOptions
from aios3sync.store.protocol import ObjectStore, PutOptions
from aios3sync.store.wrappers.metrics import CountingStore, RequestCounts
from aios3sync.sync.request import NAMED_FILES, SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.sync.verify_report import VerifyReport
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore

MIB = 2**20


class Target:
    """A prefix in a bucket, and a list of what should be there."""

    def __init__(self, directory: Path) -> None:
        self.memory = MemoryStore()
        self.faults = FaultyStore(self.memory)
        self.place = directory / "sums"

    async def put(self, key: str, body: bytes, **options: Any) -> None:
        digest = md5(body, usedforsecurity=False).digest()
        await self.memory.put(f"p/{key}", body, PutOptions(**options), md5=digest)

    def lists(self, contents: Mapping[str, bytes], *more: str) -> None:
        lines = [line_of(os.fsencode(name), sha256(body).hexdigest()) for name, body in contents.items()]
        self.place.write_bytes(b"".join((*lines, *(f"{line}\n".encode() for line in more))))

    async def check(self, place: str = "", **options: Any) -> VerifyReport:
        counts = RequestCounts()
        store = CountingStore(self.faults, counts)

        async def open_store(_: str = "") -> ObjectStore:
            return store

        request = SyncRequest(
            root=NAMED_FILES,
            location=Location.parse("s3://bucket/p"),
            endpoint="http://memory",
            files={},
            options=SyncOptions(receipt=place or str(self.place), **options),
        )
        resources = Resources(open_store=open_store, memory=ByteSemaphore(MIB), workers=4, counts=counts)
        return await check_receipt(request, resources, open_store)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """An empty bucket and no list yet."""
    return Target(tmp_path)


def found(report: VerifyReport) -> dict[str, str]:
    return {each.key: each.kind for each in report.differences}


async def test_what_is_as_listed_is_the_same(target: Target) -> None:
    contents = {"a\nb": b"1", "d/large": os.urandom(20 * MIB), "empty": b""}
    for key, body in contents.items():
        await target.put(key, body)
    target.lists(contents)
    report = await target.check()
    assert (report.same, report.differing, report.read, report.exit_code) == (3, 0, 3, 0)


async def test_changed_missing_and_further_objects_are_named(target: Target) -> None:
    target.lists({"same": b"1", "changed": b"2", "missing": b"3"})
    await target.put("same", b"1")
    await target.put("changed", b"!")
    await target.put("more", b"4")
    await target.put(".aios3sync/x", b"of this tool")
    report = await target.check()
    assert found(report) == {"changed": "content", "missing": "missing", "more": "extra"}
    assert (report.same, report.exit_code) == (1, 6)


async def test_lists_of_others_are_read_in_any_order(target: Target) -> None:
    digest = sha256(b"1").hexdigest().upper()
    target.lists({"z": b"1", "./d/a": b"1"}, "# a comment", "", f"{digest} *m\r", f"{digest}  z")
    for key in ("z", "d/a", "m"):
        await target.put(key, b"1")
    assert (await target.check()).as_dict() | {"elapsed_s": 0} == (await target.check()).as_dict() | {
        "elapsed_s": 0
    }
    assert (await target.check()).same == 3


async def test_the_list_itself_is_not_missed_in_the_list(target: Target) -> None:
    target.lists({"a": b"1"})
    await target.put("a", b"1")
    content = await to_thread.run_sync(target.place.read_bytes)
    await target.put("SHA256SUMS", content)
    assert (await target.check()).exit_code == 0
    assert (await target.check("s3://bucket/p/SHA256SUMS")).exit_code == 0
    await target.put("SHA256SUMS", content[::-1])
    assert found(await target.check()) == {"SHA256SUMS": "extra"}


async def test_what_filters_hide_is_not_compared(target: Target) -> None:
    target.lists({"a": b"1", "b.log": b"2"})
    await target.put("a", b"1")
    await target.put("c.log", b"3")
    report = await target.check(exclude=("*.log",))
    assert (report.same, report.exit_code) == (1, 0)


async def test_a_digest_that_s3_keeps_takes_the_place_of_reading(target: Target) -> None:
    large = os.urandom(2 * MIB)
    target.lists({"kept": large, "other": b"1"})
    await target.put("kept", large, checksum="sha256")
    await target.put("other", os.urandom(2 * MIB), checksum="sha256")
    report = await target.check()
    assert (found(report), report.same, report.read) == ({"other": "content"}, 1, 0)
    assert "GetObject" not in report.requests


async def test_an_object_that_cannot_be_read_fails_alone(target: Target) -> None:
    target.lists({"a": b"1", "b": b"2"})
    await target.put("a", b"1")
    await target.put("b", b"2")
    target.faults.on("get", key="p/b", error=unavailable(), times=-1)
    report = await target.check()
    assert (report.same, report.failed, report.exit_code) == (1, 1, 3)
    assert report.errors[0].key == "b"


async def test_bytes_that_are_not_those_of_the_object_differ(target: Target) -> None:
    target.lists({"a": b"1234"})
    await target.put("a", b"1234")
    target.faults.on("get", key="p/a", change=lambda result: result._replace(body=b"1235"))
    assert found(await target.check()) == {"a": "content"}


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["nonsense"], "line 2 of .*: it is no line of sha256sum"),
        ([f"{'0' * 64}  a"], "line 2 of .*: 'a' has another digest in a line before"),
        ([f"{'0' * 64}  /etc/passwd"], "is not relative to the target"),
    ],
)
async def test_a_list_that_is_none_is_refused_with_its_line(
    target: Target, lines: list[str], problem: str
) -> None:
    target.lists({"a": b"1"}, *lines)
    with pytest.raises(UsageError, match=problem):
        await target.check()


async def test_a_file_without_line_ends_is_refused_before_it_is_read_as_a_whole(target: Target) -> None:
    """Otherwise memory grows with a file that was named by mistake."""
    target.lists({"a": b"1"})
    with target.place.open("ab") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(UsageError, match=r"line 2 of .*: it is no line of sha256sum"):
        await target.check()


async def test_a_line_of_the_longest_name_is_read(target: Target) -> None:
    name = "\\" * 1022
    target.lists({name: b"1", "b": b"2"})
    assert set(found(await target.check())) == {name, "b"}


async def test_a_list_that_is_not_there_is_an_error(target: Target) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        await target.check()
    with pytest.raises(UsageError, match="there is no s3://bucket/p/sums"):
        await target.check("s3://bucket/p/sums")


async def test_names_that_are_no_utf8_are_those_that_were_escaped(target: Target) -> None:
    target.lists({os.fsdecode(b"f\xff"): b"1"})
    await target.put("f\u201bFF", b"1")
    assert (await target.check()).same == 1
