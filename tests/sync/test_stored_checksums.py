"""The checksum that S3 keeps as a proof: of files that are here already, and of bytes that pass."""

from __future__ import annotations

from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import pytest

from aios3sync.core.checksums import ALGORITHMS, ObjectChecksum
from aios3sync.core.metadata import META_MD5, META_ORIGINAL_MD5, META_ORIGINAL_SIZE, rclone_md5
from aios3sync.core.parts import MIB
from aios3sync.errors import AccessDeniedError
from aios3sync.local.checksum import is_computable
from aios3sync.store.protocol import GetResult, HeadResult, ListedPart, PutOptions
from aios3sync.sync.stored_checksum import StoredChecksum
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import Bench, body_tree
from tests.sync.copying import CopyBench
from tests.sync.test_verify import verify

pytestmark = pytest.mark.usefixtures("settle")

HERE = [algorithm for algorithm in ALGORITHMS if is_computable(algorithm)]
LARGE = bytes(range(256)) * (36 * 1024 + 5)
TREE: dict[str, Any] = {"a": b"alpha", "d/b": b"", "large": LARGE}


@pytest.fixture
def kms(bench: Bench) -> Bench:
    """A bucket whose ETags prove nothing, though they look like MD5s."""
    bench.memory = bench.faults.inner = MemoryStore(default_encryption="aws:kms")
    return bench


async def store_parts(bench: Bench, key: str, bodies: list[bytes], algorithm: str = "sha256") -> None:
    options = PutOptions(checksum=algorithm)
    upload = await bench.memory.create_multipart(f"p/{key}", options)
    parts = []
    for number, body in enumerate(bodies, 1):
        done = await bench.memory.put_part(f"p/{key}", upload, number, body, options, md5=md5(body).digest())  # noqa: S324
        parts.append(ListedPart(number, done.etag, len(body)))
    await bench.memory.complete_multipart(f"p/{key}", upload, parts, options)


def other_bytes(result: GetResult) -> GetResult:
    return result._replace(body=bytes(reversed(result.body)))


# A lost manifest


@pytest.mark.parametrize("algorithm", HERE)
async def test_a_download_adopts_what_is_here(kms: Bench, algorithm: str) -> None:
    await kms.store(TREE, checksum=algorithm)
    kms.tree(TREE)
    report = await kms.download()
    assert (report.adopted, report.downloaded, report.conflicts) == (len(TREE), 0, 0)
    assert "GetObject" not in report.requests
    again = await kms.download()
    assert (again.kept, again.requests.get("HeadObject", 0)) == (len(TREE), 0)


@pytest.mark.parametrize("algorithm", HERE)
async def test_an_upload_adopts_what_is_there(kms: Bench, algorithm: str) -> None:
    await kms.store(TREE, checksum=algorithm)
    kms.tree({**TREE, "a": b"ALPHA"})
    report = await kms.sync()
    assert (report.adopted, report.uploaded) == (len(TREE) - 1, 1)
    assert report.requests["PutObject"] == 1


async def test_a_file_with_another_checksum_is_a_conflict_that_needs_no_read(kms: Bench) -> None:
    await kms.store({"a": b"alpha"}, checksum="sha256")
    kms.tree({"a": b"ALPHA"})
    report = await kms.download()
    assert (report.conflicts, report.downloaded) == (1, 0)
    assert "GetObject" not in report.requests


async def test_without_a_checksum_the_object_is_read_and_compared(kms: Bench) -> None:
    await kms.store({"a": b"alpha"})
    kms.tree({"a": b"alpha"})
    report = await kms.download()
    assert (report.adopted, report.requests["GetObject"]) == (1, 1)


async def test_without_the_package_a_crc_proves_nothing(kms: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await kms.store({"a": b"alpha"}, checksum="crc32")
    kms.tree({"a": b"alpha"})
    monkeypatch.setattr("aios3sync.sync.stored_checksum.is_computable", lambda _: False)
    report = await kms.download()
    assert (report.adopted, report.requests["GetObject"]) == (1, 1)


@pytest.mark.parametrize("direction", ["down", "up"])
@pytest.mark.parametrize("first", [5 * MIB, 7 * MIB + 1])
async def test_a_checksum_of_parts_counts_where_their_size_is_known(
    kms: Bench, direction: str, first: int
) -> None:
    """Also of a size that nobody would guess: the first part tells."""
    body = LARGE[:9_000_000]
    await store_parts(kms, "large", [body[:first], body[first:]])
    kms.tree({"large": body})
    report = await kms.sync(direction=direction)
    assert (report.adopted, report.downloaded, report.uploaded) == (1, 0, 0)
    assert "GetObject" not in report.requests


async def test_parts_of_unequal_sizes_prove_nothing(kms: Bench) -> None:
    bodies = [LARGE[: 6 * MIB], LARGE[: 5 * MIB], b"end"]
    await store_parts(kms, "large", bodies)
    kms.tree({"large": b"".join(bodies)})
    report = await kms.download()
    assert (report.adopted, report.conflicts) == (1, 0)
    assert report.requests["GetObject"] > 0


async def test_an_endpoint_that_does_not_know_parts_is_guessed_at(kms: Bench) -> None:
    await store_parts(kms, "large", [LARGE[: 5 * MIB], LARGE[5 * MIB : 8 * MIB]])
    kms.tree({"large": LARGE[: 8 * MIB]})

    def without_parts(head: Any) -> Any:
        return head if isinstance(head, HeadResult) else head._replace(size=8 * MIB, parts=0)

    kms.faults.on("head", change=without_parts, times=-1)
    report = await kms.download()
    assert (report.adopted, report.requests.get("GetObject", 0)) == (1, 0)


async def test_the_layout_of_an_etag_may_be_unknown_too(bench: Bench) -> None:
    """No KMS: an object in parts of an odd size, whose ETag no guess explains."""
    body = LARGE[:9_000_000]
    await store_parts(bench, "large", [body[: 7 * MIB + 1], body[7 * MIB + 1 :]])
    bench.tree({"large": body})
    report = await bench.download()
    assert (report.adopted, report.requests.get("GetObject", 0)) == (1, 0)


async def test_a_right_that_is_missing_costs_the_checksum_alone(kms: Bench) -> None:
    """The checksum of an object under KMS needs kms:Decrypt."""
    claimed = {META_MD5: rclone_md5(md5(b"alpha").hexdigest())}  # noqa: S324
    await kms.store({"a": b"alpha"}, checksum="sha256", metadata=claimed)
    kms.tree({"a": b"alpha"})
    refusal = AccessDeniedError("kms:Decrypt", operation="HeadObject", code="AccessDenied", status=403)
    kms.faults.on("head", error=refusal)
    report = await kms.download()
    assert (report.adopted, report.requests["HeadObject"]) == (1, 2)
    assert "GetObject" not in report.requests


# verify


async def test_verify_reads_nothing_that_a_checksum_proves(kms: Bench) -> None:
    await kms.store(TREE, checksum="sha1")
    kms.tree({**TREE, "a": b"ALPHA"})
    report = await verify(kms)
    assert (report.same, report.differing, report.read) == (len(TREE) - 1, 1, 0)


async def test_verify_of_copies_compares_checksums(tmp_path: Path) -> None:
    bench = CopyBench(tmp_path, etags="opaque")
    for store in (bench.source, bench.target):
        store._default_encryption = "aws:kms"
    await bench.source.put("elsewhere", b"", PutOptions(), md5=md5(b"").digest())  # noqa: S324 - so that ETags differ
    await bench.put({"a": b"alpha", "b": b"beta", "c": b"c1"}, checksum="sha256")
    for key, body in {"a": b"alpha", "b": b"BETA", "c": b"c1"}.items():
        options = PutOptions(checksum="sha256" if key != "c" else "sha1")
        await bench.target.put(f"b/{key}", body, options, md5=md5(body).digest())  # noqa: S324
    report = await bench.verify()
    assert (report.same, report.differing, report.read) == (2, 1, 2)


# Bytes that pass


@pytest.mark.parametrize("algorithm", HERE)
@pytest.mark.parametrize("body", [b"alpha", LARGE], ids=["small", "large"])
async def test_bytes_that_are_not_those_of_the_checksum_are_read_again(
    kms: Bench, algorithm: str, body: bytes
) -> None:
    await kms.store({"a": body}, checksum=algorithm)
    kms.faults.on("get", change=other_bytes)
    report = await kms.download()
    assert (report.downloaded, report.failed) == (1, 0)
    assert body_tree(kms.root) == {"a": body}


@pytest.mark.parametrize("body", [b"alpha", LARGE], ids=["small", "large"])
async def test_bytes_that_stay_wrong_are_a_failure(kms: Bench, body: bytes) -> None:
    await kms.store({"a": body}, checksum="sha256")
    kms.faults.on("get", change=other_bytes, times=-1)
    report = await kms.download()
    assert (report.downloaded, report.failed) == (0, 1)
    assert "SHA256 is not that of the object" in report.errors[0].error
    assert body_tree(kms.root) == {}


@pytest.mark.parametrize("body", [b"alpha", LARGE], ids=["small", "large"])
async def test_a_compressed_object_that_stays_so_is_proved_by_it(kms: Bench, body: bytes) -> None:
    """What says that an original is right proves nothing where none is made."""
    original = {META_ORIGINAL_MD5: "0" * 32, META_ORIGINAL_SIZE: "5"}
    await kms.store({"a": body}, checksum="sha256", content_encoding="gzip", metadata=original)
    kms.faults.on("get", change=other_bytes, times=-1)
    report = await kms.download(decode=False)
    assert (report.downloaded, report.failed) == (0, 1)
    assert "SHA256 is not that of the object" in report.errors[0].error


@pytest.mark.parametrize("body", [b"alpha", LARGE], ids=["small", "large"])
async def test_one_head_is_the_price(kms: Bench, body: bytes) -> None:
    await kms.store({"a": body}, checksum="sha256")
    report = await kms.download()
    assert (report.downloaded, report.requests["HeadObject"]) == (1, 1)


async def test_where_the_etag_proves_the_bytes_no_checksum_is_asked_for(bench: Bench) -> None:
    await bench.store({"a": b"alpha", "large": LARGE}, checksum="sha256")
    report = await bench.download()
    assert (report.downloaded, report.requests.get("HeadObject", 0)) == (2, 0)


# What it proves


@pytest.mark.parametrize(
    ("body", "checksum", "sizes", "certain", "expected"),
    [
        (b"abc", "whole", (0,), True, True),
        (b"abd", "whole", (0,), True, False),
        (b"abd", "whole", (0,), False, None),
        (b"abc", "parts", (9, 2), False, True),
        (b"abc", "parts", (9,), False, None),
        (b"abc", "parts", (9,), True, False),
        (b"abc", "parts", (), False, None),
    ],
)
def test_equal_proves_and_unequal_only_where_it_is_certain(
    body: bytes, checksum: str, sizes: tuple[int, ...], certain: bool, expected: bool | None
) -> None:

    def sha(data: bytes) -> bytes:
        return sha256(data).digest()

    stored = {
        "whole": ObjectChecksum("sha256", sha(b"abc")),
        "parts": ObjectChecksum("sha256", sha(sha(b"ab") + sha(b"c")), 2),
    }[checksum]
    assert StoredChecksum(stored, sizes, certain).is_of(lambda: iter([memoryview(body)])) is expected
