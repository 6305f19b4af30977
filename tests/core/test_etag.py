"""What an ETag proves, and which metadata speaks where it proves nothing."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.core.etag import (
    Proof,
    bare_etag,
    is_opaque_encryption,
    multipart_etag,
    part_count,
    part_size_candidates,
    proof,
    same_etag,
)
from aios3sync.core.metadata import META_MD5, META_ORIGINAL_MD5, rclone_md5, rclone_mtime, recorded_md5
from aios3sync.core.parts import GIB, MAX_PART_SIZE, MIB, MIN_PART_SIZE, plan_part_size, plan_parts

laws = settings(deadline=None, derandomize=True, max_examples=150)

MD5 = hashlib.md5(b"a", usedforsecurity=False).hexdigest()
OTHER = hashlib.md5(b"b", usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("etag", "wanted", "parts"),
    [
        (MD5, Proof.MD5, 0),
        (f"{MD5}-1", Proof.PARTS, 1),
        (f"{MD5}-10000", Proof.PARTS, 10000),
        (f"{MD5}-0", Proof.NOTHING, 0),
        (f"{MD5}-01", Proof.NOTHING, 0),
        (f"{MD5}-", Proof.NOTHING, 0),
        (f"{MD5}-123456", Proof.NOTHING, 0),
        (MD5.upper(), Proof.MD5, 0),
        (f"{MD5.upper()}-3", Proof.PARTS, 3),
        (f"W/{MD5}", Proof.NOTHING, 0),
        (f'"{MD5}"', Proof.NOTHING, 0),
        (f"{MD5}\n", Proof.NOTHING, 0),
        (MD5[:-1], Proof.NOTHING, 0),
        ("", Proof.NOTHING, 0),
        ("0x8D4BCC2E4835CD0", Proof.NOTHING, 0),
    ],
)
def test_what_an_etag_proves_c7(etag: str, wanted: Proof, parts: int) -> None:
    """32 hex digits are an MD5, with -N they are of parts, and anything else proves nothing."""
    assert proof(etag) is wanted
    assert proof(etag, opaque=True) is Proof.NOTHING
    assert part_count(etag) == parts


@pytest.mark.parametrize("text", [MD5, f'"{MD5}"', f'W/"{MD5}"', f' W/"{MD5}" ', f"W/{MD5}"])
def test_quotes_and_weakness_are_no_part_of_an_etag(text: str) -> None:
    assert bare_etag(text) == MD5
    assert bare_etag(text.upper()) == MD5.upper(), "the case is kept"


@pytest.mark.parametrize("text", ["", '""', 'W/""'])
def test_an_empty_etag_is_empty(text: str) -> None:
    assert bare_etag(text) == ""


def test_the_case_of_hexadecimal_digits_means_nothing() -> None:
    assert same_etag(MD5, MD5.upper())
    assert same_etag(f"{MD5}-2", f"{MD5.upper()}-2")
    assert not same_etag(MD5, OTHER)


@pytest.mark.parametrize(
    ("encryption", "opaque"),
    [
        ("", False),
        ("AES256", False),
        ("aws:kms", True),
        ("aws:kms:dsse", True),
        ("aws:fsx", True),
        ("x", True),
    ],
)
def test_unknown_encryption_is_opaque(encryption: str, opaque: bool) -> None:
    """Only no encryption and SSE-S3 are known to leave ETags meaningful."""
    assert is_opaque_encryption(encryption) is opaque


def test_multipart_etag_is_the_md5_of_the_parts() -> None:
    """The well-known construction, checked on a real body."""
    body = bytes(range(256)) * 100
    cut = [body[part.offset :][: part.length] for part in plan_parts(len(body), 10_000)]
    digests = [hashlib.md5(piece, usedforsecurity=False).digest() for piece in cut]
    joined = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
    assert multipart_etag(iter(digests)) == f"{joined}-3"
    assert part_count(multipart_etag(digests)) == 3


@laws
@given(
    st.integers(1, 200 * GIB), st.integers(1, 10_000), st.lists(st.integers(0, MAX_PART_SIZE + 9), max_size=3)
)
def test_candidates_cut_the_object_into_so_many_parts(size: int, parts: int, known: list[int]) -> None:
    """Every candidate gives exactly the number of parts in the ETag, is possible, and is named once."""
    found = part_size_candidates(size, parts, *known)
    for part_size in found:
        assert -(-size // part_size) == parts
        assert 0 < part_size <= MAX_PART_SIZE
        assert part_size >= MIN_PART_SIZE or parts == 1
    assert len(set(found)) == len(found)


@laws
@given(st.integers(1, 200 * GIB), st.sampled_from([5, 8, 15, 16, 50, 64, 100]))
def test_the_part_sizes_of_the_usual_tools_are_found(size: int, mebibytes: int) -> None:
    """An object cut by a usual part size has that size among the candidates."""
    part_size = mebibytes * MIB
    parts = -(-size // part_size)
    assert part_size in part_size_candidates(size, parts)


@laws
@given(st.integers(200 * GIB, 40_000 * GIB))
def test_our_own_grown_part_size_is_found(size: int) -> None:
    """What plan_part_size() made of the configured size is a candidate, without any record of it."""
    grown = plan_part_size(size, 16 * MIB)
    assert grown in part_size_candidates(size, -(-size // grown), 16 * MIB)


def test_known_part_sizes_come_first() -> None:
    """The recorded part size is tried before the usual ones, even an odd one."""
    assert part_size_candidates(20 * MIB, 2, 17 * MIB)[0] == 17 * MIB
    assert part_size_candidates(20 * MIB, 2, 0)[0] == 10 * MIB


@pytest.mark.parametrize("size", [0, 1, 7, MIN_PART_SIZE + 1])
def test_one_part_of_any_size(size: int) -> None:
    """An object of one part was cut by anything that is at least its size."""
    found = part_size_candidates(size, 1)
    assert found
    assert all(part_size >= size for part_size in found)


def test_a_plain_etag_has_no_candidates() -> None:
    """Zero parts is no multipart object."""
    assert part_size_candidates(10, part_count(MD5)) == ()


@pytest.mark.parametrize(
    ("mtime_ns", "wanted"),
    [
        (0, "0.000000000"),
        (1, "0.000000001"),
        (1_700_000_000_123_456_789, "1700000000.123456789"),
        (-1, "-0.000000001"),
        (-1_500_000_000, "-1.500000000"),
        (-2_000_000_000, "-2.000000000"),
    ],
)
def test_rclone_mtime(mtime_ns: int, wanted: str) -> None:
    """Seconds and nine decimals; before 1970 the sign is that of the whole number."""
    assert rclone_mtime(mtime_ns) == wanted


@laws
@given(st.integers(-(2**62), 2**62))
def test_rclone_mtime_reads_back(mtime_ns: int) -> None:
    """rclone reads the decimals as nanoseconds after the seconds' digits."""
    assert int(rclone_mtime(mtime_ns).replace(".", "")) == mtime_ns


@laws
@given(st.binary(min_size=16, max_size=16))
def test_rclone_md5_reads_back(digest: bytes) -> None:
    """What we write as md5chksum is what recorded_md5() reads."""
    text = rclone_md5(digest.hex())
    assert base64.b64decode(text) == digest
    assert recorded_md5({META_MD5: text}) == digest.hex()


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        ({}, ""),
        ({META_ORIGINAL_MD5: MD5}, MD5),
        ({META_ORIGINAL_MD5: MD5, META_MD5: rclone_md5(OTHER)}, MD5),
        ({META_ORIGINAL_MD5: MD5.upper(), META_MD5: rclone_md5(OTHER)}, OTHER),
        ({META_MD5: rclone_md5(MD5)}, MD5),
        ({META_MD5: "not base64"}, ""),
        ({META_MD5: "é"}, ""),
        ({META_MD5: base64.b64encode(b"short").decode()}, ""),
        ({META_MD5: rclone_md5(MD5)[:-2]}, ""),
        ({"s3cmd-attrs": f"atime:1/ctime:2/gid:0/md5:{MD5}/mode:33188"}, MD5),
        ({"s3cmd-attrs": f"md5:{MD5}"}, MD5),
        ({"s3cmd-attrs": f"uname:xmd5:{MD5}"}, ""),
        ({"s3cmd-attrs": "atime:1/mode:33188"}, ""),
        ({META_MD5: rclone_md5(OTHER), "s3cmd-attrs": f"md5:{MD5}"}, OTHER),
    ],
)
def test_digests_in_metadata_p15(metadata: dict[str, str], wanted: str) -> None:
    """Ours, rclone's and s3cmd's digests are read, in this order; what is malformed is no digest."""
    assert recorded_md5(metadata) == wanted
