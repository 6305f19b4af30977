"""``aios3sync index``: a table for people, one document for machines, one line for what goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from aios3sync.index.db.open import open_backend
from tests.cli.conftest import Bucket, CommandLine


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'index.db'}"


@pytest.fixture
def filled(cli: CommandLine, bucket: Bucket, database: str) -> Bucket:
    """A bucket whose objects the index knows."""
    for name, body in {"t/a.jpg": b"1", "t/b.JPG": b"22", "t/sub/c.txt": b"333", "u/d": b""}.items():
        bucket.put(name, body)
    ended = cli("index", "backfill", bucket.url(), "--database", database)
    assert (ended.code, ended.err) == (0, "")
    assert "4 objects" in ended.out
    assert "4 inserted, 0 updated, 0 deleted" in ended.out
    return bucket


def test_pages_and_their_cursors(cli: CommandLine, filled: Bucket, database: str) -> None:
    where = (filled.url("t/"), "--database", database)
    ended = cli("index", "page", *where, "--order", "size", "--desc", "--limit", "2")
    assert [line.split()[-1] for line in ended.lines[:2]] == ["t/sub/c.txt", "t/b.JPG"]
    assert "2 of 3 objects, 6 bytes" in ended.out
    cursor = ended.out.split("--after ")[1].strip()
    rest = cli(
        "index", "page", *where, "--order", "size", "--desc", "--limit", "2", "--after", cursor, "--json"
    )
    assert [row["key"] for row in rest.json()["rows"]] == ["t/a.jpg"]
    assert rest.json()["next"] is None
    wrong = cli("index", "page", *where, "--after", cursor)
    assert (wrong.code, wrong.out) == (2, "")
    assert "another query" in wrong.error


def test_every_question_answers_in_json(cli: CommandLine, filled: Bucket, database: str) -> None:
    def ask(*words: str) -> Any:
        answer = cli("index", *words, "--database", database, "--json").json()
        assert answer["command"] == f"index {words[0]}"
        return answer

    assert ask("totals", filled.url("t"))["objects"] == 3
    assert ask("totals", filled.url("t"), "--folder")["objects"] == 2
    assert [each["path"] for each in ask("folders")["folders"]] == ["t/", "u/"]
    assert len(ask("sample", "-n", "3", "--seed", "1")["rows"]) == 3
    assert [each["key"] for each in ask("search", "jpg")["rows"]] == ["t/a.jpg", "t/b.JPG"]
    assert ask("histogram", "--by", "extension")["groups"][0] == {"label": "jpg", "objects": 2, "size": 3}
    (first,) = ask("urls", filled.url("u/"), "--expires", "5m")["urls"]
    assert first["key"] == "u/d"
    assert "X-Amz-Expires=300" in first["url"]


def test_reconcile_lists_and_repairs_differences(cli: CommandLine, filled: Bucket, database: str) -> None:
    filled.client.delete_object(Bucket=filled.name, Key="t/a.jpg")
    filled.put("new", b"n")
    where = (filled.url(), "--database", database)
    ended = cli("index", "reconcile", *where, "--dry-run")
    assert ended.code == 6
    assert {"missing: new", "extra:   t/a.jpg"} <= set(ended.lines)
    done = cli("index", "reconcile", *where, "--json")
    assert (done.code, done.json()["repaired"]) == (0, 2)
    assert "the index is equal to the bucket" in cli("index", "reconcile", *where).out


def test_the_database_may_come_from_the_environment(
    cli: CommandLine, filled: Bucket, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.environment["AIOS3SYNC_INDEX"] = database
    assert "4 objects" in cli("index", "totals").out + cli("index", "totals").err


def test_without_a_database_the_index_is_kept_with_the_state(
    cli: CommandLine, bucket: Bucket, isolated: Path
) -> None:
    bucket.put("k", b"1")
    assert cli("index", "backfill", bucket.url()).code == 0
    assert (isolated / "aios3sync" / "index.sqlite").exists()


def test_questions_need_no_server(offline: CommandLine, database: str) -> None:
    absent = offline("index", "page", "--database", database)
    assert absent.code == 2
    assert "there is no index" in absent.error
    assert not Path(database.removeprefix("sqlite:///")).exists(), "to ask is not to make one"
    make_empty_index(database)
    empty = offline("index", "page", "--database", database)
    assert (empty.code, empty.out) == (2, "")
    assert "backfill" in empty.error
    unknown = offline("index", "totals", "s3://some-bucket", "--database", database)
    assert unknown.code == 2
    assert "bucket 'some-bucket' is not in the index (it is empty)" in unknown.error


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("page", "bucket"), "not an S3 location"),
        (("page", "--limit", "0"), "limit"),
        (("totals", "--database", "mysql://u:hunter2@h/x"), "sqlite:///FILE"),
        (("totals", "--name", ""), "--name"),
    ],
)
def test_wrong_usage_is_one_line(
    offline: CommandLine, words: tuple[str, ...], text: str, isolated: Path
) -> None:
    make_empty_index(f"sqlite:///{isolated}/aios3sync/index.sqlite")
    ended = offline("index", *words)
    assert (ended.code, ended.out) == (2, "")
    assert text in ended.error
    assert "hunter2" not in ended.err


def test_what_cannot_be_reached_is_one_line(offline: CommandLine, tmp_path: Path) -> None:
    lost = offline("index", "totals", "--database", "postgresql://u:hunter2@127.0.0.1:9/x")
    assert lost.code == 1
    assert "cannot be reached" in lost.error
    assert "hunter2" not in lost.err
    foreign = tmp_path / "f"
    foreign.write_text("mine")
    refused = offline("index", "totals", "--database", str(foreign))
    assert (refused.code, foreign.read_text()) == (1, "mine")
    assert "is no index" in refused.error


def make_empty_index(database: str) -> None:
    async def make() -> None:
        await (await open_backend(database)).close()

    anyio.run(make)


def test_a_bucket_that_was_found_empty_is_known(cli: CommandLine, bucket: Bucket, database: str) -> None:
    assert cli("index", "backfill", bucket.url(), "--database", database).code == 0
    answer = cli("index", "totals", bucket.url(), "--database", database, "--json").json()
    assert (answer["objects"], answer["exact"]) == (0, True)
    assert answer["listed_at"] > 0


def test_totals_say_that_the_index_may_be_incomplete(
    cli: CommandLine, bucket: Bucket, tree: Path, database: str
) -> None:
    assert cli("sync", tree, bucket.url("p"), "--index", database).code == 0
    ended = cli("index", "totals", bucket.url(), "--database", database)
    assert "the index may be incomplete" in ended.out
    assert cli("index", "backfill", bucket.url(), "--database", database).code == 0
    assert "may be incomplete" not in cli("index", "totals", bucket.url(), "--database", database).out


def test_an_index_that_cannot_be_opened_fails_no_sync(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    for database in ("postgresql://u:hunter2@127.0.0.1:9/x", f"sqlite:///{tree}/a.txt/i.db"):
        ended = cli("sync", tree, bucket.url("p"), "--index", database, "--json")
        assert ended.code == 0, ended.err
        (warning,) = ended.json()["warnings"]
        assert "the sync goes on without it" in warning
        assert "hunter2" not in ended.out + ended.err
    assert len(bucket.keys()) == 3


def test_a_sync_updates_the_index(cli: CommandLine, bucket: Bucket, tree: Path, database: str) -> None:
    ended = cli("sync", tree, bucket.url("p"), "--index", database, "--json")
    assert (ended.code, ended.json()["uploaded"]) == (0, 3)
    assert cli("index", "totals", bucket.url("p/"), "--database", database, "--json").json()["objects"] == 3
    assert cli("index", "reconcile", bucket.url("p"), "--database", database).code == 0
    foreign = cli("sync", tree, bucket.url("p"), "--index", str(tree / "a.txt"))
    assert (foreign.code, (tree / "a.txt").read_text()) == (1, "alpha")
    assert "is no index" in foreign.error
