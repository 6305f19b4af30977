"""Digests that keep the interpreter are the same digests."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.digests import fed


@pytest.mark.parametrize("size", [0, 1, 2046, 2047, 2048, 4094, 4096, 16384, 16385, 70000])
@given(byte=st.binary(min_size=1, max_size=7))
def test_a_fed_digest_is_that_of_the_whole_body(size: int, byte: bytes) -> None:
    body = (byte * (size // len(byte) + 1))[:size]
    assert (
        fed(hashlib.md5(usedforsecurity=False), body).digest()
        == hashlib.md5(body, usedforsecurity=False).digest()
    )
    assert fed(hashlib.sha256(), body).hexdigest() == hashlib.sha256(body).hexdigest()
