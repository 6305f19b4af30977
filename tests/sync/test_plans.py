"""Plans: what a dry run writes down, and that applying it does this and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios3sync.core.actions import Reason, Upload
from aios3sync.core.entries import SourceEntry
from aios3sync.errors import AccessDeniedError, UsageError
from aios3sync.options import SyncOptions
from aios3sync.store.protocol import DeleteItem
from aios3sync.sync.plans.plan import Plan
from aios3sync.sync.plans.planned import PlannedAction, difference, planned_action
from aios3sync.sync.plans.run import options_to_apply
from tests.sync.conftest import Bench, body_tree, same_size_change

pytestmark = pytest.mark.usefixtures("settle")


async def saved(plan: Plan, path: Path) -> Plan:
    """Save a plan and return what its file holds."""
    await to_thread.run_sync(plan.save, path)
    return await to_thread.run_sync(Plan.load, path)


def named(plan: Plan) -> dict[str, str]:
    return {planned.key: planned.action for planned in plan}


async def changed(bench: Bench) -> Plan:
    """Return the plan of a mirror run with a new, a changed and a deleted file, and one that stays."""
    bench.tree({"stays": "1", "changes": "2", "goes": "3"})
    await bench.sync()
    bench.tree({"new": "4", "changes": "22"})
    (bench.root / "goes").unlink()
    return await bench.plan(delete="mirror")


async def test_a_plan_names_what_a_run_would_do_and_does_nothing(bench: Bench) -> None:
    plan = await changed(bench)
    assert named(plan) == {"new": "upload", "changes": "upload", "goes": "delete"}
    assert (plan.counts, plan.sizes["upload"], len(plan)) == ({"upload": 2, "delete": 1}, 3, 3)
    assert bench.objects() == {"stays": b"1", "changes": b"2", "goes": b"3"}
    assert [planned.reason for planned in plan.of("delete")] == ["uploaded by us, gone from the source"]


async def test_applying_a_plan_does_what_it_names(bench: Bench) -> None:
    plan = await changed(bench)
    report = await bench.apply(plan)
    assert (report.uploaded, report.deleted, report.conflicts, report.exit_code) == (2, 1, 0, 0)
    assert bench.objects() == body_tree(bench.root)
    again = await bench.sync(delete="mirror")
    assert (again.uploaded, again.deleted, again.kept) == (0, 0, 3)


async def test_a_plan_survives_its_file(bench: Bench, tmp_path: Path) -> None:
    plan = await changed(bench)
    loaded = await saved(plan, tmp_path / "plan.jsonl")
    assert [*loaded] == [*plan]
    assert (loaded.source, loaded.target, loaded.direction, loaded.endpoint) == (
        str(bench.root),
        "s3://bucket/p/",
        "up",
        bench.endpoint,
    )
    assert loaded.options.delete == "mirror"
    assert int(loaded.made_at) == int(plan.made_at)
    assert (await bench.apply(loaded)).uploaded == 2


async def test_lines_that_moved_are_refused_and_nothing_else_is_done(bench: Bench) -> None:
    plan = await changed(bench)
    same_size_change(bench.root / "new")
    bench.tree({"later": "5"})
    await bench.store({"unknown": b"x"})
    report = await bench.apply(plan)
    assert {failure.key: failure.error for failure in report.errors} == {
        "new": "the source has changed since",
    }
    assert (report.uploaded, report.conflicts, report.withheld, report.exit_code) == (1, 1, 1, 3), report
    assert bench.objects() == {"stays": b"1", "changes": b"22", "goes": b"3", "unknown": b"x"}
    assert "2 changes that the plan does not name were left alone" in report.warnings
    assert any("1 action of the plan refused" in warning for warning in report.warnings)
    later = await bench.sync()
    assert (later.uploaded, later.checked) == (2, "list")


async def test_deletes_go_on_after_a_refusal_where_the_plan_was_made_so(bench: Bench) -> None:
    bench.tree({"goes": "1", "stays": "2"})
    await bench.sync()
    (bench.root / "goes").unlink()
    bench.tree({"new": "3"})
    plan = await bench.plan(delete="mirror", delete_despite_errors=True)
    same_size_change(bench.root / "new")
    report = await bench.apply(plan)
    assert (report.deleted, report.conflicts, report.withheld) == (1, 1, 0)


async def test_an_object_that_was_replaced_since_is_neither_overwritten_nor_deleted(bench: Bench) -> None:
    plan = await changed(bench)
    await bench.store({"changes": b"theirs", "goes": b"theirs"})
    report = await bench.apply(plan)
    errors = {failure.key: failure.error for failure in report.errors}
    assert errors == {
        "changes": "the target has changed since",
        "goes": "the target has changed since",
    }
    assert bench.objects()["changes"] == bench.objects()["goes"] == b"theirs"
    assert report.exit_code == 3


async def test_a_file_that_vanished_and_one_that_came_back_are_refused(bench: Bench) -> None:
    plan = await changed(bench)
    (bench.root / "new").unlink()
    bench.tree({"goes": "3"})
    report = await bench.apply(plan)
    errors = {failure.key: failure.error for failure in report.errors}
    assert errors.keys() == {"new", "goes"}
    assert errors["new"].startswith("the source has it no more")
    assert errors["goes"] == "the source has it again"
    assert bench.objects() == {"stays": b"1", "changes": b"22", "goes": b"3"}


async def test_a_plan_that_was_applied_already_has_nothing_to_do(bench: Bench) -> None:
    plan = await changed(bench)
    await bench.apply(plan)
    report = await bench.apply(plan)
    assert (report.uploaded, report.deleted, report.conflicts, report.exit_code) == (0, 0, 0, 0)


async def test_a_plan_that_was_applied_in_part_is_completed(bench: Bench) -> None:
    plan = await changed(bench)
    bench.faults.on("put", key="p/new", error=AccessDeniedError("no", operation="PutObject"), times=1)
    first = await bench.apply(plan)
    assert (first.failed, first.withheld) == (1, 1)
    second = await bench.apply(plan)
    assert (second.uploaded, second.deleted, second.exit_code) == (1, 1, 0)
    assert bench.objects() == body_tree(bench.root)


async def test_a_dry_application_shows_what_would_be_refused(bench: Bench) -> None:
    plan = await changed(bench)
    same_size_change(bench.root / "new")
    report = await bench.apply(plan, dry_run=True)
    assert (report.dry_run, report.uploaded, report.conflicts, report.withheld) == (True, 1, 1, 1)
    assert bench.objects() == {"stays": b"1", "changes": b"2", "goes": b"3"}


async def test_a_plan_without_a_listing_is_checked_with_one(bench: Bench) -> None:
    bench.tree({"a": "1"})
    await bench.sync()
    bench.tree({"b": "2"})
    plan = await bench.plan()
    assert plan.checked == "manifest"
    await bench.store({"b": b"theirs"})
    report = await bench.apply(plan)
    assert [failure.error for failure in report.errors] == ["the target has changed since"]
    assert bench.objects()["b"] == b"theirs"


async def test_the_guards_look_at_the_deletes_of_a_plan(bench: Bench) -> None:
    bench.tree({f"{number}": "1" for number in range(6)})
    await bench.sync()
    for number in range(3):
        (bench.root / str(number)).unlink()
    refused = await bench.plan(delete="mirror", max_delete=2)
    assert (len(refused), refused.refused and refused.refused["guard"]) == (0, "max-delete")
    plan = await bench.plan(delete="mirror", max_delete=3)
    assert len(plan) == 3
    (bench.root / "3").unlink()
    report = await bench.apply(plan)
    assert report.deleted == 3, "the guards count what the plan names"
    assert bench.objects().keys() == {"3", "4", "5"}


async def test_a_comparison_that_begins_again_is_written_down_once(bench: Bench) -> None:
    bench.claim_byte_order()
    bench.tree({"a-b": "1", "a/x": "2", "b": "3"})
    await bench.store({"a-b": b"0", "a/x": b"0", "z": b"0"})
    plan = await bench.plan(delete="mirror")
    assert sorted(named(plan).items()) == [
        ("a-b", "upload"),
        ("a/x", "upload"),
        ("b", "upload"),
        ("z", "delete"),
    ]
    report = await bench.apply(plan)
    assert (report.uploaded, report.deleted, report.conflicts) == (3, 1, 0)


async def test_headers_are_planned_and_updated(bench: Bench) -> None:
    bench.tree({"a": "1"})
    await bench.sync(cache_control="no-cache")
    plan = await bench.plan(cache_control="max-age=60")
    assert named(plan) == {"a": "update"}
    report = await bench.apply(plan)
    assert (report.updated, report.conflicts) == (1, 0)


async def test_a_download_is_planned_and_applied(bench: Bench) -> None:
    await bench.store({"stays": b"1", "changes": b"2", "goes": b"3"})
    await bench.download()
    await bench.store({"changes": b"22", "new": b"4", "moved": b"5"})
    await bench.memory.delete_many([DeleteItem("p/goes")])
    plan = await bench.plan(direction="down", delete="mirror", delete_despite_errors=True)
    assert named(plan) == {
        "changes": "download",
        "moved": "download",
        "new": "download",
        "goes": "delete",
    }
    await bench.store({"moved": b"other"})
    bench.tree({"changes": "mine"})
    report = await bench.apply(plan)
    assert {failure.key for failure in report.errors} == {"moved", "changes"}
    assert (report.downloaded, report.deleted, report.exit_code) == (1, 1, 3)
    assert body_tree(bench.root) == {"stays": b"1", "changes": b"mine", "new": b"4"}


def test_several_may_read_a_plan_at_once() -> None:
    plan = Plan.begin("/data", "s3://b/p/", "up", "aws", SyncOptions())
    plan.add(PlannedAction("upload", key, 1, "new", None, None) for key in "abcd")
    plan.add(PlannedAction("delete", key, 1, "gone", None, None) for key in "xy")
    pairs = [(one.key, other.key) for one in plan.of("upload") for other in plan.of("delete")]
    assert pairs == [(one, other) for one in "abcd" for other in "xy"]


# The file


async def test_a_plan_keeps_no_secret_and_asks_for_it_again(bench: Bench, tmp_path: Path) -> None:
    bench.tree({"a": "1"})
    plan = await bench.plan(sse_customer_key=b"k" * 32)
    loaded = await saved(plan, tmp_path / "plan")
    text = (tmp_path / "plan").read_bytes()
    assert b"kkkk" not in text
    assert b"a2tr" not in text
    with pytest.raises(UsageError, match="sse_customer_key"):
        options_to_apply(loaded, {})
    assert options_to_apply(loaded, {"sse_customer_key": b"k" * 32}).sse_customer_key == b"k" * 32
    with pytest.raises(UsageError, match="without source_sse_customer_key"):
        options_to_apply(loaded, {"sse_customer_key": b"k" * 32, "source_sse_customer_key": b"k" * 32})


async def test_a_plan_is_readable_by_its_owner_alone_and_whole_or_not_there(
    bench: Bench, tmp_path: Path
) -> None:
    bench.tree({"a": "1"})
    plan = await bench.plan()
    await saved(plan, tmp_path / "plan")
    assert (tmp_path / "plan").stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        await saved(plan, tmp_path / "none" / "plan")
    (tmp_path / "directory").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        await saved(plan, tmp_path / "directory")
    assert sorted(os.listdir(tmp_path)) == ["directory", "plan", "source"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda lines: lines[:-1], "cut off"),
        (lambda lines: [*lines[:-2], lines[-1]], "cut off"),
        (lambda lines: [*lines, lines[1]], "follows its end"),
        (lambda lines: lines[1:], "does not begin"),
        (lambda _: [], "no JSON"),
        (lambda lines: [lines[0], b"{\n", *lines[1:]], "no JSON"),
        (lambda lines: [lines[0], b"[]\n", *lines[1:]], "no object"),
        (lambda lines: [lines[0].replace(b'"version": 1', b'"version": 9'), *lines[1:]], "version 9"),
        (lambda lines: [lines[0].replace(b'"options"', b'"choices"'), *lines[1:]], "damaged"),
        (lambda lines: [lines[0].replace(b'"options": {', b'"options": {"no": 1, '), *lines[1:]], "'no'"),
        (lambda lines: [line.replace(b'"upload"', b'"format c:"') for line in lines], "no action"),
    ],
)
async def test_a_damaged_plan_is_refused(bench: Bench, tmp_path: Path, damage: Any, reason: str) -> None:
    bench.tree({"a": "1", "b": "2"})
    path = tmp_path / "plan"
    await saved(await bench.plan(delete="mirror"), path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(damage(lines)))
    with pytest.raises(UsageError, match=reason):
        await to_thread.run_sync(Plan.load, path)


def test_a_missing_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no-plan' cannot be read: No such file"):
        Plan.load(tmp_path / "no-plan")


async def test_a_plan_that_names_a_key_twice_is_refused(bench: Bench) -> None:
    bench.tree({"a": "1"})
    plan = await bench.plan()
    plan.add([*plan])
    with pytest.raises(UsageError, match="'a' twice"):
        await bench.apply(plan)
    assert not bench.objects()


async def test_a_long_plan_is_looked_up_in_pages(bench: Bench) -> None:
    bench.tree({f"{number:04}": f"{number}" for number in range(1200)})
    plan = await bench.plan()
    report = await bench.apply(plan)
    assert report.uploaded == 1200
    assert (await bench.apply(plan)).exit_code == 0


# Facts


FILE = SourceEntry("a", 1, 2, 3, 4)
MD5 = "0cc175b9c0f1b6a831c399e269772661"
PLANNED = planned_action(Upload(FILE, Reason.SIZE, "", MD5))


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (Upload(FILE, Reason.CONTENT, "", MD5), ""),
        (Upload(FILE, Reason.SIZE, "", MD5.upper()), ""),
        (Upload(FILE._replace(size=2), Reason.SIZE, "", MD5), "the source has changed since"),
        (Upload(FILE._replace(mtime_ns=9), Reason.SIZE, "", MD5), "the source has changed since"),
        (Upload(FILE._replace(ctime_ns=9), Reason.SIZE, "", MD5), "the source has changed since"),
        (Upload(FILE._replace(inode=9), Reason.SIZE, "", MD5), "the source has changed since"),
        (Upload(FILE, Reason.SIZE, "", MD5[::-1]), "the target has changed since"),
        (Upload(FILE, Reason.NEW), "the target has changed since"),
    ],
)
def test_what_counts_as_the_same(now: Upload, text: str) -> None:
    assert difference(PLANNED, planned_action(now), ("size", "mtime", "ctime", "inode")) == text


def test_only_the_fields_of_the_stat_that_are_asked_for_count() -> None:
    now = planned_action(Upload(FILE._replace(ctime_ns=9, inode=9), Reason.SIZE, "", MD5))
    assert difference(PLANNED, now, ("size", "mtime")) == ""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.lists(
        st.builds(
            PlannedAction,
            st.sampled_from(["delete", "upload", "download", "copy", "update"]),
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
            st.integers(0, 2**63),
            st.text(st.characters(exclude_categories=["Cs"])),
            st.none() | st.fixed_dictionaries({"etag": st.text(st.characters(exclude_categories=["Cs"]))}),
            st.none() | st.fixed_dictionaries({"size": st.integers(), "mtime_ns": st.integers()}),
        )
    )
)
def test_every_plan_is_read_as_it_was_written(tmp_path: Path, actions: list[PlannedAction]) -> None:
    plan = Plan.begin("/data", "s3://b/p/", "up", "aws", SyncOptions(delete="mirror", gzip=("csv",)))
    plan.add(actions)
    plan.save(tmp_path / "plan")
    loaded = Plan.load(tmp_path / "plan")
    assert [*loaded] == actions
    assert loaded.options == plan.options
    assert all(json.loads(line) for line in (tmp_path / "plan").read_text().splitlines())
