"""Keep S3 in step with local directories, and know what is there.

The map of the package; each line may import the lines below it::

    cli                      the command line: commands, and output, which prints
    session, runs, stores    connect() opens a Session; everything hangs off it
    watch                    a sync whenever the source changes
    stats, images            what is in a bucket, in numbers; sizes and thumbnails of images
    catalog, index           datasets and models by name; a database of the objects of a bucket
    objects                  single objects: read, written, copied, listed
    sync                     the engine: pipeline, detector, manifest_diff, transfers/, deletes, recorder
    processes, listing       processes that send small files; every way to list a bucket
    inventory                an S3 Inventory, read in key order
    observers                runs, listings and requests for Prometheus and OpenTelemetry
    store                    the S3 seam: protocol, s3/ (the API), boto/ and wire/ (clients), wrappers/
    manifest, local, events  what was uploaded; the local filesystem; what a run reports
    core                     the decisions: pure, without I/O

``errors``, ``options`` and ``report`` are values for all of them, ``testing`` is for tests of code that uses
this package. Public is what ``__all__`` lists here and in ``index``, ``catalog``, ``stats``, ``images``,
``store``, ``manifest``, ``observers``, ``testing``, ``events``, ``progress`` and ``errors``; all else may
change in any release. A name is loaded when it is first used: the import costs no S3 client and no terminal
library.
"""

from __future__ import annotations

from aios3sync._lazy import lazy_names
from aios3sync._version import __version__ as __version__

TYPE_CHECKING = False  # the name by which type checkers know it; a command line does not load typing

if TYPE_CHECKING:
    from aios3sync.catalog.catalog import Catalog
    from aios3sync.catalog.entries import DatasetEntry, ModelEntry, Registration
    from aios3sync.concurrency import Stop
    from aios3sync.core.entries import RecordedEntry, SourceEntry, TargetEntry
    from aios3sync.errors import (
        AccessDeniedError,
        AioS3SyncError,
        BucketNotFoundError,
        ClusterError,
        CredentialsError,
        DamagedManifestError,
        DestinationError,
        IntegrityError,
        ListingError,
        LockedError,
        ManifestError,
        NotModifiedError,
        ObjectNotFoundError,
        OutOfOrderError,
        PreconditionFailedError,
        SourceError,
        StoreError,
        TemporarySpaceError,
        ThrottledError,
        UnavailableError,
        UsageError,
    )
    from aios3sync.index.object_index import ObjectIndex
    from aios3sync.keywords import ConnectKeywords, SyncKeywords
    from aios3sync.objects.doctor.report import DoctorReport, Finding
    from aios3sync.objects.reader import ObjectReader
    from aios3sync.options import ConnectOptions, SyncOptions
    from aios3sync.progress import Progress
    from aios3sync.report import Failure, ReceiptResult, RequestForecast, SyncReport
    from aios3sync.session import Session, connect
    from aios3sync.stats.model import BucketStats
    from aios3sync.stats.options import StatsKeywords, StatsOptions
    from aios3sync.sync.event_stream import SyncEvents
    from aios3sync.sync.explain import Explanation
    from aios3sync.sync.plans.plan import Plan
    from aios3sync.sync.plans.planned import PlannedAction
    from aios3sync.sync.verify_report import Difference, VerifyReport

__all__ = (
    "AccessDeniedError",
    "AioS3SyncError",
    "BucketNotFoundError",
    "BucketStats",
    "Catalog",
    "ClusterError",
    "ConnectKeywords",
    "ConnectOptions",
    "CredentialsError",
    "DamagedManifestError",
    "DatasetEntry",
    "DestinationError",
    "Difference",
    "DoctorReport",
    "Explanation",
    "Failure",
    "Finding",
    "IntegrityError",
    "ListingError",
    "LockedError",
    "ManifestError",
    "ModelEntry",
    "NotModifiedError",
    "ObjectIndex",
    "ObjectNotFoundError",
    "ObjectReader",
    "OutOfOrderError",
    "Plan",
    "PlannedAction",
    "PreconditionFailedError",
    "Progress",
    "ReceiptResult",
    "RecordedEntry",
    "Registration",
    "RequestForecast",
    "Session",
    "SourceEntry",
    "SourceError",
    "StatsKeywords",
    "StatsOptions",
    "Stop",
    "StoreError",
    "SyncEvents",
    "SyncKeywords",
    "SyncOptions",
    "SyncReport",
    "TargetEntry",
    "TemporarySpaceError",
    "ThrottledError",
    "UnavailableError",
    "UsageError",
    "VerifyReport",
    "connect",
)

if not TYPE_CHECKING:  # type checkers see the imports above, and complain of any other name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "aios3sync.catalog.catalog": "Catalog",
            "aios3sync.catalog.entries": "DatasetEntry ModelEntry Registration",
            "aios3sync.concurrency": "Stop",
            "aios3sync.core.entries": "RecordedEntry SourceEntry TargetEntry",
            "aios3sync.errors": (
                "AccessDeniedError AioS3SyncError BucketNotFoundError ClusterError CredentialsError "
                "DamagedManifestError DestinationError IntegrityError ListingError LockedError "
                "ManifestError NotModifiedError ObjectNotFoundError OutOfOrderError "
                "PreconditionFailedError SourceError StoreError TemporarySpaceError ThrottledError "
                "UnavailableError UsageError"
            ),
            "aios3sync.index.object_index": "ObjectIndex",
            "aios3sync.keywords": "ConnectKeywords SyncKeywords",
            "aios3sync.objects.doctor.report": "DoctorReport Finding",
            "aios3sync.objects.reader": "ObjectReader",
            "aios3sync.options": "ConnectOptions SyncOptions",
            "aios3sync.progress": "Progress",
            "aios3sync.report": "Failure ReceiptResult RequestForecast SyncReport",
            "aios3sync.session": "Session connect",
            "aios3sync.stats.model": "BucketStats",
            "aios3sync.stats.options": "StatsKeywords StatsOptions",
            "aios3sync.sync.event_stream": "SyncEvents",
            "aios3sync.sync.explain": "Explanation",
            "aios3sync.sync.plans.plan": "Plan",
            "aios3sync.sync.plans.planned": "PlannedAction",
            "aios3sync.sync.verify_report": "Difference VerifyReport",
        },
        ("__version__",),
    )
