"""Summarizes a report as lines of text; prints nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from aios3sync._dataclass import dataclass, replace
from aios3sync._typing import TYPE_CHECKING, Final
from aios3sync.core.safety import IF_MEANT
from aios3sync.core.text import count, duration, printable, size_text, time_taken

if TYPE_CHECKING:
    from aios3sync.report import Failure, SyncReport
    from aios3sync.sync.plans.plan import Plan
    from aios3sync.sync.verify_report import VerifyReport

__all__ = (
    "Conclusion",
    "conclude_apply",
    "conclude_plan",
    "conclude_sync",
    "conclude_verify",
    "failure_line",
    "retries_text",
    "run_line",
    "short_error",
    "signal_name",
    "speed_text",
)

_TRANSFERS: Final = {
    "up": ("uploaded", "upload"),
    "down": ("downloaded", "download"),
    "copy": ("copied", "copy"),
}
_MORE_STATES: Final = {
    "copied": "copied {} (renamed)",
    "updated": "updated {} (headers)",
    "touched": "touched {}",
    "adopted": "adopted {} (there already)",
    "forgotten": "forgotten {}",
    "archived": "archived {}",
    "restoring": "restoring {}",
    "skipped": "skipped {}",
    "vanished": "vanished {}",
    "withheld": "withheld {} deletes",
    "conflicts": "conflicts {}",
    "failed": "failed {}",
    "cancelled": "cancelled {}",
}
"""The states that the summary names only if their count is not 0, with the words of the report."""


_WOULD: Final = {
    "copied": "copy",
    "updated": "update",
    "touched": "touch",
    "adopted": "adopt",
    "forgotten": "forget",
    "skipped": "skip",
    "withheld": "withhold",
}
"""The words of a dry run for some states."""
_MOST_CODES: Final = 3
_MEASURABLE_S: Final = 1.0
"""Seconds from which a speed is meaningful: it includes the start of a run."""
_MANY: Final = 10
"""Files per second from which their number says more than their bytes."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The end of a run as text.

    Attributes:
        summary: what was done, on one line.
        also: what else was done, one line each.
        details: added by ``-v``, or empty.
        failures: of single keys.
        more: where the failures are that are not listed, or empty.
        warnings: one line each.
        refused: the message of the guard that refused, or empty.
        aborted: why nothing more could be done, or empty.
        no_receipt: why a receipt was not written, or empty.
        unregistered: why an entry was not added to a catalog, which changes no exit code, or empty.
        differences: lines above the summary: what a verification found, the rows of a query.
        tables: lines with colour codes; they are escaped already.
        note: the last line, or empty.
        plan: what a dry run would do, shown above all of this.
    """

    summary: str
    also: tuple[str, ...] = ()
    details: str = ""
    failures: tuple[Failure, ...] = ()
    more: str = ""
    warnings: tuple[str, ...] = ()
    refused: str = ""
    aborted: str = ""
    unregistered: str = ""
    no_receipt: str = ""
    differences: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    note: str = ""
    plan: Plan | None = None


def run_line(report: SyncReport) -> str:
    """Return the line of one of several runs, with the time of day; empty if it did nothing."""
    done = report.uploaded + report.downloaded + report.copied + report.updated + report.deleted
    if not (done or report.exit_code):
        return ""
    return f"{time.strftime('%H:%M:%S')} {_sync_summary(report)}"


def failure_line(failure: Failure) -> str:
    """Return the line of a failure: ``failed: a/b.txt: delete: AccessDenied …``."""
    word = {"conflict": "conflict", "plan": "refused"}.get(failure.stage, "failed")
    stage = "" if failure.stage in ("conflict", "plan", "upload") else f"{failure.stage}: "
    return f"{word}: {printable(failure.key)}: {stage}{printable(short_error(failure))}"


def short_error(failure: Failure) -> str:
    """Return the error without the URL of its object, whose key is named next to it."""
    head, found, reason = failure.error.partition(f"{printable(failure.key)}: ")
    operation, is_url, _ = head.partition(" s3://")
    return f"{operation}: {reason}" if failure.key and found and is_url else failure.error


def retries_text(retries: int, throttled: int, codes: Mapping[str, int]) -> str:
    """Return how many retries there were, how many because of throttling, and the errors of the rest."""
    parts = [count(retries, "retry", "retries")]
    if throttled:
        parts.append(f"{throttled:,} throttled (the endpoint asked to slow down)")
    if retries > throttled:
        from aios3sync.store.s3.errors import THROTTLED_CODES  # few runs repeat a request

        others = Counter({code: number for code, number in codes.items() if code not in THROTTLED_CODES})
        parts += (f"{number:,} {printable(code)}" for code, number in others.most_common(_MOST_CODES))
    return ", ".join(parts)


def conclude_plan(report: SyncReport, plan: Callable[[], Plan], saved: str, *, verbose: int) -> Conclusion:
    """Summarize a dry run: with ``saved``, the file of its plan; else all of its actions."""
    found = conclude_sync(report, verbose=verbose)
    if not saved:
        return replace(found, plan=plan())
    if report.interrupted:
        return found  # half a plan is not kept
    actions = count(len(plan()), "action")
    if report.refused:
        note = f"{printable(saved)} has a plan of {actions}, without what was refused"
    else:
        note = f"the plan of {actions} is in {printable(saved)}; aios3sync apply does it"
    return replace(found, note=note)


def conclude_apply(report: SyncReport, plan: Plan, *, verbose: int = 0) -> Conclusion:
    """Summarize the application of a plan, whose limits are those that it was made with."""
    found = conclude_sync(report, verbose=verbose)
    refused = found.refused.replace(IF_MEANT, "if that is meant, make the plan again with ")
    return replace(found, plan=plan.due, refused=refused)


def conclude_sync(report: SyncReport, *, verbose: int = 0) -> Conclusion:
    """Summarize a sync."""
    refused = str(report.refused["message"]) if report.refused else ""
    warnings = tuple(text for text in report.warnings if not (refused and text.endswith(refused)))
    return Conclusion(
        summary=_sync_summary(report),
        also=(*_forecast(report), *_retries(report, verbose), *_catalog_line(report), *_receipt_line(report)),
        details=_request_counts(report) if verbose else "",
        failures=report.errors,
        more=_errors_file(report),
        warnings=warnings,
        refused=refused,
        aborted=report.aborted,
        unregistered=report.catalog.error if report.catalog else "",
        no_receipt=report.receipt.error if report.receipt else "",
        note=_listing_age(report),
    )


def _sync_summary(report: SyncReport) -> str:
    done, verb = _TRANSFERS[report.direction]
    transferred, size = getattr(report, done), getattr(report, f"{done}_bytes")
    noun = "object" if report.direction == "copy" else "file"
    sent = count(transferred, noun)
    if transferred:
        sent += f" ({size_text(size)})"
    verbs = (f"would {verb}", "keep", "delete") if report.dry_run else (done, "kept", "deleted")
    parts = [f"{verbs[0]} {sent}", f"{verbs[1]} {report.kept:,}", f"{verbs[2]} {report.deleted:,}"]
    for state, text in _MORE_STATES.items():
        if state != done and (number := getattr(report, state)):
            word = _WOULD.get(state, "") if report.dry_run else ""
            parts.append((text.replace(state, word, 1) if word else text).format(f"{number:,}"))
    line = f"{', '.join(parts)} in {time_taken(report.elapsed_s)}"
    if not report.dry_run:
        line += speed_text(transferred, size, report.elapsed_s, noun)
    if report.interrupted:
        line = f"stopped by {signal_name(report.interrupted)}: {line}"
    return f"(dry run) {line}" if report.dry_run else line


def speed_text(files: int, size: int, seconds: float, noun: str = "file") -> str:
    """Return how fast a run was, ``" (588 files/s, 30.6 MB/s)"``; empty if it was too short for that."""
    if not files or seconds < _MEASURABLE_S:
        return ""
    many = f"{files / seconds:,.0f} {noun}s/s, " if files >= _MANY * seconds else ""
    return f" ({many}{size_text(size / seconds)}/s)"


def signal_name(number: int) -> str:
    """Return the name of a signal: ``SIGINT``."""
    import signal  # its tables take half a millisecond to load

    return signal.Signals(number).name


def _retries(report: SyncReport, verbose: int) -> tuple[str, ...]:
    """Return the line about retries, which slow a run down; with ``-v`` the line of requests has them."""
    if verbose or not report.retries:
        return ()
    return (retries_text(report.retries, report.throttled, report.retry_codes),)


def _forecast(report: SyncReport) -> tuple[str, ...]:
    """Return the line about the cost of the run that was forecast by a dry run."""
    if report.forecast is None:
        return ()
    sent = report.forecast
    paid = f"{sent.writes:,} PUT, COPY and LIST, {sent.reads:,} GET and HEAD"
    cost = "" if sent.cost is None else f"; about {sent.currency} {sent.cost:.2f}"
    return (f"requests of the run, at most: {paid}, {sent.deletes:,} DELETE (free){cost}",)


def _catalog_line(report: SyncReport) -> tuple[str, ...]:
    """Return the line about the entry of a catalog; a warning says why it was not added."""
    found = report.catalog
    if found is None or found.error:
        return ()
    verb = "(dry run) would add" if found.state == "planned" else "added"
    return (f"{verb} {printable(found.id)} to {printable(found.location)}",)


def _receipt_line(report: SyncReport) -> tuple[str, ...]:
    """Return the line about a receipt; a warning says why it was not written."""
    found = report.receipt
    if found is None or found.error:
        return ()
    return (f"receipt of {count(found.files, 'file')} in {printable(found.place)}",)


def _request_counts(report: SyncReport | VerifyReport) -> str:
    sent = ", ".join(f"{name} {number:,}" for name, number in sorted(report.requests.items())) or "none"
    throttled = f" ({report.throttled:,} throttled)" if report.throttled else ""
    return f"requests: {sent}; retries: {report.retries:,}{throttled}"


def _errors_file(report: SyncReport) -> str:
    if report.errors_file is None:
        return ""
    return f"all failures are in {printable(report.errors_file)}"


def _listing_age(report: SyncReport) -> str:
    """Return the line about the age of the listing, for a run that sent no request."""
    if report.checked != "manifest" or report.requests or report.knowledge_age_s is None:
        return ""
    age = duration(max(report.knowledge_age_s, 0.0))
    return f"S3 was not asked; last listed {age} ago (--check list asks)"


def conclude_verify(report: VerifyReport, *, verbose: int = 0) -> Conclusion:
    """Summarize a verification."""
    differences = tuple(
        f"{found.kind}: {printable(found.key)}"
        + (f": {found.detail}" if found.kind in ("size", "content") else "")
        for found in report.differences
    )
    hidden = report.differing - len(differences)
    if hidden > 0:
        differences += (f"... and {count(hidden, 'more difference')}",)
    summary = f"{count(report.same, 'file')} the same, {report.differing:,} differing"
    if report.failed:
        summary += f", {report.failed:,} failed"
    if verbose and report.read:
        summary += f", {report.read:,} read"
    summary += f" in {time_taken(report.elapsed_s)}"
    return Conclusion(
        summary=summary,
        details=_request_counts(report) if verbose else "",
        failures=tuple(report.errors),
        differences=differences,
    )
