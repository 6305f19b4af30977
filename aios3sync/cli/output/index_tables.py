"""What the commands of the index answer: one JSON document, or lines of a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aios3sync.cli.output.result import CommandResult
from aios3sync.cli.output.summary import Conclusion
from aios3sync.core.text import count, duration, printable, size_text

if TYPE_CHECKING:
    from aios3sync.index.backfill import BackfillReport
    from aios3sync.index.reconcile import ReconcileReport
    from aios3sync.index.rows import Folder, Group, ObjectRow, Page, Totals
    from aios3sync.index.staleness import Stale

__all__ = (
    "backfill_answer",
    "folders_answer",
    "histogram_answer",
    "page_answer",
    "reconcile_answer",
    "sample_answer",
    "totals_answer",
    "urls_answer",
)


def page_answer(command: str, page: Page, urls: Sequence[str] | None) -> CommandResult:
    """Rows of a page, and where it ended."""
    rows = [_row_document(row) for row in page]
    if urls is not None:
        rows = [{**row, "url": url} for row, url in zip(rows, urls, strict=True)]
    document = {"command": command, "rows": rows, "next": page.next, "total": page.total._asdict()}
    lines = [_row_line(row) for row in page]
    if urls is not None:
        lines = [text for pair in zip(lines, urls, strict=True) for text in pair]
    note = f"next page: --after {page.next}" if page.next else ""
    shown = f"{len(page):,} of {_total_text(page.total)}"
    return CommandResult(document, Conclusion(shown, differences=tuple(lines), note=note))


def urls_answer(page: Page, urls: Sequence[str]) -> CommandResult:
    """URLs alone, one a line."""
    pairs = [{"key": row.key, "url": url} for row, url in zip(page, urls, strict=True)]
    document = {"command": "index urls", "urls": pairs, "next": page.next}
    note = f"next page: --after {page.next}" if page.next else ""
    return CommandResult(document, Conclusion(count(len(urls), "URL"), differences=tuple(urls), note=note))


def sample_answer(rows: Sequence[ObjectRow]) -> CommandResult:
    """Random rows."""
    document = {"command": "index sample", "rows": [_row_document(row) for row in rows]}
    return CommandResult(
        document, Conclusion(count(len(rows), "object"), differences=tuple(map(_row_line, rows)))
    )


def totals_answer(totals: Totals, behind: Sequence[Stale], listed: float | None) -> CommandResult:
    """Count and bytes, and whether the index knows all."""
    note = "" if listed else "no backfill or reconcile of it has ended: the index may know only a part"
    warnings = tuple(
        f"the index is behind on {printable(mark.target)}: {printable(mark.reason)}; reconcile repairs it"
        for mark in behind
    )
    marks = [_stale(mark) for mark in behind]
    document = {"command": "index totals", **totals._asdict(), "listed_at": listed, "behind": marks}
    return CommandResult(document, Conclusion(_total_text(totals), warnings=warnings, note=note))


def folders_answer(folders: Sequence[Folder]) -> CommandResult:
    """Folders with what is below them."""
    document = {"command": "index folders", "folders": [folder._asdict() for folder in folders]}
    lines = [
        f"{folder.objects:>12,} {size_text(folder.size):>12}  {printable(folder.path)}" for folder in folders
    ]
    return CommandResult(document, Conclusion(count(len(folders), "folder"), differences=tuple(lines)))


def histogram_answer(by: str, groups: Sequence[Group]) -> CommandResult:
    """Groups with what is in them."""
    document = {"command": "index histogram", "by": by, "groups": [group._asdict() for group in groups]}
    lines = [
        f"{group.objects:>12,} {size_text(group.size):>12}  {_label(by, group.label)}" for group in groups
    ]
    return CommandResult(document, Conclusion(count(len(groups), "group"), differences=tuple(lines)))


def backfill_answer(report: BackfillReport) -> CommandResult:
    """What a backfill did."""
    changes = f"{report.inserted:,} new, {report.updated:,} changed, {report.deleted:,} gone"
    resumed = ", going on from an earlier attempt" if report.resumed else ""
    text = f"{count(report.listed, 'object')} in {duration(report.elapsed_s)}{resumed}: {changes}"
    return CommandResult(report.as_dict(), Conclusion(text, note=report.note))


def reconcile_answer(report: ReconcileReport, *, dry_run: bool) -> CommandResult:
    """What differed, and what became of it."""
    lines = tuple(f"{kind + ':':<8} {printable(key)}" for kind, key in report.keys)
    text = f"{count(report.listed, 'object')} in {duration(report.elapsed_s)}: "
    if report.differences:
        text += f"{report.missing:,} missing, {report.extra:,} extra, {report.stale:,} stale; "
        text += "nothing was repaired" if dry_run else f"{report.repaired:,} repaired"
    else:
        text += "the index is as the bucket"
    note = "only the first keys are shown" if report.differences > len(report.keys) else ""
    return CommandResult(report.as_dict(), Conclusion(text, differences=lines, note=note), report.exit_code)


def _row_document(row: ObjectRow) -> dict[str, Any]:
    return {**row._asdict(), "folder": row.folder, "name": row.name}


def _row_line(row: ObjectRow) -> str:
    return f"{_time(row.uploaded_at)} {row.size:>14,}  {printable(row.key)}"


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _total_text(total: Totals) -> str:
    least = "" if total.exact else "at least "
    return f"{least}{count(total.objects, 'object')}, {size_text(total.size)}"


def _label(by: str, label: str) -> str:
    if by == "size":
        return f"from {size_text(int(label))}"
    return printable(label) or "(none)"


def _stale(mark: Stale) -> dict[str, Any]:
    return {"target": mark.target, "since": mark.since, "reason": mark.reason}
