"""The edits of a document: add, remove and rebuild, as idempotent functions; pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

from aios3sync._dataclass import replace
from aios3sync.catalog.entries import DatasetEntry, Entry
from aios3sync.catalog.layout import Kind, Layout
from aios3sync.catalog.update import Apply

__all__ = ("adding", "matching", "placed", "public_document", "rebuilt", "removing", "sharing_a_place")

_PUBLIC_AWS: Final = "s3.amazonaws.com"


def adding(layout: Layout, documents: Sequence[tuple[Entry, Mapping[str, Any]]]) -> Apply:
    """Return the edit that adds or replaces entries; fields that only the old document has are kept."""

    def apply(before: dict[str, Any]) -> dict[str, Any]:
        places = {document.get("s3_prefix") for _, document in documents}
        after = {key: raw for key, raw in before.items() if not _is_guess(raw, places)}
        for entry, document in documents:
            key, is_there = layout.place(entry, after)
            after[key] = {**(after[key] if is_there else {}), **document}
        return after

    return apply


def _is_guess(raw: Any, places: Container[Any]) -> bool:
    """Whether a value is the guess of a scan for one of these folders, whose real id is known by now."""
    return isinstance(raw, dict) and raw.get("id_guessed") is True and raw.get("s3_prefix") in places


def removing(layout: Layout, entries: Sequence[Entry]) -> Apply:
    """Return the edit that removes entries."""

    def apply(before: dict[str, Any]) -> dict[str, Any]:
        after = dict(before)
        for entry in entries:
            key, is_there = layout.place(entry, after)
            if is_there:
                del after[key]
        return after

    return apply


def rebuilt(
    layout: Layout, kind: Kind, found: Iterable[Entry], old: Mapping[str, Any], still: Iterable[Entry]
) -> dict[str, Any]:
    """Return the entries of a document after a scan.

    Args:
        layout: of the document.
        kind: of the document.
        found: the entries that the scan found.
        old: the entries before. Their ids are exact where those of a scan are guesses.
        still: the old entries whose files exist, with their derived fields; the other ones are removed.
    """
    after = {key: raw for key, raw in old.items() if kind.read(raw) is None}
    places = set()
    for entry in still:
        key, _ = layout.place(entry, old)
        after[key] = {**old.get(key, {}), **entry.as_document()}
        places.add(entry.s3_prefix)
    for entry in found:
        if entry.s3_prefix not in places:
            after[layout.place(entry, after)[0]] = entry.as_document()
    return after


def matching(entries: Iterable[Entry], layout: Layout, name: str) -> list[Entry]:
    """List the entries with this id, or this entry key; both may contain any text."""
    return [entry for entry in entries if name in (entry.id, layout.entry_key(entry))]


def sharing_a_place(
    document: Mapping[str, Any], entries: Sequence[Entry], kind: Kind, layout: Layout
) -> list[tuple[Entry, Entry]]:
    """List pairs of entries whose files are in the same folder, because folder names are not unique."""
    wanted = {entry.s3_prefix: entry for entry in entries}
    pairs = []
    for raw in document.values():
        entry = wanted.get(str(raw.get("s3_prefix", ""))) if isinstance(raw, dict) else None
        other = kind.read(raw) if entry is not None else None
        if entry is None or other is None or other.s3_bucket not in ("", entry.s3_bucket):
            continue
        if layout.names_of(other) != layout.names_of(entry):
            pairs.append((entry, other))
    return pairs


def public_document(entry: Entry, layout: Layout, endpoint: str, *, has_zip: bool) -> dict[str, Any]:
    """Return an entry as it is written to the public manifest.

    A dataset names its archive only where there is one; HG-Localization skips datasets that name none.
    """
    names = entry.as_document()
    document: dict[str, Any] = {
        name: names[name] for name in ("dataset_id", "model_id", "config_name", "revision") if name in names
    }
    document["s3_bucket"] = entry.s3_bucket
    if isinstance(entry, DatasetEntry):
        if "s3_zip_key" in entry.extra:
            document["s3_zip_key"] = entry.extra["s3_zip_key"]
        elif has_zip:
            document["s3_zip_key"] = layout.zip_key(entry)
    else:
        where = _public_url(endpoint, entry.s3_bucket)
        card, config = (
            f"{where}/{quote(f'{entry.s3_prefix}/{name}')}" for name in ("model_card.md", "config.json")
        )
        document["model_card_url"] = card if entry.has_card else None
        document["model_config_url"] = config if entry.has_config else None
    return {**document, "s3_prefix": entry.s3_prefix}


def _public_url(endpoint: str, bucket: str) -> str:
    """Return the public URL of a bucket, as HG-Localization writes it: the bucket is in the host name."""
    parts = urlsplit(endpoint)
    if not parts.hostname:
        return f"https://{bucket}.{_PUBLIC_AWS}"
    return f"{parts.scheme}://{bucket}.{parts.netloc}"


def placed(entry: Entry, layout: Layout, bucket: str) -> Entry:
    """Return an entry with its bucket and prefix filled in."""
    return replace(
        entry,
        s3_prefix=(entry.s3_prefix or layout.folder(entry)).strip("/"),
        s3_bucket=entry.s3_bucket or bucket,
    )
