"""The sum of the reports of shards."""

from __future__ import annotations

from typing import Any

import pytest

from aios3sync.distributed.reports import all_deleted
from aios3sync.report import SyncReport


def report(**counts: Any) -> SyncReport:
    return SyncReport(source="a", target="b", checked="manifest", **counts)


@pytest.mark.parametrize("state", ["failed", "conflicts", "cancelled"])
def test_a_delete_without_a_known_effect_leaves_the_rows_in_doubt(state: str) -> None:
    """A manifest that calls such rows what is there would let the next run keep what is gone."""
    assert all_deleted([report(deleted=3), report(kept=1)], 2)
    assert not all_deleted([report(deleted=3), report(**{state: 1})], 2)
    assert not all_deleted([report(deleted=3)], 2)
