"""Receipts on the command line: written beside the data, and verified without the source."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine

pytestmark = pytest.mark.server


def test_a_receipt_is_verified_without_the_source(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    place = bucket.url("p") + "/SHA256SUMS"
    ended = cli("sync", tree, bucket.url("p"), "--receipt", place)
    assert (ended.code, ended.lines[-1]) == (0, f"receipt of 3 files in {place}"), ended.err
    local = tmp_path / "SHA256SUMS"
    local.write_bytes(bucket.get("p/SHA256SUMS"))
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", local], cwd=tree, check=True)
    for receipt in (place, local):
        ended = cli("verify", bucket.url("p"), "--receipt", receipt)
        assert (ended.code, ended.lines[-1].partition(" in ")[0]) == (0, "3 files the same, 0 differing")
    bucket.put("p/a.txt", b"other")
    bucket.client.delete_object(Bucket=bucket.name, Key="p/b.txt")
    ended = cli("verify", bucket.url("p"), "--receipt", place, "--json")
    document = ended.json()
    assert (ended.code, document["source"]) == (6, place)
    assert {each["key"]: each["kind"] for each in document["differences"]} == {
        "a.txt": "content",
        "b.txt": "missing",
    }


def test_the_original_of_a_compressed_object_is_compared(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    place = tmp_path / "sums"
    assert cli("sync", tree, bucket.url("p"), "--receipt", place, "--gzip", "txt").code == 0
    assert gzip.decompress(bucket.get("p/a.txt")) == (tree / "a.txt").read_bytes()
    assert cli("verify", bucket.url("p"), "--receipt", place).code == 0
    assert cli("sync", bucket.url("p"), tmp_path / "stored", "--no-decode", "--receipt", place).code == 0
    assert (tmp_path / "stored" / "a.txt").read_bytes() == bucket.get("p/a.txt")
    assert cli("verify", bucket.url("p"), "--receipt", place).code == 0


def test_the_report_says_whether_it_is_written(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    place = tmp_path / "sums"
    report = cli("sync", tree, bucket.url("p"), "--receipt", place, "--json").json()
    assert report["receipt"] == {"place": str(place), "files": 3, "error": ""}
    os.mkfifo(tree / "pipe")  # skipped with a warning, which is no failure
    assert cli("sync", tree, bucket.url("p"), "--receipt", place).code == 0


def test_what_goes_with_no_receipt_is_refused(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    url, place = bucket.url("p"), tmp_path / "sums"
    refused = {
        ("verify", tree, url, "--receipt", place): "name only the target",
        ("verify", tree, "--receipt", place): "sha256sum -c",
        ("verify", url, "--receipt", place, "--files-from", place): "--files-from",
        ("verify", url): "TARGET",
        ("sync", url, bucket.url("q"), "--receipt", place): "--receipt: the bytes of a copy",
        ("sync", tree, url, "--receipt", place, "--watch"): "leave out --receipt",
        ("sync", tree, url, "--receipt", place, "--cluster", "local:2"): "a receipt cannot be used",
    }
    for arguments, problem in refused.items():
        ended = cli(*arguments)
        assert ended.code == 2, arguments
        assert problem in ended.err, arguments


def test_a_killed_run_leaves_the_old_receipt(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    place, manifest = tree / "SHA256SUMS", tmp_path / "m.sqlite"
    options = ("--receipt", str(place), "--manifest", str(manifest))
    assert cli("sync", tree, bucket.url("p"), *options).code == 0
    before = place.read_bytes()
    for number in range(200):
        (tree / f"new{number}").write_bytes(os.urandom(1000))
    command = [sys.executable, "-m", "aios3sync", "sync", str(tree), bucket.url("p"), *options]
    with subprocess.Popen(
        [*command, "--bwlimit", "20k", "--quiet"], env={**os.environ, **cli.environment}
    ) as running:
        while running.poll() is None and len(bucket.keys()) < 10:
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL, "the run ended by itself"
    assert place.read_bytes() == before
    assert cli("sync", tree, bucket.url("p"), *options, "--delete").code == 0
    assert len(place.read_bytes().splitlines()) == 203
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", place], cwd=tree, check=True)
    assert not bucket.keys() & {"SHA256SUMS", "p/SHA256SUMS"}
