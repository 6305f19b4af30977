"""Reading and hashing: digests as hashlib's, part ETags as S3's, files that move are not trusted."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.core.entries import SourceEntry
from aios3sync.core.etag import multipart_etag
from aios3sync.local import digest as hashing
from aios3sync.local.digest import (
    ChangedError,
    SmallFile,
    digest_file,
    digest_parts,
    is_settled,
    open_regular,
    small_file,
)
from aios3sync.local.read import read_files


def md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def read_small(path: str, key: str) -> SmallFile:
    (answer,), _ = read_files([path], [2**20])
    assert not isinstance(answer, int)
    return small_file(path, key, answer)


@settings(max_examples=60, deadline=None)
@given(
    body=st.binary(max_size=300),
    part_sizes=st.lists(st.integers(1, 310), unique=True, max_size=3),
    chunk=st.integers(1, 70),
    lag=st.integers(1, 9),
)
def test_part_etags_are_those_that_s3_computes(
    body: bytes, part_sizes: list[int], chunk: int, lag: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("hash") / "f"
    path.write_bytes(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "CHUNK", chunk)
        patch.setattr(hashing, "_MAX_LAG_CHUNKS", lag)
        digest = digest_file(str(path), "f", threading.Event(), part_sizes=part_sizes)
    assert digest.md5 == md5(body).hex()
    for size in part_sizes:
        parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
        assert digest.parts[size] == [md5(part) for part in parts]
        expected = md5(b"".join(map(md5, parts))).hex()
        assert digest.part_etags[size] == f"{expected}-{len(parts)}"


def test_a_small_file_comes_with_the_digest_of_exactly_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content")
    file = read_small(str(tmp_path / "f"), "key")
    stat = (tmp_path / "f").stat()
    assert (file.body, file.md5) == (b"content", md5(b"content"))
    assert file.sha256 == hashlib.sha256(b"content").hexdigest()
    assert file.entry == ("key", 7, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def test_C18_a_file_that_is_cut_while_it_is_read_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    real = os.read
    monkeypatch.setattr(
        "aios3sync.local.read.os.read", lambda descriptor, size: real(descriptor, size)[:4] and b""
    )
    with pytest.raises(ChangedError):
        read_small(str(tmp_path / "f"), "f")
    monkeypatch.setattr("aios3sync.local.digest.os.readv", lambda descriptor, buffers: 0)
    with pytest.raises(ChangedError):
        digest_file(str(tmp_path / "f"), "f", threading.Event())


def test_short_reads_of_the_system_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    real = os.read
    monkeypatch.setattr(
        "aios3sync.local.read.os.read", lambda descriptor, size: real(descriptor, min(size, 3))
    )
    assert read_small(str(tmp_path / "f"), "f").body == b"0123456789"


def test_a_fifo_in_the_place_of_a_file_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    with pytest.raises(OSError, match="no longer a regular file"), open_regular(str(tmp_path / "f")):
        pass


@pytest.mark.parametrize(
    ("age_s", "settled"), [(10.0, True), (2.0, True), (1.9, False), (0.0, False), (-5.0, False)]
)
def test_a_file_is_settled_when_its_ctime_is_two_seconds_old(age_s: float, settled: bool) -> None:
    """The racy-clean rule; a time in the future is never settled."""
    started = 10**18
    changed = started - int(age_s * 1e9)
    assert is_settled(SourceEntry("k", 1, 0, changed, 1), started) is settled
    assert is_settled(SourceEntry("k", 1, changed, 0, 1), started, by_mtime=True) is settled


def test_hashing_stops_between_two_chunks(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100)
    stop = threading.Event()
    stop.set()
    with pytest.raises(ChangedError):
        digest_file(str(tmp_path / "f"), "f", stop)


@pytest.mark.parametrize("size", [0, 1, 4096, hashing._AT_ONCE - 1, hashing._AT_ONCE, hashing._AT_ONCE + 1])
def test_a_file_is_hashed_alike_at_once_and_in_chunks(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(body := os.urandom(size))
    digest = digest_file(str(path), "f", threading.Event())
    in_chunks = digest_file(str(path), "f", threading.Event(), part_sizes=[1000])
    assert (digest.entry, digest.md5) == (in_chunks.entry, in_chunks.md5)
    assert (digest.md5, digest.entry.size) == (md5(body).hex(), size)


@pytest.mark.parametrize("change", ["grow", "cut", "rewrite"])
def test_C1_a_small_file_that_changes_while_it_is_hashed_is_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"before")
    os.utime(path, ns=(1, 1))
    read, times = os.read, 0

    def read_then_change(descriptor: int, size: int) -> bytes:
        nonlocal times
        body, times = read(descriptor, size), times + 1
        if times == 1:
            path.write_bytes({"grow": b"before, and more", "cut": b"be"}.get(change, b"beyond"))
        return body

    monkeypatch.setattr(os, "read", read_then_change)
    digest = digest_file(str(path), "f", threading.Event())
    assert (digest.md5, digest.entry.size) == (md5(path.read_bytes()).hex(), path.stat().st_size)
    assert times


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000])
def test_parts_are_hashed_without_the_whole(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)
    digest = digest_parts(str(tmp_path / "f"), "f", threading.Event(), 8)
    with_whole = digest_file(str(tmp_path / "f"), "f", threading.Event(), part_sizes=[8])
    assert (digest.md5, digest.entry) == ("", with_whole.entry)
    parts = [content[at : at + 8] for at in range(0, max(1, size), 8)]
    assert digest.part_etags == {8: multipart_etag([md5(part) for part in parts])}


def test_parts_of_a_file_that_changes_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100)
    real = hashing._hash_parts

    def hash_and_change(*arguments: Any) -> list[bytes]:
        found = real(*arguments)
        path.write_bytes(path.read_bytes() + b"x")
        return found

    monkeypatch.setattr(hashing, "_hash_parts", hash_and_change)
    with pytest.raises(ChangedError):
        digest_parts(str(path), "f", threading.Event(), 8)


def test_a_stop_ends_the_hashing_of_parts(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100)
    stop = threading.Event()
    stop.set()
    with pytest.raises(ChangedError):
        digest_parts(str(tmp_path / "f"), "f", stop, 8)
