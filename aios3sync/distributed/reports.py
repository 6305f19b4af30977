"""Adds up the reports of shards. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aios3sync._dataclass import asdict, replace
from aios3sync.core.safety import Refusal
from aios3sync.distributed.results import ShardFacts
from aios3sync.manifest.protocol import ManifestState
from aios3sync.report import MAX_REPORTED_ERRORS, STATES, SyncReport
from aios3sync.sync.policy import unmatched_warning
from aios3sync.sync.request import SyncRequest

__all__ = ("all_deleted", "joined_report", "known_since", "unmatched_rules")

_SUMS: Final = (
    *STATES,
    *("scanned", "planned", "uploaded_bytes", "downloaded_bytes", "copied_bytes", "archived_bytes"),
    *("retries", "throttled"),
)
_CHECKS: Final = ("manifest", "list", "inventory", "content")
"""From the one with the fewest requests to the one with the most."""


def joined_report(  # noqa: PLR0913 - what the run knows besides; all have defaults
    request: SyncRequest,
    reports: Sequence[SyncReport],
    *,
    refused: Refusal | None = None,
    facts: Sequence[ShardFacts] = (),
    warnings: Sequence[str] = (),
    interrupted: int = 0,
    errors_file: str | None = None,
    elapsed_s: float = 0.0,
    requests: Mapping[str, int] | None = None,
) -> SyncReport:
    """Return the report of a run that has done what all these have.

    Args:
        request: the run.
        reports: of all steps of all shards.
        refused: the guard that refused, if any.
        facts: of the shards.
        warnings: in addition to those of the shards.
        interrupted: the number of the signal that stopped the run.
        errors_file: holds all failures, where there are many.
        elapsed_s: seconds that the run took.
        requests: in addition to those of the shards.
    """
    counts: dict[str, Any] = {name: sum(getattr(report, name) for report in reports) for name in _SUMS}
    all_requests = Counter(requests or {})
    retry_codes: Counter[str] = Counter()
    for report in reports:
        all_requests.update(report.requests)
        retry_codes.update(report.retry_codes)
    ages = [report.knowledge_age_s for report in reports if report.knowledge_age_s is not None]
    errors = [error for report in reports for error in report.errors]
    said = dict.fromkeys([*(text for report in reports for text in report.warnings), *warnings])
    report = SyncReport(
        source=request.source,
        target=request.target,
        direction=request.direction,
        checked=max((report.checked for report in reports), key=_CHECKS.index, default="list"),
        refused=None if refused is None else asdict(refused),
        knowledge_age_s=max(ages, default=None),
        errors=tuple(errors[:MAX_REPORTED_ERRORS]),
        requests=dict(all_requests),
        retry_codes=dict(retry_codes),
        incomplete=any(report.incomplete for report in reports),
        aborted=next((report.aborted for report in reports if report.aborted), ""),
        interrupted=interrupted,
        errors_file=errors_file,
        elapsed_s=elapsed_s,
        dry_run=request.options.dry_run,
        **counts,
    )
    said |= dict.fromkeys(_sums_to_warn_of(report, request, facts))
    return replace(report, warnings=tuple(said)[:MAX_REPORTED_ERRORS])


def _sums_to_warn_of(report: SyncReport, request: SyncRequest, facts: Sequence[ShardFacts]) -> list[str]:
    """Return warnings whose numbers are the sums of all shards, as one run would give them."""
    warnings = []
    if report.archived or report.restoring:
        from aios3sync.sync.archives import archive_warning

        warnings.append(archive_warning(report, request))
    if changed := sum(each.changed_since_inventory for each in facts):
        from aios3sync.sync.inventory_check import changed_warning

        created = min(each.inventory_created for each in facts if each.inventory_created)
        warnings.append(changed_warning(changed, created))
    return warnings


def unmatched_rules(facts: Sequence[ShardFacts]) -> list[str]:
    """Return warnings about the rules that matched nothing in any shard."""
    filters = _in_all([each.unmatched_filters for each in facts])
    headers = _in_all([each.unmatched_headers for each in facts])
    return [
        *([unmatched_warning(filters)] if filters else []),
        *(f"--header-for {rule!r} matched no file" for rule in headers),
    ]


def all_deleted(reports: Sequence[SyncReport], shards: int) -> bool:
    """Return whether ``count`` shards have carried out all held deletes, so that rows are right.

    The effect of a delete that failed or was cancelled is not known: the next run must list.
    """
    return len(reports) == shards and not any(
        report.failed or report.conflicts or report.cancelled for report in reports
    )


def known_since(facts: Sequence[ShardFacts], states: Sequence[ManifestState]) -> tuple[str, float] | None:
    """Return the scope of a run, and since when its rows are what the bucket holds, or ``None``.

    Args:
        facts: of all shards.
        states: that the shards have saved; one that had nothing to do saved none, and relies on the earlier
            state.
    """
    since = [
        each.listed_at or state.known_since(each.scope) for each, state in zip(facts, states, strict=True)
    ]
    return (facts[0].scope, min(since)) if since and all(since) else None


def _in_all(rules: Sequence[Sequence[str]]) -> list[str]:
    """Return the items that are in every list, in the order of the first."""
    first, *others = rules or [()]
    return [rule for rule in first if all(rule in other for other in others)]
