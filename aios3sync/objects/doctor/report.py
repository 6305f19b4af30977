"""Finding and DoctorReport: what the probes of an endpoint found, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from aios3sync._dataclass import dataclass
from aios3sync._namedtuple import NamedTuple

__all__ = ("DoctorReport", "Finding", "FindingStatus")

FindingStatus = Literal["ok", "differs", "refused", "failed", "skipped"]
"""``refused`` for lack of a right, ``failed`` for any other error, ``skipped`` where nothing was asked."""


class Finding(NamedTuple):
    """The answer to one question.

    Attributes:
        probe: the question, in a word or two.
        status: whether the endpoint does as S3 documents it.
        found: what it does.
        meaning: what that means for a sync; empty where it means nothing.
        advice: what to do; empty where there is nothing to do.
        essential: nothing can be done with the bucket where this is refused or fails.
        figures: what was measured, each with its unit in its name; ``None`` where nothing was.
    """

    probe: str
    status: FindingStatus
    found: str
    meaning: str = ""
    advice: str = ""
    essential: bool = False
    figures: Mapping[str, float] | None = None

    @property
    def is_fatal(self) -> bool:
        """Whether the bucket is of no use because of this."""
        return self.essential and self.status in ("refused", "failed")

    def as_text(self) -> str:
        """Return the finding as one line."""
        return "; ".join(text for text in (f"{self.probe}: {self.found}", self.meaning, self.advice) if text)


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """What all probes of a bucket found.

    Attributes:
        url: the bucket and the prefix.
        endpoint: its URL, or ``aws``.
        findings: in the order of the probes.
        known: what a sync knows of the endpoint from now on, a line each.
        left: what could not be removed, a line each.
        requests: how many requests were sent, by S3 operation name.
    """

    url: str
    endpoint: str
    findings: tuple[Finding, ...]
    known: tuple[str, ...]
    left: tuple[str, ...]
    requests: dict[str, int]

    @property
    def exit_code(self) -> int:
        """0 where all is as S3 documents it, 3 where something differs, 1 where the bucket is not usable."""
        wrong = [finding for finding in self.findings if finding.status not in ("ok", "skipped")]
        if not self.is_usable:
            return 1
        return 3 if wrong or self.left else 0

    @property
    def is_usable(self) -> bool:
        """Whether what every sync needs works."""
        return not any(finding.is_fatal for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a JSON document."""
        return {
            "command": "doctor",
            "url": self.url,
            "endpoint": self.endpoint,
            "exit_code": self.exit_code,
            "findings": [
                {**finding._asdict(), "figures": dict(finding.figures or {})} for finding in self.findings
            ],
            "known": list(self.known),
            "left": list(self.left),
            "requests": self.requests,
        }
