"""Where temporary files cannot be written, one error names their directory and TMPDIR."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from aios3sync import TemporarySpaceError
from aios3sync.core.entries import TargetEntry
from aios3sync.listing.sorted import ListingSorter
from aios3sync.local.temporary import no_space, temporary_file
from aios3sync.manifest.files import temporary_manifest


def unusable(*_: object, **__: object) -> Any:
    raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/var/tmp']")


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite finds room for a few pages only."""
    real = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = real(*arguments, **options)
        connection.execute("PRAGMA max_page_count = 6")
        return connection

    monkeypatch.setattr("sqlite3.connect", connect)


@pytest.mark.usefixtures("small_disk")
async def test_a_full_disk_under_a_sorted_listing_names_tmpdir() -> None:
    page = [TargetEntry(f"k{number:05}", 1, "e" * 32) for number in range(20_000)]
    async with ListingSorter("") as sorter:
        with pytest.raises(TemporarySpaceError, match=r"full; set TMPDIR"):
            await sorter.add(page)


@pytest.mark.usefixtures("small_disk", "no_blocking")
def test_a_full_disk_under_a_temporary_manifest_names_tmpdir() -> None:
    from aios3sync.core.entries import RecordedEntry

    manifest = temporary_manifest()
    rows = [RecordedEntry(f"k{number:05}", 1, 2, 3, 4, "0" * 32, "1" * 32) for number in range(5000)]

    async def record() -> None:
        try:
            await manifest.record(rows, [])
        finally:
            await manifest.close()

    import anyio

    with pytest.raises(TemporarySpaceError, match="set TMPDIR"):
        anyio.run(record)


def test_no_directory_for_temporary_files_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", unusable)
    monkeypatch.setattr("tempfile.gettempdir", unusable)
    with pytest.raises(TemporarySpaceError, match="any of the usual directories"):
        temporary_file()


def test_an_unwritable_tmpdir_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/dev/null/nowhere")
    monkeypatch.setattr("tempfile.tempdir", None)
    with temporary_file() as file:
        file.write(b"x")


def test_the_directory_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", os.fspath(tmp_path))
    assert str(tmp_path) in str(no_space("full"))
