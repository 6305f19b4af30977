"""Endpoints that take fewer parts than AWS: the limit is read from the refusal, and larger parts are sent."""

from __future__ import annotations

import os
from typing import Any

import pytest

from aios3sync.errors import StoreError
from aios3sync.store.protocol import Body, ObjectStore, PutOptions, PutResult
from aios3sync.store.s3.errors import with_limit
from aios3sync.store.wrappers.base import ForwardingStore
from tests.sync.conftest import MIB, Bench

PARTS: dict[str, Any] = {"multipart_threshold": 5 * MIB, "part_size": 5 * MIB}


class FewParts(ForwardingStore):
    """Takes ``most`` parts; refuses a higher part number with ``text``."""

    def __init__(self, inner: ObjectStore, most: int, text: str) -> None:
        super().__init__(inner)
        self.most = most
        self.text = text

    async def put_part(
        self, key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        if number > self.most:
            raise StoreError(self.text, operation="UploadPart", code="InvalidArgument", status=400)
        return await self.inner.put_part(key, upload_id, number, body, options, md5=md5)


def limited(bench: Bench, most: int, text: str = "Part number must be between 1 and 4") -> bytes:
    bench.faults.inner = FewParts(bench.memory, most, text)
    content = os.urandom(32 * MIB)
    bench.tree({"big": content})
    return content


async def test_after_a_refused_part_the_file_is_sent_in_fewer_and_the_first_upload_is_aborted(
    bench: Bench,
) -> None:
    content = limited(bench, 4)
    report = await bench.sync(**PARTS)
    assert (report.uploaded, report.failed, bench.objects()) == (1, 0, {"big": content})
    assert bench.memory.objects["p/big"].etag.endswith("-4")
    assert await bench.memory.list_multiparts("") == []
    assert (report.requests["CreateMultipartUpload"], bench.profile.max_parts) == (2, 4)
    assert bench.profile.described()[-1] == "at most 4 parts of an object"


async def test_the_limit_holds_for_the_next_file(bench: Bench) -> None:
    limited(bench, 4)
    await bench.sync(**PARTS)
    bench.tree({"big": os.urandom(31 * MIB)})
    report = await bench.sync(**PARTS)
    assert (report.uploaded, report.requests["CreateMultipartUpload"]) == (1, 1)


async def test_the_most_parts_can_be_given(bench: Bench) -> None:
    content = limited(bench, 4)
    report = await bench.sync(**PARTS, max_parts=3)
    assert (report.requests["CreateMultipartUpload"], bench.objects()) == (1, {"big": content})
    assert bench.memory.objects["p/big"].etag.endswith("-3")
    fresh = await bench.sync(**PARTS, manifest=False)
    assert (fresh.uploaded, fresh.adopted) == (0, 1), "the larger part size is inferred"


async def test_a_second_refusal_is_a_failure_with_a_hint(bench: Bench) -> None:
    limited(bench, 4)
    bench.faults.on(
        "put_part",
        skip=8,
        times=-1,
        error=StoreError("no", operation="UploadPart", code="InvalidArgument", status=400),
    )
    report = await bench.sync(**PARTS)
    assert (report.uploaded, report.failed, report.requests["CreateMultipartUpload"]) == (0, 1, 2)
    assert "--part-size" in report.errors[0].error
    assert await bench.memory.list_multiparts("") == []


async def test_a_refusal_of_the_first_part_is_no_limit(bench: Bench) -> None:
    limited(bench, 0, "no")
    report = await bench.sync(**PARTS)
    assert (report.failed, report.requests["CreateMultipartUpload"], bench.profile.known) == (1, 1, {})


@pytest.mark.parametrize("most", [-1, 10_001])
async def test_an_impossible_limit_is_refused(bench: Bench, most: int) -> None:
    with pytest.raises(ValueError, match=f"max_parts: {most} is not between 1 and 10000"):
        await bench.sync(max_parts=most)


async def test_without_a_stated_limit_that_of_the_stored_parts_is_used_once(bench: Bench) -> None:
    content = limited(bench, 4, "no")
    report = await bench.sync(**PARTS)
    assert (report.uploaded, bench.profile.known, bench.objects()) == (1, {}, {"big": content})


class SmallParts(ForwardingStore):
    """Takes parts of up to ``largest`` bytes."""

    def __init__(self, inner: ObjectStore, largest: int, refusal: tuple[str, str, int]) -> None:
        super().__init__(inner)
        self.largest = largest
        self.refusal = refusal

    async def put_part(
        self, key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        if len(body) > self.largest:
            text, code, status = self.refusal
            raise StoreError(text, operation="UploadPart", code=code, status=status)
        return await self.inner.put_part(key, upload_id, number, body, options, md5=md5)


TOO_LARGE = ("Your proposed upload exceeds the maximum allowed size", "EntityTooLarge", 400)
LARGE_PARTS: dict[str, Any] = {"multipart_threshold": 5 * MIB, "part_size": 16 * MIB}


@pytest.mark.parametrize(
    ("refusal", "part_size"),
    [
        (TOO_LARGE, 5 * MIB),
        ((with_limit(TOO_LARGE[0], "7000000"), *TOO_LARGE[1:]), 7_000_000),
        (("refused with status 413", "413", 413), 5 * MIB),
        (("the part size exceeds the limit of 7MiB", "InvalidArgument", 400), 7 * MIB),
        (("Part is too large: at most 7000000 bytes", "InvalidRequest", 400), 7_000_000),
    ],
)
async def test_after_a_part_that_is_too_large_the_file_is_sent_in_smaller_ones(
    bench: Bench, refusal: tuple[str, str, int], part_size: int
) -> None:
    bench.faults.inner = SmallParts(bench.memory, 7 * MIB, refusal)
    content = os.urandom(31 * MIB)
    bench.tree({"big": content})
    report = await bench.sync(**LARGE_PARTS)
    assert (report.uploaded, report.failed, bench.objects()) == (1, 0, {"big": content})
    assert bench.memory.objects["p/big"].etag.endswith(f"-{-(-len(content) // part_size)}")
    assert await bench.memory.list_multiparts("") == []
    assert (report.requests["CreateMultipartUpload"], bench.profile.max_part_size) == (2, part_size)
    assert bench.profile.described()[-1] == f"at most {part_size:,} bytes of a part"
    bench.tree({"big": os.urandom(30 * MIB)})
    again = await bench.sync(**LARGE_PARTS)
    assert (again.uploaded, again.requests["CreateMultipartUpload"]) == (1, 1), "it is known now"
    fresh = await bench.sync(**LARGE_PARTS, manifest=False)
    assert (fresh.uploaded, fresh.adopted) == (0, 1), "the smaller part size is tried"


async def test_smaller_parts_that_are_refused_too_fail_with_a_hint(
    bench: Bench,
) -> None:
    bench.faults.inner = SmallParts(bench.memory, MIB, TOO_LARGE)
    bench.tree({"big": os.urandom(32 * MIB)})
    report = await bench.sync(**LARGE_PARTS)
    assert (report.failed, report.requests["CreateMultipartUpload"], bench.profile.known) == (1, 2, {})
    assert "smaller --part-size" in report.errors[0].error
    assert await bench.memory.list_multiparts("") == []


async def test_where_no_smaller_part_fits_the_limit_of_parts_the_hint_names_it(bench: Bench) -> None:
    bench.faults.inner = SmallParts(bench.memory, 7 * MIB, TOO_LARGE)
    bench.tree({"big": os.urandom(32 * MIB)})
    report = await bench.sync(**LARGE_PARTS, max_parts=2)
    assert (report.failed, report.requests["CreateMultipartUpload"], bench.profile.known) == (1, 1, {})
    assert "smaller --part-size if 2 such parts hold the file" in report.errors[0].error
