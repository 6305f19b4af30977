"""``aios3sync stats``: options, JSON, what is kept, and errors in one line."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bucket, CommandLine


@pytest.fixture
def filled(bucket: Bucket) -> Bucket:
    for number in range(12):
        bucket.put(f"d{number % 3}/k{number}.txt", bytes(number))
    return bucket


def test_json_is_one_document(cli: CommandLine, filled: Bucket) -> None:
    ended = cli("stats", filled.url(), "--json")
    assert (ended.code, ended.err) == (0, "")
    document = ended.json()
    assert (document["command"], document["location"]) == ("stats", filled.url())
    assert (document["objects"]["value"], document["stored_bytes"]["value"]) == (12, 66)
    assert document["objects"]["known"] == "exact"
    assert (document["cache"]["state"], document["cache"]["written"]) == ("miss", False)
    written = cli("stats", "--cache", filled.url(), "--json").json()
    assert (written["cache"]["state"], written["cache"]["written"]) == ("miss", True)
    again = cli("stats", filled.url(), "--json").json()
    assert (again["cache"]["state"], again["origin"]) == ("hit", "cache")
    assert again["requests"] == {"GetObject": 1, "ListObjectsV2": 1}


def test_the_cache_is_written_once_it_is_asked_for(cli: CommandLine, filled: Bucket) -> None:
    """Statistics write nothing into a bucket unasked; a cache that is there is kept current, and said."""
    before = filled.keys()
    for more in ([], ["--refresh"], ["--sampled"]):
        ended = cli("stats", filled.url(), *more)
        assert ended.code == 0
        assert "cached in" not in ended.out
    assert filled.keys() == before
    ended = cli("stats", filled.url(), "--cache")
    assert ended.lines[-1] == "total: 12 objects, 66 bytes; cached in .aios3sync/stats_quick.json"
    assert filled.keys() - before >= {".aios3sync/stats_quick.json"}
    assert "cached in" not in cli("stats", filled.url()).out  # a hit writes nothing
    filled.put("d1/new", b"1")
    assert "; cached in .aios3sync/stats_quick.json" in cli("stats", filled.url()).lines[-1]
    assert not [key for key in filled.keys() - before if "sampled" in key]


def test_a_person_sees_the_numbers(cli: CommandLine, filled: Bucket) -> None:
    ended = cli("stats", filled.url())
    assert ended.code == 0
    assert "12 objects" in ended.out
    assert "66 bytes" in ended.out


@pytest.mark.parametrize(
    ("options", "mode", "every"),
    [
        ([], "quick", False),
        (["--sampled"], "sampled", False),
        (["--detailed"], "detailed", False),
        (["--detailed=all"], "detailed", True),
        (["--detailed", "--gzip", "txt,css"], "detailed", False),
    ],
    ids=str,
)
def test_modes(cli: CommandLine, filled: Bucket, options: list[str], mode: str, every: bool) -> None:
    document = cli("stats", *options, filled.url(), "--json").json()
    assert (document["mode"], document["every"]) == (mode, every)
    assert document["heads"]["asked"] == (12 if every or "--gzip" in options else 0)


def test_a_prefix_and_the_cache_options(cli: CommandLine, filled: Bucket) -> None:
    below = filled.url("d1")
    assert cli("stats", below, "--json", "--no-cache").json()["objects"]["value"] == 4
    assert len(filled.keys()) == 12
    cli("stats", "--cache", below)
    filled.put("d1/new", b"1")
    old = cli("stats", below, "--json", "--max-age", "1h").json()
    assert (old["objects"]["value"], old["cache"]["validated"]) == (4, "age")
    assert cli("stats", below, "--json").json()["objects"]["value"] == 5
    assert cli("stats", below, "--json", "--refresh").json()["origin"] == "listing"


def test_show_and_clear(cli: CommandLine, filled: Bucket) -> None:
    assert cli("stats", filled.url(), "--cache", "show").lines == ["the cache is empty"]
    cli("stats", filled.url(), "--cache")
    cli("stats", filled.url(), "--cache")
    shown = cli("stats", filled.url(), "--cache", "show")
    assert shown.lines[0].startswith(".aios3sync/stats_quick.json: ")
    assert "12 objects" in shown.lines[0]
    assert "1 hit, 1 miss" in shown.lines[0]
    entries = cli("stats", filled.url(), "--cache", "show", "--json").json()["cache"]
    assert [(entry["hits"], entry["misses"]) for entry in entries] == [(1, 1), (0, 0)]
    assert cli("stats", filled.url(), "--cache", "clear").lines == ["cleared 2 cache files"]
    assert cli("stats", filled.url(), "--cache", "clear", "--json").json()["cleared"] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sampled", "--detailed"], "--sampled and --detailed exclude each other"),
        (["--no-cache", "--cache"], "--no-cache and --cache exclude each other"),
        (["--cache=some"], "'some' is not one of"),
        (["--no-cache", "--refresh"], "--no-cache and --refresh exclude each other"),
        (["--no-cache", "--max-age", "5m"], "--no-cache and --max-age exclude each other"),
        (["--no-cache", "--deltaglider-cache"], "exclude each other"),
        (["--detailed=some"], "'some' is not one of"),
        (["--max-age", "soon"], "soon"),
        (["--list-workers", "-1"], "--list-workers"),
    ],
    ids=str,
)
def test_wrong_usage(cli: CommandLine, bucket: Bucket, options: list[str], words: str) -> None:
    ended = cli("stats", bucket.url(), *options)
    assert ended.code == 2
    assert words in ended.error


def test_a_target_that_is_none(cli: CommandLine) -> None:
    ended = cli("stats", "bucket")
    assert (ended.code, "is not an S3 location" in ended.error) == (2, True)


def test_a_bucket_that_is_not_there_is_an_error_and_no_zeros(cli: CommandLine) -> None:
    ended = cli("stats", "s3://no-such-bucket-anywhere")
    assert (ended.code, ended.out) == (1, "")
    asked, _, answer = ended.error.partition(" s3://no-such-bucket-anywhere: ")
    assert asked in ("ListObjectsV2", "ListMultipartUploads"), (
        "both are asked at once; the first answer counts"
    )
    assert answer.startswith("no such bucket")
    as_json = cli("stats", "s3://no-such-bucket-anywhere", "--json")
    assert (as_json.code, "objects" in as_json.json()) == (1, False)


def test_a_hostile_key_cannot_write_to_the_terminal(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("a\x1b[31mred/key", b"12345")
    ended = cli("stats", bucket.url(), "--detailed=all")
    assert ended.code == 0
    assert "\x1b" not in ended.out


def test_an_index_in_the_place_of_a_listing(cli: CommandLine, filled: Bucket, tmp_path: Path) -> None:
    index = f"sqlite:///{tmp_path / 'index.db'}"
    assert cli("index", "backfill", filled.url(), "--database", index).code == 0
    document = cli("stats", filled.url(), "--index", index, "--json").json()
    assert (document["origin"], document["objects"]["value"]) == ("index", 12)
    assert "ListObjectsV2" not in document["requests"]


def test_a_signal_stops_it(cli: CommandLine, filled: Bucket) -> None:
    hung = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{hung.getsockname()[1]}"
    process = subprocess.Popen(
        [sys.executable, "-m", "aios3sync", "stats", filled.url(), "--endpoint-url", url],
        env=cli.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    hung.settimeout(30)
    connection, _ = hung.accept()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=240)
    connection.close()
    hung.close()
    assert (process.returncode, "Traceback" in err) == (130, False)
