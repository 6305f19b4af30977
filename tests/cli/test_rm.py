"""``aios3sync rm``: named objects that must be there; all below a prefix, counted and guarded first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aios3sync.cli.commands.rm import conclude_removal
from aios3sync.report import SyncReport

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine


@pytest.fixture
def filled(bucket: Bucket) -> Bucket:
    for key in ("path/", "path/a", "path/sub/b", "path-old/c", "path", "top", "path/x.delta"):
        bucket.put(key, b"" if key.endswith("/") else b"1")
    return bucket


def test_named_objects_are_deleted(cli: CommandLine, filled: Bucket) -> None:
    ended = cli("rm", filled.url("path"), filled.url("top"))
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines == [
        f"delete: {filled.url('path')}",
        f"delete: {filled.url('top')}",
        "deleted 2 objects",
    ]
    assert filled.keys() == {"path/", "path/a", "path/sub/b", "path-old/c", "path/x.delta"}


def test_a_missing_object_is_a_failure_and_the_rest_is_deleted(cli: CommandLine, filled: Bucket) -> None:
    ended = cli("rm", filled.url("none"), filled.url("top"))
    assert ended.code == 3
    assert "none: delete: there is no such object; --recursive deletes" in ended.err
    assert filled.keys().isdisjoint({"top"})
    ended = cli("rm", filled.url("none"), "--json")
    assert ended.code == 1
    document = ended.json()
    assert (document["deleted"], document["errors"][0]["key"]) == ([], filled.url("none"))


@pytest.mark.parametrize("arguments", [("top",), ("path", "--recursive")])
def test_a_dry_run_deletes_nothing(cli: CommandLine, filled: Bucket, arguments: tuple[str, ...]) -> None:
    before = filled.keys()
    ended = cli("rm", filled.url(arguments[0]), *arguments[1:], "--dry-run")
    assert ended.code == 0
    assert "(dry run) would delete" in ended.lines[0]
    number = 4 if arguments[1:] else 1
    assert any(line.startswith(f"(dry run) would delete {number} object") for line in ended.lines)
    assert filled.keys() == before


def test_a_prefix_is_a_folder_and_all_below_it_goes(cli: CommandLine, filled: Bucket) -> None:
    """The marker of the folder and what other tools own too, but never path-old, nor the object path."""
    ended = cli("rm", filled.url("path"), "--recursive")
    assert ended.code == 0
    assert ended.err == f"deleting 3 objects below {filled.url('path/')}\n"
    assert ended.lines[-1].startswith("deleted 4 objects in ")
    assert filled.keys() == {"path-old/c", "path", "top"}


def test_the_summary_of_a_stopped_deletion_names_the_signal() -> None:
    report = SyncReport(source="", target="s3://bucket/p/", checked="list", deleted=7, interrupted=2)
    assert conclude_removal(report, verbose=0).summary.startswith("stopped by SIGINT: deleted 7 objects in ")


def test_more_than_allowed_are_refused(cli: CommandLine, filled: Bucket) -> None:
    before = filled.keys()
    ended = cli("rm", filled.url("path"), "--recursive", "--max-delete", "2")
    assert ended.code == 4
    assert "3 deletes are planned, --max-delete allows 2" in ended.err
    assert filled.keys() == before
    ended = cli("rm", filled.url("top"), filled.url("path"), "--max-delete", "1")
    assert (ended.code, filled.keys()) == (2, before)
    assert cli("rm", filled.url("path"), "--recursive", "--max-delete", "4").code == 0
    assert filled.keys() == {"path-old/c", "path", "top"}


def test_a_whole_bucket_needs_the_word(cli: CommandLine, filled: Bucket) -> None:
    before = filled.keys()
    for url in (f"s3://{filled.name}", filled.url()):
        ended = cli("rm", url, "--recursive")
        assert (ended.code, filled.keys()) == (2, before)
        assert "is a whole bucket: name a prefix, or add --whole-bucket" in ended.error
    assert cli("rm", filled.url(), "--recursive", "--whole-bucket").code == 0
    assert filled.keys() == set()


def test_an_empty_prefix_deletes_nothing(cli: CommandLine, filled: Bucket) -> None:
    ended = cli("rm", filled.url("nothing-here"), "--recursive")
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines[-1].startswith("deleted 0 objects in ")


def test_many_are_deleted_in_batches(cli: CommandLine, bucket: Bucket) -> None:
    for number in range(1100):
        bucket.put(f"many/{number:04}", b"")
    bucket.put("other", b"")
    document = cli("rm", bucket.url("many"), "--recursive", "--json").json()
    assert (document["deleted"], document["failed"]) == (1100, 0)
    assert document["requests"]["DeleteObjects"] == 2
    assert bucket.keys() == {"other"}


@pytest.mark.parametrize("key", ["a b", "ü", "-dash", "x\x1b[31m", "a//b", "%41+?#"])
def test_odd_names(cli: CommandLine, bucket: Bucket, key: str) -> None:
    bucket.put(key, b"1")
    ended = cli("rm", bucket.url(key))
    assert (ended.code, bucket.keys()) == (0, set())
    assert "\x1b" not in ended.out


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("s3://no-such-bucket-here/x", "--recursive"), 1, "no such bucket"),
        (("s3://no-such-bucket-here/x",), 1, "no such bucket"),
        (("s3://a-bucket/x", "s3://a-bucket/y", "--recursive"), 2, "--recursive takes one location"),
        (("s3://a-bucket/x", "--whole-bucket"), 2, "--whole-bucket goes with --recursive"),
        (("s3://a-bucket",), 2, "names no object"),
        ((), 2, "Missing argument"),
    ],
)
def test_errors(cli: CommandLine, arguments: tuple[str, ...], code: int, text: str) -> None:
    ended = cli("rm", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert text in ended.err


def test_no_credentials_are_one_line(offline: CommandLine) -> None:
    for arguments in ((), ("--recursive",)):
        ended = offline("rm", "s3://some-bucket/x", *arguments)
        assert ended.code == 1
        assert "credentials" in ended.error
