"""What is said at the end of a run, as lines of text; it computes them and prints nothing."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aios3sync.core.text import count, duration, printable, size_text

if TYPE_CHECKING:
    from aios3sync.report import Failure, SyncReport
    from aios3sync.sync.verify import VerifyReport

__all__ = ("Conclusion", "conclude_sync", "conclude_verify", "failure_line", "repeated_text")

_FINDINGS: Final = {
    "updated": "updated the headers of {}",
    "touched": "touched {}",
    "adopted": "adopted {} (there already)",
    "forgotten": "forgot {}",
    "skipped": "skipped {}",
    "vanished": "{} vanished",
    "withheld": "withheld {} deletes",
    "conflicts": "conflicts {}",
    "failed": "failed {}",
    "cancelled": "cancelled {}",
}


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The last words of a run.

    Attributes:
        summary: what was done.
        also: what else was done, a line each.
        details: what ``-v`` adds to it, or empty.
        failures: everything that went wrong with single keys.
        more: where the failures are that are not told.
        warnings: what a person should know.
        refused: the message of the guard that refused, or empty.
        unregistered: why a catalog was not told, which changes no exit code, or empty.
        differences: what a verification found.
        tables: lines with colours, in which everything is escaped already.
        note: the very last line, or empty.
    """

    summary: str
    also: tuple[str, ...] = ()
    details: str = ""
    failures: tuple[Failure, ...] = ()
    more: str = ""
    warnings: tuple[str, ...] = ()
    refused: str = ""
    unregistered: str = ""
    differences: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    note: str = ""


def failure_line(failure: Failure) -> str:
    """One failure: ``failed: a/b.txt: upload: AccessDenied …``."""
    word = "conflict" if failure.stage == "conflict" else "failed"
    stage = "" if failure.stage in ("conflict", "upload") else f"{failure.stage}: "
    return f"{word}: {printable(failure.key)}: {stage}{printable(failure.error)}"


def repeated_text(retries: int, throttled: int) -> str:
    """How many requests were repeated, and why."""
    text = f"repeated {count(retries, 'request')}"
    return f"{text}, {throttled:,} because the endpoint asked to slow down" if throttled else text


def conclude_sync(report: SyncReport, *, verbose: int = 0) -> Conclusion:
    """The last words of a sync."""
    refused = str(report.refused["message"]) if report.refused else ""
    warnings = tuple(text for text in report.warnings if not (refused and text.endswith(refused)))
    return Conclusion(
        summary=_sync_summary(report),
        also=(*_repeated(report, verbose), *_registered(report)),
        details=_requests(report) if verbose else "",
        failures=report.errors,
        more=_more(report),
        warnings=warnings,
        refused=refused,
        unregistered=report.catalog.error if report.catalog else "",
        note=_knowledge(report),
    )


def _sync_summary(report: SyncReport) -> str:
    sent = count(report.uploaded, "file")
    if report.uploaded:
        sent += f" ({size_text(report.uploaded_bytes)})"
    verbs = ("would upload", "keep", "delete") if report.dry_run else ("uploaded", "kept", "deleted")
    parts = [f"{verbs[0]} {sent}", f"{verbs[1]} {report.kept:,}", f"{verbs[2]} {report.deleted:,}"]
    for state, text in _FINDINGS.items():
        if number := getattr(report, state):
            parts.append(text.format(f"{number:,}"))
    line = f"{', '.join(parts)} in {duration(report.elapsed_s)}"
    if report.interrupted:
        line = f"stopped by {signal.Signals(report.interrupted).name}: {line}"
    return f"(dry run) {line}" if report.dry_run else line


def _repeated(report: SyncReport, verbose: int) -> tuple[str, ...]:
    """Repeated requests, which make a run slow; ``-v`` tells them with all others."""
    return (repeated_text(report.retries, report.throttled),) if report.retries and not verbose else ()


def _registered(report: SyncReport) -> tuple[str, ...]:
    """What became of the entry of a catalog; why there is none is a warning."""
    found = report.catalog
    if found is None or found.error:
        return ()
    verb = "(dry run) would add" if found.state == "planned" else "added"
    return (f"{verb} {printable(found.id)} to {printable(found.location)}",)


def _requests(report: SyncReport | VerifyReport) -> str:
    sent = ", ".join(f"{name} {number:,}" for name, number in sorted(report.requests.items())) or "none"
    throttled = f" ({report.throttled:,} throttled)" if report.throttled else ""
    return f"requests: {sent}; retries: {report.retries:,}{throttled}"


def _more(report: SyncReport) -> str:
    if report.errors_file is None:
        return ""
    return f"all failures are in {printable(report.errors_file)}"


def _knowledge(report: SyncReport) -> str:
    """What a run that asked nothing knows, and from when."""
    if report.checked != "manifest" or report.requests or report.knowledge_age_s is None:
        return ""
    age = duration(max(report.knowledge_age_s, 0.0))
    return f"S3 was not asked; last listed {age} ago (--check list asks)"


def conclude_verify(report: VerifyReport, *, verbose: int = 0) -> Conclusion:
    """The last words of a verification."""
    differences = tuple(
        f"{found.kind}: {printable(found.key)}"
        + (f": {found.detail}" if found.kind in ("size", "content") else "")
        for found in report.differences
    )
    hidden = report.differing - len(differences)
    if hidden > 0:
        differences += (f"... and {count(hidden, 'more difference')}",)
    summary = f"{count(report.same, 'file')} the same, {report.differing:,} different"
    if report.failed:
        summary += f", {report.failed:,} not compared"
    if verbose and report.read:
        summary += f", {report.read:,} read"
    summary += f" in {duration(report.elapsed_s)}"
    return Conclusion(
        summary=summary,
        details=_requests(report) if verbose else "",
        failures=tuple(report.errors),
        differences=differences,
    )
