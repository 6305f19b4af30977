"""VerifyReport: what a verification found, in either direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from aios3sync._dataclass import asdict, dataclass, field
from aios3sync.report import MAX_REPORTED_ERRORS, Failure

__all__ = ("Difference", "VerifyReport")

DifferenceKind = Literal["missing", "extra", "size", "content"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One key that differs: ``missing`` or ``extra`` in the target, or of another ``size`` or ``content``."""

    key: str
    kind: DifferenceKind
    detail: str


@dataclass(slots=True, kw_only=True)
class VerifyReport:
    """The result of a verification.

    Attributes:
        source, target: what was compared.
        same: keys whose content is equal on both sides.
        differing: keys that differ.
        differences: the first 1,000 differences.
        read: objects that had to be read, because nothing else proved their content.
        failed: keys that could not be compared.
        errors: the first 1,000 errors.
        requests, retries, throttled, retry_codes, elapsed_s: as in :class:`~aios3sync.report.SyncReport`.
    """

    command: str = "verify"
    source: str
    target: str
    same: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)
    read: int = 0
    failed: int = 0
    errors: list[Failure] = field(default_factory=list)
    requests: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    throttled: int = 0
    retry_codes: Mapping[str, int] = field(default_factory=dict)
    elapsed_s: float = 0.0

    @property
    def exit_code(self) -> int:
        """3 if something could not be compared, 6 if something differs, else 0."""
        if self.failed:
            return 3
        return 6 if self.differing else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the report as the JSON document of ``--json``."""
        return asdict(self) | {"exit_code": self.exit_code}

    def add_difference(self, difference: Difference) -> None:
        """Add a difference."""
        self.differing += 1
        if len(self.differences) < MAX_REPORTED_ERRORS:
            self.differences.append(difference)

    def add_failure(self, failure: Failure) -> None:
        """Add something that could not be compared."""
        self.failed += 1
        if len(self.errors) < MAX_REPORTED_ERRORS:
            self.errors.append(failure)
