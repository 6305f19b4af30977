"""The results of the index commands: each a JSON document, and lines of a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aios3sync.cli.output.result import CommandResult
from aios3sync.cli.output.summary import Conclusion
from aios3sync.core.text import count, printable, size_text, time_taken

if TYPE_CHECKING:
    from aios3sync.index.backfill import BackfillReport
    from aios3sync.index.reconcile import ReconcileReport
    from aios3sync.index.rows import Folder, Group, ObjectRow, Page, Totals
    from aios3sync.index.staleness import Stale

__all__ = (
    "backfill_result",
    "folders_result",
    "histogram_result",
    "page_result",
    "reconcile_result",
    "sample_result",
    "totals_result",
    "urls_result",
)


def page_result(command: str, page: Page, urls: Sequence[str] | None) -> CommandResult:
    """Return the rows of a page, and the cursor of the next one."""
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


def urls_result(page: Page, urls: Sequence[str]) -> CommandResult:
    """Return URLs, one a line."""
    pairs = [{"key": row.key, "url": url} for row, url in zip(page, urls, strict=True)]
    document = {"command": "index urls", "urls": pairs, "next": page.next}
    note = f"next page: --after {page.next}" if page.next else ""
    return CommandResult(document, Conclusion(count(len(urls), "URL"), differences=tuple(urls), note=note))


def sample_result(rows: Sequence[ObjectRow]) -> CommandResult:
    """Return random rows."""
    document = {"command": "index sample", "rows": [_row_document(row) for row in rows]}
    return CommandResult(
        document, Conclusion(count(len(rows), "object"), differences=tuple(map(_row_line, rows)))
    )


def totals_result(totals: Totals, stale: Sequence[Stale], listed: float | None) -> CommandResult:
    """Return the count and the bytes, and whether the index is complete."""
    note = "" if listed else "no backfill or reconcile has finished here: the index may be incomplete"
    way_out = "'aios3sync index reconcile' repairs it"
    warnings = tuple(
        f"the index is stale at {printable(mark.target)}: {printable(mark.reason)}; {way_out}"
        for mark in stale
    )
    marks = [_stale_document(mark) for mark in stale]
    document = {"command": "index totals", **totals._asdict(), "listed_at": listed, "behind": marks}
    return CommandResult(document, Conclusion(_total_text(totals), warnings=warnings, note=note))


def folders_result(folders: Sequence[Folder]) -> CommandResult:
    """Return folders with the objects and bytes below them."""
    document = {"command": "index folders", "folders": [folder._asdict() for folder in folders]}
    lines = [
        f"{folder.objects:>12,} {size_text(folder.size):>12}  {printable(folder.path)}" for folder in folders
    ]
    return CommandResult(document, Conclusion(count(len(folders), "folder"), differences=tuple(lines)))


def histogram_result(by: str, groups: Sequence[Group]) -> CommandResult:
    """Return groups with their objects and bytes."""
    document = {"command": "index histogram", "by": by, "groups": [group._asdict() for group in groups]}
    lines = [
        f"{group.objects:>12,} {size_text(group.size):>12}  {_label(by, group.label)}" for group in groups
    ]
    return CommandResult(document, Conclusion(count(len(groups), "group"), differences=tuple(lines)))


def backfill_result(report: BackfillReport) -> CommandResult:
    """Return the result of a backfill."""
    changes = f"{report.inserted:,} inserted, {report.updated:,} updated, {report.deleted:,} deleted"
    resumed = " (resumed)" if report.resumed else ""
    text = f"{count(report.listed, 'object')} in {time_taken(report.elapsed_s)}{resumed}: {changes}"
    return CommandResult(report.as_dict(), Conclusion(text, note=report.note))


def reconcile_result(report: ReconcileReport, *, dry_run: bool) -> CommandResult:
    """Return the differences, and how many of them were repaired."""
    lines = tuple(f"{kind + ':':<8} {printable(key)}" for kind, key in report.keys)
    text = f"{count(report.listed, 'object')} in {time_taken(report.elapsed_s)}: "
    if report.differences:
        text += f"{report.missing:,} missing, {report.extra:,} extra, {report.stale:,} stale; "
        text += "0 repaired (dry run)" if dry_run else f"{report.repaired:,} repaired"
    else:
        text += "the index is equal to the bucket"
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


def _stale_document(mark: Stale) -> dict[str, Any]:
    return {"target": mark.target, "since": mark.since, "reason": mark.reason}
