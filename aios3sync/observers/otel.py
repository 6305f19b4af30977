"""OtelObserver: spans and metrics of a session for OpenTelemetry (extra ``otel``).

Names follow the semantic conventions where they exist: for calls to AWS
(https://opentelemetry.io/docs/specs/semconv/object-stores/s3/) and for HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from aios3sync._version import __version__
from aios3sync.errors import AioS3SyncError
from aios3sync.observers.outcomes import error_name, outcome_of, transferred_bytes, transferred_files
from aios3sync.store.observer import ObservedListing, ObservedRequest, ObservedRun, Observer

if TYPE_CHECKING:
    from aios3sync.store.wrappers.metrics import RetryDetails

__all__ = ("OtelObserver",)

_NAME: Final = "aios3sync"


class OtelObserver(Observer):
    """Makes a span of each run, listing and request, and counts them.

    ::

        async with connect(observers=[OtelObserver()]) as s3:
            ...

    Args:
        tracer_provider: of the application; the global one by default.
        meter_provider: the same.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, __version__, tracer_provider)
        meter = metrics.get_meter(_NAME, __version__, meter_provider)
        self._requests = meter.create_counter("aios3sync.requests", "{request}", "S3 requests, each attempt")
        self._durations = meter.create_histogram("aios3sync.request.duration", "s", "Time of S3 requests")
        self._retries = meter.create_counter("aios3sync.retries", "{request}", "S3 requests sent again")
        self._runs = meter.create_counter("aios3sync.runs", "{run}", "Runs, by how they ended")
        self._run_seconds = meter.create_histogram("aios3sync.run.duration", "s", "Time of runs")
        self._files = meter.create_counter("aios3sync.files", "{file}", "Files, by how they ended")
        self._bytes = meter.create_counter("aios3sync.bytes", "By", "Bytes of those")

    def request(self, request: ObservedRequest, /) -> None:
        """Make the span of a request that has ended: a child of the listing or the run that sent it."""
        operation, error = request.operation, error_name(request.status, request.cause)
        answer: dict[str, Any] = {"http.response.status_code": request.status} if request.status else {}
        if error:
            answer["error.type"] = error
        place = {"aws.s3.key": request.key} if request.key else {}
        resends = {"http.request.resend_count": request.resends} if request.resends else {}
        ended = time.time_ns()
        span = self._tracer.start_span(
            f"S3.{operation}",
            kind=SpanKind.CLIENT,
            start_time=ended - int(request.seconds * 1e9),
            attributes={
                "rpc.system": "aws-api",
                "rpc.service": "S3",
                "rpc.method": operation,
                "aws.s3.bucket": request.bucket,
                **place,
                **answer,
                **resends,
            },
        )
        if error:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)
        measured = {"rpc.method": operation, **answer}
        self._requests.add(1, measured)
        self._durations.record(request.seconds, measured)

    def retry(self, retry: RetryDetails, /) -> None:
        """Count a retry."""
        error = retry.error
        self._retries.add(1, {"rpc.method": error.operation, "error.type": error.code or "unknown"})

    @contextmanager
    def listing(self, listing: ObservedListing, /) -> Iterator[None]:
        """Make the span of a listing."""
        place = {"aws.s3.bucket": listing.bucket, "aios3sync.prefix": listing.prefix}
        with self._span("aios3sync.list", place) as span:
            try:
                yield
            finally:
                span.set_attribute("aios3sync.pages", listing.pages)
                span.set_attribute("aios3sync.objects", listing.objects)

    @contextmanager
    def run(self, run: ObservedRun, /) -> Iterator[None]:
        """Make the span of a run, ``aios3sync.sync`` for example, with its counts."""
        sides = {"aios3sync.source": run.source, "aios3sync.target": run.target}
        began, failure = time.monotonic(), None
        with self._span(f"aios3sync.{run.command}", sides) as span:
            try:
                yield
            except BaseException as error:
                failure = error
                raise
            finally:
                outcome = outcome_of(run.report, failure)
                span.set_attribute("aios3sync.outcome", outcome)
                self._add_report(span, run.report)
                if failure is None and outcome not in ("success", "different"):
                    span.set_status(Status(StatusCode.ERROR, outcome))
                facts = {"aios3sync.command": run.command, "aios3sync.outcome": outcome}
                self._runs.add(1, facts)
                self._run_seconds.record(time.monotonic() - began, facts)

    def _add_report(self, span: trace.Span, report: Any) -> None:
        """Add the counts of a report to a span, and to the metrics."""
        if report is None:
            return
        span.set_attribute("aios3sync.exit_code", report.exit_code)
        span.set_attribute("aios3sync.retries", report.retries)
        for name in ("scanned", "planned", "same", "differing"):
            if hasattr(report, name):
                span.set_attribute(f"aios3sync.{name}", getattr(report, name))
        for counter, counted, suffix in (
            (self._files, transferred_files(report), ""),
            (self._bytes, transferred_bytes(report), "_bytes"),
        ):
            for state, number in counted:
                span.set_attribute(f"aios3sync.{state}{suffix}", number)
                counter.add(number, {"aios3sync.outcome": state})

    @contextmanager
    def _span(self, name: str, attributes: dict[str, str]) -> Iterator[trace.Span]:
        """Make a span the current one; for an error that is not ours it records only the type (P16)."""
        with self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                text = str(error) if isinstance(error, AioS3SyncError) else ""
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR, " ".join(text.split()) or type(error).__name__))
                raise
