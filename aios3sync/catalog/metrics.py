"""Counters of the catalogs of a session, also for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aios3sync._dataclass import dataclass, field

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ("CatalogCollector", "CatalogMetrics")


@dataclass(slots=True)
class CatalogMetrics:
    """Counters, shared by the catalogs of one session.

    Attributes:
        answers: listings, by the tier that answered.
        not_modified: listings that were answered with 304.
        fallbacks: tiers that did not answer, by ``tier:reason``.
        gets_saved: requests that listing the folders would have taken at least, minus those that were sent.
        answer_s: total seconds of listings, by tier.
        slowest_s: seconds of the slowest listing, by tier.
        index_bytes: bytes of the index as stored when it was last read, by kind.
        index_entries: entries of the index when it was last read, by kind.
        changes: documents that were written.
        conflicts: writes that lost against another writer.
        swept: orphaned shards that were deleted.
        requests: to S3, by operation.
    """

    answers: Counter[str] = field(default_factory=Counter)
    not_modified: int = 0
    fallbacks: Counter[str] = field(default_factory=Counter)
    gets_saved: int = 0
    answer_s: Counter[str] = field(default_factory=Counter)
    slowest_s: dict[str, float] = field(default_factory=dict)
    index_bytes: dict[str, int] = field(default_factory=dict)
    index_entries: dict[str, int] = field(default_factory=dict)
    changes: int = 0
    conflicts: int = 0
    swept: int = 0
    requests: Counter[str] = field(default_factory=Counter)

    def answered(self, tier: str, seconds: float) -> None:
        """Count one listing."""
        self.answers[tier] += 1
        self.answer_s[tier] += seconds  # type: ignore[assignment] # a Counter holds any number
        self.slowest_s[tier] = max(seconds, self.slowest_s.get(tier, 0.0))

    def as_dict(self) -> dict[str, Any]:
        """Return the counters as a JSON object."""
        return {
            "index_hits": self.answers["index"],
            "answers": dict(self.answers),
            "not_modified": self.not_modified,
            "fallbacks": dict(self.fallbacks),
            "gets_saved": self.gets_saved,
            "answer_s": {tier: round(spent, 6) for tier, spent in self.answer_s.items()},
            "slowest_s": {tier: round(spent, 6) for tier, spent in self.slowest_s.items()},
            "index_bytes": dict(self.index_bytes),
            "index_entries": dict(self.index_entries),
            "changes": self.changes,
            "conflicts": self.conflicts,
            "swept": self.swept,
            "requests": dict(self.requests),
        }


class CatalogCollector:
    """Exports the counters to ``prometheus_client`` (extra ``metrics``).

    ::

        REGISTRY.register(CatalogCollector(session.catalog_metrics))
    """

    def __init__(self, metrics: CatalogMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield the counters as metrics; called at every scrape."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

        now = self._metrics
        counters: list[tuple[str, str, str, dict[str, float]]] = [
            ("answers", "Listings, by the tier that answered", "tier", dict(now.answers)),
            ("fallbacks", "Why a tier did not answer", "reason", dict(now.fallbacks)),
            ("requests", "Requests to S3", "operation", dict(now.requests)),
        ]
        for name, text, label, values in counters:
            family = CounterMetricFamily(f"aios3sync_catalog_{name}", text, labels=[label])
            for value, number in values.items():
                family.add_metric([value], number)
            yield family
        for name, text, number in (
            ("not_modified", "Listings answered by a 304", now.not_modified),
            ("gets_saved", "Requests that the index made unnecessary", now.gets_saved),
            ("changes", "Changes written", now.changes),
            ("conflicts", "Writes that lost a race and were repeated", now.conflicts),
            ("swept", "Orphaned shards that were deleted", now.swept),
        ):
            yield CounterMetricFamily(f"aios3sync_catalog_{name}", text, value=number)
        times = SummaryMetricFamily("aios3sync_catalog_answer_seconds", "Time of listings", labels=["tier"])
        for tier, listings in now.answers.items():
            times.add_metric([tier], listings, now.answer_s[tier])
        yield times
        for name, text, sizes in (
            ("index_bytes", "Bytes of the index as stored", now.index_bytes),
            ("index_entries", "Entries of the index", now.index_entries),
        ):
            gauge = GaugeMetricFamily(f"aios3sync_catalog_{name}", text, labels=["kind"])
            for kind, size in sizes.items():
                gauge.add_metric([kind], size)
            yield gauge
