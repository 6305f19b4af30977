"""Spans and metrics for OpenTelemetry: their names, attributes, parents and errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from aios3sync import BucketNotFoundError
from aios3sync.observers import ObservedRun, OtelObserver
from aios3sync.testing.http_server import error_body

if TYPE_CHECKING:
    from tests.observers.conftest import OpenScene


class Telemetry(NamedTuple):
    """An observer, and what it exported."""

    observer: OtelObserver
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    provider: TracerProvider

    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.spans() if span.name == name]
        return span

    def points(self, name: str) -> dict[frozenset[tuple[str, Any]], Any]:
        """The points of a metric by their attributes."""
        data = self.reader.get_metrics_data()
        assert data is not None
        found = {}
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                assert scope.scope.name == "aios3sync"
                for metric in scope.metrics:
                    if metric.name == name:
                        for point in metric.data.data_points:
                            found[frozenset((point.attributes or {}).items())] = point
        return found


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    yield Telemetry(OtelObserver(provider, meters), exporter, reader, provider)
    provider.shutdown()
    meters.shutdown()


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


@pytest.mark.parametrize("lane", ["wire", "boto"])
async def test_spans_of_a_run_its_listing_and_its_requests(
    scene: OpenScene, telemetry: Telemetry, lane: str
) -> None:
    async with scene([telemetry.observer], lane=lane) as s:
        s.with_faults()
        with telemetry.provider.get_tracer("the application").start_as_current_span("job"):
            await s.sync()
        tree = str(s.tree)
    job, run, listing = map(telemetry.named, ("job", "aios3sync.sync", "aios3sync.list"))
    assert parent_of(run) == id_of(job)
    assert parent_of(listing) == id_of(run)
    assert run.attributes is not None
    assert dict(run.attributes) == {
        "aios3sync.source": tree,
        "aios3sync.target": "s3://bkt/p",
        "aios3sync.outcome": "success",
        "aios3sync.exit_code": 0,
        "aios3sync.retries": 2,
        "aios3sync.scanned": 1,
        "aios3sync.planned": 1,
        "aios3sync.uploaded": 1,
        "aios3sync.uploaded_bytes": 1,
    }
    assert listing.attributes is not None
    assert dict(listing.attributes) == {
        "aws.s3.bucket": "bkt",
        "aios3sync.prefix": "p/",
        "aios3sync.pages": 1,
        "aios3sync.objects": 0,
    }
    requests = [span for span in telemetry.spans() if span.kind is SpanKind.CLIENT]
    assert [(span.name, parent_of(span)) for span in requests] == [
        ("S3.ListObjectsV2", id_of(listing)),
        ("S3.ListObjectsV2", id_of(listing)),
        ("S3.PutObject", id_of(run)),
        ("S3.PutObject", id_of(run)),
    ]
    common = {"rpc.system": "aws-api", "rpc.service": "S3", "aws.s3.bucket": "bkt"}
    put = common | {"rpc.method": "PutObject", "aws.s3.key": "p/a.txt"}
    assert [dict(span.attributes or {}) for span in requests[2:]] == [
        put | {"http.response.status_code": 500, "error.type": "500"},
        put | {"http.response.status_code": 200, "http.request.resend_count": 1},
    ]
    assert [span.status.status_code for span in requests[2:]] == [StatusCode.ERROR, StatusCode.UNSET]
    for span in requests:
        assert span.start_time is not None
        assert run.start_time is not None
        assert span.end_time is not None
        assert span.start_time < span.end_time
        # A span begins by the clock of the machine, and lasts by one that never goes back.
        assert span.start_time > run.start_time - 1_000_000_000


async def test_the_metrics_have_the_same_counts(scene: OpenScene, telemetry: Telemetry) -> None:
    async with scene([telemetry.observer]) as s:
        s.with_faults()
        await s.sync()
    facts = {"rpc.method": "PutObject", "http.response.status_code": 200}
    assert telemetry.points("aios3sync.requests")[frozenset(facts.items())].value == 1
    assert telemetry.points("aios3sync.request.duration")[frozenset(facts.items())].count == 1
    retries = {frozenset(key): point.value for key, point in telemetry.points("aios3sync.retries").items()}
    assert retries == {
        frozenset({"rpc.method": "ListObjectsV2", "error.type": "SlowDown"}.items()): 1,
        frozenset({"rpc.method": "PutObject", "error.type": "InternalError"}.items()): 1,
    }
    (run,) = telemetry.points("aios3sync.runs")
    assert dict(run) == {"aios3sync.command": "sync", "aios3sync.outcome": "success"}
    assert [point.value for point in telemetry.points("aios3sync.files").values()] == [1]
    assert [point.value for point in telemetry.points("aios3sync.bytes").values()] == [1]


async def test_spans_of_requests_of_processes_are_below_their_run(
    scene: OpenScene, telemetry: Telemetry
) -> None:
    async with scene([telemetry.observer], processes=1) as s:
        for number in range(300):
            (s.tree / f"f{number:03}").write_text("x")
        await s.sync()
    run = telemetry.named("aios3sync.sync")
    puts = [span for span in telemetry.spans() if span.name == "S3.PutObject"]
    assert len(puts) == 301
    assert {parent_of(span) for span in puts} == {id_of(run)}


async def test_an_error_is_the_status_of_the_span(scene: OpenScene, telemetry: Telemetry) -> None:
    async with scene([telemetry.observer]) as s:
        s.server.will(404, error_body("NoSuchBucket"))
        with pytest.raises(BucketNotFoundError) as raised:
            await s.sync()
    run = telemetry.named("aios3sync.sync")
    assert run.status.status_code is StatusCode.ERROR
    assert run.status.description == str(raised.value)
    assert (run.attributes or {})["error.type"] == "BucketNotFoundError"
    assert (run.attributes or {})["aios3sync.outcome"] == "failed"


def test_the_text_of_a_foreign_error_is_not_exported(telemetry: Telemetry) -> None:
    """P16: it may hold anything."""
    with pytest.raises(RuntimeError), telemetry.observer.run(ObservedRun("sync", "a", "s3://b")):
        raise RuntimeError("may hold a secret")
    span = telemetry.named("aios3sync.sync")
    assert span.status.description == "RuntimeError"
    assert "secret" not in span.to_json()
