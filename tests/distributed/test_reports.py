"""The sum of the reports of shards."""

from __future__ import annotations

from typing import Any

import pytest

from aios3sync.core.keys import Location
from aios3sync.core.safety import PlanFacts, Unfinished
from aios3sync.distributed.reports import all_deleted, joined_report
from aios3sync.distributed.results import ShardFacts
from aios3sync.options import SyncOptions
from aios3sync.report import SyncReport
from aios3sync.sync.request import SyncRequest

REQUEST = SyncRequest(
    root="/data", location=Location("bucket", "p/"), endpoint="aws", direction="up", options=SyncOptions()
)


def report(**counts: Any) -> SyncReport:
    return SyncReport(**{"source": "a", "target": "b", "checked": "manifest", **counts})


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ((), "list"),
        (("manifest", "manifest"), "manifest"),
        (("manifest", "list"), "list"),
        (("inventory", "manifest", "list"), "inventory"),
        (("list", "content"), "content"),
    ],
)
def test_a_run_was_checked_as_its_part_that_asked_most(parts: tuple[str, ...], whole: str) -> None:
    reports = [report(checked=part) for part in parts]
    assert joined_report(REQUEST, reports).checked == whole


@pytest.mark.parametrize("state", ["failed", "conflicts", "cancelled"])
def test_a_delete_without_a_known_effect_leaves_the_rows_in_doubt(state: str) -> None:
    """A manifest that calls such rows what is there would let the next run keep what is gone."""
    assert all_deleted([report(deleted=3), report(kept=1)], 2)
    assert not all_deleted([report(deleted=3), report(**{state: 1})], 2)
    assert not all_deleted([report(deleted=3)], 2)


def request(**options: Any) -> SyncRequest:
    return SyncRequest(
        root="/data", location=Location("bucket", "p/"), endpoint="aws", options=SyncOptions(**options)
    )


def facts(**values: Any) -> ShardFacts:
    return ShardFacts(plan=PlanFacts(0, 0, 0, True, True), unfinished=Unfinished(), **values)


def test_a_warning_of_each_shard_is_given_once() -> None:
    said = [report(warnings=("the same", "one")), report(warnings=("the same", "other"))]
    joined = joined_report(request(), said, warnings=("the whole", "one"))
    assert joined.warnings == ("the same", "one", "other", "the whole")


def test_what_is_in_an_archive_is_warned_of_in_all() -> None:
    shards = [report(archived=2, archived_bytes=2048), report(), report(archived=1, archived_bytes=1024)]
    (warning,) = joined_report(request(), shards).warnings
    assert warning.startswith("skipped 3 objects (3.1 kB) in an archive")
    assert "--restore DAYS" in warning
    (warning,) = joined_report(request(restore=3), [report(restoring=2), report(restoring=2)]).warnings
    assert "skipped 4 objects" in warning
    assert "4 of them are being restored" in warning
    assert joined_report(request(), [report(kept=1)]).warnings == ()


def test_what_changed_since_an_inventory_is_warned_of_in_all() -> None:
    day = 86_400.0
    shards = [
        facts(changed_since_inventory=2, inventory_created=20 * day),
        facts(inventory_created=10 * day),
        facts(),
    ]
    shards.append(shards[0])
    (warning,) = joined_report(request(), [report()], facts=shards).warnings
    assert warning.startswith("4 keys changed since the inventory of 1970-01-11 00:00 UTC")


def test_what_ends_one_shard_early_is_told_by_the_whole() -> None:
    joined = joined_report(request(), [report(), report(aborted="the disk is full"), report(incomplete=True)])
    assert (joined.aborted, joined.incomplete, joined.exit_code) == ("the disk is full", True, 1)
    assert joined_report(request(), [report(), report(incomplete=True)]).exit_code == 3
