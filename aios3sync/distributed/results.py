"""The results of a shard for the coordinator: values that can be pickled, of bounded size. Types only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aios3sync._dataclass import dataclass

if TYPE_CHECKING:
    from aios3sync.core.safety import PlanFacts, Unfinished
    from aios3sync.report import SyncReport

__all__ = ("MOST_LOOKALIKES", "ShardFacts", "ShardResult", "SourceSurvey")

MOST_LOOKALIKES: Final = 10_000
"""Names of one kind that the facts of one shard hold at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSurvey:
    """How many recorded files still exist; see :func:`~aios3sync.distributed.guards.swapped_tree`.

    Attributes:
        recorded: rows of the shard's manifest; 0 where the tree is on the device that it was on before.
        found: how many of them exist with their recorded size.
    """

    recorded: int = 0
    found: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFacts:
    """What the guards need of one shard, whose deletes are held.

    Attributes:
        plan: what was seen, and what is to be deleted.
        unfinished: what failed.
        explained: places that could not be read, and that contain a key of this shard: they do not count as
            ``unfinished`` of any other shard.
        lookalikes: source names in the form in which servers and other systems store them, which may be a key
            of another shard: that must not be deleted (C15). Names that are not UTF-8 stay.
        lookalikes_missing: there were more of them.
        unmatched_filters, unmatched_headers: rules that matched nothing in this shard.
        scope: a digest of the filters, without the range; see
            :attr:`~aios3sync.manifest.protocol.ManifestState.listings`.
        listed_at: since when the shard's rows are known to be what the bucket holds, except for held deletes;
            0 where they are not. Once deletes were sent, the state that is saved with the rows says so: a
            delete whose effect is not known makes the next run list.
        changed_since_inventory: keys whose deletes were left out, because they changed since the inventory of
            the run.
        inventory_created: when that inventory was made, seconds since the epoch; 0 for none.
        to_finish: whether :func:`~aios3sync.distributed.shard_run.finish_shard` has something to do.
    """

    plan: PlanFacts
    unfinished: Unfinished
    explained: frozenset[str] = frozenset()
    lookalikes: frozenset[str] = frozenset()
    lookalikes_missing: bool = False
    unmatched_filters: tuple[str, ...] = ()
    unmatched_headers: tuple[str, ...] = ()
    scope: str = ""
    listed_at: float = 0.0
    changed_since_inventory: int = 0
    inventory_created: float = 0.0
    to_finish: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardResult:
    """The outcome of comparing one shard, and of its transfers.

    Attributes:
        report: of the shard, without its held deletes: they are neither planned nor ended.
        facts: for the guards.
    """

    report: SyncReport
    facts: ShardFacts
