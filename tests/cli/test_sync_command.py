"""What ``sync`` does and says, as a process with pipes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aios3sync.report import STATES

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine


def test_each_thing_done_is_a_line_and_the_summary_is_the_last(
    cli: CommandLine, bucket: Bucket, tree: Path
) -> None:
    ended = cli.process("sync", tree, bucket.url("p"))
    assert (ended.code, ended.err) == (0, "")
    assert sorted(ended.lines[:-1]) == [
        "upload: a.txt (new)",
        "upload: b.txt (new)",
        "upload: sub/c.html (new)",
    ]
    assert ended.lines[-1].startswith("uploaded 3 files (21 bytes), kept 0, deleted 0 in ")


def test_a_run_without_a_request_says_so(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    cli("sync", tree, bucket.url("p"))
    ended = cli("sync", tree, bucket.url("p"))
    assert ended.lines[0].startswith("uploaded 0 files, kept 3, deleted 0 in ")
    assert ended.lines[1].startswith("S3 was not asked; last listed ")
    assert ended.lines[1].endswith(" ago (--check list asks)")
    asked = cli("sync", tree, bucket.url("p"), "--check", "list")
    assert "S3 was not asked" not in asked.out


_IMPORTED = """
import sys
from aios3sync.cli.main import run
code = run(sys.argv[1:])
print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
sys.exit(code)
"""


def test_a_run_without_changes_imports_neither_botocore_nor_rich(
    cli: CommandLine, bucket: Bucket, tree: Path
) -> None:
    """A whole one: it shows what is known of the endpoint."""
    cli("sync", tree, bucket.url("p"))
    ended = subprocess.run(
        [sys.executable, "-c", _IMPORTED, "sync", os.fspath(tree), bucket.url("p"), "--check", "list", "-v"],
        capture_output=True,
        env=cli.environment,
        check=True,
    )
    imported = set(ended.stderr.decode().split())
    assert "anyio" in imported
    assert not imported & {"botocore", "aioboto3", "aiobotocore", "aiohttp", "rich", "boto3"}


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(
    cli: CommandLine, bucket: Bucket, tree: Path, isolated: Path
) -> None:
    bucket.put("p/old", b"x")
    before = sorted(isolated.rglob("*"))
    ended = cli("sync", tree, bucket.url("p"), "--delete", "--dry-run")
    assert ended.code == 0
    assert "(dry run) would upload: a.txt (new)" in ended.lines
    assert "(dry run) would delete: old (not in the source)" in ended.lines
    assert ended.lines[-2].startswith("(dry run) would upload 3 files (21 bytes), keep 0, delete 1 in ")
    paid = "4 PUT, COPY and LIST, 0 GET and HEAD, 1 DELETE (free)"
    assert ended.lines[-1] == f"requests of the run, at most: {paid}"
    assert bucket.keys() == {"p/old"}
    assert sorted(isolated.rglob("*")) == before


def test_delete_mirrors_and_delete_tracked_leaves_what_is_not_ours(
    cli: CommandLine, bucket: Bucket, tree: Path
) -> None:
    cli("sync", tree, bucket.url())
    bucket.put("theirs", b"x")
    (tree / "a.txt").unlink()
    assert "delete: a.txt" in cli("sync", tree, bucket.url(), "--delete-tracked").lines
    assert bucket.keys() == {"b.txt", "sub/c.html", "theirs"}
    assert "delete: theirs" in cli("sync", tree, bucket.url(), "--delete").lines
    assert bucket.keys() == {"b.txt", "sub/c.html"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--exclude", "*", "--include", "*.txt"], {"a.txt", "b.txt"}),
        (["--include", "*.txt", "--exclude", "*"], set()),
        (["--exclude=*", "--include=*.txt", "--exclude", "b*"], {"a.txt"}),
        (["--exclude", "*.txt", "--exclude-from", "{rules}"], {"a.txt", "sub/c.html"}),
        (["--exclude-from", "{rules}", "--exclude", "*.txt"], {"sub/c.html"}),
        (["--content-type", "--exclude", "--exclude", "*.txt"], {"sub/c.html"}),
    ],
)
def test_the_last_rule_that_matches_wins_in_the_order_of_the_command_line(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path, options: list[str], expected: set[str]
) -> None:
    rules = tmp_path / "rules"
    rules.write_text("# of a.txt\n!a.txt\n")
    ended = cli("sync", tree, bucket.url(), "--no-manifest", *(text.format(rules=rules) for text in options))
    assert (ended.code, bucket.keys()) == (0, expected)


def test_the_list_of_files_may_come_from_a_pipe(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    ended = cli(
        "sync", tree, bucket.url(), "--files-from", "-", stdin=b"# two of them\n./a.txt\n\nsub/c.html\n"
    )
    assert (ended.code, bucket.keys()) == (0, {"a.txt", "sub/c.html"})


def test_headers_go_where_they_belong(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    options = [
        "--cache-control=max-age=60",
        "--metadata=owner=lab",
        "--metadata=note=a=b",
        "--tag=kind=test",
        "--content-language=de",
        "--expires=2027-01-31T12:00:00Z",
        "--gzip=html,.css",
    ]
    assert cli("sync", tree, bucket.url(), *options).code == 0
    page = bucket.head("sub/c.html")
    assert page["ContentType"] == "text/html; charset=utf-8"
    assert page["ContentEncoding"] == "gzip"
    assert page["CacheControl"] == "max-age=60"
    assert page["ContentLanguage"] == "de"
    assert page["Metadata"].items() >= {"owner": "lab", "note": "a=b"}.items()
    assert page["ExpiresString"] == "Sun, 31 Jan 2027 12:00:00 GMT"
    tags = bucket.client.get_object_tagging(Bucket=bucket.name, Key="a.txt")["TagSet"]
    assert tags == [{"Key": "kind", "Value": "test"}]


def test_new_headers_of_unchanged_files_are_lines_events_and_a_count(
    cli: CommandLine, bucket: Bucket, tree: Path
) -> None:
    sync = ("sync", tree, bucket.url("p"))
    cli(*sync, "--cache-control", "max-age=60")
    rule = ("--cache-control", "max-age=60", "--header-for", "a.txt:cache-control=no-cache")
    dry = cli(*sync, *rule, "--dry-run", "--no-progress")
    assert "(dry run) would update: a.txt (other headers are asked for)" in dry.lines
    events = cli(*sync, *rule, "--events").events()
    assert [event["key"] for event in events if event["event"] == "updated"] == ["a.txt"]
    assert events[-1]["report"]["updated"] == 1
    assert bucket.head("p/a.txt")["CacheControl"] == "no-cache"
    off = cli(*sync, "--cache-control", "none", "--metadata-update", "off", "--json").json()
    assert (off["updated"], off["requests"]) == (0, {})
    again = cli(*sync, *rule, "--cache-control", "other", "--no-progress")
    assert ", updated 2 (headers)" in again.out
    assert bucket.head("p/a.txt")["CacheControl"] == "no-cache"


def test_a_rule_for_headers_that_is_none_is_wrong_usage(cli: CommandLine, tree: Path) -> None:
    ended = cli("sync", tree, "s3://b/p", "--header-for", "*.html")
    assert ended.code == 2
    assert ended.error.startswith("--header-for: '*.html' is not PATTERN:name=value")


def test_json_is_one_document_and_nothing_else(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    ended = cli("sync", tree, bucket.url("p"), "--json")
    assert (ended.code, ended.err) == (0, "")
    report = ended.json()
    assert report["command"] == "sync"
    assert (report["source"], report["target"]) == (str(tree), f"s3://{bucket.name}/p/")
    assert report["checked"] == "list"
    assert report["planned"] == sum(report[state] for state in STATES) == 3
    assert report["requests"]["PutObject"] == 3
    assert report["refused"] is None
    assert report["errors"] == []
    assert {"knowledge_age_s", "errors_file", "retries", "elapsed_s", "uploaded_bytes"} <= report.keys()


def test_events_are_one_object_a_line_and_the_report_is_the_last(
    cli: CommandLine, bucket: Bucket, tree: Path
) -> None:
    events = cli("sync", tree, bucket.url("p"), "--events").events()
    uploaded = [event for event in events if event["event"] == "uploaded"]
    assert {event["key"] for event in uploaded} == {"a.txt", "b.txt", "sub/c.html"}
    assert uploaded[-1]["done"] == uploaded[-1]["total"] == 3
    assert uploaded[-1]["bytes_done"] == uploaded[-1]["bytes_total"] == 21
    assert uploaded[0]["reason"] == "new"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"]) for event in events)
    assert events[-1]["event"] == "finished"
    assert events[-1]["report"]["uploaded"] == 3


def test_quiet_says_nothing_but_errors(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    ended = cli("sync", tree, bucket.url(), "--quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    (tree / "mem").symlink_to("/proc/self/mem")
    ended = cli("sync", tree, bucket.url(), "--quiet")
    assert (ended.code, ended.out, ended.err) == (3, "", "failed: mem: read: Input/output error\n")


def test_v_prints_the_requests(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    ended = cli("sync", tree, bucket.url(), "-v")
    assert ended.lines[-1] == "requests: ListObjectsV2 1, PutObject 3; retries: 0"


def test_names_are_escaped_for_people_and_exact_for_machines(
    cli: CommandLine, bucket: Bucket, tmp_path: Path
) -> None:
    name = "evil\x1b[31m\tname"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_text("x")
    assert cli("sync", tmp_path / "data", bucket.url("a")).lines[0] == "upload: evil\\x1b[31m\\tname (new)"
    events = cli("sync", tmp_path / "data", bucket.url("b"), "--events").events()
    assert next(event["key"] for event in events if event["event"] == "uploaded") == name


def test_what_a_terminal_would_obey_is_escaped_in_every_output(
    cli: CommandLine, bucket: Bucket, tmp_path: Path
) -> None:
    name = "a\u202egnp.exe\x9b31m\u2066\x7f\u2028"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_text("x")
    (tmp_path / "data" / f"{name}.fifo").mkdir()
    os.mkfifo(tmp_path / "data" / f"{name}.fifo" / name)
    for number, output in enumerate(((), ("--events",), ("--json",), ("-vv",))):
        ended = cli.process("sync", tmp_path / "data", bucket.url(str(number)), *output)
        assert (ended.out + ended.err).replace("\n", "").isprintable()
        if output == ("--events",):
            assert name in [event.get("key") for event in ended.events()]
    shown = cli.process("manifest", "export", tmp_path / "data", bucket.url("0"), "-")
    assert shown.out.replace("\n", "").isprintable()
    assert f'"{name}"' not in shown.out
    assert name in shown.json()["files"]


def test_names_can_be_printed_in_any_locale(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "日本語").write_text("x")
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ended = cli.process("sync", tmp_path / "data", bucket.url("a"), set_=ascii_only)
    assert ended.lines[0] == "upload: \\u65e5\\u672c\\u8a9e (new)"
    ended = cli.process("sync", tmp_path / "data", bucket.url("b"), "--events", set_=ascii_only)
    assert "日本語" in [event.get("key") for event in ended.events()]


def test_a_warning_is_printed_once(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    ended = cli("sync", tree, bucket.url())
    assert ended.err == "warning: skipped pipe: a FIFO, not a regular file\n"


def test_an_sse_c_key_comes_from_a_file_and_is_printed_nowhere(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef0123456789abcdef")
    ended = cli("sync", tree, bucket.url(), "--sse-c-key-file", key, "-vv", "--events")
    assert b"0123456789abcdef" not in (ended.out + ended.err).encode()


def test_a_reader_that_leaves_ends_the_run_without_a_traceback(
    cli: CommandLine, bucket: Bucket, tmp_path: Path
) -> None:
    root = tmp_path / "many"
    root.mkdir()
    for number in range(400):
        (root / f"{number:03}").write_bytes(bytes(2000))
    running = cli.start(
        "sync",
        root,
        bucket.url(),
        "--bwlimit=200k",
        "--workers=4",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stdout.readline().startswith(b"upload: ")
    running.stdout.close()
    assert running.stderr is not None
    assert running.stderr.read() == b""
    assert running.wait(240) == 128 + signal.SIGPIPE
    running.stderr.close()


def test_standard_streams_that_are_closed_stop_nothing(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    command = ["sh", "-c", '"$@" >&- 2>&- <&-', "sh", *cli.command("sync", tree, bucket.url())]
    ended = subprocess.run(command, env=cli.environment, timeout=240, check=False)
    assert ended.returncode == 1, "what should have been printed is lost"
    assert bucket.keys() == {"a.txt", "b.txt", "sub/c.html"}
