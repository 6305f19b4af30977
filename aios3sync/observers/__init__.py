"""Observers of a session: export its requests, listings and runs to Prometheus and OpenTelemetry.

``connect(observers=[…])`` takes them. Each module here imports its library only when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios3sync._lazy import lazy_names

if TYPE_CHECKING:
    from aios3sync.observers.otel import OtelObserver
    from aios3sync.observers.prometheus import SyncCollector
    from aios3sync.store.observer import ObservedListing, ObservedRequest, ObservedRun, Observer
    from aios3sync.store.wrappers.metrics import RetryDetails

__all__ = (
    "ObservedListing",
    "ObservedRequest",
    "ObservedRun",
    "Observer",
    "OtelObserver",
    "RetryDetails",
    "SyncCollector",
)

if not TYPE_CHECKING:  # type checkers see the imports above, and complain of any other name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "aios3sync.observers.otel": "OtelObserver",
            "aios3sync.observers.prometheus": "SyncCollector",
            "aios3sync.store.observer": "ObservedListing ObservedRequest ObservedRun Observer",
            "aios3sync.store.wrappers.metrics": "RetryDetails",
        },
    )
