"""SyncCollector: counters of runs and of requests for ``prometheus_client`` (extra ``metrics``)."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aios3sync.observers.outcomes import LATENCY_BOUNDS, outcome_of, transferred_bytes, transferred_files
from aios3sync.store.observer import ObservedRequest, ObservedRun, Observer

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from aios3sync.store.wrappers.metrics import RetryDetails

__all__ = ("SyncCollector",)


class _Durations:
    """A histogram of one operation: requests by the first bound that their duration does not exceed."""

    __slots__ = ("counts", "total")

    def __init__(self, bounds: int) -> None:
        self.counts = [0] * (bounds + 1)
        self.total = 0.0


class SyncCollector(Observer):
    """Counts runs and requests, and exports them at each scrape.

    ::

        collector = SyncCollector()
        REGISTRY.register(collector)
        async with connect(observers=[collector]) as s3:
            ...

    It may observe several sessions, also at the same time. A scrape may come from another thread.

    Args:
        bounds: seconds, ascending; the upper bounds of the buckets of request durations.
    """

    def __init__(self, bounds: Sequence[float] = LATENCY_BOUNDS) -> None:
        self._bounds = tuple(bounds)
        self._requests: Counter[tuple[str, str]] = Counter()
        self._durations: dict[str, _Durations] = {}
        self._retries: Counter[tuple[str, str]] = Counter()
        self._runs: Counter[tuple[str, str]] = Counter()
        self._run_seconds: dict[str, float] = {}
        self._files: Counter[tuple[str]] = Counter()
        self._bytes: Counter[tuple[str]] = Counter()
        self._succeeded: dict[tuple[str, str, str], float] = {}

    def request(self, request: ObservedRequest, /) -> None:
        """Count a request by operation and status, or by the reason why there was no response."""
        operation = request.operation
        self._requests[operation, request.cause or str(request.status)] += 1
        durations = self._durations.get(operation)
        if durations is None:
            durations = self._durations[operation] = _Durations(len(self._bounds))
        durations.counts[bisect_left(self._bounds, request.seconds)] += 1
        durations.total += request.seconds

    def retry(self, retry: RetryDetails, /) -> None:
        """Count a retry by operation and code."""
        self._retries[retry.error.operation, retry.error.code] += 1

    @contextmanager
    def run(self, run: ObservedRun, /) -> Iterator[None]:
        """Count a run by its outcome, and its transfers."""
        began = time.monotonic()
        try:
            yield
        except BaseException as error:
            self._end(run, outcome_of(None, error), began)
            raise
        self._end(run, outcome_of(run.report, None), began)

    def _end(self, run: ObservedRun, outcome: str, began: float) -> None:
        self._runs[run.command, outcome] += 1
        self._run_seconds[run.command] = self._run_seconds.get(run.command, 0.0) + time.monotonic() - began
        self._files.update({(state,): number for state, number in transferred_files(run.report)})
        self._bytes.update({(state,): number for state, number in transferred_bytes(run.report)})
        if outcome == "success":
            self._succeeded[run.command, run.source, run.target] = time.time()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; called at every scrape."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

        counters: list[tuple[str, str, tuple[str, ...], Counter[Any]]] = [
            ("runs", "Runs, by what they did and how they ended", ("command", "outcome"), self._runs),
            ("files", "Files and objects of syncs, by how they ended", ("outcome",), self._files),
            ("bytes", "Bytes of those", ("outcome",), self._bytes),
            ("requests", "S3 requests, each attempt", ("operation", "status"), self._requests),
            ("retries", "S3 requests sent again, by the code", ("operation", "code"), self._retries),
        ]
        for name, text, labels, counter in counters:
            family = CounterMetricFamily(f"aios3sync_{name}", text, labels=labels)
            for key, number in counter.copy().items():
                family.add_metric(key, number)
            yield family
        yield self._request_durations()
        times = SummaryMetricFamily("aios3sync_run_duration_seconds", "Time of runs", labels=["command"])
        runs: Counter[str] = Counter()
        for (command, _), number in self._runs.copy().items():
            runs[command] += number
        for command, seconds in self._run_seconds.copy().items():
            times.add_metric([command], runs[command], seconds)
        yield times
        success = GaugeMetricFamily(
            "aios3sync_last_success_timestamp_seconds",
            "When a run last ended with exit code 0",
            labels=["command", "source", "target"],
        )
        for place, at in self._succeeded.copy().items():
            success.add_metric(list(place), at)
        yield success

    def _request_durations(self) -> Metric:
        from prometheus_client.core import HistogramMetricFamily

        family = HistogramMetricFamily(
            "aios3sync_request_duration_seconds", "Time of S3 requests, each attempt", labels=["operation"]
        )
        for operation, durations in self._durations.copy().items():
            buckets, below = [], 0
            for bound, number in zip((*map(str, self._bounds), "+Inf"), [*durations.counts], strict=True):
                below += number
                buckets.append((bound, below))
            family.add_metric([operation], buckets, durations.total)
        return family
