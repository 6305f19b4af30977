"""The catalog of datasets and models: JSON documents in S3 that HG-Localization reads and writes as well.

::

    layout        where everything is kept, and under which names   pure
    entries       one dataset, one model; unknown fields are kept   pure
    format        JSON, gzip and shards                             pure
    document      read one document, replace it by compare-and-swap
    edits         what a change makes of a document                 pure
    orphans       delete shards that no document names any more
    scan          find entries without a document, by delimiter
    tiers         answer a question: index, scan, public manifest
    update        change the index, its replicas and the public manifest
    catalog       the face of all of it
    registration  add what a sync brought
    metrics       how questions were answered, for people and for Prometheus
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios3sync._lazy import lazy_names

if TYPE_CHECKING:
    from aios3sync.catalog.catalog import Catalog
    from aios3sync.catalog.entries import DatasetEntry, ModelEntry, Registration
    from aios3sync.catalog.metrics import CatalogCollector, CatalogMetrics
    from aios3sync.catalog.tiers import CatalogListing, PassedOver
    from aios3sync.catalog.update import CatalogChange, CopyResult
    from aios3sync.report import CatalogResult

__all__ = (
    "Catalog",
    "CatalogChange",
    "CatalogCollector",
    "CatalogListing",
    "CatalogMetrics",
    "CatalogResult",
    "CopyResult",
    "DatasetEntry",
    "ModelEntry",
    "PassedOver",
    "Registration",
)

if not TYPE_CHECKING:  # type checkers see the imports above, and complain of any other name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "aios3sync.catalog.catalog": "Catalog",
            "aios3sync.catalog.entries": "DatasetEntry ModelEntry Registration",
            "aios3sync.catalog.metrics": "CatalogCollector CatalogMetrics",
            "aios3sync.catalog.tiers": "CatalogListing PassedOver",
            "aios3sync.catalog.update": "CatalogChange CopyResult",
            "aios3sync.report": "CatalogResult",
        },
    )
