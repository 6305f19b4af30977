"""The charset of text objects: named where it is known, never wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine

LATIN = "Gr\u00fc\u00dfe".encode("latin-1")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    root = tmp_path / "texts"
    root.mkdir()
    (root / "utf8.txt").write_text("Gr\u00fc\u00dfe")
    (root / "latin.txt").write_bytes(LATIN)
    (root / "a.json").write_text("{}")
    return root


def types(bucket: Bucket) -> dict[str, str]:
    return {key: str(bucket.head(key)["ContentType"]) for key in bucket.keys()}  # noqa: SIM118 - no mapping


@pytest.mark.parametrize("options", [[], ["--gzip", "txt"], ["--lane", "boto"]], ids=str)
def test_utf_8_is_said_of_what_is_utf_8(
    cli: CommandLine, bucket: Bucket, texts: Path, options: list[str]
) -> None:
    assert cli("sync", texts, bucket.url(), *options).code == 0
    assert types(bucket) == {
        "utf8.txt": "text/plain; charset=utf-8",
        "latin.txt": "text/plain",
        "a.json": "application/json",
    }


@pytest.mark.parametrize(
    ("charset", "expected"), [("utf-8", "text/plain; charset=utf-8"), ("none", "text/plain")]
)
def test_a_charset_can_be_chosen(
    cli: CommandLine, bucket: Bucket, texts: Path, charset: str, expected: str
) -> None:
    assert cli("sync", texts, bucket.url(), "--charset", charset).code == 0
    found = types(bucket)
    assert (found["utf8.txt"], found["latin.txt"]) == (expected, expected)
    again = cli("sync", texts, bucket.url(), "--check", "list", "--json").json()
    assert (again["kept"], again["uploaded"], again["updated"]) == (3, 0, 0), "objects stay as they are"


def test_processes_give_back_what_is_no_utf_8(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    for number in range(700):
        (root / f"{number:03}.txt").write_bytes(LATIN if number % 5 == 0 else b"plain")
    assert cli("sync", root, bucket.url(), "--processes", "1", "--quiet").code == 0
    found = [bucket.head(f"{number:03}.txt")["ContentType"] for number in range(0, 700, 23)]
    latin, utf8 = "text/plain", "text/plain; charset=utf-8"
    assert found == [latin if number % 5 == 0 else utf8 for number in range(0, 700, 23)]
