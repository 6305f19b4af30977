"""``aios3sync cp``: one file or object up, down, between buckets, from and to a pipe."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aios3sync.local.part_file import PartFile
from aios3sync.objects import download
from aios3sync.testing.servers import Endpoint
from tests.cli.conftest import Bucket, CommandLine

MIB = 1024 * 1024
BIG = os.urandom(17 * MIB + 3)
MTIME_NS = 1_600_000_000_123_456_789

ODD = ["a b", "ü", "-dash", "x\x1b[31m", "%41+?#", "new\nline"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def file(path: Path, body: bytes = b"alpha") -> Path:
    path.write_bytes(body)
    os.utime(path, ns=(MTIME_NS, MTIME_NS))
    return path


# Up


@pytest.mark.parametrize(
    ("target", "key"),
    [("", "a.txt"), ("d/", "d/a.txt"), ("d/b.html", "d/b.html"), ("/x", "/x"), ("a//b", "a//b")],
)
def test_a_file_goes_up(cli: CommandLine, bucket: Bucket, here: Path, target: str, key: str) -> None:
    file(here / "a.txt")
    ended = cli("cp", "a.txt", bucket.url(target))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"upload: a.txt to s3://{bucket.name}/{key} (5 bytes) in ")
    assert (bucket.keys(), bucket.get(key)) == ({key}, b"alpha")
    head = bucket.head(key)
    assert head["Metadata"]["mtime"] == "1600000000.123456789"
    types = {"html": "text/html", "txt": "text/plain"}
    expected = types.get(key.rpartition(".")[2], "application/octet-stream")
    assert head["ContentType"].partition(";")[0] == expected


def test_a_large_file_goes_up_in_parts_with_its_headers(cli: CommandLine, bucket: Bucket, here: Path) -> None:
    file(here / "big", BIG)
    ended = cli(
        "cp", here / "big", bucket.url(), "--part-size", "5M", "--cache-control", "no-store", "--json"
    )
    document = ended.json()
    assert (document["action"], document["bytes"], ended.code) == ("upload", len(BIG), 0)
    assert bucket.get("big") == BIG
    head = bucket.head("big")
    assert head["ETag"].endswith('-4"')
    assert head["CacheControl"] == "no-store"


@pytest.mark.parametrize("name", ODD)
def test_odd_names_go_up_and_come_down(cli: CommandLine, bucket: Bucket, here: Path, name: str) -> None:
    file(here / name)
    if "\n" in name:  # moto cannot hold it as a key
        assert cli("cp", f"./{name}", bucket.url("plain")).code == 0
        return
    up = cli("cp", f"./{name}", bucket.url())
    assert (up.code, bucket.keys()) == (0, {name})
    (here / "d").mkdir()
    down = cli("cp", bucket.url(name), "d")
    assert (down.code, (here / "d" / name).read_bytes()) == (0, b"alpha")
    assert "\x1b" not in up.out + down.out
    assert len(down.lines) == 1


def test_a_leading_dash_is_no_option_after_two_dashes(cli: CommandLine, bucket: Bucket, here: Path) -> None:
    file(here / "-n")
    assert cli("cp", "--", "-n", bucket.url()).code == 0
    assert bucket.keys() == {"-n"}


# Down


def test_an_object_comes_down_with_its_time(cli: CommandLine, bucket: Bucket, here: Path) -> None:
    file(here / "a.txt")
    cli("cp", "a.txt", bucket.url("d/"))
    ended = cli("cp", bucket.url("d/a.txt"), "new/dir/b.txt")
    assert (ended.code, ended.err) == (0, "")
    path = here / "new" / "dir" / "b.txt"
    assert ended.out.startswith(f"download: {bucket.url('d/a.txt')} to {path} (5 bytes) in ")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (b"alpha", MTIME_NS)
    assert os.listdir(path.parent) == ["b.txt"]


def test_a_large_object_comes_down_and_is_verified(cli: CommandLine, bucket: Bucket, here: Path) -> None:
    bucket.put("big", BIG)
    document = cli("cp", bucket.url("big"), ".", "--json").json()
    assert (document["bytes"], document["verified"]) == (len(BIG), "md5")
    assert (here / "big").read_bytes() == BIG
    assert os.listdir(here) == ["big"]


def test_a_file_is_replaced_through_its_link_and_keeps_nothing_of_the_old(
    cli: CommandLine, bucket: Bucket, here: Path
) -> None:
    bucket.put("a", b"new")
    file(here / "real", b"older and longer")
    (here / "link").symlink_to("real")
    assert cli("cp", bucket.url("a"), "link").code == 0
    assert (here / "link").is_symlink()
    assert (here / "real").read_bytes() == b"new"


def test_no_clobber_keeps_what_is_there(cli: CommandLine, bucket: Bucket, here: Path) -> None:
    bucket.put("a", b"theirs")
    bucket.put("b", b"b")
    file(here / "a", b"ours")
    for arguments in (("a", bucket.url()), (bucket.url("a"), "."), (bucket.url("b"), bucket.url("a"))):
        ended = cli("cp", "--no-clobber", *arguments)
        assert (ended.code, ended.out.startswith("kept: ")) == (0, True)
    assert cli("cp", "--no-clobber", "-", bucket.url("a"), stdin=b"x").out.startswith("kept: ")
    assert (bucket.get("a"), (here / "a").read_bytes()) == (b"theirs", b"ours")
    assert cli("cp", "--no-clobber", "a", bucket.url("new")).code == 0
    assert bucket.get("new") == b"ours"


def test_a_full_disk_leaves_the_old_file(
    cli: CommandLine, bucket: Bucket, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", b"new")
    file(here / "a", b"old")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download, "write_all", full)
    ended = cli("cp", bucket.url("a"), "a")
    assert ended.code == 1
    assert ended.error == f"{str(here / 'a')!r} cannot be written: No space left on device"
    assert ((here / "a").read_bytes(), os.listdir(here)) == (b"old", ["a"])


def test_a_large_download_on_a_full_disk_goes_on_later(
    cli: CommandLine, bucket: Bucket, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("big", BIG)
    write, starts = PartFile.write, []

    def fill_up(part: PartFile, start: int, body: bytes) -> None:
        if start >= 8 * MIB:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(part, start, body)

    monkeypatch.setattr(PartFile, "write", fill_up)
    ended = cli("cp", bucket.url("big"), "big")
    assert (ended.code, "No space left on device" in ended.error) == (1, True)
    assert not (here / "big").exists()

    def note(part: PartFile, start: int, body: bytes) -> None:
        starts.append(start)
        write(part, start, body)

    monkeypatch.setattr(PartFile, "write", note)
    assert cli("cp", bucket.url("big"), "big").code == 0
    assert (here / "big").read_bytes() == BIG
    assert sorted(start for start in starts if start) == [8 * MIB, 16 * MIB]
    assert os.listdir(here) == ["big"]


# Pipes


@pytest.mark.parametrize("size", [0, 1, 5 * MIB - 1, 5 * MIB, 17 * MIB + 3])
def test_standard_input_goes_up_whatever_its_length(cli: CommandLine, bucket: Bucket, size: int) -> None:
    body = os.urandom(size)
    ran = subprocess.run(
        cli.command("cp", "-", bucket.url("d/x.html"), "--part-size", "5M", "--json"),
        env=cli.environment,
        input=body,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert bucket.get("d/x.html") == body
    head = bucket.head("d/x.html")
    assert ("-" in head["ETag"]) == (size >= 5 * MIB)
    assert head["ContentType"].startswith("text/html")


def test_parts_of_a_pipe_grow_with_fewer_parts(cli: CommandLine, bucket: Bucket) -> None:
    """Of ten parts the first one alone has the size that was asked for: the second holds all the rest."""
    options = ("--part-size", "5M", "--max-parts", "10")
    assert cli("cp", "-", bucket.url("x"), *options, stdin=BIG[: 11 * MIB]).code == 0
    assert bucket.head("x")["ETag"].endswith('-2"')
    assert bucket.get("x") == BIG[: 11 * MIB]


def test_an_object_goes_to_standard_output_alone(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("big", BIG)
    ran = subprocess.run(
        cli.command("cp", bucket.url("big"), "-"),
        env=cli.environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert hashlib.sha256(ran.stdout).digest() == hashlib.sha256(BIG).digest()


def test_a_reader_that_leaves_ends_it_quietly(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("big", BIG)
    process = cli.start("cp", bucket.url("big"), "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(10) == BIG[:10]
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 141


def test_a_signal_ends_it_although_the_writer_of_its_input_does_nothing(
    cli: CommandLine, bucket: Bucket
) -> None:
    process = cli.start("cp", "-", bucket.url("x"), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(BIG)
    process.stdin.flush()
    while not bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads"):
        assert process.poll() is None
    process.terminate()
    assert process.wait(60) == 143
    process.stdin.close()
    assert process.stderr is not None
    process.stderr.close()
    assert bucket.keys() == set()
    assert not bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads")


# Between buckets


def test_objects_are_copied_within_and_between_buckets(
    cli: CommandLine, bucket: Bucket, make_bucket: Callable[[Endpoint], Bucket]
) -> None:
    other = make_bucket(bucket.endpoint)
    bucket.client.put_object(
        Bucket=bucket.name, Key="d/a", Body=b"alpha", Metadata={"x": "1"}, ContentType="text/x"
    )
    assert cli("cp", bucket.url("d/a"), bucket.url("e/")).code == 0
    assert cli("cp", bucket.url("d/a"), other.url("b"), "--json").json()["bytes"] == 5
    for place, key in ((bucket, "e/a"), (other, "b")):
        head = place.head(key)
        assert (place.get(key), head["Metadata"], head["ContentType"]) == (b"alpha", {"x": "1"}, "text/x")


def test_a_copy_takes_the_headers_that_are_asked_for(cli: CommandLine, bucket: Bucket) -> None:
    bucket.client.put_object(
        Bucket=bucket.name, Key="a", Body=b"alpha", Metadata={"x": "1"}, ContentType="text/x"
    )
    options = ("--cache-control", "no-store", "--metadata", "y=2", "--storage-class", "STANDARD_IA")
    assert cli("cp", bucket.url("a"), bucket.url("b"), *options).code == 0
    head = bucket.head("b")
    assert (head["Metadata"], head["ContentType"]) == ({"x": "1", "y": "2"}, "text/x")
    assert (head["CacheControl"], head["StorageClass"]) == ("no-store", "STANDARD_IA")


# Errors


@pytest.mark.parametrize(
    ("source", "target", "code", "text"),
    [
        ("a", "b", 2, "one of source and target must be an s3://bucket/key"),
        ("-", "-", 2, "one of source and target must be an s3://bucket/key"),
        (".", "URL", 2, "is a directory; 'aios3sync sync' copies directories"),
        ("none", "URL", 1, "'none' was not copied: No such file or directory"),
        ("a", "s3://no-such-bucket-here/", 1, "no such bucket"),
        ("-", "s3://no-such-bucket-here/x", 1, "no such bucket"),
        ("-", "URL", 2, "names no object"),
        ("URLnone", "x", 1, "none"),
        ("URL", "x", 2, "names no object"),
        ("URLd/", "x", 2, "names a folder"),
        ("URLa", "/dev/null", 2, "is no regular file; - writes to standard output"),
        ("URLa", "a/b", 1, "cannot be written: Not a directory"),
        ("URLa", "URLa", 2, "are the same object"),
        ("URLa", "s3://no-such-bucket-here/x", 1, "no such bucket"),
        ("URL..", ".", 2, "has the part '..'"),
    ],
)
def test_errors_are_one_line(
    cli: CommandLine, bucket: Bucket, here: Path, source: str, target: str, code: int, text: str
) -> None:
    bucket.put("a", b"1")
    file(here / "a")
    ended = cli("cp", source.replace("URL", bucket.url()), target.replace("URL", bucket.url()), stdin=b"x")
    assert (ended.code, ended.out) == (code, "")
    assert text in ended.error
    assert bucket.keys() == {"a"}


def test_json_and_a_pipe_exclude_each_other(cli: CommandLine, bucket: Bucket) -> None:
    assert cli("cp", bucket.url("a"), "-", "--json").code == 2


def test_no_credentials_are_one_line(offline: CommandLine, here: Path) -> None:
    file(here / "a")
    for arguments in (("a", "s3://some-bucket/x"), ("s3://some-bucket/x", "b"), ("-", "s3://some-bucket/x")):
        ended = offline("cp", *arguments, stdin=b"x")
        assert ended.code == 1
        assert "credentials" in ended.error
    assert os.listdir(here) == ["a"]


def test_a_file_that_cannot_be_read_is_one_line(cli: CommandLine, bucket: Bucket, here: Path) -> None:
    os.mkfifo(here / "pipe")
    assert stat.S_ISFIFO((here / "pipe").stat().st_mode)
    ended = cli("cp", "pipe", bucket.url())
    assert (ended.code, bucket.keys()) == (1, set())
    assert "'pipe' was not copied" in ended.error
