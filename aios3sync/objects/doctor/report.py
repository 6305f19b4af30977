"""Finding and DoctorReport: the results of the probes of an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from aios3sync._dataclass import dataclass
from aios3sync._namedtuple import NamedTuple

__all__ = ("DoctorReport", "Finding", "FindingStatus")

FindingStatus = Literal["ok", "differs", "refused", "failed", "skipped"]
"""``refused`` without permission, ``failed`` for any other error, ``skipped`` where nothing was requested."""


class Finding(NamedTuple):
    """The answer to one question.

    Attributes:
        probe: the question, in a word or two.
        status: whether the endpoint does as S3 documents it.
        found: what it does.
        meaning: what that means for a sync; empty where it means nothing.
        advice: what to do; empty where there is nothing to do.
        essential: whether the bucket is unusable if this is refused or fails.
        figures: the measurements, each with its unit in its name; ``None`` where there are none.
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
        """Whether this makes the bucket unusable."""
        return self.essential and self.status in ("refused", "failed")

    def as_text(self) -> str:
        """Return the finding as one line."""
        return "; ".join(text for text in (f"{self.probe}: {self.found}", self.meaning, self.advice) if text)


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """The results of all probes of a bucket.

    Attributes:
        url: the bucket and the prefix.
        endpoint: its URL, or ``aws``.
        findings: in the order of the probes.
        known: what a sync knows about the endpoint from now on, a line each.
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
        """Whether everything works that every sync needs."""
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
