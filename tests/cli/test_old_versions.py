"""``--as-of`` and ``--restore`` on the command line, on a server with versions and an archive."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aios3sync.cli.main import run
from tests.cli.conftest import Bucket, CommandLine


@pytest.fixture
def then(bucket: Bucket) -> str:
    """A time at which ``d/a`` held other bytes, ``d/gone`` was there and ``d/new`` was not."""
    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    bucket.put("d/a", b"old")
    bucket.put("d/gone", b"gone")
    moment = int(time.time()) + 1
    while time.time() < moment + 1:  # the server keeps times in whole seconds
        time.sleep(0.01)
    bucket.put("d/a", b"newer")
    bucket.put("d/new", b"new")
    bucket.client.delete_object(Bucket=bucket.name, Key="d/gone")
    return datetime.fromtimestamp(moment, UTC).isoformat()


@pytest.mark.parametrize("lane", ["wire", "boto"])
def test_a_prefix_and_an_object_as_they_were(
    cli: CommandLine, bucket: Bucket, tmp_path: Path, then: str, lane: str
) -> None:
    common = ("--as-of", then, "--lane", lane)
    ended = cli("sync", bucket.url("d"), tmp_path / "t", *common)
    assert (ended.code, ended.err) == (0, "")
    assert {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir()} == {
        "a": b"old",
        "gone": b"gone",
    }
    assert cli("verify", bucket.url("d"), tmp_path / "t", *common).code == 0
    assert cli("verify", bucket.url("d"), tmp_path / "t").code == 6
    assert cli("cat", bucket.url("d/a"), *common).out == "old"
    assert cli("cp", bucket.url("d/gone"), tmp_path / "file", *common).code == 0
    assert (tmp_path / "file").read_bytes() == b"gone"
    ended = cli("cp", bucket.url("d/new"), "-", *common)
    assert (ended.code, ended.out) == (1, "")
    assert "there was no such object at" in ended.error
    assert cli("cat", bucket.url("d/a"), "--as-of", "0s ago").out == "newer"
    assert cli("cp", bucket.url("d/a"), bucket.url("d/a"), *common).code == 0, "an old version is put back"
    assert bucket.get("d/a") == b"old"
    assert cli("sync", bucket.url("d"), bucket.url("copy"), *common).code == 0
    assert {key: bucket.get(key) for key in sorted(bucket.keys()) if key.startswith("copy/")} == {
        "copy/a": b"old",
        "copy/gone": b"gone",
    }
    assert cli("sync", bucket.url("d"), tmp_path / "t", "--delete").code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir()} == {
        "a": b"old",  # it was put back
        "new": b"new",
    }


def test_a_bucket_without_versions_is_wrong_usage(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a", b"1")
    for command in (("sync", bucket.url(), tmp_path / "t"), ("cat", bucket.url("a"))):
        ended = cli(*command, "--as-of", "1h ago")
        assert ended.code == 2
        assert f"s3://{bucket.name} keeps no versions" in ended.error


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--as-of", "yesterday"], "'yesterday' is not a time; write for example 2026-11-30T12:00:00Z"),
        (["--as-of", "2026-11-30T12:00:00"], "has no time zone; write for example 2026-11-30T12:00:00Z"),
        (["--as-of", "2026-11-30"], "has no time zone"),
        (["--as-of", "soon ago"], "'soon' is not a duration"),
        (["--restore", "-1"], "--restore: -1 is not between 1 and"),
        (["--restore-tier", "slow"], "'slow' is not one of"),
        (["--restore-tier", "bulk"], "--restore-tier: say with restore for how many days"),
    ],
)
def test_what_cannot_be_is_said(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], expected: str
) -> None:
    assert run(["sync", "s3://bucket/p", str(tmp_path), *options]) == 2
    assert expected in capfd.readouterr().err


@pytest.mark.parametrize("options", [["--as-of", "1h ago"], ["--restore", "1"], ["--restore-tier", "bulk"]])
def test_an_upload_has_neither(capfd: pytest.CaptureFixture[str], tmp_path: Path, options: list[str]) -> None:
    assert run(["sync", str(tmp_path), "s3://bucket/p", *options]) == 2
    assert f"{options[0]}: " in capfd.readouterr().err


@pytest.mark.parametrize("lane", ["wire", "boto"])
def test_archived_objects_are_restored(cli: CommandLine, bucket: Bucket, tmp_path: Path, lane: str) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key="d/cold", Body=b"cold", StorageClass="GLACIER")
    ended = cli("sync", bucket.url("d"), tmp_path / "t", "--lane", lane)
    assert (ended.code, "archived 1" in ended.out, "'--restore DAYS'" in ended.err) == (0, True, True)
    command = ("sync", bucket.url("d"), tmp_path / "t", "--lane", lane, "--restore", "2", "--json")
    document = cli(*command).json()
    assert (document["restoring"], document["downloaded"], document["exit_code"]) == (1, 0, 0)
    document = cli(*command).json()
    assert (document["restoring"], document["downloaded"], document["exit_code"]) == (0, 1, 0)
    assert (tmp_path / "t" / "cold").read_bytes() == b"cold"
