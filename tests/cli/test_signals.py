"""A signal ends a run early and orderly: the report and the exit code name it, and nothing is lost."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine


@pytest.fixture
def slow(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> subprocess.Popen[bytes]:
    """A run in the middle of its work: some files have arrived, most have not."""
    root = tmp_path / "many"
    root.mkdir()
    for number in range(200):
        (root / f"{number:03}").write_bytes(number.to_bytes(1, "big") * 4000)
    running = cli.start(
        "sync", root, bucket.url(), "--bwlimit=100k", "--workers=4", "--events", stdout=subprocess.PIPE
    )
    assert running.stdout is not None
    while b'"uploaded"' not in running.stdout.readline():
        pass
    return running


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_a_signal_stops_orderly_and_the_next_run_does_only_the_rest(
    cli: CommandLine,
    bucket: Bucket,
    tmp_path: Path,
    slow: subprocess.Popen[bytes],
    number: signal.Signals,
    code: int,
) -> None:
    slow.send_signal(number)
    out, _ = slow.communicate(timeout=240)
    report = orjson.loads(out.splitlines()[-1])["report"]
    assert slow.returncode == code == report["exit_code"]
    assert report["interrupted"] == number
    stopping = [event for event in map(orjson.loads, out.splitlines()) if event["event"] == "stopping"]
    assert [event["signal"] for event in stopping] == [number.name]
    assert report["cancelled"] > 0
    there = bucket.keys()
    assert report["uploaded"] <= len(there) < 200
    again = cli("sync", tmp_path / "many", bucket.url(), "--json").json()
    assert again["uploaded"] + len(there) == 200
    assert again["requests"]["PutObject"] == again["uploaded"]
    assert len(bucket.keys()) == 200


def test_a_second_interrupt_ends_the_process_at_once(slow: subprocess.Popen[bytes]) -> None:
    slow.send_signal(signal.SIGTERM)
    slow.send_signal(signal.SIGINT)
    slow.communicate(timeout=240)
    assert slow.returncode == 130


def test_the_summary_names_the_signal(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(50):
        (tmp_path / "data" / str(number)).write_bytes(bytes(4000))
    running = cli.start(
        "sync", tmp_path / "data", bucket.url(), "--bwlimit=50k", "--workers=4", stdout=subprocess.PIPE
    )
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=240)
    assert running.returncode == 130
    assert out.decode().splitlines()[-1].startswith("stopped by SIGINT: uploaded ")
