"""The guards on the sum of shards say what those of a single run say of the same facts."""

from __future__ import annotations

import pickle
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.safety import DeleteLimits, PlanFacts, Unfinished, check_deletes, swapped, waits_for
from aios3sync.distributed.guards import lookalikes_of, refusal, swapped_tree, total, waits
from aios3sync.distributed.results import ShardFacts, SourceSurvey
from aios3sync.options import SyncOptions

small = st.integers(0, 3)
amounts = st.one_of(small, st.integers(0, 200))
plans = st.builds(
    PlanFacts,
    deletes=amounts,
    source_files=amounts,
    target_objects=amounts,
    source_complete=st.sampled_from([True, True, True, False]),
    target_complete=st.sampled_from([True, True, True, False]),
    entries=st.just("files"),
)
places = st.frozensets(st.sampled_from(["a", "b/c", "\udcff"]))
failures = st.builds(
    Unfinished,
    given_up=st.sampled_from(["", "", "", "the bucket is full"]),
    failed_transfers=small,
    failed_reads=small,
    places=places,
    refused=small,
    transfers=st.just("downloads"),
)
facts = st.builds(ShardFacts, plan=plans, unfinished=failures)
options = st.builds(
    SyncOptions,
    max_delete=st.one_of(st.none(), amounts),
    max_delete_ratio=st.sampled_from([None, 0.0, 0.3, 1.0]),
    allow_empty_source=st.booleans(),
    delete_despite_errors=st.booleans(),
)


def sum_of(shards: list[ShardFacts]) -> PlanFacts:
    """The facts of one run, by the fields' own meaning."""
    values: dict[str, Any] = {
        name: sum(getattr(shard.plan, name) for shard in shards)
        for name in ("deletes", "source_files", "target_objects")
    }
    seen = {
        name: min(getattr(shard.plan, name) for shard in shards)
        for name in ("source_complete", "target_complete")
    }
    return PlanFacts(**values, **seen, entries="files")


@given(st.lists(facts, min_size=1, max_size=4), options)
def test_deletes_are_refused_as_in_one_run(shards: list[ShardFacts], asked: SyncOptions) -> None:
    limits = DeleteLimits(asked.max_delete, asked.max_delete_ratio, asked.allow_empty_source)
    assert refusal(shards, asked) == check_deletes(sum_of(shards), limits)


@given(st.lists(facts, min_size=1, max_size=4), options)
def test_deletes_wait_as_in_one_run(shards: list[ShardFacts], asked: SyncOptions) -> None:
    works = [shard.unfinished for shard in shards]
    whole = Unfinished(
        given_up=([work.given_up for work in works if work.given_up] or [""])[0],
        failed_transfers=sum(work.failed_transfers for work in works),
        failed_reads=sum(work.failed_reads for work in works),
        places=frozenset(place for work in works for place in work.places),
        refused=sum(work.refused for work in works),
        transfers="downloads",
    )
    assert waits(shards, asked) == waits_for(whole, despite_errors=asked.delete_despite_errors)


@given(st.lists(st.tuples(amounts, amounts), max_size=4), st.booleans())
def test_a_swapped_tree_is_found_as_in_one_run(counts: list[tuple[int, int]], uploads: bool) -> None:
    surveys = [SourceSurvey(recorded=recorded, found=min(found, recorded)) for recorded, found in counts]
    recorded, found = sum(each.recorded for each in surveys), sum(each.found for each in surveys)
    assert swapped_tree(surveys, uploads=uploads) == swapped(recorded, found, uploads=uploads)


def shard(deletes: int = 0, *, complete: bool = True, **values: Any) -> ShardFacts:
    unfinished = values.pop("unfinished", Unfinished())
    return ShardFacts(plan=PlanFacts(deletes, 10, 10, complete, complete), unfinished=unfinished, **values)


def test_one_incomplete_shard_refuses_the_deletes_of_all() -> None:
    refused = refusal([shard(3), shard(complete=False)], SyncOptions())
    assert refused is not None
    assert (refused.guard, refused.count) == ("incomplete", 3)


def test_no_shard_at_all_is_not_complete() -> None:
    plan, _ = total([])
    assert not plan.source_complete
    assert not plan.target_complete


def test_a_place_that_one_shard_explains_is_explained() -> None:
    """The key of what cannot be read is known there: it was not moved, and stays."""
    unknown = shard(unfinished=Unfinished(places=frozenset({"a", "b"})))
    assert "2 places" in waits([unknown, shard()], SyncOptions())
    assert "1 place " in waits([unknown, shard(explained=frozenset({"a"}))], SyncOptions())
    assert not waits([unknown, shard(explained=frozenset({"a", "b"}))], SyncOptions())


def test_too_many_lookalikes_refuse_deletes_alone() -> None:
    shards = [shard(lookalikes=frozenset({"a"})), shard(lookalikes=frozenset({"b"}), lookalikes_missing=True)]
    assert lookalikes_of(shards) == {"a", "b"}
    assert refusal(shards, SyncOptions()) is None
    refused = refusal([*shards, shard(1)], SyncOptions())
    assert refused is not None
    assert refused.guard == "incomplete"


def test_facts_can_be_pickled() -> None:
    asked = shard(3, explained=frozenset({"a"}), unmatched_filters=("*.tmp",))
    assert pickle.loads(pickle.dumps(asked)) == asked  # noqa: S301 - our own bytes
