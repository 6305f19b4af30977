"""The report of a run, and the counters that it is built from. No I/O.

Every planned item ends in exactly one of the :data:`STATES` (P9). :class:`ReportBuilder` counts them while
the run goes on; :class:`SyncReport` is what the caller gets at its end, with the first
:data:`MAX_REPORTED_ERRORS` failures.
"""

from __future__ import annotations

from collections import Counter

from aios3sync._dataclass import asdict, dataclass, field, replace
from aios3sync._typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = (
    "MAX_REPORTED_ERRORS",
    "STATES",
    "CatalogResult",
    "Failure",
    "ReceiptResult",
    "ReportBuilder",
    "RequestForecast",
    "SyncReport",
)

STATES: Final = (
    "uploaded",
    "downloaded",
    "copied",
    "updated",
    "kept",
    "touched",
    "adopted",
    "deleted",
    "forgotten",
    "conflicts",
    "withheld",
    "archived",
    "restoring",
    "skipped",
    "vanished",
    "failed",
    "cancelled",
)
"""The states that a planned item can end in; their counts add up to ``planned``."""

MAX_REPORTED_ERRORS: Final = 1000
"""Failures that a report holds; a file holds all of them where there are more."""
_SIGHUP: Final = 1
"""The number of SIGHUP, which is the same orderly stop as SIGTERM and has its exit code."""


# The report.


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that went wrong with one key.

    Attributes:
        key: relative to the prefix; a path that is no key is shown with its bytes escaped.
        stage: ``scan``, ``read``, ``compare``, ``upload``, ``download``, ``copy``, ``restore``, ``update``,
            ``delete`` or ``conflict``; ``run`` where the run itself failed.
        error: one line.
    """

    key: str
    stage: str
    error: str

    @classmethod
    def unforeseen(cls, key: str, stage: str, error: Exception) -> Failure:
        """Return the failure of an item by an exception that no rule covers.

        It names only the type, as the text of such an exception may hold anything. The traceback is logged
        at level debug; ``-vv`` shows it.
        """
        import logging  # ten milliseconds that hardly any run needs

        logging.getLogger(__name__).debug("%r: %s failed", key, stage, exc_info=error)
        return cls(key, stage, f"unexpected {type(error).__name__}: -vv shows where")


@dataclass(frozen=True, slots=True)
class CatalogResult:
    """Whether the entry that a sync registers is in the catalog; it changes no exit code.

    Attributes:
        id: of the dataset or model.
        location: of the catalog's index, ``s3://bucket/key``.
        state: ``added``; ``planned`` in a dry run; ``skipped``, because some of its files are missing; or
            ``failed``.
        error: why the entry was not added, one line; empty where it was.
        copies: the addresses of the public manifest and the replicas, each with the reason why it was not
            written; an empty text where it was.
    """

    id: str
    location: str
    state: str
    error: str = ""
    copies: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReceiptResult:
    """Whether the receipt that a sync was asked for is written.

    Attributes:
        place: an absolute path, or ``s3://bucket/key``.
        files: how many files it names, 0 where it was not written.
        error: why it was not written, one line; what was there before is as it was. Empty where it was.
    """

    place: str
    files: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestForecast:
    """The requests that a run would send at most, in the classes that they are paid by.

    Attributes:
        writes: PUT, COPY, POST and LIST.
        reads: GET and HEAD.
        deletes: DELETE, which is free.
        cost: what they cost, ``None`` where the prices of the endpoint are not known.
        currency: of it.
    """

    writes: int = 0
    reads: int = 0
    deletes: int = 0
    cost: float | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """The outcome of one sync.

    Attributes:
        command, source, target: the run.
        direction: ``up`` from a directory to a bucket, ``down`` the other way, ``copy`` between buckets.
        checked: how the bucket was compared: ``manifest`` (no request was needed), ``list``,
            ``inventory`` or ``content``.
        scanned: files or objects found in the source.
        planned: items that must end in one of the STATES; the counts of the states add up to it.
        uploaded: files that were sent.
        uploaded_bytes: bytes sent for uploads that succeeded (compressed where gzip applied).
        downloaded: objects that were fetched and are files now.
        downloaded_bytes: bytes received for them, as stored.
        copied: objects that were copied to another bucket or prefix.
        copied_bytes: their bytes.
        updated: objects with the same content that got other headers, by a copy on the server.
        kept: files and objects left as they are. Objects of other tools are not counted at all.
        touched: files with another stat and the recorded content; only the row changed.
        adopted: objects that already had the content of a file; recorded and not sent.
        deleted: objects that were deleted; of a download, files.
        forgotten: rows that were deleted because the file and the object are gone.
        conflicts: kept on both sides because either action could lose something.
        withheld: planned deletes that were not carried out (see ``refused``; or uploads failed).
        archived: objects that cannot be read because they are in an archive (Glacier).
        archived_bytes: their bytes, those of ``restoring`` included.
        restoring: archived objects whose restore was asked for; a later run can read them.
        skipped: what cannot be synced: special files, names that are no keys, keys that are no names, loops.
        vanished: files that disappeared between the walk and the upload.
        failed: items with an error.
        cancelled: items that had not ended when the run was stopped.
        refused: the guard that refused the deletes (or the run) and how many deletes were planned.
        knowledge_age_s: seconds since the target was last listed; 0 if this run listed it, ``None`` if
            it was never listed. Of an inventory, its age.
        errors: the first 1,000 failures; ``errors_file`` holds all of them if there are more.
        warnings: for a person, one line each.
        requests: S3 requests sent, by operation.
        retries: how many of them were repeats.
        throttled: how many of those repeats came after the endpoint asked to slow down.
        retry_codes: how many of them came after each error code; see
            :class:`~aios3sync.events.RequestRetried`.
        elapsed_s: seconds that the run took.
        incomplete: objects of a download are not here because their keys can be no files, which
            ``on_bad_name="skip"`` accepts.
        aborted: why nothing more could be done, whatever the item, such as a full disk; else empty. What was
            done until then is recorded, and the next run goes on.
        interrupted: 0, or the number of the signal that stopped the run.
        dry_run: nothing was written; the counts are those of a run that writes.
        forecast: the requests that such a run would send, of a dry run; else
            ``None``.
        catalog: whether the entry is in the catalog, ``None`` where none was asked for.
        receipt: whether the receipt is written, ``None`` where none was asked for.
    """

    command: str = "sync"
    source: str
    target: str
    direction: str = "up"
    checked: str
    scanned: int = 0
    uploaded: int = 0
    uploaded_bytes: int = 0
    downloaded: int = 0
    downloaded_bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    updated: int = 0
    kept: int = 0
    touched: int = 0
    adopted: int = 0
    deleted: int = 0
    forgotten: int = 0
    conflicts: int = 0
    withheld: int = 0
    archived: int = 0
    archived_bytes: int = 0
    restoring: int = 0
    skipped: int = 0
    vanished: int = 0
    failed: int = 0
    cancelled: int = 0
    planned: int = 0
    refused: Mapping[str, Any] | None = None
    knowledge_age_s: float | None = None
    errors: tuple[Failure, ...] = ()
    errors_file: str | None = None
    warnings: tuple[str, ...] = ()
    requests: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    throttled: int = 0
    retry_codes: Mapping[str, int] = field(default_factory=dict)
    elapsed_s: float = 0.0
    incomplete: bool = False
    aborted: str = ""
    interrupted: int = 0
    dry_run: bool = False
    forecast: RequestForecast | None = None
    catalog: CatalogResult | None = None
    receipt: ReceiptResult | None = None

    @property
    def balanced(self) -> bool:
        """Whether every planned item ended in exactly one state (C4)."""
        ended: int = sum(getattr(self, state) for state in STATES)
        return self.planned == ended

    @property
    def exit_code(self) -> int:
        """The exit code of the command line; the strongest reason decides."""
        if self.interrupted:
            return 143 if self.interrupted == _SIGHUP else 128 + self.interrupted
        if self.aborted:
            return 1
        if self.refused is not None:
            return 4
        parts = (self.failed, self.conflicts, self.withheld, self.cancelled, self.errors, self.incomplete)
        no_receipt = self.receipt is not None and self.receipt.error
        return 3 if any(parts) or no_receipt else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON document of ``--json``."""
        # asdict() rebuilds a mapping from pairs, which a Counter would count.
        plain = replace(self, requests=dict(self.requests), retry_codes=dict(self.retry_codes))
        document = asdict(plain)
        document["exit_code"] = self.exit_code
        return document


# The counters.


class ReportBuilder:
    """Counts what a run plans and how each item ends, until the report is made.

    *Effects* are planned first and end later, when the upload or the delete is done. *Findings* are items
    that the comparison settles by itself, such as kept files; they are planned and end at once. A
    comparison that begins again drops its findings and keeps the effects.

    Attributes:
        scanned: files found in the source.
        uploaded_bytes: bytes sent for uploads that succeeded.
        downloaded_bytes, copied_bytes, archived_bytes, incomplete, aborted: see :class:`SyncReport`.
    """

    def __init__(self) -> None:
        self._effects: Counter[str] = Counter()
        self._findings: Counter[str] = Counter()
        self._planned_effects = 0
        self._errors: list[Failure] = []
        self._finding_errors: list[Failure] = []
        self._overflow: list[Failure] = []
        self._overflowing = False
        self._warnings: dict[str, None] = {}
        self.scanned = 0
        self.uploaded_bytes = 0
        self.downloaded_bytes = 0
        self.copied_bytes = 0
        self.archived_bytes = 0
        self.aborted = ""
        self.incomplete = False

    def begin_comparison(self, *, nothing_done: bool = False) -> None:
        """Drop the findings of an earlier comparison, and with ``nothing_done`` the effects too."""
        if nothing_done:
            self._effects.clear()
            self._errors.clear()
            self._planned_effects = self.uploaded_bytes = 0
            self.downloaded_bytes = self.copied_bytes = self.archived_bytes = 0
        self._findings.clear()
        self._finding_errors.clear()
        self.scanned = 0

    def take_over(self, counts: Mapping[str, int]) -> None:
        """Count effects that an earlier attempt at the same run has planned and ended.

        Args:
            counts: by state, and the bytes by the names that they have here.
        """
        for state in STATES:
            self._effects[state] += counts.get(state, 0)
            self._planned_effects += counts.get(state, 0)
        self.uploaded_bytes += counts.get("uploaded_bytes", 0)
        self.downloaded_bytes += counts.get("downloaded_bytes", 0)
        self.copied_bytes += counts.get("copied_bytes", 0)

    def plan(self, count: int = 1) -> None:
        """Plan ``count`` more items, each of which must end in a state."""
        self._planned_effects += count

    def settle(self, state: str, failure: Failure | None = None, *, count: int = 1) -> None:
        """End ``count`` planned items in a state."""
        self._effects[state] += count
        if failure is not None:
            self._add_error(self._errors, failure)

    def settle_as_found(self, state: str) -> None:
        """End one planned item without an effect: it becomes a finding."""
        self._planned_effects -= 1
        self.find(state)

    def find(self, state: str, count: int = 1, failure: Failure | None = None) -> None:
        """Count ``count`` findings: items that are planned and end in a state at once."""
        self._findings[state] += count
        if failure is not None:
            self._add_error(self._finding_errors, failure)

    def warn(self, message: str) -> None:
        """Add a warning once; only the first :data:`MAX_REPORTED_ERRORS` are kept."""
        if len(self._warnings) < MAX_REPORTED_ERRORS:
            self._warnings[message] = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings, in order."""
        return tuple(self._warnings)

    @property
    def pending(self) -> int:
        """Planned items that have not ended yet."""
        return self._planned_effects - self._effects.total()

    @property
    def planned(self) -> int:
        """All planned items, ended or not."""
        return self._planned_effects + self._findings.total()

    @property
    def archived(self) -> int:
        """Objects that are in an archive."""
        return self._effects["archived"]

    @property
    def restoring(self) -> int:
        """Objects that are in an archive and are being restored."""
        return self._effects["restoring"]

    @property
    def cancelled(self) -> int:
        """Items that were cancelled."""
        return self._effects["cancelled"]

    def cancel_pending(self) -> None:
        """End all pending items as cancelled."""
        self._effects["cancelled"] += self.pending

    def counts(self) -> dict[str, int]:
        """Return the count of every state."""
        return {state: self._effects[state] + self._findings[state] for state in STATES}

    @property
    def errors(self) -> tuple[Failure, ...]:
        """The first failures, those of the comparison first."""
        return tuple((self._finding_errors + self._errors)[:MAX_REPORTED_ERRORS])

    def _add_error(self, errors: list[Failure], failure: Failure) -> None:
        if len(errors) < MAX_REPORTED_ERRORS:
            errors.append(failure)
            return
        if not self._overflowing:
            self._overflow, self._overflowing = list(errors), True
        self._overflow.append(failure)

    @property
    def overflow(self) -> int:
        """How many failures the report cannot hold and :meth:`take_overflow` has not returned yet."""
        return len(self._overflow)

    def take_overflow(self) -> list[Failure]:
        """Return those failures once; the first time preceded by all that the report holds."""
        taken, self._overflow = self._overflow, []
        return taken
