"""The report of a run: it balances, it has the exit code, it is a JSON document."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.report import STATES, Failure, SyncReport

EMPTY = SyncReport(source="data", target="s3://b/", checked="list")

DOCUMENTED = {
    "command",
    "source",
    "target",
    "checked",
    "scanned",
    "uploaded",
    "uploaded_bytes",
    "updated",
    "kept",
    "touched",
    "adopted",
    "deleted",
    "forgotten",
    "conflicts",
    "withheld",
    "skipped",
    "vanished",
    "failed",
    "cancelled",
    "planned",
    "refused",
    "knowledge_age_s",
    "errors",
    "errors_file",
    "requests",
    "retries",
    "elapsed_s",
}


def report(**changes: Any) -> SyncReport:
    return replace(EMPTY, **changes)


@given(st.fixed_dictionaries({state: st.integers(0, 9) for state in STATES}), st.integers(0, 200))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_a_report_balances_iff_every_item_ended_once_c4_p9(counts: dict[str, int], planned: int) -> None:
    """planned is the sum of the states, or the report says that it is not."""
    total = sum(counts.values())
    assert report(**counts, planned=total).balanced
    assert report(**counts, planned=planned).balanced == (planned == total)


def test_every_state_is_a_count_of_the_report_p9() -> None:
    """The states are the documented ones: fields that start at zero, each named once."""
    assert all(getattr(EMPTY, state) == 0 for state in STATES)
    assert sorted(STATES) == [
        *("adopted", "archived", "cancelled", "conflicts", "copied", "deleted", "downloaded", "failed"),
        *(
            "forgotten",
            "kept",
            "restoring",
            "skipped",
            "touched",
            "updated",
            "uploaded",
            "vanished",
            "withheld",
        ),
    ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"uploaded": 3, "kept": 5, "deleted": 1, "planned": 9}, 0),
        ({"skipped": 1}, 0),
        ({"vanished": 1}, 0),
        ({"failed": 1}, 3),
        ({"conflicts": 1}, 3),
        ({"withheld": 1}, 3),
        ({"cancelled": 1}, 3),
        ({"errors": (Failure("a", "scan", "permission denied"),)}, 3),
        ({"skipped": 1, "incomplete": True}, 3),
        ({"aborted": "the disk is full", "cancelled": 9}, 1),
        ({"aborted": "the disk is full", "refused": {"guard": "max-delete", "count": 9}}, 1),
        ({"interrupted": 2, "aborted": "the disk is full"}, 130),
        ({"refused": {"guard": "max-delete", "count": 9}}, 4),
        ({"refused": {"guard": "max-delete", "count": 9}, "failed": 1, "withheld": 9}, 4),
        ({"interrupted": 2}, 130),
        ({"interrupted": 15}, 143),
        ({"interrupted": 2, "refused": {"guard": "max-delete", "count": 9}, "failed": 1}, 130),
    ],
)
def test_exit_codes_p9(changes: dict[str, Any], code: int) -> None:
    """The strongest reason decides: a signal, a guard, a part that failed, and else 0."""
    assert report(**changes).exit_code == code


def test_the_document_has_every_documented_name() -> None:
    """``--json`` prints at least the names that the documentation promises, counts as numbers."""
    document = EMPTY.as_dict()
    assert set(document) >= DOCUMENTED
    assert document["exit_code"] == 0
    assert document["refused"] is None
    assert set(document) == {item.name for item in fields(SyncReport)} | {"exit_code"}


@pytest.mark.parametrize("kind", [dict, Counter, MappingProxyType])
def test_the_document_is_json(kind: Any) -> None:
    """Whatever mapping counted the requests, the document is plain and comes back from JSON as it was."""
    full = report(
        errors=(Failure("a\udcff", "scan", "permission denied"),),
        refused={"guard": "max-delete", "count": 9},
        requests=kind({"PutObject": 3, "ListObjectsV2": 1}),
        knowledge_age_s=1.5,
        warnings=("one line",),
    )
    document = json.loads(json.dumps(full.as_dict()))
    assert document["requests"] == {"PutObject": 3, "ListObjectsV2": 1}
    assert document["errors"] == [{"key": "a\udcff", "stage": "scan", "error": "permission denied"}]
    assert document["refused"] == {"guard": "max-delete", "count": 9}
    assert document["warnings"] == ["one line"]
