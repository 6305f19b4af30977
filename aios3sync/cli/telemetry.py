"""OpenTelemetry for one command line (``--otel``), with the exporters of the SDK's ``OTEL_…`` variables."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any, Final

from aios3sync.cli.command import observed_by
from aios3sync.errors import UsageError
from aios3sync.observers import OtelObserver

__all__ = ("telemetry",)

_OTLP: Final = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
_INSTALL: Final = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"


@contextmanager
def telemetry() -> Iterator[OtelObserver]:
    """Observe every session of the block, and export the rest at its end.

    Raises:
        UsageError: the SDK or an exporter is not installed, or a variable names an unknown one.
    """
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        raise UsageError(f"--otel: the SDK of OpenTelemetry is not installed; {_INSTALL}") from None
    name = os.environ.get("OTEL_SERVICE_NAME") or "aios3sync"
    resource = Resource.create({SERVICE_NAME: name})
    of_traces, of_metrics = _exporters("traces"), _exporters("metrics")
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in of_traces:
        tracers.add_span_processor(BatchSpanProcessor(exporter))
    readers = [PeriodicExportingMetricReader(exporter) for exporter in of_metrics]
    meters = MeterProvider(readers, resource, shutdown_on_exit=False)
    try:
        with observed_by(OtelObserver(tracers, meters)) as observer:
            yield observer
    finally:
        tracers.shutdown()
        meters.shutdown()


def _exporters(kind: str) -> list[Any]:
    """Return the exporters in ``OTEL_TRACES_EXPORTER`` or ``OTEL_METRICS_EXPORTER``.

    Raises:
        UsageError: there is no exporter of that name.
    """
    variable = f"OTEL_{kind.upper()}_EXPORTER"
    names = [name.strip() for name in (os.environ.get(variable) or "otlp").split(",")]
    return [_exporter(kind, variable, name) for name in names if name not in ("", "none")]


def _exporter(kind: str, variable: str, name: str) -> Any:
    installed = {each.name: each for each in entry_points(group=f"opentelemetry_{kind}_exporter")}
    found = next((installed[each] for each in _names(kind, name) if each in installed), None)
    if found is None:
        raise UsageError(
            f"--otel: {variable}: no exporter {name!r} is installed; {_INSTALL}, or name another"
        )
    return found.load()(out=sys.stderr) if name == "console" else found.load()()


def _names(kind: str, name: str) -> tuple[str, ...]:
    """Return the names of the exporters for one name: ``otlp`` has one for each protocol."""
    if name != "otlp":
        return (name,)
    own, common = f"OTEL_EXPORTER_OTLP_{kind.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
    protocol = os.environ.get(own) or os.environ.get(common) or ""
    return (_OTLP.get(protocol, protocol),) if protocol else ("otlp_proto_http", "otlp_proto_grpc")
