"""The sum of the reports of shards."""

from __future__ import annotations

from typing import Any

import pytest

from aios3sync.core.keys import Location
from aios3sync.distributed.reports import all_deleted, joined_report
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
