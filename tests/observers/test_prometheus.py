"""The collector of runs and requests, as a scrape sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from aios3sync import BucketNotFoundError
from aios3sync.observers import ObservedRequest, SyncCollector
from aios3sync.testing.http_server import error_body

if TYPE_CHECKING:
    from tests.observers.conftest import OpenScene


def scraped(collector: SyncCollector) -> dict[str, float]:
    """The samples of a scrape by name and labels."""
    registry = CollectorRegistry()
    registry.register(collector)
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


@pytest.mark.parametrize("lane", ["wire", "boto"])
async def test_runs_and_requests_are_counted(scene: OpenScene, lane: str) -> None:
    collector = SyncCollector()
    async with scene([collector], lane=lane) as s:
        s.with_faults()
        await s.sync()
        await s.sync(dry_run=True)
        s.server.will(404, error_body("NoSuchBucket"))
        with pytest.raises(BucketNotFoundError):
            await s.sync(check="list")
        place = f"command=sync,source={s.tree},target=s3://bkt/p"
    found = scraped(collector)
    counters = {name: value for name, value in found.items() if "_total{" in name}
    assert counters == {
        "aios3sync_runs_total{command=sync,outcome=success}": 2,
        "aios3sync_runs_total{command=sync,outcome=failed}": 1,
        "aios3sync_files_total{outcome=uploaded}": 1,
        "aios3sync_bytes_total{outcome=uploaded}": 1,
        "aios3sync_requests_total{operation=ListObjectsV2,status=503}": 1,
        "aios3sync_requests_total{operation=ListObjectsV2,status=200}": 1,
        "aios3sync_requests_total{operation=ListObjectsV2,status=404}": 1,
        "aios3sync_requests_total{operation=PutObject,status=500}": 1,
        "aios3sync_requests_total{operation=PutObject,status=200}": 1,
        "aios3sync_retries_total{code=SlowDown,operation=ListObjectsV2}": 1,
        "aios3sync_retries_total{code=InternalError,operation=PutObject}": 1,
    }
    assert found["aios3sync_request_duration_seconds_count{operation=PutObject}"] == 2
    assert found["aios3sync_run_duration_seconds_count{command=sync}"] == 3
    assert found["aios3sync_run_duration_seconds_sum{command=sync}"] > 0
    assert abs(found[f"aios3sync_last_success_timestamp_seconds{{{place}}}"] - time.time()) < 600


def test_durations_are_in_the_buckets_that_they_fit() -> None:
    collector = SyncCollector(bounds=(0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        collector.request(ObservedRequest("PutObject", "b", "k", 200, "", seconds))
    found = scraped(collector)
    name = "aios3sync_request_duration_seconds"
    below = [found[f"{name}_bucket{{le={bound},operation=PutObject}}"] for bound in ("0.1", "1.0", "+Inf")]
    assert below == [2, 3, 4]
    assert found[f"{name}_sum{{operation=PutObject}}"] == pytest.approx(7.65)


def test_before_anything_happened_there_is_nothing_to_tell() -> None:
    assert scraped(SyncCollector()) == {}
