"""``aios3sync ls``: what begins with a prefix, as aws s3 ls prints it, and as JSON lines; it streams."""

from __future__ import annotations

import re
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from aios3sync.cli.output import object_lines
from aios3sync.objects.listing import list_objects
from aios3sync.testing.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aios3sync.core.entries import TargetEntry
    from tests.cli.conftest import Bucket, CommandLine

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +(\d+) (.*)")


@pytest.fixture
def filled(bucket: Bucket) -> Bucket:
    for key in ("pre.txt", "pre/a", "pre/b/c", "pre/b/d", "prefix.txt", "top"):
        bucket.put(key, key.encode())
    return bucket


def test_what_begins_with_a_prefix_is_listed_with_folders(cli: CommandLine, filled: Bucket) -> None:
    ended = cli("ls", f"s3://{filled.name}/pre")
    assert (ended.code, ended.err) == (0, "")
    folder, *lines = ended.lines
    assert folder == f"{'PRE':>30} pre/"
    found = [LINE.fullmatch(line) for line in lines]
    assert [(match[1], match[2]) for match in found if match] == [("7", "pre.txt"), ("10", "prefix.txt")]
    assert lines[0][19:31] == f"{7:>11} "


def test_names_are_below_the_last_slash_and_whole_with_recursive(cli: CommandLine, filled: Bucket) -> None:
    assert [line[31:] for line in cli("ls", filled.url("pre/")).lines] == ["b/", "a"]
    assert [line[31:] for line in cli("ls", filled.url("pre/b")).lines] == ["b/"]
    recursive = cli("ls", filled.url("pre/"), "--recursive").lines
    assert [line[31:] for line in recursive] == ["pre/a", "pre/b/c", "pre/b/d"]


def test_sums_and_sizes_for_people(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("a", bytes(12_345))
    bucket.put("b", b"1")
    lines = cli("ls", bucket.url(), "--human-readable", "--summarize").lines
    assert [line[20:] for line in lines[:2]] == ["   12.3 kB a", "    1 byte b"]
    assert lines[2:] == ["", "total: 2 objects, 12.3 kB"]
    assert cli("ls", bucket.url(), "--summarize").lines[-1] == "total: 2 objects, 12346 bytes"


def test_json_has_one_object_a_line(cli: CommandLine, filled: Bucket) -> None:
    ended = cli("ls", filled.url("pre"), "--json", "--summarize")
    folder, one, other, total = ended.events()
    assert folder == {"prefix": "pre/"}
    assert (one["key"], one["size"]) == ("pre.txt", 7)
    assert sorted(other) == ["etag", "key", "last_modified", "size", "storage_class"]
    assert other["last_modified"].endswith("Z")
    assert total == {"objects": 2, "bytes": 17}


def test_times_are_local(cli: CommandLine, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-7")
    time.tzset()
    try:
        assert object_lines._local_time(0) == "1970-01-01 07:00:00"
        assert object_lines._local_time(1e18) == "-"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_nothing_is_an_error_but_in_an_empty_bucket(cli: CommandLine, bucket: Bucket) -> None:
    ended = cli("ls", bucket.url("none"))
    assert (ended.code, ended.out) == (1, "")
    assert ended.error == f"nothing in s3://{bucket.name} begins with 'none'"
    ended = cli("ls", bucket.url())
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    document = cli("ls", bucket.url("none"), "--json").json()
    assert (document["kind"], document["exit_code"]) == ("ObjectNotFoundError", 1)


@pytest.mark.parametrize(
    ("url", "code", "text"),
    [("bucket/x", 2, "is not an S3 location"), ("s3://no-such-bucket-here/x", 1, "no such bucket")],
)
def test_errors_are_one_line(cli: CommandLine, url: str, code: int, text: str) -> None:
    ended = cli("ls", url)
    assert (ended.code, ended.out) == (code, "")
    assert text in ended.error


def test_no_credentials_are_one_line(offline: CommandLine) -> None:
    ended = offline("ls", "s3://some-bucket/x")
    assert ended.code == 1
    assert "credentials" in ended.error


def test_odd_names_are_escaped(cli: CommandLine, bucket: Bucket) -> None:
    for key in ("a b", "ü/x", "\x1b[31mred", "-dash"):
        bucket.put(key, b"")
    ended = cli("ls", bucket.url(), "--recursive")
    assert "\x1b" not in ended.out
    assert [line[31:] for line in ended.lines] == ["\\x1b[31mred", "-dash", "a b", "ü/x"]
    assert {one["key"] for one in cli("ls", bucket.url(), "--recursive", "--json").events()} == {
        "a b",
        "ü/x",
        "\x1b[31mred",
        "-dash",
    }


def test_a_reader_that_leaves_ends_it_quietly(cli: CommandLine, bucket: Bucket) -> None:
    for number in range(30):
        bucket.put(f"{'k' * 900}{number:03}", b"")
    process = cli.start("ls", bucket.url(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 141


@pytest.mark.parametrize("recursive", [True, False])
async def test_pages_come_one_by_one_and_hold_every_key_once(*, recursive: bool) -> None:
    keys = {f"d{number % 7}/{number:05}": b"" for number in range(9_000)} | {"d": b"", "e": b""}
    store = MemoryStore(objects=keys)
    listed: list[str] = []
    largest = 0

    def on_page(entries: Sequence[TargetEntry], folders: Sequence[str]) -> None:
        nonlocal largest
        largest = max(largest, len(entries))
        listed.extend([*folders, *(entry.key for entry in entries)])

    await list_objects(store, "d", on_page, recursive=recursive)
    expected = sorted(set(keys) - {"e"}) if recursive else ["d", *(f"d{number}/" for number in range(7))]
    assert sorted(listed) == expected
    if recursive:
        assert listed == expected
    assert largest <= 1000
