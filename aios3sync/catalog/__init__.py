"""The catalog of datasets and models: JSON documents in S3 that HG-Localization reads and writes as well.

::

    keys        where everything lies, and what it is called        pure
    entries     one dataset, one model; unknown fields are kept     pure
    derived     what the names of files tell of an entry            pure
    document    JSON, gzip and shards                               pure
    shelf       reads one document, and replaces it by compare-and-swap
    sweeping    deletes shards that a writer left behind
    scanning    finds entries without a document, by delimiter
    tiers       answers a question: index, scan, public manifest
    writing     changes the index, its replicas and the public manifest
    catalog     the public face of all of it
    registering adds what a sync brought
    metrics     what was answered how, for people and for Prometheus
"""

from aios3sync.catalog.catalog import Catalog
from aios3sync.catalog.entries import DatasetEntry, ModelEntry, Registration
from aios3sync.catalog.metrics import CatalogCollector, CatalogMetrics
from aios3sync.catalog.tiers import CatalogListing, PassedOver
from aios3sync.catalog.update import CatalogChange, CopyResult

__all__ = (
    "Catalog",
    "CatalogChange",
    "CatalogCollector",
    "CatalogListing",
    "CatalogMetrics",
    "CopyResult",
    "DatasetEntry",
    "ModelEntry",
    "PassedOver",
    "Registration",
)
