"""Endpoints whose ETags are no MD5s, or are written in another way: found out from responses, not guessed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import md5
from typing import Any

import pytest

from aios3sync.core.etag import multipart_etag
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import (
    Body,
    CopySource,
    HeadResult,
    ListedPart,
    ListPage,
    ObjectStore,
    PutOptions,
    PutResult,
)
from aios3sync.store.s3.errors import mismatch, other_bytes
from aios3sync.store.wrappers.base import ForwardingStore
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import MIB, Bench

pytestmark = pytest.mark.usefixtures("settle")


def digest(content: bytes) -> str:
    return md5(content, usedforsecurity=False).hexdigest()


def hidden(etag: str) -> str:
    """Return an ETag that looks like an MD5, but is not that of any body."""
    return digest(b"salt" + etag.encode())


@dataclass
class Endpoint(ForwardingStore):
    """A bucket with other ETags than AWS; like a real store, it raises where an ETag contradicts the MD5.

    Attributes:
        of_object, of_part: make the ETag from the true one.
        md5s: digests that came with parts.
    """

    inner: ObjectStore
    profile: EndpointProfile
    of_object: Callable[[str], str] = str
    of_part: Callable[[str], str] = str

    def __post_init__(self) -> None:
        self.md5s: list[bytes] = []

    def _checked(self, key: str, result: PutResult, md5: bytes) -> PutResult:
        if text := other_bytes(result, md5, opaque=self.profile.etags == "opaque"):
            raise mismatch("PutObject", self.bucket, key, text, result.etag)
        return result

    async def put(
        self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = ""
    ) -> PutResult:
        result = await self.inner.put(key, body, options, md5=md5)
        return self._checked(key, result._replace(etag=self.of_object(result.etag)), md5)

    async def put_part(
        self, key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        self.md5s.append(md5)
        result = await self.inner.put_part(key, upload_id, number, body, options, md5=md5)
        return self._checked(key, result._replace(etag=self.of_part(result.etag)), md5)

    async def complete_multipart(
        self, key: str, upload_id: str, parts: object, options: PutOptions
    ) -> PutResult:
        del parts
        stored = await self.inner.list_parts(key, upload_id)
        listed = [ListedPart(part.number, part.etag, part.size) for part in stored]
        result = await self.inner.complete_multipart(key, upload_id, listed, options)
        return result._replace(etag=self.of_object(result.etag))

    async def copy(
        self,
        source: CopySource,
        key: str,
        options: PutOptions | None = None,
        *,
        keep_metadata: bool = False,
    ) -> PutResult:
        assert source.etag == (await self.head(source.key)).etag, "the condition of the copy"
        source = source._replace(etag="")
        result = await self.inner.copy(source, key, options, keep_metadata=keep_metadata)
        return result._replace(etag=self.of_object(result.etag))

    async def head(self, key: str, *, version_id: str = "", checksums: bool = False) -> HeadResult:
        head = await self.inner.head(key, version_id=version_id, checksums=checksums)
        return head._replace(etag=self.of_object(head.etag))

    async def list_page(self, prefix: str, **facts: object) -> ListPage:
        page = await self.inner.list_page(prefix, **facts)  # type: ignore[arg-type]
        return page._replace(
            entries=[entry._replace(etag=self.of_object(entry.etag)) for entry in page.entries]
        )


def served(bench: Bench, **etags: Callable[[str], str]) -> Endpoint:
    """Give the bucket other ETags; its endpoint is not known yet."""
    bench.profile = EndpointProfile("http://memory")
    bench.memory = MemoryStore(capabilities=replace(bench.memory.capabilities, conditional_delete=False))
    endpoint = Endpoint(bench.memory, bench.profile, **etags)
    bench.faults.inner = endpoint
    return endpoint


def on_a_fresh_machine(bench: Bench, *, known: EndpointProfile | None = None) -> None:
    """Reset the profile in place: the endpoint continues to use the same object."""
    fresh = known or EndpointProfile("http://memory")
    for name in ("etags", "known", "changed"):
        setattr(bench.profile, name, getattr(fresh, name))


KINDS = {
    "upper case": str.upper,
    "uuid": lambda etag: f"{etag[:8]}-{etag[8:12]}-4000-8000-{etag[20:32]}",
    "empty": lambda _: "",
    "look-alike": hidden,
}


@pytest.mark.parametrize("kind", KINDS)
async def test_no_file_is_sent_twice_whatever_the_etags_are(bench: Bench, kind: str) -> None:
    served(bench, of_object=KINDS[kind])
    bench.tree({"a": "aaaa", "b/c": "cccc", "d": "dddd"})
    assert (await bench.sync()).uploaded == 3
    assert (await bench.sync(check="list")).uploaded == 0
    assert bench.profile.etags == ("md5" if kind == "upper case" else "opaque")
    on_a_fresh_machine(bench)
    report = await bench.sync(manifest=False)
    assert (report.uploaded, report.adopted) == (0, 3)
    assert report.requests.get("GetObject", 0) == (kind == "look-alike"), "one object decides for all"


async def test_a_damaged_object_is_sent_again_and_changes_no_profile(bench: Bench) -> None:
    endpoint = served(bench)
    bench.tree({"a": "aaaa"})
    whole, damaged = endpoint.inner.put, list[str]()

    async def put(key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = "") -> PutResult:
        if damaged:
            return await whole(key, body, options, md5=md5)
        damaged.append(key)
        return await whole(key, b"aaab", options, md5=bytes.fromhex(digest(b"aaab")))

    endpoint.inner.put = put  # type: ignore[method-assign]
    report = await bench.sync()
    assert (report.uploaded, report.failed, report.retries) == (1, 0, 1)
    assert (bench.objects(), bench.profile.etags) == ({"a": b"aaaa"}, "md5")


async def test_an_etag_that_reading_confirms_counts_more_than_metadata(bench: Bench) -> None:
    """Another tool replaced the content and kept our metadata."""
    served(bench)
    bench.tree({"a": "aaaa"})
    await bench.sync()
    on_a_fresh_machine(bench)
    stored = bench.memory.objects["p/a"]
    assert "md5chksum" in stored.options.metadata, "the endpoint was not known yet"
    bench.memory.objects["p/a"] = replace(stored, body=b"aaab", etag=digest(b"aaab"))
    report = await bench.sync(manifest=False)
    assert (report.uploaded, bench.objects()) == (1, {"a": b"aaaa"})
    assert bench.profile.etags == "md5"


async def test_no_md5_is_sent_where_etags_are_known_to_be_md5s(bench: Bench) -> None:
    bench.tree({"a": "aaaa"})
    await bench.sync()
    assert "md5chksum" not in bench.memory.objects["p/a"].options.metadata


def large(bench: Bench) -> bytes:
    content = os.urandom(11 * MIB)
    bench.tree({"big": content})
    return content


def part_digests(content: bytes) -> list[bytes]:
    return [
        md5(content[start : start + 5 * MIB], usedforsecurity=False).digest()
        for start in range(0, len(content), 5 * MIB)
    ]


PARTS: dict[str, Any] = {"multipart_threshold": 5 * MIB, "part_size": 5 * MIB}


async def test_every_part_has_its_md5_also_where_etags_prove_nothing(bench: Bench) -> None:
    endpoint = served(bench, of_part=hidden, of_object=hidden)
    bench.profile.record("etags", "opaque", given=True)
    content = large(bench)
    assert (await bench.sync(**PARTS)).uploaded == 1
    assert sorted(endpoint.md5s) == sorted(
        md5(content[start : start + 5 * MIB], usedforsecurity=False).digest()
        for start in (0, 5 * MIB, 10 * MIB)
    )


@pytest.mark.parametrize("md5chksum", [True, False])
@pytest.mark.parametrize("of_part", [str, hidden, str.upper])
async def test_a_joined_object_with_a_look_alike_etag_is_checked_once_and_adopted_later(
    bench: Bench, of_part: Callable[[str], str], *, md5chksum: bool
) -> None:
    served(bench, of_part=of_part, of_object=hidden)
    large(bench)
    report = await bench.sync(**PARTS, md5chksum=md5chksum)
    assert (report.uploaded, bench.profile.etags) == (1, "opaque")
    # A part with such an ETag shows at once that the object needs the MD5 of the whole in its metadata.
    again = of_part is hidden and not md5chksum
    assert report.requests["CreateMultipartUpload"] == (2 if again else 1)
    assert (await bench.sync(**PARTS, check="list")).uploaded == 0
    on_a_fresh_machine(bench)
    report = await bench.sync(**PARTS, manifest=False)
    assert (report.uploaded, report.adopted) == (0, 1)


async def test_one_part_with_a_wrong_etag_is_damaged(bench: Bench) -> None:
    endpoint = served(bench)
    content = large(bench)
    whole, damaged = endpoint.inner.put_part, list[int]()

    async def put_part(
        key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        if number != 2 or damaged:
            return await whole(key, upload_id, number, body, options, md5=md5)
        damaged.append(number)
        other = bytes(len(body))
        return await whole(key, upload_id, number, other, options, md5=bytes.fromhex(digest(other)))

    endpoint.inner.put_part = put_part  # type: ignore[method-assign]
    report = await bench.sync(**PARTS)
    assert (report.uploaded, report.failed, bench.profile.etags) == (1, 0, "md5")
    assert bench.objects() == {"big": content}
    assert bench.memory.objects["p/big"].etag == multipart_etag(
        md5(content[start : start + 5 * MIB], usedforsecurity=False).digest()
        for start in (0, 5 * MIB, 10 * MIB)
    )


async def test_a_joined_object_of_another_size_is_an_error_after_a_second_try(bench: Bench) -> None:
    endpoint = served(bench, of_object=hidden)
    large(bench)
    truth = endpoint.inner.head

    async def head(key: str, **facts: Any) -> HeadResult:
        return (await truth(key, **facts))._replace(size=5)

    endpoint.inner.head = head  # type: ignore[method-assign]
    report = await bench.sync(**PARTS)
    assert (report.uploaded, report.failed, bench.profile.etags) == (0, 1, "md5")
    assert report.requests["CreateMultipartUpload"] == 2
    assert "the object has 5 bytes" in report.errors[0].error
