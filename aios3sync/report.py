"""What a run did, counted: every planned item ends in exactly one state (P9). No I/O."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("MAX_REPORTED_ERRORS", "STATES", "CatalogResult", "Failure", "ReportBuilder", "SyncReport")

STATES: Final = (
    "uploaded",
    "updated",
    "kept",
    "touched",
    "adopted",
    "deleted",
    "forgotten",
    "conflicts",
    "withheld",
    "skipped",
    "vanished",
    "failed",
    "cancelled",
)
"""The states that a planned item can end in; their counts add up to ``planned``."""

MAX_REPORTED_ERRORS: Final = 1000
_SIGHUP: Final = 1
"""A hang-up is the same orderly stop as SIGTERM, and has its exit code."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that went wrong with one key.

    Attributes:
        key: relative to the prefix; a path that is no key is shown with its bytes escaped.
        stage: ``scan``, ``read``, ``compare``, ``upload``, ``update``, ``delete`` or ``conflict``; ``run``
            where the run itself failed.
        error: one line.
    """

    key: str
    stage: str
    error: str

    @classmethod
    def unforeseen(cls, key: str, stage: str, error: Exception) -> Failure:
        """The failure of an item for a reason that no rule knows.

        Only the type is said: the text of such an error may hold anything. The log has the traceback, which
        ``-vv`` shows.
        """
        import logging  # ten milliseconds that hardly any run needs

        logging.getLogger(__name__).debug("%r: %s failed", key, stage, exc_info=error)
        return cls(key, stage, f"unexpected {type(error).__name__}: -vv shows where")


@dataclass(frozen=True, slots=True)
class CatalogResult:
    """What became of the entry that a sync was to add to a catalog; it changes no exit code.

    Attributes:
        id: of the dataset or model.
        location: of the catalog's index, ``s3://bucket/key``.
        state: ``added``; ``planned`` in a dry run; ``skipped``, because not all of its files are there; or
            ``failed``.
        error: why it is not there, one line; empty where it is.
        copies: the public manifest and the replicas that were to be written too: their addresses, and why
            one was not written, else an empty text.
    """

    id: str
    location: str
    state: str
    error: str = ""
    copies: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """The outcome of one sync.

    Attributes:
        command, source, target: what was asked for.
        checked: how the target was looked at: ``manifest`` (S3 was not asked), ``list`` or ``content``.
        scanned: files seen in the source.
        planned: items that had to end in one of the STATES; the counts below add up to it.
        uploaded_bytes: bytes sent for uploads that succeeded (compressed where gzip applied).
        updated: objects with the same content that got other headers, by a copy on the server.
        kept: left as they are. Objects that are not ours are not counted at all.
        conflicts: kept on both sides because either answer could lose something.
        withheld: planned deletes that were not carried out (see ``refused``, failed uploads).
        skipped: what cannot be synced: special files, names that are no keys, loops.
        vanished: files gone between the walk and the upload.
        refused: the guard that refused the deletes (or the run) and how many deletes it was about.
        knowledge_age_s: seconds since the target was last listed; 0 if this run listed it, ``None`` if
            it was never listed.
        errors: the first 1,000 failures; ``errors_file`` holds all of them if there are more.
        warnings: what a person should know, one line each.
        requests: S3 requests sent, by operation.
        retries: how many of them were repeats.
        throttled: how many of those came after the endpoint asked to slow down.
        elapsed_s: seconds.
        interrupted: 0, or the number of the signal that stopped the run.
        dry_run: nothing was written; the counts tell what would be done.
        catalog: what became of the catalog's entry, ``None`` where none was asked for.
    """

    command: str = "sync"
    source: str
    target: str
    checked: str
    scanned: int = 0
    uploaded: int = 0
    uploaded_bytes: int = 0
    updated: int = 0
    kept: int = 0
    touched: int = 0
    adopted: int = 0
    deleted: int = 0
    forgotten: int = 0
    conflicts: int = 0
    withheld: int = 0
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
    elapsed_s: float = 0.0
    interrupted: int = 0
    dry_run: bool = False
    catalog: CatalogResult | None = None

    @property
    def balanced(self) -> bool:
        """Whether every planned item ended in exactly one state (C4)."""
        ended: int = sum(getattr(self, state) for state in STATES)
        return self.planned == ended

    @property
    def exit_code(self) -> int:
        """The exit code of the command line for this outcome, the strongest reason first."""
        if self.interrupted:
            return 143 if self.interrupted == _SIGHUP else 128 + self.interrupted
        if self.refused is not None:
            return 4
        if self.failed or self.conflicts or self.withheld or self.cancelled or self.errors:
            return 3
        return 0

    def as_dict(self) -> dict[str, Any]:
        """The report as the JSON document of ``--json``."""
        # asdict() rebuilds a mapping from pairs, which a Counter would count.
        document = asdict(replace(self, requests=dict(self.requests)))
        document["exit_code"] = self.exit_code
        return document


class ReportBuilder:
    """The counters of one run."""

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

    def begin_comparison(self, *, nothing_done: bool = False) -> None:
        """Forget what the comparison before found; what was done stays, unless ``nothing_done``."""
        if nothing_done:
            self._effects.clear()
            self._errors.clear()
            self._planned_effects = self.uploaded_bytes = 0
        self._findings.clear()
        self._finding_errors.clear()
        self.scanned = 0

    def plan(self, count: int = 1) -> None:
        """``count`` more items have to end in a state."""
        self._planned_effects += count

    def settle(self, state: str, failure: Failure | None = None, *, count: int = 1) -> None:
        """One planned item ended, or ``count`` of them."""
        self._effects[state] += count
        if failure is not None:
            self._add_error(self._errors, failure)

    def settle_as_found(self, state: str) -> None:
        """One planned item ended without an effect: it counts as one that the comparison found."""
        self._planned_effects -= 1
        self.find(state)

    def find(self, state: str, count: int = 1, failure: Failure | None = None) -> None:
        """The comparison itself found ``count`` items in a state: planned and ended at once."""
        self._findings[state] += count
        if failure is not None:
            self._add_error(self._finding_errors, failure)

    def warn(self, message: str) -> None:
        """Something worth a line, once; of very many only the first are kept."""
        if len(self._warnings) < MAX_REPORTED_ERRORS:
            self._warnings[message] = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was warned of, in order."""
        return tuple(self._warnings)

    @property
    def pending(self) -> int:
        """Planned items that have not ended yet."""
        return self._planned_effects - self._effects.total()

    @property
    def planned(self) -> int:
        """All items, ended or not."""
        return self._planned_effects + self._findings.total()

    @property
    def cancelled(self) -> int:
        """Items that were given up."""
        return self._effects["cancelled"]

    def cancel_pending(self) -> None:
        """What has not ended by now never will."""
        self._effects["cancelled"] += self.pending

    def counts(self) -> dict[str, int]:
        """All states with their counts."""
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
        """Errors that the report cannot hold, and that were not taken yet."""
        return len(self._overflow)

    def take_overflow(self) -> list[Failure]:
        """Those errors, once; the first time with all that the report does hold before them."""
        taken, self._overflow = self._overflow, []
        return taken
