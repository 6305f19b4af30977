"""The guards of deletes for the sum of all shards, by the rules of :mod:`aios3sync.core.safety`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aios3sync.core.safety import PlanFacts, Refusal, Unfinished, check_deletes, swapped, waits_for
from aios3sync.sync.deletes import limits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aios3sync.distributed.results import ShardFacts, SourceSurvey
    from aios3sync.options import SyncOptions

__all__ = ("lookalikes_of", "refusal", "swapped_tree", "total", "waits")

_TOO_MANY: Final = (
    "too many names of the source have another form on some servers and systems (Unicode forms, backslashes, "
    "empty path components) to compare them between machines, so nothing is deleted; a run without --cluster "
    "compares them"
)


def total(facts: Sequence[ShardFacts]) -> tuple[PlanFacts, Unfinished]:
    """Return the facts of one run that has seen what all shards have; without shards, incomplete ones."""
    plans, works = [each.plan for each in facts], [each.unfinished for each in facts]
    explained = frozenset[str]().union(*(each.explained for each in facts))
    plan = PlanFacts(
        deletes=sum(plan.deletes for plan in plans),
        source_files=sum(plan.source_files for plan in plans),
        target_objects=sum(plan.target_objects for plan in plans),
        source_complete=bool(plans) and all(plan.source_complete for plan in plans),
        target_complete=bool(plans) and all(plan.target_complete for plan in plans),
        entries=plans[0].entries if plans else "objects",
        renamed=sum(plan.renamed for plan in plans),
    )
    unfinished = Unfinished(
        given_up=next((work.given_up for work in works if work.given_up), ""),
        failed_transfers=sum(work.failed_transfers for work in works),
        failed_reads=sum(work.failed_reads for work in works),
        places=frozenset[str]().union(*(work.places for work in works)) - explained,
        refused=sum(work.refused for work in works),
        transfers=works[0].transfers if works else "uploads",
    )
    return plan, unfinished


def refusal(facts: Sequence[ShardFacts], options: SyncOptions) -> Refusal | None:
    """Return the refusal of the first guard that objects to the deletes of all shards, or ``None``.

    Nothing may be deleted before every shard was compared: otherwise its facts are incomplete (P1).

    Args:
        facts: of all shards, whose ranges hold every key.
        options: of the sync.
    """
    plan, _ = total(facts)
    if (refused := check_deletes(plan, limits_of(options))) is not None:
        return refused
    if plan.deletes and any(each.lookalikes_missing for each in facts):
        return Refusal("incomplete", plan.deletes, _TOO_MANY)
    return None


def waits(facts: Sequence[ShardFacts], options: SyncOptions) -> str:
    """Return the failures for which nothing is deleted (P5); empty where deletes may begin."""
    _, unfinished = total(facts)
    return waits_for(unfinished, despite_errors=options.delete_despite_errors)


def swapped_tree(surveys: Sequence[SourceSurvey], *, uploads: bool) -> Refusal | None:
    """Return the refusal of a run whose tree seems to be a different one than before (P3), else ``None``.

    Args:
        surveys: of all shards, made before the first transfer.
        uploads: whether the tree is the source.
    """
    recorded, found = sum(each.recorded for each in surveys), sum(each.found for each in surveys)
    return swapped(recorded, found, uploads=uploads)


def lookalikes_of(facts: Sequence[ShardFacts]) -> frozenset[str]:
    """Return the names that no shard may delete; ``delete_shard`` takes them."""
    return frozenset[str]().union(*(each.lookalikes for each in facts))
