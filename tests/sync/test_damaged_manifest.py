"""A manifest that turns out to be damaged in the middle of a run is set aside, and the run begins anew."""

from __future__ import annotations

import errno
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aios3sync import ManifestError
from aios3sync.events import Warned
from tests.sync.conftest import Bench

FILES = 300
PAGE = 4096


def overwrite(content: bytes) -> Callable[[Path], None]:
    """Damage every page but the first three, which are read when the file is opened."""

    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        for start in range(3 * PAGE, len(data), PAGE):
            data[start : start + len(content)] = content
        path.write_bytes(data)

    return damage


def execute(sql: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        connection = sqlite3.connect(path)
        with connection:
            connection.execute(sql)
        connection.close()

    return damage


def cut(path: Path) -> None:
    """The end of the file is missing."""
    path.write_bytes(path.read_bytes()[: 4 * PAGE])


def scatter(seed: int) -> Callable[[Path], None]:
    """Change single bytes anywhere after the file's header."""

    def damage(path: Path) -> None:
        data, rng = bytearray(path.read_bytes()), random.Random(seed)  # noqa: S311 - not for secrets
        for _ in range(20):
            data[rng.randrange(100, len(data))] = rng.randrange(256)
        path.write_bytes(data)

    return damage


DAMAGES = {
    "zeros": overwrite(bytes(PAGE)),
    "random": overwrite(random.Random(1).randbytes(PAGE)),  # noqa: S311 - not for secrets
    "cut": cut,
    "text that is not UTF-8": execute(
        "UPDATE entries SET md5 = CAST(x'ff' AS TEXT), size = 7 WHERE key = 'f0100'"
    ),
    "no digest": execute("UPDATE entries SET md5 = NULL, size = 7 WHERE key = 'f0100'"),
    "a size in words": execute("UPDATE entries SET size = 'large' WHERE key = 'f0100'"),
    "a number in bytes": execute("UPDATE entries SET size = x'6162' WHERE key = 'f0100'"),
    "no table": execute("DROP TABLE entries"),
    "no state": execute("UPDATE state SET value = '[' WHERE name = 'state'"),
    "another state": execute("""UPDATE state SET value = '{"mounts": 5}' WHERE name = 'state'"""),
    "no pair": execute("""UPDATE state SET value = '{"a": 5}' WHERE name = 'binding'"""),
}


async def synced(bench: Bench, place: Path) -> None:
    bench.tree({f"f{number:04}": str(number) for number in range(FILES)})
    first = await bench.sync(manifest=str(place))
    assert first.uploaded == FILES


@pytest.mark.parametrize("check", ["auto", "list"])
@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.usefixtures("settle")
async def test_a_damaged_manifest_is_set_aside_and_rebuilt_within_the_run(
    bench: Bench, tmp_path: Path, name: str, check: str
) -> None:
    place = tmp_path / "m.sqlite"
    await synced(bench, place)
    DAMAGES[name](place)
    report = await bench.sync(manifest=str(place), check=check, delete="tracked")
    assert (report.uploaded, report.deleted, report.failed) == (0, 0, 0)
    assert report.adopted == FILES
    again = await bench.sync(manifest=str(place))
    assert (again.kept, again.requests) == (FILES, {})
    assert len(list(tmp_path.glob("m.sqlite.set-aside-*"))) == 1
    assert sum("was set aside" in text for text in report.warnings) == 1


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.usefixtures("settle")
async def test_whatever_bytes_change_the_run_ends_well(bench: Bench, tmp_path: Path, seed: int) -> None:
    place = tmp_path / "m.sqlite"
    await synced(bench, place)
    scatter(seed)(place)
    bench.tree({"new": "1"})
    for _ in range(2):
        report = await bench.sync(manifest=str(place), check="list", delete="tracked")
        assert (report.deleted, report.failed, report.conflicts) == (0, 0, 0)
    assert len(bench.objects()) == FILES + 1


async def test_a_restart_is_reported_at_once(bench: Bench, tmp_path: Path) -> None:
    place = tmp_path / "m.sqlite"
    await synced(bench, place)
    DAMAGES["zeros"](place)
    bench.events.clear()
    await bench.sync(manifest=str(place))
    assert any(isinstance(event, Warned) and "damaged" in event.message for event in bench.events)


async def test_a_dry_run_leaves_a_damaged_manifest_where_it_is(bench: Bench, tmp_path: Path) -> None:
    place = tmp_path / "m.sqlite"
    await synced(bench, place)
    DAMAGES["zeros"](place)
    before = place.read_bytes()
    report = await bench.sync(manifest=str(place), dry_run=True)
    assert any("is not used" in text for text in report.warnings)
    assert (report.uploaded, place.read_bytes()) == (0, before)


async def test_damage_that_is_met_while_outcomes_are_recorded_begins_anew(
    bench: Bench, tmp_path: Path
) -> None:
    place = tmp_path / "m.sqlite"
    await synced(bench, place)
    execute("CREATE TRIGGER damage BEFORE INSERT ON entries BEGIN SELECT missing(); END")(place)
    bench.tree({"z": "new"})
    report = await bench.sync(manifest=str(place))
    assert (report.failed, bench.objects()["z"]) == (0, b"new")
    assert (await bench.sync(manifest=str(place))).kept == FILES + 1


async def test_what_is_wrong_with_the_place_is_no_damage(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "m.sqlite"
    await synced(bench, place)

    def full(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr("aios3sync.manifest.sqlite.SqliteManifest._write", full)
    bench.tree({"z": "new"})
    with pytest.raises(ManifestError, match="disk is full"):
        await bench.sync(manifest=str(place))
    assert not list(tmp_path.glob("*.set-aside-*"))


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
@pytest.mark.usefixtures("settle")
async def test_a_file_system_without_any_locks_holds_a_manifest_like_any_other(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    opened: list[str] = []
    real = sqlite3.connect

    def connect(place: str, **options: Any) -> sqlite3.Connection:
        opened.append(place)
        connection: sqlite3.Connection = real(place, **options)
        return connection

    def refuse(*_: object) -> None:
        raise OSError(code, "no locks")

    monkeypatch.setattr("aios3sync.manifest.lock.fcntl.flock", refuse)
    monkeypatch.setattr("aios3sync.manifest.lock.fcntl.lockf", refuse)
    monkeypatch.setattr("aios3sync.manifest.sqlite.sqlite3.connect", connect)
    place = tmp_path / "a b?#%.sqlite"
    await synced(bench, place)
    again = await bench.sync(manifest=str(place))
    assert (again.kept, again.requests, again.warnings) == (FILES, {}, ())
    assert all("nolock=1" in uri for uri in opened if uri)
    assert {item.name for item in tmp_path.iterdir() if "a b" in item.name} == {
        place.name,
        f"{place.name}.lock",
    }
