"""The guards on a plan: what is never deleted, and when nothing is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.core.safety import (
    CATALOG_NAMES,
    DEFAULT_DELETE_RATIO,
    RATIO_APPLIES_ABOVE,
    DeleteLimits,
    PlanFacts,
    Protection,
    UnreadablePaths,
    check_deletes,
    looks_swapped,
)

laws = settings(deadline=None, derandomize=True, max_examples=200)

FINE = PlanFacts(deletes=1, source_files=10, target_objects=10, source_complete=True, target_complete=True)


@pytest.mark.parametrize(
    ("key", "size", "stranger", "tracked"),
    [
        ("a", 5, False, False),
        (".deltaglider/stats.json", 5, True, True),
        ("dir/.deltaglider/x/y", 5, True, True),
        (".aios3sync/catalog", 5, True, True),
        ("x.deltaglider/y", 5, False, False),
        (".deltaglider", 5, False, False),
        (".deltagliderx/y", 5, False, False),
        *((name, 5, True, True) for name in sorted(CATALOG_NAMES)),
        ("deep/public_models.json", 5, True, True),
        ("my_public_models.json", 5, False, False),
        ("p/private_models_index.json.corrupt-20260206T143000.000000Z", 5, True, True),
        ("reference.bin", 5, True, False),
        ("dir/reference.bin", 5, True, False),
        ("xreference.bin", 5, False, False),
        ("reference.bin/x", 5, False, False),
        ("a.zip.delta", 5, True, False),
        ("delta", 5, False, False),
        ("dir/", 0, True, True),
        ("dir/", 5, False, False),
        ("dir", 0, False, False),
        ("thumbs/a.jpg", 5, True, True),
        ("thumbsx/a.jpg", 5, False, False),
        (".thumbnails/256/photos/a.jpg.webp", 5, True, False),
        ("site/.thumbnails/1024/a\nb.png.webp", 5, True, False),
        (".thumbnails/normal/0123.png", 5, False, False),
        ("x.thumbnails/256/a.webp", 5, False, False),
    ],
)
def test_protected_objects_d7_p15(key: str, size: int, stranger: bool, tracked: bool) -> None:
    """Objects of other tools and of other parts of this one stay, at the root and below; ours may go."""
    protection = Protection(prefixes=("thumbs/",))
    assert protection.covers(key, size, tracked=False) is stranger
    assert protection.covers(key, size, tracked=True) is tracked
    assert not replace(protection, enabled=False).covers(key, size, tracked=False)


def test_no_prefix_is_protected_by_default() -> None:
    """An empty tuple of prefixes protects nothing."""
    assert not Protection().covers("a", 1, tracked=False)


@pytest.mark.parametrize(
    ("changes", "limits", "guard"),
    [
        ({}, DeleteLimits(), None),
        ({"deletes": 0, "source_complete": False}, DeleteLimits(), None),
        ({"source_complete": False}, DeleteLimits(), "incomplete"),
        ({"target_complete": False}, DeleteLimits(), "incomplete"),
        ({"source_files": 0}, DeleteLimits(), "empty-source"),
        ({"source_files": 0}, DeleteLimits(allow_empty_source=True), None),
        ({"source_files": 0, "deletes": 500, "target_objects": 500}, DeleteLimits(), "empty-source"),
        (
            {"source_files": 0, "deletes": 500, "target_objects": 500},
            DeleteLimits(allow_empty_source=True),
            None,
        ),
        (
            {"source_files": 0, "deletes": 500, "target_objects": 500},
            DeleteLimits(allow_empty_source=True, count=499),
            "max-delete",
        ),
        (
            {"source_files": 0, "deletes": 500, "target_objects": 500},
            DeleteLimits(allow_empty_source=True, ratio=0.9),
            "max-delete-ratio",
        ),
        ({"deletes": 5}, DeleteLimits(count=5), None),
        ({"deletes": 6}, DeleteLimits(count=5), "max-delete"),
        ({"deletes": 1}, DeleteLimits(count=0), "max-delete"),
        ({"deletes": 100, "target_objects": 100}, DeleteLimits(), None),
        ({"deletes": 101, "target_objects": 101}, DeleteLimits(), "max-delete-ratio"),
        ({"deletes": 101, "target_objects": 202}, DeleteLimits(), None),
        ({"deletes": 102, "target_objects": 202}, DeleteLimits(), "max-delete-ratio"),
        ({"deletes": 600, "target_objects": 1000}, DeleteLimits(), "max-delete-ratio"),
        ({"deletes": 600, "target_objects": 1000}, DeleteLimits(ratio=0.6), None),
        ({"deletes": 2, "target_objects": 10}, DeleteLimits(ratio=0.1), "max-delete-ratio"),
        ({"deletes": 1, "target_objects": 10}, DeleteLimits(ratio=0.1), None),
        ({"deletes": 1, "target_objects": 10}, DeleteLimits(ratio=0.0), "max-delete-ratio"),
        ({"deletes": 600, "target_objects": 1000}, DeleteLimits(count=1000), "max-delete-ratio"),
        ({"deletes": 600, "target_objects": 1000}, DeleteLimits(count=1000, ratio=1.0), None),
    ],
)
def test_guards_d4_d5_p1_p3_p4(changes: dict[str, int], limits: DeleteLimits, guard: str | None) -> None:
    """The first guard that objects refuses all deletes of the plan, and names their number."""
    facts = replace(FINE, **changes)  # type: ignore[arg-type]
    refusal = check_deletes(facts, limits)
    assert (refusal and refusal.guard) == guard
    if refusal is not None:
        assert refusal.count == facts.deletes


@pytest.mark.parametrize(
    ("changes", "limits", "words"),
    [
        ({"source_complete": False}, DeleteLimits(), "walk of the source"),
        ({"target_complete": False}, DeleteLimits(), "target's listing"),
        ({"source_files": 0}, DeleteLimits(), "--allow-empty-source"),
        (
            {"deletes": 6},
            DeleteLimits(count=5),
            "6 deletes are planned, --max-delete allows 5; if that is meant, say --max-delete 6",
        ),
        (
            {"deletes": 600, "target_objects": 1000},
            DeleteLimits(),
            "of 1,000 objects; --max-delete-ratio allows 50%; if that is meant, say --max-delete-ratio 0.6",
        ),
    ],
)
def test_refusals_name_the_way_out(changes: dict[str, int], limits: DeleteLimits, words: str) -> None:
    """A refusal names the option that permits it."""
    refusal = check_deletes(replace(FINE, **changes), limits)  # type: ignore[arg-type]
    assert refusal is not None
    assert words in refusal.message


counts = st.integers(0, 400)
facts = st.builds(PlanFacts, counts, counts, counts, st.booleans(), st.booleans())
limits = st.builds(
    DeleteLimits, st.none() | counts, st.none() | st.floats(0, 1, allow_nan=False), st.booleans()
)


@laws
@given(facts, limits)
def test_law_incomplete_knowledge_deletes_nothing_d1_p1(plan: PlanFacts, allowed: DeleteLimits) -> None:
    """No limit that a caller can set lets a plan delete that did not see both sides to their end."""
    if check_deletes(plan, allowed) is None and plan.deletes:
        assert plan.source_complete
        assert plan.target_complete


@laws
@given(facts, limits)
def test_law_limits_hold_d5_p4(plan: PlanFacts, allowed: DeleteLimits) -> None:
    """What passes is within every limit that was set, and an empty source passes only by its own word."""
    if check_deletes(plan, allowed) is None and plan.deletes:
        assert allowed.count is None or plan.deletes <= allowed.count
        share = plan.deletes / max(plan.target_objects, 1)
        assert allowed.ratio is None or share <= allowed.ratio
        assert plan.source_files > 0 or allowed.allow_empty_source
        if allowed.ratio is None and plan.source_files > 0 and plan.deletes > RATIO_APPLIES_ABOVE:
            assert share <= DEFAULT_DELETE_RATIO


@laws
@given(facts, limits, st.integers(1, 50))
def test_law_fewer_deletes_are_never_worse(plan: PlanFacts, allowed: DeleteLimits, fewer: int) -> None:
    """A plan that passes still passes with fewer deletes."""
    if check_deletes(plan, allowed) is None:
        less = replace(plan, deletes=max(plan.deletes - fewer, 0))
        assert check_deletes(less, allowed) is None


@pytest.mark.parametrize(
    ("recorded", "found", "swapped"),
    [
        (0, 0, False),
        (1, 0, True),
        (1, 1, False),
        (2, 1, False),
        (3, 1, True),
        (100, 50, False),
        (100, 49, True),
    ],
)
def test_another_tree_in_place_of_the_source_d4_p3(recorded: int, found: int, swapped: bool) -> None:
    """Under half of the recorded files found with their size means that the source was swapped."""
    assert looks_swapped(recorded, found) is swapped


def test_keys_at_or_below_an_unreadable_path_are_covered_p2() -> None:
    unreadable = UnreadablePaths()
    assert not unreadable
    unreadable.add("a/b/", unreadable=True)
    unreadable.add("x\udcff")
    assert unreadable
    assert unreadable.unexplained == {"a/b"}
    assert [key for key in ("a", "a/b", "a/b/c", "a/bc", "x?", "y") if unreadable.covers(key)] == [
        *("a/b", "a/b/c", "x?")
    ]
    assert not unreadable.unexplained  # its old key is known now
