"""``aios3sync cat``: the bytes of objects to standard output, verified, and quiet when the reader leaves."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aios3sync.objects import verification

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine

BODY = os.urandom(20 * 1024 * 1024 + 3)


def test_objects_come_one_after_the_other(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("a", b"alpha\n")
    bucket.put("b b\u00fc", b"beta\n")
    bucket.put("empty", b"")
    ended = cli("cat", bucket.url("a"), bucket.url("empty"), bucket.url("b b\u00fc"))
    assert (ended.code, ended.out, ended.err) == (0, "alpha\nbeta\n", "")


def test_a_large_object_goes_through_a_pipe(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("big", BODY)
    ran = subprocess.run(
        cli.command("cat", bucket.url("big")),
        env=cli.environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout == BODY


def test_a_large_object_goes_to_a_file(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("big", BODY)
    with open(tmp_path / "out", "wb") as out:
        process = cli.start("cat", bucket.url("big"), stdout=out)
        assert process.wait(120) == 0
    assert (tmp_path / "out").read_bytes() == BODY


def test_a_reader_that_leaves_ends_it_quietly(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("big", BODY)
    process = cli.start("cat", bucket.url("big"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(10) == BODY[:10]
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 141


def test_a_full_disk_is_one_line(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("a", b"alpha")
    with open("/dev/full", "wb") as out:
        process = cli.start("cat", bucket.url("a"), stdout=out, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == b"aios3sync: error: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("url", "code", "text"),
    [
        ("BUCKET", 2, "names no object"),
        ("BUCKET/none", 1, "none"),
        ("s3://no-such-bucket-here/x", 1, "no such bucket"),
        ("x", 2, "is not an S3 location"),
    ],
)
def test_errors_are_one_line(cli: CommandLine, bucket: Bucket, url: str, code: int, text: str) -> None:
    ended = cli("cat", url.replace("BUCKET", f"s3://{bucket.name}"))
    assert (ended.code, ended.out) == (code, "")
    assert text in ended.error


def test_no_credentials_are_one_line(offline: CommandLine) -> None:
    ended = offline("cat", "s3://some-bucket/x")
    assert ended.code == 1
    assert "credentials" in ended.error


def test_wrong_bytes_are_an_error_after_them(
    cli: CommandLine, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", b"alpha")
    update = verification.BodyCheck.update
    monkeypatch.setattr(verification.BodyCheck, "update", lambda self, chunk: update(self, chunk[::-1]))
    ended = cli("cat", bucket.url("a"))
    assert (ended.code, ended.out) == (1, "alpha")
    assert "the bytes are not those of the object: their MD5 is not its ETag" in ended.error


def test_what_a_sync_compressed_is_decompressed(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.txt").write_bytes(b"alpha" * 1000)
    assert cli("sync", tmp_path / "d", bucket.url(), "--gzip", "txt").code == 0
    assert cli("cat", bucket.url("a.txt")).out == "alpha" * 1000
    ran = subprocess.run(
        cli.command("cat", bucket.url("a.txt"), "--no-decode"),
        env=cli.environment,
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert gzip.decompress(ran.stdout) == b"alpha" * 1000
    assert hashlib.md5(ran.stdout, usedforsecurity=False).hexdigest() == bucket.head("a.txt")["ETag"].strip(
        '"'
    )
