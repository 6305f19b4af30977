"""``aios3sync doctor``: lines, one document, exit codes, and nothing that stays in the bucket."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from aios3sync.cli.commands.doctor import wrapped

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bucket, CommandLine

pytestmark = pytest.mark.timeout(120)


def test_each_answer_is_one_line(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("data/a", b"1")
    ended = cli("doctor", bucket.url("data"))
    assert (ended.code, ended.err) == (3, "")
    assert "ok       etag: the ETag is the MD5 of the body" in ended.lines
    assert any(line.startswith("differs  integrity: a body that does not fit") for line in ended.lines)
    assert {line.split()[0] for line in ended.lines[:-1]} == {"ok", "differs"}
    assert ended.lines[-1].startswith(
        f"{bucket.url('data/')}: 3 differences; a sync works around what it can ("
    )
    assert bucket.keys() == {"data/a"}


def test_one_document(cli: CommandLine, bucket: Bucket) -> None:
    ended = cli("doctor", bucket.url(), "--json")
    document = ended.json()
    assert (document["command"], document["exit_code"], ended.code) == ("doctor", 3, 3)
    found = {finding["probe"]: finding for finding in document["findings"]}
    assert found["list order"]["status"] == "ok"
    assert found["checksum"]["meaning"]
    assert found["latency"]["figures"]["median_s"] > 0
    assert set(found["speed"]["figures"]) == {"put_bytes_per_s", "get_bytes_per_s"}
    assert document["requests"]["PutObject"] > 20
    assert (document["left"], bucket.keys()) == ([], set())


def test_a_read_only_run_writes_nothing(cli: CommandLine, bucket: Bucket) -> None:
    for name in ("a", "b", "c", "d"):
        bucket.put(name, b"1")
    document = cli("doctor", bucket.url(), "--read-only", "--json").json()
    assert document["exit_code"] == 0
    assert set(document["requests"]) == {"ListObjectsV2", "GetBucketVersioning", "HeadObject"}


def test_a_bucket_that_is_not_there(cli: CommandLine) -> None:
    ended = cli("doctor", "s3://no-such-bucket-here")
    assert ended.code == 1
    assert ended.lines[0].startswith("failed   bucket: ")
    assert "no such bucket" in ended.lines[0]
    assert "the bucket cannot be used" in ended.lines[1]


def test_no_credentials(offline: CommandLine) -> None:
    ended = offline("doctor", "s3://some-bucket")
    assert ended.code == 1
    assert "credentials" in ended.err + ended.out
    assert "Traceback" not in ended.err


def test_a_signal_removes_what_was_written(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> None:
    """The run is stopped while its keys are there."""
    with (tmp_path / "out").open("wb") as out:
        running = cli.start("doctor", bucket.url(), stdout=out, stderr=subprocess.STDOUT)
        while not bucket.keys() and running.poll() is None:
            time.sleep(0.001)
        running.send_signal(signal.SIGINT)
        code = running.wait(60)
    assert code == 130, (tmp_path / "out").read_text()
    assert bucket.keys() == set()


def test_what_was_found_is_kept(cli: CommandLine, bucket: Bucket, isolated: Path) -> None:
    assert cli("doctor", bucket.url()).code == 3
    (path,) = isolated.rglob("endpoints/*.json")
    assert json.loads(path.read_bytes())["facts"]["etags"]["value"] == "md5"


def test_a_terminal_gets_long_lines_below_their_text() -> None:
    line = "differs  conditional delete: a delete ignores its If-Match; let nothing else write below"
    assert wrapped(line, 0) == wrapped(line, 200) == [line]
    assert wrapped(line, 40) == [
        "differs  conditional delete: a delete",
        "         ignores its If-Match; let",
        "         nothing else write below",
    ]
