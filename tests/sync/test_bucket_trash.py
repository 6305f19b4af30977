"""``trash`` of a bucket: what is deleted was copied there before, for certain, and replaces nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.core.keys import Location
from aios3sync.errors import AccessDeniedError, BucketNotFoundError, CredentialsError, StoreError, UsageError
from aios3sync.events import Trashed
from aios3sync.sync.trash_options import check_trash
from aios3sync.testing.faulty import FaultyStore, unavailable
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import Bench, Crash
from tests.sync.copying import MIB, PLAIN, CopyBench, md5

FIVE = 5 * MIB
TRASH = "s3://trash/2026"
OPTIONS: dict[str, Any] = {"delete": "mirror", "trash": TRASH, "max_delete_ratio": 1.0}


@pytest.fixture
def bench(tmp_path: Path) -> CopyBench:
    return CopyBench(tmp_path)


class Recorded:
    """Takes the outcomes of a run."""

    def __init__(self, found: list[Any]) -> None:
        self._found = found

    async def outcomes(self, batch: Sequence[Any]) -> None:
        self._found += batch


async def synced(bench: CopyBench, objects: dict[str, bytes], **options: Any) -> None:
    """Bring both buckets in step, and then delete all in the source but ``stays``."""
    await bench.put({"stays": b"s", **objects}, **options)
    await bench.sync()
    for key in objects:
        del bench.source.objects[f"a/{key}"]
    bench.requests()
    bench.moves.calls.clear()


def moved(bench: CopyBench) -> dict[str, bytes]:
    return {key.removeprefix("2026/"): body for key, body in bench.trash.bodies().items()}


async def test_what_is_deleted_is_in_the_trash_with_all_that_it_had(bench: CopyBench) -> None:
    await synced(
        bench,
        {"d/one": b"1", "two": b"22"},
        metadata={"mtime": "1.5"},
        content_type="text/x",
        cache_control="no-cache",
        tags={"team": "a"},
    )
    report = await bench.sync(**OPTIONS)
    assert (report.exit_code, report.deleted) == (0, 2)
    assert bench.copies() == {"stays": b"s"}
    assert moved(bench) == {"d/one": b"1", "two": b"22"}
    kept = bench.trash.objects["2026/two"].options
    assert (dict(kept.metadata), kept.content_type, kept.cache_control) == (
        {"mtime": "1.5"},
        "text/x",
        "no-cache",
    )
    assert dict(kept.tags) == {"team": "a"}
    assert bench.moves.calls == {"head": 2, "copy": 2}
    assert not {"get", "put"} & bench.writes.calls.keys(), "nothing goes through this machine"
    assert (await bench.sync(**OPTIONS)).deleted == 0


async def test_an_upload_moves_what_it_deletes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    memory = MemoryStore()
    bench = Bench(tmp_path / "tree", memory, FaultyStore(memory))
    bench.tree({"a": b"1", "b": b"2"})
    await bench.sync()
    (bench.root / "b").unlink()
    report = await bench.sync(delete="tracked", trash="s3://bucket/trash")
    assert (report.exit_code, report.deleted) == (0, 1)
    assert bench.memory.bodies() == {"p/a": b"1", "trash/b": b"2"}


async def test_nothing_in_the_trash_is_replaced(bench: CopyBench) -> None:
    for body in (b"first", b"second", b"third"):
        await synced(bench, {"d/x": body})
        assert (await bench.sync(**OPTIONS)).deleted == 1
    assert moved(bench) == {"d/x": b"first", "d/x.1": b"second", "d/x.2": b"third"}


async def test_names_that_meet_get_numbers_of_their_own(bench: CopyBench) -> None:
    """``a`` becomes ``a.1``, and in the same run ``a.1`` goes too."""
    await bench.trash.put("2026/a", b"before", PLAIN, md5=md5(b"before"))
    await synced(bench, {"a": b"1", "a.1": b"2", "a.1.1": b"3"})
    assert (await bench.sync(**OPTIONS)).deleted == 3
    assert sorted(moved(bench).values()) == [b"1", b"2", b"3", b"before"]
    assert moved(bench)["a"] == b"before"


async def test_large_objects_are_moved_in_their_parts(bench: CopyBench) -> None:
    bodies = (b"1" * FIVE, b"2" * FIVE, b"3")
    await bench.put_parts("big", *bodies, metadata={"m": "x"}, tags={"team": "a"})
    await bench.put({"stays": b"s"})
    await bench.sync(copy_part_threshold=FIVE)
    etag = bench.target.objects["b/big"].etag
    del bench.source.objects["a/big"]
    report = await bench.sync(copy_part_threshold=FIVE, **OPTIONS)
    assert (report.exit_code, report.deleted) == (0, 1)
    large = bench.trash.objects["2026/big"]
    assert (large.body, large.etag) == (b"".join(bodies), etag)
    assert (dict(large.options.metadata), dict(large.options.tags)) == ({"m": "x"}, {"team": "a"})
    assert bench.moves.calls["copy_part"] == 3
    assert bench.moves.calls["put_part"] == 0
    assert not bench.trash._uploads


DENIED = AccessDeniedError("no", operation="CopyObject", bucket="trash", code="AccessDenied", status=403)
FAULTS = [("head", unavailable()), ("copy", unavailable()), ("copy", DENIED), ("head", DENIED)]


@pytest.mark.parametrize(("operation", "error"), FAULTS)
async def test_what_cannot_be_copied_stays(bench: CopyBench, operation: str, error: StoreError) -> None:
    await synced(bench, {"one": b"1", "two": b"2"})
    bench.moves.on(operation, key="2026/one", times=-1, error=error)
    report = await bench.sync(**OPTIONS)
    assert (report.exit_code, report.deleted, report.failed) == (3, 1, 1)
    assert "not moved to the trash" in report.errors[0].error
    assert bench.copies() == {"one": b"1", "stays": b"s"}
    assert moved(bench) == {"two": b"2"}


async def test_a_copy_with_other_bytes_deletes_nothing(bench: CopyBench) -> None:
    await synced(bench, {"one": b"1"})
    bench.moves.etag("copy", "0" * 32)

    def cut(head: Any) -> Any:
        return head._replace(size=0)

    bench.moves.on("head", skip=1, change=cut)
    report = await bench.sync(**OPTIONS)
    assert (report.deleted, report.failed) == (0, 1)
    assert "one" in bench.copies()


async def test_a_trash_that_takes_nothing_is_not_asked_for_ever(bench: CopyBench) -> None:
    await synced(bench, {f"{number:04}": b"x" for number in range(2500)})
    bench.moves.on("copy", times=-1, error=DENIED)
    report = await bench.sync(**OPTIONS)
    assert (report.deleted, report.failed) == (0, 2500)
    assert bench.moves.calls["copy"] <= 800, "the batches that were in flight when the first one had failed"
    assert len(bench.copies()) == 2501


async def test_a_trash_bucket_that_does_not_exist_ends_the_run(bench: CopyBench) -> None:
    await synced(bench, {"one": b"1"})
    bench.trash.exists = False
    with pytest.raises(BucketNotFoundError, match="trash"):
        await bench.sync(**OPTIONS)
    assert "one" in bench.copies()


async def test_copies_before_an_error_that_ends_the_run_are_reported(
    bench: CopyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the trash, and what is told of a run has to say so."""
    monkeypatch.setattr("aios3sync.sync.trash._COPIES_AT_ONCE", 1)  # so the first one is copied before
    await synced(bench, {"one": b"1", "two": b"2"})
    expired = CredentialsError("expired", code="ExpiredToken")
    bench.moves.on("copy", key="2026/two", times=-1, error=expired)
    found: list[Any] = []
    bench.outcome_sinks = (Recorded(found),)
    with pytest.raises(CredentialsError):
        await bench.sync(**OPTIONS)
    assert moved(bench) == {"one": b"1"}
    assert [outcome.key for outcome in found if isinstance(outcome, Trashed)] == ["2026/one"]
    assert "one" in bench.copies()


@pytest.mark.parametrize("there", [False, True], ids=["nothing there", "the old one there"])
async def test_an_object_that_is_replaced_meanwhile_stays(bench: CopyBench, there: bool) -> None:
    await synced(bench, {"one": b"1"})
    if there:
        await bench.trash.put("2026/one", b"1", PLAIN, md5=md5(b"1"))

    def replaced(result: Any) -> Any:
        bench.target.objects["b/one"] = bench.target.objects["b/stays"]
        return result

    bench.writes.on("list_page", change=replaced)
    report = await bench.sync(**OPTIONS)
    assert (report.deleted, report.failed) == (0, 1)
    assert "was replaced since it was listed" in report.errors[0].error
    assert bench.copies() == {"one": b"s", "stays": b"s"}


@pytest.mark.parametrize("large", [False, True])
async def test_an_object_that_is_gone_meanwhile_counts_as_deleted(bench: CopyBench, large: bool) -> None:
    """It is not deleted again: what comes in its place is not what was listed."""
    await synced(bench, {"one": b"1" * (FIVE + 1 if large else 1)})

    def gone(result: Any) -> Any:
        del bench.target.objects["b/one"]
        return result

    bench.writes.on("list_page", change=gone)
    report = await bench.sync(copy_part_threshold=FIVE, **OPTIONS)
    assert (report.exit_code, report.deleted) == (0, 1)
    assert "delete_many" not in bench.writes.calls
    assert moved(bench) == {}


async def test_a_run_that_ended_between_copy_and_delete_copies_nothing_twice(bench: CopyBench) -> None:
    await synced(bench, {"one": b"1", "two": b"2"})
    bench.writes.on("delete_many", error=Crash("kill -9"))
    with pytest.raises(Crash):
        await bench.sync(**OPTIONS)
    assert moved(bench) == {"one": b"1", "two": b"2"}
    assert len(bench.copies()) == 3
    assert (await bench.sync(**OPTIONS)).deleted == 2
    assert moved(bench) == {"one": b"1", "two": b"2"}
    assert bench.copies() == {"stays": b"s"}


async def test_deletes_stay_conditional(bench: CopyBench) -> None:
    await synced(bench, {"one": b"1"})
    seen: list[Any] = []
    original = bench.target.delete_many

    async def delete_many(items: Any) -> Any:
        seen.extend(items)
        return await original(items)

    bench.target.delete_many = delete_many  # type: ignore[method-assign]
    etag = bench.target.objects["b/one"].etag
    await bench.sync(**OPTIONS)
    assert [(item.key, item.etag) for item in seen] == [("b/one", etag)]


@pytest.mark.parametrize("guard", [{"max_delete": 0}, {"dry_run": True}, {"delete": "off"}])
async def test_the_guards_come_first(bench: CopyBench, guard: dict[str, Any]) -> None:
    await synced(bench, {"one": b"1"})
    await bench.sync(**(OPTIONS | guard))
    assert moved(bench) == {}
    assert "one" in bench.copies()
    assert not bench.moves.calls


async def test_failed_copies_of_the_run_withhold_the_moves_too(bench: CopyBench) -> None:
    await synced(bench, {"one": b"1"})
    await bench.put({"new": b"n"})
    bench.writes.on("copy", times=-1, error=DENIED)
    bench.reads.on("get", times=-1, error=DENIED)
    report = await bench.sync(**OPTIONS)
    assert (report.failed, report.withheld) == (1, 1)
    assert moved(bench) == {}


@pytest.mark.parametrize(
    ("trash", "text"),
    [
        ("/var/trash", "name s3://bucket/prefix"),
        ("s3://target/b", "in the target"),
        ("s3://target/b/trash", "in the target"),
        ("s3://target", "the target s3://target/b/ is in"),
        ("s3://source/a/x", "in the source"),
        ("s3://source/", "the source s3://source/a/ is in"),
    ],
)
def test_places_that_would_be_synced_are_refused(trash: str, text: str) -> None:
    target, source = Location.parse("s3://target/b"), Location.parse("s3://source/a")
    with pytest.raises(UsageError, match=text):
        check_trash(trash, target, source)


@pytest.mark.parametrize("trash", ["s3://target/b-trash", "s3://target/trash/2026", "s3://other", TRASH])
def test_places_outside_are_taken(trash: str) -> None:
    check_trash(trash, Location.parse("s3://target/b"), Location.parse("s3://source/a"))
    check_trash("s3://source/a/trash", Location.parse("s3://target/b"), None)


prefixes = st.lists(st.sampled_from("ab"), max_size=3).map("/".join)


@settings(deadline=None)
@given(prefixes, prefixes, st.lists(st.sampled_from("ab"), min_size=1, max_size=2).map("/".join))
def test_a_trash_that_is_taken_never_meets_the_target(trash: str, target: str, key: str) -> None:
    """Whatever the key: no key of the trash is one of the target, nor the other way round."""
    place, side = Location.parse(f"s3://bkt/{trash}"), Location.parse(f"s3://bkt/{target}")
    try:
        check_trash(str(place), side, None)
    except UsageError:
        return
    assert not (place.prefix + key).startswith(side.prefix)
    assert not (side.prefix + key).startswith(place.prefix)
