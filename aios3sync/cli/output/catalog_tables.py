"""The results of the catalog commands: each a JSON document, and a table for people."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from aios3sync._dataclass import asdict
from aios3sync.cli.output.result import CommandResult
from aios3sync.cli.output.summary import Conclusion
from aios3sync.core.text import count, duration, printable

if TYPE_CHECKING:
    from aios3sync.catalog import Catalog, CatalogChange, CatalogListing, DatasetEntry, ModelEntry

__all__ = ("change_result", "listing_result", "shown_result")

_TIERS: Final = {
    "index": "the index",
    "scan": "a scan of the bucket",
    "public": "the public manifest",
    "all": "the private catalog and the public manifest",
}
_FACTS: Final = {
    "has_card": "card",
    "has_config": "config",
    "has_tokenizer": "tokenizer",
    "is_full_model": "weights",
}
_WIDEST: Final = 48
_GUESSED: Final = "* guessed: the name of a folder does not show whether '_' in it is a '/' in the id"


def listing_result(catalog: Catalog, listing: CatalogListing, unread: str = "") -> CommandResult:
    """Return all entries and their source; ``unread`` is a public manifest that was not read."""
    document = {
        "command": "catalog list",
        "location": catalog.location,
        "tier": listing.tier,
        "as_of": listing.as_of,
        "age_s": listing.age_s,
        "passed_over": [asdict(one) for one in listing.passed_over],
        "not_modified": listing.not_modified,
        "unreadable": list(listing.unreadable),
        "unread": unread,
        "entries": [entry.as_document() for entry in listing],
        "metrics": catalog.metrics.as_dict(),
    }
    known = "now" if listing.tier == "scan" else f"{duration(listing.age_s)} old"
    warnings = [
        f"{_TIERS[one.tier]} was not available ({one.reason}): {printable(one.error)}"
        for one in listing.passed_over
    ]
    if any(one.tier == "index" and one.reason in ("missing", "corrupt") for one in listing.passed_over):
        warnings.append("'aios3sync catalog rebuild' creates the index; a listing is one request then")
    if listing.unreadable:
        warnings.append(f"{count(len(listing.unreadable), 'value')} of the index cannot be read as entries")
    summary = f"{count(len(listing), 'entry', 'entries')} from {_TIERS[listing.tier]}, {known}"
    lines = tuple(_table(listing.entries))
    legend = (_GUESSED,) if any(map(_is_guessed, listing)) else ()
    note = f"{printable(unread)} was not read; --tier all shows its entries too" if unread else ""
    conclusion = Conclusion(summary, also=legend, warnings=tuple(warnings), differences=lines, note=note)
    return CommandResult(document, conclusion)


def shown_result(
    catalog: Catalog, entries: Sequence[DatasetEntry | ModelEntry], urls: Sequence[dict[str, str]] = ()
) -> CommandResult:
    """Return all fields of entries, and the URLs of their files if there are any."""
    document: dict[str, Any] = {
        "command": "catalog show",
        "location": catalog.location,
        "entries": [entry.as_document() for entry in entries],
    }
    if urls:
        document["urls"] = list(urls)
    lines: list[str] = []
    for place, entry in enumerate(entries):
        facts = entry.as_document().items()
        lines += [f"{printable(name):<14} {printable(_text(value))}" for name, value in facts]
        lines += urls[place].values() if urls else ()
    return CommandResult(document, Conclusion(count(len(entries), "version"), differences=tuple(lines)))


def change_result(command: str, catalog: Catalog, change: CatalogChange, name: str) -> CommandResult:
    """Return the result of a change; exit code 3 if a copy was not written."""
    document = {"command": command, **asdict(change), "metrics": catalog.metrics.as_dict()}
    failed = [copy for copy in change.copies if copy.error]
    if command == "catalog rebuild":
        left = f" ({count(change.swept, 'shard')} of failed writers deleted)" if change.swept else ""
        what = f"rebuilt the index{left}"
    elif not change.changed:
        what = (
            f"{printable(name)} is in the catalog already"
            if command == "catalog add"
            else f"{printable(name)} is not in the catalog"
        )
    else:
        what = f"{'added' if command == 'catalog add' else 'removed'} {printable(name)}"
    summary = f"{what}: {count(change.entries, 'entry', 'entries')} in {printable(change.location)}"
    warnings = tuple(map(printable, change.warnings))
    return CommandResult(document, Conclusion(summary, warnings=warnings), 3 if failed else 0)


def _is_guessed(entry: DatasetEntry | ModelEntry) -> bool:
    return bool(entry.extra.get("id_guessed"))


def _table(entries: Sequence[DatasetEntry | ModelEntry]) -> list[str]:
    """Return a line for each entry; datasets have one more column."""
    from aios3sync.catalog import DatasetEntry

    rows = [
        (
            printable(entry.id) + ("*" if _is_guessed(entry) else ""),
            *([printable(entry.config_name or "-")] if isinstance(entry, DatasetEntry) else ()),
            printable(entry.revision or "-"),
            ", ".join(text for name, text in _FACTS.items() if getattr(entry, name, False)) or "-",
            printable(entry.s3_prefix),
        )
        for entry in entries
    ]
    if not rows:
        return []
    config = ("CONFIG",) if isinstance(entries[0], DatasetEntry) else ()
    rows.insert(0, ("ID", *config, "REVISION", "HAS", "PREFIX"))
    widths = [min(_WIDEST, max(map(_cells, column))) for column in zip(*rows, strict=True)]
    return ["  ".join(map(_padded, row, widths)).rstrip() for row in rows]


def _cells(text: str) -> int:
    """Return the width of a text in terminal columns."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _cells(text))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None or value == "" else str(value)
