"""Checksums: the published values, pieces of any size, and composed ones as S3 composes them."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.checksums import ALGORITHMS, ObjectChecksum
from aios3sync.errors import UsageError
from aios3sync.local.checksum import checksum_of, chunk_checksum, find_crc, hasher_of, is_computable

# The check values of the catalogue of CRCs, https://reveng.sourceforge.io/crc-catalogue/all.htm
CHECK = b"123456789"
VALUES = {"crc32": "cbf43926", "crc32c": "e3069283", "crc64nvme": "ae8b14860a799888"}
HERE = [name for name in ALGORITHMS if is_computable(name)]


@pytest.mark.parametrize("algorithm", VALUES)
def test_check_values(algorithm: str) -> None:
    if not is_computable(algorithm):
        pytest.skip("the package is not installed")
    assert checksum_of(algorithm, CHECK).hex() == VALUES[algorithm]


@pytest.mark.parametrize("algorithm", HERE)
@given(pieces=st.lists(st.binary(max_size=40), max_size=8))
def test_pieces_make_the_whole(algorithm: str, pieces: list[bytes]) -> None:
    hasher = hasher_of(algorithm)
    for piece in pieces:
        hasher.update(memoryview(bytearray(piece)))
    assert hasher.digest() == checksum_of(algorithm, b"".join(pieces))


@given(
    body=st.binary(max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=6),
    part_size=st.integers(1, 90),
    algorithm=st.sampled_from(HERE),
)
def test_parts_are_composed_wherever_the_pieces_are_cut(
    body: bytes, cuts: list[int], part_size: int, algorithm: str
) -> None:
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[start:end] for start, end in pairwise(edges)]
    parts = [body[start : start + part_size] for start in range(0, max(len(body), 1), part_size)]
    expected = checksum_of(algorithm, b"".join(checksum_of(algorithm, part) for part in parts))
    found = chunk_checksum(iter(pieces), ObjectChecksum(algorithm, b"", len(parts)), part_size)
    assert found == expected


@pytest.mark.parametrize("algorithm", ["crc32c", "crc64nvme"])
def test_without_a_package_two_of_them_are_unknown(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("anycrc", "awscrt.checksums"):
        monkeypatch.setitem(sys.modules, package, None)
    find_crc.cache_clear()
    try:
        assert not is_computable(algorithm)
        with pytest.raises(UsageError, match="pip install anycrc"):
            hasher_of(algorithm)
        assert is_computable("crc32")
    finally:
        find_crc.cache_clear()


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(UsageError, match="md4"):
        hasher_of("md4")
